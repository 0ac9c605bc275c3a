/* The wiring of the network stack: every part in the order in which they need each other. */
#include "net/init.h"

#include "net/autoconf.h"
#include "net/ifaddr.h"
#include "net/ifconf.h"
#include "net/ip4.h"
#include "net/ip6.h"
#include "net/ip_mc.h"
#include "net/neigh.h"
#include "net/net_timer.h"
#include "net/netdev.h"
#include "net/netlink.h"
#include "net/packet.h"
#include "net/pkt.h"
#include "net/route.h"
#include "net/rx.h"
#include "net/sock.h"
#include "net/sysctl.h"
#include "net/tcp.h"
#include "net/unix.h"
#include "net/vlan.h"

void
net_init(void)
{
	pkt_init(); /* memory of packets */
	drops_init();
	net_timer_init_wheels();
	net_threads_init(); /* where input runs */
	loopback_init();    /* the first interface */
	vlan_init();        /* interfaces on interfaces */
	neigh_init();
	route_init(); /* tables, before the first address */
	ip4_init();   /* groups and settings of interfaces */
	ip6_init();
	ip_mc_init();    /* what groups show in /proc/net */
	ifaddr_init();   /* addresses: lo gets its own here */
	tcp_init();      /* tables of connections, settings */
	inet_init();     /* sockets of both families */
	unix_init();     /* AF_UNIX */
	packet_init();   /* AF_PACKET */
	netlink_init();  /* rtnetlink */
	sysctl_init();   /* switches in /proc/sys/net, /sys/class/net */
	ifconf_init();   /* the older ioctls, files in /proc/net */
	autoconf_init(); /* from here on, interfaces that appear are configured */
}
