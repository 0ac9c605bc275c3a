/*
 * IPv4 options (RFC 791 3.1, RFC 1122 3.2.1.8, RFC 2113): walking, checking, recording. Pure.
 *
 *	kind 0: end, 1: no operation; else kind, length (with these two bytes), data
 */
#include "lib/string.h"
#include "net/ip4.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_RECORD_ROUTE = 7,
	OPT_TIMESTAMP = 68,
	OPT_LOOSE_ROUTE = 131,
	OPT_STRICT_ROUTE = 137,
	OPT_ROUTER_ALERT = 148,
	OPT_COPIED = 0x80, /* in every fragment */
};
enum { TS_ONLY = 0, TS_AND_ADDR = 1, TS_PRESPEC = 3 };

static int
check_route(const uint8_t *o, unsigned len, unsigned found_bit, unsigned *found)
{
	if (len < 3)
		return 1;
	if (o[2] < 4 || (*found & found_bit)) /* at most once in a datagram */
		return 2;
	*found |= found_bit;
	return -1;
}

static int
check_timestamp(const uint8_t *o, unsigned len, unsigned *found)
{
	if (len < 4 || len > 40)
		return 1;
	if (o[2] < 5 || (*found & IP4_OPT_TIMESTAMP))
		return 2;
	*found |= IP4_OPT_TIMESTAMP;
	switch (o[3] & 0xf) {
	case TS_ONLY: return -1;
	case TS_AND_ADDR:
	case TS_PRESPEC: return (len - 4) % 8 ? 1 : -1;
	default: return 3;
	}
}

/* One option whose length is right: -1, or where in it the mistake is. */
static int
check_one(const uint8_t *o, unsigned len, unsigned *found)
{
	switch (o[0]) {
	case OPT_RECORD_ROUTE: return check_route(o, len, IP4_OPT_RECORD_ROUTE, found);
	case OPT_LOOSE_ROUTE:
	case OPT_STRICT_ROUTE: return check_route(o, len, IP4_OPT_SOURCE_ROUTE, found);
	case OPT_TIMESTAMP: return check_timestamp(o, len, found);
	case OPT_ROUTER_ALERT:
		if (len != 4)
			return 1;
		if (!o[2] && !o[3])
			*found |= IP4_OPT_ROUTER_ALERT;
		return -1;
	default: return -1; /* unknown ones are ignored (RFC 1122 3.2.1.8) */
	}
}

int
ip4_options_check(const uint8_t *opts, unsigned n, unsigned *found)
{
	*found = 0;
	for (unsigned i = 0; i < n;) {
		unsigned len;
		int bad;

		if (opts[i] == OPT_END)
			return -1;
		if (opts[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (n - i < 2)
			return (int)i;
		len = opts[i + 1];
		if (len < 2 || len > n - i)
			return (int)i + 1;
		bad = check_one(opts + i, len, found);
		if (bad >= 0)
			return (int)i + bad;
		i += len;
	}
	return -1;
}

/* The first option of this kind in checked options, or NULL. */
static uint8_t *
find_option(uint8_t *opts, unsigned n, uint8_t kind)
{
	for (unsigned i = 0; i < n && opts[i] != OPT_END;) {
		if (opts[i] == kind)
			return opts + i;
		i += opts[i] == OPT_NOP ? 1 : opts[i + 1];
	}
	return NULL;
}

static bool
record_route(uint8_t *o, be32 addr)
{
	if (!o || o[2] + 3u > o[1])
		return false; /* no room is left: nothing happens */
	memcpy(o + o[2] - 1, &addr, 4);
	o[2] += 4;
	return true;
}

/* The pointer counts from 1. A full option counts who found no room, in 4 bits. */
static bool
record_time(uint8_t *o, be32 addr, uint32_t ms_today)
{
	be32 stamp = be32_of(ms_today);
	unsigned need, flags;

	if (!o)
		return false;
	flags = o[3] & 0xf;
	need = flags == TS_ONLY ? 4 : 8;
	if (o[2] + need - 1 > o[1]) {
		if (flags == TS_PRESPEC || (o[3] & 0xf0) == 0xf0)
			return false;
		o[3] += 0x10;
		return true;
	}
	if (flags == TS_PRESPEC && memcmp(o + o[2] - 1, &addr, 4) != 0)
		return false; /* another host's turn */
	if (flags != TS_ONLY)
		memcpy(o + o[2] - 1, &addr, 4);
	memcpy(o + o[2] - 1 + need - 4, &stamp, 4);
	o[2] += (uint8_t)need;
	return true;
}

bool
ip4_options_record(uint8_t *opts, unsigned n, be32 addr, uint32_t ms_today)
{
	bool is_changed = record_route(find_option(opts, n, OPT_RECORD_ROUTE), addr);

	return record_time(find_option(opts, n, OPT_TIMESTAMP), addr, ms_today) ||
	       is_changed;
}

unsigned
ip4_options_for_fragments(const uint8_t *opts, unsigned n, uint8_t out[40])
{
	unsigned used = 0;

	for (unsigned i = 0; i < n && opts[i] != OPT_END;) {
		unsigned len = opts[i] == OPT_NOP ? 1 : opts[i + 1];

		if (opts[i] & OPT_COPIED) {
			memcpy(out + used, opts + i, len);
			used += len;
		}
		i += len;
	}
	while (used % 4)
		out[used++] = OPT_END;
	return used;
}
