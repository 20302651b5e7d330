/* SPDX-License-Identifier: BSD-2-Clause */
/* Making the records of cprobe.h: for the answers; who only reads them needs cprobe.h alone. */
#ifndef CPROBE_RECORD_H
#define CPROBE_RECORD_H

#include "cprobe.h"

/* A zeroed record of that kind and address at the end of the list, valid until the next call; NULL: no memory. */
struct cp_record *cp_records_add(struct cp_records *records, enum cp_kind kind, uint64_t address);

/* The record's details, made on the first call; NULL: no memory. */
struct cp_details *cp_record_details(struct cp_records *records, struct cp_record *record);

/* Where the record's instruction runs: an alternative's is copied to the place that it patches. */
static inline uint64_t cp_record_code_address(const struct cp_record *record)
{
	return record->details && record->details->patches ? record->details->patches : record->address;
}

/* Move all records of `from`, with the memory of their strings, to the end of `to`. */
struct cp_error *cp_records_take(struct cp_records *to, struct cp_records *from);

/* Are the records from `first` on the same as a run of earlier ones? */
bool cp_records_repeat(const struct cp_records *records, size_t first);

#endif
