/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which vCPU runs. QEMU tells callbacks; but where one thread runs several vCPUs (icount), QEMU 10.0 and later tell the one
 * that the code was translated for, and what translated code adds by itself lands anywhere, since the vCPU's number was
 * taken for a constant and then multiplied in place (accel/tcg/plugin-gen.c, gen_cpu_index()). There the vCPU is taken
 * from QEMU's own variable, and translated code calls functions instead.
 */
#ifndef BOOTSONDE_VCPU_H
#define BOOTSONDE_VCPU_H

#include <stdbool.h>

#include "cprobe.h"

/* Are callbacks told wrong numbers? */
extern bool vcpu_is_mistold;

/* Once it is known whether icount is on, in a thread that runs vCPUs. */
struct cp_error *vcpu_init(unsigned int vcpus, bool is_icount);

unsigned int vcpu_find(void);

/* The vCPU that runs. told: what QEMU told. */
static inline unsigned int
vcpu_running(unsigned int told)
{
	return __builtin_expect(vcpu_is_mistold, 0) ? vcpu_find() : told;
}

#endif
