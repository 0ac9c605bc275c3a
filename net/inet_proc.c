/*
 * /proc/net about transports, in Linux's formats: sockets (udp, udp6, raw, raw6, icmp, icmp6),
 * and their numbers (sockstat, sockstat6, protocols). Lists of sockets are collected under the
 * tables' locks into a snapshot of plain records and printed after. The stack's counters are in
 * net/mib_proc.c.
 */
#include "kernel/panic.h"
#include "kernel/procfs.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/inet_priv.h"
#include "net/ip4.h"
#include "net/ip6.h"
#include "net/tcp.h"

enum { STATE_CONNECTED = 1, STATE_CLOSE = 7 }; /* TCP_ESTABLISHED, TCP_CLOSE */

struct record {
	struct ip_addr local, peer;
	uint16_t local_port, peer_port;
	uint16_t family;
	bool is_connected;
	uint32_t tx, rx, uid, refs;
	uint64_t ino, drops;
};

struct snapshot {
	struct record *records;
	unsigned n, room;
	uint16_t family;
};

/* Under a table's lock or RCU: no allocation. */
static void
collect(struct inet_sock *is, void *arg)
{
	struct snapshot *s = arg;
	const struct sock *sk = &is->sock;

	if (sk->family != s->family)
		return;
	if (s->n < s->room)
		s->records[s->n] = (struct record){
		    .local = is->local,
		    .peer = is->peer,
		    .local_port = is->local_port,
		    .peer_port = is->peer_port,
		    .family = sk->family,
		    .is_connected = is->is_connected,
		    .tx = sk->tx_bytes,
		    .rx = sk->rx_bytes,
		    .uid = sk->attr.uid,
		    .refs = sk->refs,
		    .ino = sk->ino,
		    .drops = sk->drops,
		};
	s->n++;
}

static void
for_each_raw(struct port_table *t, void (*fn)(struct inet_sock *, void *), void *arg)
{
	raw_for_each(fn, arg);
}

/* Counts, makes room, collects; what came in between is left out. */
static void
take_snapshot(struct snapshot *s, uint16_t family,
    void (*for_each)(struct port_table *, void (*)(struct inet_sock *, void *), void *),
    struct port_table *t)
{
	*s = (struct snapshot){.family = family};
	for_each(t, collect, s);
	s->room = s->n;
	s->n = 0;
	s->records = s->room ? kcalloc(s->room, sizeof(*s->records)) : NULL;
	if (!s->records)
		s->room = 0;
	if (s->room)
		for_each(t, collect, s);
	s->n = MIN(s->n, s->room);
}

