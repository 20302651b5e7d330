/*
 * pvh.h: what a PVH loader passes in EBX. Source: xen/include/public/arch-x86/hvm/start_info.h (layout only).
 */
#ifndef GUEST_PVH_H
#define GUEST_PVH_H

#include "cdefs.h"

#define XEN_HVM_START_MAGIC_VALUE 0x336ec578

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;		/* 0: none */
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;		/* from version 1 on */
	uint32_t memmap_entries;
	uint32_t reserved;
};
_Static_assert(offsetof(struct hvm_start_info, cmdline_paddr) == 24, "PVH ABI");
_Static_assert(offsetof(struct hvm_start_info, memmap_entries) == 48, "PVH ABI");
_Static_assert(sizeof(struct hvm_start_info) == 56, "PVH ABI");

#endif
