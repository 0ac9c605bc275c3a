/*
 * Making of a packet what a device can take: what hardware offers as features, in software.
 */
#pragma once

#include "net/netdev.h"
#include "net/pkt.h"

/*
 * Whether the device lacks something that this frame needs: checksum, scatter/gather, tag or
 * segmentation; or the frame is one that came coalesced.
 */
bool gso_is_needed(const struct netdev *, const struct pkt *);

/*
 * The frame (data at the Ethernet header) as one or more frames, linked by next, that the
 * device takes; NULL: dropped and counted. Takes the packet. Any context.
 */
struct pkt *gso_prepare(struct netdev *, struct pkt *);
