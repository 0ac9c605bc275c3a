/*
 * Which terminals show the log and which one is /dev/console, by console= (Linux's rule: every one
 * named shows the log, the last one named is /dev/console; "tty0" is the screen). Without console=
 * all show the log and the first offered, a serial port when there is one, is /dev/console.
 */
#pragma once

struct console;
struct tty;

/* A driver has a terminal that can be a console. Thread context. */
void console_offer(struct console *, struct tty *);

/* Makes /proc/consoles. */
void console_init(void);
