/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded by test_cprobe_memory.py: fails the allocation number $FAIL_AT, from 1, and with $FAIL_ON every one after it.
 * Maps of files and of memory count as allocations. How many there were is written to the file $FAIL_COUNT at the end.
 * For glibc: its own names of malloc are called, because looking malloc up allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static unsigned long count;

static bool fails(void)
{
	const char *at = getenv("FAIL_AT");
	unsigned long number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	unsigned long wanted = at ? strtoul(at, NULL, 10) : 0;

	if (!wanted || (getenv("FAIL_ON") ? number < wanted : number != wanted))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	return fails() ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t number, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(number, size, &bytes) || fails()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *got = fails() ? NULL : __libc_memalign(alignment, size);

	if (!got)
		return ENOMEM;
	*ret = got;
	return 0;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, size, protection, flags, fd, offset);
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("FAIL_COUNT");
	unsigned long number = count;
	char text[32];
	FILE *file;

	unsetenv("FAIL_AT");
	file = path ? fopen(path, "w") : NULL;
	if (file) {
		snprintf(text, sizeof(text), "%lu\n", number);
		fputs(text, file);
		fclose(file);
	}
}
