/*
 * The monitor: ^T and a letter on the serial line show the kernel's state when nothing
 *else works. A room adds a command beside what it shows:
 *
 *	MONITOR_COMMAND('m', "memory", show_memory);
 *
 * Commands run in interrupt context, any lock may be held by whoever was interrupted:
 *they print with log_printf(LOG_EMERG, ...) and take no locks, or try them.
 */
#pragma once

#include "lib/types.h"

struct monitor_command {
	char key;
	const char *name;
	void (*show)(void);
};

#define MONITOR_COMMAND(cmd_key, cmd_name, fn) \
	static const struct monitor_command monitor_##fn \
	    __attribute__((section(".set.monitor"), used)) = {cmd_key, cmd_name, fn}

enum { MONITOR_KEY = 'T' - '@' }; /* ^T */

/*
 * Each byte a serial console receives, from its interrupt handler. Returns true if the
 * monitor took it: the key itself, or the letter after it. The key twice is one ^T of
 * input.
 */
bool monitor_input(char c);
