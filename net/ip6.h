/*
 * What the files of IPv6 share: the state of an interface, sending of ICMPv6, fragments.
 * net/ip.h has what transports see.
 *
 * An interface's state (struct ip6_dev) is made when it registers and hangs in
 * netdev->proto[NETDEV_IP6]; it is read under RCU. Fields marked [rtnl] are changed by the
 * configuration thread, which also does all work that router advertisements ask for.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "net/ip.h"
#include "net/net_timer.h"
#include "net/netdev.h"

enum {
	IP6_MIN_MTU = 1280,
	IP6_HEADER = 40,
	IP6_DEFAULT_HOPS = 64,
	ND_MAX_ROUTERS = 16,  /* on an interface */
	ND_MAX_PREFIXES = 16, /* of an interface that addresses are made from */
	MLD_MAX_GROUPS = 64,  /* on an interface */
};

/* Switches of an interface; names as in Linux's /proc/sys/net/ipv6/conf. */
struct ip6_conf {
	bool is_disabled;
	bool accept_ra; /* not while forwarding */
	bool autoconf;
	bool accept_redirects;
	bool is_eui64;        /* interface identifiers from the MAC, not by RFC 7217 */
	uint8_t use_tempaddr; /* RFC 8981; 0 off, 1 on, 2 on and preferred */
	uint8_t dad_transmits;
};
extern struct ip6_conf ip6_conf_default;

struct mc_dev;

struct ip6_dev {
	struct netdev *dev;
	struct ip6_conf conf; /* [a] */
	/* What routers say (RFC 4861 6.3.2); [a] */
	uint8_t hop_limit;
	uint32_t mtu; /* 0: the interface's */
	uint32_t base_reachable_ms;
	nsec_t reachable_ns; /* drawn from base anew at times */
	nsec_t reachable_drawn_ns;
	nsec_t retrans_ns;
	/* Router discovery: net/nd_router.c */
	struct net_timer rs_timer;
	nsec_t rs_delay_ns; /* [rs_timer] until the next solicitation: RFC 7559 */
	bool has_ra;        /* [a] a router answered */
	struct net_timer router_timer;
	bool
	    is_router_due; /* [a] for the configuration thread: look at the routers again */
	struct ip_addr gateway; /* [rtnl] of the default route by RA; unspecified: none */
	int8_t gateway_preference;
	struct list routers; /* [rtnl] struct nd_router */
	unsigned num_routers;
	struct list prefixes; /* [rtnl] struct slaac_prefix */
	unsigned num_prefixes;
	bool is_slaac_due;      /* [a] for the configuration thread: net/slaac.c */
	uint8_t dad_counter;    /* [rtnl] of the link-local address: RFC 7217 6 */
	struct mc_dev *mld;     /* RCU; net/mld.c */
	bool has_router_groups; /* [rtnl] net/mld.c */
	struct rcu_head rcu;
};

/* NULL: the interface has no IPv6. Under RCU or rtnl. */
static inline struct ip6_dev *
ip6_dev_of(const struct netdev *dev)
{
	return (struct ip6_dev *)dev->proto[NETDEV_IP6];
}

/* A number in [0, limit) that a peer cannot foresee; under any lock, unlike random_below. */
uint64_t ip6_random_below(uint64_t limit);
void ip6_out_init(void);
/* Sets the checksum that was left to the device (PKT_CSUM_PARTIAL). */
void ip6_finish_csum(struct pkt *);
/* Routes a packet that is not for us; data at its IPv6 header. Takes it. Under RCU. */
void ip6_forward(struct pkt *);

/* Wiring, in net/init.c: after interfaces, routes and addresses. */
void ip6_init(void);
/* MTU of IPv6 packets on an interface: its own, or less if a router said so. */
static inline uint32_t
ip6_dev_mtu(const struct netdev *dev)
{
	const struct ip6_dev *d = ip6_dev_of(dev);
	uint32_t mtu = d ? __atomic_load_n(&d->mtu, __ATOMIC_RELAXED) : 0;

	return mtu && mtu < dev->mtu ? mtu : dev->mtu;
}

/* ---- Input ----------------------------------------------------------------------------- */

/*
 * A fragment: data at the IPv6 header, the fragment header at frag_off, and the field that
 * names it at next_pos. Takes it; returns the whole packet when this was the last piece, data at
 * its IPv6 header, with the fragment header gone. RFC 8200 4.5.
 */
struct pkt *ip6_frag_input(struct pkt *, uint16_t frag_off, uint16_t next_pos);
struct ip_frag_usage ip6_frag_usage(void);
void ip6_frag_init(void);

/* ---- ICMPv6 ---------------------------------------------------------------------------- */

enum icmp6_type {
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAM_PROBLEM = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_MLD_QUERY = 130,
	ICMP6_MLD_REPORT = 131,
	ICMP6_MLD_DONE = 132,
	ICMP6_ROUTER_SOLICIT = 133,
	ICMP6_ROUTER_ADVERT = 134,
	ICMP6_NEIGHBOUR_SOLICIT = 135,
	ICMP6_NEIGHBOUR_ADVERT = 136,
	ICMP6_REDIRECT = 137,
	ICMP6_MLD2_REPORT = 143,
};

enum { /* codes of ICMP6_UNREACHABLE */
	ICMP6_NO_ROUTE = 0,
	ICMP6_PROHIBITED = 1,
	ICMP6_BEYOND_SCOPE = 2,
	ICMP6_ADDR_UNREACHABLE = 3,
	ICMP6_PORT_UNREACHABLE = 4,
};

struct icmp6_header {
	uint8_t type, code;
	be16 csum;
	be32 info;
};

/* Fills in the checksum of the message that begins at data. */
void icmp6_finish(struct pkt *, const struct ip_addr *src, const struct ip_addr *dst);
/* Routes and sends a message whose data begins at the ICMPv6 header; hops -1: default. Takes it. */
void icmp6_send_routed(struct pkt *, struct flow *, int hops, uint8_t tos);
/*
 * Sends a message of the link (ND, MLD): pushes an IPv6 header with hop limit `hops` and hands it
 * to `mac`, or to the group's address if NULL. No route, no neighbour. Takes it.
 */
void ip6_send_link(struct netdev *, struct pkt *, const struct ip_addr *src,
    const struct ip_addr *dst, const uint8_t *mac, uint8_t hops);
/* The same for MLD: hop limit 1, a router alert in front (RFC 3810 5). */
void ip6_send_mld(
    struct netdev *, struct pkt *, const struct ip_addr *src, const struct ip_addr *dst);
/* The interface's link-local address that can be used; false: none yet. Under RCU. */
bool ip6_link_local(const struct netdev *, struct ip_addr *);

/* Message types by their own files; data at the ICMPv6 header, checksum good, p->ip set. They
 * take the packet. */
void nd_input(struct pkt *);
/* Forwarding: the packet's sender reaches its destination by `target` itself (RFC 4861 8.2). */
void nd_send_redirect(const struct pkt *, const struct ip_addr *target);
void mld_input(struct pkt *);

/* ---- Neighbour discovery and addresses -------------------------------------------------- */

void nd_init(void);
void mld_init(void);
/* The interface begins or ends to forward: it joins the groups of routers, or leaves them. [rtnl] */
void mld_set_router(struct netdev *, bool is_router);
void slaac_init(void);
