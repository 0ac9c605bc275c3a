/* The wiring of the network stack: every part in the order in which they need each other. */
#include "net/init.h"

#include "net/net_timer.h"
#include "net/netdev.h"
#include "net/pkt.h"
#include "net/rx.h"

void
net_init(void)
{
	pkt_init(); /* memory of packets */
	drops_init();
	net_timer_init_wheels();
	net_threads_init(); /* where input runs */
	loopback_init();    /* the first interface */
}
