/*
 * DHCPv4 messages.
 *
 *	op htype hlen hops | xid | secs flags | ciaddr | yiaddr | siaddr | giaddr | chaddr 16 |
 *	sname 64 | file 128 | magic 4 | options
 *
 * An option may be given in pieces (RFC 3396), and pieces may lie in `file` and `sname` (option 52):
 * `gather` copies all of an option into one buffer first, so that each reader sees it whole.
 */
#include "net/dhcp4_msg.h"

#include "lib/string.h"

enum {
	OFF_XID = 4,
	OFF_SECS = 8,
	OFF_FLAGS = 10,
	OFF_CIADDR = 12,
	OFF_YIADDR = 16,
	OFF_CHADDR = 28,
	OFF_SNAME = 44,
	OFF_FILE = 108,
	OFF_MAGIC = 236,
	OFF_OPTIONS = 240,
	SNAME_LEN = 64,
	FILE_LEN = 128,
	MIN_MESSAGE = 300, /* RFC 1542 2.1 */
	MAX_OPTION = 512,  /* gathered */
	MIN_MTU = 576,
};

enum dhcp4_option {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOST = 12,
	OPT_DOMAIN = 15,
	OPT_MTU = 26,
	OPT_BROADCAST = 28,
	OPT_NTP = 42,
	OPT_REQUESTED = 50,
	OPT_LEASE = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_PARAMETERS = 55,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_CLIENT_ID = 61,
	OPT_SEARCH = 119,
	OPT_ROUTES = 121,
	OPT_END = 255,
};
enum { OVERLOAD_FILE = 1, OVERLOAD_SNAME = 2 };

static const uint8_t magic[4] = {99, 130, 83, 99};

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- Reading options --------------------------------------------------------------------- */

struct message {
	const uint8_t *bytes;
	size_t len;
	unsigned overload;
};

struct option { /* gathered */
	uint8_t bytes[MAX_OPTION];
	size_t len;
};

/* Adds the pieces of option `code` in one field to `o`. False: the field is malformed. */
static bool
gather_from(const uint8_t *field, size_t n, unsigned code, struct option *o)
{
	for (size_t i = 0; i < n && field[i] != OPT_END;) {
		size_t len;

		if (field[i] == OPT_PAD) {
			i++;
			continue;
		}
		if (n - i < 2 || field[i + 1] > n - i - 2)
			return false;
		len = field[i + 1];
		if (field[i] == code && len <= sizeof(o->bytes) - o->len) {
			memcpy(o->bytes + o->len, field + i + 2, len);
			o->len += len;
		}
		i += 2 + len;
	}
	return true;
}

/* The whole option, from all fields. Its length; 0: not there. */
static size_t
gather(const struct message *m, unsigned code, struct option *o)
{
	o->len = 0;
	(void)gather_from(m->bytes + OFF_OPTIONS, m->len - OFF_OPTIONS, code, o);
	if (m->overload & OVERLOAD_FILE)
		(void)gather_from(m->bytes + OFF_FILE, FILE_LEN, code, o);
	if (m->overload & OVERLOAD_SNAME)
		(void)gather_from(m->bytes + OFF_SNAME, SNAME_LEN, code, o);
	return o->len;
}

static uint32_t
number_of(const struct message *m, unsigned code, struct option *o)
{
	return gather(m, code, o) == 4 ? get32(o->bytes) : 0;
}

static be32
addr_of(const struct message *m, unsigned code, struct option *o)
{
	return be32_of(number_of(m, code, o));
}

static uint8_t
addrs_of(
    const struct message *m, unsigned code, struct option *o, be32 out[DHCP4_MAX_ADDRS])
{
	uint8_t n = 0;

	if (gather(m, code, o) % 4)
		return 0;
	for (size_t i = 0; i + 4 <= o->len && n < DHCP4_MAX_ADDRS; i += 4)
		if (get32(o->bytes + i))
			memcpy(&out[n++], o->bytes + i, 4);
	return n;
}

static bool
is_name_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* Only what may stand in a domain name: it goes into /etc/resolv.conf. */
static void
name_of(const struct message *m, unsigned code, struct option *o, char out[DHCP4_NAME])
{
	size_t n = gather(m, code, o);

	while (n && !o->bytes[n - 1])
		n--;
	out[0] = '\0';
	if (n >= DHCP4_NAME)
		return;
	for (size_t i = 0; i < n; i++)
		if (!is_name_char(o->bytes[i]))
			return;
	memcpy(out, o->bytes, n);
	out[n] = '\0';
}

