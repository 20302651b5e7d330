/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of the trace, of which only whole blocks are left, and the one that says how far it is. */
#ifndef BOOTSONDE_OUTPUT_H
#define BOOTSONDE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "cprobe.h"

/* Makes the files. status may be NULL. The paths are kept. */
struct cp_error *output_open(const char *trace, const char *status);
void output_close(void);

/*
 * Behind what there is. false: it cannot be written, which is said on stderr once; the trace then ends where it is. Takes
 * whole blocks: see encoder_write_fn.
 */
bool output_append(void *unused, const void *data, size_t size);
/* Why not, or NULL as long as it could. */
const char *output_problem(void);

/*
 * What is put behind the end for the time being: begin, then any number of blocks. The next output_append() takes its
 * place; output_drop_preview() does without one.
 */
void output_begin_preview(void);
bool output_preview(void *unused, const void *data, size_t size);
void output_drop_preview(void);

/* The status file's one line, without its end; a line that is too long is left out. */
void output_status(const char *text, size_t size);

#endif
