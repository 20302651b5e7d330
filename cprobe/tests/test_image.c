/* SPDX-License-Identifier: BSD-2-Clause */
/* Images made byte by byte: what a file claims against what it has. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf/debugfile.h"
#include "elf/image.h"
#include "unit.h"

struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	uint8_t bytes[64];
};

static struct file good(void)
{
	struct file f = { .header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = offsetof(struct file, segment),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1, .e_ehsize = sizeof(Elf64_Ehdr) } };

	f.segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct file, bytes), .p_vaddr = 0x2000,
		.p_paddr = 0x1000, .p_filesz = 64, .p_memsz = 128 };
	memset(f.bytes, 0x90, sizeof(f.bytes));
	return f;
}

static struct cp_error *open_file(const struct file *f, size_t size, struct cp_image **image)
{
	char path[] = "/tmp/cprobe-image-XXXXXX";
	int fd = mkstemp(path);
	struct cp_error *error;

	assert_true(fd >= 0 && write(fd, f, size) == (ssize_t)size);
	close(fd);
	error = cp_image_open(path, image);
	unlink(path);
	return error;
}

static void corrupt(const struct file *f, size_t size)
{
	struct cp_image *image;
	struct cp_error *error = open_file(f, size, &image);

	assert_non_null(error);
	assert_int_equal(error->code, CP_ERROR_CORRUPT);
	cp_error_destroy(error);
}

static void reads_stay_inside_the_segment(void **state)
{
	struct file f = good();
	struct cp_image *image;
	uint64_t available;

	(void)state;
	assert_null(open_file(&f, sizeof(f), &image));
	assert_non_null(cp_image_at(image, 0x2000, &available));
	assert_int_equal(available, 64);
	assert_non_null(cp_image_at(image, 0x203f, &available));
	assert_int_equal(available, 1);
	assert_null(cp_image_at(image, 0x2040, &available));
	assert_null(cp_image_at(image, 0x1fff, &available));
	cp_image_close(image);
}

static void physical_addresses_follow_the_segment(void **state)
{
	struct file f = good();
	struct cp_image *image;
	uint64_t paddr;

	(void)state;
	assert_null(open_file(&f, sizeof(f), &image));
	assert_true(cp_image_paddr(image, 0x2010, &paddr));
	assert_int_equal(paddr, 0x1010);
	assert_false(cp_image_paddr(image, 0x2080, &paddr));
	cp_image_close(image);
}

static void truncated_files_are_corrupt(void **state)
{
	struct file f = good();

	(void)state;
	corrupt(&f, sizeof(f) - 1);
	corrupt(&f, sizeof(f.header) + 8);
	corrupt(&f, 20);
	corrupt(&f, 3);
}

static void wrong_entry_sizes_are_corrupt(void **state)
{
	struct file f = good();

	(void)state;
	f.header.e_phentsize = 0;
	corrupt(&f, sizeof(f));
	f = good();
	f.header.e_shoff = sizeof(f.header);
	f.header.e_shnum = 1;
	corrupt(&f, sizeof(f));
}

static void overflowing_fields_are_corrupt(void **state)
{
	struct file f = good();

	(void)state;
	f.segment.p_offset = UINT64_MAX - 8;
	corrupt(&f, sizeof(f));
	f = good();
	f.segment.p_vaddr = UINT64_MAX - 8;
	corrupt(&f, sizeof(f));
	f = good();
	f.header.e_phoff = UINT64_MAX - 8;
	corrupt(&f, sizeof(f));
}

static void crc_is_the_common_one(void **state)
{
	(void)state;
	assert_int_equal(cp_debuglink_crc((const uint8_t *)"123456789", 9), 0xcbf43926);
	assert_int_equal(cp_debuglink_crc((const uint8_t *)"", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_stay_inside_the_segment),
		cmocka_unit_test(physical_addresses_follow_the_segment),
		cmocka_unit_test(truncated_files_are_corrupt),
		cmocka_unit_test(wrong_entry_sizes_are_corrupt),
		cmocka_unit_test(overflowing_fields_are_corrupt),
		cmocka_unit_test(crc_is_the_common_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
