/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the debug information of a stripped kernel is, found as GDB finds it: by build-id under the global debug
 * folder, then by .gnu_debuglink beside the file, in .debug/ beside it, and under the global debug folder; a
 * debuglink's file counts only when its CRC-32 is the one that the link names.
 */
#ifndef CPROBE_DEBUGFILE_H
#define CPROBE_DEBUGFILE_H

#include "elf/image.h"

/* The global debug folder, unless $CPROBE_DEBUG_DIR names others, separated by colons. */
#define CP_DEBUG_DIR "/usr/lib/debug"

/*
 * On success *ret is the opened debug file, the caller's, or NULL when the image names none or none was found. *why,
 * when not NULL, is set then to a malloc'ed line that says what was tried, or NULL when the image names none.
 */
struct cp_error *cp_debugfile_find(const struct cp_image *image, struct cp_image **ret, char **why);

/* The CRC-32 of .gnu_debuglink (the one of zlib). */
uint32_t cp_debuglink_crc(const uint8_t *bytes, uint64_t size);

#endif
