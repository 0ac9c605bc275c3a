/* Encoding and decoding of DHCPv6 messages. */
#include "net/dhcp6_msg.h"

#include "lib/string.h"

enum dhcp6_option {
	OPT_CLIENTID = 1,
	OPT_SERVERID = 2,
	OPT_IA_NA = 3,
	OPT_IAADDR = 5,
	OPT_ORO = 6,
	OPT_PREFERENCE = 7,
	OPT_ELAPSED = 8,
	OPT_STATUS = 13,
	OPT_RAPID_COMMIT = 14,
	OPT_DNS = 23,    /* RFC 3646 */
	OPT_SEARCH = 24, /* RFC 3646 */
	OPT_SNTP = 31,
	OPT_REFRESH = 32,
	OPT_SOL_MAX_RT = 82,
	OPT_INF_MAX_RT = 83,
};

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* ---- Decoding -------------------------------------------------------------------------- */

struct option {
	uint16_t code;
	size_t len;
	const uint8_t *data;
};

/* The next option; false at the end, *is_bad if that is in the middle of one. */
static bool
next_option(const uint8_t **at, size_t *left, struct option *o, bool *is_bad)
{
	*is_bad = *left != 0;
	if (*left < 4 || get16(*at + 2) > *left - 4)
		return false;
	*o = (struct option){get16(*at), get16(*at + 2), *at + 4};
	*at += 4 + o->len;
	*left -= 4 + o->len;
	*is_bad = false;
	return true;
}

static bool
take_duid(const struct option *o, struct dhcp6_duid *out)
{
	if (out->len || o->len < 3 || o->len > DHCP6_MAX_DUID)
		return false;
	out->len = (uint8_t)o->len;
	memcpy(out->bytes, o->data, o->len);
	return true;
}

static void
take_servers(const struct option *o, struct ip_addr *list, unsigned *n)
{
	for (size_t at = 0; at + 16 <= o->len && *n < DHCP6_MAX_SERVERS; at += 16)
		memcpy(list[(*n)++].b, o->data + at, 16);
}

static bool
decode_addr(const struct option *o, struct dhcp6_msg *m)
{
	struct dhcp6_addr *a = &m->addrs[m->num_addrs];
	const uint8_t *at = o->data + 24;
	struct option sub;
	size_t left;
	bool is_bad;

	if (o->len < 24)
		return false;
	if (m->num_addrs == DHCP6_MAX_ADDRS)
		return true;
	left = o->len - 24;
	*a = (struct dhcp6_addr){
	    .preferred_s = get32(o->data + 16), .valid_s = get32(o->data + 20)};
	memcpy(a->addr.b, o->data, 16);
	while (next_option(&at, &left, &sub, &is_bad))
		if (sub.code == OPT_STATUS && sub.len >= 2)
			a->status = get16(sub.data);
	/* RFC 8415 21.6: such an address is ignored. */
	if (a->preferred_s <= a->valid_s && !ip_is_multicast(&a->addr) &&
	    !ip_is_v4(&a->addr))
		m->num_addrs++;
	return !is_bad;
}

static bool
decode_ia(const struct option *o, uint32_t iaid, struct dhcp6_msg *m)
{
	const uint8_t *at = o->data + 12;
	struct option sub;
	size_t left;
	bool is_bad;

	if (o->len < 12)
		return false;
	if (get32(o->data) != iaid || m->has_ia)
		return true;
	left = o->len - 12;
	m->has_ia = true;
	m->iaid = iaid;
	m->t1_s = get32(o->data + 4);
	m->t2_s = get32(o->data + 8);
	while (next_option(&at, &left, &sub, &is_bad)) {
		if (sub.code == OPT_IAADDR && !decode_addr(&sub, m))
			return false;
		if (sub.code == OPT_STATUS && sub.len >= 2)
			m->ia_status = get16(sub.data);
	}
	/* RFC 8415 21.4: T1 after T2 makes no sense: the client's own choice. */
	if (m->t2_s && m->t1_s > m->t2_s)
		m->t1_s = m->t2_s = 0;
	return !is_bad;
}

static uint32_t
number(const struct option *o, uint32_t from, uint32_t to)
{
	uint32_t v = o->len == 4 ? get32(o->data) : 0;

	return v >= from && v <= to ? v : 0;
}

static bool
decode_option(const struct option *o, uint32_t iaid, struct dhcp6_msg *m)
{
	switch (o->code) {
	case OPT_CLIENTID: return take_duid(o, &m->client);
	case OPT_SERVERID: return take_duid(o, &m->server);
	case OPT_IA_NA: return decode_ia(o, iaid, m);
	case OPT_PREFERENCE:
		m->preference = o->len == 1 ? o->data[0] : 0;
		return o->len == 1;
	case OPT_STATUS: m->status = o->len >= 2 ? get16(o->data) : 0; return o->len >= 2;
	case OPT_RAPID_COMMIT: m->has_rapid_commit = true; return true;
	case OPT_DNS: take_servers(o, m->dns, &m->num_dns); return true;
	case OPT_SNTP: take_servers(o, m->ntp, &m->num_ntp); return true;
	case OPT_SEARCH:
		m->search = o->data;
		m->search_len = o->len;
		return true;
	case OPT_REFRESH: m->refresh_s = number(o, 0, UINT32_MAX); return true;
	case OPT_SOL_MAX_RT: /* RFC 8415 21.24: others are ignored */
		m->sol_max_rt_s = number(o, 60, 86400);
		return true;
	case OPT_INF_MAX_RT: m->inf_max_rt_s = number(o, 60, 86400); return true;
	default: return true;
	}
}

