/*
 * What IPv6 stands on besides net_env.h: addresses, routes, transports, DNS and DHCPv6 that note
 * what they are told. One interface, eth1.
 */
#pragma once

#include "net/ifaddr.h"
#include "net/ip6.h"
#include "tests/fakes/net_env.h"

extern struct netdev *ip6_env_dev;
extern struct ip_addr ip6_env_ll, ip6_env_global; /* ours, from ip6_env_setup on */

/* Everything initialised once, then each time: up, with the two addresses; wire and notes empty. */
void ip6_env_setup(void);

struct ifaddr *ip6_env_add_addr(const char *text, uint32_t flags);
void ip6_env_drop_addrs(void);
struct ip_addr ip6_of(const char *text);

/* Hands the bytes to IPv6 input as from the link. */
void ip6_env_input(const void *bytes, size_t n);
/* Puts an IPv6 header in front of a payload, sets ICMPv6's checksum if that is `next`. */
void ip6_env_send(const char *src, const char *dst, uint8_t next, uint8_t hops,
    const void *payload, size_t n);

/* The oldest packet on the wire: its bytes from the IPv6 header on, copied; 0: none. */
size_t ip6_env_wire(uint8_t *buf, size_t size);

/* What the transport got last. */
struct ip6_env_notes {
	unsigned udp_packets, ping_replies, udp_errors, raw_packets, route_adds,
	    route_dels;
	size_t udp_len;
	uint8_t udp_data[70000];
	struct ip_error error;
	uint32_t learnt_mtu;
	struct ip_addr redirect_to;
	struct route_config route; /* added last */
	struct ip_addr dns;
	bool is_managed, is_other;
	bool udp_refuses;      /* set by the test: no socket */
	enum err route_result; /* of route_input, set by the test */
};
extern struct ip6_env_notes ip6_notes;
