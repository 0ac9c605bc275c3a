/*
 * What the files of IPv4 share: per-interface settings and state, and the calls between input,
 * reassembly, forwarding, ICMP, IGMP and ARP.
 */
#pragma once

#include "lib/err.h"
#include "net/ip.h"
#include "net/netdev.h"

struct mc_dev;

enum { IP4_DF = 0x4000, IP4_MF = 0x2000, IP4_OFFSET = 0x1fff };
enum { IP4_TTL_DEFAULT = 64, IP4_MIN_MTU = 68 };

/* Switches of one interface, or for all of them: /proc/sys/net/ipv4/conf/NAME/. [rtnl], read freely */
struct ip4_conf {
	uint8_t rp_filter;     /* 0: off, 1: strict, 2: loose (RFC 3704) */
	bool accept_redirects; /* as a host; a router never does */
	bool send_redirects;
	bool shared_media; /* redirects to hosts of other nets on the link */
	uint8_t arp_announce, arp_ignore;
	bool arp_accept; /* gratuitous ARP makes entries */
};
extern struct ip4_conf ip4_conf_default; /* of interfaces to come */
extern uint8_t ip4_default_ttl;

struct ip4_dev { /* netdev->proto[NETDEV_IP4] */
	struct ip4_conf conf;
	struct mc_dev *igmp; /* RCU; net/igmp.c */
};
/* Under RCU; NULL: no memory was left for it, or the interface goes away. */
struct ip4_dev *ip4_dev_of(const struct netdev *);
unsigned ip4_reverse_path_mode(const struct netdev *);

/* After ifaddr_init; calls those below. */
void ip4_init(void);
void ip4_out_init(void);
void icmp4_init(void);
void arp_init(void);
/* An interface comes (with its struct ip4_dev), goes, is up or has a link again. [rtnl] */
void igmp_dev_add(struct netdev *);
void igmp_dev_remove(struct netdev *);
void igmp_dev_up(struct netdev *);

/* ---- Receiving ------------------------------------------------------------------------- */

const struct ip_proto *ip4_proto_of(uint8_t number); /* NULL: none */
/* Milliseconds since midnight UTC (RFC 792 timestamps). */
uint32_t ip4_ms_today(void);
/* A whole datagram that is ours: data at the transport header, p->ip set. Takes it. */
void ip4_deliver(struct pkt *);
/*
 * A fragment (data at the IP header, l3_off set, p->ip set) joins its datagram. The whole one, as
 * ip4_deliver wants it, or NULL. Takes the fragment.
 */
struct pkt *ip4_reassemble(struct pkt *);
struct ip_frag_usage ip4_frag_usage(void);
void ip4_frag_init(void);
/* A packet with a way on: data at the IP header. Takes it. */
void ip4_forward(struct pkt *, struct dst *);

/* ---- Options (RFC 791 3.1), pure --------------------------------------------------------- */

enum ip4_option_found {
	IP4_OPT_SOURCE_ROUTE = 1, /* refused */
	IP4_OPT_RECORD_ROUTE = 2,
	IP4_OPT_TIMESTAMP = 4,
	IP4_OPT_ROUTER_ALERT = 8, /* RFC 2113 */
};
/* Walks `n` bytes of options. -1: well-formed, *found says what is there; else the offset of the
 * first bad byte. */
int ip4_options_check(const uint8_t *opts, unsigned n, unsigned *found);
/*
 * Writes our address and time into record route and timestamp options that have room (RFC 1122
 * 3.2.1.8), as when a packet is received or forwarded. True: something changed, the checksum has
 * to be made anew.
 */
bool ip4_options_record(uint8_t *opts, unsigned n, be32 addr, uint32_t ms_today);
/* The options that every fragment but the first has: copies them to `out`, padded; their length. */
unsigned ip4_options_for_fragments(const uint8_t *opts, unsigned n, uint8_t out[40]);

/* ---- Sending ----------------------------------------------------------------------------- */

/*
 * Cuts a datagram (data at its complete IP header, not PKT_CSUM_PARTIAL) into fragments of at most
 * `mtu` bytes and sends each by `d`. Takes it.
 */
enum err ip4_fragment(struct pkt *, struct dst *, unsigned mtu);
/* A finished packet (data at the IP header) goes to its neighbour. Under RCU. Takes it. */
enum err ip4_output(struct pkt *, struct dst *);
/* Writes the header checksum. */
void ip4_set_csum(struct ip4_header *, unsigned hdr_len);

/* ---- ICMP ---------------------------------------------------------------------------------- */

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACH = 3,
	ICMP4_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO = 8,
	ICMP4_ROUTER_ADVERT = 9,
	ICMP4_ROUTER_SOLICIT = 10,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAM = 12,
	ICMP4_TIMESTAMP = 13,
	ICMP4_TIMESTAMP_REPLY = 14,
	ICMP4_MASK = 17,
	ICMP4_MASK_REPLY = 18,
};
enum icmp4_unreach_code {
	ICMP4_NET = 0,
	ICMP4_HOST = 1,
	ICMP4_PROTOCOL = 2,
	ICMP4_PORT = 3,
	ICMP4_FRAG_NEEDED = 4,
	ICMP4_SOURCE_ROUTE = 5,
	ICMP4_ADMIN = 13,
};
struct icmp4_header {
	uint8_t type, code;
	be16 csum;
	be32 rest; /* identifier and number; MTU; gateway; pointer */
};
