/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libdw says, for the agreement tests: every DIE of every unit, in the plainest way, whatever that takes.
 *
 *	reference ELF			functions and inlined copies
 *	reference ELF structs		the structs of each unit's top level
 *	reference ELF addresses		the innermost function and the line of each address on standard input
 *
 * One record a line, fields between tabs; "" and 0 are unknown:
 *
 *	U name			of a unit
 *	F address size name file line		a range of a function
 *	I address name outer file line call_file call_line	where an inlined copy is entered
 *	S name size
 *	A address file line function...		innermost function first
 *
 * Exit 0, or 3 when libdw reports an error, which is printed.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_diename(die);

	if (!name && dwarf_attr_integrate(die, DW_AT_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name;
}

/* dwarf_decl_file() takes index 0 for none, which since DWARF 5 is the unit's own source file. */
static const char *file_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word index;
	Dwarf_Half version;
	Dwarf_Die unit;
	size_t count;

	if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attr) || dwarf_formudata(&attr, &index) ||
		!dwarf_cu_die(attr.cu, &unit, &version, NULL, NULL, NULL, NULL, NULL) || (index == 0 && version < 5) ||
		dwarf_getsrcfiles(&unit, &files, &count) || index >= count)
		return NULL;
	return dwarf_filesrc(files, index, NULL, NULL);
}

static int line_of(Dwarf_Die *die)
{
	int line = 0;

	return dwarf_decl_line(die, &line) ? 0 : line;
}

/*
 * DW_AT_entry_pc is an address or, since DWARF 5, an offset from the base, which is DW_AT_low_pc or else the first
 * range's start (2.18). Where it is in none of the ranges, or absent, the copy begins at its lowest address.
 */
static bool entry_of(Dwarf_Die *die, Dwarf_Addr *ret)
{
	Dwarf_Addr base, low, high, first = 0, lowest = 0, entry = 0;
	Dwarf_Attribute attr;
	Dwarf_Word offset;
	bool any = false, has_entry = false;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		if (low >= high)
			continue;
		if (!any)
			first = low;
		if (!any || low < lowest)
			lowest = low;
		any = true;
	}
	if (at < 0)
		errx(3, "ranges of DIE %#" PRIx64 ": %s", (uint64_t)dwarf_dieoffset(die), dwarf_errmsg(-1));
	if (!any)
		return false;
	*ret = lowest;
	if (!dwarf_attr(die, DW_AT_entry_pc, &attr))
		return true;
	if (!dwarf_formaddr(&attr, &entry)) {
		has_entry = true;
	} else if (!dwarf_formudata(&attr, &offset)) {
		entry = first + offset;
		has_entry = true;
	}
	for (at = 0; has_entry && (at = dwarf_ranges(die, at, &base, &low, &high)) > 0;) {
		if (entry >= low && entry < high)
			*ret = entry;
	}
	return true;
}

static void print_function(Dwarf_Die *die)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		if (low < high)
			printf("F\t%#" PRIx64 "\t%" PRIu64 "\t%s\t%s\t%d\n", low, high - low, or_empty(name_of(die)),
				or_empty(file_of(die)), line_of(die));
	}
	if (at < 0)
		errx(3, "ranges of DIE %#" PRIx64 ": %s", (uint64_t)dwarf_dieoffset(die), dwarf_errmsg(-1));
}

static void print_copy(Dwarf_Die *unit, Dwarf_Die *die, const char *outer)
{
	Dwarf_Attribute attr;
	Dwarf_Word file = 0, line = 0;
	const char *call_file = NULL;
	Dwarf_Files *files;
	Dwarf_Addr entry;
	size_t count;

	if (!entry_of(die, &entry))
		return;
	if (dwarf_attr(die, DW_AT_call_file, &attr) && !dwarf_formudata(&attr, &file) &&
		!dwarf_getsrcfiles(unit, &files, &count) && file < count)
		call_file = dwarf_filesrc(files, file, NULL, NULL);
	if (dwarf_attr(die, DW_AT_call_line, &attr))
		dwarf_formudata(&attr, &line);
	printf("I\t%#" PRIx64 "\t%s\t%s\t%s\t%d\t%s\t%" PRIu64 "\n", entry, or_empty(name_of(die)), outer,
		or_empty(file_of(die)), line_of(die), or_empty(call_file), (uint64_t)line);
}

