/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a variable or parameter is: location expressions, and lists of them (DWARF 5 section 2.6). */
#ifndef CPROBE_LOCATION_H
#define CPROBE_LOCATION_H

#include "dwarf/die.h"

/* The expression of a DW_AT_location (or DW_AT_frame_base) that holds at the address. False: none does. */
bool cp_location_at(const struct cp_dw_attr *attr, uint64_t address, struct cp_cursor *ret);

/* Is the expression one fixed address (DW_OP_addr, DW_OP_addrx)? */
bool cp_location_fixed(const struct cp_dw_attr *attr, uint64_t *ret);

#endif
