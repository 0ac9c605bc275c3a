/* Ping sockets (SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6) as ICMP sees them (net/ping.c). */
#pragma once

#include "lib/types.h"

struct ip_error;
struct pkt;

/* An echo reply, data at the ICMP header. Takes it; false: no socket asked, still the caller's. */
bool ping_input(struct pkt *);
/* An error about an echo request of ours. */
void ping_error(const struct ip_error *);
