/*
 * The line discipline. Input lies in one ring; in canonical mode the part behind canon_head is
 * the line being edited, and only what is before it can be read. Two bitmaps beside the ring
 * mark where lines end and which ends are end-of-file characters.
 *
 * Echoes go through the same output processing as writes, so `column` is always where the
 * cursor is: erasing a tab needs it.
 */
#include "drivers/char/ldisc.h"

#include "kernel/proc/signal.h"
#include "lib/string.h"

enum {
	DISABLED = 0, /* a control character that is 0 is switched off */
	DEL = 0x7f,
};

static bool
has_input(const struct ldisc *l, uint32_t flag)
{
	return l->tio.iflag & flag;
}

static bool
has_local(const struct ldisc *l, uint32_t flag)
{
	return l->tio.lflag & flag;
}

static bool
is_cc(const struct ldisc *l, enum cc_index i, uint8_t c)
{
	return l->tio.cc[i] != DISABLED && l->tio.cc[i] == c;
}

static bool
bit_test(const uint64_t *map, uint32_t pos)
{
	return map[pos % LDISC_BUFFER / 64] >> pos % 64 & 1;
}

static void
bit_put(uint64_t *map, uint32_t pos, bool v)
{
	uint64_t bit = 1ull << pos % 64;
	uint64_t *word = &map[pos % LDISC_BUFFER / 64];

	*word = v ? *word | bit : *word & ~bit;
}

void
ldisc_init(struct ldisc *l, const struct ldisc_ops *ops)
{
	static const uint8_t cc[NCCS] = {
	    [VINTR] = 3,
	    [VQUIT] = 28,
	    [VERASE] = DEL,
	    [VKILL] = 21,
	    [VEOF] = 4,
	    [VMIN] = 1,
	    [VSTART] = 17,
	    [VSTOP] = 19,
	    [VSUSP] = 26,
	    [VREPRINT] = 18,
	    [VDISCARD] = 15,
	    [VWERASE] = 23,
	    [VLNEXT] = 22,
	};

	memset(l, 0, sizeof(*l));
	l->ops = ops;
	l->tio.iflag = ICRNL | IXON | IUTF8;
	l->tio.oflag = OPOST | ONLCR;
	l->tio.cflag = B38400 | CS8 | CREAD | HUPCL;
	l->tio.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
	l->tio.ispeed = l->tio.ospeed = 38400;
	memcpy(l->tio.cc, cc, sizeof(cc));
}

/* ---- Output ------------------------------------------------------------------------- */

static size_t
put_tab(struct ldisc *l, char *out)
{
	size_t n = 8 - l->column % 8;

	l->column += (uint32_t)n;
	if ((l->tio.oflag & TABDLY) != XTABS) {
		out[0] = '\t';
		return 1;
	}
	memset(out, ' ', n);
	return n;
}

size_t
ldisc_output(struct ldisc *l, uint8_t c, char *out)
{
	uint32_t o = l->tio.oflag;

	out[0] = (char)c;
	if (!(o & OPOST))
		return 1;
	switch (c) {
	case '\n':
		if (o & (ONLCR | ONLRET))
			l->column = 0;
		if (!(o & ONLCR))
			return 1;
		out[0] = '\r';
		out[1] = '\n';
		return 2;
	case '\r':
		if ((o & ONOCR) && l->column == 0)
			return 0;
		if (o & OCRNL) {
			out[0] = '\n';
			return 1;
		}
		l->column = 0;
		return 1;
	case '\t': return put_tab(l, out);
	case '\b':
		if (l->column > 0)
			l->column--;
		return 1;
	default:
		/* Control characters and the later bytes of UTF-8 take no column. */
		if (c >= ' ' && c != DEL && (c & 0xc0) != 0x80)
			l->column++;
		return 1;
	}
}

/* ---- Echo --------------------------------------------------------------------------- */

static void
echo_raw(struct ldisc *l, uint8_t c)
{
	char out[LDISC_EXPANSION];
	size_t n = ldisc_output(l, c, out);

	l->ops->echo(l, out, n);
}

static bool
shows_as_caret(const struct ldisc *l, uint8_t c)
{
	return has_local(l, ECHOCTL) && (c < ' ' || c == DEL) && c != '\t' && c != '\n';
}

static void
echo(struct ldisc *l, uint8_t c)
{
	if (!has_local(l, ECHO)) {
		if (c == '\n' && has_local(l, ECHONL) && has_local(l, ICANON))
			echo_raw(l, c);
		return;
	}
	if (!shows_as_caret(l, c)) {
		echo_raw(l, c);
		return;
	}
	echo_raw(l, '^');
	echo_raw(l, c ^ 0x40);
}

static void
echo_text(struct ldisc *l, const char *s)
{
	for (; *s; s++)
		echo_raw(l, (uint8_t)*s);
}

