/*
 * IPv6 extension headers (RFC 8200 4), pure: from bytes to a verdict. Only the linear part of a
 * packet is looked at; offsets count from the IPv6 header.
 *
 * Limits (RFC 8504 5.3): headers in a packet, bytes of all of them, options that are not known,
 * bytes of padding. What breaks one is answered with the codes of RFC 8883.
 */
#pragma once

#include "lib/types.h"

enum {
	IP6_EXT_MAX = 8,         /* headers */
	IP6_EXT_MAX_LEN = 1024,  /* bytes of all headers */
	IP6_EXT_MAX_UNKNOWN = 8, /* options in one header that are skipped */
	IP6_EXT_MAX_PAD = 7,     /* bytes of padding in a row */
};

enum ip6_ext_verdict {
	IP6_EXT_OK,      /* `next` at `off` is an upper layer or a fragment header */
	IP6_EXT_DISCARD, /* silently */
	IP6_EXT_PROBLEM, /* ICMPv6 parameter problem: code, pointer */
	IP6_EXT_CUT_OFF, /* a header goes on beyond the packet */
};

struct ip6_ext {
	uint16_t len;       /* in: bytes from the IPv6 header on that can be read */
	uint16_t off;       /* in and out: where the header that `next` names begins */
	uint16_t next_pos;  /* in and out: of the field that holds `next` */
	uint8_t next;       /* in and out */
	uint8_t num_seen;   /* in and out, 0 at first: headers so far */
	uint16_t num_bytes; /* in and out, 0 at first */
	uint8_t code;       /* out: of the parameter problem */
	bool is_even_if_multicast; /* out: the problem is told to multicast senders too */
	bool has_router_alert;     /* out: with its value (RFC 2711) */
	uint16_t router_alert;
	uint32_t pointer; /* out */
};

/* Just the hop-by-hop header that `next` names: what every node on the way looks at. */
enum ip6_ext_verdict ip6_ext_hop_by_hop(const uint8_t *pkt, struct ip6_ext *);
/* From there on to the upper layer, as the destination: up to a fragment header, which is the
 * caller's work. */
enum ip6_ext_verdict ip6_ext_walk(const uint8_t *pkt, struct ip6_ext *);
/*
 * Past all headers, without judging options: what a packet that came back in an ICMP error, or
 * the first fragment of one, carries. Stops at a fragment header that is not the first's.
 */
enum ip6_ext_verdict ip6_ext_skip(const uint8_t *pkt, struct ip6_ext *);
