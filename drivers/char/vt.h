/*
 * A terminal emulator: text with control sequences in, a grid of coloured cells out. It speaks
 * what Linux's console speaks (console_codes(4), TERM=linux: ECMA-48 and DEC VT102 sequences, UTF-8).
 * Pure state, no lock and no device: fbcon.c draws the cells and holds the lock.
 */
#pragma once

#include "lib/types.h"

enum { VT_MAX_PARAMS = 16 };

struct vt_cell {
	uint16_t code;  /* Unicode, 0 = blank */
	uint8_t fg, bg; /* palette indices, 0..255 */
};

struct vt_attr {
	uint8_t fg, bg;
	bool is_bold, is_reverse, is_underlined;
};

struct vt_cursor {
	unsigned row, col;
	bool
	    is_wrapping; /* the last column was written: the next character starts a new line */
	struct vt_attr attr;
	bool has_graphics; /* DEC line drawing is in G0 */
};

struct vt {
	unsigned rows, cols;
	struct vt_cell *cells; /* rows x cols, the caller's memory */
	unsigned first;        /* grid row of the screen's top line: the grid is a ring */
	bool *is_dirty; /* by screen row: cells changed since the caller cleared it */
	struct vt_cursor cursor, saved;
	unsigned top, bottom; /* scroll region, [top, bottom) */
	bool is_cursor_visible, has_autowrap, is_inserting, has_origin, has_app_keys;
	uint64_t tabs[8]; /* bit: a tab stop */

	/* Decoding. */
	enum vt_state {
		VT_TEXT,
		VT_ESCAPE,
		VT_CSI,
		VT_CHARSET,
		VT_CHARSET_G1,
		VT_PERCENT,
		VT_HASH,
		VT_STRING,
		VT_STRING_ESCAPE,
		VT_OSC_START,
		VT_PALETTE,
	} state;
	unsigned params[VT_MAX_PARAMS], num_params;
	char csi_prefix;      /* '?', '>' … or 0 */
	unsigned string_left; /* characters of a palette entry */
	uint32_t utf8_code;
	unsigned utf8_left;

	/* Answers to queries (cursor position, identity) go back as input. */
	void (*reply)(struct vt *, const char *text, size_t n);
	void (*bell)(struct vt *);
};

/* cells: rows * cols of them; is_dirty: rows. The screen is cleared. */
void vt_init(
    struct vt *, unsigned rows, unsigned cols, struct vt_cell *cells, bool *is_dirty);
void vt_write(struct vt *, const char *text, size_t n);

/* The cells of screen row `row`. */
struct vt_cell *vt_row(const struct vt *, unsigned row);