/* A mask's length; 33: not a mask. */
static unsigned
mask_len(uint32_t mask)
{
	unsigned n = mask == UINT32_MAX ? 32 : (unsigned)__builtin_clz(~mask);

	return n == 32 || !(mask << n) ? n : 33;
}

static uint8_t
plen_of(const struct message *m, be32 addr, struct option *o)
{
	unsigned n = gather(m, OPT_MASK, o) == 4 ? mask_len(get32(o->bytes)) : 33;

	if (n && n <= 32)
		return (uint8_t)n;
	return addr.b[0] < 128 ? 8 : addr.b[0] < 192 ? 16 : 24; /* by class, as of old */
}

/* RFC 3442: prefix length, its significant bytes, router. One bad route spoils the option. */
static uint8_t
routes_of(
    const struct message *m, struct option *o, struct dhcp4_route out[DHCP4_MAX_ROUTES])
{
	size_t n = gather(m, OPT_ROUTES, o);
	uint8_t count = 0;

	for (size_t i = 0; i < n && count < DHCP4_MAX_ROUTES;) {
		unsigned plen = o->bytes[i], bytes = (plen + 7) / 8;
		struct dhcp4_route *r = &out[count];
		uint32_t dst;

		if (plen > 32 || n - i < 1 + bytes + 4)
			return 0;
		*r = (struct dhcp4_route){.plen = (uint8_t)plen};
		memcpy(&r->dst, o->bytes + i + 1, bytes);
		memcpy(&r->gateway, o->bytes + i + 1 + bytes, 4);
		dst = be32_get(r->dst) & (plen ? UINT32_MAX << (32 - plen) : 0);
		r->dst = be32_of(dst);
		count++;
		i += 1 + bytes + 4;
	}
	return count;
}

/* One name of a search list, uncompressed (RFC 1035 4.1.4), after a blank. Where the next begins;
 * 0: malformed. */
static size_t
search_name(const struct option *o, size_t at, char *out, size_t room, size_t *used)
{
	size_t next = 0, start = *used, hops = 0;

	if (start && start + 1 < room)
		out[start++] = ' ';
	while (at < o->len && o->bytes[at]) {
		unsigned len = o->bytes[at];

		if (len >= 0xc0) { /* only back, so it ends */
			size_t to = at + 1 < o->len
			                ? ((size_t)(len & 0x3f) << 8 | o->bytes[at + 1])
			                : at;

			if (to >= at || ++hops > 16)
				return 0;
			next = next ? next : at + 2;
			at = to;
			continue;
		}
		if (len > 63 || len > o->len - at - 1 || start + len + 2 > room)
			return 0;
		for (unsigned i = 0; i < len; i++) {
			uint8_t c = o->bytes[at + 1 + i];

			if (!is_name_char(c) || c == '.')
				return 0;
			out[start++] = (char)c;
		}
		out[start++] = '.';
		at += 1 + len;
	}
	if (at >= o->len)
		return 0;
	if (start > *used && out[start - 1] == '.')
		start--;
	*used = start;
	return next ? next : at + 1;
}

static void
search_of(const struct message *m, struct option *o, char out[DHCP4_SEARCH])
{
	size_t n = gather(m, OPT_SEARCH, o), used = 0;

	for (size_t i = 0; i < n;) {
		i = search_name(o, i, out, DHCP4_SEARCH - 1, &used);
		if (!i)
			break;
	}
	out[used] = '\0';
}

/* ---- Reading messages -------------------------------------------------------------------- */

static bool
is_for(const uint8_t *msg, size_t n, const uint8_t mac[6])
{
	return n >= OFF_OPTIONS && msg[0] == 2 && msg[1] == 1 && msg[2] == 6 &&
	       !memcmp(msg + OFF_CHADDR, mac, 6) && !memcmp(msg + OFF_MAGIC, magic, 4);
}

/* An address that a host can have. */
static bool
is_host(be32 addr)
{
	return addr.b[0] && addr.b[0] != 127 && addr.b[0] < 224;
}

static void
read_settings(const struct message *m, struct option *o, struct dhcp4_reply *r)
{
	r->lease_s = number_of(m, OPT_LEASE, o);
	r->t1_s = number_of(m, OPT_T1, o);
	r->t2_s = number_of(m, OPT_T2, o);
	r->broadcast = addr_of(m, OPT_BROADCAST, o);
	r->plen = plen_of(m, r->addr, o);
	if (gather(m, OPT_MTU, o) == 2) {
		r->mtu = (uint32_t)o->bytes[0] << 8 | o->bytes[1];
		r->mtu = r->mtu < MIN_MTU ? 0 : r->mtu;
	}
	r->num_routers = addrs_of(m, OPT_ROUTER, o, r->routers);
	r->num_dns = addrs_of(m, OPT_DNS, o, r->dns);
	r->num_ntp = addrs_of(m, OPT_NTP, o, r->ntp);
	r->num_routes = routes_of(m, o, r->routes);
	name_of(m, OPT_HOST, o, r->host);
	name_of(m, OPT_DOMAIN, o, r->domain);
	search_of(m, o, r->search);
}

