/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses for a relocatable file (a kernel module), whose sections have none: its allocated sections, NOBITS too,
 * lie one behind the other from 0 in the order of the section table, each aligned as it asks. So GDB does it after
 * `file x.ko`, and so a module and its split debug file come to the same addresses.
 */
#ifndef CPROBE_LAYOUT_H
#define CPROBE_LAYOUT_H

#include "elf/image.h"

/*
 * Part of cp_image_open(). Nothing happens to other files than ET_REL, nor when an allocated section has an address.
 * Sets image->undefined as well.
 */
struct cp_error *cp_image_lay_out(struct cp_image *image);

#endif
