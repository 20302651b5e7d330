/* SPDX-License-Identifier: BSD-2-Clause */
/* See board.h. */
#include "board.h"

#include <stdlib.h>

#include "plugin.h"

static qemu_plugin_u64
entry_of(struct board *board, size_t number)
{
	return (qemu_plugin_u64){ board->score, number * sizeof(uint64_t) };
}

/* What a called function does in place of translated code. */
struct operation {
	struct board *board;
	size_t number;
	uint64_t value;
};

static void
add(unsigned int vcpu, void *userdata)
{
	const struct operation *operation = userdata;

	operation->board->rows[vcpu_running(vcpu)][operation->number] += operation->value;
}

static void
store(unsigned int vcpu, void *userdata)
{
	const struct operation *operation = userdata;

	operation->board->rows[vcpu_running(vcpu)][operation->number] = operation->value;
}

/* Lives as long as the code that refers to it, which is forever. Without memory nothing that is recorded would be right. */
static struct operation *
operation_of(struct board *board, size_t number, uint64_t value)
{
	struct operation *operation = malloc(sizeof(*operation));

	if (operation == NULL) {
		complain("out of memory");
		_Exit(1);
	}
	*operation = (struct operation){ board, number, value };
	return operation;
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
	board->is_called = vcpu_is_mistold;
	for (unsigned int i = 0; i < vcpus && board->is_called; i++) {
		board->rows[i] = calloc(numbers, sizeof(**board->rows));
		if (board->rows[i] == NULL)
			return &cp_error_no_memory;
	}
	if (!board->is_called)
		board->score = qemu_plugin_scoreboard_new(numbers * sizeof(uint64_t));
	return NULL;
}

void
board_add_in_block(struct board *board, struct qemu_plugin_tb *tb, size_t number, uint64_t value)
{
	if (board->is_called)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, add, QEMU_PLUGIN_CB_NO_REGS, operation_of(board, number, value));
	else if (board->shared != NULL)
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, board->shared + number, value);
	else
		qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, entry_of(board, number),
		    value);
}

void
board_add_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value)
{
	if (board->is_called)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, add, QEMU_PLUGIN_CB_NO_REGS,
		    operation_of(board, number, value));
	else if (board->shared != NULL)
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, board->shared + number, value);
	else
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
		    entry_of(board, number), value);
}

void
board_store_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value)
{
	if (board->is_called)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, store, QEMU_PLUGIN_CB_NO_REGS,
		    operation_of(board, number, value));
	else
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_STORE_U64,
		    entry_of(board, number), value);
}
