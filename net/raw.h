/* Raw sockets as the Internet layers see them (net/raw.c). */
#pragma once

#include "lib/types.h"

struct pkt;

/* Gives every raw socket that wants it a copy of a received datagram (data at the transport header,
 * l3_off at the IP header, p->ip set). True: there was one. The packet stays the caller's. Under
 * RCU. */
bool raw4_input(struct pkt *);
