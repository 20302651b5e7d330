/*
 * cons.h: the console (kern_cons.c) and its one device, a 16550 at 0x3f8 (uart_dev_ns8250.c).
 */
#ifndef GUEST_CONS_H
#define GUEST_CONS_H

void	cninit(void);
void	cnputc(int c);
int	cngetc(void);		/* waits, polling: for the debugger's prompt */
int	cngetc_intr(void);	/* waits with the CPU halted: for the login prompt */

void	ns8250_init(void);
void	ns8250_putc(int c);
int	ns8250_getc(void);	/* -1: nothing there */
void	ns8250_intr_enable(void);

#define NS8250_IRQ	4

#endif
