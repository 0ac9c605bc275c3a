/*
 * Files in /proc whose text is made when they are read. Each room registers what it has
 * to show; fs/procfs.c implements this. Text of one reading is a snapshot made by one
 * `show`, unless it speaks in pieces.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

/*
 * A text that grows as it is written. After a failed allocation `is_full` stays set. A `show` with
 * much to say does so in pieces: it leaves in `next` where it goes on (its own number, not 0), and
 * is called again with it once the piece has been read.
 */
struct seq {
	char *buf;
	size_t len, size;
	size_t base;   /* bytes of the pieces before this one */
	uint64_t next; /* 0: at the start, and when all is said */
	bool is_full;
	enum err error; /* set by `show`: who reads may not, or nothing can be said */
	void *private;  /* what `show` is about, where there is something */
};

void seq_init(struct seq *);
void seq_free(struct seq *);
void seq_printf(struct seq *, const char *fmt, ...) PRINTF(2, 3);
void seq_puts(struct seq *, const char *text);
void seq_putc(struct seq *, char c);
/* Blanks until the line that began at `start` (a former s->len) has `width` characters. */
void seq_pad(struct seq *, size_t start, size_t width);
void seq_write(struct seq *, const void *data, size_t n);
/* A string with blanks, tabs, newlines and backslashes as \ooo, as /proc/mounts wants it.
 */
void seq_escape(struct seq *, const char *text, const char *chars);

/*
 * /proc/NAME, world-readable. `name` may have folders ("sys/kernel/ostype"), made as
 * needed; it must live forever. `show` runs in thread context and may sleep. Works before
 * fs_init too.
 */
enum err proc_register(const char *name, void (*show)(struct seq *));

/*
 * The same with writing (mode 0644): `store` gets one write's text, NUL-terminated,
 * without a trailing newline, and returns OK or an error for the writer.
 */
enum err proc_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text));

/* The same, of mode 0200: to be written. */
enum err proc_register_wo(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text));

/*
 * The same for many files with one pair of functions: `show` finds `private` in seq->private,
 * `store` gets it; NULL: read only. The others make /sys/NAME.
 */
enum err proc_register_private(const char *name, void (*show)(struct seq *),
    enum err (*store)(void *private, const char *text), void *private);
enum err sysfs_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text));
enum err sysfs_register_private(
    const char *name, void (*show)(struct seq *), void *private);

/* A number that may be written, within bounds (ERR_INVAL beyond them); read anywhere without a lock. */
struct proc_number {
	const char *name; /* as proc_register's */
	uint32_t *value;
	uint32_t min, max;
};
/* The array must live forever. What there is no memory for is not there. */
void proc_register_numbers(struct proc_number numbers[], unsigned n);

/* Hides /proc/NAME, /sys/NAME and what is in it, or shows it again: its thing comes and goes. Who
 * has it open may go on reading. */
void proc_set_visible(const char *name, bool is_visible);
void sysfs_set_visible(const char *name, bool is_visible);
