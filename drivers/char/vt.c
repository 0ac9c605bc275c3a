/*
 * The terminal emulator. One state machine takes bytes: text is decoded from UTF-8 and put at
 * the cursor, control characters act at once, escape sequences gather their parameters and act
 * on their final character (ECMA-48 section 5.4).
 *
 * The grid is a ring of rows: scrolling the whole screen moves `first` and clears one row. Only
 * a scroll inside a smaller region copies.
 */
#include "drivers/char/vt.h"

#include "lib/fmt.h"
#include "lib/string.h"

enum { DEFAULT_FG = 7, DEFAULT_BG = 0, ESC = 0x1b, REPLACEMENT = 0xfffd };

struct vt_cell *
vt_row(const struct vt *vt, unsigned row)
{
	return vt->cells + (size_t)((vt->first + row) % vt->rows) * vt->cols;
}

static void
touch_rows(struct vt *vt, unsigned from, unsigned to)
{
	for (unsigned r = from; r < to; r++)
		vt->is_dirty[r] = true;
}

/* ---- Cells ---------------------------------------------------------------------------- */

static struct vt_cell
make_cell(const struct vt *vt, uint16_t code)
{
	const struct vt_attr *a = &vt->cursor.attr;
	uint8_t fg = a->fg, bg = a->bg;

	if (a->is_bold && fg < 8)
		fg += 8;
	return (struct vt_cell){
	    .code = code,
	    .fg = a->is_reverse ? bg : fg,
	    .bg = a->is_reverse ? fg : bg,
	};
}

/* Erased cells keep the background colour, as TERM=linux's "bce" says. */
static void
clear_cells(struct vt *vt, unsigned row, unsigned from, unsigned to)
{
	struct vt_cell blank = {.code = 0, .fg = DEFAULT_FG, .bg = vt->cursor.attr.bg};
	struct vt_cell *cells = vt_row(vt, row);

	for (unsigned c = from; c < to; c++)
		cells[c] = blank;
	vt->is_dirty[row] = true;
}

static void
clear_rows(struct vt *vt, unsigned from, unsigned to)
{
	for (unsigned r = from; r < to; r++)
		clear_cells(vt, r, 0, vt->cols);
}

static void
copy_row(struct vt *vt, unsigned to, unsigned from)
{
	memcpy(vt_row(vt, to), vt_row(vt, from), vt->cols * sizeof(struct vt_cell));
}

/* Moves rows [top, bottom) up by n; blank rows come in below. */
static void
scroll_up(struct vt *vt, unsigned top, unsigned bottom, unsigned n)
{
	n = MIN(n, bottom - top);
	if (top == 0 && bottom == vt->rows)
		vt->first = (vt->first + n) % vt->rows;
	else
		for (unsigned r = top; r + n < bottom; r++)
			copy_row(vt, r, r + n);
	clear_rows(vt, bottom - n, bottom);
	touch_rows(vt, top, bottom);
}

static void
scroll_down(struct vt *vt, unsigned top, unsigned bottom, unsigned n)
{
	n = MIN(n, bottom - top);
	if (top == 0 && bottom == vt->rows)
		vt->first = (vt->first + vt->rows - n) % vt->rows;
	else
		for (unsigned r = bottom; r-- > top + n;)
			copy_row(vt, r, r - n);
	clear_rows(vt, top, top + n);
	touch_rows(vt, top, bottom);
}

/* ---- Cursor --------------------------------------------------------------------------- */

static void
move_to(struct vt *vt, unsigned row, unsigned col)
{
	vt->is_dirty[vt->cursor.row] = true;
	vt->cursor.row = MIN(row, vt->rows - 1);
	vt->cursor.col = MIN(col, vt->cols - 1);
	vt->cursor.is_wrapping = false;
	vt->is_dirty[vt->cursor.row] = true;
}

/* A position as programs give it: relative to the scroll region in origin mode. */
static void
move_to_origin(struct vt *vt, unsigned row, unsigned col)
{
	if (vt->has_origin)
		row = MIN(row + vt->top, vt->bottom - 1);
	move_to(vt, row, col);
}

static void
move_rows(struct vt *vt, int delta)
{
	int row = (int)vt->cursor.row + delta;
	int low = vt->cursor.row >= vt->top ? (int)vt->top : 0;
	int high = vt->cursor.row < vt->bottom ? (int)vt->bottom - 1 : (int)vt->rows - 1;

	move_to(vt, (unsigned)MAX(low, MIN(high, row)), vt->cursor.col);
}

