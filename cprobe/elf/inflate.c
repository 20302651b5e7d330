/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef CPROBE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

#include "elf/inflate.h"
#include "elf/relocate.h"

/* <elf.h> of older systems lacks it. */
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

#define DEFLATE_RATIO 1032
#define ZSTD_RATIO 32768

/* Debug information becomes a few times as large. What is large and becomes much larger than that is there to do harm. */
#define USUAL_RATIO 64u
#define LARGE ((uint64_t)4 << 20)

/* Compressed bytes and what they claim to become. */
struct packed {
	const struct cp_image *image;
	const struct cp_section *section;
	const uint8_t *bytes;
	uint64_t size, claimed;
	uint32_t type;		/* ELFCOMPRESS_* */
};

const struct cp_section *cp_image_debug_section(const struct cp_image *image, const char *name)
{
	const struct cp_section *section = cp_image_section(image, name);

	for (size_t i = 1; !section && *name && i < image->section_count; i++) {
		const char *other = image->sections[i].name;

		if (!strncmp(other, ".z", 2) && !strcmp(other + 2, name + 1))
			section = &image->sections[i];
	}
	return section;
}

/* What the header before the compressed bytes says. p->claimed stays 0 and *plain becomes true: there is none. */
static struct cp_error *read_header(const struct cp_image *image, const struct cp_section *section, struct packed *p,
	bool *plain)
{
	bool wide = image->elf_class == ELFCLASS64;
	uint64_t header = wide ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);

	*p = (struct packed){ .image = image, .section = section, .bytes = cp_section_bytes(image, section),
		.size = section->size };
	*plain = false;
	if (section->flags & SHF_COMPRESSED) {
		if (p->size < header)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: compressed, but its 0x%llx bytes are fewer than "
				"the 0x%llx of a compression header", image->path, section->name, (unsigned long long)p->size,
				(unsigned long long)header);
		p->type = cp_read32(p->bytes);
		p->claimed = wide ? cp_read64(p->bytes + 8) : cp_read32(p->bytes + 4);
	} else if (!strncmp(section->name, ".zdebug_", 8) && p->size >= 12 && !memcmp(p->bytes, "ZLIB", 4)) {
		header = 12;
		p->type = ELFCOMPRESS_ZLIB;
		for (int i = 4; i < 12; i++)
			p->claimed = p->claimed << 8 | p->bytes[i];
	} else {
		*plain = true;
		return NULL;
	}
	p->bytes += header;
	p->size -= header;
	return NULL;
}

/* `real` is what comes out; more: at least one byte more. */
static struct cp_error *wrong_size(const struct packed *p, uint64_t real, bool more)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: claims to decompress to 0x%llx bytes, %s0x%llx come out",
		p->image->path, p->section->name, (unsigned long long)p->claimed, more ? "more than " : "",
		(unsigned long long)real);
}

static struct cp_error *bad_data(const struct packed *p, const char *what)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: its 0x%llx compressed bytes, said to become 0x%llx, "
		"are damaged: %s", p->image->path, p->section->name, (unsigned long long)p->size,
		(unsigned long long)p->claimed, what);
}

static uInt chunk(uint64_t size)
{
	return size > 1u << 30 ? 1u << 30 : (uInt)size;
}

/* One zlib stream, or several one behind the other, as ld -r leaves them. Fills out[0..claimed) or says why not. */
static struct cp_error *unpack_zlib(const struct packed *p, uint8_t *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)p->bytes };
	const uint8_t *end = p->bytes + p->size;
	struct cp_error *error = NULL;
	uint64_t done = 0;
	uint8_t extra;
	int status = inflateInit(&z);

	if (status != Z_OK)
		return &cp_error_no_memory;
	do {
		bool full = done == p->claimed;
		uInt room = full ? 1 : chunk(p->claimed - done);

		z.next_out = full ? &extra : out + done;
		z.avail_out = room;
		z.avail_in = chunk((uint64_t)(end - z.next_in));
		status = inflate(&z, Z_NO_FLUSH);
		if (full && !z.avail_out)
			error = wrong_size(p, done, true);
		else if (!full)
			done += room - z.avail_out;
		if (!error && status == Z_STREAM_END) {
			if (done == p->claimed || z.next_in == end)
				break;
			status = inflateReset(&z);
		}
		if (!error && status != Z_OK)
			error = status == Z_MEM_ERROR ? &cp_error_no_memory : status == Z_BUF_ERROR ?
				bad_data(p, "they end too early") : bad_data(p, z.msg ? z.msg : zError(status));
	} while (!error);
	inflateEnd(&z);
	return error ? error : done == p->claimed ? NULL : wrong_size(p, done, false);
}

