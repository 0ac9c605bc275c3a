/*
 * The terminal line discipline (POSIX XBD 11.1.5-11.1.11): what lies between the characters of a
 * line and what programs read and write. Input is edited into lines (canonical mode) or passed
 * on (raw), turned into signals and echoed; output is post-processed. Pure state: no lock, no
 * device, no process; the tty calls it under its own lock.
 */
#pragma once

#include "drivers/char/termios.h"

enum { LDISC_BUFFER = 4096, LDISC_EXPANSION = 8 };

struct ldisc;

struct ldisc_ops {
	/* Text for the line, already processed: an echo. */
	void (*echo)(struct ldisc *, const char *text, size_t n);
	/* A signal character: SIGINT, SIGQUIT or SIGTSTP for the foreground group. */
	void (*signal)(struct ldisc *, int sig);
	/* ^S and ^Q: output is to stop or go on. */
	void (*set_stopped)(struct ldisc *, bool is_stopped);
};

struct ldisc {
	struct termios tio;
	const struct ldisc_ops *ops;
	uint8_t buf[LDISC_BUFFER]; /* ring of [tail, head) */
	uint64_t
	    line_end[LDISC_BUFFER / 64]; /* bit set: the character there ends a line */
	uint64_t
	    is_eof[LDISC_BUFFER / 64]; /* and is an end of file, not given to readers */
	uint32_t tail, canon_head,
	    head;             /* counts; canon_head: after the last whole line */
	uint32_t num_lines;   /* whole lines in [tail, canon_head) */
	uint32_t column;      /* of the cursor, for tabs and erasing them */
	uint32_t line_column; /* where the line being typed began */
	bool is_literal;      /* ^V was typed: the next character is plain */
	bool is_stopped;      /* output, by ^S */
};

/* Linux's defaults for a new terminal: canonical, echoing, 38400 baud. */
void ldisc_init(struct ldisc *, const struct ldisc_ops *);

/* A character came in. Returns false if it was lost because the buffer is full. */
bool ldisc_input(struct ldisc *, uint8_t c);

/* Whether a character would be kept. An unfinished line that fills the buffer does not stop the input: it
 * could never be finished; what is too much is lost. */
bool ldisc_has_room(const struct ldisc *);

/* Bytes a read could take now: of whole lines in canonical mode, all in raw mode. */
size_t ldisc_available(const struct ldisc *);
/* Whether a read has something: a line (or end of file), or `min` characters in raw mode. */
bool ldisc_is_readable(const struct ldisc *, unsigned min);

/*
 * Takes at most n bytes: in canonical mode of one line. *is_eof is set when what was taken ended with
 * end of file, or nothing but that was there.
 */
size_t ldisc_read(struct ldisc *, void *buf, size_t n, bool *is_eof);

/* What character c becomes on the line: at most LDISC_EXPANSION bytes; returns how many. */
size_t ldisc_output(struct ldisc *, uint8_t c, char *out);

/* New attributes; what was typed so far becomes readable when canonical mode ends. */
void ldisc_set_termios(struct ldisc *, const struct termios *);

/* Forgets all input not read yet. */
void ldisc_flush_input(struct ldisc *);
