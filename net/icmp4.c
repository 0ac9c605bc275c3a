/*
 * ICMP for IPv4 (RFC 792, RFC 1122 3.2.2, RFC 1191, RFC 6633).
 *
 * Out: icmp4_send_error asks the rules about the packet (`may_answer`), then the rate limits, and
 * sends the header and as much of the packet as fits in 576 bytes (RFC 1812 4.3.2.3). Echo and
 * timestamp requests to our own address are answered; address mask requests and source quenches are
 * deprecated (RFC 6918, RFC 6633) and only counted.
 *
 * In: an error is believed if the packet in it has our address as its source; then it goes to the
 * transport that sent it, which looks for the socket. "Fragmentation needed" also teaches the path
 * MTU, a redirect the route.
 */
#include "net/icmp4.h"

#include "kernel/log.h"
#include "kernel/procfs.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/icmp_limit.h"
#include "net/ifaddr.h"
#include "net/ip4.h"
#include "net/ping.h"
#include "net/raw.h"

enum { MAX_ERROR = 576, MAX_CODE_UNREACH = 15, TOS_CONTROL = 0xc0 };

static bool ignores_echo, ignores_broadcast_echo = true;

/* ---- Switches: /proc/sys/net/ipv4/icmp_* -------------------------------------------------- */

static enum err
store_switch(const char *text, bool *out)
{
	if ((text[0] != '0' && text[0] != '1') || text[1])
		return ERR_INVAL;
	*out = text[0] == '1';
	return OK;
}

static void
show_ignore_all(struct seq *s)
{
	seq_printf(s, "%d\n", ignores_echo);
}

static enum err
store_ignore_all(const char *text)
{
	return store_switch(text, &ignores_echo);
}

static void
show_ignore_broadcasts(struct seq *s)
{
	seq_printf(s, "%d\n", ignores_broadcast_echo);
}

static enum err
store_ignore_broadcasts(const char *text)
{
	return store_switch(text, &ignores_broadcast_echo);
}

void
icmp4_init(void)
{
	icmp_limit_init();
	if (proc_register_rw("sys/net/ipv4/icmp_echo_ignore_all", show_ignore_all,
	        store_ignore_all) != OK ||
	    proc_register_rw("sys/net/ipv4/icmp_echo_ignore_broadcasts",
	        show_ignore_broadcasts, store_ignore_broadcasts) != OK)
		log_warn("icmp: no memory for /proc/sys");
}

/* ---- Sending --------------------------------------------------------------------------- */

bool
icmp4_is_error(unsigned type)
{
	return type == ICMP4_UNREACH || type == ICMP4_QUENCH || type == ICMP4_REDIRECT ||
	       type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAM;
}

bool
icmp4_may_answer(const uint8_t *packet, size_t n, uint32_t pkt_flags)
{
	const struct ip4_header *h = (const struct ip4_header *)packet;
	unsigned hdr_len = n ? (packet[0] & 0xfu) * 4 : 0;
	struct ip_addr src, dst;

	if (n < sizeof(*h) || hdr_len < sizeof(*h) || n < hdr_len)
		return false;
	src = ip_from_v4(h->src);
	dst = ip_from_v4(h->dst);
	if (pkt_flags & (PKT_BROADCAST | PKT_MULTICAST))
		return false;
	if (be16_get(h->frag) & IP4_OFFSET)
		return false;
	if (ip_is_multicast(&dst) || ip_is_broadcast(&dst))
		return false;
	/* Who sent it must be one host. */
	if (ip_is_unspecified(&src) || ip_is_multicast(&src) || h->src.b[0] >= 240 ||
	    !h->src.b[0] ||
	    (ip_is_loopback(&src) && !(pkt_flags & PKT_LOOPBACK) &&
	        !ip_is_loopback(&dst)))
		return false;
	if (h->proto != IP_PROTO_ICMP)
		return true;
	return n > hdr_len && !icmp4_is_error(packet[hdr_len]) &&
	       packet[hdr_len] <= ICMP4_MASK_REPLY;
}

/* The failed packet's first bytes, from its IP header on. */
static size_t
read_packet(struct pkt *p, uint8_t *buf, size_t room)
{
	uint8_t *data = p->data;
	size_t n;

	p->data = p->head + p->l3_off;
	n = pkt_len(p) < room ? pkt_len(p) : room;
	if (!pkt_read(p, 0, buf, n))
		n = 0;
	p->data = data;
	return n;
}

