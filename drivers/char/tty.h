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
#include "kernel/proc/async.h"
#include "kernel/sync/mutex.h"
#include "lib/err.h"

struct tty;

struct tty_ops {
	size_t (*room)(struct tty *); /* bytes write would take now */
	void (*write)(struct tty *, const char *, size_t n); /* n <= room */
	size_t (*pending)(struct tty *);    /* bytes taken, not sent; NULL: 0 */
	void (*flush_output)(struct tty *); /* forgets them; NULL */
	void (*set_termios)(struct tty *);  /* speed changed; NULL */
	/* For packet mode, all may be NULL: input was read or forgotten, so there is room; input or output
	 * was flushed; output is stopped or goes on. */
	void (*input_taken)(struct tty *);
	void (*flushed)(struct tty *, bool input, bool output);
	void (*stopped)(struct tty *, bool is_stopped);
	/* Its lock was let go after output or input: what has to wait for that. NULL. */
	void (*unlocked)(struct tty *);
	enum err (*open)(struct tty *);   /* one more file is to use it; NULL: it may */
	void (*last_close)(struct tty *); /* the last file is gone; NULL */
	/* The last reference is gone; thread context, no lock. NULL: the terminal lives for ever. */
	void (*free)(struct tty *);
};

struct tty {
	const char *name;          /* [I] "ttyS0" */
	const struct tty_ops *ops; /* [I] */
	void *driver;              /* [I] */
	uint32_t major, minor;     /* [I] */
	uint32_t refs;             /* [a] 0: on its way out; freed by RCU */
	struct mutex write_lock;   /* one write at a time, so each comes out whole */
	struct spinlock lock;
	struct ldisc ldisc;     /* [lock] */
	struct termios locked;  /* [lock] TIOCSLCKTRMIOS: bits that keep what they are */
	struct winsize winsize; /* [lock] */
	uint32_t signals;       /* [lock] typed signals to send once the lock is free */
	uint32_t sid;           /* [lock] session it controls, 0: none */
	uint32_t fg_pgid;       /* [lock] foreground process group */
	bool is_exclusive;      /* [lock] TIOCEXCL */
	uint32_t opens;         /* [lock] */
	uint32_t hangups; /* [a, lock to change] files opened before the last are dead */
	bool has_lost_peer; /* [a, lock to change] a pty's master is closed */
	bool
	    is_out_awaited; /* [a] a write came short: POLL_OUT when there is room again */
	struct wait_queue readers, writers;
	struct async_list async;
};

/* Prepares a zeroed struct tty with name, ops and driver set: one reference. */
void tty_setup(struct tty *, unsigned major, unsigned minor);
void tty_put(struct tty *);     /* the last one calls ops->free; may sleep */
bool tty_try_get(struct tty *); /* a reference, unless it is on its way out */

/* Registers /dev/NAME as character device major:minor. The tty lives for ever. Thread context. */
enum err tty_register(struct tty *, unsigned major, unsigned minor);

/* One more node for a registered terminal. */
enum err tty_register_alias(
    struct tty *, const char *name, unsigned major, unsigned minor);

/* Characters came in. Any context with no spinlock held. */
void tty_input(struct tty *, const uint8_t *text, size_t n);

/* The same for a sender that can wait: takes what there is room for, and says how many. */
size_t tty_input_some(struct tty *, const uint8_t *text, size_t n);
bool tty_has_input_room(struct tty *);

/* The driver has room again. Any context with no spinlock held. */
void tty_output_ready(struct tty *);

/*
 * Hangs up: files open now read an end of file and can do no more, the session loses the terminal and its
 * leader is told. Thread context.
 */
void tty_hangup(struct tty *);

/* A new size of the screen: SIGWINCH to the foreground group if it differs. Thread context. */
void tty_set_winsize(struct tty *, const struct winsize *);

/* Makes /dev/tty, and /dev/console for the terminal set last by tty_set_console. */
void tty_init(void);
void tty_set_console(struct tty *);
