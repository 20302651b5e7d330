/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard output, of which nothing may be lost silently: a full disk or a closed pipe is an error like another. */
#ifndef CPROBE_COMMAND_OUTPUT_H
#define CPROBE_COMMAND_OUTPUT_H

#include <stdbool.h>

/* False: it cannot be written, now or before. cp_output_finish() says why. */
bool cp_output_flush(void);

/* Flush; the exit status is then `status`, or 3 with a complaint. */
int cp_output_finish(int status);

#endif
