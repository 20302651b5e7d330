/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's lines at the place where the guest wrote them: QEMU writes the serial port's log file in the thread of the
 * vCPU that wrote to the port, so behind the instruction a line that has become whole is there.
 */
#ifndef BOOTSONDE_CONSOLE_H
#define BOOTSONDE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_MAX 4096	/* bytes; longer lines are taken in pieces */

struct encoder;

/* The file need not be there yet. until: texts that end the recording. What is given must live on. */
void console_init(const char *path, const char *const *until, size_t until_count);
/* Before an instruction that may follow output. */
void console_look(unsigned int vcpu, void *userdata);
/* Behind console_look(), in the same thread: what comes later may come too late for the trace. */
void console_mark(void);
/*
 * At the end, from the writer's thread: what is left, the last line without its end too. marked: of what there was when
 * console_mark() was called last; nothing that came later.
 */
void console_finish(bool marked, struct encoder *encoder, unsigned int vcpu, uint64_t t);

#endif
