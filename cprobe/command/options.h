/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line after the verb: --name VALUE or --name=VALUE, before or after the positional ones; "--" ends. */
#ifndef CPROBE_OPTIONS_H
#define CPROBE_OPTIONS_H

#include "command/verb.h"

/*
 * Fill *options, always valid for cp_options_deinit() afterwards. With --help, *help is set and nothing else is
 * asked for. The strings are argv's; argv's array is reordered.
 */
struct cp_error *cp_options_parse(const struct cp_verb *verb, int argc, char **argv, struct cp_options *options,
	bool *help);
void cp_options_deinit(struct cp_options *options);

#endif
