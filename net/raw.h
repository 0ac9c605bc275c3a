/* Raw sockets as the Internet layers see them (net/raw.c). */
#pragma once

#include "lib/types.h"

struct ip_error;
struct pkt;

/* Gives every raw socket that wants it a copy of a received datagram (data at the transport header,
 * l3_off at the IP header, p->ip set). True: there was one. The packet stays the caller's. Under
 * RCU. */
bool raw4_input(struct pkt *);
bool raw6_input(struct pkt *);
/* An ICMP error about a datagram of protocol `proto`, for the raw sockets that sent or watch it. */
void raw4_error(const struct ip_error *, uint8_t proto);
void raw6_error(const struct ip_error *, uint8_t proto);
