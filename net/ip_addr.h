/*
 * Addresses of both families in one type: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291
 * 2.5.5.2). So sockets, hash tables, routes and neighbours have one code for both, and
 * dual-stack sockets come for free. Network byte order throughout.
 */
#pragma once

#include "lib/be.h"
#include "lib/types.h"

struct ip_addr {
	union {
		uint8_t b[16];
		uint64_t q[2];
		struct {
			uint8_t zero_ff_[12];
			be32 v4;
		};
	};
};

enum ip_family { AF_UNSPEC = 0, AF_INET = 2, AF_INET6 = 10 };

extern const struct ip_addr ip_any;  /* :: */
extern const struct ip_addr ip4_any; /* 0.0.0.0 */

static inline bool
ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return ((a->q[0] ^ b->q[0]) | (a->q[1] ^ b->q[1])) == 0;
}

/* An IPv4 address (mapped)? */
static inline bool
ip_is_v4(const struct ip_addr *a)
{
	uint32_t third;

	__builtin_memcpy(&third, a->b + 8, sizeof(third));
	return a->q[0] == 0 && third == 0xffff0000; /* 00 00 ff ff as the bytes lie */
}

static inline struct ip_addr
ip_from_v4(be32 v4)
{
	struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

	a.v4 = v4;
	return a;
}

/* Class tests, for either family. */
bool ip_is_unspecified(const struct ip_addr *); /* :: or 0.0.0.0 */
bool ip_is_loopback(const struct ip_addr *);    /* ::1, 127/8 */
static inline bool
ip_is_multicast(const struct ip_addr *a)
{
	return ip_is_v4(a) ? (a->v4.b[0] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}
bool ip_is_link_local(const struct ip_addr *); /* fe80::/10, 169.254/16 */
bool ip_is_broadcast(const struct ip_addr *);  /* 255.255.255.255 */
/* Multicast that must not leave the link or the node: 224.0.0/24, ff01::, ff02:: */
bool ip_is_link_multicast(const struct ip_addr *);

/*
 * Prefix lengths of v4 addresses count from the v4 part: 0..32; `plen` here and in routes
 * and interface addresses is in the family's own bits.
 */
bool ip_prefix_match(
    const struct ip_addr *a, const struct ip_addr *prefix, unsigned plen);
unsigned ip_common_prefix(const struct ip_addr *a, const struct ip_addr *b); /* bits */
struct ip_addr ip_mask(const struct ip_addr *a, unsigned plen);
static inline unsigned
ip_bits(const struct ip_addr *a)
{
	return ip_is_v4(a) ? 32 : 128;
}

/* Text (RFC 5952): at most IP_TEXT bytes with the NUL; returns buf. */
enum { IP_TEXT = 46 };
const char *ip_format(char buf[IP_TEXT], const struct ip_addr *);
/* Parses a whole string (v4 dotted quad, or v6); false if it is neither. */
bool ip_parse(const char *text, struct ip_addr *out);
