/* SPDX-License-Identifier: BSD-2-Clause */
/* See values.h. */
#include "values.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plugin_api.h"
#include "plugin.h"

#define REGISTERS	18
#define BASES		17	/* the first ones, which may hold addresses */
#define FIRST_FLAGGED	6	/* the version since which a descriptor has a flag more */

static const char *const names[REGISTERS] = {
	"rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", "rbx", "rbp", "rsp", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
	"efer",
};
#define ARGUMENTS	6
#define RSP		9
#define EFER		17
#define EFER_LMA	(1u << 10)	/* long mode is on */

/* Memory at register + offset. */
struct place {
	const char *name;
	int name_length, base;
	int64_t offset;
	size_t size;	/* 0: that of an address, as the vCPU pushes it */
};

static struct place places[VALUES_MAX - ARGUMENTS];
static size_t place_count;

/* Of a thread that runs vCPUs; QEMU gives handles in one. They are the same for all vCPUs of a machine. */
static _Thread_local struct qemu_plugin_register *handles[REGISTERS];
static _Thread_local GByteArray *buffer;

struct cp_error *
values_init(void)
{
	if (qemu_plugin_get_registers == NULL || qemu_plugin_read_register == NULL)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "args=yes: this QEMU does not show registers to plugins: use "
			"QEMU 9.0 or later, or leave args out");
	if (g_array_free == NULL || g_byte_array_new == NULL || g_byte_array_set_size == NULL)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "args=yes: this QEMU does not show GLib to plugins, whose "
			"arrays it gives registers in: leave args out");
	if (qemu_plugin_read_memory_vaddr != NULL)
		places[place_count++] = (struct place){ "return", 6, RSP, 0, 0 };
	return NULL;
}

static struct cp_error *
malformed(const char *text)
{
	return cp_error_create(CP_ERROR_USAGE, "mem=%s: give NAME@REGISTER+OFFSET:SIZE, SIZE 1, 2, 4 or 8, such as "
		"flags@rdi+0x10:4", text);
}

struct cp_error *
values_add_memory(const char *text)
{
	const char *at = strchr(text, '@'), *name;
	struct place place = { .name = text, .base = -1 };
	char *end;
	size_t length;

	if (qemu_plugin_read_memory_vaddr == NULL)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "mem=%s: this QEMU does not show memory to plugins: use QEMU "
			"9.2 or later", text);
	if (place_count == sizeof(places) / sizeof(places[0]))
		return cp_error_create(CP_ERROR_USAGE, "mem=%s: more than %zu values", text, place_count);
	if (at == NULL || at == text || strpbrk(text, "\"\\") != NULL)
		return malformed(text);
	place.name_length = (int)(at - text);
	name = at + 1;
	length = strcspn(name, "+-:");
	for (int i = 0; i < BASES; i++)
		if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
			place.base = i;
	if (place.base < 0)
		return cp_error_create(CP_ERROR_USAGE, "mem=%s: there is no register %.*s; give one such as rdi", text,
			(int)length, name);
	errno = 0;
	end = (char *)name + length;
	if (*end != ':')
		place.offset = strtoll(end, &end, 0);
	if (*end != ':' || errno != 0)
		return malformed(text);
	place.size = strtoul(end + 1, &end, 10);
	if (*end != '\0' || (place.size != 1 && place.size != 2 && place.size != 4 && place.size != 8))
		return malformed(text);
	places[place_count++] = place;
	return NULL;
}

void
values_print(FILE *out)
{
	fputc('[', out);
	for (int i = 0; i < ARGUMENTS; i++)
		fprintf(out, "%s\"%s\"", i > 0 ? "," : "", names[i]);
	for (size_t i = 0; i < place_count; i++)
		fprintf(out, ",\"%.*s\"", places[i].name_length, places[i].name);
	fputc(']', out);
}

static void
find_handles(void)
{
	size_t step = plugin_version < FIRST_FLAGGED ? sizeof(qemu_plugin_reg_descriptor) :
		sizeof(qemu_plugin_reg_descriptor) + sizeof(void *);
	GArray *found = qemu_plugin_get_registers();

	buffer = g_byte_array_new();
	for (unsigned int i = 0; i < found->len; i++) {
		qemu_plugin_reg_descriptor *descriptor = (void *)(found->data + i * step);

		for (int k = 0; k < REGISTERS; k++)
			if (descriptor->name != NULL && strcmp(descriptor->name, names[k]) == 0)
				handles[k] = descriptor->handle;
	}
	g_array_free(found, 1);
}

/* Registers are little-endian, and of 4 bytes where the guest is not in 64-bit mode. */
static bool
read_register(int number, uint64_t *ret)
{
	*ret = 0;
	if (handles[number] == NULL)
		return false;
	g_byte_array_set_size(buffer, 0);
	qemu_plugin_read_register(handles[number], buffer);
	if (buffer->len == 0 || buffer->len > sizeof(*ret))
		return false;
	memcpy(ret, buffer->data, buffer->len);
	return true;
}

static size_t
address_size(void)
{
	uint64_t efer;

	return read_register(EFER, &efer) && (efer & EFER_LMA) == 0 ? 4 : 8;
}

static bool
read_place(const struct place *place, uint64_t *ret)
{
	size_t size = place->size != 0 ? place->size : address_size();
	uint64_t base;

	*ret = 0;
	if (!read_register(place->base, &base))
		return false;
	g_byte_array_set_size(buffer, (unsigned int)size);
	if (!qemu_plugin_read_memory_vaddr(base + (uint64_t)place->offset, buffer, size) || buffer->len < size)
		return false;
	memcpy(ret, buffer->data, size);
	return true;
}

size_t
values_read(unsigned int vcpu, uint64_t *ret)
{
	size_t count = 0;

	(void)vcpu;
	if (buffer == NULL)
		find_handles();
	for (int i = 0; i < ARGUMENTS; i++, count++)
		if (!read_register(i, &ret[count]))
			return count;
	for (size_t i = 0; i < place_count; i++, count++)
		if (!read_place(&places[i], &ret[count]))
			return count;
	return count;
}
