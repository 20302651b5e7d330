/* SPDX-License-Identifier: BSD-2-Clause */
/* Formats and globs, each against what is simpler and slower. Two strings, the NUL-terminated one is the text. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "code/fmtmatch.h"
#include "fuzz/fuzz.h"

static void match_format(const char *format, size_t length, const char *text)
{
	size_t place = SIZE_MAX, text_length = strlen(text);
	unsigned int score = 0;
	bool matched = false;

	fuzz_take_error(cp_format_match(format, length, text, &matched, &place, &score));
	if (matched) {
		FUZZ_ASSERT(place < length);
		FUZZ_ASSERT(score >= CP_FORMAT_RUN && score <= text_length);
	}
	/* Without conversions it is a search for the text. */
	if (!memchr(format, '%', length) && text_length >= CP_FORMAT_RUN && length <= 4096 && text_length <= 1024) {
		FUZZ_ASSERT(matched == (memmem(format, length, text, text_length) != NULL));
		if (matched)
			FUZZ_ASSERT(score == text_length && !memcmp(format + place, text, text_length));
	}
}

static void match_path(const char *glob, char *path)
{
	size_t length = strlen(path);
	char *once, *literal;

	cp_path_normalise(path);
	FUZZ_ASSERT(strlen(path) <= length);
	FUZZ_ASSERT(!strstr(path, "//") && strncmp(path, "./", 2));
	once = strdup(path);
	FUZZ_ASSERT(once);
	cp_path_normalise(path);
	FUZZ_ASSERT(!strcmp(once, path));
	free(once);
	/* A literal glob matches just the tails from a slash on. */
	literal = strrchr(path, '/');
	literal = literal ? literal + 1 : path;
	if (*literal && cp_glob_is_literal(literal))
		FUZZ_ASSERT(cp_glob_path(literal, path));
	if (!fnmatch(glob, path, FNM_PATHNAME) && strncmp(glob, "./", 2) && strncmp(glob, "*/", 2))
		FUZZ_ASSERT(cp_glob_path(glob, path));
	if (!fnmatch(glob, path, 0))
		FUZZ_ASSERT(cp_glob_name(glob, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, 0, size);
	size_t length = nul ? (size_t)(nul - data) : size;
	char *text = strndup((const char *)data, length), *rest;

	FUZZ_ASSERT(text);
	data += nul ? length + 1 : length;
	size -= nul ? length + 1 : length;
	rest = malloc(size + 1);
	FUZZ_ASSERT(rest);
	memcpy(rest, data, size);
	rest[size] = 0;
	match_format((const char *)data, size, text);
	if (length < 64 && size < 256)	/* fnmatch(3) takes long over many stars */
		match_path(text, rest);
	free(text);
	free(rest);
	return 0;
}
