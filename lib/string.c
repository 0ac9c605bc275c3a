/*
 * Memory and string calls. Blocks go by the processor's string instructions, in words of
 * eight bytes and a rest: as fast as any loop from a few hundred bytes on, and small.
 */
#include "lib/string.h"

enum { WORD = sizeof(uint64_t), HALF = sizeof(uint32_t) };

/* A word at any alignment. */
static inline uint64_t
word_load(const void *p)
{
	uint64_t w;

	__builtin_memcpy(&w, p, WORD);
	return w;
}

static inline uint32_t
half_load(const void *p)
{
	uint32_t w;

	__builtin_memcpy(&w, p, HALF);
	return w;
}

static inline void
word_store(void *p, uint64_t w)
{
	__builtin_memcpy(p, &w, WORD);
}

void *
memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;
	size_t words = n / WORD;

	n %= WORD;
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *
memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	for (; n >= WORD; n -= WORD)
		word_store(d + n - WORD, word_load(s + n - WORD));
	while (n--)
		d[n] = s[n];
	return dst;
}

void *
memset(void *dst, int c, size_t n)
{
	void *d = dst;
	size_t words = n / WORD;
	uint64_t word = (uint8_t)c * 0x0101010101010101ull;

	n %= WORD;
	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(word) : "memory");
	return dst;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;
	size_t i = 0;

	while (i + WORD <= n && word_load(p + i) == word_load(q + i))
		i += WORD;
	if (i + HALF <= n && half_load(p + i) == half_load(q + i))
		i += HALF;
	for (; i < n; i++)
		if (p[i] != q[i])
			return p[i] - q[i];
	return 0;
}

void *
memchr(const void *s, int c, size_t n)
{
	const uint8_t *p = s;

	for (size_t i = 0; i < n; i++)
		if (p[i] == (uint8_t)c)
			return (void *)(p + i);
	return NULL;
}

size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t
strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int
strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (uint8_t)*a - (uint8_t)*b;
}

int
strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; a++, b++, n--)
		if (*a != *b || !*a)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

char *
strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *
strrchr(const char *s, int c)
{
	const char *found = NULL;

	do {
		if (*s == (char)c)
			found = s;
	} while (*s++);
	return (char *)found;
}

char *
strstr(const char *haystack, const char *needle)
{
	size_t n = strlen(needle);

	for (; *haystack || n == 0; haystack++) {
		if (!strncmp(haystack, needle, n))
			return (char *)haystack;
		if (!*haystack)
			break;
	}
	return NULL;
}

size_t
strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src);
	size_t keep = MIN(n, size - 1);

	memcpy(dst, src, keep);
	dst[keep] = '\0';
	return n;
}

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'z')
		return (c | 32) - 'a' + 10;
	return 99;
}

bool
parse_u64(const char *s, const char **end, unsigned base, uint64_t *value)
{
	bool has_prefix = s[0] == '0' && (s[1] | 32) == 'x' && digit_value(s[2]) < 16;
	uint64_t v = 0;

	if (base == 0)
		base = has_prefix ? 16 : s[0] == '0' ? 8 : 10;
	if (base == 16 && has_prefix)
		s += 2;
	if ((unsigned)digit_value(*s) >= base)
		return false;
	for (; (unsigned)digit_value(*s) < base; s++)
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit_value(*s), &v))
			return false;
	*value = v;
	if (end)
		*end = s;
	return true;
}

bool
parse_size(const char *s, const char **end, uint64_t *value)
{
	static const char suffix[] = "kmgt";
	const char *p;
	uint64_t v;

	if (!parse_u64(s, &p, 0, &v))
		return false;
	for (unsigned i = 0; suffix[i]; i++) {
		if ((*p | 32) != suffix[i])
			continue;
		if (v > UINT64_MAX >> 10 * (i + 1))
			return false;
		v <<= 10 * (i + 1);
		p++;
		break;
	}
	*value = v;
	if (end)
		*end = p;
	return true;
}
