/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a section holds, whatever form its bytes have in the file: plain, compressed by SHF_COMPRESSED (zlib or zstd),
 * or compressed the old way under the name .zdebug_NAME; with the relocations of a relocatable file applied.
 *
 * The size that a compressed section claims is believed only as far as its compression can reach: deflate makes at
 * most 1032 bytes of one, zstd at most 32768 (a block of 128 KiB from a header of 3 bytes and one byte that repeats).
 * What is more than 4 MiB must also be less than 64 times the whole file. Memory is thereby bounded by the file's size, and
 * no page of it is touched that the data does not really fill.
 */
#ifndef CPROBE_INFLATE_H
#define CPROBE_INFLATE_H

#include "elf/image.h"

/* The section of that name, ".debug_info", or of the old compressed one, ".zdebug_info"; NULL: neither is there. */
const struct cp_section *cp_image_debug_section(const struct cp_image *image, const char *name);

/*
 * The bytes of a section. They lie in the image's mapping, and *owned is NULL, or else in memory that the caller frees
 * as *owned. A section without bytes in the file (NOBITS) gives a *size of 0 and NULL for *ret.
 *
 * Errors: CP_ERROR_CORRUPT when the compressed bytes are not what they claim, CP_ERROR_UNSUPPORTED for a compression
 * that this cprobe was built without.
 */
struct cp_error *cp_section_contents(const struct cp_image *image, const struct cp_section *section,
	const uint8_t **ret, uint64_t *size, void **owned);

#endif
