/* SPDX-License-Identifier: BSD-2-Clause */
/* From a message to the code that prints it. */
#ifndef CPROBE_MESSAGE_H
#define CPROBE_MESSAGE_H

#include "code/code.h"

/* Add the message and check records of the text, of messages that are where `where` says. */
struct cp_error *cp_message_find(struct cp_program *program, const struct cp_code *code, const char *text,
	const struct cp_where *where, struct cp_records *records);

#endif
