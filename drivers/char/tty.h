/*
 * Terminals. The tty core joins a line discipline, a driver that moves characters, and job
 * control. A driver fills a struct tty, registers it, and hands over what comes in; everything
 * else programs see (read, write, poll, ioctl) is here.
 *
 * The driver's ops run under tty->lock (interrupts off): they move bytes to a buffer or a device
 * register and return; they never sleep and never call back into the tty.
 */
#pragma once

#include "drivers/char/ldisc.h"
#include "kernel/sync/mutex.h"
#include "lib/err.h"

struct tty;

struct tty_ops {
	size_t (*room)(struct tty *); /* bytes write would take now */
	void (*write)(struct tty *, const char *, size_t n); /* n <= room */
	size_t (*pending)(struct tty *);    /* bytes taken, not sent; NULL: 0 */
	void (*flush_output)(struct tty *); /* forgets them; NULL */
	void (*set_termios)(struct tty *);  /* speed changed; NULL */
};

struct tty {
	const char *name;          /* [I] "ttyS0" */
	const struct tty_ops *ops; /* [I] */
	void *driver;              /* [I] */
	struct mutex write_lock;   /* one write at a time, so each comes out whole */
	struct spinlock lock;
	struct ldisc ldisc;     /* [lock] */
	struct winsize winsize; /* [lock] */
	uint32_t signals;       /* [lock] typed signals to send once the lock is free */
	uint32_t sid;           /* [lock] session it controls, 0: none */
	uint32_t fg_pgid;       /* [lock] foreground process group */
	bool is_exclusive;      /* [lock] TIOCEXCL */
	uint32_t opens;         /* [lock] */
	struct wait_queue readers, writers;
};

/* Registers /dev/NAME as character device major:minor. The tty lives for ever. Thread context. */
enum err tty_register(struct tty *, unsigned major, unsigned minor);

/* One more node for a registered terminal. */
enum err tty_register_alias(
    struct tty *, const char *name, unsigned major, unsigned minor);

/* Characters came in. Any context with no spinlock held. */
void tty_input(struct tty *, const uint8_t *text, size_t n);

/* The driver has room again. Any context with no spinlock held. */
void tty_output_ready(struct tty *);

/* A new size of the screen: SIGWINCH to the foreground group if it differs. Thread context. */
void tty_set_winsize(struct tty *, const struct winsize *);

/* Makes /dev/tty, and /dev/console for the terminal set last by tty_set_console. */
void tty_init(void);
void tty_set_console(struct tty *);
