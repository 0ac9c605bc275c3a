/* IEEE 802.1Q: interfaces such as eth0.5 on top of others. */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct netdev;
struct pkt;

/*
 * [rtnl] An interface for the tagged frames of `lower`. name NULL: LOWER.ID. ERR_EXIST: there is
 * one for this id, or of this name.
 */
enum err vlan_create(struct netdev *lower, unsigned id, const char *name);
/* [rtnl] ERR_OPNOTSUPP: not a VLAN interface. */
enum err vlan_delete(struct netdev *);

/*
 * Takes the tag out of a frame that has it in its data; data at what follows the Ethernet
 * header, protocol ETHERTYPE_VLAN. False: cut off.
 */
bool vlan_untag(struct pkt *);

/* A received packet with PKT_HAS_VLAN goes over to its VLAN's interface; false: there is none. RCU. */
bool vlan_input(struct pkt *);

void vlan_init(void);
