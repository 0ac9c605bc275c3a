/* What route.c (tables, lookups) and dst.c (the cache of their results) share. */
#pragma once

#include "net/route.h"

/* What a lookup found, to be made a destination of. */
struct dst_plan {
	struct ip_addr addr; /* the destination */
	uint32_t oif;        /* as demanded */
	bool is_forward;
	uint8_t type;
	struct netdev *dev;               /* valid under RCU */
	const struct route_config *route; /* valid under RCU; NULL: none, on link */
};

void dst_cache_init(void);
/* The valid entry of this key, with a reference, or NULL. Under RCU. */
struct dst *dst_cache_find(const struct ip_addr *addr, uint32_t oif, bool is_forward);
/* Makes one with what was learnt about the way, caches it; a reference. NULL: no memory. Under RCU. */
struct dst *dst_make(const struct dst_plan *);

/* Raises route_generation: every destination is looked up anew. */
void route_changed(void);
/* The interface towards `addr`, or NULL. Under RCU. */
struct netdev *route_dev(const struct ip_addr *addr);
/* The gateway to `addr` by the tables alone (addr itself on link); false: unicast to nowhere. Under
 * RCU. */
bool route_next_hop(
    const struct ip_addr *addr, const struct netdev *dev, struct ip_addr *hop);
