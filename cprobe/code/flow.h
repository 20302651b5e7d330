/* SPDX-License-Identifier: BSD-2-Clause */
/* The control flow of one function, its split-off .cold part included: instructions, basic blocks, edges. */
#ifndef CPROBE_FLOW_H
#define CPROBE_FLOW_H

#include "code/code.h"

enum cp_flow_kind { CP_FLOW_NEXT, CP_FLOW_BRANCH, CP_FLOW_JUMP, CP_FLOW_CALL, CP_FLOW_END };

struct cp_flow_insn {
	uint64_t address, target;	/* target of a direct branch, jump or call; 0 none */
	const struct cp_code_part *part;
	size_t block;
	uint8_t length, kind;
	bool leader, trap;		/* trap: ud2 */
	bool entry;			/* guessed bounds only: called, so that another function ends before it */
};

struct cp_flow_block {
	size_t first, last;		/* instructions */
	size_t first_successor, successor_count;	/* in successors[] */
	size_t first_predecessor, predecessor_count;	/* in predecessors[] */
};

struct cp_flow_edge {
	size_t from, to;
};

struct cp_flow {
	struct cp_flow_insn *insns;	/* sorted by address */
	size_t insn_count;
	struct cp_flow_block *blocks;
	size_t block_count;
	size_t *predecessors, *successors;	/* blocks */
	struct cp_flow_edge *edges;	/* between blocks */
	size_t edge_count;
	struct cp_flow_edge *ways;	/* between instructions: where the tables of indirect jumps lead, jump by jump */
	size_t way_count;
	uint64_t work;			/* instructions decoded, of callees too */
	bool guessed;			/* no symbol and no DWARF bounds the function: neighbours are in here too */
};

#define CP_FLOW_NONE ((size_t)-1)

/* Larger functions are generated tables, and a hostile symbol may claim the whole file. */
#define CP_LARGEST_FUNCTION ((uint64_t)1 << 20)

/* The function around the address. *ret is the caller's until cp_flow_deinit(), also when it is empty. */
struct cp_error *cp_flow_build(struct cp_program *program, const struct cp_code *code, uint64_t address,
	struct cp_flow *ret);
void cp_flow_deinit(struct cp_flow *flow);

/* Index of the instruction that begins at the address, or CP_FLOW_NONE. */
size_t cp_flow_insn_at(const struct cp_flow *flow, uint64_t address);

/* Does the instruction lie right behind the one before it? */
bool cp_flow_follows(const struct cp_flow *flow, size_t insn);

/* Length, kind and target of what was decoded. */
void cp_flow_classify(const struct cp_code *code, struct cp_flow_insn *at, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands);

struct cp_error *cp_flow_add_edge(struct cp_flow_edge **edges, size_t *count, size_t from, size_t to);

#endif
