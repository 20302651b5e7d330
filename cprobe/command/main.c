/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe: parse the command line, call the verb, print what it found. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"
#include "command/verb.h"

#define VERSION_LINE "cprobe " CPROBE_VERSION "\n"

static void print_usage(FILE *out)
{
	fputs("usage: cprobe VERB KERNEL ... [--format text|json|gdb]\n\n", out);
	for (size_t i = 0; cp_verbs[i]; i++)
		fprintf(out, "  cprobe %-9s %s\n", cp_verbs[i]->name, cp_verbs[i]->usage);
	fputs("\nKERNEL is an ELF file; its debug file is found by build-id or .gnu_debuglink. cprobe VERB --help says more.\n"
		"Exit status: 0 something found, 1 nothing matched, 2 usage, 3 unreadable or malformed file.\n", out);
}

static int report(struct cp_error *error)
{
	int status = cp_error_exit_status(error);

	cp_complain("%s", error->message);
	cp_error_destroy(error);
	return status;
}

/* Nothing that was printed may be lost silently: a full disk or a closed pipe is an error like another. */
static int finish_output(int status)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (!fflush(stdout) && !failed)
		return status;
	cp_complain("standard output: %s: the answer is incomplete", errno ? strerror(errno) : "write error");
	return 3;
}

static void note(void *context, const char *text)
{
	(void)context;
	cp_complain("%s", text);
}

static int run_verb(const struct cp_verb *verb, const struct cp_options *options)
{
	struct cp_program *program = NULL;
	struct cp_records records;
	struct cp_error *error;
	int status = -1;

	cp_records_init(&records, options->format == CP_FORMAT_JSON ? CP_FULL : CP_BRIEF);
	error = cp_program_open(options->kernel, note, NULL, &program);
	if (!error)
		error = verb->run(program, options, &records, &status);
	if (!error && status < 0)
		error = cp_records_sort(&records);
	if (!error && status < 0) {
		status = records.count ? 0 : 1;
		cp_records_print(stdout, &records, options->format);
		if (!records.count)
			cp_complain("%s: %s: nothing matched", options->kernel, verb->name);
	}
	status = finish_output(error ? report(error) : status);
	cp_records_deinit(&records);
	cp_program_close(program);
	return status;
}

int main(int argc, char **argv)
{
	const struct cp_verb *verb = NULL;
	struct cp_options options;
	struct cp_error *error;
	bool help = false;
	int status;

	signal(SIGPIPE, SIG_IGN);	/* a reader that went away is told as an error of standard output */
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))) {
		print_usage(stdout);
		return finish_output(0);
	}
	if (argc >= 2 && !strcmp(argv[1], "--version")) {
		fputs(VERSION_LINE, stdout);
		return finish_output(0);
	}
	for (size_t i = 0; argc >= 2 && cp_verbs[i]; i++) {
		if (!strcmp(cp_verbs[i]->name, argv[1]))
			verb = cp_verbs[i];
	}
	if (!verb) {
		if (argc >= 2)
			cp_complain("%s: no such verb", argv[1]);
		print_usage(stderr);
		return 2;
	}
	error = cp_options_parse(verb, argc - 2, argv + 2, &options, &help);
	if (error) {
		status = report(error);
		fprintf(stderr, "usage: cprobe %s %s [--format text|json|gdb]\n", verb->name, verb->usage);
	} else if (help) {
		printf("usage: cprobe %s %s [--format text|json|gdb]\n\n%s\n", verb->name, verb->usage, verb->help);
		status = finish_output(0);
	} else {
		status = run_verb(verb, &options);
	}
	cp_options_deinit(&options);
	return status;
}
