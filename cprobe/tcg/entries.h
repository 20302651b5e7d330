/* The list of addresses to record: as `cprobe list` prints it in its text format, or asked of libcprobe. */
#ifndef BOOTSONDE_ENTRIES_H
#define BOOTSONDE_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"

/* One place. `name` is owned by the list, and a JSON string with its quotes. */
struct entry {
	uint64_t address;
	size_t line; /* of the list, or number in the answer */
	char *name;
};

struct entries {
	struct entry *items; /* after entries_sort: sorted by address, then in the order that they were added */
	size_t count;
	size_t room;
};

/*
 * Add the places of the list in file `path`. Lines are `0xADDRESS NAME ...`; what follows the name is passed over.
 * Returns NULL, or a message, static or to be freed never (the plugin then ends), that names the line. Names with
 * characters that JSON would have to escape are refused: no compiler makes them.
 */
const char *entries_read(const char *path, struct entries *entries);

/* Add the functions of a kernel, as `cprobe list` finds them. Returns NULL or a message as above. Notes go to stderr. */
const char *entries_list(const char *kernel, const struct cp_where *where, enum cp_inlined inlined,
    struct entries *entries);

/* Sort for entries_find. A place that was added twice, with one name, is there once. */
void entries_sort(struct entries *entries);
void entries_deinit(struct entries *entries);

/*
 * The first entry at this address, or NULL. Several may share one: a function that begins with an inlined copy, aliases.
 * The others follow it: entries_next gives the one after `entry` at the same address, or NULL.
 */
const struct entry *entries_find(const struct entries *entries, uint64_t address);
const struct entry *entries_next(const struct entries *entries, const struct entry *entry);

#endif
