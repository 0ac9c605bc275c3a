/* The terminal emulator. LINK: drivers/char/vt.c lib/string.c lib/fmt.c */
#include "drivers/char/vt.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

enum { ROWS = 5, COLS = 10 };

static struct vt vt;
static struct vt_cell cells[ROWS * COLS];
static bool dirty[ROWS];
static char replied[64];

static void
on_reply(struct vt *v, const char *text, size_t n)
{
	memcpy(replied, text, n);
	replied[n] = '\0';
}

static void
start(const char *text)
{
	vt_init(&vt, ROWS, COLS, cells, dirty);
	vt.reply = on_reply;
	replied[0] = '\0';
	vt_write(&vt, text, strlen(text));
}

static bool
row_is(unsigned row, const char *want)
{
	struct vt_cell *c = vt_row(&vt, row);
	size_t n = strlen(want);

	for (unsigned i = 0; i < COLS; i++)
		if ((c[i].code ? c[i].code : ' ') != (i < n ? (uint8_t)want[i] : ' '))
			return false;
	return true;
}

KTEST(vt_wraps_at_the_edge_only_with_the_next_character)
{
	start("0123456789");
	CHECK(row_is(0, "0123456789") && vt.cursor.row == 0 && vt.cursor.col == 9);
	vt_write(&vt, "x", 1);
	CHECK(row_is(1, "x") && vt.cursor.row == 1 && vt.cursor.col == 1);
	start("\033[?7l0123456789xyz");
	CHECK(row_is(0, "012345678z") && row_is(1, ""));
}

KTEST(vt_scrolls_the_screen_as_a_ring)
{
	start("a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng");
	CHECK(row_is(0, "c") && row_is(4, "g") && row_is(3, "f"));
	vt_write(&vt, "\033[1;1H\033M", 8);
	CHECK(row_is(0, "") && row_is(1, "c") && row_is(4, "f"));
}

KTEST(vt_scroll_region_keeps_the_rest)
{
	start("a\r\nb\r\nc\r\nd\r\ne\033[2;4r\033[4;1H\n");
	CHECK(row_is(0, "a") && row_is(1, "c") && row_is(2, "d") && row_is(3, "") &&
	      row_is(4, "e"));
	vt_write(&vt, "\033[2;1H\033[L", 9);
	CHECK(row_is(0, "a") && row_is(1, "") && row_is(2, "c") && row_is(3, "d") &&
	      row_is(4, "e"));
	vt_write(&vt, "\033[2M", 4);
	CHECK(row_is(1, "d") && row_is(2, "") && row_is(4, "e"));
}

KTEST(vt_moves_are_clamped)
{
	start("\033[99;99HX\033[AY\033[1;3H\033[99DZ");
	CHECK(row_is(4, "         X") && row_is(3, "         Y") && row_is(0, "Z"));
	start("\033[3;4H\033[6n");
	CHECK(!strcmp(replied, "\033[3;4R"));
	start("\033[c");
	CHECK(!strcmp(replied, "\033[?6c"));
}

KTEST(vt_erases_inserts_and_deletes)
{
	start("abcdefghij\033[1;4H\033[K");
	CHECK(row_is(0, "abc"));
	start("abcdef\033[1;2H\033[2P");
	CHECK(row_is(0, "adef"));
	start("abcdef\033[1;2H\033[2@");
	CHECK(row_is(0, "a  bcdef"));
	start("abcdef\033[1;2H\033[3X");
	CHECK(row_is(0, "a   ef"));
	start("a\r\nb\r\nc\033[2;1H\033[J");
	CHECK(row_is(0, "a") && row_is(1, "") && row_is(2, ""));
	start("a\r\nb\r\nc\033[2;1H\033[1J");
	CHECK(row_is(0, "") && row_is(1, "") && row_is(2, "c"));
}

KTEST(vt_colours)
{
	start("\033[31;44ma\033[1mb\033[7mc\033[0md\033[38;5;200me\033[48;2;255;0;"
	      "0mf\033[38;5mg");
	CHECK(vt_row(&vt, 0)[0].fg == 1 && vt_row(&vt, 0)[0].bg == 4);
	CHECK(vt_row(&vt, 0)[1].fg == 9);
	CHECK(vt_row(&vt, 0)[2].fg == 4 && vt_row(&vt, 0)[2].bg == 9);
	CHECK(vt_row(&vt, 0)[3].fg == 7 && vt_row(&vt, 0)[3].bg == 0);
	CHECK_EQ(vt_row(&vt, 0)[4].fg, 200);
	CHECK_EQ(vt_row(&vt, 0)[5].bg, 196);
	CHECK(row_is(0, "abcdefg"));
}

KTEST(vt_utf8_and_line_drawing)
{
	start("\xc3\xa9\xe2\x94\x80\xf0\x9f\x98\x80\xff\xc3x\033(0q\033(Bq");
	CHECK_EQ(vt_row(&vt, 0)[0].code, 0xe9);
	CHECK_EQ(vt_row(&vt, 0)[1].code, 0x2500);
	CHECK_EQ(vt_row(&vt, 0)[2].code, 0xfffd);
	CHECK_EQ(vt_row(&vt, 0)[3].code, 0xfffd);
	CHECK_EQ(vt_row(&vt, 0)[4].code, 0xfffd);
	CHECK_EQ(vt_row(&vt, 0)[5].code, 'x');
	CHECK_EQ(vt_row(&vt, 0)[6].code, 0x2500);
	CHECK_EQ(vt_row(&vt, 0)[7].code, 'q');
}

KTEST(vt_strings_and_unknown_sequences_leave_no_trace)
{
	start("\033]0;title\aa\033]P1ff0000b\033Pq...\033\\c\033[>0;1;2zd\033[?"
	      "1049he\033%Gf");
	CHECK(row_is(0, "abcdef"));
}

KTEST(vt_tabs)
{
	start("\tX\r\033[3g\tY");
	CHECK(row_is(0, "        XY"));
	start("ab\033H\r\033[1;1H\tX");
	CHECK(row_is(0, "abX"));
}

KTEST(vt_save_and_restore)
{
	start("ab\0337\033[5;5H\033[31mX\0338c");
	CHECK(row_is(0, "abc") && vt_row(&vt, 0)[2].fg == 7);
}

KTEST(vt_survives_random_bytes)
{
	static const char likely[] =
	    "\033[;?0123456789ABCDHJKLMPSTXfhlmrsu@\n\r\t\b()#%]\a";
	uint32_t seed = 7;

	start("");
	for (unsigned i = 0; i < 500000; i++) {
		char c;

		seed = seed * 1664525 + 1013904223;
		c = seed >> 31 ? likely[(seed >> 16) % (sizeof(likely) - 1)]
		               : (char)(seed >> 16);
		vt_write(&vt, &c, 1);
		CHECK(vt.cursor.row < ROWS && vt.cursor.col < COLS);
		CHECK(vt.top < vt.bottom && vt.bottom <= ROWS);
	}
}
