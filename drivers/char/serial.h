/*
 * The early console: a 16550 at the PC's COM1, polled. It works from the kernel's first
 * instructions and in a panic; the tty driver adds input and interrupts on the same port.
 */
#pragma once

#include "lib/types.h"

/*
 * Looks for a UART at COM1, sets 115200 8n1 and registers it as the console "ttyS0". Needs nothing
 * but port I/O. Returns false when nothing answers there.
 */
bool serial_early_init(void);

/* Text with no time stamp, straight to the early port; nothing when there is none. */
void serial_early_write(const char *text, size_t len);
