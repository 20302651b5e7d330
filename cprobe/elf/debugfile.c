/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "elf/debugfile.h"

/* That of zlib. */
uint32_t cp_debuglink_crc(const uint8_t *bytes, uint64_t size)
{
	return (uint32_t)crc32_z(0, bytes, size);
}

/* Equal build-ids: the right file, without reading all of it for the CRC. */
static bool same_build_id(const struct cp_image *a, const struct cp_image *b)
{
	struct cp_note left, right;

	return cp_image_note(a, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &left) &&
		cp_image_note(b, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &right) && left.desc_size > 0 &&
		left.desc_size == right.desc_size && !memcmp(left.desc, right.desc, left.desc_size);
}

/* The CRC of the file; a module's mapping has its relocations applied. False: it cannot be read, see errno. */
static bool file_crc(const struct cp_image *image, uint32_t *ret)
{
	void *data;
	int fd;

	if (!image->relocated) {
		*ret = cp_debuglink_crc(image->data, image->size);
		return true;
	}
	fd = open(image->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	data = mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return false;
	*ret = cp_debuglink_crc(data, image->size);
	munmap(data, image->size);
	return true;
}

/* Open a candidate; a missing one is no error, *ret stays NULL. */
static struct cp_error *open_candidate(const struct cp_image *image, const char *path, const uint32_t *crc,
	struct cp_image **ret, char **why)
{
	struct cp_image *found = NULL;
	struct cp_error *error;
	uint32_t real;

	if (access(path, R_OK))
		return NULL;
	error = cp_image_open(path, &found);
	if (error && error->code != CP_ERROR_NO_MEMORY) {	/* it is there, and is no use: that is why */
		free(*why);
		*why = strdup(error->message);
		cp_error_destroy(error);
		return *why ? NULL : &cp_error_no_memory;
	}
	if (error)
		return error;
	errno = 0;
	if (crc && !same_build_id(image, found) && (!file_crc(found, &real) || real != *crc)) {
		bool no_memory = errno == ENOMEM;

		cp_image_close(found);
		if (no_memory)
			return &cp_error_no_memory;
		free(*why);
		if (asprintf(why, "%s is not the debug file of %s: its CRC differs from .gnu_debuglink's", path, image->path) < 0)
			return *why = NULL, &cp_error_no_memory;
		return NULL;
	}
	*ret = found;
	return NULL;
}

static struct cp_error *try_path(const struct cp_image *image, const uint32_t *crc, struct cp_image **ret, char **why,
	const char *folder, const char *middle, const char *name)
{
	struct cp_error *error;
	char *path;

	if (*ret)
		return NULL;
	if (asprintf(&path, "%s%s%s", folder, middle, name) < 0)
		return &cp_error_no_memory;
	error = open_candidate(image, path, crc, ret, why);
	free(path);
	return error;
}

static struct cp_error *by_build_id(const struct cp_image *image, const char *folder, struct cp_image **ret, char **why)
{
	struct cp_note note;
	char name[3 + 2 * 64 + 8], *out = name;

	if (!cp_image_note(image, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &note) || note.desc_size < 2 || note.desc_size > 64)
		return NULL;
	for (uint32_t i = 0; i < note.desc_size; i++)
		out += sprintf(out, i == 0 ? "%02x/" : "%02x", note.desc[i]);
	strcpy(out, ".debug");
	return try_path(image, NULL, ret, why, folder, "/.build-id/", name);
}

/* The link's file name and CRC: a name, padding to four bytes, the CRC. */
static bool read_debuglink(const struct cp_image *image, const char **name, uint32_t *crc)
{
	const struct cp_section *section = cp_image_section(image, ".gnu_debuglink");
	const uint8_t *bytes = section ? cp_section_bytes(image, section) : NULL;
	uint64_t length;

	if (!bytes || !memchr(bytes, 0, section->size))
		return false;
	*name = (const char *)bytes;
	length = (strlen(*name) + 1 + 3) / 4 * 4;
	if (!**name || strchr(*name, '/') || section->size < 4 || length > section->size - 4)
		return false;
	*crc = cp_read32(bytes + length);
	return true;
}

static struct cp_error *in_folders(const struct cp_image *image, const char *beside, const char *name,
	const uint32_t *crc, struct cp_image **ret, char **why)
{
	const char *setting = getenv("CPROBE_DEBUG_DIR");
	char *folders = strdup(setting ? setting : CP_DEBUG_DIR), *state = NULL;
	struct cp_error *error = NULL;

	if (!folders)
		return &cp_error_no_memory;
	for (char *f = strtok_r(folders, ":", &state); f && !error && !*ret; f = strtok_r(NULL, ":", &state)) {
		if (!name) {
			error = by_build_id(image, f, ret, why);
		} else {
			char *folder;

			if (asprintf(&folder, "%s%s", f, beside) < 0)
				error = &cp_error_no_memory;
			else {
				error = try_path(image, crc, ret, why, folder, "/", name);
				free(folder);
			}
		}
	}
	free(folders);
	return error;
}

struct cp_error *cp_debugfile_find(const struct cp_image *image, struct cp_image **ret, char **why)
{
	struct cp_error *error;
	struct cp_image *found = NULL;
	const char *name;
	char *real, *slash, *said = NULL;
	uint32_t crc;

	error = in_folders(image, NULL, NULL, NULL, &found, &said);
	if (!error && !found && read_debuglink(image, &name, &crc)) {
		real = realpath(image->path, NULL);
		if (!real && errno == ENOMEM)
			error = &cp_error_no_memory;
		slash = real ? strrchr(real, '/') : NULL;
		if (slash) {
			*slash = 0;
			error = try_path(image, &crc, &found, &said, real, "/", name);
			if (!error)
				error = try_path(image, &crc, &found, &said, real, "/.debug/", name);
			if (!error && !found)
				error = in_folders(image, real, name, &crc, &found, &said);
			if (!error && !found && !said && asprintf(&said, "%s of .gnu_debuglink is neither in %s, nor in its .debug, "
				"nor under %s", name, real, CP_DEBUG_DIR) < 0)
				error = &cp_error_no_memory;
		}
		free(real);
	}
	if (error || found || !why) {
		free(said);
		said = NULL;
	}
	if (error) {
		cp_image_close(found);
		return error;
	}
	if (why)
		*why = said;
	*ret = found;
	return NULL;
}
