/* SPDX-License-Identifier: BSD-2-Clause */
/* The call graph, tables and the reasons why a function did not run. The question is the function. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

/* What ran is told by name: at an address where nothing is. */
static const char trace_text[] = "{\"format\":\"bootsonde-trace\",\"version\":1,\"clock\":\"host\",\"listed\":{\"files\":[]}}\n"
	"{\"seq\":0,\"t\":5,\"vcpu\":0,\"kind\":\"hit\",\"function\":\"_start\",\"address\":\"0x1\"}\n"
	"{\"seq\":1,\"t\":9,\"vcpu\":1,\"kind\":\"hit\",\"function\":\"identify\",\"address\":\"0x2\"}\n"
	"{\"seq\":2,\"t\":9,\"kind\":\"end\",\"outcome\":\"passed\"}\n";
static char path[] = "/tmp/cprobe-fuzz-graph-XXXXXX";

static void remove_trace(void)
{
	unlink(path);
}

static struct cp_trace *open_trace(void)
{
	static struct cp_trace *trace;
	int fd;

	if (trace)
		return trace;
	fd = mkstemp(path);
	FUZZ_ASSERT(fd >= 0 && write(fd, trace_text, strlen(trace_text)) == (ssize_t)strlen(trace_text));
	close(fd);
	atexit(remove_trace);
	FUZZ_ASSERT(!cp_trace_open(path, NULL, NULL, &trace));
	return trace;
}

static void take_why(const struct cp_why *why)
{
	FILE *out = fopen("/dev/null", "w");

	FUZZ_ASSERT(out);
	FUZZ_ASSERT(why->place_count || why->declared);
	for (size_t p = 0; p < why->place_count; p++) {
		for (size_t r = 0; r < why->places[p].reason_count; r++) {
			const struct cp_why_reason *reason = &why->places[p].reasons[r];

			FUZZ_ASSERT(reason->link_count >= 1);
			FUZZ_ASSERT(!reason->ran || (reason->link_count >= 2 && reason->links[0].run.state == CP_DID_RUN));
			FUZZ_ASSERT(reason->links[reason->link_count - 1].run.state != CP_DID_RUN);
		}
	}
	FUZZ_ASSERT(!cp_why_print(out, why, CP_FORMAT_TEXT));
	FUZZ_ASSERT(!cp_why_print(out, why, CP_FORMAT_JSON));
	FUZZ_ASSERT(!cp_why_print(out, why, CP_FORMAT_GDB));
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_trace *trace = open_trace();
	struct fuzz_kernel kernel;
	struct cp_records records;
	struct cp_error *error;
	struct cp_why why;
	size_t left_out;

	fuzz_kernel_init(data, size, &kernel);
	error = cp_why(kernel.program, trace, kernel.question, 8, &why);
	if (!error) {
		take_why(&why);
		cp_why_deinit(&why);
	}
	fuzz_take_error(error);
	for (int i = 0; i < 2; i++) {
		cp_records_init(&records, CP_FULL);
		fuzz_take_error(cp_next(kernel.program, trace, i ? kernel.question : NULL, 16, &records, &left_out));
		FUZZ_ASSERT(records.count <= 16);
		fuzz_take_records(&records, FUZZ_AS_THEY_ARE);
		cp_records_deinit(&records);
	}
	fuzz_kernel_deinit(&kernel);
	return 0;
}
