/*
 * Keyboard behind an 8042 controller (IBM PS/2 Hardware Interface Technical Reference, "Keyboard
 * and Auxiliary Device Controller"). The controller is asked to translate to scan code set 1.
 * Every exchange is bounded in time, so a missing or mute controller costs milliseconds.
 *
 * The interrupt handler reads one byte a time, decodes it and hands text to the terminal. LED
 * commands are sent from there without waiting for their acknowledgements, which arrive as
 * bytes of their own and are ignored.
 */
#define LOG_PREFIX "keyboard: "

#include "drivers/char/keyboard.h"

#include "drivers/char/keymap.h"
#include "drivers/char/tty.h"
#include "kernel/irq/irq.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/x86/io.h"

enum { PORT_DATA = 0x60, PORT_STATUS = 0x64, PORT_COMMAND = 0x64, ISA_IRQ = 1 };

enum { STATUS_OUT_FULL = 0x01, STATUS_IN_FULL = 0x02, STATUS_MOUSE = 0x20 };

enum controller_command {
	CMD_READ_CONFIG = 0x20,
	CMD_WRITE_CONFIG = 0x60,
	CMD_DISABLE_MOUSE = 0xa7,
	CMD_SELF_TEST = 0xaa, /* answers 0x55 */
	CMD_DISABLE_KEYBOARD = 0xad,
	CMD_ENABLE_KEYBOARD = 0xae,
};

enum { CONFIG_KBD_IRQ = 0x01, CONFIG_MOUSE_IRQ = 0x02, CONFIG_TRANSLATE = 0x40 };

enum keyboard_command {
	KBD_SET_LEDS = 0xed,
	KBD_ENABLE = 0xf4,
	KBD_ACK = 0xfa,
	KBD_RESEND = 0xfe
};

enum { MAX_BYTES = 16 }; /* of one interrupt */

#define REPLY_TIME (50 * NSEC_PER_MSEC)

static struct keymap keymap;
static struct tty *target;
static struct irq *irq;

static bool
send(uint16_t port, uint8_t v)
{
	if (!poll_until(!(port_in8(PORT_STATUS) & STATUS_IN_FULL), REPLY_TIME))
		return false;
	port_out8(port, v);
	return true;
}

static bool
receive(uint8_t *v)
{
	if (!poll_until(port_in8(PORT_STATUS) & STATUS_OUT_FULL, REPLY_TIME))
		return false;
	*v = port_in8(PORT_DATA);
	return true;
}

static void
drain(void)
{
	for (unsigned i = 0; i < MAX_BYTES && (port_in8(PORT_STATUS) & STATUS_OUT_FULL);
	     i++)
		(void)port_in8(PORT_DATA);
}

/* Init decides what it means, as after Linux's reboot(LINUX_REBOOT_CMD_CAD_OFF). */
static void
ctrl_alt_del(void)
{
	struct process *init = process_find(1);

	if (!init)
		return;
	(void)signal_send_process(init, SIGINT, NULL); /* an init that ignores it may */
	process_put(init);
}

static void
act(enum keymap_action action)
{
	switch (action) {
	case KEY_TEXT: tty_input(target, (const uint8_t *)keymap.text, keymap.len); break;
	case KEY_LEDS:
		port_out8(PORT_DATA, KBD_SET_LEDS);
		if (poll_until(!(port_in8(PORT_STATUS) & STATUS_IN_FULL), NSEC_PER_MSEC))
			port_out8(PORT_DATA, keymap.leds);
		break;
	case KEY_REBOOT: ctrl_alt_del(); break;
	case KEY_NOTHING: break;
	}
}

static enum irq_result
keyboard_interrupt(void *arg)
{
	enum irq_result result = IRQ_NONE;

	for (unsigned i = 0; i < MAX_BYTES; i++) {
		uint8_t status = port_in8(PORT_STATUS), code;

		if (!(status & STATUS_OUT_FULL))
			break;
		code = port_in8(PORT_DATA);
		result = IRQ_HANDLED;
		if (!(status & STATUS_MOUSE) && code != KBD_ACK && code != KBD_RESEND)
			act(keymap_scan(&keymap, code));
	}
	return result;
}

/* Self-test, then the keyboard alone with interrupts and translation. */
static bool
set_up_controller(void)
{
	uint8_t v;

	if (!send(PORT_COMMAND, CMD_DISABLE_KEYBOARD) ||
	    !send(PORT_COMMAND, CMD_DISABLE_MOUSE))
		return false;
	drain();
	if (!send(PORT_COMMAND, CMD_SELF_TEST) || !receive(&v) || v != 0x55)
		return false;
	if (!send(PORT_COMMAND, CMD_READ_CONFIG) || !receive(&v))
		return false;
	v = (uint8_t)((v & ~CONFIG_MOUSE_IRQ) | CONFIG_KBD_IRQ | CONFIG_TRANSLATE);
	if (!send(PORT_COMMAND, CMD_WRITE_CONFIG) || !send(PORT_DATA, v))
		return false;
	return send(PORT_COMMAND, CMD_ENABLE_KEYBOARD);
}

void
keyboard_init(struct tty *tty)
{
	uint8_t v;

	if (!tty)
		return; /* no screen: no one to type to, and that has been said */
	if (!platform.has_i8042 || port_in8(PORT_STATUS) == 0xff ||
	    !set_up_controller()) {
		log_notice("no 8042 controller");
		return;
	}
	target = tty;
	if (!send(PORT_DATA, KBD_ENABLE) || !receive(&v) || v != KBD_ACK)
		log_notice("no keyboard answers; one may be plugged in");
	drain();
	if (irq_request_isa(ISA_IRQ, "keyboard", keyboard_interrupt, NULL, &irq) != OK)
		log_err("no interrupt");
}
