/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's lines at the place where the guest wrote them: QEMU writes the serial port's log file in the thread of the
 * vCPU that wrote to the port, so behind the instruction a line that has become whole is there.
 */
#ifndef BOOTSONDE_CONSOLE_H
#define BOOTSONDE_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_MAX 4096	/* bytes; longer lines are taken in pieces */

struct encoder;

/* The file need not be there yet. until: texts that end the recording. What is given must live on. */
void console_init(const char *path, const char *const *until, size_t until_count);
/* Before an instruction that may follow output. */
void console_look(unsigned int vcpu, void *userdata);
/* How much of it belongs to the trace. */
enum console_part { CONSOLE_TO_WAY_OUT, CONSOLE_TO_LAST_OUT, CONSOLE_ALL };

/* Behind console_look(), in the same thread: that part ends here; not for CONSOLE_ALL. */
void console_mark(enum console_part part);
/* At the end, from the writer's thread: what is left of that part, the last line without its end too. */
void console_finish(enum console_part part, struct encoder *encoder, unsigned int vcpu, uint64_t t);

#endif
