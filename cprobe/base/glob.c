/* SPDX-License-Identifier: BSD-2-Clause */
#include <fnmatch.h>
#include <string.h>

#include "base/glob.h"

bool cp_glob_is_literal(const char *glob)
{
	return !strpbrk(glob, "*?[\\");
}

bool cp_glob_path(const char *glob, const char *path)
{
	bool literal = cp_glob_is_literal(glob);

	while (!strncmp(glob, "./", 2))
		glob += 2;
	while (!strncmp(glob, "*/", 2))
		glob += 2;
	for (;;) {
		if (literal ? !strcmp(glob, path) : !fnmatch(glob, path, FNM_PATHNAME))
			return true;
		path = strchr(path, '/');
		if (!path)
			return false;
		path++;
	}
}

static inline bool is_plain(char c)
{
	return c && c != '*' && c != '?' && c != '[' && c != '\\';
}

bool cp_glob_name(const char *glob, const char *name)
{
	const char *dot;
	char base[256];

	/* Most names differ from most globs in their first byte. */
	if (glob[0] != name[0] && is_plain(glob[0]))
		return false;
	if (!fnmatch(glob, name, 0))
		return true;
	dot = strchr(name, '.');
	if (strchr(glob, '.') || !dot || dot == name || (size_t)(dot - name) >= sizeof(base))
		return false;
	memcpy(base, name, (size_t)(dot - name));
	base[dot - name] = 0;
	return !fnmatch(glob, base, 0);
}

bool cp_globs_path(char *const *globs, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (cp_glob_path(globs[i], path))
			return true;
	}
	return !count;
}

bool cp_globs_name(char *const *globs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (cp_glob_name(globs[i], name))
			return true;
	}
	return !count;
}

void cp_path_normalise(char *path)
{
	bool absolute = path[0] == '/';
	char *start = path + absolute, *out = start;
	const char *in = start;

	while (*in) {
		size_t length = strcspn(in, "/");
		const char *next = in + length + (in[length] == '/');
		char *last = out;

		/* The component written last, if it may be taken back. */
		while (last > start && last[-1] == '/')
			last--;
		while (last > start && last[-1] != '/')
			last--;
		if (length == 0 || (length == 1 && in[0] == '.')) {
			/* nothing to keep */
		} else if (length == 2 && !strncmp(in, "..", 2) && out > start && strncmp(last, "../", 3)) {
			out = last;
		} else {
			memmove(out, in, length);
			out += length;
			if (in[length] == '/')
				*out++ = '/';
		}
		in = next;
	}
	*out = 0;
}
