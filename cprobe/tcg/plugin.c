/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The QEMU TCG plugin: records the entries of functions as a bootsonde trace, without GDB.
 *
 *     -plugin bootsonde-tcg.so,out=TRACE,list=FILE[,...]
 *     -plugin bootsonde-tcg.so,out=TRACE,kernel=PATH[,in-file=GLOB]...[,func=GLOB]...[,inlined=WHICH][,...]
 *
 *	list=FILE	what `cprobe list` prints
 *	kernel=PATH	the functions of this kernel, as `cprobe list PATH --file GLOB --func GLOB --inlined WHICH` finds them;
 *			without globs all. PATH need not be the file that boots, but the ELF file with its names. With
 *			inlined=exclude and no in-file= the symbol table alone is read, which is much quicker.
 *	header=FILE	a JSON object, whose members go into the trace's header: what the caller knows of kernel and QEMU
 *	mode=counts	coverage alone: how often and when first; mode=events is the other one
 *	callers=no	do not note the calling instruction; noted where QEMU is 9.1 or later
 *	args=yes	note argument registers and return address: QEMU 9.0 or later
 *	mem=NAME@REGISTER+OFFSET:SIZE	and memory at an address that a register holds: QEMU 9.2 or later
 *	console=FILE	the serial port's log file, whose lines are put among the events
 *	until=TEXT	end the recording when the console shows this; may be given more than once
 *	limit=N, stop-at=ADDRESS	end it after so many events, or with that function's entry
 *	status=FILE	how far it is, one line of JSON in place, ten times a second
 *	icount-shift=N	under icount, where QEMU itself does not tell
 *
 * Globs belong to the kernel= before them. list= and kernel= may be given more than once and together; a place that
 * several name is recorded once. (The key cannot be file=, as cprobe's option is: QEMU takes that for another plugin's
 * file. A comma in a value is written twice, as everywhere in QEMU.)
 *
 * TRACE is in blocks: ../trace/format.h. Of a kernel, code that runs before paging where it is loaded is told by where it
 * is linked; of a list=, only what runs at the addresses listed is seen.
 *
 * vCPUs run in threads of their own; each has a ring (record.c), which a thread empties into the trace (writer.c).
 */
#include "plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "clock.h"
#include "console.h"
#include "counts.h"
#include "insn.h"
#include "plugin_api.h"
#include "record.h"
#include "sites.h"
#include "writer.h"

PLUGIN_EXPORT int qemu_plugin_version = 1;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info_t *info, int argc,
    char **argv);

#define INSN_DATA_COPIES 3	/* the version since which qemu_plugin_insn_data() copies */

int plugin_version;
static struct arguments arguments;
static unsigned int vcpus;
static bool has_callers;
static pthread_once_t begun = PTHREAD_ONCE_INIT;
static pthread_mutex_t translating = PTHREAD_MUTEX_INITIALIZER;

/* QEMU refuses a plugin whose version it does not know, in both directions: it is told the one that it offers. */
__attribute__((constructor)) static void
choose_version(void)
{
	if (qemu_plugin_scoreboard_new != NULL)
		qemu_plugin_version = 2;
	if (qemu_plugin_register_vcpu_insn_exec_cond_cb != NULL)
		qemu_plugin_version = 3;
	if (qemu_plugin_read_memory_vaddr != NULL)
		qemu_plugin_version = 4;
	if (qemu_plugin_write_memory_vaddr != NULL)
		qemu_plugin_version = 5;
	if (qemu_plugin_set_pc != NULL)
		qemu_plugin_version = 6;
}

void
complain(const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	fprintf(stderr, "bootsonde-tcg: %s\n", text);
}

static struct cp_error *
start(void)
{
	struct record_options options = {
		.vcpus = vcpus, .has_callers = has_callers, .has_values = arguments.has_values, .limit = arguments.limit,
		.stop = arguments.has_stop ? entries_find(&arguments.entries, arguments.stop) : NULL,
	};
	struct header header = {
		.kernel = arguments.kernel, .build_id = arguments.build_id, .more = arguments.more,
		.is_counting = arguments.is_counting, .has_callers = has_callers, .has_values = arguments.has_values,
		.functions = arguments.entries.count, .listed = &arguments.listed,
	};
	struct cp_error *error = clock_start(vcpus, arguments.icount_shift);
	char *line = NULL;

	if (error == NULL)
		error = record_init(&options, &arguments.entries);
	if (error == NULL && arguments.is_counting)
		error = counts_init(vcpus, &arguments.entries);
	if (error == NULL && has_callers)
		error = sites_init();
	if (error == NULL)
		error = header_make(&header, &line);
	if (error == NULL)
		error = writer_start(line);
	free(line);
	return error;
}

