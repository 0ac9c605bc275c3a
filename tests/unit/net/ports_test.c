/*
 * net/inet_port.c: who may share a port (socket(7), the table below was made on Linux), ephemeral
 * ports (RFC 6056 3.3.3).
 * LINK: net/inet_port.c net/ip_addr.c lib/siphash.c lib/string.c lib/fmt.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 */
#include "kernel/procfs.h"
#include "kernel/random.h"
#include "lib/string.h"
#include "net/inet_priv.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* ---- What inet_port.c wants of the rest */

static uint64_t random_state = 1;
static enum err (*range_store)(const char *);

uint64_t
random_u64(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return random_state >> 16;
}

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5a, n);
}

enum err
proc_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *))
{
	range_store = store;
	return OK;
}

void
seq_printf(struct seq *s, const char *fmt, ...)
{
}

bool
sock_try_get(struct sock *sk)
{
	sk->refs++;
	return true;
}

bool
sock_parse_numbers(const char *text, uint32_t *out, unsigned n)
{
	out[0] = 40000;
	out[1] = 40003; /* what the test stores */
	return true;
}

/* ---- Sockets by description */

enum {
	REUSE = 1,
	PORT = 2,
	V6ONLY = 4,
	LISTEN = 8,
	OTHER_UID = 16,
	ETH0 = 32,
	ETH1 = 64
};

static void
make(struct inet_sock *is, const char *addr, unsigned flags)
{
	memset(is, 0, sizeof(*is));
	list_init(&is->bind_link);
	if (strcmp(addr, "*") == 0)
		is->local = ip_any;
	else
		(void)ip_parse(addr, &is->local);
	is->sock.is_reuseaddr = flags & REUSE;
	is->sock.is_reuseport = flags & PORT;
	is->is_v6only = flags & V6ONLY;
	is->sock.is_listening = flags & LISTEN;
	is->sock.attr.uid = flags & OTHER_UID ? 1000 : 0;
	is->sock.bound_if = flags & ETH0 ? 2 : flags & ETH1 ? 3 : 0;
}

/* "*": a v6 socket bound to ::, which is dual-stack without V6ONLY. */
static const struct {
	const char *first;
	unsigned first_flags;
	const char *second;
	unsigned second_flags;
	bool conflicts;
} table[] = {
    {"0.0.0.0", 0, "0.0.0.0", 0, true},
    {"10.0.0.1", 0, "10.0.0.2", 0, false},
    {"10.0.0.1", 0, "10.0.0.1", 0, true},
    {"10.0.0.1", 0, "0.0.0.0", 0, true},
    {"0.0.0.0", 0, "10.0.0.1", 0, true},
    {"0.0.0.0", REUSE, "0.0.0.0", REUSE, false},
    {"0.0.0.0", REUSE, "0.0.0.0", 0, true},
    {"0.0.0.0", 0, "0.0.0.0", REUSE, true},
    {"0.0.0.0", REUSE | LISTEN, "0.0.0.0", REUSE, true},
    {"0.0.0.0", REUSE, "10.0.0.1", REUSE, false},
    {"0.0.0.0", PORT, "0.0.0.0", PORT, false},
    {"0.0.0.0", PORT | LISTEN, "0.0.0.0", PORT, false},
    {"0.0.0.0", PORT | OTHER_UID, "0.0.0.0", PORT, true},
    {"0.0.0.0", PORT, "0.0.0.0", 0, true},
    {"0.0.0.0", PORT | REUSE | LISTEN, "0.0.0.0", PORT | REUSE, false},
    {"0.0.0.0", PORT | REUSE | LISTEN | OTHER_UID, "0.0.0.0", PORT | REUSE, true},
    {"*", 0, "0.0.0.0", 0, true},
    {"*", V6ONLY, "0.0.0.0", 0, false},
    {"0.0.0.0", 0, "*", V6ONLY, false},
    {"0.0.0.0", 0, "*", 0, true},
    {"10.0.0.1", 0, "*", 0, true},
    {"*", V6ONLY, "*", 0, true},
    {"*", V6ONLY, "fe80::1", 0, true},
    {"fe80::1", 0, "fe80::2", 0, false},
    {"fe80::1", 0, "10.0.0.1", 0, false},
    {"fe80::1", 0, "0.0.0.0", 0, false},
    {"0.0.0.0", ETH0, "0.0.0.0", ETH1, false},
    {"0.0.0.0", ETH0, "0.0.0.0", ETH0, true},
    {"0.0.0.0", ETH0, "0.0.0.0", 0, true},
};