bool
dhcp6_decode(const uint8_t *data, size_t len, uint32_t iaid, struct dhcp6_msg *m)
{
	struct option o;
	bool is_bad;

	*m = (struct dhcp6_msg){.type = 0};
	if (len < 4)
		return false;
	m->type = data[0];
	m->xid = get32(data) & 0xffffff;
	data += 4;
	len -= 4;
	while (next_option(&data, &len, &o, &is_bad))
		if (!decode_option(&o, iaid, m))
			return false;
	return !is_bad;
}

size_t
dns_name_decode(const uint8_t *data, size_t len, char *out, size_t room)
{
	size_t at = 0, n = 0;

	while (at < len && data[at]) {
		size_t label = data[at++];

		if (label > 63 || label > len - at || n + label + 2 > room)
			return 0;
		if (n)
			out[n++] = '.';
		for (size_t i = 0; i < label; i++, at++) {
			char c = (char)data[at], low = (char)(c | 0x20);
			bool is_fine = (low >= 'a' && low <= 'z') ||
			               (c >= '0' && c <= '9') || c == '-' || c == '_';

			if (!is_fine)
				return 0; /* it goes to a text file */
			out[n++] = c;
		}
	}
	if (at >= len || !n)
		return 0;
	out[n] = '\0';
	return at + 1;
}

/* ---- Encoding -------------------------------------------------------------------------- */

struct out {
	uint8_t *data;
	size_t len;
};

static void
put16(struct out *w, unsigned v)
{
	w->data[w->len++] = (uint8_t)(v >> 8);
	w->data[w->len++] = (uint8_t)v;
}

static void
put32(struct out *w, uint32_t v)
{
	put16(w, v >> 16);
	put16(w, v & 0xffff);
}

static void
put_bytes(struct out *w, unsigned code, const void *data, size_t n)
{
	put16(w, code);
	put16(w, (unsigned)n);
	memcpy(w->data + w->len, data, n);
	w->len += n;
}

static void
put_ia(struct out *w, const struct dhcp6_msg *m)
{
	put16(w, OPT_IA_NA);
	put16(w, 12 + m->num_addrs * 28);
	put32(w, m->iaid);
	put32(w, 0); /* T1, T2: the server's to choose */
	put32(w, 0);
	for (unsigned i = 0; i < m->num_addrs; i++) {
		put16(w, OPT_IAADDR);
		put16(w, 24);
		memcpy(w->data + w->len, m->addrs[i].addr.b, 16);
		w->len += 16;
		put32(w, 0);
		put32(w, 0);
	}
}

size_t
dhcp6_encode(const struct dhcp6_msg *m, uint8_t *data, size_t room)
{
	static const uint8_t wanted[] = {0, OPT_DNS, 0, OPT_SEARCH, 0, OPT_SNTP, 0,
	    OPT_SOL_MAX_RT, 0, OPT_INF_MAX_RT, 0, OPT_REFRESH};
	bool is_info = m->type == DHCP6_INFORMATION_REQUEST;
	struct out w = {data, 0};

	if (room < DHCP6_MAX_MSG)
		return 0;
	put32(&w, (uint32_t)m->type << 24 | m->xid);
	put_bytes(&w, OPT_CLIENTID, m->client.bytes, m->client.len);
	if (m->server.len)
		put_bytes(&w, OPT_SERVERID, m->server.bytes, m->server.len);
	if (m->has_rapid_commit)
		put_bytes(&w, OPT_RAPID_COMMIT, "", 0);
	put_bytes(&w, OPT_ELAPSED,
	    (const uint8_t[]){(uint8_t)(m->elapsed_cs >> 8), (uint8_t)m->elapsed_cs}, 2);
	if (m->has_ia)
		put_ia(&w, m);
	/* RFC 8415 18.2.6..8: asking makes no sense when giving back. The refresh time is asked for
	   in information requests only (21.23). */
	if (m->type != DHCP6_RELEASE && m->type != DHCP6_DECLINE &&
	    m->type != DHCP6_CONFIRM)
		put_bytes(&w, OPT_ORO, wanted, sizeof(wanted) - (is_info ? 0 : 2));
	return w.len;
}

uint64_t
dhcp6_next_rt_ms(uint64_t last_ms, uint32_t irt_ms, uint32_t mrt_ms, unsigned chance)
{
	int64_t rand = (int64_t)chance / 5 - 100; /* thousandths */
	int64_t base = last_ms ? (int64_t)last_ms : irt_ms;
	int64_t rt = (last_ms ? 2 : 1) * base + base * rand / 1000;

	if (mrt_ms && rt > mrt_ms)
		rt = mrt_ms + (int64_t)mrt_ms * rand / 1000;
	return (uint64_t)rt;
}