/* Not at installation: QEMU sets icount up later. */
static void
begin(void)
{
	struct cp_error *error = start();

	if (error == NULL)
		return;
	complain("%s", error->message);
	_Exit(1);
}

/* Before version 3, qemu_plugin_insn_data() took nothing more, and returned where the bytes are. */
typedef const void *(*old_insn_data_fn)(const struct qemu_plugin_insn *insn);

static const uint8_t *
old_insn_data(const struct qemu_plugin_insn *insn)
{
	static old_insn_data_fn function;

	if (function == NULL)
		*(void **)&function = dlsym(RTLD_DEFAULT, "qemu_plugin_insn_data");
	return function(insn);
}

/* The instruction's bytes, in `copy` or where QEMU has them. */
static const uint8_t *
bytes_of(const struct qemu_plugin_insn *insn, uint8_t copy[INSN_MAX], size_t *size)
{
	*size = qemu_plugin_insn_size(insn);
	if (*size > INSN_MAX)
		*size = INSN_MAX;
	if (plugin_version < INSN_DATA_COPIES)
		return old_insn_data(insn);
	*size = qemu_plugin_insn_data(insn, copy, *size);
	return copy;
}

static enum insn_kind
decode(const struct qemu_plugin_insn *insn, uint64_t address, uint64_t *target)
{
	uint8_t copy[INSN_MAX] = { 0 };
	size_t size;
	const uint8_t *bytes = bytes_of(insn, copy, &size);

	return insn_decode(bytes, size, address, target);
}

/* Where is it noted that this instruction leads to a function, so that only the next entry takes it for its caller? */
static void
note_site(struct qemu_plugin_insn *insn, enum insn_kind kind, uint64_t address, uint64_t target)
{
	/* Without all entries, an indirect call to a function that is not listed would be told of a later one. */
	if (kind == INSN_INDIRECT && arguments.knows_all)
		record_site(insn, sites_number(address, 0));
	else if (kind == INSN_DIRECT && entries_find(&arguments.entries, target) != NULL)
		record_site(insn, sites_number(address, target));
}

static void
on_stop(unsigned int vcpu, void *userdata)
{
	counts_last(vcpu, userdata);
	record_stop(userdata);
}

static void
note_entry(struct qemu_plugin_insn *insn, uint64_t address)
{
	const struct entry *entry = entries_find(&arguments.entries, address);

	if (entry == NULL) {
		if (has_callers && arguments.known.count != 0 && entries_find(&arguments.known, address) != NULL)
			record_site(insn, 0);
		return;
	}
	if (!arguments.is_counting) {
		record_at(insn, entry);
		return;
	}
	if (arguments.has_stop && address == arguments.stop)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_stop, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)entry);
	else
		counts_at(insn, entry);
}

/*
 * What to add to this code's addresses for those that it is linked at: until the kernel has turned paging on it runs where
 * it is loaded. Later other code runs there, a user's program for one; so it has to be the file's, byte by byte.
 */
static uint64_t
slide(const struct qemu_plugin_tb *tb, size_t count)
{
	const struct load *load = entries_load_at(&arguments.entries, qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)));

	for (size_t i = 0; i < count && load != NULL; i++) {
		const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn) - load->physical;
		uint8_t copy[INSN_MAX];
		size_t size;
		const uint8_t *bytes = bytes_of(insn, copy, &size);

		if (at >= load->size || size > load->size - at || memcmp(bytes, load->bytes + at, size) != 0)
			return 0;
	}
	return load != NULL ? load->virtual - load->physical : 0;
}

/*
 * May the instruction write to a serial port? Those of a PC are above 0x2e0, so that one that names its port does not: the
 * timer's, for example, to which a kernel that waits by it writes all the time, and a look at the console costs a microsecond.
 */
static bool
may_print(enum insn_kind kind, uint64_t port)
{
	return kind == INSN_OUT && port == 0;
}

/*
 * Is this where an instruction that may print goes on? Under icount such an instruction ends its block, and what
 * follows it is translated later. Two that share a slot have a line of the console noted later, no more.
 */
static bool
follows_output(uint64_t address, bool prints, uint64_t next)
{
	static uint64_t behind[256];	/* under `translating` */
	const size_t mask = sizeof(behind) / sizeof(behind[0]) - 1;
	bool follows = behind[address & mask] == address;

	if (prints)
		behind[next & mask] = next;
	return follows;
}

