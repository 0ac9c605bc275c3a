/*
 * Name servers and search domains of all sources: DHCP, router advertisements, the command line. The
 * sum of them is written to /etc/resolv.conf whenever it changes, unless a file of the user's stands
 * there; time servers stand in it as comments, for whoever wants to set the clock.
 */
#pragma once

#include "net/ip_addr.h"

enum resolv_source {
	RESOLV_STATIC,
	RESOLV_DHCP4,
	RESOLV_DHCP6,
	RESOLV_RA,
	NUM_RESOLV_SOURCES
};
enum { RESOLV_SERVERS = 8, RESOLV_SEARCH = 256 };

struct resolv_info {
	struct ip_addr servers[RESOLV_SERVERS]; /* link-local ones are of the interface */
	unsigned count;
	struct ip_addr ntp[RESOLV_SERVERS];
	unsigned num_ntp;
	char search[RESOLV_SEARCH]; /* names parted by blanks; "": none */
};

/* News from one source on an interface (0: none in particular); NULL: it has nothing any more. The
 * contents are copied. Any thread context. */
void resolv_set(unsigned dev_index, enum resolv_source, const struct resolv_info *);
void resolv_init(void);