#ifdef CPROBE_ZSTD
/* At one go: a stream would allocate the window that the data claims, up to 128 MiB. */
static struct cp_error *unpack_zstd(const struct packed *p, uint8_t *out)
{
	size_t made = ZSTD_decompress(out, p->claimed, p->bytes, p->size);

	if (!ZSTD_isError(made))
		return made == p->claimed ? NULL : wrong_size(p, made, false);
	if (ZSTD_getErrorCode(made) == ZSTD_error_dstSize_tooSmall)
		return wrong_size(p, p->claimed, true);
	return ZSTD_getErrorCode(made) == ZSTD_error_memory_allocation ? &cp_error_no_memory :
		bad_data(p, ZSTD_getErrorName(made));
}
#endif

static struct cp_error *unpack(const struct packed *p, uint8_t **ret)
{
	uint64_t ratio = p->type == ELFCOMPRESS_ZSTD ? ZSTD_RATIO : DEFLATE_RATIO;
	struct cp_error *error;
	uint8_t *out;

	if (p->type != ELFCOMPRESS_ZLIB && p->type != ELFCOMPRESS_ZSTD)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: section %s: compression type %u is unknown, known are zlib "
			"(1) and zstd (2): objcopy --decompress-debug-sections makes a file without", p->image->path, p->section->name,
			p->type);
#ifndef CPROBE_ZSTD
	if (p->type == ELFCOMPRESS_ZSTD)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: section %s: compressed with zstd, and this cprobe was built "
			"without libzstd: objcopy --decompress-debug-sections makes a file without, or install libzstd's "
			"development package and build again", p->image->path, p->section->name);
#endif
	if (p->claimed > LARGE && p->claimed / USUAL_RATIO > p->image->size)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: claims to decompress to 0x%llx bytes, more than %u times "
			"the 0x%llx of the whole file: no compiler's data does", p->image->path, p->section->name,
			(unsigned long long)p->claimed, USUAL_RATIO, (unsigned long long)p->image->size);
	if (p->claimed / ratio > p->size || p->claimed > SIZE_MAX - 1)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: claims to decompress to 0x%llx bytes, its 0x%llx "
			"compressed ones can make %llu times as many at most", p->image->path, p->section->name,
			(unsigned long long)p->claimed, (unsigned long long)p->size, (unsigned long long)ratio);
	out = malloc(p->claimed + 1);
	if (!out)
		return &cp_error_no_memory;
#ifdef CPROBE_ZSTD
	error = p->type == ELFCOMPRESS_ZSTD ? unpack_zstd(p, out) : unpack_zlib(p, out);
#else
	error = unpack_zlib(p, out);
#endif
	if (error) {
		free(out);
		return error;
	}
	*ret = out;
	return NULL;
}

struct cp_error *cp_section_contents(const struct cp_image *image, const struct cp_section *section,
	const uint8_t **ret, uint64_t *size, void **owned)
{
	const uint8_t *bytes = cp_section_bytes(image, section);
	uint8_t *own = NULL;
	struct packed p;
	struct cp_error *error;
	bool plain;

	if (!bytes) {
		*ret = NULL;
		*size = 0;
		*owned = NULL;
		return NULL;
	}
	error = read_header(image, section, &p, &plain);
	if (!error && !plain)
		error = unpack(&p, &own);
	if (error)
		return error;
	if (plain)
		p.claimed = p.size;
	if (plain && cp_section_is_relocated(image, section)) {
		own = malloc(p.size + 1);
		if (!own)
			return &cp_error_no_memory;
		memcpy(own, bytes, p.size);
	}
	if (own)
		error = cp_relocate_section(image, section, own, p.claimed);
	if (error) {
		free(own);
		return error;
	}
	*ret = own ? own : bytes;
	*size = p.claimed;
	*owned = own;
	return NULL;
}
