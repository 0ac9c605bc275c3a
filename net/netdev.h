/*
 * Network interfaces: what a driver is to the stack, and the stack to a driver.
 *
 * Receive. A queue's hard interrupt handler acknowledges, masks the queue's interrupt and
 * calls netdev_schedule(queue). The net thread of a CPU (net/rx.c) then calls ops->poll
 * with a budget; poll gives packets to netdev_input and cleans finished transmissions. When
 * it did less than its budget it unmasks the interrupt (checking the ring once more after
 * that) and returns; else it is called again later, so no device starves another.
 *
 * Transmit. netdev_send picks a queue, sees to what the device cannot do (checksum,
 * segmentation, VLAN tag) and calls ops->send under the queue's lock. A full ring answers
 * ERR_BUSY and keeps its hands off the packet: the queue then holds packets back (up to
 * tx_queue_len) until the driver calls netdev_tx_wake. A queue stopped for TX_TIMEOUT_NS
 * with nothing finished is hung: ops->tx_timeout resets the device.
 *
 * Life: netdev_alloc, fill in, netdev_register; netdev_unregister waits until nobody uses it.
 * A struct netdev found under RCU is valid in the read section; netdev_get holds it longer.
 */
#pragma once

#include "kernel/sync/mutex.h"
#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "lib/list.h"
#include "net/net_timer.h"
#include "net/pkt.h"

enum {
	NETDEV_NAME = 16,
	NETDEV_MAX_QUEUES = 32,
	NETDEV_MAX_MTU = 9000,
	ETH_ALEN = 6,
};
#define TX_TIMEOUT_NS (5 * NSEC_PER_SEC)

enum netdev_flag { /* as Linux's IFF_* */
	NETDEV_UP = 1 << 0,
	NETDEV_BROADCAST = 1 << 1,
	NETDEV_LOOPBACK = 1 << 3,
	NETDEV_RUNNING = 1 << 6, /* up and the link is there */
	NETDEV_NOARP = 1 << 7,
	NETDEV_PROMISC = 1 << 8,
	NETDEV_ALLMULTI = 1 << 9,
	NETDEV_MULTICAST = 1 << 12,
};

enum netdev_feature {
	NETDEV_CSUM4 =
	    1 << 0, /* out: PKT_CSUM_PARTIAL over IPv4, without fragments of IP */
	NETDEV_CSUM6 = 1 << 1,
	NETDEV_CSUM_ANY = 1 << 2, /* at any csum_start and csum_offset */
	NETDEV_SG = 1 << 3,       /* out: page fragments */
	NETDEV_TSO4 = 1 << 4,
	NETDEV_TSO6 = 1 << 5,
	NETDEV_RXCSUM = 1 << 6,
	NETDEV_VLAN_TX = 1 << 7, /* puts vlan_tci in by itself */
	NETDEV_VLAN_RX = 1 << 8,
	NETDEV_GRO =
	    1 << 9, /* coalesce what it receives (on for all; may be switched off) */
};

struct netdev_queue { /* one receive and one transmit ring, one interrupt */
	struct netdev *dev;
	unsigned index;
	unsigned cpu;                   /* whose net thread polls it */
	void *ring;                     /* the driver's */
	struct netdev_queue *poll_next; /* [a] net thread's list */
	uint32_t is_scheduled;          /* [a] */
	bool is_off;                    /* [a] not to be polled: the device is down */
	/* transmit */
	struct spinlock tx_lock;
	struct pkt_queue held;   /* [tx_lock] waits for room */
	bool is_stopped;         /* [tx_lock] */
	nsec_t stopped_since_ns; /* [tx_lock] */
	struct net_timer watchdog;
	/* [c] written by the polling CPU or under tx_lock */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
} ALIGNED(64);

struct netdev_stats { /* totals; what /proc/net/dev shows */
	uint64_t rx_packets, rx_bytes, rx_errors, rx_dropped, rx_fifo, rx_frame,
	    rx_multicast;
	uint64_t tx_packets, tx_bytes, tx_errors, tx_dropped, tx_fifo, tx_collisions,
	    tx_carrier;
};

