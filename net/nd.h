/*
 * Neighbour discovery (RFC 4861) as the files of IPv6 share it. Duplicate address detection is
 * declared in net/ifaddr.h, resolution in net/neigh.h.
 */
#pragma once

#include "net/ip6.h"

/* The solicited-node group of an address (RFC 4291 2.7.1). */
struct ip_addr nd_solicited_node(const struct ip_addr *);
/* Appends the option with our link-layer address (RFC 4861 4.6.1); the packet has room. */
void nd_put_lla(struct pkt *, uint8_t type, const struct netdev *);

/* ---- Routers (net/nd_router.c) ---------------------------------------------------------- */

/* An advertisement, checked but for its options; data at the ICMPv6 header. Takes it: the
 * configuration thread acts on it. Net thread. */
void nd_router_advert(struct pkt *);
/* Looks for routers anew: a link-local address is usable, or the link came back. */
void nd_router_solicit(struct ip6_dev *);
/* A router does not answer any more, or is none now: another one is chosen soon. Any context. */
void nd_router_check(struct netdev *);
/* [rtnl] The interface is new; it went down: forgets its routers. */
void nd_router_dev_init(struct ip6_dev *);
void nd_router_dev_down(struct ip6_dev *);

/* RFC 4861 6.3.6, RFC 4191 3.2: is router `a` to be used rather than `b`? */
struct nd_candidate {
	bool is_reachable;
	int8_t preference;
	bool is_current;
};
bool nd_router_is_better(const struct nd_candidate *a, const struct nd_candidate *b);

/* DNS by router advertisements (RFC 8106): net/resolv.c keeps it. [rtnl] Names in wire format. */
void resolv_ra_server(struct netdev *, const struct ip_addr *, uint32_t lifetime_s);
void resolv_ra_search(
    struct netdev *, const uint8_t *names, size_t len, uint32_t lifetime_s);
void resolv_ra_forget(struct netdev *);

/* ---- Options of ND messages, pure (net/nd_options.c) ------------------------------------ */

enum nd_option {
	ND_OPT_SOURCE_LLA = 1,
	ND_OPT_TARGET_LLA = 2,
	ND_OPT_PREFIX = 3,
	ND_OPT_REDIRECTED = 4,
	ND_OPT_MTU = 5,
	ND_OPT_NONCE = 14, /* RFC 3971 5.3 */
	ND_OPT_ROUTE = 24, /* RFC 4191 2.3 */
	ND_OPT_RDNSS = 25, /* RFC 8106 5.1 */
	ND_OPT_DNSSL = 31,
};

enum { ND_MAX_OF_KIND = 16 }; /* options of one kind in a message that are heeded */

/* Where the options lie in the message; NULL: not there. Each was found to be long enough. */
struct nd_options {
	const uint8_t *source_lla, *target_lla; /* 6 bytes */
	const uint8_t *redirected;
	size_t redirected_len;
	const uint8_t *nonce; /* 6 bytes */
	uint32_t mtu;         /* 0: none */
	const uint8_t *prefixes[ND_MAX_OF_KIND], *routes[ND_MAX_OF_KIND];
	const uint8_t *rdnss[ND_MAX_OF_KIND], *dnssl[ND_MAX_OF_KIND];
	unsigned num_prefixes, num_routes, num_rdnss, num_dnssl;
};

/* RFC 4861 6.1, 7.1: false if an option has length 0, goes beyond the end, or is too short for
 * its kind. Unknown ones are skipped. */
bool nd_options_parse(const uint8_t *data, size_t len, struct nd_options *);

struct nd_prefix {
	struct ip_addr prefix;
	uint8_t plen;
	bool is_on_link, is_autonomous;
	uint32_t valid_s, preferred_s; /* 0xffffffff: for ever */
};
struct nd_route {
	struct ip_addr prefix;
	uint8_t plen;
	int8_t preference; /* -1, 0, 1; 2: reserved, ignore it */
	uint32_t lifetime_s;
};
void nd_prefix_decode(const uint8_t *option, struct nd_prefix *);
bool nd_route_decode(const uint8_t *option, struct nd_route *); /* false: malformed */
int nd_preference(uint8_t bits); /* of RFC 4191 2.1, from bits 3 and 4 */

/* ---- SLAAC (net/slaac.c), called by nd.c with rtnl held --------------------------------- */

void slaac_prefix(struct ip6_dev *, const struct nd_prefix *);
/* Makes the link-local address when the interface comes up. */
void slaac_link_local(struct ip6_dev *);
void slaac_dev_down(struct ip6_dev *);

/* RFC 4862 5.5.3 e): the new valid lifetime of an address, all in seconds. */
uint32_t slaac_valid_lifetime(uint32_t advertised, uint32_t remaining);
/* Interface identifiers into the low 64 bits: RFC 4291 appendix A, and RFC 7217 5. */
void slaac_eui64(struct ip_addr *, const uint8_t mac[ETH_ALEN]);
void slaac_stable(struct ip_addr *, unsigned plen, const struct netdev *, uint8_t counter,
    const uint8_t secret[16]);
bool slaac_is_reserved_iid(const struct ip_addr *); /* RFC 5453 */