static void
move_cols(struct vt *vt, int delta)
{
	int col = (int)vt->cursor.col + delta;

	move_to(vt, vt->cursor.row, (unsigned)MAX(0, MIN((int)vt->cols - 1, col)));
}

static void
line_feed(struct vt *vt)
{
	if (vt->cursor.row + 1 == vt->bottom)
		scroll_up(vt, vt->top, vt->bottom, 1);
	else
		move_to(vt, vt->cursor.row + 1, vt->cursor.col);
	vt->cursor.is_wrapping = false;
}

static void
reverse_line_feed(struct vt *vt)
{
	if (vt->cursor.row == vt->top)
		scroll_down(vt, vt->top, vt->bottom, 1);
	else if (vt->cursor.row > 0)
		move_to(vt, vt->cursor.row - 1, vt->cursor.col);
}

static void
tab(struct vt *vt)
{
	unsigned col = vt->cursor.col + 1;

	while (col < vt->cols - 1 && !(col < 512 && (vt->tabs[col / 64] >> col % 64 & 1)))
		col++;
	move_to(vt, vt->cursor.row, col);
}

static void
reset(struct vt *vt)
{
	vt->cursor = (struct vt_cursor){.attr = {.fg = DEFAULT_FG, .bg = DEFAULT_BG}};
	vt->saved = vt->cursor;
	vt->top = 0;
	vt->bottom = vt->rows;
	vt->is_cursor_visible = vt->has_autowrap = true;
	vt->is_inserting = vt->has_origin = vt->has_app_keys = false;
	for (unsigned i = 0; i < ARRAY_SIZE(vt->tabs); i++)
		vt->tabs[i] = 0x0101010101010101;
	vt->state = VT_TEXT;
	vt->utf8_left = 0;
	clear_rows(vt, 0, vt->rows);
}

void
vt_init(
    struct vt *vt, unsigned rows, unsigned cols, struct vt_cell *cells, bool *is_dirty)
{
	memset(vt, 0, sizeof(*vt));
	vt->rows = rows;
	vt->cols = cols;
	vt->cells = cells;
	vt->is_dirty = is_dirty;
	reset(vt);
}

/* ---- Text ----------------------------------------------------------------------------- */

/* DEC special graphics, 0x60..0x7e (VT100 User Guide, table 3-9). */
static const uint16_t line_drawing[] = {
    0x25c6,
    0x2592,
    0x2409,
    0x240c,
    0x240d,
    0x240a,
    0x00b0,
    0x00b1,
    0x2424,
    0x240b,
    0x2518,
    0x2510,
    0x250c,
    0x2514,
    0x253c,
    0x23ba,
    0x23bb,
    0x2500,
    0x23bc,
    0x23bd,
    0x251c,
    0x2524,
    0x2534,
    0x252c,
    0x2502,
    0x2264,
    0x2265,
    0x03c0,
    0x2260,
    0x00a3,
    0x00b7,
};

static void
put_char(struct vt *vt, uint32_t code)
{
	struct vt_cell *row;

	if (vt->cursor.has_graphics && code >= 0x60 &&
	    code < 0x60 + ARRAY_SIZE(line_drawing))
		code = line_drawing[code - 0x60];
	if (code > 0xffff)
		code = REPLACEMENT;
	if (vt->cursor.is_wrapping && vt->has_autowrap) {
		vt->cursor.col = 0;
		line_feed(vt);
	}
	row = vt_row(vt, vt->cursor.row);
	if (vt->is_inserting)
		memmove(row + vt->cursor.col + 1, row + vt->cursor.col,
		    (vt->cols - vt->cursor.col - 1) * sizeof(*row));
	row[vt->cursor.col] = make_cell(vt, (uint16_t)code);
	vt->is_dirty[vt->cursor.row] = true;
	if (vt->cursor.col + 1 < vt->cols)
		vt->cursor.col++;
	else
		vt->cursor.is_wrapping = true;
}

/* One byte of UTF-8 (RFC 3629); what is malformed shows as the replacement character. */
static void
take_text(struct vt *vt, uint8_t c)
{
	if (vt->utf8_left > 0 && (c & 0xc0) == 0x80) {
		vt->utf8_code = vt->utf8_code << 6 | (c & 0x3f);
		if (--vt->utf8_left == 0)
			put_char(vt, vt->utf8_code);
		return;
	}
	if (vt->utf8_left > 0)
		put_char(vt, REPLACEMENT);
	vt->utf8_left = 0;
	if (c < 0x80) {
		put_char(vt, c);
	} else if (c >= 0xc2 && c < 0xf5) {
		vt->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		vt->utf8_code = c & (0x3f >> vt->utf8_left);
	} else {
		put_char(vt, REPLACEMENT);
	}
}

