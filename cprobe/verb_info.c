/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe info: what kind of kernel it is and what is known of it. Prints by itself: one object, no records. */
#include <dwarf.h>
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "verb.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18	/* Xen xen/include/public/elfnote.h: the PVH entry point */

struct info {
	const struct cp_program *program;
	char build_id[2 * 64 + 1];
	uint64_t build_id_address, build_id_paddr, pvh_entry, lma_offset;
	bool has_build_id, has_build_id_address, has_build_id_paddr, has_pvh, has_lma_offset;
	const char *interp;
	unsigned int dwarf_versions;	/* a bit for each version */
	uint64_t units;
	bool has_symtab, has_dynsym;
};

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

static void read_notes(const struct cp_image *image, struct info *info)
{
	struct cp_note note;

	if (cp_image_note(image, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &note) && note.desc_size && note.desc_size <= 64) {
		info->has_build_id = true;
		for (uint32_t i = 0; i < note.desc_size; i++)
			snprintf(info->build_id + 2 * i, 3, "%02x", note.desc[i]);
		info->has_build_id_address = note.address != 0;
		info->build_id_address = note.address;
		info->has_build_id_paddr = note.address && cp_image_paddr(image, note.address, &info->build_id_paddr);
	}
	if (cp_image_note(image, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &note) && (note.desc_size == 4 || note.desc_size == 8)) {
		info->has_pvh = true;
		info->pvh_entry = note.desc_size == 4 ? cp_read32(note.desc) : cp_read64(note.desc);
	}
}

static void read_segments(const struct cp_image *image, struct info *info)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_INTERP && s->filesz && memchr(image->data + s->offset, 0, s->filesz))
			info->interp = (const char *)image->data + s->offset;
		if (s->type == PT_LOAD && s->memsz && !info->has_lma_offset && (s->vaddr || !s->paddr)) {
			info->has_lma_offset = true;
			info->lma_offset = s->vaddr - s->paddr;
		}
	}
}

static struct cp_error *read_dwarf(struct cp_program *program, struct info *info)
{
	struct cp_error *error = cp_program_need_dwarf(program);
	Dwarf_Off at = 0, next;
	size_t header;
	Dwarf_Half version;

	if (error || !program->dwarf)
		return error;
	while (dwarf_next_unit(program->dwarf, at, &next, &header, &version, NULL, NULL, NULL, NULL, NULL) == 0) {
		info->units++;
		if (version < 8 * sizeof(info->dwarf_versions))
			info->dwarf_versions |= 1u << version;
		at = next;
	}
	return NULL;
}

static void print_json(const struct info *info)
{
	const struct cp_program *program = info->program;
	const struct cp_image *image = program->image;
	bool first = true;

	printf("{\"path\": ");
	cp_json_string(stdout, image->path);
	if (info->has_build_id)
		printf(", \"build_id\": \"%s\"", info->build_id);
	if (info->has_build_id_address)
		printf(", \"build_id_address\": \"0x%" PRIx64 "\"", info->build_id_address);
	if (info->has_build_id_paddr)
		printf(", \"build_id_paddr\": \"0x%" PRIx64 "\"", info->build_id_paddr);
	printf(", \"class\": %d, \"type\": \"%s\", \"machine\": \"%s\", "
		"\"osabi\": %u, \"osabi_name\": \"%s\", \"entry\": \"0x%"
		PRIx64 "\"", image->elf_class == ELFCLASS64 ? 64 : 32, type_name(image->type), machine_name(image->machine),
		image->osabi, osabi_name(image->osabi), image->entry);
	if (info->has_pvh)
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
	printf("], \"has_dwarf\": %s, \"has_symtab\": %s, \"has_dynsym\": %s", program->dwarf ? "true" : "false",
		info->has_symtab ? "true" : "false", info->has_dynsym ? "true" : "false");
	printf(", \"debug_file\": ");
	cp_json_string(stdout, program->debug ? program->debug->path : NULL);
	printf(", \"counts\": {\"sections\": %zu, "
		"\"symbols\": %zu, \"functions\": %zu, \"objects\": %zu, \"units\": %" PRIu64 "}",
		image->section_count ? image->section_count - 1 : 0, program->symbols.count, program->symbols.functions,
		program->symbols.objects, info->units);
	printf(", \"segments\": [");
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct cp_segment *s = &image->segments[i];

		printf("%s{\"type\": %" PRIu32 ", \"vaddr\": \"0x%" PRIx64 "\", \"paddr\": \"0x%" PRIx64 "\", \"offset\": %" PRIu64
			", \"filesz\": %" PRIu64 ", \"memsz\": %" PRIu64 ", \"flags\": \"%s%s%s\"}", i ? ", " : "", s->type, s->vaddr,
			s->paddr, s->offset, s->filesz, s->memsz, s->flags & PF_R ? "r" : "", s->flags & PF_W ? "w" : "",
			s->flags & PF_X ? "x" : "");
	}
	printf("]}\n");
}

/* One "name: value" a line; as a gdb script, each line a comment. */
static void print_text(const struct info *info, const char *before)
{
	const struct cp_program *program = info->program;
	const struct cp_image *image = program->image;

	printf("%sbuild-id:    %s\n", before, info->has_build_id ? info->build_id : "none");
	printf("%sclass:       ELF%d\n", before, image->elf_class == ELFCLASS64 ? 64 : 32);
	printf("%stype:        %s\n", before, type_name(image->type));
	printf("%smachine:     %s (%u)\n", before, machine_name(image->machine), image->machine);
	printf("%sOSABI:       %s (%u)\n", before, osabi_name(image->osabi), image->osabi);
	printf("%sentry:       0x%" PRIx64 "\n", before, image->entry);
	if (info->has_pvh)
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
	if (!program->debug)
		printf("none");
	else if (program->debug == image)
		printf("the same file");
	else {
		for (const char *p = program->debug->path; *p; p++)
			putchar((unsigned char)*p < 0x20 ? '?' : *p);
	}
	printf("\n%ssymbols:     %zu (%zu functions, %zu objects) from %s\n", before, program->symbols.count,
		program->symbols.functions, program->symbols.objects, !program->symbols.count ? "no table" :
		program->symbols.is_dynsym ? ".dynsym" : ".symtab");
	printf("%sunits:       %" PRIu64 "\n", before, info->units);
	printf("%ssections:    %zu\n", before, image->section_count ? image->section_count - 1 : 0);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct info info = { .program = program };
	struct cp_error *error = cp_program_need_debug(program);

	(void)records;
	if (!error)
		error = cp_program_read_symbols(program);
	if (!error)
		error = read_dwarf(program, &info);
	if (error)
		return error;
	info.has_symtab = program->symbols.count && !program->symbols.is_dynsym;
	info.has_dynsym = cp_symbols_table(program->image, SHT_DYNSYM) != NULL;
	read_notes(program->image, &info);
	read_segments(program->image, &info);
	if (options->format == CP_FORMAT_JSON)
		print_json(&info);
	else
		print_text(&info, options->format == CP_FORMAT_GDB ? "# " : "");
	if (program->debug_why)
		cp_note("%s", program->debug_why);
	*status = 0;
	return NULL;
}

const struct cp_verb cp_verb_info = {
	.name = "info", .usage = "KERNEL", .run = run,
	.help = "Build-id, ELF class, OSABI, entry points, VMA-LMA, DWARF versions, the debug file used, counts.",
};
