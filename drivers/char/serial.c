/*
 * 16550 UARTs (National Semiconductor PC16550D data sheet, section 8).
 *
 * Theory of operation. Log text is written polled, in any context: every wait for the transmitter
 * is bounded, so a port that is wedged or gone costs time, not the system. A terminal's output
 * goes through a ring that the transmitter interrupt empties, 16 bytes at a time; input is read
 * by the receive interrupt. uart->tty.lock covers ring and interrupt enables, since the tty core
 * holds it when it calls the ops; the interrupt handler takes it for the transmit side.
 *
 * Known defect: some 16550s raise no transmit interrupt when THRI is enabled with the
 * transmitter already empty; start_transmit therefore fills the FIFO itself.
 */
#define LOG_PREFIX "serial: "

#include "drivers/char/serial.h"

#include "drivers/char/console.h"
#include "drivers/char/tty.h"
#include "kernel/device.h"
#include "kernel/irq/irq.h"
#include "kernel/log.h"
#include "kernel/monitor.h"
#include "kernel/platform.h"
#include "kernel/power.h"
#include "kernel/time/clock.h"
#include "kernel/x86/io.h"
#include "mm/kva.h"

enum { COM1 = 0x3f8, COM2 = 0x2f8, FIRST_MINOR = 64 };

enum uart_reg {
	UART_DATA = 0,
	UART_IER = 1,
	UART_IIR = 2, /* read */
	UART_FCR = 2, /* write */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_SCR = 7,
	UART_DLL = 0, /* with LCR_DLAB */
	UART_DLM = 1,
};

enum {
	IER_RX = 0x01,
	IER_TX = 0x02,
	IIR_NONE = 0x01,
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	FCR_ENABLE_CLEAR = 0x07,
	MCR_DTR_RTS_OUT2 = 0x0b, /* OUT2 lets the interrupt out on a PC */
	LSR_DATA = 0x01,
	LSR_THR_EMPTY = 0x20,
	LSR_IDLE = 0x40, /* nothing left to send, not even in the shift register */
	BASE_BAUD = 115200,
	FIFO_SIZE = 16,
	MAX_SPINS = 200000, /* far more than one character's time at 115200 */
	MAX_ROUNDS = 64,    /* of one interrupt, lest a mad port holds the CPU */
	TX_RING = 4096,
	DRAIN_LIMIT_NS = 500000000, /* a full ring at 115200 baud takes 0.36 s */
};

struct uart {
	uint16_t port;          /* [I] 0: by mmio, or not there */
	volatile void *mmio;    /* [I] */
	uint8_t isa_irq;        /* [I] */
	uint32_t gsi;           /* [I] when has_gsi */
	bool has_gsi, is_found; /* [I] */
	struct console console;
	struct tty tty;
	struct irq *irq;
	struct power_hook power_hook;
	uint8_t ier;               /* [tty.lock] */
	uint32_t tx_head, tx_tail; /* [tty.lock] counts */
	char tx[TX_RING];
};

enum { NUM_UARTS = 3, SPCR_UART = 2 };

static void console_write(struct console *, const char *text, size_t len);

static struct uart uarts[NUM_UARTS] = {
    {.port = COM1, .isa_irq = 4, .console = {.name = "ttyS0", .write = console_write}},
    {.port = COM2, .isa_irq = 3, .console = {.name = "ttyS1", .write = console_write}},
    {.console = {.name = "ttyS2", .write = console_write}},
};

static uint8_t
reg_read(const struct uart *u, enum uart_reg r)
{
	return u->mmio ? mmio_read8(u->mmio, r) : port_in8(u->port + r);
}

static void
reg_write(const struct uart *u, enum uart_reg r, uint8_t v)
{
	if (u->mmio)
		mmio_write8(u->mmio, r, v);
	else
		port_out8(u->port + r, v);
}

/* ---- Polled output -------------------------------------------------------------------- */

static void
put_byte(const struct uart *u, uint8_t c)
{
	for (unsigned i = 0; i < MAX_SPINS; i++)
		if (reg_read(u, UART_LSR) & LSR_THR_EMPTY)
			break;
	reg_write(u, UART_DATA, c);
}

