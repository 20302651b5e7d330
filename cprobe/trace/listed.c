/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "trace/inside.h"
#include "trace/listed.h"

static struct cp_error *bad(const struct cp_trace *trace, const char *what)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s: the header's \"listed\" %s", trace->path, what);
}

static struct cp_error *read_globs(const struct cp_trace *trace, json_t *array, struct cp_globs *ret)
{
	size_t count = json_array_size(array);

	if (array && !json_is_array(array))
		return bad(trace, "has globs that are no array");
	ret->items = calloc(count + 1, sizeof(*ret->items));
	if (!ret->items)
		return &cp_error_no_memory;
	for (size_t i = 0; i < count; i++) {
		const char *glob = json_string_value(json_array_get(array, i));

		if (!glob)
			return bad(trace, "has a glob that is no text");
		ret->items[ret->count++] = (char *)(uintptr_t)glob;	/* globs are read only */
	}
	return NULL;
}

static struct cp_error *read_part(const struct cp_trace *trace, json_t *object, struct cp_listed_part *ret)
{
	static const char *const words[] = { "include", "exclude", "only" };
	json_t *inlined = json_object_get(object, "inlined"), *all = json_object_get(object, "all");
	struct cp_error *error;

	if (!json_is_object(object))
		return bad(trace, "is no object");
	error = read_globs(trace, json_object_get(object, "files"), &ret->files);
	if (!error)
		error = read_globs(trace, json_object_get(object, "functions"), &ret->functions);
	if (error)
		return error;
	/* A list from a file has no globs, and then nothing can be said of what was not in it. */
	ret->nothing = json_is_false(all) && !ret->files.count && !ret->functions.count;
	if (json_is_true(all))
		ret->files.count = ret->functions.count = 0;
	if (!inlined)
		return NULL;
	for (int i = 0; i < 3; i++) {
		if (json_is_string(inlined) && !strcmp(json_string_value(inlined), words[i])) {
			ret->inlined = (enum cp_inlined)i;
			return NULL;
		}
	}
	return bad(trace, "has an \"inlined\" that is neither include, exclude nor only");
}

struct cp_error *cp_trace_listed(const struct cp_trace *trace, struct cp_listed *ret)
{
	json_t *value = json_object_get(trace->header, "listed");
	size_t count = json_is_array(value) ? json_array_size(value) : value && !json_is_null(value) ? 1 : 0;
	struct cp_listed listed = { calloc(count + 1, sizeof(*listed.parts)), 0 };
	struct cp_error *error = listed.parts ? NULL : &cp_error_no_memory;

	while (!error && listed.count < count) {
		json_t *object = json_is_array(value) ? json_array_get(value, listed.count) : value;

		error = read_part(trace, object, &listed.parts[listed.count++]);
	}
	if (error)
		cp_listed_deinit(&listed);
	else
		*ret = listed;
	return error;
}

void cp_listed_deinit(struct cp_listed *listed)
{
	for (size_t i = 0; i < listed->count; i++) {
		free(listed->parts[i].files.items);
		free(listed->parts[i].functions.items);
	}
	free(listed->parts);
}

bool cp_listed_is_all(const struct cp_listed_part *part)
{
	return !part->nothing && !part->files.count && !part->functions.count;
}

bool cp_listed_has(const struct cp_listed *listed, const char *file, const char *name, bool inlined)
{
	for (size_t i = 0; i < listed->count; i++) {
		const struct cp_listed_part *p = &listed->parts[i];

		if (p->nothing || (inlined ? p->inlined == CP_INLINED_EXCLUDE : p->inlined == CP_INLINED_ONLY))
			continue;
		if ((!p->files.count || (file && cp_globs_path(p->files.items, p->files.count, file))) &&
			cp_globs_name(p->functions.items, p->functions.count, name))
			return true;
	}
	return false;
}
