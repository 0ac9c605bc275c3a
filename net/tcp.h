/*
 * TCP as the rest of the stack sees it: the header on the wire, what is shown in /proc/net,
 * and where it starts. The parts: tcp_core.h (the protocol, pure), tcp_conn.h (connections
 * and listeners around it).
 */
#pragma once

#include "lib/be.h"
#include "lib/types.h"

struct tcp_header { /* RFC 9293 3.1 */
	be16 src, dst;
	be32 seq, ack;
	uint8_t off; /* words of header in the high half */
	uint8_t flags;
	be16 wnd, csum, urg;
};

enum { TCP_HEADER_MIN = 20, TCP_HEADER_MAX = 60 };

/* For /proc/net/sockstat and snmp. */
struct tcp_stats {
	uint32_t established, alive, orphans, time_waits; /* alive: all but time_waits */
	uint64_t mem_pages;
};
void tcp_get_stats(struct tcp_stats *);

/* Tables sized by memory, /proc files. Before the first packet and socket. */
void tcp_init(void);
