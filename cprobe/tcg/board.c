/* SPDX-License-Identifier: BSD-2-Clause */
/* See board.h. */
#include "board.h"

#include <stdlib.h>

static qemu_plugin_u64
entry_of(struct board *board, size_t number)
{
	return (qemu_plugin_u64){ board->score, number * sizeof(uint64_t) };
}

struct cp_error *
board_init(struct board *board, unsigned int vcpus, size_t numbers)
{
	*board = (struct board){ .vcpus = vcpus };
	if (qemu_plugin_scoreboard_new == NULL) {
		board->shared = calloc(numbers, sizeof(*board->shared));
		return board->shared != NULL ? NULL : &cp_error_no_memory;
	}
	board->rows = calloc(vcpus, sizeof(*board->rows));
	if (board->rows == NULL)
		return &cp_error_no_memory;
	board->score = qemu_plugin_scoreboard_new(numbers * sizeof(uint64_t));
	return NULL;
}

void
board_add_in_block(struct board *board, struct qemu_plugin_tb *tb, size_t number, uint64_t value)
{
	if (board->shared != NULL)
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, board->shared + number, value);
	else
		qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, entry_of(board, number),
		    value);
}

void
board_add_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value)
{
	if (board->shared != NULL)
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, board->shared + number, value);
	else
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
		    entry_of(board, number), value);
}

void
board_store_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value)
{
	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_STORE_U64, entry_of(board, number),
	    value);
}