struct netdev_ops {
	enum err (*up)(struct netdev *); /* rings, interrupts, receiver on. May sleep */
	void (*down)(
	    struct netdev *); /* all of it off; packets in rings freed. May sleep */
	/* Under queue->tx_lock. ERR_BUSY: ring full, the packet is still the caller's; any
	   other result: the packet is the driver's. */
	enum err (*send)(struct netdev_queue *, struct pkt *);
	/* Instead of send, for interfaces without hardware: no queue, no lock, any CPU. Always takes
	   the packet. */
	enum err (*send_direct)(struct netdev *, struct pkt *);
	unsigned (*poll)(struct netdev_queue *, unsigned budget); /* packets received */
	/* Flags (promiscuous, all multicast) or the multicast list changed. Sleeps. */
	void (*set_rx_mode)(struct netdev *);
	enum err (*set_mac)(
	    struct netdev *, const uint8_t mac[ETH_ALEN]);  /* NULL: only in software */
	enum err (*set_mtu)(struct netdev *, unsigned mtu); /* NULL: any up to max_mtu */
	enum err (*set_vlan)(
	    struct netdev *, unsigned vid, bool is_on); /* NULL: no filter */
	void (*get_stats)(
	    struct netdev *, struct netdev_stats *); /* adds the hardware's own counts */
	void (*tx_timeout)(struct netdev *); /* hung: reset and go on. Thread context */
};

struct netdev {
	char name[NETDEV_NAME]; /* "eth0"; [config] */
	unsigned index;         /* from 1; lo is 1 */
	const struct netdev_ops *ops;
	const char *driver_name;
	void *private; /* the driver's */
	uint8_t mac[ETH_ALEN], permanent_mac[ETH_ALEN];
	uint16_t type;        /* ARPHRD_ETHER 1, ARPHRD_LOOPBACK 772 */
	uint32_t features;    /* what is on; [config] */
	uint32_t hw_features; /* what the hardware can do */
	uint32_t flags;       /* enum netdev_flag; [config], read freely */
	uint32_t promisc_count, allmulti_count; /* [config] */
	bool is_forwarding4,
	    is_forwarding6;             /* routes packets that came in here; [config] */
	unsigned mtu, min_mtu, max_mtu; /* payload of a frame; [config] */
	unsigned tx_queue_len;
	uint32_t tso_max_size; /* bytes in one packet given to send; 65535 unless set */
	bool has_link;         /* [a] carrier */
	uint32_t speed_mbps;   /* 0: unknown */
	bool is_full_duplex;
	unsigned num_queues;
	struct netdev_queue *queues;
	uint32_t refs;             /* [a] */
	struct list link;          /* RCU, all interfaces in order of index */
	struct netdev *index_next; /* RCU, hash chain by index */
	struct netdev *lower; /* [I] what a VLAN interface lies on, a reference; NULL */
	uint16_t vlan_id;     /* [I] of a VLAN interface */
	bool is_user_promisc, is_user_allmulti; /* [config] set by ip link, ifconfig */
	bool is_registered;                     /* [config] */
	struct net_work link_work, rx_mode_work,
	    hung_work;        /* what needs rtnl, for later */
	struct list mc_addrs; /* [mc_lock] link-layer multicast addresses, counted */
	struct spinlock mc_lock;
	struct list neighs;          /* [neighbour table] net/neigh.c */
	uint32_t num_neighs;         /* [neighbour table] */
	uint32_t num_learned_routes; /* [rtnl] */
	struct netdev_proto
	    *proto[5]; /* per-interface state of the protocols, by enum netdev_slot */
	uint64_t rx_errors, rx_dropped, tx_errors,
	    tx_dropped; /* [a] what the stack counts itself */
};

/* Protocols that keep state on each interface: the slots of netdev->proto. */
enum netdev_slot { NETDEV_IP4, NETDEV_IP6, NETDEV_DHCP4, NETDEV_DHCP6, NETDEV_ADDRS };

/* ---- For drivers ---------------------------------------------------------------------- */

/* `num_queues` queues, zeroed, CPU affinities spread. NULL: no memory. */
struct netdev *netdev_alloc(unsigned num_queues);
/* Gives it a name ("eth%d") and shows it to the stack, down; autoconfiguration may bring it up
   soon. name NULL: "eth%d". */
enum err netdev_register(struct netdev *, const char *name_format);
void netdev_unregister(
    struct netdev *); /* down first; waits for users; frees it. Sleeps */
