/* SPDX-License-Identifier: BSD-2-Clause */
/* From an address to its unit, its function, and the copies that are inlined there. */
#ifndef CPROBE_BY_ADDRESS_H
#define CPROBE_BY_ADDRESS_H

#include "dwarf/die.h"

struct cp_unit_range {
	uint64_t low, high;
	struct cp_dw_unit *unit;
};

struct cp_function_range {
	uint64_t low, high;
	uint64_t offset;		/* of the DIE */
};

struct cp_functions {
	bool is_read;
	struct cp_function_range *items;	/* one for each range of each concrete function, sorted by low */
	size_t count;
};

/* Made on demand; for one thread. */
struct cp_address_map {
	struct cp_dwarf *dwarf;		/* not owned */
	struct cp_unit_range *ranges;	/* sorted by low */
	size_t range_count;
	bool has_ranges, is_complete;	/* from .debug_aranges; from the units themselves */
	struct cp_functions *functions;	/* by number of the unit */
};

void cp_address_map_init(struct cp_address_map *map, struct cp_dwarf *dwarf);
void cp_address_map_deinit(struct cp_address_map *map);

/* The unit that covers the address; *ret NULL: none. */
struct cp_error *cp_unit_of_address(struct cp_address_map *map, uint64_t address, struct cp_dw_unit **ret);

#define CP_MAX_SCOPES 64

struct cp_scopes {
	struct cp_die function;		/* concrete */
	struct cp_die inlined[CP_MAX_SCOPES];	/* outermost first */
	size_t inlined_count;
};

/* *found false: no function of the DWARF covers the address. */
struct cp_error *cp_scopes_at(struct cp_address_map *map, uint64_t address, struct cp_scopes *ret, bool *found);

/* The function alone. */
struct cp_error *cp_function_at(struct cp_address_map *map, uint64_t address, struct cp_die *ret, bool *found);

#endif
