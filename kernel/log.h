/*
 * The kernel log. Every line goes into a ring (read by dmesg and /dev/kmsg) and, when its
 * level is below the console level, to every registered console. Usable from the first
 * instruction of C code, from any context, with any lock held.
 *
 * A file that logs defines its prefix before the include:  #define LOG_PREFIX "acpi: "
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

/* Linux's levels, so dmesg and loglevel= mean what people expect. */
enum log_level {
	LOG_EMERG,
	LOG_ALERT,
	LOG_CRIT,
	LOG_ERR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG,
};

void log_printf(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
void log_vprintf(enum log_level level, const char *fmt, va_list args) PRINTF(2, 0);

#ifndef LOG_PREFIX
#define LOG_PREFIX ""
#endif

#define log_err(fmt, ...)    log_printf(LOG_ERR, LOG_PREFIX fmt, ##__VA_ARGS__)
#define log_warn(fmt, ...)   log_printf(LOG_WARNING, LOG_PREFIX fmt, ##__VA_ARGS__)
#define log_notice(fmt, ...) log_printf(LOG_NOTICE, LOG_PREFIX fmt, ##__VA_ARGS__)
#define log_info(fmt, ...)   log_printf(LOG_INFO, LOG_PREFIX fmt, ##__VA_ARGS__)
#define log_debug(fmt, ...)  log_printf(LOG_DEBUG, LOG_PREFIX fmt, ##__VA_ARGS__)

/* Logs at most once per place in the code. */
#define log_once(level, fmt, ...) \
	do { \
		static bool said_; \
		if (!__atomic_exchange_n(&said_, true, __ATOMIC_RELAXED)) \
			log_printf(level, LOG_PREFIX fmt, ##__VA_ARGS__); \
	} while (0)

/*
 * Something that shows log text: a driver implements it. `write` is called with interrupts
 * off and the log's lock held (or from a panic with no lock at all): it must not log, sleep,
 * allocate or take a lock that a logging context may hold. "\n" means a new line at column 0.
 */
struct console {
	struct list link;
	const char *name; /* as in console=: "ttyS0", "tty0" */
	void (*write)(struct console *, const char *text, size_t len);
};

/* Adds a console and replays to it what the ring holds. */
void console_register(struct console *);
void console_unregister(struct console *);

/* ---- Reading: /dev/kmsg, syslog(2), the panic report ---- */

struct log_record {
	uint64_t seq;
	uint64_t time_ns;
	uint32_t level;
	uint32_t len; /* of the whole text, which has no newline at its end */
};

/*
 * Copies record *seq, or the oldest one kept if that is gone, into rec and text (cut to `size`, not
 * terminated). Returns the bytes stored and sets *seq to the record's number; -1: no such record
 * yet. Any context.
 */
long log_read(uint64_t *seq, struct log_record *rec, char *text, size_t size);

/* The record numbers that can be read: [first, next). */
void log_range(uint64_t *first, uint64_t *next);

/* Sleepers for new records. A line logged under a spinlock wakes no one: use a deadline as well. */
extern struct wait_queue log_readers;

/* Messages of this level and weaker (numerically higher) stay off the consoles. Linux's default: 7. */
extern int log_console_level;

/* Panic: from now on no lock is taken, and every level reaches the consoles. */
void log_enter_panic(void);
bool log_is_panicking(void);

void log_init(void); /* reads loglevel=, quiet, debug */
