/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "diff/lone_names.h"

#define OF_OTHER UINT64_MAX

struct search {
	uint64_t *counts;	/* by name; OF_OTHER: the other boot has it too; owned */
	struct cp_lone_names found;
};

static struct cp_error *add(struct search *s, int stream, size_t at, uint32_t name)
{
	struct cp_lone_name *grown = cp_grow(s->found.items, s->found.count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	s->found.items = grown;
	grown[s->found.count++] = (struct cp_lone_name){ name, stream, (uint32_t)at, 0 };
	return NULL;
}

static struct cp_error *look(struct search *s, const struct cp_steps *in, const struct cp_steps *other)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < other->stream_count; i++) {
		for (size_t at = 0; other->streams[i].number >= 0 && at < other->streams[i].count; at++)
			s->counts[other->streams[i].what[at]] = OF_OTHER;
	}
	for (size_t i = 0; i < in->stream_count && !error; i++) {
		const struct cp_stream *of = &in->streams[i];

		for (size_t at = 0; of->number >= 0 && at < of->count && !error; at++) {
			uint64_t *count = &s->counts[of->what[at]];

			if (*count == OF_OTHER)
				continue;
			if (!(*count)++)
				error = add(s, of->number, at, of->what[at]);
		}
	}
	for (size_t i = 0; i < s->found.count; i++)
		s->found.items[i].count = s->counts[s->found.items[i].name];
	return error;
}

struct cp_error *cp_lone_names_find(const struct cp_steps *in, const struct cp_steps *other, struct cp_lone_names *ret)
{
	struct search s = { .counts = calloc(in->names->count + 1, sizeof(uint64_t)) };
	struct cp_error *error = s.counts ? look(&s, in, other) : &cp_error_no_memory;

	free(s.counts);
	if (error)
		free(s.found.items);
	else
		*ret = s.found;
	return error;
}