/* Control characters act in the middle of escape sequences too (VT102). True: it was one. */
static bool
take_control(struct vt *vt, uint8_t c)
{
	switch (c) {
	case 0x00:
	case 0x7f: return true;
	case '\a':
		if (vt->bell)
			vt->bell(vt);
		return true;
	case '\b': move_cols(vt, -1); return true;
	case '\t': tab(vt); return true;
	case '\n':
	case '\v':
	case '\f': line_feed(vt); return true;
	case '\r': move_to(vt, vt->cursor.row, 0); return true;
	case 0x0e:
	case 0x0f: vt->cursor.has_graphics = c == 0x0e; return true;
	case 0x18:
	case 0x1a: vt->state = VT_TEXT; return true;
	case ESC:
		vt->state = VT_ESCAPE;
		vt->utf8_left = 0;
		return true;
	default: return c < ' ';
	}
}

/* ---- Select graphic rendition --------------------------------------------------------- */

/* The nearest entry of the 256-colour palette's 6x6x6 cube. */
static uint8_t
cube_color(unsigned r, unsigned g, unsigned b)
{
	return (uint8_t)(16 + 36 * (MIN(r, 255u) * 5 / 255) +
	                 6 * (MIN(g, 255u) * 5 / 255) + MIN(b, 255u) * 5 / 255);
}

/* 38;5;N or 38;2;R;G;B from parameter i on; returns the last one used. */
static unsigned
extended_color(const struct vt *vt, unsigned i, uint8_t *color)
{
	if (i + 2 < vt->num_params && vt->params[i + 1] == 5) {
		*color = (uint8_t)vt->params[i + 2];
		return i + 2;
	}
	if (i + 4 < vt->num_params && vt->params[i + 1] == 2) {
		*color =
		    cube_color(vt->params[i + 2], vt->params[i + 3], vt->params[i + 4]);
		return i + 4;
	}
	return vt->num_params;
}

static void
select_attribute(struct vt_attr *a, unsigned p)
{
	switch (p) {
	case 0: *a = (struct vt_attr){.fg = DEFAULT_FG, .bg = DEFAULT_BG}; break;
	case 1: a->is_bold = true; break;
	case 4: a->is_underlined = true; break;
	case 7: a->is_reverse = true; break;
	case 21:
	case 22: a->is_bold = false; break;
	case 24: a->is_underlined = false; break;
	case 27: a->is_reverse = false; break;
	case 39: a->fg = DEFAULT_FG; break;
	case 49: a->bg = DEFAULT_BG; break;
	default:
		if (p >= 30 && p <= 37)
			a->fg = (uint8_t)(p - 30);
		else if (p >= 40 && p <= 47)
			a->bg = (uint8_t)(p - 40);
		else if (p >= 90 && p <= 97)
			a->fg = (uint8_t)(p - 90 + 8);
		else if (p >= 100 && p <= 107)
			a->bg = (uint8_t)(p - 100 + 8);
	}
}

static void
select_rendition(struct vt *vt)
{
	struct vt_attr *a = &vt->cursor.attr;

	for (unsigned i = 0; i < vt->num_params; i++) {
		if (vt->params[i] == 38)
			i = extended_color(vt, i, &a->fg);
		else if (vt->params[i] == 48)
			i = extended_color(vt, i, &a->bg);
		else
			select_attribute(a, vt->params[i]);
	}
}

/* ---- Control sequences ---------------------------------------------------------------- */

static void
erase_display(struct vt *vt, unsigned how)
{
	const struct vt_cursor *c = &vt->cursor;

	if (how == 0) {
		clear_cells(vt, c->row, c->col, vt->cols);
		clear_rows(vt, c->row + 1, vt->rows);
	} else if (how == 1) {
		clear_rows(vt, 0, c->row);
		clear_cells(vt, c->row, 0, c->col + 1);
	} else {
		clear_rows(vt, 0, vt->rows);
	}
}

static void
erase_line(struct vt *vt, unsigned how)
{
	unsigned col = vt->cursor.col;

	clear_cells(
	    vt, vt->cursor.row, how == 0 ? col : 0, how == 1 ? col + 1 : vt->cols);
}

/* Opens (or closes) n cells at the cursor, moving the rest of the line. */
static void
shift_cells(struct vt *vt, unsigned n, bool is_insert)
{
	unsigned col = vt->cursor.col, left;
	struct vt_cell *row = vt_row(vt, vt->cursor.row);

	n = MIN(n, vt->cols - col);
	left = vt->cols - col - n;
	if (is_insert)
		memmove(row + col + n, row + col, left * sizeof(*row));
	else
		memmove(row + col, row + col + n, left * sizeof(*row));
	clear_cells(vt, vt->cursor.row, is_insert ? col : col + left,
	    is_insert ? col + n : vt->cols);
}

