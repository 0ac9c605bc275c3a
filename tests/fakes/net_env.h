/*
 * What the protocols of net/ stand on, for host tests: packets on the heap (so that the address
 * sanitizer sees every byte), timers and work that run when told, interfaces, counters, and a wire
 * that keeps what is sent.
 */
#pragma once

#include "net/ether.h"
#include "net/net_timer.h"
#include "net/pkt.h"

/* An interface "ethN" with index N, MAC 02:00:00:00:00:0N, MTU 1500, up and running. */
struct netdev *fake_netdev(unsigned index);

/* A packet that holds a copy of the bytes, data at the first, linear part exactly that long. */
struct pkt *fake_pkt(struct netdev *, const void *data, size_t n);
extern long fake_pkts_live;
extern unsigned fake_drops[NUM_DROPS];

/* The oldest frame sent that was not yet taken; NULL: none. The Ethernet header is in `eth`, data
 * after it. The caller frees it. */
struct pkt *fake_wire_pop(struct ether_header *eth);
unsigned fake_wire_count(void);
void fake_wire_clear(void);

/* Moves fake_now_ns to `until`, running timers in order of expiry. */
void fake_net_timers_run(nsec_t until);
unsigned fake_net_timers_armed(void);
void fake_net_work_run(void); /* net_work_queue and net_config_queue */

/* Tells all notifiers, with rtnl held. */
void fake_netdev_event(struct netdev *, enum netdev_event);
unsigned fake_mc_count(
    const struct netdev *); /* multicast addresses added and not removed */
