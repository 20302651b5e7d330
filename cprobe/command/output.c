/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command/output.h"
#include "command/verb.h"

static int reason;	/* the first one's errno; later calls may not know it any more */

bool cp_output_flush(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	failed |= fflush(stdout) != 0;
	if (failed && !reason)
		reason = errno;
	return !failed;
}

int cp_output_finish(int status)
{
	if (cp_output_flush())
		return status;
	cp_complain("standard output: %s: the answer is incomplete", reason ? strerror(reason) : "write error");
	return 3;
}
