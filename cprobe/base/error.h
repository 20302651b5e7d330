/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors are made by cp_error_create() of cprobe.h; this is what their messages and notes share. */
#ifndef CPROBE_ERROR_H
#define CPROBE_ERROR_H

#include "cprobe.h"

/* Names come from files that may lie: control characters, which a terminal would obey, become "?". */
void cp_one_line(char *text);

#endif
