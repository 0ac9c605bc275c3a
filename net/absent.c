/*
 * What stands in for parts of the stack that are not linked in: weak definitions, which give way to
 * the real ones.
 */
#include "net/dhcp6.h"
#include "net/nd.h"

#define WEAK __attribute__((weak))

WEAK void
resolv_ra_server(struct netdev *dev, const struct ip_addr *server, uint32_t lifetime_s)
{
}

WEAK void
resolv_ra_search(
    struct netdev *dev, const uint8_t *names, size_t len, uint32_t lifetime_s)
{
}

WEAK void
resolv_ra_forget(struct netdev *dev)
{
}

WEAK void
dhcp6_router_says(struct netdev *dev, bool is_managed, bool is_other)
{
}

WEAK void
dhcp6_dev_down(struct netdev *dev)
{
}
