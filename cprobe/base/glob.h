/* SPDX-License-Identifier: BSD-2-Clause */
/* Globs as cprobe's options take them: fnmatch(3) without special meaning of a leading dot. */
#ifndef CPROBE_GLOB_H
#define CPROBE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does the glob match the path or a tail of it that begins after a slash? "pvclock.c" matches "a/x86/pvclock.c", as
 * do "x86/pvclock.c" and "x86/[a-z]*.c", and never "a/kpvclock.c". A star crosses no slash, save a leading star-slash,
 * which stands for any directories.
 */
bool cp_glob_path(const char *glob, const char *path);

/* A function's name. A glob without a dot also matches the compiler's clones: "foo" matches "foo.part.0". */
bool cp_glob_name(const char *glob, const char *name);

/* Any of them; an empty list matches everything. */
bool cp_globs_path(char *const *globs, size_t count, const char *path);
bool cp_globs_name(char *const *globs, size_t count, const char *name);

/* No wildcard in it? */
bool cp_glob_is_literal(const char *glob);

/* "." components and doubled slashes removed, in place; ".." is resolved where a name comes before it. */
void cp_path_normalise(char *path);

#endif
