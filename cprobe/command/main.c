/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe: parse the command line, call the verb, print what it found. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/help.h"
#include "command/nearest.h"
#include "command/options.h"
#include "command/output.h"
#include "command/verb.h"

#define VERSION_LINE "cprobe " CPROBE_VERSION "\n"

static int report(struct cp_error *error)
{
	int status = cp_error_exit_status(error);

	cp_complain("%s", error->message);
	cp_error_destroy(error);
	return status;
}

static void note(void *context, const char *text)
{
	(void)context;
	cp_complain("%s", text);
}

static int run_verb(const struct cp_options *options)
{
	const struct cp_verb *verb = options->verb;
	struct cp_program *program = NULL;
	struct cp_records records;
	struct cp_error *error;
	int status = -1;

	cp_records_init(&records, options->format == CP_FORMAT_JSON ? CP_FULL : CP_BRIEF);
	error = verb->no_kernel ? NULL : cp_program_open(options->kernel, note, NULL, &program);
	if (!error)
		error = verb->run(program, options, &records, &status);
	if (!error && status < 0)
		error = cp_records_sort(&records);
	if (!error && status < 0) {
		status = records.count ? 0 : 1;
		error = cp_records_print(stdout, &records, options->format);
		if (!records.count)
			cp_complain("%s: %s: nothing matched", options->kernel, verb->name);
	}
	status = cp_output_finish(error ? report(error) : status);
	cp_records_deinit(&records);
	cp_program_close(program);
	return status;
}

/* Whom nobody told what to look up waits for it on standard input; a person at a terminal would not know that. */
static struct cp_error *check_input(const struct cp_options *options)
{
	const struct cp_verb *verb = options->verb;

	if (!verb->words || options->arg_count || verb->waits || verb->no_input || !isatty(STDIN_FILENO))
		return NULL;
	return cp_error_create(CP_ERROR_USAGE, "%s: no %s given, and standard input is a terminal: give %s..., or pipe them in, "
		"one a line", verb->name, verb->words, verb->words);
}

static int run_words(const struct cp_verb *verb, int argc, char **argv)
{
	struct cp_options options;
	bool help;
	struct cp_error *error = cp_options_parse(verb, argc, argv, &options, &help);
	int status;

	if (!error && !help)
		error = check_input(&options);
	if (error) {
		status = report(error);
		if (status == 2)
			cp_help_usage(stderr, verb->name);
	} else if (help) {
		cp_help_print(stdout, verb->name);
		status = cp_output_finish(0);
	} else {
		status = run_verb(&options);
	}
	cp_options_deinit(&options);
	return status;
}

static int no_such_verb(const char *word)
{
	const char *names[32], *nearest;
	size_t count = 0;

	while (cp_verbs[count] && count < sizeof(names) / sizeof(*names)) {
		names[count] = cp_verbs[count]->name;
		count++;
	}
	nearest = cp_nearest(word, names, count);
	if (nearest)
		cp_complain("%s: no such verb: did you mean %s?", word, nearest);
	else
		cp_complain("%s: no such verb", word);
	cp_help_usage(stderr, NULL);
	return 2;
}

/* cprobe help [VERB] */
static int help(int argc, char **argv)
{
	if (argc && !cp_verb_by_name(argv[0]))
		return no_such_verb(argv[0]);
	cp_help_print(stdout, argc ? argv[0] : NULL);
	return cp_output_finish(0);
}

/*
 * Who starts cprobe without a standard input, output or error must not have a kernel opened in its place: what is put
 * there can only be used the wrong way round, and gives an error as a closed one does.
 */
static void occupy_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			exit(3);
	}
}

int main(int argc, char **argv)
{
	const struct cp_verb *verb;

	occupy_standard_files();
	signal(SIGPIPE, SIG_IGN);	/* a reader that went away is told as an error of standard output */
	if (argc < 2) {
		cp_help_usage(stderr, NULL);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version")) {
		fputs(VERSION_LINE, stdout);
		return cp_output_finish(0);
	}
	verb = cp_verb_by_name(argv[1]);
	return verb ? run_words(verb, argc - 2, argv + 2) : no_such_verb(argv[1]);
}