static void walk(Dwarf_Die *unit, Dwarf_Die *parent, const char *outer, bool structs)
{
	Dwarf_Die die;

	for (int result = dwarf_child(parent, &die); result == 0; result = dwarf_siblingof(&die, &die)) {
		const char *inner = outer;

		if (structs && dwarf_tag(&die) == DW_TAG_structure_type) {
			if (name_of(&die) && !dwarf_hasattr(&die, DW_AT_declaration))
				printf("S\t%s\t%d\n", name_of(&die), dwarf_bytesize(&die));
		} else if (structs) {
			continue;
		} else if (dwarf_tag(&die) == DW_TAG_subprogram) {
			print_function(&die);
			inner = or_empty(name_of(&die));
		} else if (dwarf_tag(&die) == DW_TAG_inlined_subroutine) {
			print_copy(unit, &die, outer);
		}
		if (dwarf_haschildren(&die) > 0)
			walk(unit, &die, inner, structs);
	}
}

/* By .debug_aranges, which clang does not write, or else by each unit's own ranges. */
static bool unit_at(Dwarf *dwarf, Dwarf_Addr address, Dwarf_Die *ret)
{
	Dwarf_CU *cu = NULL;

	if (dwarf_addrdie(dwarf, address, ret))
		return true;
	while (dwarf_get_units(dwarf, cu, &cu, NULL, NULL, ret, NULL) == 0) {
		if (dwarf_haspc(ret, address) > 0)
			return true;
	}
	return false;
}

/* The functions around an address, from the innermost, by every DIE's own ranges. */
static void print_address(Dwarf *dwarf, Dwarf_Addr address)
{
	const char *names[64], *file = NULL;
	Dwarf_Die unit, die, child;
	Dwarf_Line *line;
	int count = 0, number = 0, result;

	if (unit_at(dwarf, address, &unit)) {
		line = dwarf_getsrc_die(&unit, address);
		if (line) {
			file = dwarf_linesrc(line, NULL, NULL);
			dwarf_lineno(line, &number);
		}
		for (die = unit, result = dwarf_child(&die, &child); result == 0 && count < 64;) {
			int tag = dwarf_tag(&child);
			bool function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;

			if ((function || tag == DW_TAG_lexical_block) && dwarf_haspc(&child, address) > 0) {
				if (function)
					names[count++] = or_empty(name_of(&child));
				die = child;
				result = dwarf_child(&die, &child);
			} else {
				result = dwarf_siblingof(&child, &child);
			}
		}
	}
	printf("A\t%#" PRIx64 "\t%s\t%d", address, or_empty(file), number);
	while (count > 0)
		printf("\t%s", names[--count]);
	printf("\n");
}

int main(int argc, char **argv)
{
	Dwarf_Die unit;
	uint8_t kind;
	Dwarf_CU *cu = NULL;
	Dwarf *dwarf;
	char line[64];
	bool structs = argc > 2 && !strcmp(argv[2], "structs");
	int fd;

	if (argc < 2)
		errx(2, "usage: reference ELF [addresses|structs]");
	fd = open(argv[1], O_RDONLY);
	if (fd < 0)
		err(3, "%s", argv[1]);
	dwarf = dwarf_begin(fd, DWARF_C_READ);
	if (!dwarf)
		errx(3, "%s: %s", argv[1], dwarf_errmsg(-1));
	if (argc > 2 && !strcmp(argv[2], "addresses")) {
		while (fgets(line, sizeof(line), stdin))
			print_address(dwarf, strtoull(line, NULL, 0));
	} else {
		while (dwarf_get_units(dwarf, cu, &cu, NULL, &kind, &unit, NULL) == 0) {
			if (structs) {
				walk(&unit, &unit, "", true);
			} else if (kind == DW_UT_compile || kind == DW_UT_partial) {
				printf("U\t%s\n", or_empty(dwarf_diename(&unit)));
				walk(&unit, &unit, "", false);
			}
		}
	}
	dwarf_end(dwarf);
	return 0;
}
