/*
 * flood PATH KIND COUNT SEED MAC [PORTS...]: frames for a machine, as fast as it takes them. PATH is
 * QEMU's datagram socket (-netdev dgram), MAC the machine's. The machine is 10.77.0.2 and fd77::2,
 * its neighbour 10.77.0.1 and fd77::1. A seed repeats its frames exactly.
 *
 * noise    every protocol the stack knows: sound frames, mutated ones with checksums put right, and
 *          ones without, cut or lengthened
 * syn      SYNs to port PORTS[0] from anywhere
 * frag4    fragments of datagrams that never become whole; frag6 the same
 * arp, nd  neighbours that nobody knew; ra routers, prefixes, name servers
 * forge    RST, SYN, data, ICMP errors and too-bigs about the connection PORTS[0] (the
 *          neighbour's) to PORTS[1] (the machine's) by somebody who knows only its addresses
 * udp      datagrams to closed ports
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef uint8_t u8;

enum { ETH = 14, IP4 = 20, IP6 = 40, ROOM = 2048 };
enum {
	P_HOP = 0,
	P_ICMP = 1,
	P_IGMP = 2,
	P_TCP = 6,
	P_UDP = 17,
	P_ROUTING = 43,
	P_FRAGMENT = 44,
	P_ICMP6 = 58,
	P_NONE = 59,
	P_DST = 60
};

/* A frame under construction: what comes before `at` stands. */
struct frame {
	u8 b[ROOM];
	size_t len;
	size_t l4; /* where the transport's header is; 0: none */
	int l4_proto;
	int is_v6;
};

static uint64_t state;
static u8 machine[6];
static const u8 neighbour[6] = {2, 0, 0, 0, 0, 1};
static unsigned ports[2] = {80, 80};
static int fragments_from =
    -1; /* anywhere; noise's come from the neighbour, so that they meet */

static uint32_t
rnd(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ (z >> 31)) >> 16);
}

static uint32_t
below(uint32_t n)
{
	return rnd() % n;
}

static int
one_in(uint32_t n)
{
	return below(n) == 0;
}

static u8 *
add(struct frame *f, size_t n)
{
	u8 *p = f->b + f->len;

	if (f->len + n > ROOM)
		abort();
	f->len += n;
	memset(p, 0, n);
	return p;
}

