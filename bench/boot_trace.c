/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a trace in blocks of as many events as a big boot has.
 *
 *	cprobe list KERNEL --inlined exclude | boot_trace EVENTS VCPUS [drop | often | other] >FILE
 *
 * Functions call each other as in a boot: a stack a vCPU, few functions often and many seldom, each entered from one of
 * four places in its caller. The same bytes for the same input. The boot can be another one: without the call in its
 * middle, without each that has one chance in a thousand, or one that goes its own way from the start.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../cprobe/trace/format.h"

#define RECORDS	8192		/* a block of events */
#define STACK	24
#define CALLEES	8		/* of a function */

struct function {
	uint64_t address;
	char *name;
	uint32_t sites;		/* the first one's id + 1; 0: none is defined yet */
	int defined;
};

struct vcpu {
	uint32_t stack[STACK];
	unsigned int depth, records;
	uint64_t t, before;
	struct cp_block block;
	uint8_t bytes[RECORDS * 16];
	size_t size;
};

static struct function *functions;
static size_t function_count, site_count;

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t put(uint8_t *at, uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		at[size++] = (uint8_t)(value | 0x80);
	at[size++] = (uint8_t)value;
	return size;
}

static void write_block(struct cp_block *block, const uint8_t *bytes, size_t size)
{
	block->magic = CP_BLOCK_MAGIC;
	block->size = (uint32_t)size;
	block->check = (uint32_t)crc32(0, bytes, (uInt)size);
	if (fwrite(block, sizeof(*block), 1, stdout) != 1 || fwrite(bytes, 1, size, stdout) != size)
		err(3, "standard output");
}

static void read_functions(void)
{
	char line[8192], name[4096];
	unsigned long long address;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%llx %4095s", &address, name) != 2)
			continue;
		functions = realloc(functions, (function_count + 1) * sizeof(*functions));
		if (!functions)
			err(3, "functions");
		functions[function_count++] = (struct function){ .address = address, .name = strdup(name) };
	}
	if (function_count < 64)
		errx(3, "standard input has no list of functions");
}

static void define_function(uint32_t id)
{
	struct cp_block block = { .count = 1, .kind = CP_BLOCK_FUNCTIONS, .vcpu = CP_BLOCK_NO_VCPU };
	uint8_t bytes[4200];
	size_t length = strlen(functions[id].name), size = put(bytes, id);

	size += put(bytes + size, functions[id].address);
	size += put(bytes + size, length);
	memcpy(bytes + size, functions[id].name, length);
	write_block(&block, bytes, size + length);
	functions[id].defined = 1;
}

static void define_sites(uint32_t id)
{
	struct cp_block block = { .count = 4, .kind = CP_BLOCK_SITES, .vcpu = CP_BLOCK_NO_VCPU };
	uint8_t bytes[128];
	size_t size = 0;

	for (unsigned int i = 0; i < 4; i++) {
		size += put(bytes + size, site_count + i);
		size += put(bytes + size, functions[id].address + 4 + i);
	}
	write_block(&block, bytes, size);
	functions[id].sites = (uint32_t)site_count + 1;
	site_count += 4;
}

static void flush(struct vcpu *v, uint16_t number)
{
	if (!v->records)
		return;
	v->block.kind = CP_BLOCK_EVENTS;
	v->block.flags = CP_BLOCK_HAS_SITES;
	v->block.vcpu = number;
	v->block.count = v->records;
	write_block(&v->block, v->bytes, v->size);
	v->records = 0;
	v->size = 0;
}

/* The same function calls the same others, the first of them most of the time. */
static uint32_t callee(uint32_t caller)
{
	uint64_t pick = next_random() % 64, nth = pick < 32 ? 0 : pick < 48 ? 1 : pick % CALLEES;
	uint64_t mixed = (caller * 0x9e3779b97f4a7c15u + nth * 0xbf58476d1ce4e5b9u) >> 20;

	return (uint32_t)(mixed % (mixed & 1 ? function_count : function_count / 32));
}

static void event(struct vcpu *v, uint16_t number, int left_out)
{
	uint64_t random = next_random();
	uint32_t caller, id, site = 0;

	if (random % 3 == 0 || v->depth == STACK)
		v->depth -= v->depth > 1 ? 1 + random / 8 % (v->depth - 1) : 0;
	caller = v->depth ? v->stack[v->depth - 1] : 0;
	id = v->depth ? callee(caller) : 0;
	if (!functions[id].defined)
		define_function(id);
	if (v->depth) {
		if (!functions[caller].sites)
			define_sites(caller);
		site = functions[caller].sites + (uint32_t)(id % 4);
	}
	v->t += 20 + random / 64 % 300 + (random % 4000000 == 1 ? 200000000 : 0);
	v->stack[v->depth++] = id;
	if (left_out)
		return;
	if (!v->records)
		v->block.t = v->before = v->t;
	v->size += put(v->bytes + v->size, id);
	v->size += put(v->bytes + v->size, v->t - v->before);
	v->size += put(v->bytes + v->size, site);
	v->before = v->t;
	if (++v->records == RECORDS)
		flush(v, number);
}

int main(int argc, char **argv)
{
	static const char header[] = "{\"format\":\"bootsonde-trace\",\"version\":1,\"encoding\":\"blocks\",\"clock\":\"icount\","
		"\"mode\":\"events\",\"listed\":{\"inlined\":\"exclude\"}}\n";
	static const char end[] = "{\"t\":9000000000,\"kind\":\"end\",\"outcome\":\"exit\",\"reason\":\"QEMU ended\"}";
	struct cp_block block = { .count = 1, .kind = CP_BLOCK_END, .vcpu = CP_BLOCK_NO_VCPU };
	unsigned long events = argc >= 3 ? strtoul(argv[1], NULL, 10) : 0, vcpus = argc >= 3 ? strtoul(argv[2], NULL, 10) : 0;
	const char *change = argc == 4 ? argv[3] : "";
	struct vcpu *all;
	uint8_t bytes[256];
	size_t size;

	if (!events || !vcpus || vcpus > 64 || argc > 4)
		errx(2, "usage: boot_trace EVENTS VCPUS [drop | often | other] <LIST >FILE");
	if (!strcmp(change, "other"))
		state = 1234567;
	read_functions();
	all = calloc(vcpus, sizeof(*all));
	if (!all)
		err(3, "vCPUs");
	fputs(header, stdout);
	for (unsigned long i = 0; i < events; i++)
		event(&all[i / 97 % vcpus], (uint16_t)(i / 97 % vcpus), !strcmp(change, "drop") ? i == events / 2 :
			!strcmp(change, "often") && i * 0x9e3779b97f4a7c15u % 1000 == 0);
	for (unsigned long v = 0; v < vcpus; v++)
		flush(&all[v], (uint16_t)v);
	size = put(bytes, sizeof(end) - 1);
	memcpy(bytes + size, end, sizeof(end) - 1);
	write_block(&block, bytes, size + sizeof(end) - 1);
	if (fflush(stdout))
		err(3, "standard output");
	return 0;
}
