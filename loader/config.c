/* keel.conf, see config.h: a line is cut in key and value, the key's function takes it.
 */
#include "loader/config.h"

#include "lib/string.h"

enum { SHOWN_MAX = 48 }; /* of a name in a report */

struct line {
	const struct config_report *report;
	unsigned number;
	const char *value;
	size_t len; /* of the value */
};

struct key {
	const char *name;
	void (*set)(struct config *, const struct line *);
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the blanks off both ends. */
static void
trim(const char **s, size_t *len)
{
	while (*len && is_blank((*s)[*len - 1]))
		--*len;
	while (*len && is_blank(**s))
		++*s, --*len;
}

static void
problem(const struct line *l, const char *what, const char *name, size_t len)
{
	char shown[SHOWN_MAX];

	len = MIN(len, sizeof(shown) - 1);
	for (size_t i = 0; i < len; i++)
		shown[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	shown[len] = '\0';
	l->report->problem(l->report->ctx, l->number, what, shown);
}

/* Copies text without control characters; false when it is too long or has some. */
static bool
take_text(char *dst, size_t size, const char *s, size_t len)
{
	if (len >= size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < ' ' && s[i] != '\t')
			return false;
	}
	memcpy(dst, s, len);
	dst[len] = '\0';
	return true;
}

static void
set_kernel(struct config *c, const struct line *l)
{
	char path[CONFIG_PATH_MAX];

	if (!l->len || !take_text(path, sizeof(path), l->value, l->len))
		problem(l, "bad path", l->value, l->len);
	else
		memcpy(c->kernel, path, sizeof(path));
}

/* Takes one path off the list at *s; false when it is no path. */
static bool
next_initrd(char *path, const char **s, size_t *len)
{
	const char *comma = memchr(*s, ',', *len);
	size_t n = comma ? (size_t)(comma - *s) : *len;
	const char *p = *s;

	*s += comma ? n + 1 : n;
	*len -= comma ? n + 1 : n;
	trim(&p, &n);
	return n && take_text(path, CONFIG_PATH_MAX, p, n);
}

/* All or nothing: a list with a mistake in it leaves the default. */
static void
set_initrd(struct config *c, const struct line *l)
{
	const char *s = l->value;
	size_t len = l->len;
	uint32_t n = 0;
	char path[CONFIG_PATH_MAX];

	while (len) {
		if (n == BOOT_MAX_INITRDS || !next_initrd(path, &s, &len)) {
			problem(l, n == BOOT_MAX_INITRDS ? "too many paths" : "bad path",
			    l->value, l->len);
			return;
		}
		n++;
	}
	c->num_initrds = n;
	s = l->value;
	len = l->len;
	for (uint32_t i = 0; i < n; i++)
		(void)next_initrd(c->initrd[i], &s, &len); /* was good a moment ago */
}

static void
set_cmdline(struct config *c, const struct line *l)
{
	static char text[BOOT_CMDLINE_MAX];

	if (take_text(text, sizeof(text), l->value, l->len))
		memcpy(c->cmdline, text, l->len + 1);
	else
		problem(l, "bad or too long command line", l->value, l->len);
}

static bool
is_word(const struct line *l, const char *word)
{
	return l->len == strlen(word) && !memcmp(l->value, word, l->len);
}

/* WIDTHxHEIGHT, each 1 to 5 digits. */
static bool
read_size(const struct line *l, uint32_t *width, uint32_t *height)
{
	char text[16];
	const char *end;
	uint64_t w, h;

	if (!take_text(text, sizeof(text), l->value, l->len) ||
	    !parse_u64(text, &end, 10, &w) || *end != 'x' ||
	    !parse_u64(end + 1, &end, 10, &h) || *end || !w || !h || w > 65535 ||
	    h > 65535)
		return false;
	*width = (uint32_t)w;
	*height = (uint32_t)h;
	return true;
}

static void
set_video(struct config *c, const struct line *l)
{
	if (is_word(l, "auto"))
		c->video = VIDEO_AUTO;
	else if (is_word(l, "keep"))
		c->video = VIDEO_KEEP;
	else if (is_word(l, "none"))
		c->video = VIDEO_NONE;
	else if (read_size(l, &c->width, &c->height))
		c->video = VIDEO_SIZE;
	else
		problem(l, "video is auto, keep, none or WIDTHxHEIGHT, not", l->value,
		    l->len);
}

static const struct key keys[] = {
    {"kernel", set_kernel},
    {"initrd", set_initrd},
    {"cmdline", set_cmdline},
    {"video", set_video},
};

static void
parse_line(struct config *c, struct line *l, const char *s, size_t len)
{
	const char *equals;
	size_t key_len;

	trim(&s, &len);
	if (!len || *s == '#')
		return;
	equals = memchr(s, '=', len);
	if (!equals) {
		problem(l, "no '=' in", s, len);
		return;
	}
	l->value = equals + 1;
	l->len = len - (size_t)(equals + 1 - s);
	trim(&l->value, &l->len);
	key_len = (size_t)(equals - s);
	trim(&s, &key_len);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (key_len == strlen(keys[i].name) &&
		    !memcmp(s, keys[i].name, key_len)) {
			keys[i].set(c, l);
			return;
		}
	}
	problem(l, "unknown key", s, key_len);
}

void
config_defaults(struct config *c)
{
	memset(c, 0, sizeof(*c));
	strlcpy(c->kernel, "kernel.elf", sizeof(c->kernel));
	strlcpy(c->initrd[0], "initrd.cpio.gz", sizeof(c->initrd[0]));
	c->num_initrds = 1;
	c->video = VIDEO_AUTO;
}

void
config_parse(
    struct config *c, const char *text, size_t len, const struct config_report *report)
{
	struct line l = {.report = report};

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* editors' byte order mark */
		text += 3, len -= 3;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		l.number++;
		parse_line(c, &l, text, n);
		if (!end)
			break;
		text += n + 1;
		len -= n + 1;
	}
}
