/* SPDX-License-Identifier: BSD-2-Clause */
/* From a message to the code that prints it. */
#ifndef CPROBE_MESSAGE_H
#define CPROBE_MESSAGE_H

#include "code.h"
#include "verb.h"

/* Add the message and check records of options->message. */
struct cp_error *cp_message_find(struct cp_program *program, const struct cp_code *code,
	const struct cp_options *options, struct cp_records *records);

#endif
