/*
 * Multicast groups of interfaces, both families: who is a member, which sources are let in, and what
 * routers are told (IGMP: RFC 3376, 2236, 1112; MLD: RFC 3810, 2710).
 *
 * Members are sockets (inet_mc.c) and neighbour discovery; each has a filter of sources, and the
 * interface the merged one (mc_filter.h). ip_mc.c keeps groups, ip_mc_report.c decides what is
 * reported when, igmp.c and mld.c are the messages.
 */
#pragma once

#include "net/mc_filter.h"
#include "net/netdev.h"

/*
 * A member of `group` at the interface changes what it wants from `from` (NULL: it was none) to `to`
 * (NULL: it is none any more, which does not fail). ERR_INVAL: not a group. ERR_NODEV: the interface
 * goes away. ERR_NOBUFS: too many groups or sources. Thread context, no spinlock held.
 */
enum err ip_mc_change(struct netdev *, const struct ip_addr *group,
    const struct mc_filter *from, const struct mc_filter *to);
/* The same for one that wants all sources. */
enum err ip_mc_join(struct netdev *, const struct ip_addr *group);
void ip_mc_leave(struct netdev *, const struct ip_addr *group);

/* Is what `src` sends to this group let in? src NULL: is the group joined? Under RCU. */
bool ip_mc_allows(
    struct netdev *, const struct ip_addr *group, const struct ip_addr *src);

void ip_mc_init(void); /* the files in /proc/net */
