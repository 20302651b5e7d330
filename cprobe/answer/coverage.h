/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of a kernel joined with what a trace saw: which ran, which did not, and of which it cannot be said. */
#ifndef CPROBE_COVERAGE_H
#define CPROBE_COVERAGE_H

#include "program.h"
#include "trace/trace.h"

enum cp_seen {
	CP_SEEN_HIT,
	CP_SEEN_NOT,		/* it was recorded, and never entered */
	CP_SEEN_UNKNOWN,	/* it was not recorded, or that is not known */
};

/* A function's range, or all copies of an inlined function. Strings are the records'. */
struct cp_cover_row {
	const struct cp_record *record;
	uint64_t count, first;	/* hit: entries, and ns of the first one */
	unsigned int vcpu;
	uint32_t file;		/* index */
	uint32_t copies, hit_copies;	/* inlined */
	uint8_t seen;
};

struct cp_cover_file {
	const char *name;	/* NULL unknown */
	uint64_t first;		/* ns; UINT64_MAX: nothing of it ran */
	uint64_t address;	/* the lowest */
	size_t start, count;	/* of the rows, as they are sorted */
	size_t functions, hit, unknown;	/* without inlined copies */
};

struct cp_coverage {
	struct cp_records records;
	struct cp_cover_row *rows;	/* by file; in it as the boot went, then by address, inlined functions last */
	size_t row_count;
	struct cp_cover_file *files;	/* as the boot went, then by address */
	size_t file_count;
	size_t ran, foreign;		/* functions that the trace saw; those of them that the kernel has not */
};

/* *ret is the caller's until cp_coverage_deinit(). */
struct cp_error *cp_coverage_make(struct cp_program *program, struct cp_trace *trace, const struct cp_where *where,
	struct cp_coverage *ret);
void cp_coverage_deinit(struct cp_coverage *coverage);

#endif
