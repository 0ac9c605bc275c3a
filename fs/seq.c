/* Text that grows as it is written: what the files of procfs show. */
#include "kernel/procfs.h"

#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { FIRST_SIZE = 1024, LARGEST = 4 << 20 };

void
seq_init(struct seq *s)
{
	*s = (struct seq){.buf = NULL};
}

void
seq_free(struct seq *s)
{
	kfree(s->buf);
	s->buf = NULL;
}

/* Room for `n` more bytes. */
static bool
grow(struct seq *s, size_t n)
{
	size_t size = s->size ? s->size : FIRST_SIZE;
	char *buf;

	if (s->is_full)
		return false;
	if (n <= s->size - s->len)
		return true;
	while (size - s->len < n)
		size *= 2;
	buf = size <= LARGEST ? krealloc(s->buf, size) : NULL;
	if (!buf) {
		s->is_full = true;
		return false;
	}
	s->buf = buf;
	s->size = size;
	return true;
}

void
seq_write(struct seq *s, const void *data, size_t n)
{
	if (!grow(s, n))
		return;
	memcpy(s->buf + s->len, data, n);
	s->len += n;
}

void
seq_puts(struct seq *s, const char *text)
{
	seq_write(s, text, strlen(text));
}

void
seq_putc(struct seq *s, char c)
{
	seq_write(s, &c, 1);
}

void
seq_pad(struct seq *s, size_t start, size_t width)
{
	while (s->len - start < width && !s->is_full)
		seq_putc(s, ' ');
}

static size_t format(struct seq *s, const char *fmt, va_list args) PRINTF(2, 0);

/* Formats into the room there is; returns what the whole text needs. */
static size_t
format(struct seq *s, const char *fmt, va_list args)
{
	return vsnprintf(s->buf + s->len, s->size - s->len, fmt, args);
}

void
seq_printf(struct seq *s, const char *fmt, ...)
{
	size_t n = 64, room;

	do {
		va_list args;

		if (!grow(s, n + 1))
			return;
		room = s->size - s->len;
		va_start(args, fmt);
		n = format(s, fmt, args);
		va_end(args);
	} while (n >= room);
	s->len += n;
}

void
seq_escape(struct seq *s, const char *text, const char *chars)
{
	for (; *text; text++) {
		if (strchr(chars, *text))
			seq_printf(s, "\\%03o", (uint8_t)*text);
		else
			seq_putc(s, *text);
	}
}
