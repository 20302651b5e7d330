/*
 * kern_fault.c: guest.fault=NAME makes the boot go wrong in a known way at a known place, to test those who watch it.
 */
#include "cpufunc.h"
#include "systm.h"

/* Where a member of a structure at address 0 would be; a variable, as the compiler refuses the constant. */
static volatile uint32_t *volatile null_structure_member = (volatile uint32_t *)0x10;

__noinline void
spin_forever(void)
{
	for (;;)
		ia32_pause();
}

/* Called at each stage that README.md lists; acts at the one named in `guest.fault=NAME[@STAGE]`, else at "cpu". */
__noinline void
fault_point(const char *stage)
{
	const char *fault = kern_getenv("guest.fault");
	char name[16];
	size_t length = 0;

	if (fault == NULL)
		return;
	while (fault[length] != '\0' && fault[length] != '@' && length + 1 < sizeof(name)) {
		name[length] = fault[length];
		length++;
	}
	name[length] = '\0';
	if (strcmp(fault[length] == '@' ? fault + length + 1 : "cpu", stage) != 0)
		return;

	printf("guest.fault: %s at stage %s\n", name, stage);
	if (strcmp(name, "panic") == 0)
		panic("guest.fault asked for it");
	else if (strcmp(name, "pagefault") == 0)
		*(volatile uint32_t *)(uintptr_t)0x123400000000 = 0;	/* no page table entry */
	else if (strcmp(name, "null") == 0)
		(void)*null_structure_member;				/* only once the identity map is gone */
	else if (strcmp(name, "reset") == 0)
		cpu_reset();
	else if (strcmp(name, "triple") == 0)
		triple_fault();
	else if (strcmp(name, "hang") == 0)
		cpu_halt();
	else if (strcmp(name, "spin") == 0)
		spin_forever();
	else if (strcmp(name, "exit") == 0)
		debug_exit(true);
	else if (strcmp(name, "kdb") == 0)
		kdb_enter("guest.fault", "asked for");
	else
		printf("guest.fault: no fault of that name\n");
}