static void
put16(u8 *p, unsigned v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void
put32(u8 *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void
add_random(struct frame *f, size_t n)
{
	u8 *p = add(f, n);

	while (n--)
		*p++ = (u8)rnd();
}

static uint32_t
sum(uint32_t s, const u8 *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return s;
}

static unsigned
fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

static void
ether(struct frame *f, const u8 *to, unsigned type)
{
	u8 *p;

	f->len = f->l4 = 0;
	p = add(f, ETH);
	memcpy(p, to, 6);
	memcpy(p + 6, neighbour, 6);
	put16(p + 12, type);
}

/* ---- Network headers ----------------------------------------------------------------- */

static void
addr4(u8 *p, int kind)
{
	static const u8 known[][4] = {{10, 77, 0, 2}, {10, 77, 0, 1}, {10, 77, 255, 255},
	    {255, 255, 255, 255}, {224, 0, 0, 1}, {127, 0, 0, 1}, {0, 0, 0, 0}};

	if (kind < 0)
		put32(p, rnd());
	else
		memcpy(p, known[kind], 4);
}

static void
addr6(u8 *p, int kind)
{
	static const u8 known[][16] = {{0xfd, 0x77, [15] = 2}, {0xfd, 0x77, [15] = 1},
	    {0xff, 2, [15] = 1}, {0xff, 2, [11] = 1, 0xff, [15] = 2},
	    {0xfe, 0x80, [15] = 1}, {[15] = 1}, {0}};

	memcpy(p, known[kind < 0 ? 0 : kind], 16);
	if (kind < 0)
		for (int i = kind == -2 ? 8 : 1; i < 16; i++)
			p[i] = (u8)rnd();
}

static void
ip4(struct frame *f, int src, int dst, int proto)
{
	u8 *p;

	ether(f, machine, 0x0800);
	p = add(f, IP4);
	p[0] = 0x45;
	put16(p + 4, rnd() & 0xffff);
	p[8] = 64;
	p[9] = (u8)proto;
	addr4(p + 12, src);
	addr4(p + 16, dst);
	f->is_v6 = 0;
	f->l4 = f->len;
	f->l4_proto = proto;
}

static void
ip6(struct frame *f, int src, int dst, int proto)
{
	u8 *p;

	ether(f, machine, 0x86dd);
	p = add(f, IP6);
	p[0] = 0x60;
	p[6] = (u8)proto;
	p[7] = 255;
	addr6(p + 8, src);
	addr6(p + 24, dst);
	f->is_v6 = 1;
	f->l4 = f->len;
	f->l4_proto = proto;
}

/* Lengths and checksums as they should be. */
static void
finish(struct frame *f)
{
	u8 *ip = f->b + ETH, *t = f->b + f->l4;
	size_t n = f->len - f->l4;
	uint32_t s;
	int at;

	if (!f->l4)
		return;
	if (f->is_v6) {
		put16(ip + 4, (unsigned)(f->len - ETH - IP6));
	} else {
		put16(ip + 2, (unsigned)(f->len - ETH));
		put16(ip + 10, 0);
		put16(ip + 10, fold(sum(0, ip, (ip[0] & 15u) * 4)));
	}
	at = f->l4_proto == P_TCP ? 16 : f->l4_proto == P_UDP ? 6 : 2;
	if (f->l4_proto < 0 || (size_t)at + 2 > n)
		return;
	if (f->l4_proto == P_UDP)
		put16(t + 4, (unsigned)n);
	put16(t + at, 0);
	s = f->is_v6 ? sum(0, ip + 8, 32) : sum(0, ip + 12, 8);
	s = f->l4_proto == P_ICMP || f->l4_proto == P_IGMP
	        ? 0
	        : s + (uint32_t)n + (uint32_t)f->l4_proto;
	put16(t + at, fold(sum(s, t, n)));
}

/* ---- Transport ----------------------------------------------------------------------- */

static void
tcp_options(struct frame *f)
{
	static const u8 usual[20] = {
	    2, 4, 5, 180, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7};
	u8 *p = add(f, 20);

	memcpy(p, usual, 20);
	put32(p + 8, rnd());
}

static void
tcp(struct frame *f, unsigned sport, unsigned dport, int flags)
{
	size_t start = f->len;
	u8 *p = add(f, 20);

	put16(p, sport);
	put16(p + 2, dport);
	put32(p + 4, rnd());
	put32(p + 8, rnd());
	p[13] = (u8)flags;
	put16(p + 14, rnd() & 0xffff);
	if (flags == 2 || one_in(4))
		tcp_options(f);
	if (flags != 2)
		add_random(f, below(64));
	f->b[start + 12] = flags == 2 || f->len - start >= 40 ? 0xa0 : 0x50;
}

static void
udp(struct frame *f, unsigned dport, size_t n)
{
	u8 *p = add(f, 8);

	put16(p, 1024 + below(60000));
	put16(p + 2, dport);
	add_random(f, n);
}

/* The head of a packet that the machine might have sent: what an ICMP error is about. */
static void
quote(struct frame *f, int proto, unsigned from, unsigned to)
{
	u8 *p = add(f, f->is_v6 ? IP6 : IP4);

	if (f->is_v6) {
		p[0] = 0x60;
		put16(p + 4, 500);
		p[6] = (u8)proto;
		p[7] = 60;
		addr6(p + 8, 0);
		addr6(p + 24, 1);
	} else {
		p[0] = 0x45;
		put16(p + 2, 520);
		p[6] = 0x40;
		p[8] = 60;
		p[9] = (u8)proto;
		addr4(p + 12, 0);
		addr4(p + 16, 1);
		put16(p + 10, fold(sum(0, p, IP4)));
	}
	p = add(f, 20);
	put16(p, from);
	put16(p + 2, to);
	put32(p + 4, rnd());
	p[12] = 0x50;
}

static void
icmp_error(struct frame *f, int proto, unsigned from, unsigned to)
{
	static const u8 types4[] = {3, 3, 3, 4, 5, 11, 12}, types6[] = {1, 2, 2, 3, 4};
	static const unsigned mtus[] = {0, 68, 296, 552, 1280, 1400, 1499, 65535};
	u8 *p = add(f, 8);

	p[0] = f->is_v6 ? types6[below(5)] : types4[below(7)];
	p[1] = (u8)(p[0] == 3 && one_in(2) ? 4 : below(16));
	put32(p + 4, p[0] == 5 ? rnd() : mtus[below(8)]);
	quote(f, proto, from, to);
}

/* Neighbour discovery: a message of `type` with options of every kind. */
static void
nd_options(struct frame *f, int max)
{
	static const u8 types[] = {1, 2, 3, 5, 24, 25, 31, 14, 38};
	u8 *p;

	for (int n = (int)below((uint32_t)max + 1); n > 0; n--) {
		u8 type = types[below(9)];
		int units = type == 3                                ? 4
		            : type == 25 || type == 31 || type == 24 ? 3
		                                                     : 1;

		p = add(f, (size_t)units * 8);
		p[0] = type;
		p[1] = (u8)units;
		for (int i = 2; i < units * 8; i++)
			p[i] = (u8)rnd();
		if (type == 3) {
			p[2] = (u8)(one_in(8) ? below(129) : 64);
			p[3] = 0xc0;
			put32(p + 4, one_in(4) ? below(100) : 0xffffffff);
			put32(p + 8, one_in(4) ? below(100) : 7200);
			p[16] = 0xfd;
			if (one_in(8)) /* the machine's own */
				addr6(p + 16, 0);
			memset(p + 24, 0, 8);
		}
		if (type == 31)
			memcpy(p + 8, "\3lan\4home\0\0\0\0\0\0\0", 16);
	}
}

static void
router_advertisement(struct frame *f)
{
	u8 *p;

	ip6(f, 4, 2, P_ICMP6);
	for (int i = 0; i < 6; i++)
		f->b[ETH + 8 + 10 + i] = (u8)rnd();
	p = add(f, 16);
	p[0] = 134;
	p[4] = (u8)rnd();
	p[5] = (u8)(rnd() & 0x18); /* neither managed nor other: no DHCPv6 of that */
	put16(p + 6, one_in(4) ? 0 : 1800);
	nd_options(f, 12);
}

static void
neighbour_message(struct frame *f)
{
	int is_answer = one_in(2);
	u8 *p;

	ip6(f, one_in(8) ? 6 : -2, is_answer ? 0 : 3, P_ICMP6);
	p = add(f, 24);
	p[0] = is_answer ? 136 : 135;
	p[4] = is_answer ? (u8)(rnd() & 0xe0) : 0;
	if (is_answer)
		memcpy(p + 8, f->b + ETH + 8, 16);
	else
		addr6(p + 8, 0);
	p = add(f, 8);
	p[0] = is_answer ? 2 : 1;
	p[1] = 1;
	put32(p + 4, rnd());
}

static void
arp(struct frame *f)
{
	static const u8 all[6] = {255, 255, 255, 255, 255, 255};
	u8 *p;

	ether(f, one_in(2) ? all : machine, 0x0806);
	p = add(f, 46);
	put16(p, 1);
	put16(p + 2, 0x800);
	p[4] = 6;
	p[5] = 4;
	p[7] = (u8)(1 + below(2));
	put32(p + 8, rnd());
	p[8] = 2;
	addr4(p + 14, 1);
	if (one_in(16))
		addr4(p + 14, 0); /* somebody has the machine's own address */
	else
		put16(p + 16, 256 + below(60000));
	memcpy(p + 18, machine, 6);
	addr4(p + 24, one_in(4) ? 1 : 0);
	if (one_in(8))
		memcpy(p + 24, p + 14, 4);
}

/* A message to our DHCP client, if it only had the number of its exchange. */
static void
dhcp(struct frame *f)
{
	static const u8 options[] = {99, 130, 83, 99, 53, 1, 5, 54, 4, 10, 77, 0, 1, 51,
	    4, 0, 0, 1, 0, 1, 4, 255, 255, 0, 0, 3, 4, 10, 77, 0, 1, 6, 4, 10, 77, 0, 1,
	    255};
	u8 *p;

	ip4(f, 1, 0, P_UDP);
	p = add(f, 8);
	put16(p, 67);
	put16(p + 2, 68);
	p = add(f, 236);
	p[0] = 2;
	p[1] = 1;
	p[2] = 6;
	put32(p + 4, rnd());
	memcpy(p + 28, machine, 6);
	memcpy(add(f, sizeof(options)), options, sizeof(options));
}

static void
echo(struct frame *f)
{
	u8 *p = add(f, 8);

	p[0] = f->is_v6 ? 128 : 8;
	put32(p + 4, rnd());
	add_random(f, below(100));
}

static void
group_query(struct frame *f)
{
	u8 *p;

	if (one_in(2)) {
		ip4(f, 1, 4, P_IGMP);
		p = add(f, one_in(2) ? 8 : 12);
		p[0] = (u8)(one_in(4) ? 0x16 : 0x11);
		p[1] = (u8)rnd();
		f->b[ETH + 8] = 1;
	} else {
		ip6(f, 4, 2, P_ICMP6);
		p = add(f, one_in(2) ? 24 : 28);
		p[0] = (u8)(130 + below(2));
		put16(p + 4, below(1000));
		f->b[ETH + 7] = 1;
	}
}

/* ---- Extension headers, options, fragments ---------------------------------------------- */

/* Up to four extension headers, and after them `proto`; l4 lies behind. */
static void
extensions(struct frame *f, int proto)
{
	static const u8 kinds[] = {P_HOP, P_DST, P_ROUTING, P_DST};
	u8 *next = &f->b[ETH + 6];

	for (int i = 0; i < 4; i++) {
		size_t n = 8 + 8 * below(3);
		u8 *p;

		if (one_in(2))
			continue;
		*next = kinds[i];
		p = add(f, n);
		next = p;
		p[1] = (u8)(n / 8 - 1);
		p[2] = kinds[i] == P_ROUTING ? (u8)below(5) : 1; /* else PadN */
		p[3] = kinds[i] == P_ROUTING ? (u8)below(3) : (u8)(n - 4);
		if (kinds[i] != P_ROUTING && one_in(4)) {
			p[2] = (u8)rnd();
			p[3] = (u8)(one_in(2) ? n - 4 : below(20));
		}
	}
	*next = (u8)proto;
	f->l4 = f->len;
}

static void
fragment4(struct frame *f)
{
	ip4(f, fragments_from, 0, P_UDP);
	f->l4_proto = -1;
	put16(f->b + ETH + 4, below(fragments_from < 0 ? 2048 : 64));
	/* Rarely the last one, so most wait for ever; sometimes over what was there. */
	put16(f->b + ETH + 6, (one_in(8) ? 0 : 0x2000) | below(one_in(2) ? 4 : 8100));
	add_random(f, 8 * (1 + below(one_in(4) ? 180 : 8)));
}

static void
fragment6(struct frame *f)
{
	u8 *p;

	ip6(f, fragments_from, 0, P_FRAGMENT);
	f->l4_proto = -1;
	p = add(f, 8);
	p[0] = P_UDP;
	put16(p + 2, (below(one_in(2) ? 4 : 8100) << 3) | !one_in(8));
	put32(p + 4, below(fragments_from < 0 ? 2048 : 64));
	add_random(f, 8 * (1 + below(one_in(4) ? 180 : 8)));
}

/* Options into an IPv4 header whose payload is not there yet. */
static void
options4(struct frame *f)
{
	static const u8 types[] = {0, 1, 7, 68, 130, 131, 137, 148};
	size_t n = 4 * (1 + below(10));
	u8 *p = add(f, n);

	f->b[ETH] = (u8)(0x45 + n / 4);
	p[0] = types[below(8)];
	p[1] = (u8)(one_in(4) ? below(42) : n);
	p[2] = (u8)(one_in(4) ? below(42) : 4);
	f->l4 = f->len;
}

/* ---- The kinds ---------------------------------------------------------------------------- */

static void
make_transport(struct frame *f, int proto)
{
	static const unsigned services[] = {80, 68, 546, 53, 5000, 9};
	static const u8 flags[] = {2, 0x10, 0x12, 4, 0x14, 0x11, 0x18, 0x29};

	if (proto == P_TCP)
		tcp(f, one_in(2) ? ports[0] : below(65536), one_in(4) ? below(65536) : 80,
		    flags[below(8)]);
	else if (proto == P_UDP)
		udp(f, services[below(6)], below(300));
	else if (one_in(2))
		echo(f);
	else
		icmp_error(f, one_in(2) ? P_TCP : P_UDP, 80, 1 + below(65535));
}

static void
make_sound(struct frame *f)
{
	static const int src4[] = {1, 1, 1, -1, -1, 5, 6}, dst4[] = {0, 0, 0, 0, 2, 3, 4};
	static const int src6[] = {1, 1, 1, -1, -2, 4, 6}, dst6[] = {0, 0, 0, 0, 2, 3, 5};
	static const int protos[] = {P_TCP, P_TCP, P_UDP, P_ICMP};
	int proto = protos[below(4)];

	switch (below(12)) {
	case 0: arp(f); return;
	case 1: neighbour_message(f); return;
	case 2: router_advertisement(f); return;
	case 3: fragment4(f); return;
	case 4: fragment6(f); return;
	case 5: dhcp(f); return;
	case 6: group_query(f); return;
	case 7:
	case 8:
	case 9:
		ip4(f, src4[below(7)], dst4[below(7)], proto);
		if (one_in(4))
			options4(f);
		break;
	default:
		ip6(f, src6[below(7)], dst6[below(7)], proto == P_ICMP ? P_ICMP6 : proto);
		if (one_in(2))
			extensions(f, f->l4_proto);
	}
	make_transport(f, proto);
}

static void
damage(struct frame *f, size_t from)
{
	static const u8 values[] = {0, 1, 0x7f, 0x80, 0xff};

	for (uint32_t n = 1 + below(6); n > 0 && f->len > from; n--) {
		u8 *p = f->b + from +
		        below((uint32_t)(f->len - from < 80 ? f->len - from : 80));

		if (one_in(2))
			*p = values[below(5)];
		else
			*p ^= (u8)(1 << below(8));
	}
}

static void
make_noise(struct frame *f)
{
	make_sound(f);
	if (one_in(3)) {
		finish(f);
	} else if (one_in(
	               2)) { /* checksums hold: the damage reaches what is behind them */
		damage(f, ETH);
		finish(f);
	} else {
		finish(f);
		damage(f, one_in(8) ? 0 : ETH);
	}
	if (one_in(16) && f->len > ETH + 1)
		f->len = ETH + below((uint32_t)(f->len - ETH));
	if (one_in(16) && f->len < 1400)
		add_random(f, below(100));
	if (one_in(64)) {
		f->len = ETH;
		add_random(f, below(1500));
	}
}

static void
make_syn(struct frame *f)
{
	if (one_in(2))
		ip4(f, -1, 0, P_TCP);
	else
		ip6(f, -1, 0, P_TCP);
	tcp(f, below(65536), ports[0], 2);
}

static void
make_forged(struct frame *f)
{
	static const u8 flags[] = {4, 4, 0x14, 2, 0x12, 0x11, 0x18};
	int is_icmp = one_in(2);

	if (one_in(2))
		ip4(f, is_icmp && one_in(2) ? -1 : 1, 0, is_icmp ? P_ICMP : P_TCP);
	else
		ip6(f, is_icmp && one_in(2) ? -1 : 1, 0, is_icmp ? P_ICMP6 : P_TCP);
	if (is_icmp)
		icmp_error(f, P_TCP, ports[1], ports[0]);
	else
		tcp(f, ports[0], ports[1], flags[below(7)]);
}

static void
make_udp(struct frame *f)
{
	if (one_in(2))
		ip4(f, one_in(2) ? 1 : -1, 0, P_UDP);
	else
		ip6(f, one_in(2) ? 1 : -1, 0, P_UDP);
	udp(f, 20000 + below(20000), below(200));
}

static const struct kind {
	const char *name;
	void (*make)(struct frame *);
} kinds[] = {{"noise", make_noise}, {"syn", make_syn}, {"frag4", fragment4},
    {"frag6", fragment6}, {"arp", arp}, {"nd", neighbour_message},
    {"ra", router_advertisement}, {"forge", make_forged}, {"udp", make_udp}};

static const struct kind *
kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	fprintf(stderr, "flood: no kind %s\n", name);
	exit(1);
}

int
main(int argc, char **argv)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	const struct kind *kind;
	struct frame f;

	if (argc < 6 || s < 0) {
		fprintf(stderr, "flood PATH KIND COUNT SEED MAC [PORTS...]\n");
		return 1;
	}
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", argv[1]);
	kind = kind_of(argv[2]);
	if (kind->make == make_noise)
		fragments_from = 1;
	state = strtoull(argv[4], NULL, 0);
	sscanf(argv[5], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &machine[0], &machine[1],
	    &machine[2], &machine[3], &machine[4], &machine[5]);
	for (int i = 6; i < argc && i < 8; i++)
		ports[i - 6] = (unsigned)atoi(argv[i]);
	for (long n = atol(argv[3]); n > 0; n--) {
		kind->make(&f);
		if (kind->make != make_noise)
			finish(&f);
		while (sendto(s, f.b, f.len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			if (errno != EINTR && errno != ENOBUFS) {
				perror("flood");
				return 1;
			}
	}
	return 0;
}