/* The same with rtnl held; the freeing comes later. */
enum err netdev_register_locked(struct netdev *, const char *name_format);
void netdev_unregister_locked(struct netdev *);
void netdev_free(struct netdev *); /* one that was never registered */

/* From the hard interrupt, or any context: the queue's poll will be called. */
void netdev_schedule(struct netdev_queue *);
/* From poll: a received frame; data at the Ethernet header, without FCS; dev, flags, hash set.
 */
void netdev_input(struct netdev_queue *, struct pkt *);
/* From poll, tx_lock not held: there is room in the ring again. */
void netdev_tx_wake(struct netdev_queue *);
/* The link came or went; any context. */
void netdev_link_change(
    struct netdev *, bool has_link, uint32_t speed_mbps, bool is_full_duplex);
/* The machine moved to another port of the network (NETDEV_EV_ANNOUNCE). [rtnl] */
void netdev_announce(struct netdev *);
/* Calls fn for each multicast address to be received, under mc_lock. */
void netdev_for_each_mc(
    struct netdev *, void (*fn)(void *arg, const uint8_t mac[ETH_ALEN]), void *arg);

/* ---- For the stack --------------------------------------------------------------------- */

void loopback_init(void);
/* The frame is complete from p->data on (Ethernet header pushed). Any context. Always takes the
 * packet; the result tells sockets of a full queue (ERR_NOBUFS). */
enum err netdev_send(struct netdev *, struct pkt *);

struct netdev *netdev_by_index(unsigned index);       /* under RCU; NULL: none */
struct netdev *netdev_by_name(const char *name);      /* under RCU */
struct netdev *netdev_by_name_rtnl(const char *name); /* under rtnl, which keeps it */
struct netdev *netdev_get(struct netdev *);
void netdev_put(struct netdev *);
#define netdev_for_each(dev) rcu_list_for_each(dev, &netdev_list, link) /* under RCU */
extern struct list netdev_list;
extern struct netdev *loopback_dev;

/* Queues of a device, for net/netdev.c: sending on them begins and ends (net/tx.c). */
void netdev_queue_init(struct netdev *, unsigned index);
void netdev_tx_stop_all(struct netdev *); /* drops what is held back */

/* Configuration: one mutex (rtnl) orders all of it, addresses and routes too. */
extern struct mutex rtnl_mutex;      /* RANK_RTNL */
enum err netdev_up(struct netdev *); /* [rtnl] for all below */
void netdev_down(struct netdev *);
enum err netdev_set_mtu(struct netdev *, unsigned mtu);
enum err netdev_set_mac(struct netdev *, const uint8_t mac[ETH_ALEN]);
enum err netdev_rename(struct netdev *, const char *name);
void netdev_set_promisc(struct netdev *, int change); /* +1, -1 */
void netdev_set_allmulti(struct netdev *, int change);
/* As users set them: UP, PROMISC, ALLMULTI; the others are not for them to change. */
enum err netdev_change_flags(struct netdev *, uint32_t flags);
/* As users see them: PROMISC and ALLMULTI only where users set them. */
uint32_t netdev_user_flags(const struct netdev *);
enum err netdev_mc_add(
    struct netdev *, const uint8_t mac[ETH_ALEN]); /* counted; any context */
void netdev_mc_del(struct netdev *, const uint8_t mac[ETH_ALEN]);
void netdev_get_stats(struct netdev *, struct netdev_stats *);

/* Who wants to know: called in thread context with rtnl held, in order of registration. */
enum netdev_event {
	NETDEV_EV_REGISTER,
	NETDEV_EV_UNREGISTER,
	NETDEV_EV_UP,
	NETDEV_EV_GOING_DOWN, /* it still works: last words may be sent */
	NETDEV_EV_DOWN,
	NETDEV_EV_LINK, /* has_link changed */
	NETDEV_EV_MTU,
	NETDEV_EV_MAC,
	NETDEV_EV_NAME,
	NETDEV_EV_ANNOUNCE, /* neighbours should be told of our addresses again */
};
struct netdev_notifier {
	void (*event)(struct netdev *, enum netdev_event);
	struct list link;
};
/* Also tells of those that exist, as REGISTER, UP. Takes rtnl. */
void netdev_notify_add(struct netdev_notifier *);
