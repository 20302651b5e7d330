/*
 * mptable.c: the MP table: which CPUs there are, and where the I/O APIC is (Intel MultiProcessor Specification 1.4).
 *
 * qboot, microvm's firmware, leaves entry_count 0: the table is walked by its length.
 */
#include "clock.h"
#include "machine.h"
#include "systm.h"

#define MPFP_SIGNATURE	"_MP_"
#define MPCTH_SIGNATURE	"PCMP"
#define TABLE_MAX	4096

struct mpfps {			/* MP floating pointer structure */
	char		signature[4];
	uint32_t	pap;	/* physical address of the table */
	uint8_t		length;	/* in 16 bytes */
	uint8_t		spec_rev;
	uint8_t		checksum;
	uint8_t		config_type;
	uint8_t		features[4];
};
_Static_assert(sizeof(struct mpfps) == 16, "MP specification 4.1");

struct mpcth {			/* MP configuration table header */
	char		signature[4];
	uint16_t	base_table_length;
	uint8_t		spec_rev;
	uint8_t		checksum;
	char		oem_id[8];
	char		product_id[12];
	uint32_t	oem_table_pointer;
	uint16_t	oem_table_size;
	uint16_t	entry_count;
	uint32_t	apic_address;
	uint16_t	extended_table_length;
	uint8_t		extended_table_checksum;
	uint8_t		reserved;
};
_Static_assert(sizeof(struct mpcth) == 44, "MP specification 4.2");

#define MPCT_ENTRY_PROCESSOR	0	/* 20 bytes; every other type has 8 */
#define  PROCENTRY_FLAG_EN	0x01
#define  PROCENTRY_FLAG_BP	0x02
#define MPCT_ENTRY_IOAPIC	2
#define  IOAPICENTRY_FLAG_EN	0x01

struct mpe_proc {
	uint8_t		type;
	uint8_t		apic_id;
	uint8_t		apic_version;
	uint8_t		cpu_flags;
	uint32_t	signature;
	uint32_t	feature_flags;
	uint32_t	reserved[2];
};
_Static_assert(sizeof(struct mpe_proc) == 20, "MP specification 4.3.1");

struct mpe_ioapic {
	uint8_t		type;
	uint8_t		apic_id;
	uint8_t		apic_version;
	uint8_t		flags;
	uint32_t	apic_address;
};
_Static_assert(sizeof(struct mpe_ioapic) == 8, "MP specification 4.3.3");

u_int cpu_apic_ids[MAXCPU];
u_int mp_found = 1;

static const struct mpcth *mpct;

/* Floating pointers lie on 16 bytes, and their bytes add up to 0. */
static const struct mpfps *
search_for_sig(vm_paddr_t start, size_t size)
{
	for (vm_paddr_t at = start; at + sizeof(struct mpfps) <= start + size; at += 16) {
		const struct mpfps *mpfps = PHYS_TO_DMAP(at);
		const uint8_t *bytes = (const uint8_t *)mpfps;
		uint8_t sum = 0;

		if (memcmp(mpfps->signature, MPFP_SIGNATURE, 4) != 0)
			continue;
		for (size_t i = 0; i < sizeof(*mpfps); i++)
			sum = (uint8_t)(sum + bytes[i]);
		if (sum == 0 && mpfps->pap != 0)
			return (mpfps);
	}
	return (NULL);
}

/* The last KiB of base memory, then the BIOS area (MP specification 4). False: no table, one CPU. */
__noinline bool
mptable_probe(void)
{
	const struct mpfps *mpfps = search_for_sig(0x9fc00, 0x400);
	const struct mpcth *table;

	if (mpfps == NULL)
		mpfps = search_for_sig(0xf0000, 0x10000);
	if (mpfps == NULL) {
		printf("MP table: none\n");
		return (false);
	}
	table = PHYS_TO_DMAP(mpfps->pap);
	if (memcmp(table->signature, MPCTH_SIGNATURE, 4) != 0 || table->base_table_length < sizeof(*table) ||
	    table->base_table_length > TABLE_MAX) {
		printf("MP table: bad header at 0x%x, length %u\n", mpfps->pap, table->base_table_length);
		return (false);
	}
	mpct = table;
	if (bootverbose)
		printf("MP table: at 0x%x, length %u, entry_count %u\n", mpfps->pap, table->base_table_length,
		    table->entry_count);
	mptable_probe_cpus();
	return (true);
}

static void
add_processor(const struct mpe_proc *proc)
{
	if ((proc->cpu_flags & PROCENTRY_FLAG_EN) == 0)
		return;
	if ((proc->cpu_flags & PROCENTRY_FLAG_BP) != 0)
		cpu_apic_ids[0] = proc->apic_id;
	else if (mp_found < MAXCPU)
		cpu_apic_ids[mp_found++] = proc->apic_id;
	else
		printf("MP table: APIC ID %u is one CPU too many\n", proc->apic_id);
}

/* Fills cpu_apic_ids and tells io_apic.c where its device is. */
__noinline void
mptable_probe_cpus(void)
{
	const uint8_t *at = (const uint8_t *)(mpct + 1);
	const uint8_t *limit = (const uint8_t *)mpct + mpct->base_table_length;

	while (at < limit) {
		size_t size = *at == MPCT_ENTRY_PROCESSOR ? sizeof(struct mpe_proc) : sizeof(struct mpe_ioapic);
		const struct mpe_ioapic *io = (const struct mpe_ioapic *)(const void *)at;

		if (size > (size_t)(limit - at))
			break;
		if (*at == MPCT_ENTRY_PROCESSOR)
			add_processor((const struct mpe_proc *)(const void *)at);
		else if (*at == MPCT_ENTRY_IOAPIC && (io->flags & IOAPICENTRY_FLAG_EN) != 0)
			ioapic_create(io->apic_address);
		at += size;
	}
}
