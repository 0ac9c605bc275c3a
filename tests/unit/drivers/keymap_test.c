/* Scan codes to text. LINK: drivers/char/keymap.c lib/string.c */
#include "drivers/char/keymap.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static struct keymap k;

/* Feeds scan codes; the text typed by all of them. */
static const char *
typed(const char *codes, size_t n)
{
	static char out[64];
	size_t len = 0;

	memset(&k, 0, sizeof(k));
	for (size_t i = 0; i < n; i++) {
		if (keymap_scan(&k, (uint8_t)codes[i]) != KEY_TEXT)
			continue;
		memcpy(out + len, k.text, k.len);
		len += k.len;
	}
	out[len] = '\0';
	return out;
}

#define TYPED(codes) typed(codes, sizeof(codes) - 1)

KTEST(keymap_letters_and_shift)
{
	CHECK(!strcmp(TYPED("\x1e\x9e\x2a\x1e\x9e\x02\xaa\x02\x39"), "aA!1 "));
	CHECK(!strcmp(TYPED("\x1c\x0e\x0f\x01"), "\r\x7f\t\033"));
	CHECK(!strcmp(TYPED("\x2c\x2d\x2e\x2f\x30\x31\x32\x33\x34\x35\x2b\x29\x28"),
	    "zxcvbnm,./\\`'"));
}

KTEST(keymap_caps_lock_is_for_letters)
{
	CHECK(!strcmp(TYPED("\x3a\xba\x1e\x02\x2a\x1e\xaa\x3a\x1e"), "A1aa"));
}

KTEST(keymap_control_and_alt)
{
	CHECK(!strcmp(TYPED("\x1d\x2e\x9d\x2e"), "\x03"
	                                         "c"));
	CHECK(!strcmp(TYPED("\x1d\x1a"), "\x1b"));
	CHECK(!strcmp(TYPED("\x38\x1e"), "\033a"));
	CHECK(!strcmp(TYPED("\x1d\x2b"), "\x1c"));
}

KTEST(keymap_cursor_keys_and_keypad)
{
	CHECK(!strcmp(TYPED("\xe0\x48\xe0\xc8\xe0\x53\xe0\x47"), "\033[A\033[3~\033[1~"));
	CHECK(!strcmp(TYPED("\x48\x45\x48\x4a\x4e"), "\033[A8-+"));
	CHECK(!strcmp(TYPED("\xe0\x35\xe0\x1c\xe0\x5b"), "/\r"));
	CHECK(!strcmp(TYPED("\x3b\x57"), "\033[[A\033[23~"));
	memset(&k, 0, sizeof(k));
	k.has_app_keys = true;
	keymap_scan(&k, 0xe0);
	CHECK(keymap_scan(&k, 0x48) == KEY_TEXT && !memcmp(k.text, "\033OA", 3));
}

KTEST(keymap_ctrl_alt_del)
{
	memset(&k, 0, sizeof(k));
	keymap_scan(&k, 0x1d);
	keymap_scan(&k, 0x38);
	keymap_scan(&k, 0xe0);
	CHECK_EQ(keymap_scan(&k, 0x53), KEY_REBOOT);
}

KTEST(keymap_pause_and_fake_shifts_type_nothing)
{
	CHECK(!strcmp(TYPED("\xe1\x1d\x45\xe1\x9d\xc5\xe0\x2a\x1e"), "a"));
	CHECK_EQ(k.leds, 0);
}

KTEST(keymap_survives_any_code)
{
	uint32_t seed = 3;

	memset(&k, 0, sizeof(k));
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		keymap_scan(&k, (uint8_t)(seed >> 16));
		CHECK(k.len <= KEYMAP_TEXT_MAX);
	}
}
