/*
 * io_apic.c: the I/O APIC, as far as one serial line needs it (Intel 82093AA data sheet).
 */
#include "clock.h"
#include "systm.h"

#define IOAPIC_SELECT	(0x00 / 4)
#define IOAPIC_WINDOW	(0x10 / 4)
#define IOAPIC_REDTBL	0x10	/* two registers a pin */

static volatile uint32_t *ioapic;	/* NULL: none */

void
ioapic_create(vm_paddr_t addr)
{
	ioapic = PHYS_TO_DMAP(addr);
}

static void
ioapic_write(u_int reg, uint32_t value)
{
	ioapic[IOAPIC_SELECT] = reg;
	ioapic[IOAPIC_WINDOW] = value;
}

/* Edge triggered, active high, fixed delivery to one CPU: as ISA interrupts are. */
__noinline void
ioapic_enable_intr(u_int pin, u_int vector, u_int apic_id)
{
	if (ioapic == NULL)
		return;
	ioapic_write(IOAPIC_REDTBL + 2 * pin + 1, apic_id << 24);
	ioapic_write(IOAPIC_REDTBL + 2 * pin, vector);
}
