/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline on its way into a file: what the files that write it share. */
#ifndef CPROBE_BASELINE_WRITING_H
#define CPROBE_BASELINE_WRITING_H

#include "baseline/make.h"

/* Lines of one section, in order, as numbers of their texts. */
struct cp_lines {
	int stream;
	uint32_t *ids;
	size_t count;
};

/* What is known of a name of steps: where it is in the source, and its line. */
struct cp_source {
	uint64_t address;	/* 0: unknown */
	const char *file;	/* the arena's; NULL: not known yet */
	unsigned int line;
	bool is_known;		/* such a step was seen on a vCPU */
	uint32_t text;		/* 1 + the number of the line without values; 0: not known yet */
};

struct cp_writing {
	const struct cp_making *making;
	struct cp_arena arena;
	struct cp_names texts;	/* of lines */
	struct cp_names whats;	/* of steps */
	struct cp_source *sources;	/* by number of what */
	size_t source_count;
	struct cp_lines *sections;	/* sorted by stream, when they are all there */
	size_t section_count;
	uint32_t *by_stream;	/* 1 + index of a section, by its stream - CP_STREAM_CONSOLE; owned */
	size_t steps;
	uint32_t *known;	/* by id of an event: 1 + the number of its line, if that has no values; owned */
	struct cp_step_texts step, line;	/* for use again and again */
	FILE *out;
	const struct cp_lines *of;	/* what is folded */
};

/* -- Steps (collect.c) -- */

/* Those of the first trace, as the lines that they become. */
struct cp_error *cp_writing_collect(struct cp_writing *w);

/* -- Sections of keys (write_keys.c) -- */

struct cp_error *cp_write_recorded(FILE *out, const struct cp_making *m);
void cp_write_compare(FILE *out, const struct cp_making *m, bool has_durations);
struct cp_error *cp_write_durations(FILE *out, const struct cp_durations *durations);

/* With the kernel's lines of the source, where there is one and the trace has none. */
struct cp_error *cp_write_functions(struct cp_writing *w);

/* The outcome last: a file that is cut has none. */
struct cp_error *cp_write_end(FILE *out, const struct cp_trace *trace);

#endif