/* May the block have an entry of those listed, or known? Few do where few are listed. */
static bool
enters(const struct qemu_plugin_tb *tb, size_t count, uint64_t moved)
{
	uint64_t first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0)) + moved;
	uint64_t last = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, count - 1)) + moved;

	return first > last || entries_within(&arguments.entries, first, last) ||
	    (has_callers && entries_within(&arguments.known, first, last));
}

static void
on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	uint64_t moved = slide(tb, count);
	bool has_entry = enters(tb, count, moved), decodes;

	(void)id;
	pthread_once(&begun, begin);
	decodes = has_callers || arguments.console != NULL || host_clock.is_virtual;
	if (!decodes && !has_entry)
		return;
	pthread_mutex_lock(&translating);
	if (host_clock.is_virtual)
		clock_translate(tb, (unsigned int)count);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn) + moved, target = 0;

		if (has_entry)
			note_entry(insn, address);
		if (decodes) {
			enum insn_kind kind = decode(insn, address, &target);
			bool prints = may_print(kind, target);

			if (has_callers)
				note_site(insn, kind, address, target);
			if (arguments.console != NULL && (follows_output(address, prints, address + qemu_plugin_insn_size(insn)) ||
			    prints || kind == INSN_HALT))
				qemu_plugin_register_vcpu_insn_exec_cb(insn, console_look, QEMU_PLUGIN_CB_NO_REGS, NULL);
			if (kind == INSN_OUT && host_clock.is_virtual)
				qemu_plugin_register_vcpu_insn_exec_cb(insn, record_out, QEMU_PLUGIN_CB_NO_REGS,
				    (void *)(uintptr_t)address);
			if (kind == INSN_HALT && host_clock.is_virtual)
				qemu_plugin_register_vcpu_insn_exec_cb(insn, clock_halts, QEMU_PLUGIN_CB_NO_REGS, NULL);
		}
	}
	pthread_mutex_unlock(&translating);
}

static void
on_shutdown(struct qemu_notifier *notifier, void *cause)
{
	(void)notifier;
	if (*(const int *)cause >= SHUTDOWN_CAUSE_GUEST)
		record_guest_ends(*(const int *)cause);
}

static void
on_qemu_exit(qemu_plugin_id_t id, void *userdata)
{
	(void)id;
	(void)userdata;
	pthread_once(&begun, begin);	/* a guest that never ran leaves a trace without events */
	writer_finish();
	clock_stop();
}

static struct cp_error *
check(const struct qemu_plugin_info_t *info)
{
	if (info->version.min > PLUGIN_NEWEST || info->version.cur > PLUGIN_NEWEST || info->version.cur < 1)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "this QEMU's plugin API has version %d, and versions 1 to %d are "
			"known: use QEMU 7.2 to 11.0, or a newer bootsonde", info->version.cur, PLUGIN_NEWEST);
	if (!info->system_emulation)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "this QEMU runs programs, not kernels: use qemu-system-x86_64");
	if (strcmp(info->target_name, "x86_64") != 0 && strcmp(info->target_name, "i386") != 0)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "guests are x86-64 or i386, and not %s", info->target_name);
	return NULL;
}

static struct cp_error *
install(const struct qemu_plugin_info_t *info, int argc, char **argv)
{
	struct writer_options options;
	struct cp_error *error = check(info);

	if (error != NULL)
		return error;
	plugin_version = info->version.cur;
	vcpus = (unsigned int)info->system.max_vcpus;
	has_callers = qemu_plugin_register_vcpu_insn_exec_cond_cb != NULL;
	error = arguments_read(argc, argv, has_callers, &arguments);
	if (error != NULL)
		return error;
	has_callers &= !arguments.is_counting && arguments.callers != CALLERS_NO;
	if (arguments.callers == CALLERS_YES && !has_callers)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "callers=yes: this QEMU cannot note calls: use QEMU 9.1 or later, "
			"or leave it out");
	if (arguments.console != NULL)
		console_init(arguments.console, arguments.until, arguments.until_count);
	options = (struct writer_options){
		.out = arguments.out, .status = arguments.status, .vcpus = vcpus, .has_callers = has_callers,
		.has_values = arguments.has_values, .is_counting = arguments.is_counting, .entries = &arguments.entries,
	};
	return writer_open(&options);
}

static struct qemu_notifier shutdown_notifier = { .notify = on_shutdown };

int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info_t *info, int argc, char **argv)
{
	struct cp_error *error = install(info, argc, argv);

	if (error != NULL) {
		complain("%s", error->message);
		return -1;
	}
	if (qemu_register_shutdown_notifier != NULL)
		qemu_register_shutdown_notifier(&shutdown_notifier);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_qemu_exit, NULL);
	return 0;
}
