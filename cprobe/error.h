/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors, in the manner of drgn: a fallible function returns NULL for success, else an error object that its caller
 * owns. Outputs come last in the argument list and are written only on success.
 *
 * A message reads "WHAT: WHAT TO DO"; main puts "cprobe: " before it. "Not found" and "no debug information" are
 * not "corrupt": the code tells them apart, and it alone decides the exit status.
 */
#ifndef CPROBE_ERROR_H
#define CPROBE_ERROR_H

enum cp_error_code {
	CP_ERROR_NOT_FOUND,	/* nothing matched: exit 1 */
	CP_ERROR_NO_DEBUG,	/* the question needs DWARF or symbols that the file has not: exit 1 */
	CP_ERROR_USAGE,		/* the command line: exit 2 */
	CP_ERROR_IO,		/* cannot open, read or map: exit 3 */
	CP_ERROR_CORRUPT,	/* a field of the file contradicts another, or the file's size: exit 3 */
	CP_ERROR_UNSUPPORTED,	/* a well-formed file of a kind that cprobe does not read: exit 3 */
	CP_ERROR_NO_MEMORY,	/* static object, never freed: exit 3 */
};

struct cp_error {
	enum cp_error_code code;
	char *message;
};

/* The one static error: making an error object must not need memory when there is none. */
extern struct cp_error cp_error_no_memory;

struct cp_error *cp_error_create(enum cp_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Takes NULL and the static error too. */
void cp_error_destroy(struct cp_error *error);

/* The exit status that goes with the error. */
int cp_error_exit_status(const struct cp_error *error);

#endif