/* ---- Editing ------------------------------------------------------------------------ */

static uint8_t
char_at(const struct ldisc *l, uint32_t pos)
{
	return l->buf[pos % LDISC_BUFFER];
}

/* Columns from the line's start to position `end`, as the characters were echoed. */
static uint32_t
column_at(const struct ldisc *l, uint32_t end)
{
	uint32_t col = l->line_column;

	for (uint32_t p = l->canon_head; p != end; p++) {
		uint8_t c = char_at(l, p);

		if (c == '\t')
			col = (col | 7) + 1;
		else if (shows_as_caret(l, c))
			col += 2;
		else if (!has_input(l, IUTF8) || (c & 0xc0) != 0x80)
			col++;
	}
	return col;
}

/* Takes the last character of the line back, all its bytes in UTF-8. */
static void
erase_char(struct ldisc *l)
{
	uint32_t before = column_at(l, l->head), after;

	do
		l->head--;
	while (has_input(l, IUTF8) && l->head != l->canon_head &&
	       (char_at(l, l->head) & 0xc0) == 0x80);
	if (!has_local(l, ECHO))
		return;
	if (!has_local(l, ECHOE)) {
		echo(l, l->tio.cc[VERASE]);
		return;
	}
	after = column_at(l, l->head);
	for (uint32_t i = after; i < before; i++)
		echo_text(l, "\b \b");
}

static bool
is_word_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
	       c == '_' || c >= 0x80;
}

static void
erase_word(struct ldisc *l)
{
	bool seen_word = false;

	while (l->head != l->canon_head) {
		bool is_word = is_word_char(char_at(l, l->head - 1));

		if (seen_word && !is_word)
			break;
		seen_word |= is_word;
		erase_char(l);
	}
}

static void
erase_line(struct ldisc *l)
{
	if (has_local(l, ECHO) && has_local(l, ECHOK) &&
	    !(has_local(l, ECHOKE) && has_local(l, ECHOE))) {
		l->head = l->canon_head;
		echo(l, l->tio.cc[VKILL]);
		echo_raw(l, '\n');
		return;
	}
	while (l->head != l->canon_head)
		erase_char(l);
}

static void
reprint(struct ldisc *l)
{
	echo(l, l->tio.cc[VREPRINT]);
	echo_raw(l, '\n');
	l->line_column = l->column;
	for (uint32_t p = l->canon_head; p != l->head; p++)
		echo(l, char_at(l, p));
}

/* ---- Input -------------------------------------------------------------------------- */

static bool
store(struct ldisc *l, uint8_t c)
{
	/* One place is kept free, so that a line can always be ended. */
	bool ends = has_local(l, ICANON) && c == '\n';

	if (l->head - l->tail >= LDISC_BUFFER - !ends)
		return false;
	bit_put(l->line_end, l->head, false);
	bit_put(l->is_eof, l->head, false);
	l->buf[l->head++ % LDISC_BUFFER] = c;
	return true;
}

static void
end_line(struct ldisc *l, bool is_eof)
{
	bit_put(l->line_end, l->head - 1, true);
	bit_put(l->is_eof, l->head - 1, is_eof);
	l->canon_head = l->head;
	l->num_lines++;
	l->line_column = l->column;
}

static bool
is_full_for_text(const struct ldisc *l)
{
	return l->head - l->tail >= LDISC_BUFFER - 1;
}

bool
ldisc_has_room(const struct ldisc *l)
{
	return !is_full_for_text(l) || (has_local(l, ICANON) && l->num_lines == 0);
}

/* A plain character: stored and echoed; a full buffer rings the bell. */
static bool
take_plain(struct ldisc *l, uint8_t c)
{
	if (is_full_for_text(l)) {
		if (has_input(l, IMAXBEL))
			l->ops->echo(l, "\a", 1);
		return false;
	}
	if (has_local(l, ICANON) && l->head == l->canon_head)
		l->line_column = l->column;
	echo(l, c);
	return store(l, c);
}

static bool
take_line_end(struct ldisc *l, uint8_t c)
{
	if (l->head - l->tail >= LDISC_BUFFER)
		return false;
	echo(l, c);
	if (!store(l, c))
		return false;
	end_line(l, false);
	return true;
}

static bool
take_eof(struct ldisc *l)
{
	if (!store(l, l->tio.cc[VEOF]))
		return false;
	end_line(l, true);
	return true;
}

/* The characters that edit a line. True: c was one of them. */
static bool
edit(struct ldisc *l, uint8_t c)
{
	bool is_extended = has_local(l, IEXTEN);

	if (is_cc(l, VERASE, c)) {
		if (l->head != l->canon_head)
			erase_char(l);
	} else if (is_cc(l, VKILL, c)) {
		erase_line(l);
	} else if (is_extended && is_cc(l, VWERASE, c)) {
		erase_word(l);
	} else if (is_extended && is_cc(l, VREPRINT, c) && has_local(l, ECHO)) {
		reprint(l);
	} else if (is_extended && is_cc(l, VLNEXT, c)) {
		l->is_literal = true;
		if (has_local(l, ECHO) && has_local(l, ECHOCTL)) {
			echo_raw(l, '^');
			echo_raw(l, '\b');
		}
	} else {
		return false;
	}
	return true;
}