/* Finishes and sends an ICMP message (data at its header, checksum field 0) by flow `f`. Takes it. */
static void
send_message(struct pkt *p, struct flow *f, struct ip_tx *tx)
{
	struct icmp4_header *h = (struct icmp4_header *)p->data;
	struct dst *d;

	h->csum = be16_of(csum_finish(pkt_csum(p, 0, pkt_len(p), 0)));
	if (route_output(f, &d) != OK) {
		mib_inc(MIB_Ip_OutNoRoutes);
		pkt_drop(p, DROP_IP_NO_ROUTE);
		return;
	}
	tx->src = f->src;
	tx->dst = f->dst;
	tx->proto = IP_PROTO_ICMP;
	tx->ttl = -1;
	mib_icmp_sent(p, IP_PROTO_ICMP);
	(void)ip_send(p, d, tx); /* an error report that is lost is lost */
	dst_put(d);
}

/* The rule that icmp4_may_answer cannot know: it went to, or came from, a whole net of ours. */
static bool
is_of_a_net(const struct flow *f)
{
	bool is;

	rcu_read_lock();
	is = route_is_broadcast(&f->dst) || route_is_broadcast(&f->src);
	rcu_read_unlock();
	return is;
}

void
icmp4_send_error(struct pkt *p, unsigned type, unsigned code, uint32_t info)
{
	enum {
		ROOM = MAX_ERROR - sizeof(struct ip4_header) - sizeof(struct icmp4_header)
	};
	struct icmp4_header *h;
	struct flow f = {.tos = 0};
	struct ip_tx tx = {.df = IP_DF_CLEAR};
	const struct ip4_header *inner;
	struct pkt *e;
	size_t n;

	e = pkt_alloc(sizeof(*h) + ROOM);
	if (!e) {
		drop_count(DROP_NO_MEMORY);
		return;
	}
	h = pkt_put(e, sizeof(*h));
	n = read_packet(p, e->tail, ROOM);
	inner = pkt_put(e, n);
	if (!icmp4_may_answer((const uint8_t *)inner, n, p->flags)) {
		pkt_free(e);
		return;
	}
	f.dst = ip_from_v4(inner->src);
	f.src = ip_from_v4(inner->dst);
	if (is_of_a_net(&f)) {
		pkt_free(e);
		return;
	}
	if (!icmp_may_send(&f.dst)) {
		pkt_free(e);
		return;
	}
	*h = (struct icmp4_header){
	    .type = (uint8_t)type, .code = (uint8_t)code, .rest = be32_of(info)};
	rcu_read_lock();
	if (!ifaddr_is_local(&f.src))
		f.src =
		    ip4_any; /* a router's, or a sender's own: chosen by the way back */
	rcu_read_unlock();
	tx.tos = (inner->tos & 0x1e) | TOS_CONTROL; /* RFC 1812 4.3.2.5 */
	f.tos = tx.tos;
	send_message(e, &f, &tx);
}

/* ---- Requests -------------------------------------------------------------------------- */

/*
 * The request goes back as the reply: data and options as they came (RFC 1122 3.2.2.6), addresses
 * turned round.
 */