KTEST(bind_conflicts_are_those_of_linux)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct inet_sock a, b;
		enum err err;

		make(&a, table[i].first, table[i].first_flags);
		make(&b, table[i].second, table[i].second_flags);
		inet_ports_init();
		CHECK_EQ(inet_bind_port(&a, &tcp_ports, &a.local, 80), OK);
		err = inet_bind_port(&b, &tcp_ports, &b.local, 80);
		if ((err == ERR_ADDRINUSE) != table[i].conflicts)
			ktest_fail(
			    __FILE__, __LINE__, table[i].second, (long long)i, err);
		inet_release_port(&a, &tcp_ports);
		inet_release_port(&b, &tcp_ports);
	}
	CHECK_EQ(fake_kmalloc_live, 0);
}

/* What a closed connection leaves: shared by who allows it as the socket did, and freed with the last. */
KTEST(port_held_after_its_socket_is_shared_as_the_socket_said)
{
	static const struct {
		unsigned first_flags, second_flags;
		bool conflicts;
	} cases[] = {
	    {0, 0, true},
	    {0, REUSE, true},
	    {REUSE, 0, true},
	    {REUSE, REUSE, false},
	    {PORT, PORT, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct port_hold holds[2];
		struct inet_sock a, b;

		inet_ports_init();
		make(&a, "10.0.0.1", cases[i].first_flags);
		make(&b, "10.0.0.1", cases[i].second_flags);
		CHECK_EQ(inet_bind_port(&a, &tcp_ports, &a.local, 80), OK);
		inet_hold_port(&holds[0], &a, &tcp_ports);
		inet_hold_port(&holds[1], &a, &tcp_ports);
		inet_release_port(&a, &tcp_ports);
		CHECK_EQ(inet_bind_port(&b, &tcp_ports, &b.local, 80) == ERR_ADDRINUSE,
		    cases[i].conflicts);
		inet_unhold_port(&holds[0], &tcp_ports);
		if (cases[i].conflicts)
			CHECK_EQ(
			    inet_bind_port(&b, &tcp_ports, &b.local, 80), ERR_ADDRINUSE);
		inet_unhold_port(&holds[1], &tcp_ports);
		if (cases[i].conflicts)
			CHECK_EQ(inet_bind_port(&b, &tcp_ports, &b.local, 80), OK);
		inet_release_port(&b, &tcp_ports);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}

KTEST(only_one_of_two_with_reuseaddr_may_listen)
{
	struct inet_sock a, b;

	make(&a, "0.0.0.0", REUSE);
	make(&b, "0.0.0.0", REUSE);
	inet_ports_init();
	CHECK_EQ(inet_bind_port(&a, &tcp_ports, &a.local, 80), OK);
	CHECK_EQ(inet_bind_port(&b, &tcp_ports, &b.local, 80), OK);
	CHECK_EQ(inet_listen_port(&a, &tcp_ports), OK);
	CHECK_EQ(inet_listen_port(&b, &tcp_ports), ERR_ADDRINUSE);
	inet_release_port(&a, &tcp_ports);
	CHECK_EQ(inet_listen_port(&b, &tcp_ports), OK);
	inet_release_port(&b, &tcp_ports);
}

KTEST(a_failed_bind_leaves_the_address_as_it_was)
{
	struct inet_sock a, b;

	make(&a, "10.0.0.1", 0);
	make(&b, "0.0.0.0", 0);
	inet_ports_init();
	CHECK_EQ(inet_bind_port(&a, &udp_ports, &a.local, 53), OK);
	CHECK_EQ(inet_bind_port(&b, &udp_ports, &a.local, 53), ERR_ADDRINUSE);
	CHECK(ip_equal(&b.local, &ip4_any));
	CHECK_EQ(b.local_port, 0);
	inet_release_port(&a, &udp_ports);
}

KTEST(ephemeral_ports_are_of_the_range_and_shared_by_nobody)
{
	struct inet_sock s[5];

	inet_ports_init();
	CHECK_EQ(range_store("40000 40003"), OK);
	for (size_t i = 0; i < 4; i++) {
		make(&s[i], "0.0.0.0", REUSE | PORT);
		CHECK_EQ(inet_autobind(&s[i], &udp_ports, NULL), OK);
		CHECK(s[i].local_port >= 40000 && s[i].local_port <= 40003);
	}
	make(&s[4], "0.0.0.0", REUSE | PORT);
	CHECK_EQ(inet_autobind(&s[4], &udp_ports, NULL), ERR_AGAIN);
	CHECK_EQ(inet_bind_port(&s[4], &udp_ports, &ip4_any, 0), ERR_ADDRINUSE);
	for (size_t i = 0; i < 4; i++)
		inet_release_port(&s[i], &udp_ports);
	CHECK_EQ(fake_kmalloc_live, 0);
}

static bool
always_free(struct inet_sock *is, uint16_t port)
{
	return true;
}

KTEST(connections_share_ports_that_nobody_bound)
{
	struct inet_sock s[6], bound;

	inet_ports_init();
	CHECK_EQ(range_store("40000 40003"), OK);
	make(&bound, "0.0.0.0", 0);
	CHECK_EQ(inet_bind_port(&bound, &tcp_ports, &ip4_any, 40001), OK);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		make(&s[i], "10.0.0.1", 0);
		s[i].peer_port = (uint16_t)(1000 + i);
		CHECK_EQ(inet_autobind(&s[i], &tcp_ports, always_free), OK);
		CHECK(s[i].local_port != 40001);
	}
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		inet_release_port(&s[i], &tcp_ports);
	inet_release_port(&bound, &tcp_ports);
	CHECK_EQ(fake_kmalloc_live, 0);
}

/* RFC 6056 3.3.3: towards one peer the next port, towards another one begins elsewhere. */
KTEST(ports_towards_one_peer_rise_by_one)
{
	struct inet_sock a, b;

	inet_ports_init();
	make(&a, "10.0.0.1", 0);
	make(&b, "10.0.0.1", 0);
	a.peer_port = b.peer_port = 80;
	CHECK_EQ(inet_autobind(&a, &tcp_ports, always_free), OK);
	CHECK_EQ(inet_autobind(&b, &tcp_ports, always_free), OK);
	CHECK(b.local_port == a.local_port + 1 || b.local_port == 40000);
	inet_release_port(&a, &tcp_ports);
	inet_release_port(&b, &tcp_ports);
}

/* To a port whose listener has just gone it would be made, not refused, once in 28,000 times. */
KTEST(a_connection_does_not_choose_the_port_it_goes_to_on_its_own_address)
{
	struct inet_sock s[4];

	inet_ports_init();
	CHECK_EQ(range_store("40000 40003"), OK);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		make(&s[i], "127.0.0.1", 0);
		s[i].peer = s[i].local;
		s[i].peer_port = 40002;
		CHECK_EQ(inet_autobind(&s[i], &tcp_ports, always_free), OK);
		CHECK(s[i].local_port != 40002);
	}
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		inet_release_port(&s[i], &tcp_ports);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(users_of_a_port_come_in_batches_with_references)
{
	struct inet_sock s[5], *users[2];
	unsigned seen = 0, n;

	inet_ports_init();
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		make(&s[i], "0.0.0.0", REUSE);
		CHECK_EQ(inet_bind_port(&s[i], &udp_ports, &ip4_any, 5353), OK);
	}
	do {
		n = inet_port_users(&udp_ports, 5353, seen, users, 2);
		seen += n;
	} while (n == 2);
	CHECK_EQ(seen, ARRAY_SIZE(s));
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		CHECK_EQ(s[i].sock.refs, 1);
		inet_release_port(&s[i], &udp_ports);
	}
}
