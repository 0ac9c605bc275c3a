/* No DHCPv6 client: notes what advertisements say. Goes with ip6_env.c. */
#include "net/dhcp6.h"

#include "tests/fakes/ip6_env.h"

uint32_t dhcp6_num_clients;

void
dhcp6_init(void)
{
}

void
dhcp6_router_says(struct netdev *dev, bool is_managed, bool is_other)
{
	ip6_notes.is_managed = is_managed;
	ip6_notes.is_other = is_other;
}

void
dhcp6_dev_down(struct netdev *dev)
{
}

bool
dhcp6_input(struct pkt *p)
{
	return false;
}
