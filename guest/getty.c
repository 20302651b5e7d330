/*
 * getty.c: the login prompt on the serial line. Nobody can log in; `exit` or `poweroff` ends the run, Ctrl-C gives a
 * new prompt.
 */
#include "clock.h"
#include "cons.h"
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

#define CTRL_C		0x03
#define BACKSPACE	0x08
#define DELETE		0x7f

static bool tests_passed;

static void
login(const char *name)
{
	if (strcmp(name, "exit") == 0 || strcmp(name, "poweroff") == 0) {
		debug_exit(tests_passed);
		printf("The operating system has halted.\n");
		cpu_halt();
	} else if (strcmp(name, "reboot") == 0)
		cpu_reset();
	else if (strcmp(name, "panic") == 0)
		panic("from the console");
	else if (name[0] != '\0')
		printf("Login incorrect\n");
}

__noinline void
getty(void)
{
	char line[64];
	size_t length = 0;
	int leave = 0;

	tests_passed = selftest_summary();
	printf("login: ");
	getenv_int("guest.exit", &leave);
	if (leave != 0) {
		printf("\n");
		debug_exit(tests_passed);
	}
	ioapic_enable_intr(NS8250_IRQ, IDT_IO_INTS + NS8250_IRQ, PCPU_GET(apic_id));
	ns8250_intr_enable();
	for (;;) {
		int c = cngetc_intr();

		if (c == CTRL_C) {
			printf("^C\nlogin: ");
			length = 0;
		} else if (c == '\r' || c == '\n') {
			line[length] = '\0';
			length = 0;
			printf("\n");
			login(line);
			printf("login: ");
		} else if ((c == BACKSPACE || c == DELETE) && length > 0) {
			printf("\b \b");
			length--;
		} else if (c >= ' ' && c < DELETE && length + 1 < sizeof(line)) {
			line[length++] = (char)c;
			cnputc(c);
		}
	}
}
