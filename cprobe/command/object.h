/* SPDX-License-Identifier: BSD-2-Clause */
/* One JSON object, as cprobe's json format has one a line: some of its members. */
#ifndef CPROBE_COMMAND_OBJECT_H
#define CPROBE_COMMAND_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

struct cp_member {
	const char *key;
	char **ret;	/* a string's text, or a number as it is written; not written if the object has it not */
};

/*
 * Read the members of the object that `text` is; what else it has is passed over. Strings become bytes again, as
 * cp_json_string() made them, in place. False: it is none; `text` may then be changed up to where it is none.
 */
bool cp_object_read(char *text, const struct cp_member *members, size_t count);

#endif
