/* The screen font, made at build time from a Debian font package by scripts/gen-font. */
#pragma once

#include "lib/types.h"

enum { FONT_WIDTH = 8, FONT_HEIGHT = 16 };

struct font_entry {
	uint16_t code;  /* Unicode */
	uint16_t glyph; /* index in font_glyphs */
};

extern const uint8_t
    font_glyphs[][FONT_HEIGHT]; /* a byte a line, the leftmost pixel in bit 7 */
extern const struct font_entry font_map[]; /* sorted by code */
extern const unsigned font_map_len;
