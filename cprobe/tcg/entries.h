/* The list of addresses to record, as `cprobe list` prints it in its text format. */
#ifndef BOOTSONDE_ENTRIES_H
#define BOOTSONDE_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

/* One line of the list. `name` is owned by the list. */
struct entry {
	uint64_t address;
	size_t line;
	char *name;
};

struct entries {
	struct entry *items; /* sorted by address, then line */
	size_t count;
};

/*
 * Read `path`. Lines are `0xADDRESS NAME ...`; what follows the name is passed over.
 * Returns NULL and fills *ret, or returns a message, static or to be freed never (the plugin then ends), that names the
 * line. Names with characters that JSON would have to escape are refused: no compiler makes them.
 */
const char *entries_read(const char *path, struct entries *ret);
void entries_deinit(struct entries *entries);

/*
 * The first entry at this address, or NULL. Several may share one: a function that begins with an inlined copy, aliases.
 * The others follow it: entries_next gives the one after `entry` at the same address, or NULL.
 */
const struct entry *entries_find(const struct entries *entries, uint64_t address);
const struct entry *entries_next(const struct entries *entries, const struct entry *entry);

#endif
