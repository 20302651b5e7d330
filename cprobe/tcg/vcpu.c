/* SPDX-License-Identifier: BSD-2-Clause */
/* See vcpu.h. */
#include "vcpu.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "plugin.h"
#include "plugin_api.h"

#define FIRST_CONSTANT 4	/* the API's version of QEMU 10.0, and of 9.2, which is still right */

bool vcpu_is_mistold;
static void **running;		/* QEMU's current_cpu, of the thread that runs the vCPUs */
static void **vcpus;		/* by number */
static unsigned int count, last;

struct cp_error *
vcpu_init(unsigned int vcpu_count, bool is_icount)
{
	if (!is_icount || vcpu_count == 1 || plugin_version < FIRST_CONSTANT)
		return NULL;
	running = dlsym(RTLD_DEFAULT, "current_cpu");
	if (running == NULL || qemu_get_cpu == NULL)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "under icount, this QEMU tells plugins of the wrong vCPU, and hides "
			"the right one: use one vCPU, or leave icount out");
	vcpus = calloc(vcpu_count, sizeof(*vcpus));
	if (vcpus == NULL)
		return &cp_error_no_memory;
	count = vcpu_count;
	for (unsigned int i = 0; i < count; i++)
		vcpus[i] = qemu_get_cpu((int)i);
	vcpu_is_mistold = true;
	return NULL;
}

unsigned int
vcpu_find(void)
{
	if (vcpus[last] == *running)
		return last;
	for (unsigned int i = 0; i < count; i++)
		if (vcpus[i] == *running)
			last = i;
	return last;
}
