/*
 * PC keyboards: scan codes of set 1 to the characters a terminal program expects, US layout, with
 * the sequences of TERM=linux. Pure state: keyboard.c feeds it, unit tests too.
 */
#pragma once

#include "lib/types.h"

enum { KEYMAP_TEXT_MAX = 8 };

enum keymap_action {
	KEY_NOTHING,
	KEY_TEXT,   /* keymap->text, keymap->len bytes, were typed */
	KEY_LEDS,   /* a lock key changed keymap->leds */
	KEY_REBOOT, /* Ctrl-Alt-Del */
};

enum keymap_leds {
	LED_SCROLL = 1,
	LED_NUM = 2,
	LED_CAPS = 4
}; /* as command 0xed wants them */

struct keymap {
	bool is_extended; /* 0xe0 came before */
	unsigned skip;    /* bytes left of a Pause sequence (0xe1) */
	uint32_t held;    /* modifier keys that are down */
	uint8_t leds;
	bool has_app_keys; /* DECCKM: cursor keys send ESC O */
	char text[KEYMAP_TEXT_MAX];
	unsigned len;
};

enum keymap_action keymap_scan(struct keymap *, uint8_t code);