static void
shift_lines(struct vt *vt, unsigned n, bool is_insert)
{
	if (vt->cursor.row < vt->top || vt->cursor.row >= vt->bottom)
		return;
	if (is_insert)
		scroll_down(vt, vt->cursor.row, vt->bottom, n);
	else
		scroll_up(vt, vt->cursor.row, vt->bottom, n);
	move_to(vt, vt->cursor.row, 0);
}

static void
set_region(struct vt *vt, unsigned top, unsigned bottom)
{
	if (bottom == 0 || bottom > vt->rows)
		bottom = vt->rows;
	if (top > 0)
		top--;
	if (top + 1 >= bottom)
		return;
	vt->top = top;
	vt->bottom = bottom;
	move_to_origin(vt, 0, 0);
}

static void
set_mode(struct vt *vt, bool on)
{
	for (unsigned i = 0; i < vt->num_params; i++) {
		unsigned mode = vt->params[i];

		if (vt->csi_prefix == 0 && mode == 4)
			vt->is_inserting = on;
		if (vt->csi_prefix != '?')
			continue;
		switch (mode) {
		case 1: vt->has_app_keys = on; break;
		case 6:
			vt->has_origin = on;
			move_to_origin(vt, 0, 0);
			break;
		case 7: vt->has_autowrap = on; break;
		case 25:
			vt->is_cursor_visible = on;
			vt->is_dirty[vt->cursor.row] = true;
			break;
		}
	}
}

static void
report(struct vt *vt, unsigned what)
{
	char text[32];
	int n = 0;

	if (what == 5)
		n = scnprintf(text, sizeof(text), "\033[0n");
	else if (what == 6)
		n = scnprintf(text, sizeof(text), "\033[%u;%uR",
		    vt->cursor.row + 1 - (vt->has_origin ? vt->top : 0),
		    vt->cursor.col + 1);
	if (n > 0 && vt->reply)
		vt->reply(vt, text, (size_t)n);
}

static void
clear_tabs(struct vt *vt, unsigned how)
{
	unsigned col = vt->cursor.col;

	if (how == 3)
		memset(vt->tabs, 0, sizeof(vt->tabs));
	else if (how == 0 && col < 512)
		vt->tabs[col / 64] &= ~(1ull << col % 64);
}

/* The sequences that move: true when `final` was one. */
static bool
csi_move(struct vt *vt, char final, unsigned n)
{
	int d = (int)MIN(n, 9999u);

	switch (final) {
	case 'A': move_rows(vt, -d); break;
	case 'B':
	case 'e': move_rows(vt, d); break;
	case 'C':
	case 'a': move_cols(vt, d); break;
	case 'D': move_cols(vt, -d); break;
	case 'E':
		move_rows(vt, d);
		move_cols(vt, -9999);
		break;
	case 'F':
		move_rows(vt, -d);
		move_cols(vt, -9999);
		break;
	case 'G':
	case '`': move_to(vt, vt->cursor.row, n - 1); break;
	case 'd': move_to_origin(vt, n - 1, vt->cursor.col); break;
	case 'H':
	case 'f':
		move_to_origin(vt, n - 1,
		    vt->num_params > 1 && vt->params[1] ? vt->params[1] - 1 : 0);
		break;
	default: return false;
	}
	return true;
}

static void
csi_act(struct vt *vt, char final)
{
	unsigned p = vt->params[0], n = MAX(p, 1u);

	if (final == 'h' || final == 'l') {
		set_mode(vt, final == 'h');
		return;
	}
	if (vt->csi_prefix || csi_move(vt, final, n))
		return;
	switch (final) {
	case '@': shift_cells(vt, n, true); break;
	case 'P': shift_cells(vt, n, false); break;
	case 'L': shift_lines(vt, n, true); break;
	case 'M': shift_lines(vt, n, false); break;
	case 'S': scroll_up(vt, vt->top, vt->bottom, n); break;
	case 'T': scroll_down(vt, vt->top, vt->bottom, n); break;
	case 'J': erase_display(vt, p); break;
	case 'K': erase_line(vt, p); break;
	case 'X':
		clear_cells(vt, vt->cursor.row, vt->cursor.col,
		    vt->cursor.col + MIN(n, vt->cols - vt->cursor.col));
		break;
	case 'c':
		if (vt->reply)
			vt->reply(vt, "\033[?6c", 5);
		break;
	case 'g': clear_tabs(vt, p); break;
	case 'm': select_rendition(vt); break;
	case 'n': report(vt, p); break;
	case 'r': set_region(vt, p, vt->num_params > 1 ? vt->params[1] : 0); break;
	case 's': vt->saved = vt->cursor; break;
	case 'u':
		touch_rows(vt, vt->cursor.row, vt->cursor.row + 1);
		vt->cursor = vt->saved;
		touch_rows(vt, vt->cursor.row, vt->cursor.row + 1);
		break;
	}
}