static void
write_polled(const struct uart *u, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			put_byte(u, '\r');
		put_byte(u, (uint8_t)text[i]);
	}
}

void
serial_early_write(const char *text, size_t len)
{
	if (uarts[0].is_found)
		write_polled(&uarts[0], text, len);
}

static void
console_write(struct console *c, const char *text, size_t len)
{
	write_polled(container_of(c, struct uart, console), text, len);
}

/* ---- Bring-up ------------------------------------------------------------------------- */

/* A UART keeps what is written to its scratch register; an empty port reads all ones. */
static bool
answers(const struct uart *u)
{
	reg_write(u, UART_SCR, 0x5a);
	if (reg_read(u, UART_SCR) != 0x5a)
		return false;
	reg_write(u, UART_SCR, 0xa5);
	return reg_read(u, UART_SCR) == 0xa5;
}

static void
set_baud(const struct uart *u, uint32_t baud)
{
	uint32_t divisor = baud >= BASE_BAUD || baud == 0 ? 1 : BASE_BAUD / baud;

	reg_write(u, UART_LCR, LCR_DLAB);
	reg_write(u, UART_DLL, divisor & 0xff);
	reg_write(u, UART_DLM, divisor >> 8 & 0xff);
	reg_write(u, UART_LCR, LCR_8N1);
}

static void
set_up(struct uart *u, uint32_t baud)
{
	u->is_found = true;
	reg_write(u, UART_IER, 0);
	set_baud(u, baud);
	reg_write(u, UART_FCR, FCR_ENABLE_CLEAR);
	reg_write(u, UART_MCR, MCR_DTR_RTS_OUT2);
}

bool
serial_early_init(void)
{
	struct uart *u = &uarts[0];

	if (!answers(u))
		return false;
	set_up(u, BASE_BAUD);
	console_register(&u->console);
	return true;
}

/* ---- Terminal output (tty.lock held) -------------------------------------------------- */

static void
set_ier(struct uart *u, uint8_t ier)
{
	if (ier != u->ier)
		reg_write(u, UART_IER, ier);
	u->ier = ier;
}

static void
fill_fifo(struct uart *u)
{
	if (!(reg_read(u, UART_LSR) & LSR_THR_EMPTY))
		return;
	for (unsigned i = 0; i < FIFO_SIZE && u->tx_tail != u->tx_head; i++)
		reg_write(u, UART_DATA, (uint8_t)u->tx[u->tx_tail++ % TX_RING]);
}

static void
start_transmit(struct uart *u)
{
	fill_fifo(u);
	set_ier(u, u->tx_tail == u->tx_head ? IER_RX : IER_RX | IER_TX);
}

static size_t
uart_room(struct tty *tty)
{
	struct uart *u = tty->driver;

	return TX_RING - (u->tx_head - u->tx_tail);
}

static size_t
uart_pending(struct tty *tty)
{
	struct uart *u = tty->driver;

	return u->tx_head - u->tx_tail;
}

static void
uart_write(struct tty *tty, const char *text, size_t n)
{
	struct uart *u = tty->driver;

	for (size_t i = 0; i < n; i++)
		u->tx[u->tx_head++ % TX_RING] = text[i];
	if (!(u->ier & IER_TX))
		start_transmit(u);
}

static void
uart_flush(struct tty *tty)
{
	struct uart *u = tty->driver;

	u->tx_tail = u->tx_head;
}

static void
uart_set_termios(struct tty *tty)
{
	struct uart *u = tty->driver;
	uint32_t baud = tty->ldisc.tio.ospeed;

	/* The default of new terminals, 38400, means: as it was set up. */
	if (baud != 0 && baud != 38400)
		set_baud(u, baud);
}

static const struct tty_ops uart_ops = {
    .room = uart_room,
    .write = uart_write,
    .pending = uart_pending,
    .flush_output = uart_flush,
    .set_termios = uart_set_termios,
};

/* ---- Interrupts ----------------------------------------------------------------------- */

