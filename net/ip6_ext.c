/*
 * Extension headers of IPv6 (RFC 8200 4): one step a header, one step an option.
 *
 * Order (4.1): a destination takes them in any order and as often as they come, up to our limits,
 * except that hop-by-hop options stand at the very front. A routing header with segments left is
 * refused, whatever its type: type 0 by RFC 5095, others because a host has nothing to route by.
 */
#include "net/ip6_ext.h"

#include "lib/be.h"
#include "net/ip.h"

enum {
	PROBLEM_FIELD = 0, /* RFC 4443 3.4 */
	PROBLEM_NEXT_HEADER = 1,
	PROBLEM_OPTION = 2,
	PROBLEM_CHAIN_TOO_LONG = 7, /* RFC 8883 3 */
	PROBLEM_TOO_MANY_HEADERS = 8,
	PROBLEM_TOO_MANY_OPTIONS = 9,

	OPT_PAD1 = 0,
	OPT_PADN = 1,
	OPT_ROUTER_ALERT = 5,
	OPT_ACTION = 0xc0, /* RFC 8200 4.2: what to do when it is not known */
	ACTION_SKIP = 0x00,
	ACTION_DISCARD = 0x40,
	ACTION_TELL = 0x80,
	ACTION_TELL_UNICAST = 0xc0,
};

static enum ip6_ext_verdict
problem(struct ip6_ext *e, uint8_t code, uint32_t pointer)
{
	e->code = code;
	e->pointer = pointer;
	return IP6_EXT_PROBLEM;
}

static enum ip6_ext_verdict
unknown_option(struct ip6_ext *e, uint8_t type, uint32_t pointer)
{
	switch (type & OPT_ACTION) {
	case ACTION_SKIP: return IP6_EXT_OK;
	case ACTION_DISCARD: return IP6_EXT_DISCARD;
	default:
		e->is_even_if_multicast = (type & OPT_ACTION) == ACTION_TELL;
		return problem(e, PROBLEM_OPTION, pointer);
	}
}

/* One option that is not padding; `o` holds all of it. */
static enum ip6_ext_verdict
option(struct ip6_ext *e, const uint8_t *o, uint32_t pointer, bool is_hop_by_hop,
    unsigned *num_unknown)
{
	if (is_hop_by_hop && o[0] == OPT_ROUTER_ALERT) {
		if (o[1] != 2 || e->has_router_alert)
			return IP6_EXT_DISCARD;
		e->has_router_alert = true;
		e->router_alert = be16_get((be16){{o[2], o[3]}});
		return IP6_EXT_OK;
	}
	if (++*num_unknown > IP6_EXT_MAX_UNKNOWN)
		return problem(e, PROBLEM_TOO_MANY_OPTIONS, pointer);
	return unknown_option(e, o[0], pointer);
}

static bool
is_zero(const uint8_t *p, unsigned n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* The options of one header of `len` bytes at e->off (RFC 8200 4.2, RFC 8504 5.3). */
static enum ip6_ext_verdict
options(const uint8_t *pkt, struct ip6_ext *e, unsigned len, bool is_hop_by_hop)
{
	unsigned num_unknown = 0, pad = 0, end = e->off + len;

	for (unsigned at = e->off + 2; at < end;) {
		const uint8_t *o = pkt + at;
		unsigned n = o[0] == OPT_PAD1 ? 1 : at + 1 < end ? 2u + o[1] : 2;
		enum ip6_ext_verdict v = IP6_EXT_OK;

		if (at + n > end)
			return problem(e, PROBLEM_FIELD, at);
		if (o[0] == OPT_PAD1 || o[0] == OPT_PADN) {
			pad += n;
			if (pad > IP6_EXT_MAX_PAD || !is_zero(o + 2, n > 2 ? n - 2 : 0))
				return IP6_EXT_DISCARD;
		} else {
			pad = 0;
			v = option(e, o, at, is_hop_by_hop, &num_unknown);
		}
		if (v != IP6_EXT_OK)
			return v;
		at += n;
	}
	return IP6_EXT_OK;
}

/* How long the header at e->off is, if it is all there and within the limits. */
static enum ip6_ext_verdict
measure(const uint8_t *pkt, struct ip6_ext *e, unsigned *len)
{
	if (e->off + 8u > e->len)
		return IP6_EXT_CUT_OFF;
	*len = e->next == IP_PROTO_FRAGMENT ? 8 : (pkt[e->off + 1] + 1u) * 8;
	if (e->num_bytes + *len > IP6_EXT_MAX_LEN)
		return problem(e, PROBLEM_CHAIN_TOO_LONG, e->off);
	if (e->off + *len > e->len)
		return IP6_EXT_CUT_OFF;
	if (++e->num_seen > IP6_EXT_MAX)
		return problem(e, PROBLEM_TOO_MANY_HEADERS, e->off);
	return IP6_EXT_OK;
}

static void
step(const uint8_t *pkt, struct ip6_ext *e, unsigned len)
{
	e->next = pkt[e->off];
	e->next_pos = e->off;
	e->off = (uint16_t)(e->off + len);
	e->num_bytes = (uint16_t)(e->num_bytes + len);
}

enum ip6_ext_verdict
ip6_ext_hop_by_hop(const uint8_t *pkt, struct ip6_ext *e)
{
	unsigned len;
	enum ip6_ext_verdict v = measure(pkt, e, &len);

	if (v == IP6_EXT_OK)
		v = options(pkt, e, len, true);
	if (v == IP6_EXT_OK)
		step(pkt, e, len);
	return v;
}

static enum ip6_ext_verdict
walk_one(const uint8_t *pkt, struct ip6_ext *e)
{
	unsigned len;
	enum ip6_ext_verdict v;

	if (e->next == IP_PROTO_HOPOPTS)
		return problem(e, PROBLEM_NEXT_HEADER, e->next_pos);
	v = measure(pkt, e, &len);
	if (v != IP6_EXT_OK)
		return v;
	if (e->next == IP_PROTO_DSTOPTS)
		v = options(pkt, e, len, false);
	else if (pkt[e->off + 3]) /* RFC 8200 4.4: segments left */
		v = problem(e, PROBLEM_FIELD, e->off + 2u);
	if (v == IP6_EXT_OK)
		step(pkt, e, len);
	return v;
}

enum ip6_ext_verdict
ip6_ext_walk(const uint8_t *pkt, struct ip6_ext *e)
{
	enum ip6_ext_verdict v = IP6_EXT_OK;

	while (v == IP6_EXT_OK &&
	       (e->next == IP_PROTO_HOPOPTS || e->next == IP_PROTO_ROUTING ||
	           e->next == IP_PROTO_DSTOPTS))
		v = walk_one(pkt, e);
	return v;
}

enum ip6_ext_verdict
ip6_ext_skip(const uint8_t *pkt, struct ip6_ext *e)
{
	while (e->next == IP_PROTO_HOPOPTS || e->next == IP_PROTO_ROUTING ||
	       e->next == IP_PROTO_DSTOPTS || e->next == IP_PROTO_FRAGMENT) {
		unsigned len;
		enum ip6_ext_verdict v = measure(pkt, e, &len);

		if (v != IP6_EXT_OK)
			return v;
		if (e->next == IP_PROTO_FRAGMENT &&
		    (pkt[e->off + 2] || pkt[e->off + 3] & 0xf8))
			return IP6_EXT_OK;
		step(pkt, e, len);
	}
	return IP6_EXT_OK;
}
