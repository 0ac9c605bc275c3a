/*
 * 16550 UART, polled (National Semiconductor PC16550D data sheet, section 8). Every wait for the
 * transmitter is bounded, so that a port that is wedged or gone costs time, not the system.
 */
#include "drivers/char/serial.h"

#include "kernel/log.h"
#include "kernel/x86/io.h"

enum { COM1 = 0x3f8 };

enum uart_reg {
	UART_DATA = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_SCR = 7,
	UART_DLL = 0, /* with LCR_DLAB */
	UART_DLM = 1,
};

enum {
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	FCR_ENABLE_CLEAR = 0x07,
	MCR_DTR_RTS = 0x03,
	LSR_THR_EMPTY = 0x20,
	DIVISOR_115200 = 1,
	MAX_SPINS = 200000, /* far more than one character's time at 115200 */
};

static uint16_t port; /* 0: none */

static void
put_byte(uint8_t c)
{
	for (unsigned i = 0; i < MAX_SPINS; i++)
		if (port_in8(port + UART_LSR) & LSR_THR_EMPTY)
			break;
	port_out8(port + UART_DATA, c);
}

void
serial_early_write(const char *text, size_t len)
{
	if (port == 0)
		return;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			put_byte('\r');
		put_byte((uint8_t)text[i]);
	}
}

static void
console_write(struct console *c, const char *text, size_t len)
{
	serial_early_write(text, len);
}

static struct console console = { .name = "ttyS0", .write = console_write };

/* A UART keeps what is written to its scratch register; an empty port reads all ones. */
static bool
answers(uint16_t base)
{
	port_out8(base + UART_SCR, 0x5a);
	if (port_in8(base + UART_SCR) != 0x5a)
		return false;
	port_out8(base + UART_SCR, 0xa5);
	return port_in8(base + UART_SCR) == 0xa5;
}

bool
serial_early_init(void)
{
	if (!answers(COM1))
		return false;
	port = COM1;
	port_out8(port + UART_IER, 0);
	port_out8(port + UART_LCR, LCR_DLAB);
	port_out8(port + UART_DLL, DIVISOR_115200);
	port_out8(port + UART_DLM, 0);
	port_out8(port + UART_LCR, LCR_8N1);
	port_out8(port + UART_FCR, FCR_ENABLE_CLEAR);
	port_out8(port + UART_MCR, MCR_DTR_RTS);
	console_register(&console);
	return true;
}