bool
dhcp4_parse(const uint8_t *msg, size_t n, const uint8_t mac[6], struct dhcp4_reply *r)
{
	struct message m = {msg, n, 0};
	struct option o = {.len = 0};

	if (!is_for(msg, n, mac) ||
	    !gather_from(msg + OFF_OPTIONS, n - OFF_OPTIONS, OPT_END, &o))
		return false;
	if (gather(&m, OPT_OVERLOAD, &o) == 1)
		m.overload = o.bytes[0];
	if (gather(&m, OPT_TYPE, &o) != 1)
		return false;
	*r = (struct dhcp4_reply){.type = o.bytes[0], .xid = get32(msg + OFF_XID)};
	r->server = addr_of(&m, OPT_SERVER, &o);
	if (r->type == DHCP4_NAK)
		return true;
	if (r->type != DHCP4_OFFER && r->type != DHCP4_ACK)
		return false;
	memcpy(&r->addr, msg + OFF_YIADDR, 4);
	if (!is_host(r->addr))
		return false;
	read_settings(&m, &o, r);
	return r->lease_s != 0; /* RFC 2131 table 3: MUST, in both */
}

/* ---- Writing ----------------------------------------------------------------------------- */

struct writer {
	uint8_t *at;
};

static void
put(struct writer *w, unsigned code, const void *data, unsigned n)
{
	*w->at++ = (uint8_t)code;
	*w->at++ = (uint8_t)n;
	memcpy(w->at, data, n);
	w->at += n;
}

static void
put_addr(struct writer *w, unsigned code, be32 addr)
{
	if (be32_get(addr))
		put(w, code, &addr, 4);
}

/* What we ask for. RFC 3442: classless routes before routers. */
static const uint8_t parameters[] = {OPT_MASK, OPT_ROUTES, OPT_ROUTER, OPT_DNS, OPT_HOST,
    OPT_DOMAIN, OPT_MTU, OPT_BROADCAST, OPT_NTP, OPT_LEASE, OPT_T1, OPT_T2, OPT_SEARCH};

static void
put_header(const struct dhcp4_request *q, uint8_t *msg)
{
	be32 xid = be32_of(q->xid);
	be16 secs = be16_of(q->secs);

	msg[0] = 1; /* BOOTREQUEST over Ethernet */
	msg[1] = 1;
	msg[2] = 6;
	memcpy(msg + OFF_XID, &xid, 4);
	memcpy(msg + OFF_SECS, &secs, 2);
	if (q->wants_broadcast)
		msg[OFF_FLAGS] = 0x80;
	memcpy(msg + OFF_CIADDR, &q->client, 4);
	memcpy(msg + OFF_CHADDR, q->mac, 6);
	memcpy(msg + OFF_MAGIC, magic, 4);
}

size_t
dhcp4_build(const struct dhcp4_request *q, uint8_t msg[DHCP4_MAX_MESSAGE])
{
	bool asks = q->type == DHCP4_DISCOVER || q->type == DHCP4_REQUEST;
	struct writer w = {msg + OFF_OPTIONS};
	uint8_t type = (uint8_t)q->type, id[7] = {1};
	be16 size = be16_of(q->max_size);
	size_t n;

	memset(msg, 0, DHCP4_MAX_MESSAGE);
	put_header(q, msg);
	put(&w, OPT_TYPE, &type, 1);
	memcpy(id + 1, q->mac, 6);
	put(&w, OPT_CLIENT_ID, id,
	    sizeof(id)); /* hardware type and address, as firmware does */
	put_addr(&w, OPT_REQUESTED, q->requested);
	put_addr(&w, OPT_SERVER, q->server);
	if (asks) {
		put(&w, OPT_MAX_SIZE, &size, 2);
		put(&w, OPT_PARAMETERS, parameters, sizeof(parameters));
		if (q->host && strlen(q->host) && strlen(q->host) < DHCP4_NAME)
			put(&w, OPT_HOST, q->host, (unsigned)strlen(q->host));
	}
	*w.at++ = OPT_END;
	n = (size_t)(w.at - msg);
	return n < MIN_MESSAGE ? MIN_MESSAGE : n;
}
