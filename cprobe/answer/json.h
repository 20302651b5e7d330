/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, written. */
#ifndef CPROBE_JSON_H
#define CPROBE_JSON_H

#include "cprobe.h"

/* ', "KEY": "VALUE"'; nothing for NULL. */
void cp_json_key(FILE *out, const char *key, const char *value);

#endif
