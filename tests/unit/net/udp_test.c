/*
 * net/udp.c: which socket a datagram is for. The file is included, to get at its table.
 * LINK: net/inet_port.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/udp.c"

#include "tests/fakes/fakes.h"
#include "tests/fakes/net_env.h"
#include "tests/unit/ktest.h"

/* ---- What udp.c wants of the rest. Sending and options are not asked for here. */

#define NEVER(type, name, ...) \
	type name(__VA_ARGS__) \
	{ \
		__builtin_trap(); \
	}

NEVER(enum err, inet_bind, struct inet_sock *i, const struct sock_addr *a,
    struct port_table *t)
NEVER(enum err, inet_dgram_connect, struct inet_sock *i, const struct sock_addr *a)
NEVER(void, inet_dgram_disconnect, struct inet_sock *i)
NEVER(enum err, inet_dgram_shutdown, struct sock *s, int how)
NEVER(uint32_t, inet_dgram_poll, struct sock *s)
NEVER(long, inet_dgram_ioctl, struct sock *s, unsigned cmd, uintptr_t arg)
NEVER(enum err, inet_dgram_getname, struct sock *s, struct sock_addr *a, bool p)
NEVER(void, inet_dgram_destroy, struct sock *s)
NEVER(void, inet_icmp_error, struct inet_sock *i, const struct ip_error *e, uint16_t p,
    bool c)
NEVER(void, inet_local_error, struct inet_sock *i, const struct ip_addr *d, uint16_t p,
    enum err e, uint32_t m)
NEVER(void, inet_tx_stamp, struct inet_sock *i, const struct inet_tx *t)
NEVER(long, inet_recv, struct sock *s, struct sock_msg *m)
NEVER(enum err, inet_tx_init, struct inet_tx *t, struct inet_sock *i,
    const struct sock_msg *m)
NEVER(enum err, inet_tx_route, struct inet_tx *t, struct inet_sock *i)
NEVER(enum err, inet_tx_wait, struct sock *s, const struct sock_msg *m)
NEVER(void, inet_tx_charge, struct sock *s, struct pkt *p)
NEVER(enum err, ip_send, struct pkt *p, struct dst *d, const struct ip_tx *t)
NEVER(uint32_t, ip_pseudo_csum, const struct ip_addr *s, const struct ip_addr *d,
    uint8_t p, uint32_t n)
NEVER(void, dst_put, struct dst *d)
NEVER(enum err, inet_setsockopt, struct inet_sock *i, int l, int o, const void *v,
    unsigned n)
NEVER(enum err, inet_getsockopt, struct inet_sock *i, int l, int o, void *v, unsigned *n)
NEVER(size_t, uio_copy_from, struct uio *u, void *d, size_t n)
NEVER(long, pkt_fill_from_uio, struct pkt *p, struct uio *u, size_t n)
NEVER(bool, sock_parse_numbers, const char *t, uint32_t *o, unsigned n)

static bool csum_is_ok = true;
static struct sock *queued[8];
static unsigned num_queued;

bool
ip_csum_ok(struct pkt *p)
{
	return csum_is_ok;
}

bool
sock_queue_rx(struct sock *sk, struct pkt *p)
{
	queued[num_queued++] = sk;
	pkt_free(p);
	return true;
}

bool
sock_try_get(struct sock *sk)
{
	return true;
}

struct sock *
sock_get(struct sock *sk)
{
	return sk;
}

void
sock_put(struct sock *sk)
{
}

void
sock_wake(struct sock *sk, uint32_t events)
{
}

uint32_t
filter_run(const struct sock *sk, const struct pkt *p)
{
	return UINT32_MAX;
}

void
inet_rx_remember(struct pkt *p, uint16_t src_port, uint16_t dst_port)
{
}

bool
inet_mc_wants(struct inet_sock *is, const struct ip_addr *group,
    const struct ip_addr *src, unsigned ifindex)
{
	return is->is_mc_all;
}

void
inet_mc_fini(struct inet_sock *is)
{
}

void
inet_sock_init(
    struct inet_sock *is, const struct sock_ops *ops, int family, int type, int proto)
{
	is->sock.ops = ops;
	is->sock.family = (uint16_t)family;
	is->local = is->peer = family == AF_INET ? ip4_any : ip_any;
	is->is_mc_all = true;
	mutex_init(&is->sock.send_lock, "test", RANK_SOCK_SEND);
	list_init(&is->bind_link);
}

/* ---- Sockets */

static struct ip_addr
addr(const char *text)
{
	struct ip_addr a = ip_any;

	(void)ip_parse(text, &a);
	return a;
}

static struct udp_sock *
make(int family, const char *local, uint16_t port, const char *peer, uint16_t peer_port)
{
	struct udp_sock *us = (struct udp_sock *)udp_sock_create(family);
	struct ip_addr a = local ? addr(local) : us->is.local;

	us->is.sock.is_reuseaddr = us->is.sock.is_reuseport = true;
	if (inet_bind_port(&us->is, &udp_ports, &a, port) != OK)
		__builtin_trap();
	if (peer) {
		us->is.peer = addr(peer);
		us->is.peer_port = peer_port;
		us->is.is_connected = true;
	}
	udp_hash(us, kzalloc(sizeof(struct udp_node)));
	return us;
}

static void
drop(struct udp_sock *us)
{
	udp_close(&us->is.sock);
	fake_rcu_run();
	kfree(us);
}

static void
start(void)
{
	static bool is_ready;

	if (!is_ready) {
		inet_ports_init();
		udp_init();
	}
	is_ready = true;
	num_queued = 0;
	csum_is_ok = true;
}

