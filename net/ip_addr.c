/*
 * Addresses: classes (RFC 4291, 6890), prefixes, text (RFC 5952 for v6).
 */
#include "net/ip_addr.h"

#include "lib/fmt.h"
#include "lib/string.h"

const struct ip_addr ip_any;
const struct ip_addr ip4_any = {.b = {[10] = 0xff, [11] = 0xff}};

bool
ip_is_unspecified(const struct ip_addr *a)
{
	return ip_equal(a, &ip_any) || ip_equal(a, &ip4_any);
}

bool
ip_is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr loopback = {.b = {[15] = 1}};

	return ip_is_v4(a) ? a->v4.b[0] == 127 : ip_equal(a, &loopback);
}

bool
ip_is_link_local(const struct ip_addr *a)
{
	if (ip_is_v4(a))
		return a->v4.b[0] == 169 && a->v4.b[1] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool
ip_is_broadcast(const struct ip_addr *a)
{
	return ip_is_v4(a) && be32_get(a->v4) == 0xffffffff;
}

bool
ip_is_link_multicast(const struct ip_addr *a)
{
	if (ip_is_v4(a))
		return be32_get(a->v4) >> 8 == 0xe00000;
	return a->b[0] == 0xff && ((a->b[1] & 0xf) == 1 || (a->b[1] & 0xf) == 2);
}

/* Equal leading bits of two runs of at most `max` bits. */
static unsigned
common_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
	for (unsigned i = 0; i < max / 8; i++)
		if (a[i] != b[i])
			return i * 8 + (unsigned)__builtin_clz((unsigned)(a[i] ^ b[i])) -
			       24;
	return max;
}

unsigned
ip_common_prefix(const struct ip_addr *a, const struct ip_addr *b)
{
	if (ip_is_v4(a) != ip_is_v4(b))
		return 0;
	return ip_is_v4(a) ? common_bits(a->v4.b, b->v4.b, 32)
	                   : common_bits(a->b, b->b, 128);
}

bool
ip_prefix_match(const struct ip_addr *a, const struct ip_addr *prefix, unsigned plen)
{
	return ip_is_v4(a) == ip_is_v4(prefix) && ip_common_prefix(a, prefix) >= plen;
}

struct ip_addr
ip_mask(const struct ip_addr *a, unsigned plen)
{
	unsigned first = ip_is_v4(a) ? 96 + plen : plen;
	struct ip_addr m = *a;

	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = first > i * 8 ? MIN(first - i * 8, 8u) : 0;

		m.b[i] &= (uint8_t)(0xff00 >> kept);
	}
	return m;
}

/* ---- Text ------------------------------------------------------------------------------ */

static unsigned
group(const struct ip_addr *a, unsigned i)
{
	return (unsigned)a->b[2 * i] << 8 | a->b[2 * i + 1];
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2). */
static unsigned
longest_zeros(const struct ip_addr *a, unsigned *len)
{
	unsigned best = 8;

	*len = 1;
	for (unsigned i = 0; i < 8; i++) {
		unsigned n = 0;

		while (i + n < 8 && group(a, i + n) == 0)
			n++;
		if (n > *len) {
			best = i;
			*len = n;
		}
		i += n;
	}
	return best;
}

const char *
ip_format(char buf[IP_TEXT], const struct ip_addr *a)
{
	unsigned zeros, num_zeros;
	int n = 0;

	if (ip_is_v4(a)) {
		scnprintf(buf, IP_TEXT, "%u.%u.%u.%u", a->v4.b[0], a->v4.b[1], a->v4.b[2],
		    a->v4.b[3]);
		return buf;
	}
	zeros = longest_zeros(a, &num_zeros);
	for (unsigned i = 0; i < 8; i++) {
		if (i == zeros) {
			n += scnprintf(buf + n, IP_TEXT - (size_t)n, "::");
			i += num_zeros - 1;
			continue;
		}
		n += scnprintf(buf + n, IP_TEXT - (size_t)n, "%s%x",
		    i == 0 || i == zeros + num_zeros ? "" : ":", group(a, i));
	}
	return buf;
}

/* Four decimal numbers up to 255, without leading zeros; the whole rest of the text. */
static bool
parse_v4(const char *s, uint8_t out[4])
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned v = 0, digits = 0;

		for (; *s >= '0' && *s <= '9'; s++, digits++) {
			if (digits > 0 && v == 0)
				return false;
			v = v * 10 + (unsigned)(*s - '0');
			if (v > 255)
				return false;
		}
		if (digits == 0 || *s != (i < 3 ? '.' : '\0'))
			return false;
		s++;
		out[i] = (uint8_t)v;
	}
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One to four hexadecimal digits; the first character after them, or NULL. */
static const char *
parse_group(const char *s, uint8_t out[2])
{
	unsigned v = 0, digits = 0;

	for (; digits < 4 && hex_digit(*s) >= 0; s++, digits++)
		v = v << 4 | (unsigned)hex_digit(*s);
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	return digits > 0 && hex_digit(*s) < 0 ? s : NULL;
}

enum { NO_GAP = 17 };

/* Bytes before and after "::" gather in `out`; `gap` is where it stood. */
static bool
parse_v6(const char *s, uint8_t out[16])
{
	unsigned n = 0, gap = NO_GAP;

	if (s[0] == ':' && s[1] != ':')
		return false;
	for (s += s[0] == ':'; *s;) {
		if (*s == ':') { /* the second of two */
			if (gap != NO_GAP)
				return false;
			gap = n;
			s++;
			continue;
		}
		if (n <= 12 && parse_v4(s, out + n)) {
			n += 4;
			break;
		}
		if (n > 14 || !(s = parse_group(s, out + n)))
			return false;
		n += 2;
		if (*s == ':' && s[1] == '\0')
			return false;
		if (*s == ':')
			s++;
		else if (*s)
			return false;
	}
	if (gap == NO_GAP)
		return n == 16;
	if (n > 14)
		return false;
	memmove(out + 16 - (n - gap), out + gap, n - gap);
	memset(out + gap, 0, 16 - n);
	return true;
}

bool
ip_parse(const char *text, struct ip_addr *out)
{
	struct ip_addr a = ip4_any;

	if (strchr(text, ':') ? !parse_v6(text, a.b) : !parse_v4(text, a.v4.b))
		return false;
	*out = a;
	return true;
}