static void
reply_with(struct pkt *p, unsigned type)
{
	struct flow f = {.dst = p->ip.src, .src = p->ip.dst, .tos = p->ip.tos};
	struct ip_tx tx = {.tos = p->ip.tos, .df = IP_DF_CLEAR};
	uint8_t options[40];
	struct icmp4_header *h;

	if (ip_is_multicast(&f.src) || ip_is_broadcast(&f.src) ||
	    !ifaddr_is_local(&f.src))
		f.src = ip4_any;
	if (p->ip.opt_off) {
		tx.options_len = (uint8_t)(p->ip.hdr_len - sizeof(struct ip4_header));
		memcpy(options, p->head + p->ip.opt_off, tx.options_len);
		tx.options = options;
	}
	if (!pkt_writable(p, PKT_HEADROOM)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	h = (struct icmp4_header *)p->data;
	h->type = (uint8_t)type;
	h->csum = be16_of(0);
	p->flags &= PKT_HAS_HASH;
	send_message(p, &f, &tx);
}

static void
take_echo(struct pkt *p)
{
	bool is_group = ip_is_multicast(&p->ip.dst) || !ifaddr_is_local(&p->ip.dst);

	if (ignores_echo || (is_group && ignores_broadcast_echo))
		pkt_free(p);
	else
		reply_with(p, ICMP4_ECHO_REPLY);
}

/* RFC 792: originate, receive, transmit, in milliseconds since midnight UT. */
static void
take_timestamp(struct pkt *p)
{
	be32 now = be32_of(ip4_ms_today());
	uint8_t *h = pkt_need(p, sizeof(struct icmp4_header) + 12);

	if (!h || !ifaddr_is_local(&p->ip.dst)) {
		pkt_drop(p, DROP_ICMP_BAD);
		return;
	}
	if (!pkt_writable(p, PKT_HEADROOM)) {
		pkt_drop(p, DROP_NO_MEMORY);
		return;
	}
	h = p->data;
	memcpy(h + 12, &now, 4);
	memcpy(h + 16, &now, 4);
	reply_with(p, ICMP4_TIMESTAMP_REPLY);
}

/* ---- Errors ---------------------------------------------------------------------------- */

/* What a socket sees of "unreachable", by code, as Linux has it. */
static const struct {
	enum err err;
	bool is_hard;
} unreach_errors[MAX_CODE_UNREACH + 1] = {
    {ERR_NETUNREACH, false},
    {ERR_HOSTUNREACH, false},
    {ERR_NOPROTOOPT, true},
    {ERR_CONNREFUSED, true},
    {ERR_MSGSIZE, false},
    {ERR_OPNOTSUPP, false},
    {ERR_NETUNREACH, true},
    {ERR_HOSTDOWN, true},
    {ERR_NONET, true},
    {ERR_NETUNREACH, true},
    {ERR_HOSTUNREACH, true},
    {ERR_NETUNREACH, false},
    {ERR_HOSTUNREACH, false},
    {ERR_HOSTUNREACH, true},
    {ERR_HOSTUNREACH, true},
    {ERR_HOSTUNREACH, true},
};

uint32_t
icmp4_plateau(uint32_t len)
{
	static const uint16_t plateaus[] = {
	    32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};

	for (unsigned i = 0; i < ARRAY_SIZE(plateaus); i++)
		if (plateaus[i] < len)
			return plateaus[i];
	return IP4_MIN_MTU;
}

/* Fills in type, meaning and MTU; false: not to be acted on. */
static bool
understand(
    struct ip_error *e, const struct icmp4_header *h, const struct ip4_header *inner)
{
	uint32_t len = be16_get(inner->len);

	switch (h->type) {
	case ICMP4_UNREACH:
		if (h->code > MAX_CODE_UNREACH)
			return false;
		e->err = unreach_errors[h->code].err;
		e->is_hard = unreach_errors[h->code].is_hard;
		if (h->code != ICMP4_FRAG_NEEDED)
			return true;
		e->info = be32_get(h->rest) & 0xffff;
		if (e->info < IP4_MIN_MTU) /* a router from before RFC 1191 */
			e->info = icmp4_plateau(len);
		return e->info < len; /* one that does not lower anything is a forgery */
	case ICMP4_TIME_EXCEEDED: e->err = ERR_HOSTUNREACH; return true;
	case ICMP4_PARAM:
		e->err = ERR_PROTO;
		e->is_hard = true;
		e->info = h->rest.b[0];
		return true;
	default: return false;
	}
}

/* The header and first bytes of our packet that came back; NULL: none that we can use. */
static const struct ip4_header *
inner_of(struct pkt *p, unsigned *hdr_len)
{
	const struct ip4_header *h;
	const uint8_t *start;
	unsigned need = sizeof(struct icmp4_header) + sizeof(*h);

	start = pkt_need(p, need);
	if (!start)
		return NULL;
	h = (const struct ip4_header *)(start + sizeof(struct icmp4_header));
	*hdr_len = (h->ver_ihl & 0xfu) * 4;
	if (h->ver_ihl >> 4 != 4 || *hdr_len < sizeof(*h) ||
	    be16_get(h->frag) & IP4_OFFSET)
		return NULL;
	start = pkt_need(p, sizeof(struct icmp4_header) + *hdr_len + 8);
	return start ? (const struct ip4_header *)(start + sizeof(struct icmp4_header))
	             : NULL;
}

static void
take_error(struct pkt *p)
{
	unsigned hdr_len;
	const struct ip4_header *inner = inner_of(p, &hdr_len);
	const struct icmp4_header *h = (const struct icmp4_header *)p->data;
	const struct ip_proto *proto;
	struct ip_error e = {.family = AF_INET};

	if (!inner) {
		mib_inc(MIB_Icmp_InErrors);
		pkt_drop(p, DROP_ICMP_BAD);
		return;
	}
	e.type = h->type;
	e.code = h->code;
	e.src = ip_from_v4(inner->src);
	e.dst = ip_from_v4(inner->dst);
	e.offender = p->ip.src;
	e.dev = p->dev;
	e.transport = (const uint8_t *)inner + hdr_len;
	e.transport_len = (size_t)(p->tail - e.transport);
	e.pkt = p;
	if (!ifaddr_is_local(&e.src) || !ifaddr_is_local(&p->ip.dst) ||
	    !understand(&e, h, inner)) {
		pkt_drop(p, DROP_ICMP_BAD);
		return;
	}
	proto = ip4_proto_of(inner->proto);
	if (e.type == ICMP4_UNREACH && e.code == ICMP4_FRAG_NEEDED &&
	    (!proto || !proto->has_sent || proto->has_sent(&e)))
		dst_learn_mtu(&e.dst, 0, e.info);
	raw4_error(&e, inner->proto);
	if (proto && proto->error)
		proto->error(&e);
	pkt_free(p);
}

/* Is `gw` a neighbour on this interface? */
static bool
is_on_link(const struct netdev *dev, const struct ip_addr *gw)
{
	struct ifaddr *ifa;

	ifaddr_for_each(ifa, dev,
	    AF_INET) if (ip_prefix_match(gw, &ifa->addr, ifa->plen)) return true;
	return false;
}

/* RFC 1122 3.2.2.2. That it comes from the router we use now is dst_learn_redirect's to see. */
static void
take_redirect(struct pkt *p)
{
	unsigned hdr_len;
	const struct ip4_header *inner = inner_of(p, &hdr_len);
	const struct ip4_dev *conf = ip4_dev_of(p->dev);
	struct ip_addr src, dst, gw;

	if (!inner || p->data[1] > 3) {
		mib_inc(MIB_Icmp_InErrors);
		pkt_drop(p, DROP_ICMP_BAD);
		return;
	}
	src = ip_from_v4(inner->src);
	dst = ip_from_v4(inner->dst);
	gw = ip_from_v4(((const struct icmp4_header *)p->data)->rest);
	if (conf && conf->conf.accept_redirects && !p->dev->is_forwarding4 &&
	    ifaddr_is_local(&src) && !ip_is_multicast(&gw) && !ip_is_broadcast(&gw) &&
	    !ip_is_unspecified(&gw) && !ifaddr_is_local(&gw) && is_on_link(p->dev, &gw)) {
		dst_learn_redirect(&dst, &p->ip.src, &gw, p->dev);
		pkt_free(p);
		return;
	}
	pkt_drop(p, DROP_ICMP_BAD);
}

/* ---- Input ----------------------------------------------------------------------------- */

static void
take_ping_reply(struct pkt *p)
{
	if (!ping_input(p))
		pkt_free(p); /* raw sockets had their copies */
}

static void
ignore(struct pkt *p)
{
	pkt_free(p);
}

static void (*const inputs[])(struct pkt *) = {
    [ICMP4_ECHO_REPLY] = take_ping_reply,
    [ICMP4_UNREACH] = take_error,
    [ICMP4_QUENCH] = ignore, /* RFC 6633 3 */
    [ICMP4_REDIRECT] = take_redirect,
    [ICMP4_ECHO] = take_echo,
    [ICMP4_TIME_EXCEEDED] = take_error,
    [ICMP4_PARAM] = take_error,
    [ICMP4_TIMESTAMP] = take_timestamp,
    [ICMP4_TIMESTAMP_REPLY] = ignore,
    [ICMP4_MASK] = ignore, /* RFC 6918 2.4 */
    [ICMP4_MASK_REPLY] = ignore,
};

static bool
icmp4_input(struct pkt *p)
{
	const struct icmp4_header *h = pkt_need(p, sizeof(*h));

	mib_inc(MIB_Icmp_InMsgs);
	if (!h) {
		mib_inc(MIB_Icmp_InErrors);
		pkt_drop(p, DROP_ICMP_BAD);
		return true;
	}
	/* Its checksum has no pseudo header. */
	if (!(p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL)) &&
	    csum_finish(pkt_csum(p, 0, pkt_len(p), 0))) {
		mib_inc(MIB_Icmp_InErrors);
		mib_inc(MIB_Icmp_InCsumErrors);
		pkt_drop(p, DROP_ICMP_BAD);
		return true;
	}
	mib_icmp_inc(MIB_ICMP4_IN, h->type);
	if (h->type >= ARRAY_SIZE(inputs))
		mib_inc(MIB_Icmp_InErrors);
	if (h->type >= ARRAY_SIZE(inputs) || !inputs[h->type]) {
		pkt_drop(p, DROP_ICMP_BAD); /* RFC 1122 3.2.2: unknown ones in silence */
		return true;
	}
	inputs[h->type](p);
	return true;
}

const struct ip_proto icmp4_proto = {
    .name = "icmp", .input = icmp4_input, .error = ping_error};
