/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe info. Prints by itself: one object, no records. */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "command/verb.h"

static const char *type_name(uint16_t type)
{
	static const char *const names[] = { "NONE", "REL", "EXEC", "DYN", "CORE" };

	return type < sizeof(names) / sizeof(*names) ? names[type] : "unknown";
}

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_386:
		return "i386";
	case EM_AARCH64:
		return "aarch64";
	case EM_RISCV:
		return "riscv";
	case EM_ARM:
		return "arm";
	default:
		return "unknown";
	}
}

static const char *osabi_name(uint8_t osabi)
{
	switch (osabi) {
	case ELFOSABI_SYSV:
		return "SysV";
	case ELFOSABI_NETBSD:
		return "NetBSD";
	case ELFOSABI_LINUX:
		return "Linux";
	case ELFOSABI_FREEBSD:
		return "FreeBSD";
	case ELFOSABI_OPENBSD:
		return "OpenBSD";
	case ELFOSABI_STANDALONE:
		return "standalone";
	default:
		return "unknown";
	}
}

static void print_json(const struct cp_info *info)
{
	bool first = true;

	printf("{\"path\": ");
	cp_json_string(stdout, info->path);
	if (info->build_id[0])
		printf(", \"build_id\": \"%s\"", info->build_id);
	if (info->has_build_id_address)
		printf(", \"build_id_address\": \"0x%" PRIx64 "\"", info->build_id_address);
	if (info->has_build_id_paddr)
		printf(", \"build_id_paddr\": \"0x%" PRIx64 "\"", info->build_id_paddr);
	printf(", \"class\": %d, \"type\": \"%s\", \"machine\": \"%s\", "
		"\"osabi\": %u, \"osabi_name\": \"%s\", \"entry\": \"0x%"
		PRIx64 "\"", info->elf_class, type_name(info->type), machine_name(info->machine),
		info->osabi, osabi_name(info->osabi), info->entry);
	if (info->has_pvh_entry)
		printf(", \"pvh_entry\": \"0x%" PRIx64 "\"", info->pvh_entry);
	if (info->has_lma_offset)
		printf(", \"vma_minus_lma\": \"0x%" PRIx64 "\"", info->lma_offset);
	if (info->interp) {
		printf(", \"interp\": ");
		cp_json_string(stdout, info->interp);
	}
	printf(", \"dwarf_versions\": [");
	for (unsigned int v = 0; v < 8 * sizeof(info->dwarf_versions); v++) {
		if (info->dwarf_versions & 1u << v) {
			printf("%s%u", first ? "" : ", ", v);
			first = false;
		}
	}
	printf("], \"has_dwarf\": %s, \"has_symtab\": %s, \"has_dynsym\": %s", info->has_dwarf ? "true" : "false",
		info->has_symtab ? "true" : "false", info->has_dynsym ? "true" : "false");
	printf(", \"debug_file\": ");
	cp_json_string(stdout, info->debug_path);
	printf(", \"counts\": {\"sections\": %zu, "
		"\"symbols\": %zu, \"functions\": %zu, \"objects\": %zu, \"units\": %zu}",
		info->sections, info->symbols, info->functions, info->objects, info->units);
	printf(", \"segments\": [");
	for (size_t i = 0; i < info->segment_count; i++) {
		const struct cp_segment *s = &info->segments[i];

		printf("%s{\"type\": %" PRIu32 ", \"vaddr\": \"0x%" PRIx64 "\", \"paddr\": \"0x%" PRIx64 "\", \"offset\": %" PRIu64
			", \"filesz\": %" PRIu64 ", \"memsz\": %" PRIu64 ", \"flags\": \"%s%s%s\"}", i ? ", " : "", s->type, s->vaddr,
			s->paddr, s->offset, s->filesz, s->memsz, s->flags & PF_R ? "r" : "", s->flags & PF_W ? "w" : "",
			s->flags & PF_X ? "x" : "");
	}
	printf("]}\n");
}

/* One "name: value" a line; as a gdb script, each line a comment. */
static void print_text(const struct cp_info *info, const char *before)
{
	printf("%sbuild-id:    %s\n", before, info->build_id[0] ? info->build_id : "none");
	printf("%sclass:       ELF%d\n", before, info->elf_class);
	printf("%stype:        %s\n", before, type_name(info->type));
	printf("%smachine:     %s (%u)\n", before, machine_name(info->machine), info->machine);
	printf("%sOSABI:       %s (%u)\n", before, osabi_name(info->osabi), info->osabi);
	printf("%sentry:       0x%" PRIx64 "\n", before, info->entry);
	if (info->has_pvh_entry)
		printf("%sPVH entry:   0x%" PRIx64 "\n", before, info->pvh_entry);
	else
		printf("%sPVH entry:   none (no Xen note of type 18: QEMU's microvm cannot start it directly)\n", before);
	if (info->has_lma_offset)
		printf("%sVMA-LMA:     0x%" PRIx64 "\n", before, info->lma_offset);
	printf("%sDWARF:       ", before);
	for (unsigned int v = 0, shown = 0; v < 8 * sizeof(info->dwarf_versions); v++) {
		if (info->dwarf_versions & 1u << v)
			printf("%s%u", shown++ ? ", " : "", v);
	}
	printf("%s\n", info->dwarf_versions ? "" : "none");
	printf("%sdebug file:  ", before);
	if (!info->debug_path)
		printf("none");
	else if (info->debug_path == info->path)
		printf("the same file");
	else {
		for (const char *p = info->debug_path; *p; p++)
			putchar((unsigned char)*p < 0x20 ? '?' : *p);
	}
	printf("\n%ssymbols:     %zu (%zu functions, %zu objects) from %s\n", before, info->symbols, info->functions, info->objects,
		!info->symbols ? "no table" : info->has_symtab ? ".symtab" : ".dynsym");
	printf("%sunits:       %zu\n", before, info->units);
	printf("%ssections:    %zu\n", before, info->sections);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_info info;
	struct cp_error *error = cp_info(program, &info);

	(void)records;
	if (error)
		return error;
	if (options->format == CP_FORMAT_JSON)
		print_json(&info);
	else
		print_text(&info, options->format == CP_FORMAT_GDB ? "# " : "");
	*status = 0;
	return NULL;
}

const struct cp_verb cp_verb_info = { .name = "info", .run = run };
