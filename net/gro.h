/*
 * Receive coalescing: segments of one TCP connection that come in order in one poll become one
 * large packet, so that the stack above is walked once for all of them.
 */
#pragma once

#include "lib/types.h"

struct pkt;

/*
 * From poll: data at the IP header, protocol set. True: it was taken (held, merged, or passed on
 * to net_input_steered in its order); false: not for coalescing, the caller passes it on.
 */
bool gro_receive(struct pkt *);

/* The poll is over: everything held is passed on. */
void gro_flush(void);
