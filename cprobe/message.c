#include "message.h"
struct cp_error *cp_message_find(struct cp_program *program, const struct cp_code *code,
	const struct cp_options *options, struct cp_records *records)
{
	(void)program; (void)code; (void)options; (void)records;
	return NULL;
}
