/*
 * DHCPv4 on interfaces: the client that runs the machine of net/dhcp4_machine.h. One for each
 * interface that autoconfiguration gives it to; all calls under rtnl, in thread context.
 */
#pragma once

#include "lib/types.h"

struct netdev;
struct pkt;

/* Runs while the interface is up and has a link; ERR_NOMEM is logged and means none. */
void dhcp4_attach(struct netdev *);
/* Ends it: gives the address back if it can. */
void dhcp4_detach(struct netdev *);

/* Any client waiting for answers? Read by ip4_deliver before it calls dhcp4_input. */
extern uint32_t dhcp4_num_listening; /* [a] */
/* A UDP datagram (data at its header) for a client's port: true: it was an answer to ours, taken. Under
 * RCU, net thread. */
bool dhcp4_input(struct pkt *);
void dhcp4_init(void);
