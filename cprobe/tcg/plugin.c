/*
 * The QEMU TCG plugin: records each entry of the listed functions as a line of a bootsonde trace, without GDB.
 *
 *     -plugin bootsonde-tcg.so,out=TRACE,list=FILE
 *     -plugin bootsonde-tcg.so,out=TRACE,kernel=PATH[,in-file=GLOB]...[,func=GLOB]...[,inlined=include|exclude|only]
 *
 * FILE is what `cprobe list` prints. With kernel=, the plugin lists the functions itself, by libcprobe, as
 * `cprobe list PATH --file GLOB --func GLOB --inlined WHICH` would: the trace is the same. PATH need not be the file that
 * boots, but the ELF file with its names. Globs belong to the kernel= before them. list= and kernel= may be given more
 * than once and together; a place that several name is recorded once. (The key cannot be file=, as cprobe's option is:
 * QEMU takes that for another plugin's file. A comma in a value is written twice, as everywhere in QEMU.)
 *
 * TRACE is JSON Lines, as gdb/bootsonde/model/trace.py reads them. The address is the one the guest runs at, so code that
 * runs before paging at its load address is not seen.
 *
 * vCPUs run in threads of their own. One lock orders their events; it is held for the writing of one line.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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
		    "{\"seq\":%" PRIu64 ",\"t\":%" PRIu64 ",\"vcpu\":%u,\"kind\":\"hit\",\"function\":%s,"
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
on_qemu_exit(qemu_plugin_id_t id, void *userdata)
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

/* A kernel= and what belongs to it. The arrays have room for as many globs as there are arguments. */
struct question {
	const char *kernel;
	struct cp_where where;
	enum cp_inlined inlined;
};

static const char *
ask(struct question *question)
{
	const char *problem = NULL;

	if (question->kernel != NULL)
		problem = entries_list(question->kernel, &question->where, question->inlined, &entries);
	question->kernel = NULL;
	question->where.files.count = question->where.functions.count = 0;
	question->inlined = CP_INLINED_INCLUDE;
	return problem;
}

static const char *
set_inlined(const char *value, struct question *question)
{
	static const char *const words[] = {"include", "exclude", "only"};

	for (int i = 0; i < 3; i++) {
		if (strcmp(words[i], value) == 0) {
			question->inlined = (enum cp_inlined)i;
			return NULL;
		}
	}
	return "give inlined=include, inlined=exclude or inlined=only";
}

/* in-file=, func= and inlined=; *known: it is one of these. */
static const char *
narrow(char *argument, struct question *question, bool *known)
{
	struct cp_globs *globs = NULL;
	const char *value;

	if ((value = value_of(argument, "in-file")) != NULL || (value = value_of(argument, "file")) != NULL)
		globs = &question->where.files;
	else if ((value = value_of(argument, "func")) != NULL)
		globs = &question->where.functions;
	else
		value = value_of(argument, "inlined");
	*known = value != NULL;
	if (value == NULL)
		return NULL;
	if (question->kernel == NULL)
		return "which kernel's? give kernel=PATH before it";
	if (*value == '\0')
		return "its value is empty";
	if (globs == NULL)
		return set_inlined(value, question);
	globs->items[globs->count++] = argument + (value - argument);
	return NULL;
}

/* One argument; what it makes wrong is said. */
static const char *
take(char *argument, struct question *question, const char **out)
{
	const char *value, *problem;
	bool known;

	if ((value = value_of(argument, "list")) != NULL)
		return entries_read(value, &entries);
	if ((value = value_of(argument, "out")) != NULL) {
		*out = value;
		return NULL;
	}
	if ((value = value_of(argument, "kernel")) != NULL) {
		problem = ask(question);
		question->kernel = value;
		return problem;
	}
	problem = narrow(argument, question, &known);
	return known ? problem : "unknown argument; there are list=FILE, kernel=PATH, in-file=GLOB, func=GLOB, inlined=WHICH "
				 "and out=TRACE";
}

/* All arguments, in their order. -1: what is wrong was said. */
static int
take_all(int argc, char **argv, struct question *question, const char **out)
{
	const char *problem;
	bool kernel = false;

	for (int i = 0; i < argc; i++) {
		problem = take(argv[i], question, out);
		if (problem != NULL) {
			bool of_argument = value_of(argv[i], "list") == NULL && value_of(argv[i], "kernel") == NULL;

			complain(of_argument ? argv[i] : problem, of_argument ? problem : NULL);
			return -1;
		}
		kernel |= question->kernel != NULL;
	}
	if ((problem = ask(question)) != NULL) {
		complain(problem, NULL);
		return -1;
	}
	if ((entries.count == 0 && !kernel) || *out == NULL) {
		complain("list=FILE or kernel=PATH, and out=TRACE are needed", NULL);
		return -1;
	}
	entries_sort(&entries);
	return 0;
}

static int
open_trace(const char *out)
{
	trace = fopen(out, "w");
	if (trace == NULL) {
		complain(out, strerror(errno));
		return -1;
	}
	if (fputs("{\"format\":\"bootsonde-trace\",\"version\":1,\"clock\":\"host\",\"scenario\":{\"name\":\"tcg\"}}\n",
	    trace) < 0)
		give_up();
	return 0;
}

int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info_t *info, int argc, char **argv)
{
	struct question question = {.kernel = NULL};
	const char *out = NULL;
	int status;

	(void)info;
	question.where.files.items = calloc((size_t)argc + 1, sizeof(char *));
	question.where.functions.items = calloc((size_t)argc + 1, sizeof(char *));
	if (question.where.files.items == NULL || question.where.functions.items == NULL) {
		complain("out of memory", NULL);
		status = -1;
	} else {
		status = take_all(argc, argv, &question, &out);
	}
	free(question.where.files.items);
	free(question.where.functions.items);
	if (status != 0 || open_trace(out) != 0)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_qemu_exit, NULL);
	return 0;
}