static int
signal_of(const struct ldisc *l, uint8_t c)
{
	if (!has_local(l, ISIG))
		return 0;
	return is_cc(l, VINTR, c)   ? SIGINT
	       : is_cc(l, VQUIT, c) ? SIGQUIT
	       : is_cc(l, VSUSP, c) ? SIGTSTP
	                            : 0;
}

/* ^S and ^Q. True: c was one of them, and is gone. */
static bool
flow_control(struct ldisc *l, uint8_t c)
{
	if (!has_input(l, IXON))
		return false;
	if (is_cc(l, VSTART, c) ||
	    (l->is_stopped && has_input(l, IXANY) && !is_cc(l, VSTOP, c))) {
		l->is_stopped = false;
		l->ops->set_stopped(l, false);
		return is_cc(l, VSTART, c);
	}
	if (!is_cc(l, VSTOP, c))
		return false;
	l->is_stopped = true;
	l->ops->set_stopped(l, true);
	return true;
}

static bool
input_signal(struct ldisc *l, uint8_t c, int sig)
{
	if (!has_local(l, NOFLSH))
		ldisc_flush_input(l);
	echo(l, c);
	l->ops->signal(l, sig);
	return true;
}

bool
ldisc_input(struct ldisc *l, uint8_t c)
{
	int sig;

	if (has_input(l, ISTRIP))
		c &= 0x7f;
	if (l->is_literal) {
		l->is_literal = false;
		return take_plain(l, c);
	}
	if (flow_control(l, c))
		return true;
	sig = signal_of(l, c);
	if (sig)
		return input_signal(l, c, sig);
	if (c == '\r' && has_input(l, IGNCR))
		return true;
	if (c == '\r' && has_input(l, ICRNL))
		c = '\n';
	else if (c == '\n' && has_input(l, INLCR))
		c = '\r';
	if (!has_local(l, ICANON))
		return take_plain(l, c);
	if (edit(l, c))
		return true;
	if (is_cc(l, VEOF, c))
		return take_eof(l);
	if (c == '\n' || is_cc(l, VEOL, c) ||
	    (has_local(l, IEXTEN) && is_cc(l, VEOL2, c)))
		return take_line_end(l, c);
	return take_plain(l, c);
}

/* ---- Reading ------------------------------------------------------------------------ */

size_t
ldisc_available(const struct ldisc *l)
{
	return (has_local(l, ICANON) ? l->canon_head : l->head) - l->tail;
}

bool
ldisc_is_readable(const struct ldisc *l, unsigned min)
{
	if (has_local(l, ICANON))
		return l->num_lines > 0;
	return l->head - l->tail >= MAX(min, 1u);
}

size_t
ldisc_read(struct ldisc *l, void *buf, size_t n, bool *is_eof)
{
	uint32_t end = has_local(l, ICANON) ? l->canon_head : l->head;
	uint8_t *out = buf;
	size_t done = 0;

	*is_eof = false;
	while (l->tail != end) {
		uint32_t pos = l->tail;
		bool is_end = bit_test(l->line_end, pos);

		if (done == n && !(is_end && bit_test(l->is_eof, pos)))
			break;
		l->tail++;
		if (!is_end) {
			out[done++] = char_at(l, pos);
			continue;
		}
		l->num_lines--;
		if (bit_test(l->is_eof, pos))
			*is_eof = true;
		else
			out[done++] = char_at(l, pos);
		/* In raw mode lines of earlier times run on; an old end of file is dropped. */
		if (has_local(l, ICANON))
			break;
	}
	if (!has_local(l, ICANON))
		l->canon_head = l->head;
	return done;
}

void
ldisc_set_termios(struct ldisc *l, const struct termios *tio)
{
	bool was_canonical = has_local(l, ICANON);

	l->tio = *tio;
	if (has_input(l, IXON) == 0 && l->is_stopped) {
		l->is_stopped = false;
		l->ops->set_stopped(l, false);
	}
	if (was_canonical == has_local(l, ICANON))
		return;
	l->is_literal = false;
	/* Into canonical mode with characters waiting: they count as one line, as in Linux. */
	if (!was_canonical && l->head != l->tail && !bit_test(l->line_end, l->head - 1))
		end_line(l, false);
	l->canon_head = l->head;
	l->line_column = l->column;
}

void
ldisc_flush_input(struct ldisc *l)
{
	l->tail = l->canon_head = l->head;
	l->num_lines = 0;
	l->line_column = l->column;
}
