/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

static char no_memory_message[] = "out of memory: close other programs or raise the limit (ulimit -v)";

struct cp_error cp_error_no_memory = { CP_ERROR_NO_MEMORY, no_memory_message };

void cp_one_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

struct cp_error *cp_error_create(enum cp_error_code code, const char *format, ...)
{
	struct cp_error *error = malloc(sizeof(*error));
	va_list ap;
	int length;

	if (!error)
		return &cp_error_no_memory;
	error->code = code;
	va_start(ap, format);
	length = vasprintf(&error->message, format, ap);
	va_end(ap);
	if (length < 0) {
		free(error);
		return &cp_error_no_memory;
	}
	cp_one_line(error->message);
	return error;
}

void cp_error_destroy(struct cp_error *error)
{
	if (!error || error == &cp_error_no_memory)
		return;
	free(error->message);
	free(error);
}

int cp_error_exit_status(const struct cp_error *error)
{
	switch (error->code) {
	case CP_ERROR_NOT_FOUND:
	case CP_ERROR_NO_DEBUG:
		return 1;
	case CP_ERROR_USAGE:
		return 2;
	default:
		return 3;
	}
}