/* Words of an address as the machine reads them, which is how Linux prints them. */
static void
put_addr(struct seq *q, const struct ip_addr *a, uint16_t port, bool is_v4)
{
	uint32_t w[4];

	memcpy(w, a->b, sizeof(w));
	if (is_v4)
		seq_printf(q, " %08X:%04X", w[3], port);
	else
		seq_printf(q, " %08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
}

static void
put_record(struct seq *q, const struct record *r)
{
	bool is_v4 = r->family == AF_INET;

	seq_printf(q, "%5u:", r->local_port);
	put_addr(q, &r->local, r->local_port, is_v4);
	put_addr(q, &r->peer, r->peer_port, is_v4);
	seq_printf(q, " %02X %08X:%08X %02X:%08X %08X %5u %8d %lu %u %016lx %lu",
	    r->is_connected ? STATE_CONNECTED : STATE_CLOSE, r->tx, r->rx, 0, 0, 0,
	    r->uid, 0, r->ino, r->refs, 0ul, r->drops);
}

/* Lines of IPv4 are filled up to 127 characters. */
static void
end_line(struct seq *q, size_t start, uint16_t family)
{
	enum { WIDTH = 127 };

	if (family == AF_INET)
		seq_pad(q, start, WIDTH);
	seq_putc(q, '\n');
}

static void
show_sockets(struct seq *q, uint16_t family, struct port_table *t)
{
	struct snapshot s;
	size_t start = q->len;

	seq_puts(q, family == AF_INET
	                ? "   sl  local_address rem_address   st tx_queue rx_queue tr "
	                  "tm->when retrnsmt   uid  timeout inode ref pointer drops"
	                : "  sl  local_address                         remote_address"
	                  "                        st tx_queue rx_queue tr tm->when "
	                  "retrnsmt   uid  timeout inode ref pointer drops");
	end_line(q, start, family);
	take_snapshot(&s, family, t ? inet_ports_for_each : for_each_raw, t);
	for (unsigned i = 0; i < s.n; i++) {
		start = q->len;
		put_record(q, &s.records[i]);
		end_line(q, start, family);
	}
	kfree(s.records);
}

static void
show_udp(struct seq *q)
{
	show_sockets(q, AF_INET, &udp_ports);
}

static void
show_udp6(struct seq *q)
{
	show_sockets(q, AF_INET6, &udp_ports);
}

static void
show_raw(struct seq *q)
{
	show_sockets(q, AF_INET, NULL);
}

static void
show_raw6(struct seq *q)
{
	show_sockets(q, AF_INET6, NULL);
}

static void
show_icmp(struct seq *q)
{
	show_sockets(q, AF_INET, &ping_ports);
}

static void
show_icmp6(struct seq *q)
{
	show_sockets(q, AF_INET6, &ping_ports);
}

/* ---- Numbers ------------------------------------------------------------------------------ */

static unsigned
count_sockets(uint16_t family, struct port_table *t)
{
	struct snapshot s = {.family = family};

	if (t)
		inet_ports_for_each(t, collect, &s);
	else
		raw_for_each(collect, &s);
	return s.n;
}

static void
show_fragments(struct seq *q, const char *name, struct ip_frag_usage u)
{
	seq_printf(q, "%s: inuse %u memory %lu\n", name, u.datagrams, u.bytes);
}

static void
show_sockstat(struct seq *q)
{
	struct tcp_stats tcp;

	tcp_get_stats(&tcp);
	seq_printf(q, "sockets: used %u\n", sock_count());
	seq_printf(q, "TCP: inuse %u orphan %u tw %u alloc %u mem %lu\n",
	    count_sockets(AF_INET, &tcp_ports), tcp.orphans, tcp.time_waits, tcp.alive,
	    tcp.mem_pages);
	seq_printf(q, "UDP: inuse %u mem 0\n", count_sockets(AF_INET, &udp_ports));
	seq_puts(q, "UDPLITE: inuse 0\n");
	seq_printf(q, "RAW: inuse %u\n", count_sockets(AF_INET, NULL));
	show_fragments(q, "FRAG", ip4_frag_usage());
}

static void
show_sockstat6(struct seq *q)
{
	seq_printf(q, "TCP6: inuse %u\n", count_sockets(AF_INET6, &tcp_ports));
	seq_printf(q, "UDP6: inuse %u\n", count_sockets(AF_INET6, &udp_ports));
	seq_puts(q, "UDPLITE6: inuse 0\n");
	seq_printf(q, "RAW6: inuse %u\n", count_sockets(AF_INET6, NULL));
	show_fragments(q, "FRAG6", ip6_frag_usage());
}

/* What each protocol's sockets can do: in Linux a row of y and n for its operations. */
static void
show_protocols(struct seq *q)
{
	static const struct {
		const char *name;
		uint16_t family;
		struct port_table *table;
		unsigned size;
		const char *ops;
	} rows[] = {
	    {"PINGv6", AF_INET6, &ping_ports, sizeof(struct inet_sock),
	        "y  y  y  n  n  y  n  n  y  y  y  y  y  y  y  y  y  n"},
	    {"RAWv6", AF_INET6, NULL, sizeof(struct inet_sock),
	        "y  y  y  n  y  y  y  n  y  y  y  y  y  y  y  y  n  n"},
	    {"UDPv6", AF_INET6, &udp_ports, sizeof(struct inet_sock),
	        "y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n"},
	    {"TCPv6", AF_INET6, &tcp_ports, sizeof(struct inet_sock),
	        "y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y"},
	    {"PING", AF_INET, &ping_ports, sizeof(struct inet_sock),
	        "y  y  y  n  n  y  n  n  y  y  y  y  y  y  y  y  y  n"},
	    {"RAW", AF_INET, NULL, sizeof(struct inet_sock),
	        "y  y  y  n  y  y  y  n  y  y  y  y  y  y  y  y  n  n"},
	    {"UDP", AF_INET, &udp_ports, sizeof(struct inet_sock),
	        "y  y  y  n  y  y  y  n  y  y  y  y  n  n  y  y  y  n"},
	    {"TCP", AF_INET, &tcp_ports, sizeof(struct inet_sock),
	        "y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y  y"},
	};

	seq_puts(q,
	    "protocol  size sockets  memory press maxhdr  slab module     cl co di ac "
	    "io in de sh ss gs se re bi br ha uh gp em\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		seq_printf(q, "%-9s %4u %6u  %6d   %-3s %6u   %-3s  %-10s %s\n",
		    rows[i].name, rows[i].size,
		    count_sockets(rows[i].family, rows[i].table), -1, "NI", 0u, "no",
		    "kernel", rows[i].ops);
}

void
inet_proc_init(void)
{
	static const struct {
		const char *name;
		void (*show)(struct seq *);
	} files[] = {
	    {"net/udp", show_udp},
	    {"net/udp6", show_udp6},
	    {"net/raw", show_raw},
	    {"net/raw6", show_raw6},
	    {"net/icmp", show_icmp},
	    {"net/icmp6", show_icmp6},
	    {"net/sockstat", show_sockstat},
	    {"net/sockstat6", show_sockstat6},
	    {"net/protocols", show_protocols},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (proc_register(files[i].name, files[i].show) != OK)
			panic("inet: no memory for /proc/%s", files[i].name);
}
