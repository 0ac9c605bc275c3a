/*
 * Scan codes (set 1, as the i8042 translates them) to text. A table gives each key's plain and
 * shifted character; keys that send sequences have a table of their own, since the keypad and
 * the cursor block share codes and differ only in the 0xe0 prefix.
 */
#include "drivers/char/keymap.h"

#include "lib/string.h"

enum {
	RELEASED = 0x80,
	SCAN_EXTENDED = 0xe0,
	SCAN_PAUSE = 0xe1,
	SCAN_CTRL = 0x1d,
	SCAN_LSHIFT = 0x2a,
	SCAN_RSHIFT = 0x36,
	SCAN_ALT = 0x38,
	SCAN_CAPS = 0x3a,
	SCAN_NUM = 0x45,
	SCAN_SCROLL = 0x46,
	SCAN_KP_FIRST = 0x47,
	SCAN_KP_LAST = 0x53,
	SCAN_KP_STAR = 0x37,
	SCAN_KP_SLASH = 0x35, /* extended */
	SCAN_ENTER = 0x1c,
	SCAN_DELETE = 0x53,
};

enum held_keys {
	HELD_LSHIFT = 1,
	HELD_RSHIFT = 2,
	HELD_SHIFT = HELD_LSHIFT | HELD_RSHIFT,
	HELD_LCTRL = 4,
	HELD_RCTRL = 8,
	HELD_CTRL = HELD_LCTRL | HELD_RCTRL,
	HELD_LALT = 16,
	HELD_RALT = 32,
	HELD_ALT = HELD_LALT | HELD_RALT,
};

static const char plain[] =
    "\0\033"
    "1234567890-=\x7f\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
    "\0\033"
    "!@#$%^&*()_+\x7f\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

/* Keypad 0x47..0x53 with Num Lock. */
static const char keypad[] = "789-456+1230.";

/* The same codes as cursor keys. */
static const char *const cursor_keys[] = {
    "\033[1~",
    "\033[A",
    "\033[5~",
    NULL,
    "\033[D",
    "\033[G",
    "\033[C",
    NULL,
    "\033[4~",
    "\033[B",
    "\033[6~",
    "\033[2~",
    "\033[3~",
};

static const struct {
	uint8_t code;
	const char *text;
} function_keys[] = {
    {0x3b, "\033[[A"},
    {0x3c, "\033[[B"},
    {0x3d, "\033[[C"},
    {0x3e, "\033[[D"},
    {0x3f, "\033[[E"},
    {0x40, "\033[17~"},
    {0x41, "\033[18~"},
    {0x42, "\033[19~"},
    {0x43, "\033[20~"},
    {0x44, "\033[21~"},
    {0x57, "\033[23~"},
    {0x58, "\033[24~"},
};

static uint32_t
modifier_of(uint8_t code, bool is_extended)
{
	switch (code) {
	case SCAN_LSHIFT:
		return is_extended ? 0 : HELD_LSHIFT; /* 0xe0 0x2a is a fake shift */
	case SCAN_RSHIFT: return is_extended ? 0 : HELD_RSHIFT;
	case SCAN_CTRL: return is_extended ? HELD_RCTRL : HELD_LCTRL;
	case SCAN_ALT: return is_extended ? HELD_RALT : HELD_LALT;
	default: return 0;
	}
}

static uint8_t
led_of(uint8_t code)
{
	return code == SCAN_CAPS     ? LED_CAPS
	       : code == SCAN_NUM    ? LED_NUM
	       : code == SCAN_SCROLL ? LED_SCROLL
	                             : 0;
}

static enum keymap_action
type_text(struct keymap *k, const char *text)
{
	k->len = 0;
	if ((k->held & HELD_ALT) && text[0] != '\033')
		k->text[k->len++] = '\033';
	while (*text && k->len < KEYMAP_TEXT_MAX)
		k->text[k->len++] = *text++;
	return k->len ? KEY_TEXT : KEY_NOTHING;
}

static enum keymap_action
type_char(struct keymap *k, char c)
{
	k->len = 0;
	if (k->held & HELD_ALT)
		k->text[k->len++] = '\033';
	k->text[k->len++] = c;
	return KEY_TEXT;
}

static char
control_of(char c)
{
	if (c == ' ' || c == '2')
		return 0;
	if (c == '/' || c == '-')
		return 0x1f;
	if ((c >= '@' && c <= '_') || (c >= 'a' && c <= 'z'))
		return c & 0x1f;
	return c;
}

static enum keymap_action
cursor_key(struct keymap *k, uint8_t code)
{
	const char *text = cursor_keys[code - SCAN_KP_FIRST];
	char app[4];

	if (!text)
		return KEY_NOTHING;
	if (code == SCAN_DELETE && (k->held & HELD_CTRL) && (k->held & HELD_ALT))
		return KEY_REBOOT;
	if (k->has_app_keys && text[2] >= 'A' && text[2] <= 'D') {
		memcpy(app, text, sizeof(app));
		app[1] = 'O';
		text = app;
	}
	return type_text(k, text);
}

static enum keymap_action
keypad_key(struct keymap *k, uint8_t code, bool is_extended)
{
	char c = keypad[code - SCAN_KP_FIRST];

	if (c == '-' || c == '+')
		return is_extended ? KEY_NOTHING : type_char(k, c);
	if (is_extended || !(k->leds & LED_NUM) || (k->held & (HELD_CTRL | HELD_ALT)))
		return cursor_key(k, code);
	return type_char(k, c);
}

static enum keymap_action
plain_key(struct keymap *k, uint8_t code)
{
	bool is_shifted = k->held & HELD_SHIFT;
	char c;

	if (code >= sizeof(plain) - 1)
		return KEY_NOTHING;
	c = plain[code];
	if (c == '\0')
		return KEY_NOTHING;
	if (c >= 'a' && c <= 'z' && (k->leds & LED_CAPS))
		is_shifted = !is_shifted;
	if (is_shifted)
		c = shifted[code];
	if (k->held & HELD_CTRL)
		c = control_of(c);
	return type_char(k, c);
}

static enum keymap_action
key_down(struct keymap *k, uint8_t code, bool is_extended)
{
	if (code >= SCAN_KP_FIRST && code <= SCAN_KP_LAST)
		return keypad_key(k, code, is_extended);
	for (unsigned i = 0; i < ARRAY_SIZE(function_keys); i++)
		if (function_keys[i].code == code && !is_extended)
			return type_text(k, function_keys[i].text);
	/* Of the extended keys only the keypad's / and Enter are characters. */
	if (is_extended && code != SCAN_KP_SLASH && code != SCAN_ENTER)
		return KEY_NOTHING;
	return plain_key(k, code);
}

enum keymap_action
keymap_scan(struct keymap *k, uint8_t code)
{
	bool is_extended = k->is_extended;
	bool is_release = code & RELEASED;
	uint32_t modifier;

	if (k->skip > 0) {
		k->skip--;
		return KEY_NOTHING;
	}
	if (code == SCAN_EXTENDED) {
		k->is_extended = true;
		return KEY_NOTHING;
	}
	if (code == SCAN_PAUSE) {
		k->skip = 2;
		return KEY_NOTHING;
	}
	k->is_extended = false;
	code &= ~RELEASED;
	modifier = modifier_of(code, is_extended);
	if (modifier) {
		k->held = is_release ? k->held & ~modifier : k->held | modifier;
		return KEY_NOTHING;
	}
	if (is_release)
		return KEY_NOTHING;
	if (led_of(code) && !is_extended) {
		k->leds ^= led_of(code);
		return KEY_LEDS;
	}
	return key_down(k, code, is_extended);
}
