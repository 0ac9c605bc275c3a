/*
 * DHCPv6 client (RFC 8415): one for each interface, in the configuration thread. Router
 * advertisements start it: M asks for an address, O for other settings only.
 */
#pragma once

#include "lib/types.h"

struct netdev;

/* [rtnl] What the last advertisement said. */
void dhcp6_router_says(struct netdev *, bool is_managed, bool is_other);
/* [rtnl] The interface went down: forgets its lease. */
void dhcp6_dev_down(struct netdev *);
