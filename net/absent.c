/*
 * What stands in for parts of the stack that are not linked in: weak definitions, which give way to
 * the real ones.
 */
#include "net/ifaddr.h"
#include "net/ip.h"
#include "net/neigh.h"
#include "net/ping.h"
#include "net/raw.h"

#define WEAK __attribute__((weak))

static bool
nobody(struct pkt *p)
{
	return false;
}

const struct ip_proto WEAK tcp_proto = {.name = "tcp", .input = nobody};
const struct ip_proto WEAK udp_proto = {.name = "udp", .input = nobody};

WEAK bool
raw4_input(struct pkt *p)
{
	return false;
}

WEAK void
raw4_error(const struct ip_error *e, uint8_t proto)
{
}

WEAK bool
ping_input(struct pkt *p)
{
	return false;
}

WEAK void
ping_error(const struct ip_error *e)
{
}

WEAK bool
ip6_mc_is_member(struct netdev *dev, const struct ip_addr *group)
{
	return false;
}

WEAK enum err
ip6_send(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	pkt_drop(p, DROP_IP_NO_ROUTE);
	return ERR_NETUNREACH;
}

WEAK void
ifaddr_dad_start(struct ifaddr *ifa)
{
	ifaddr_dad_done(ifa, false);
}

WEAK bool
addrsel_source(const struct netdev *out, const struct ip_addr *dst, unsigned prefs,
    struct ip_addr *src)
{
	struct ifaddr *ifa;

	ifaddr_for_each(ifa, out, ip_is_v4(dst) ? AF_INET : AF_INET6)
	{
		*src = ifa->addr;
		return true;
	}
	return false;
}

static void
solicit_nobody(struct neigh *n, const uint8_t *mac)
{
}

static void
drop_waiting(struct neigh *n, struct pkt *list)
{
	pkt_free_list(list);
}

static nsec_t
one_second(const struct netdev *dev)
{
	return NSEC_PER_SEC;
}

const struct neigh_ops WEAK nd_neigh_ops = {.solicit = solicit_nobody,
    .unreachable = drop_waiting,
    .reachable_ns = one_second,
    .retrans_ns = one_second};
