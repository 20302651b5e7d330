/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers that translated code itself counts up or sets, without a call: scoreboards of QEMU 9.0 and later, an array of
 * each vCPU; before, one array that all vCPUs share, and whose adding is not atomic.
 */
#ifndef BOOTSONDE_BOARD_H
#define BOOTSONDE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"
#include "plugin_api.h"

struct board {
	struct qemu_plugin_scoreboard *score;
	uint64_t *shared;	/* without scoreboards */
	uint64_t **rows;	/* by vCPU, NULL: not yet looked up; only where QEMU cannot move them */
	unsigned int vcpus;
};

/* QEMU makes room for so many vCPUs at first, and moves a scoreboard when more come. */
#define BOARD_FIXED	16

/* There is no way back: code that was translated refers to it until QEMU ends. */
struct cp_error *board_init(struct board *board, unsigned int vcpus, size_t numbers);

/* A vCPU's numbers. The vCPU must have begun to run. */
static inline uint64_t *
board_row(struct board *board, unsigned int vcpu)
{
	if (board->shared != NULL)
		return board->shared;
	if (board->vcpus > BOARD_FIXED)
		return qemu_plugin_scoreboard_find(board->score, vcpu);
	if (__builtin_expect(board->rows[vcpu] == NULL, 0))
		board->rows[vcpu] = qemu_plugin_scoreboard_find(board->score, vcpu);
	return board->rows[vcpu];
}

void board_add_in_block(struct board *board, struct qemu_plugin_tb *tb, size_t number, uint64_t value);
void board_add_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value);
/* Since version 3. */
void board_store_at(struct board *board, struct qemu_plugin_insn *insn, size_t number, uint64_t value);

#endif
