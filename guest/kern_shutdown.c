/*
 * kern_shutdown.c: panic, and the end of a run: a summary on the console and a status through debugexit.c.
 */
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

const char *panicstr;		/* not NULL: panicking */
static char panic_buffer[160];

/* Summary, status; where there is no isa-debug-exit device the CPU halts for good. */
__noinline void
kern_reboot(int passed)
{
	passed &= selftest_summary();
	debug_exit(passed);
	printf("The operating system has halted.\n");
	cpu_halt();
}

__noinline void
vpanic(const char *format, va_list ap)
{
	disable_intr();
	if (panicstr != NULL) {		/* a panic inside panic: nothing more can be trusted */
		debug_exit(false);
		cpu_halt();
	}
	vsnprintf(panic_buffer, sizeof(panic_buffer), format, ap);
	panicstr = panic_buffer;
	printf("panic: %s\n", panicstr);
	printf("cpuid = %u\n", PCPU_GET(cpuid));
	kdb_backtrace((uint64_t)(uintptr_t)__builtin_frame_address(0));
	kdb_enter("panic", "panic");
	selftest_record("boot", false);
	kern_reboot(false);
}

__noinline void
panic(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vpanic(format, ap);
}

__noinline void
kassert_panic(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vpanic(format, ap);
}
