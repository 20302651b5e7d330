/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * graph_edges KERNEL: every direct call and tail jump from one function's code to another one's entry, "call 0xSITE 0xENTRY"
 * a line, for tests that compare them with a disassembler's.
 */
#include <inttypes.h>
#include <stdio.h>

#include "graph/graph.h"

int main(int argc, char **argv)
{
	static const char *const names[] = { "call", "jump", "address", "word", "offset" };
	struct cp_program *program = NULL;
	struct cp_graph graph = { .ref_count = 0 };
	struct cp_error *error;
	int status = 0;

	if (argc != 2) {
		fputs("usage: graph_edges KERNEL\n", stderr);
		return 2;
	}
	error = cp_program_open(argv[1], NULL, NULL, &program);
	if (!error)
		error = cp_program_need_all(program);
	if (!error) {
		cp_program_begin(program);
		error = cp_program_end(program, cp_graph_init(program, &graph));
	}
	for (uint32_t i = 0; i < graph.ref_count && !error; i++) {
		if (cp_ref_is_sound(&graph, i))
			printf("%s 0x%" PRIx64 " 0x%" PRIx64 "\n", names[graph.refs[i].kind], cp_ref_site(&graph.refs[i]),
				graph.functions.items[graph.refs[i].target].start);
	}
	if (error) {
		fprintf(stderr, "%s\n", error->message);
		status = cp_error_exit_status(error);
	}
	cp_error_destroy(error);
	if (program)
		cp_graph_deinit(&graph);
	cp_program_close(program);
	return status;
}
