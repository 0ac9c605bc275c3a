/*
 * Formatted printing. One pass over the format: literal text is copied, a conversion is parsed
 * into a `struct spec` and printed by its kind. Output past the end of the buffer is counted
 * but not stored.
 */
#include "lib/fmt.h"
#include "lib/string.h"

struct out {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, stored or not */
};

struct spec {
	bool is_left, is_plus, is_space, is_alternate, is_zero;
	int width;
	int precision; /* -1: none given */
	int length;    /* bytes of the argument */
};

static void
put(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void
put_repeated(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void
put_text(struct out *o, const struct spec *sp, const char *s, size_t n)
{
	int pad = sp->width > (int)n ? sp->width - (int)n : 0;

	if (!sp->is_left)
		put_repeated(o, ' ', pad);
	for (size_t i = 0; i < n; i++)
		put(o, s[i]);
	if (sp->is_left)
		put_repeated(o, ' ', pad);
}

/* Prints prefix, zeros and digits of `v` in the field that `sp` describes. */
static void
put_number(struct out *o, const struct spec *sp, uint64_t v, unsigned base, bool upper,
    const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char tmp[24];
	int n = 0, zeros = 0, prefix_len = (int)strlen(prefix), pad;

	for (; v; v /= base)
		tmp[n++] = digits[v % base];
	if (n == 0 && sp->precision != 0)
		tmp[n++] = '0';
	if (sp->precision > n)
		zeros = sp->precision - n;
	else if (sp->precision < 0 && sp->is_zero && !sp->is_left)
		zeros = MAX(0, sp->width - n - prefix_len);
	pad = sp->width - n - zeros - prefix_len;

	if (!sp->is_left)
		put_repeated(o, ' ', pad);
	for (int i = 0; i < prefix_len; i++)
		put(o, prefix[i]);
	put_repeated(o, '0', zeros);
	while (n > 0)
		put(o, tmp[--n]);
	if (sp->is_left)
		put_repeated(o, ' ', pad);
}

static const char *
parse_flags(const char *f, struct spec *sp)
{
	for (;; f++) {
		switch (*f) {
		case '-': sp->is_left = true; break;
		case '+': sp->is_plus = true; break;
		case ' ': sp->is_space = true; break;
		case '#': sp->is_alternate = true; break;
		case '0': sp->is_zero = true; break;
		default: return f;
		}
	}
}

static const char *
parse_length(const char *f, struct spec *sp)
{
	sp->length = sizeof(int);
	if (f[0] == 'h' && f[1] == 'h') {
		sp->length = 1;
		return f + 2;
	}
	if (f[0] == 'h') {
		sp->length = 2;
		return f + 1;
	}
	if (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j')
		sp->length = 8;
	while (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j')
		f++;
	return f;
}

static uint64_t
take_unsigned(const struct spec *sp, va_list *args)
{
	uint64_t v = sp->length == 8 ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);

	return sp->length == 8 ? v : v & ((1ull << sp->length * 8) - 1);
}

static int64_t
take_signed(const struct spec *sp, va_list *args)
{
	int64_t v = sp->length == 8 ? va_arg(*args, int64_t) : va_arg(*args, int);

	return sp->length == 1 ? (int8_t)v : sp->length == 2 ? (int16_t)v : v;
}

static void
convert(struct out *o, struct spec *sp, char kind, va_list *args)
{
	const char *s;
	uint64_t u;
	int64_t v;
	char c;

	switch (kind) {
	case 'd':
	case 'i':
		v = take_signed(sp, args);
		put_number(o, sp, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false,
		    v < 0          ? "-"
		    : sp->is_plus  ? "+"
		    : sp->is_space ? " "
		                   : "");
		break;
	case 'u': put_number(o, sp, take_unsigned(sp, args), 10, false, ""); break;
	case 'o':
		put_number(o, sp, take_unsigned(sp, args), 8, false,
		    sp->is_alternate ? "0" : "");
		break;
	case 'x':
	case 'X':
		u = take_unsigned(sp, args);
		put_number(o, sp, u, 16, kind == 'X',
		    !sp->is_alternate || !u ? ""
		    : kind == 'x'           ? "0x"
		                            : "0X");
		break;
	case 'p':
		sp->precision = 16;
		put_number(o, sp, (uintptr_t)va_arg(*args, void *), 16, false, "0x");
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_text(o, sp, &c, 1);
		break;
	case 's':
		s = va_arg(*args, const char *);
		if (!s)
			s = "(null)";
		put_text(o, sp, s,
		    sp->precision >= 0 ? strnlen(s, (size_t)sp->precision) : strlen(s));
		break;
	default: /* "%%", and an unknown letter, which the compiler has warned of */
		put(o, kind);
	}
}

int
vsnprintf(char *buf, size_t size, const char *f, va_list arguments)
{
	struct out o = {.buf = buf, .size = size};
	va_list args;

	va_copy(args, arguments);
	while (*f) {
		struct spec sp = {.precision = -1};

		if (*f != '%') {
			put(&o, *f++);
			continue;
		}
		f = parse_flags(f + 1, &sp);
		if (*f == '*') {
			sp.width = va_arg(args, int);
			if (sp.width < 0) {
				sp.is_left = true;
				sp.width = -sp.width;
			}
			f++;
		}
		while (*f >= '0' && *f <= '9')
			sp.width = sp.width * 10 + (*f++ - '0');
		if (*f == '.') {
			sp.precision = 0;
			if (*++f == '*') {
				sp.precision = va_arg(args, int);
				f++;
			}
			while (*f >= '0' && *f <= '9')
				sp.precision = sp.precision * 10 + (*f++ - '0');
		}
		f = parse_length(f, &sp);
		if (!*f)
			break;
		convert(&o, &sp, *f++, &args);
	}
	va_end(args);
	if (size > 0)
		buf[MIN(o.len, size - 1)] = '\0';
	return (int)o.len;
}

int
snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

int
vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(buf, size, fmt, args);

	return size == 0 ? 0 : n < (int)size ? n : (int)size - 1;
}

int
scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}
