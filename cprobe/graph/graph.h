/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who refers to which function. All places whose bytes could be a reference are found at once, without decoding; whether
 * one is an instruction is looked at when it is asked for, by decoding the code around it as a full disassembly does.
 */
#ifndef CPROBE_GRAPH_H
#define CPROBE_GRAPH_H

#include "code/alternatives.h"
#include "graph/functions.h"

enum cp_ref_kind {
	CP_REF_CALL,
	CP_REF_JUMP,		/* a tail call: jmp or jcc to another function's entry */
	CP_REF_ADDRESS,		/* an instruction that loads or stores the function's address */
	CP_REF_WORD,		/* a pointer in data */
	CP_REF_OFFSET,		/* in data, 32 bits: its distance from there */
};

enum cp_ref_state { CP_REF_UNKNOWN, CP_REF_SOUND, CP_REF_FALSE };

struct cp_ref {
	uint64_t place;		/* of the field: rel32, rel8, an immediate, a word of data */
	uint32_t target;	/* function */
	uint32_t from;		/* the function that the instruction is in, pieces by themselves; CP_NO_FUNCTION: data, or none */
	uint8_t kind, state;
	uint8_t width;		/* bytes of the field */
	uint8_t back;		/* sound: so many bytes before the field the instruction begins */
};

struct cp_graph {
	struct cp_program *program;	/* not owned */
	struct cp_code code;
	struct cp_functions_by_entry functions;
	struct cp_alternatives alternatives;
	struct cp_ref *refs;		/* code by place, then data by place */
	uint32_t ref_count, code_count;	/* all; those in code */
	uint32_t *by_target;		/* refs in order of the target, then of the place */
	uint32_t *first;		/* by function, and one more: where its refs begin in by_target */
	uint32_t *by_from, *from_first;	/* the same by the function that they are in */
};

/* *ret is the caller's until cp_graph_deinit(), also after an error. */
struct cp_error *cp_graph_init(struct cp_program *program, struct cp_graph *ret);
void cp_graph_deinit(struct cp_graph *graph);

/* May the section hold pointers through which something is called? */
bool cp_section_has_pointers(const struct cp_graph *graph, const struct cp_section *section);

/* Part of cp_graph_init(): fill refs, of which none is settled and none has a `from`. Needs code and functions. */
struct cp_error *cp_refs_find(struct cp_graph *graph);

/* Is it a reference? Those in data are; in code an instruction must be there, of the kind. */
bool cp_ref_is_sound(struct cp_graph *graph, uint32_t ref);

/* Where the instruction begins, or the word lies. The ref is sound. */
uint64_t cp_ref_site(const struct cp_ref *ref);

#endif
