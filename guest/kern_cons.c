/*
 * kern_cons.c: the console above the serial line: newlines become CR LF, input is waited for.
 */
#include "cons.h"
#include "cpufunc.h"
#include "systm.h"

void
cninit(void)
{
	ns8250_init();
}

void
cnputc(int c)
{
	if (c == '\n')
		ns8250_putc('\r');
	ns8250_putc(c);
}

__noinline int
cngetc(void)
{
	int c;

	while ((c = ns8250_getc()) < 0)
		ia32_pause();
	return (c);
}

/* The test and hlt are under cli, and sti takes effect after hlt has begun: no byte is slept over. */
__noinline int
cngetc_intr(void)
{
	int c;

	for (;;) {
		disable_intr();
		if ((c = ns8250_getc()) >= 0)
			break;
		enable_intr_and_halt();
	}
	enable_intr();
	return (c);
}
