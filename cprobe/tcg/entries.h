/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of addresses to record: as `cprobe list` prints it in its text format, or asked of libcprobe. */
#ifndef BOOTSONDE_ENTRIES_H
#define BOOTSONDE_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"

/* One place. `name` is owned by the list. */
struct entry {
	uint64_t address;
	size_t line; /* of the list, or number in the answer */
	char *name;
};

/* Code that is not linked where it is loaded, and runs there until the kernel has turned paging on. */
struct load {
	uint64_t virtual, physical, size;
	const uint8_t *bytes;	/* of the file, mapped */
};

struct entries {
	struct entry *items; /* after entries_sort: sorted by address, then in the order that they were added */
	size_t count;
	size_t room;
	uint32_t *slots;	/* index + 1 of the first at an address, by a hash of it; 0 free */
	unsigned int bits;	/* of the hash */
	struct load *loads;	/* of the kernels that were listed */
	size_t load_count;
	struct map {
		void *start;
		size_t size;
	} *maps;		/* files that loads are in */
	size_t map_count;
};

/* Add the places of the list in file `path`. Lines are `0xADDRESS NAME ...`; what follows the name is passed over. */
struct cp_error *entries_read(const char *path, struct entries *entries);

/*
 * Add the functions of a kernel, as `cprobe list` finds them. Notes go to stderr. *build_id is its build-id in hex, to be
 * freed, NULL if it has none.
 */
struct cp_error *entries_list(const char *kernel, const struct cp_where *where, enum cp_inlined inlined,
    struct entries *entries, char **build_id);

/* Add one place to a list that is sorted, and stays so. Pointers to entries are void afterwards. */
struct cp_error *entries_add(struct entries *entries, uint64_t address, const char *name);

/* Sort for entries_find. A place that was added twice, with one name, is there once. */
struct cp_error *entries_sort(struct entries *entries);
void entries_deinit(struct entries *entries);

/*
 * The first entry at this address, or NULL. Several may share one: a function that begins with an inlined copy, aliases.
 * The others follow it: entries_next gives the one after `entry` at the same address, or NULL.
 */
const struct entry *entries_find(const struct entries *entries, uint64_t address);
const struct entry *entries_next(const struct entries *entries, const struct entry *entry);

/* Is one of these addresses an entry? */
bool entries_within(const struct entries *entries, uint64_t first, uint64_t last);

/* The load that is loaded there; NULL none. */
const struct load *entries_load_at(const struct entries *entries, uint64_t physical);

#endif
