/*
 * The QEMU TCG plugin: records each entry of the listed functions as a line of a bootsonde trace, without GDB.
 *
 *     -plugin bootsonde-tcg.so,list=FILE,out=TRACE
 *
 * FILE is what `cprobe list` prints; TRACE is JSON Lines, as gdb/bootsonde/model/trace.py reads them. The address is the
 * one the guest runs at, so code that runs before paging at its load address is not seen.
 *
 * vCPUs run in threads of their own. One lock orders their events; it is held for the writing of one line.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "entries.h"
#include "plugin_api.h"

PLUGIN_EXPORT int qemu_plugin_version = 1;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info_t *info, int argc,
    char **argv);

static struct entries entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *trace;
static uint64_t sequence;
static uint64_t started; /* ns, 0 before the first event */

/*
 * QEMU refuses a plugin whose version it does not know, in both directions: 1 is for QEMU 7.2 to 8.2, and QEMU 9.0 and
 * later, which are told apart by having scoreboards, take 2.
 */
__attribute__((constructor)) static void
choose_version(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new") != NULL)
		qemu_plugin_version = 2;
}

static void
complain(const char *what, const char *why)
{
	fprintf(stderr, "bootsonde-tcg: %s%s%s\n", what, why != NULL ? ": " : "", why != NULL ? why : "");
}

static uint64_t
monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A trace that cannot be written is ended where it is; its missing end record says that it was cut off. */
static void
give_up(void)
{
	complain("the trace cannot be written further", strerror(errno));
	fclose(trace);
	trace = NULL;
}

static void
on_entry(unsigned int vcpu, void *userdata)
{
	const struct entry *entry = userdata;

	pthread_mutex_lock(&lock);
	if (trace != NULL) {
		uint64_t now = monotonic_ns();

		if (started == 0)
			started = now;
		if (fprintf(trace,
		    "{\"seq\":%" PRIu64 ",\"t\":%" PRIu64 ",\"vcpu\":%u,\"kind\":\"hit\",\"function\":\"%s\","
		    "\"address\":\"0x%" PRIx64 "\"}\n",
		    sequence++, now - started, vcpu, entry->name, entry->address) < 0)
			give_up();
	}
	pthread_mutex_unlock(&lock);
}

static void
on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const struct entry *entry = entries_find(&entries, qemu_plugin_insn_vaddr(insn));

		for (; entry != NULL; entry = entries_next(&entries, entry))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_entry, QEMU_PLUGIN_CB_NO_REGS,
			    (void *)(uintptr_t)entry);
	}
}

static void
on_exit(qemu_plugin_id_t id, void *userdata)
{
	(void)id;
	(void)userdata;
	pthread_mutex_lock(&lock);
	if (trace != NULL) {
		uint64_t t = started != 0 ? monotonic_ns() - started : 0;

		if (fprintf(trace,
		    "{\"seq\":%" PRIu64 ",\"t\":%" PRIu64 ",\"kind\":\"end\",\"outcome\":\"exit\","
		    "\"reason\":\"QEMU ended\"}\n",
		    sequence, t) < 0 || fflush(trace) != 0)
			give_up();
		else
			fclose(trace);
		trace = NULL;
	}
	pthread_mutex_unlock(&lock);
}

/* The value of KEY=VALUE, or NULL if the argument is another. */
static const char *
value_of(const char *argument, const char *key)
{
	size_t length = strlen(key);

	return strncmp(argument, key, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info_t *info, int argc, char **argv)
{
	const char *list = NULL, *out = NULL, *problem;

	(void)info;
	for (int i = 0; i < argc; i++) {
		const char *value;

		if ((value = value_of(argv[i], "list")) != NULL)
			list = value;
		else if ((value = value_of(argv[i], "out")) != NULL)
			out = value;
		else {
			complain(argv[i], "unknown argument; there are list=FILE and out=TRACE");
			return -1;
		}
	}
	if (list == NULL || out == NULL) {
		complain("list=FILE and out=TRACE are needed", NULL);
		return -1;
	}
	if ((problem = entries_read(list, &entries)) != NULL) {
		complain(problem, NULL);
		return -1;
	}
	trace = fopen(out, "w");
	if (trace == NULL) {
		complain(out, strerror(errno));
		return -1;
	}
	if (fputs("{\"format\":\"bootsonde-trace\",\"version\":1,\"clock\":\"host\",\"scenario\":{\"name\":\"tcg\"}}\n",
	    trace) < 0)
		give_up();
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit, NULL);
	return 0;
}
