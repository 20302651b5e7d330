/*
 * subr_kdb.c: what a kernel debugger shows first: the stack by frame pointers, and with guest.kdb=1 a `db> ` prompt.
 */
#include "cons.h"
#include "machine.h"
#include "systm.h"

#define BACKTRACE_DEPTH	32

struct frame {
	const struct frame	*f_caller;
	uint64_t		f_retaddr;
};

/* Frames grow towards higher addresses inside the kernel's own range; anything else ends the walk. */
__noinline void
kdb_backtrace(uint64_t start)
{
	const struct frame *frame = (const struct frame *)(uintptr_t)start;

	printf("KDB: stack backtrace:\n");
	for (int depth = 0; depth < BACKTRACE_DEPTH; depth++) {
		uint64_t at = (uint64_t)(uintptr_t)frame;

		if (at < KERNBASE || at % sizeof(uint64_t) != 0 || frame->f_retaddr < KERNBASE)
			break;
		printf("#%d 0x%lx at frame 0x%lx\n", depth, frame->f_retaddr, at);
		if ((uint64_t)(uintptr_t)frame->f_caller <= at)
			break;
		frame = frame->f_caller;
	}
}

static void
db_command(const char *line)
{
	if (strcmp(line, "bt") == 0)
		kdb_backtrace((uint64_t)(uintptr_t)__builtin_frame_address(0));
	else if (strcmp(line, "reset") == 0)
		cpu_reset();
	else if (strcmp(line, "panic") == 0)
		kern_reboot(false);
	else if (line[0] != '\0')
		printf("No such command; the commands are bt, c, panic, reset\n");
}

/* Reads commands until `c` continues. Without guest.kdb=1 it returns at once. */
__noinline void
kdb_enter(const char *why, const char *message)
{
	char line[32];
	size_t length = 0;
	int enabled = 0;

	if (!getenv_int("guest.kdb", &enabled) || enabled == 0)
		return;
	printf("KDB: enter: %s\n[ cpu %u: %s ]\ndb> ", message, PCPU_GET(cpuid), why);
	for (;;) {
		int c = cngetc();

		if (c == '\r' || c == '\n') {
			line[length] = '\0';
			length = 0;
			printf("\n");
			if (strcmp(line, "c") == 0)
				return;
			db_command(line);
			printf("db> ");
		} else if (length + 1 < sizeof(line)) {
			line[length++] = (char)c;
			cnputc(c);
		}
	}
}