static void
take_csi(struct vt *vt, uint8_t c)
{
	unsigned *p = &vt->params[vt->num_params - 1];

	if (c >= '0' && c <= '9') {
		*p = MIN(*p * 10 + (c - '0'), 99999u);
	} else if (c == ';' || c == ':') {
		if (vt->num_params < VT_MAX_PARAMS)
			vt->params[vt->num_params++] = 0;
	} else if (c >= '<' && c <= '?') {
		vt->csi_prefix = (char)c;
	} else if (c >= 0x40 && c < 0x7f) {
		vt->state = VT_TEXT;
		csi_act(vt, (char)c);
	} else if (c < 0x20 || c > 0x2f) {
		vt->state = VT_TEXT;
	}
}

static void
begin_csi(struct vt *vt)
{
	vt->state = VT_CSI;
	vt->params[0] = 0;
	vt->params[1] = 0;
	vt->num_params = 1;
	vt->csi_prefix = 0;
}

static void
take_escape(struct vt *vt, uint8_t c)
{
	vt->state = VT_TEXT;
	switch (c) {
	case '[': begin_csi(vt); break;
	case ']': vt->state = VT_OSC_START; break;
	case 'P':
	case '^':
	case '_': vt->state = VT_STRING; break;
	case '(': vt->state = VT_CHARSET; break;
	case ')':
	case '*':
	case '+': vt->state = VT_CHARSET_G1; break;
	case '%': vt->state = VT_PERCENT; break;
	case '#': vt->state = VT_HASH; break;
	case 'D': line_feed(vt); break;
	case 'E':
		line_feed(vt);
		move_to(vt, vt->cursor.row, 0);
		break;
	case 'H':
		if (vt->cursor.col < 512)
			vt->tabs[vt->cursor.col / 64] |= 1ull << vt->cursor.col % 64;
		break;
	case 'M': reverse_line_feed(vt); break;
	case 'Z':
		if (vt->reply)
			vt->reply(vt, "\033[?6c", 5);
		break;
	case '7': vt->saved = vt->cursor; break;
	case '8':
		touch_rows(vt, vt->cursor.row, vt->cursor.row + 1);
		vt->cursor = vt->saved;
		touch_rows(vt, vt->cursor.row, vt->cursor.row + 1);
		break;
	case 'c': reset(vt); break;
	}
}

/* Operating system commands and other strings are skipped to their end (BEL or ESC \). */
static void
take_string(struct vt *vt, uint8_t c)
{
	if (vt->state == VT_OSC_START) {
		/* Linux's own: ESC ] R, and ESC ] P with seven hex digits, have no end mark. */
		vt->state = c == 'R' ? VT_TEXT : c == 'P' ? VT_PALETTE : VT_STRING;
		vt->string_left = 7;
	} else if (vt->state == VT_PALETTE) {
		if (--vt->string_left == 0)
			vt->state = VT_TEXT;
	} else if (vt->state == VT_STRING_ESCAPE) {
		vt->state = c == '\\' ? VT_TEXT : VT_STRING;
	}
	if (vt->state == VT_STRING && (c == '\a' || c == 0x18 || c == 0x1a))
		vt->state = VT_TEXT;
	else if (vt->state == VT_STRING && c == ESC)
		vt->state = VT_STRING_ESCAPE;
}

static void
take_byte(struct vt *vt, uint8_t c)
{
	if (vt->state >= VT_STRING) {
		take_string(vt, c);
		return;
	}
	if (take_control(vt, c))
		return;
	switch (vt->state) {
	case VT_ESCAPE: take_escape(vt, c); break;
	case VT_CSI: take_csi(vt, c); break;
	case VT_CHARSET:
		vt->cursor.has_graphics = c == '0';
		vt->state = VT_TEXT;
		break;
	case VT_CHARSET_G1:
	case VT_PERCENT:
	case VT_HASH: vt->state = VT_TEXT; break;
	default: take_text(vt, c);
	}
}

void
vt_write(struct vt *vt, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		take_byte(vt, (uint8_t)text[i]);
}
