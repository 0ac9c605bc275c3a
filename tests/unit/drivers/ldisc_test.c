/*
 * The line discipline, by POSIX XBD 11. LINK: drivers/char/ldisc.c lib/string.c
 */
#include "drivers/char/ldisc.h"
#include "kernel/proc/signal.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static char echoed[8192];
static size_t num_echoed;
static int last_signal;
static bool stopped;

static void
on_echo(struct ldisc *l, const char *text, size_t n)
{
	memcpy(echoed + num_echoed, text, n);
	num_echoed += n;
	echoed[num_echoed] = '\0';
}

static void
on_signal(struct ldisc *l, int sig)
{
	last_signal = sig;
}

static void
on_stopped(struct ldisc *l, bool is_stopped)
{
	stopped = is_stopped;
}

static const struct ldisc_ops ops = {on_echo, on_signal, on_stopped};
static struct ldisc l;

static void
start(void)
{
	ldisc_init(&l, &ops);
	num_echoed = 0;
	echoed[0] = '\0';
	last_signal = 0;
	stopped = false;
}

static void
type(const char *s)
{
	for (; *s; s++)
		ldisc_input(&l, (uint8_t)*s);
}

/* Reads once and compares. */
static bool
reads(const char *want)
{
	static char buf[LDISC_BUFFER + 1];
	bool is_eof;
	size_t n = ldisc_read(&l, buf, LDISC_BUFFER, &is_eof);

	buf[n] = '\0';
	return !strcmp(buf, want);
}

KTEST(ldisc_gives_one_line_a_read)
{
	start();
	type("one\rtwo\nthr");
	CHECK(ldisc_is_readable(&l, 1));
	CHECK_EQ(ldisc_available(&l), 8);
	CHECK(reads("one\n") && reads("two\n"));
	CHECK(!ldisc_is_readable(&l, 1) && reads(""));
	type("ee\n");
	CHECK(reads("three\n"));
	CHECK(!strcmp(echoed, "one\r\ntwo\r\nthree\r\n"));
}

KTEST(ldisc_short_reads_continue_the_line)
{
	char buf[4];
	bool is_eof;

	start();
	type("abcdef\n");
	CHECK_EQ(ldisc_read(&l, buf, 4, &is_eof), 4);
	CHECK(ldisc_is_readable(&l, 1));
	CHECK(reads("ef\n"));
}

KTEST(ldisc_erases_characters_words_and_lines)
{
	start();
	type("abx\x7f\x7f\x7f\x7f"
	     "cd ef  \x17gh\n");
	CHECK(reads("cd gh\n"));
	start();
	type("abc\x15xy\n");
	CHECK(reads("xy\n"));
	CHECK(!strcmp(echoed, "abc\b \b\b \b\b \bxy\r\n"));
}

KTEST(ldisc_erases_tabs_carets_and_utf8_by_columns)
{
	start();
	type("a\t\x7f");
	CHECK_EQ(num_echoed, 2 + 7 * 3);
	start();
	type("\x01\x7f");
	CHECK(!strcmp(echoed, "^A\b \b\b \b"));
	start();
	type("\xc3\xa9\x7f\n");
	CHECK(reads("\n"));
	CHECK(!strcmp(echoed, "\xc3\xa9\b \b\r\n"));
}

KTEST(ldisc_end_of_file_ends_a_read_and_is_not_in_it)
{
	char buf[8];
	bool is_eof;

	start();
	type("ab\x04");
	CHECK_EQ(ldisc_read(&l, buf, 8, &is_eof), 2);
	type("\x04");
	CHECK(ldisc_is_readable(&l, 1));
	CHECK_EQ(ldisc_read(&l, buf, 8, &is_eof), 0);
	CHECK(is_eof && !ldisc_is_readable(&l, 1));
	/* A read that just fits the text swallows the end of file with it. */
	type("ab\x04");
	CHECK_EQ(ldisc_read(&l, buf, 2, &is_eof), 2);
	CHECK(!ldisc_is_readable(&l, 1));
}

KTEST(ldisc_signals_flush_unless_told_not_to)
{
	start();
	type("abc\x03");
	CHECK_EQ(last_signal, SIGINT);
	CHECK(!strcmp(echoed, "abc^C"));
	type("d\n");
	CHECK(reads("d\n"));
	type("\x1c");
	CHECK_EQ(last_signal, SIGQUIT);
	type("\x1a");
	CHECK_EQ(last_signal, SIGTSTP);
	l.tio.lflag |= NOFLSH;
	type("ab\x03"
	     "c\n");
	CHECK(reads("abc\n"));
}

KTEST(ldisc_literal_next_takes_any_character)
{
	start();
	type("a\x16\x03\x16\x7f\n");
	CHECK_EQ(last_signal, 0);
	CHECK(reads("a\x03\x7f\n"));
}