static struct udp_sock *
find(const char *local, const char *peer, uint16_t peer_port, unsigned ifindex)
{
	struct ip_addr l = addr(local), p = addr(peer);

	return udp_lookup(&l, 53, &p, peer_port, ifindex);
}

KTEST(udp_lookup_prefers_the_more_exact_socket)
{
	struct udp_sock *any, *bound, *connected;

	start();
	CHECK(!find("10.0.0.1", "10.0.0.9", 5000, 2));
	any = make(AF_INET, NULL, 53, NULL, 0);
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == any);
	bound = make(AF_INET, "10.0.0.1", 53, NULL, 0);
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == bound);
	CHECK(find("10.0.0.2", "10.0.0.9", 5000, 2) == any);
	connected = make(AF_INET, "10.0.0.1", 53, "10.0.0.9", 5000);
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == connected);
	CHECK(find("10.0.0.1", "10.0.0.9", 5001, 2) == bound);
	drop(any);
	drop(bound);
	drop(connected);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(udp_lookup_gives_v4_to_dual_stack_sockets_but_not_to_v6only)
{
	struct udp_sock *six = make(AF_INET6, NULL, 53, NULL, 0), *four;

	start();
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == six);
	CHECK(find("2001:db8::1", "2001:db8::9", 5000, 2) == six);
	six->is.is_v6only = true;
	CHECK(!find("10.0.0.1", "10.0.0.9", 5000, 2));
	six->is.is_v6only = false;
	four = make(AF_INET, NULL, 53, NULL, 0);
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == four);
	drop(six);
	drop(four);
}

KTEST(udp_lookup_heeds_the_bound_interface)
{
	struct udp_sock *us, *other;

	start();
	us = make(AF_INET, NULL, 53, NULL, 0);
	other = make(AF_INET, NULL, 53, NULL, 0);
	other->is.sock.bound_if = 3;
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 2) == us);
	CHECK(find("10.0.0.1", "10.0.0.9", 5000, 3) == other);
	drop(us);
	CHECK(!find("10.0.0.1", "10.0.0.9", 5000, 2));
	drop(other);
}

KTEST(udp_reuseport_spreads_flows_and_keeps_each)
{
	struct udp_sock *s[4], *first;
	unsigned used[4] = {0};

	start();
	for (int i = 0; i < 4; i++)
		s[i] = make(AF_INET, NULL, 53, NULL, 0);
	for (uint16_t port = 1000; port < 1400; port++) {
		first = find("10.0.0.1", "10.0.0.9", port, 2);
		CHECK(first == find("10.0.0.1", "10.0.0.9", port, 2));
		for (int i = 0; i < 4; i++)
			used[i] += first == s[i];
	}
	for (int i = 0; i < 4; i++) {
		CHECK(used[i] > 50);
		drop(s[i]);
	}
}

/* ---- Packets */

static struct pkt *
datagram(
    struct netdev *dev, const char *src, const char *dst, uint16_t len, uint16_t csum)
{
	uint8_t bytes[12] = {0x13, 0x88, 0, 53, (uint8_t)(len >> 8), (uint8_t)len,
	    (uint8_t)(csum >> 8), (uint8_t)csum, 'd', 'a', 't', 'a'};
	struct pkt *p = fake_pkt(dev, bytes, sizeof(bytes));

	p->ip.src = addr(src);
	p->ip.dst = addr(dst);
	p->ip.proto = IP_PROTO_UDP;
	p->ip.ttl = 64;
	return p;
}

KTEST(udp_refuses_lengths_that_lie_rfc768)
{
	static const uint16_t bad[] = {0, 7, 13, 0xffff};
	struct netdev *dev = fake_netdev(2);

	start();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(udp_input(datagram(dev, "10.0.0.9", "10.0.0.1", bad[i], 1)));
	CHECK_EQ(fake_drops[DROP_UDP_BAD], ARRAY_SIZE(bad));
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(udp_without_checksum_is_for_v4_only_rfc8200_8_1)
{
	struct netdev *dev = fake_netdev(2);
	struct udp_sock *us;

	start();
	us = make(AF_INET6, NULL, 53, NULL, 0);
	CHECK(udp_input(datagram(dev, "10.0.0.9", "10.0.0.1", 12, 0)));
	CHECK_EQ(num_queued, 1);
	CHECK(udp_input(datagram(dev, "2001:db8::9", "2001:db8::1", 12, 0)));
	CHECK_EQ(num_queued, 1);
	csum_is_ok = false;
	CHECK(udp_input(datagram(dev, "10.0.0.9", "10.0.0.1", 12, 7)));
	CHECK_EQ(num_queued, 1);
	drop(us);
	CHECK_EQ(fake_pkts_live, 0);
}

KTEST(udp_for_nobody_stays_the_callers)
{
	struct pkt *p;

	start();
	p = datagram(fake_netdev(2), "10.0.0.9", "10.0.0.1", 12, 1);
	CHECK(!udp_input(p));
	pkt_free(p);
}

KTEST(udp_multicast_reaches_every_socket_that_wants_it)
{
	struct udp_sock *s[20];
	struct netdev *dev = fake_netdev(2);

	start();
	for (int i = 0; i < 20; i++) {
		s[i] = make(AF_INET, NULL, 53, NULL, 0);
		s[i]->is.is_mc_all = i % 5 == 0;
	}
	CHECK(udp_input(datagram(dev, "10.0.0.9", "224.0.0.251", 12, 1)));
	CHECK_EQ(num_queued, 4);
	for (int i = 0; i < 20; i++)
		drop(s[i]);
	CHECK_EQ(fake_pkts_live, 0);
}
