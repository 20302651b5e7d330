/* SPDX-License-Identifier: BSD-2-Clause */
/* What the headers of two traces say of kernel, QEMU and machine. */
#ifndef CPROBE_MACHINE_H
#define CPROBE_MACHINE_H

#include "diff/steps.h"

/* Told in one line what differs, with both values. */
typedef struct cp_error *cp_machine_fn(void *context, const char *text);

/* All but the number of vCPUs. */
struct cp_error *cp_machine_compare(const struct cp_trace *a, const struct cp_trace *b, cp_machine_fn *each,
	void *context);

/* QEMU's options that make the machine, ended with NULL; others say where the run's files are. */
extern const char *const cp_machine_options[];

/*
 * The value of an option of QEMU's, the last one if it is given more than once; NULL: it is not given. Of a file its name
 * alone: where it lies does not matter to the guest.
 */
const char *cp_machine_argument(const struct cp_trace *trace, const char *option);

/* vCPUs by QEMU's arguments; 0: they do not say. */
unsigned long cp_machine_vcpus(const struct cp_trace *trace);

bool cp_machine_is_icount(const struct cp_trace *trace);

/* Is it another kernel, or may it be? */
bool cp_machine_other_kernel(const struct cp_trace *a, const struct cp_trace *b);

/* Are the values of function entries those of the same registers? */
bool cp_machine_same_values(const struct cp_trace *a, const struct cp_trace *b);

#endif
