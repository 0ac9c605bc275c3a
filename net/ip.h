/*
 * The Internet layer as transports see it, the same for IPv4 and IPv6.
 *
 * Up: ip4_input and ip6_input check a packet, fill in p->ip, move data to the transport header and
 * call the transport by number. Down: ip_send pushes the header that fits the destination's
 * family, fragments or refuses what is too long, and gives it to the neighbour.
 */
#pragma once

#include "kernel/x86/percpu.h"
#include "lib/err.h"
#include "net/pkt.h"
#include "net/route.h"

enum {
	IP_PROTO_HOPOPTS = 0,
	IP_PROTO_ICMP = 1,
	IP_PROTO_IGMP = 2,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_ROUTING = 43,
	IP_PROTO_FRAGMENT = 44,
	IP_PROTO_ICMP6 = 58,
	IP_PROTO_NONE = 59,
	IP_PROTO_DSTOPTS = 60,
	IP_PROTO_RAW = 255,
};

/* What waits to become whole. */
struct ip_frag_usage {
	unsigned datagrams;
	uint64_t bytes;
};

struct ip4_header {
	uint8_t ver_ihl, tos;
	be16 len, id, frag;
	uint8_t ttl, proto;
	be16 csum;
	be32 src, dst;
};

struct ip6_header {
	be32 ver_tc_flow;
	be16 payload_len;
	uint8_t next, hop_limit;
	uint8_t src[16], dst[16];
};

/* An ICMP error about a packet of ours, or an equivalent local event. */
struct ip_error {
	int family;
	uint8_t type, code;
	enum err err;  /* what a socket sees: ERR_CONNREFUSED ... */
	bool is_hard;  /* ends connections that asked for no better (RFC 1122 4.2.3.9) */
	uint32_t info; /* MTU for too big, pointer for parameter problem */
	struct ip_addr src, dst; /* of the packet that failed: src is ours */
	struct ip_addr offender; /* who reports */
	struct netdev *dev;
	const uint8_t *transport; /* start of the failed packet's transport header */
	size_t transport_len;     /* how much of it came back: at least 8 */
	struct pkt *pkt; /* the ICMP packet, data at the ICMP header; not the callee's */
};

struct ip_proto {
	const char *name;
	/* Data at the transport header, p->ip set. Net thread, under RCU. Takes the packet.
	   False: nobody wants it, the packet is still the caller's (it answers "unreachable"
	   where that is right). */
	bool (*input)(struct pkt *);
	void (*error)(const struct ip_error *); /* NULL: not interested */
	/* Can the failed packet be under way? Else the report is forged or late, and nothing is to be
	   learnt of its path (RFC 5927). NULL: nobody can tell. */
	bool (*has_sent)(const struct ip_error *);
};
/* By number; static tables in ip4.c and ip6.c name: */
extern const struct ip_proto tcp_proto, udp_proto, icmp4_proto, icmp6_proto, igmp_proto;

/* How one packet is to be sent. */
struct ip_tx {
	struct ip_addr src, dst;
	uint8_t proto;
	uint8_t tos;         /* or traffic class */
	int16_t ttl;         /* -1: default */
	uint32_t flow_label; /* v6; 0: by hash where configured */
	enum {
		IP_DF_AUTO,
		IP_DF_SET,
		IP_DF_CLEAR,
		IP_DF_PROBE
	} df;                /* v4 DF and local fragmenting */
	const void *options; /* v4 options or v6 extension headers, checked; or NULL */
	uint8_t options_len;
	uint8_t v6_next;    /* with v6 options: number of the first extension header */
	bool is_not_looped; /* IP_MULTICAST_LOOP 0: our own members get no copy */
};

/*
 * Sends a transport packet (data at the transport header, checksum done or PKT_CSUM_PARTIAL) along
 * `dst`. ERR_MSGSIZE: longer than the path MTU and not to be fragmented; ERR_NOBUFS. Takes it.
 * Any thread context, also under a socket's spinlock.
 */
enum err ip_send(struct pkt *, struct dst *, const struct ip_tx *);

/* Bytes of IP header (without options) for a destination: 20 or 40. */
static inline unsigned
ip_header_len(const struct ip_addr *dst)
{
	return ip_is_v4(dst) ? 20 : 40;
}

/* The pseudo header's part of a transport checksum, not folded (RFC 9293 3.1, 8200 8.1). */
uint32_t ip_pseudo_csum(
    const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len);
/* True if the transport checksum over the whole packet (data at the transport header) is right,
 * or the device said so. */
bool ip_csum_ok(struct pkt *);

/* Sends an ICMP or ICMPv6 error about `p` (data anywhere; l3_off tells its header) if the rules
 * allow (RFC 1122 3.2.2, RFC 4443 2.4: never about errors, fragments, multicast...; rate limited).
 * `p` stays the caller's. */
void icmp4_send_error(struct pkt *p, unsigned type, unsigned code, uint32_t info);
void icmp6_send_error(struct pkt *p, unsigned type, unsigned code, uint32_t info);

/* Family parts, called by ip_send and loops. */
enum err ip4_send(struct pkt *, struct dst *, const struct ip_tx *);
enum err ip6_send(struct pkt *, struct dst *, const struct ip_tx *);

/* SNMP counters (RFC 4293, 4113, 4022 names): per CPU, shown by /proc/net/snmp, snmp6, netstat. */
enum mib {
#define MIB_COUNTER(group, name) MIB_##group##_##name,
#include "net/mib.def"
#undef MIB_COUNTER
	NUM_MIBS,
};
extern PER_CPU(uint64_t[NUM_MIBS], mib_counters); /* [a] */

/* Atomic because the thread may move between finding its CPU's array and adding; nobody shares the
   line in the usual case, so that costs little. Any context. */
static inline void
mib_add(enum mib which, uint64_t n)
{
	__atomic_fetch_add(&(*this_cpu_ptr(&mib_counters))[which], n, __ATOMIC_RELAXED);
}

uint64_t mib_get(enum mib);
#define mib_inc(m) mib_add(m, 1)

/* ICMP's messages by their type. Any context. */
enum mib_icmp {
	MIB_ICMP4_IN,
	MIB_ICMP4_OUT,
	MIB_ICMP6_IN,
	MIB_ICMP6_OUT,
	NUM_MIB_ICMPS,
	MIB_ICMP_TYPES = 256
};
void mib_icmp_inc(enum mib_icmp, uint8_t type);
uint64_t mib_icmp_get(enum mib_icmp, uint8_t type);
/* A packet of this protocol leaves, data at the transport header: counted if it is ICMP's. */
void mib_icmp_sent(const struct pkt *, uint8_t proto);
