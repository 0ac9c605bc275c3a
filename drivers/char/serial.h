/*
 * 16550 serial ports. COM1 is the console from the kernel's first instructions on, polled; once
 * terminals exist each port found is /dev/ttySn with interrupts both ways.
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

/* Finds COM1, COM2 and the port that SPCR names, and makes terminals of them. Thread context. */
void serial_init(void);