static void
receive(struct uart *u)
{
	uint8_t text[FIFO_SIZE];
	size_t n = 0;

	while (n < sizeof(text) && (reg_read(u, UART_LSR) & LSR_DATA)) {
		uint8_t c = reg_read(u, UART_DATA);

		/* The monitor's key sequence works even when no one reads. */
		if (!monitor_input((char)c))
			text[n++] = c;
	}
	if (n > 0)
		tty_input(&u->tty, text, n);
}

static void
transmit(struct uart *u)
{
	bool is_roomy;

	spin_lock(&u->tty.lock);
	start_transmit(u);
	is_roomy = u->tx_head - u->tx_tail <= TX_RING / 2;
	spin_unlock(&u->tty.lock);
	if (is_roomy)
		tty_output_ready(&u->tty);
}

static enum irq_result
uart_interrupt(void *arg)
{
	struct uart *u = arg;
	enum irq_result result = IRQ_NONE;

	for (unsigned i = 0; i < MAX_ROUNDS && !(reg_read(u, UART_IIR) & IIR_NONE); i++) {
		result = IRQ_HANDLED;
		receive(u);
		/* Reading IIR took the transmitter's interrupt back: it must be acted on now, also
		 * when another CPU is just about to note that it asked for it. */
		transmit(u);
	}
	return result;
}

/* Before the machine ends: what programs have written must come out, but not at any price. */
static void
uart_quiesce(struct power_hook *hook)
{
	struct uart *u = container_of(hook, struct uart, power_hook);
	nsec_t limit = clock_now_ns() + DRAIN_LIMIT_NS;
	bool is_done = false;

	while (!is_done && clock_now_ns() < limit) {
		spin_lock(&u->tty.lock);
		fill_fifo(u);
		is_done = u->tx_tail == u->tx_head && reg_read(u, UART_LSR) & LSR_IDLE;
		spin_unlock(&u->tty.lock);
	}
}

static enum err
take_interrupt(struct uart *u)
{
	if (u->has_gsi)
		return irq_request_gsi(u->gsi, IRQ_LEVEL | IRQ_ACTIVE_LOW | IRQ_SHARED,
		    u->console.name, uart_interrupt, u, &u->irq);
	return irq_request_isa(u->isa_irq, u->console.name, uart_interrupt, u, &u->irq);
}

static void
make_tty(struct uart *u, unsigned index)
{
	enum err err;

	u->tty.name = u->console.name;
	u->tty.ops = &uart_ops;
	u->tty.driver = u;
	err = tty_register(&u->tty, DEV_MAJOR_TTY, FIRST_MINOR + index);
	if (err == OK)
		err = take_interrupt(u);
	if (err != OK) {
		log_err("%s: no terminal: error %d", u->tty.name, err);
		return;
	}
	spin_lock(&u->tty.lock);
	set_ier(u, IER_RX);
	spin_unlock(&u->tty.lock);
	u->power_hook.quiesce = uart_quiesce;
	power_add_hook(&u->power_hook);
	console_offer(&u->console, &u->tty);
	if (u->mmio)
		log_info("%s at %p", u->tty.name, u->mmio);
	else
		log_info("%s at port %#x", u->tty.name, u->port);
}

/* The console of SPCR, when it is a 16550 that is neither COM1 nor COM2. */
static void
find_spcr_port(struct uart *u)
{
	const struct platform_serial *s = &platform.serial;

	if (s->base.address == 0 || s->interface > 1)
		return;
	if (s->base.space == SPACE_IO && s->base.address != COM1 &&
	    s->base.address != COM2)
		u->port = (uint16_t)s->base.address;
	else if (s->base.space == SPACE_MEMORY)
		u->mmio = ioremap(s->base.address, 8, CACHE_UC);
	u->gsi = s->gsi;
	u->has_gsi = s->gsi != 0;
}

void
serial_init(void)
{
	unsigned found = 0;

	find_spcr_port(&uarts[SPCR_UART]);
	for (unsigned i = 0; i < NUM_UARTS; i++) {
		struct uart *u = &uarts[i];

		if (!u->is_found && (u->port || u->mmio) && answers(u))
			set_up(u, i == SPCR_UART ? platform.serial.baud : BASE_BAUD);
		if (!u->is_found)
			continue;
		found++;
		make_tty(u, i);
	}
	if (found == 0)
		log_notice("no serial port answers");
}
