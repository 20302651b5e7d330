/*
 * uart_dev_ns8250.c: the serial line, a 16550 at 0x3f8 (National Semiconductor PC16550D data sheet).
 * Output polls; input raises IRQ 4 once ns8250_intr_enable has run.
 */
#include "cons.h"
#include "cpufunc.h"
#include "systm.h"

#define NS8250_BASE	0x3f8
#define REG_DATA	0	/* divisor low with DLAB */
#define REG_IER		1	/* divisor high with DLAB */
#define  IER_ERXRDY	0x01
#define REG_FCR		2
#define  FCR_ENABLE	0x01
#define  FCR_RCV_RST	0x02
#define  FCR_XMT_RST	0x04
#define REG_LCR		3
#define  LCR_8BITS	0x03
#define  LCR_DLAB	0x80
#define REG_MCR		4
#define  MCR_DTR	0x01
#define  MCR_RTS	0x02
#define  MCR_IE		0x08	/* OUT2: the interrupt line is connected */
#define REG_LSR		5
#define  LSR_RXRDY	0x01
#define  LSR_THRE	0x20

#define DIVISOR_115200	1
#define PUTC_SPINS	1000000	/* a line that never drains must not stop the kernel */

void
ns8250_init(void)
{
	outb(NS8250_BASE + REG_IER, 0);
	outb(NS8250_BASE + REG_LCR, LCR_DLAB);
	outb(NS8250_BASE + REG_DATA, DIVISOR_115200);
	outb(NS8250_BASE + REG_IER, 0);
	outb(NS8250_BASE + REG_LCR, LCR_8BITS);
	outb(NS8250_BASE + REG_FCR, FCR_ENABLE | FCR_RCV_RST | FCR_XMT_RST);
	outb(NS8250_BASE + REG_MCR, MCR_DTR | MCR_RTS);
}

void
ns8250_putc(int c)
{
	for (int spins = 0; spins < PUTC_SPINS && (inb(NS8250_BASE + REG_LSR) & LSR_THRE) == 0; spins++)
		ia32_pause();
	outb(NS8250_BASE + REG_DATA, (uint8_t)c);
}

int
ns8250_getc(void)
{
	if ((inb(NS8250_BASE + REG_LSR) & LSR_RXRDY) == 0)
		return (-1);
	return (inb(NS8250_BASE + REG_DATA));
}

void
ns8250_intr_enable(void)
{
	outb(NS8250_BASE + REG_MCR, MCR_DTR | MCR_RTS | MCR_IE);
	outb(NS8250_BASE + REG_IER, IER_ERXRDY);
}
