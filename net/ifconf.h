/* ioctls on any socket that ask about interfaces, addresses and routes: SIOC* (netdevice(7)). */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct netdev;
struct sock;

/* Linux's struct ifreq: a name and 24 bytes of value. */
struct ifreq {
	char name[16];
	union {
		uint8_t bytes[24];
		int32_t value;
		int16_t flags;
		uint64_t data; /* a user pointer */
	};
};
static_assert(sizeof(struct ifreq) == 40, "Linux's struct ifreq");

enum sioc {
	SIOCADDRT = 0x890b,
	SIOCDELRT = 0x890c,
	SIOCGIFNAME = 0x8910,
	SIOCGIFCONF = 0x8912,
	SIOCGIFFLAGS = 0x8913,
	SIOCSIFFLAGS = 0x8914,
	SIOCGIFADDR = 0x8915,
	SIOCSIFADDR = 0x8916,
	SIOCGIFDSTADDR = 0x8917,
	SIOCSIFDSTADDR = 0x8918,
	SIOCGIFBRDADDR = 0x8919,
	SIOCSIFBRDADDR = 0x891a,
	SIOCGIFNETMASK = 0x891b,
	SIOCSIFNETMASK = 0x891c,
	SIOCGIFMETRIC = 0x891d,
	SIOCSIFMETRIC = 0x891e,
	SIOCGIFMTU = 0x8921,
	SIOCSIFMTU = 0x8922,
	SIOCSIFNAME = 0x8923,
	SIOCSIFHWADDR = 0x8924,
	SIOCGIFHWADDR = 0x8927,
	SIOCADDMULTI = 0x8931,
	SIOCDELMULTI = 0x8932,
	SIOCGIFINDEX = 0x8933,
	SIOCDIFADDR = 0x8936,
	SIOCGIFTXQLEN = 0x8942,
	SIOCSIFTXQLEN = 0x8943,
	SIOCETHTOOL = 0x8946,
	SIOCDARP = 0x8953,
	SIOCGARP = 0x8954,
	SIOCSARP = 0x8955,
	SIOCGIFMAP = 0x8970,
	SIOCGIFVLAN = 0x8982,
	SIOCSIFVLAN = 0x8983,
};

/* The parts of net/ifconf.c. Addresses of AF_INET: under rtnl; `label` is the name as given, with
 * ":1" and the like, of dev. */
enum err ifconf_get_addr(
    struct netdev *, const char *label, unsigned cmd, struct ifreq *);
enum err ifconf_set_addr(
    struct netdev *, const char *label, unsigned cmd, const struct ifreq *);
/* SIOCGIFCONF; SIOCADDRT, SIOCDELRT; SIOC?ARP; the AF_INET6 forms. They take rtnl. */
long ifconf_list(uintptr_t arg);
long ifconf_route4(unsigned cmd, uintptr_t arg);
long ifconf_arp(unsigned cmd, uintptr_t arg);
long ifconf_addr6(unsigned cmd, uintptr_t arg);
long ifconf_route6(unsigned cmd, uintptr_t arg);
/* SIOCETHTOOL, under rtnl. */
enum err ifconf_ethtool(struct netdev *, uint64_t user_data);

/* /proc/net/dev, dev_mcast, if_inet6 and /sys/class/net. */
void ifconf_init(void);
/* /proc/net/route and ipv6_route: net/route_proc.c, called by it. */
void route_proc_init(void);
