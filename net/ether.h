/*
 * Ethernet II (and 802.1Q) framing, and the loop that carries a received packet up: each
 * layer strips its header and names the next.
 */
#pragma once

#include "lib/be.h"
#include "net/netdev.h"

struct ether_header {
	uint8_t dst[ETH_ALEN], src[ETH_ALEN];
	be16 type;
};

enum {
	ETHERTYPE_IP4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IP6 = 0x86dd,
	ETHERTYPE_ALL = 0x0003, /* ETH_P_ALL, for taps */
	ETHERTYPE_802_2 =
	    0x0004,             /* ETH_P_802_2: a frame with a length instead of a type */
	ETHERTYPE_MIN = 0x0600, /* below it is a length (IEEE 802.3) */
};

extern const uint8_t ether_broadcast[ETH_ALEN];

/* Pushes the header and hands the frame to the device. Always takes the packet. */
enum err ether_send(
    struct netdev *, struct pkt *, const uint8_t dst[ETH_ALEN], uint16_t type);

/* The link-layer address of a multicast group (RFC 1112 6.4, RFC 2464 7). */
void ether_map_multicast(uint8_t mac[ETH_ALEN], const struct ip_addr *group);

/*
 * What an EtherType's handler is. Called in the net thread under no lock, inside an RCU
 * read section (so it must not sleep); data after the Ethernet header. Takes the packet.
 */
struct ether_proto {
	const char *name;
	void (*input)(struct pkt *);
};
/* The table is static: net/ether.c names ip4_ether_proto, ip6_ether_proto, arp_ether_proto. */
extern const struct ether_proto ip4_ether_proto, ip6_ether_proto, arp_ether_proto;

/*
 * Taps: whoever looks at packets as they pass (AF_PACKET). Called in the sender's or the net
 * thread's context under RCU with a packet that is not theirs: data at the link header, to be
 * cloned by those who keep it. Outgoing packets (PKT_OUTGOING) go to taps of all types only.
 */
struct ether_tap {
	struct list link;   /* RCU */
	struct netdev *dev; /* NULL: any */
	uint16_t protocol;  /* an EtherType, or ETHERTYPE_ALL */
	void (*input)(struct ether_tap *, struct pkt *);
};
void ether_tap_add(struct ether_tap *);
void ether_tap_remove(struct ether_tap *); /* free it after a grace period */
/* For net/tx.c: shows what is sent to the taps, if there are any. */
void ether_tap_outgoing(struct netdev *, struct pkt *);

/* A frame from a device: data at the Ethernet header, dev set. Net thread. */
void ether_input(struct pkt *);

/* The rest of the way of a packet with dev, protocol and data (after the link header) set: taps,
 * then the protocol. Loopback and decapsulation come in here. Net thread context. */
void net_input(struct pkt *);
/* From any context: queues for net_input on this CPU. */
void net_input_later(struct pkt *);