KTEST(ldisc_raw_mode_passes_all)
{
	struct termios t;

	start();
	type("half");
	t = l.tio;
	t.lflag &= ~(ICANON | ECHO | ISIG);
	t.iflag &= ~(ICRNL | IXON);
	ldisc_set_termios(&l, &t);
	num_echoed = 0;
	CHECK(ldisc_is_readable(&l, 4) && !ldisc_is_readable(&l, 5));
	type("\x03\r\x13");
	CHECK(reads("half\x03\r\x13"));
	CHECK_EQ(num_echoed, 0);
}

KTEST(ldisc_back_to_canonical_makes_what_waits_a_line)
{
	struct termios canon, raw;

	start();
	raw = canon = l.tio;
	raw.lflag &= ~ICANON;
	ldisc_set_termios(&l, &raw);
	type("abc");
	ldisc_set_termios(&l, &canon);
	CHECK(ldisc_is_readable(&l, 1));
	CHECK(reads("abc"));
}

KTEST(ldisc_flow_control_stops_and_starts)
{
	start();
	type("\x13");
	CHECK(stopped);
	type("a");
	CHECK(stopped);
	type("\x11");
	CHECK(!stopped);
	type("\n");
	CHECK(reads("a\n"));
	type("\x13");
	l.tio.iflag |= IXANY;
	type("b\n");
	CHECK(!stopped && reads("b\n"));
}

KTEST(ldisc_full_buffer_loses_text_but_never_the_line_end)
{
	start();
	for (unsigned i = 0; i < LDISC_BUFFER - 1; i++)
		CHECK(ldisc_input(&l, 'x'));
	CHECK(!ldisc_input(&l, 'y'));
	CHECK(ldisc_input(&l, '\n'));
	CHECK(!ldisc_input(&l, '\n'));
	CHECK_EQ(ldisc_available(&l), LDISC_BUFFER);
	type("\x7f\x15\x17");
	CHECK_EQ(ldisc_available(&l), LDISC_BUFFER);
	ldisc_flush_input(&l);
	type("ok\n");
	CHECK(reads("ok\n"));
}

KTEST(ldisc_output_processing)
{
	char out[LDISC_EXPANSION];

	start();
	CHECK_EQ(ldisc_output(&l, '\n', out), 2);
	l.tio.oflag |= XTABS;
	CHECK_EQ(ldisc_output(&l, 'a', out), 1);
	CHECK_EQ(ldisc_output(&l, '\t', out), 7);
	l.tio.oflag |= OCRNL;
	CHECK(ldisc_output(&l, '\r', out) == 1 && out[0] == '\n');
	l.tio.oflag = 0;
	CHECK(ldisc_output(&l, '\n', out) == 1 && out[0] == '\n');
}

KTEST(ldisc_survives_random_input_and_modes)
{
	uint32_t seed = 1;
	bool is_eof;
	char buf[300];

	start();
	for (unsigned i = 0; i < 300000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 24 < 3) {
			struct termios t = l.tio;

			t.lflag ^= seed & (ICANON | ECHO | ISIG | NOFLSH | ECHOE | ECHOK |
			                      IEXTEN);
			t.iflag ^= seed >> 3 & (IXON | ICRNL | IUTF8 | IGNCR);
			ldisc_set_termios(&l, &t);
		} else if (seed >> 24 < 20) {
			size_t n = ldisc_read(&l, buf, seed >> 8 & 255, &is_eof);

			CHECK(n <= 255);
		} else {
			ldisc_input(&l, (uint8_t)(seed >> 16));
		}
		CHECK(l.head - l.tail <= LDISC_BUFFER);
		CHECK(l.canon_head - l.tail <= l.head - l.tail);
		CHECK(l.num_lines <= LDISC_BUFFER);
		num_echoed = 0;
	}
}

KTEST(ldisc_has_room_for_all_but_finished_lines)
{
	start();
	l.tio.lflag &= ~(uint32_t)ECHO;
	for (unsigned i = 0; i < LDISC_BUFFER * 2; i++)
		ldisc_input(&l, 'x');
	/* A line too long for the buffer: it must be possible to end it. */
	CHECK(ldisc_has_room(&l));
	type("\n");
	CHECK_EQ(ldisc_available(&l), LDISC_BUFFER);
	CHECK(!ldisc_has_room(&l));
	ldisc_flush_input(&l);
	l.tio.lflag &= ~(uint32_t)ICANON;
	for (unsigned i = 0; i < LDISC_BUFFER - 1; i++) {
		CHECK(ldisc_has_room(&l));
		ldisc_input(&l, 'y');
	}
	CHECK(!ldisc_has_room(&l));
}
