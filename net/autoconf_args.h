/*
 * Network settings on the command line (keel.conf's `cmdline`). Pure.
 *
 *	ip=CLIENT:SERVER:GATEWAY:NETMASK:HOST:DEVICE:AUTOCONF:DNS0:DNS1:NTP0	as Linux has it
 *	ip=off | none | on | any | dhcp
 *	ip6=ADDR/LEN[,GATEWAY[,DEVICE]]		ip6=off
 *	dns=ADDR[,ADDR...]
 *
 * Each may be given several times, for several interfaces. CLIENT may have a prefix length in place
 * of NETMASK ("10.0.0.2/24"). docs/network.md tells what each does.
 */
#pragma once

#include "net/ip_addr.h"

enum { ARGS_DEVICE = 16, ARGS_HOST = 64 };

enum ip_auto { IP_AUTO_DHCP, IP_AUTO_OFF };

struct ip_arg {
	struct ip_addr addr, gateway, dns[2], ntp; /* unspecified: not given */
	uint8_t plen;
	enum ip_auto mode;                         /* with an address given: off */
	char host[ARGS_HOST], device[ARGS_DEVICE]; /* "": not given; device "": any */
};

/* False: not understood. */
bool ip_arg_parse(const char *text, struct ip_arg *);

struct ip6_arg {
	struct ip_addr addr, gateway;
	uint8_t plen;
	bool is_off;
	char device[ARGS_DEVICE];
};
bool ip6_arg_parse(const char *text, struct ip6_arg *);

/* Addresses parted by commas; how many, 0: not understood. */
unsigned addr_list_parse(const char *text, struct ip_addr *out, unsigned max);
