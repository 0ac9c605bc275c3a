/*
 * DHCPv6 client (RFC 8415): one for each interface, in the configuration thread. Router
 * advertisements start it: M asks for an address, O for other settings only.
 */
#pragma once

#include "lib/types.h"

struct netdev;
struct pkt;

void dhcp6_init(void);
/* [rtnl] What the last advertisement said. */
void dhcp6_router_says(struct netdev *, bool is_managed, bool is_other);
/* [rtnl] The interface went down: forgets its lease. */
void dhcp6_dev_down(struct netdev *);

/* Any client at work? Read before dhcp6_input is called. */
extern uint32_t dhcp6_num_clients; /* [a] */
/* A UDP datagram, data at its header: true: it was for a client's port and is taken. Net thread,
 * under RCU. */
bool dhcp6_input(struct pkt *);
