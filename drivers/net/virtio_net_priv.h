/*
 * The virtio network driver's parts for each other: virtio_net.c (life, interrupts,
 * configuration), virtio_net_data.c (packets), virtio_net_ctrl.c (commands).
 */
#pragma once

#include "drivers/virtio/virtio.h"
#include "net/net_timer.h"
#include "net/netdev.h"

enum vnet_feature { /* virtio 1.2, 5.1.3 */
	VNET_F_CSUM = 0,
	VNET_F_GUEST_CSUM = 1,
	VNET_F_MTU = 3,
	VNET_F_MAC = 5,
	VNET_F_GUEST_TSO4 = 7,
	VNET_F_GUEST_TSO6 = 8,
	VNET_F_GUEST_ECN = 9,
	VNET_F_HOST_TSO4 = 11,
	VNET_F_HOST_TSO6 = 12,
	VNET_F_HOST_ECN = 13,
	VNET_F_MRG_RXBUF = 15,
	VNET_F_STATUS = 16,
	VNET_F_CTRL_VQ = 17,
	VNET_F_CTRL_RX = 18,
	VNET_F_CTRL_VLAN = 19,
	VNET_F_GUEST_ANNOUNCE = 21,
	VNET_F_MQ = 22,
	VNET_F_CTRL_MAC_ADDR = 23,
	VNET_F_SPEED_DUPLEX = 63,
};

enum vnet_config { /* 5.1.4 */
	VNET_CONFIG_MAC = 0,
	VNET_CONFIG_STATUS = 6,
	VNET_CONFIG_MAX_PAIRS = 8,
	VNET_CONFIG_MTU = 10,
	VNET_CONFIG_SPEED = 12,
	VNET_CONFIG_DUPLEX = 16,

	VNET_S_LINK_UP = 1 << 0,
	VNET_S_ANNOUNCE = 1 << 1,
};

struct vnet_hdr { /* before every frame, both ways: 5.1.6; little endian */
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers;
};

enum vnet_hdr_values {
	VNET_HDR_NEEDS_CSUM = 1 << 0,
	VNET_HDR_DATA_VALID = 1 << 1,
	VNET_GSO_NONE = 0,
	VNET_GSO_TCP4 = 1,
	VNET_GSO_TCP6 = 4,
	VNET_GSO_ECN = 0x80,
};

static_assert(sizeof(struct vnet_hdr) == 12, "as on the ring");

enum {
	VNET_RING = 256,
	VNET_TX_TABLES = 32,
	VNET_TX_BUFS = 2 + PKT_MAX_FRAGS, /* header, linear part, fragments */
};

struct vnet_pair { /* a receive and a transmit queue */
	struct vnet *vn;
	struct netdev_queue *nq;
	struct virtio_queue rx, tx; /* rx [c] the polling CPU; tx [nq->tx_lock] */
	struct dma_buf tx_hdrs; /* a header for each descriptor that may head a chain */
	struct net_timer timer; /* polls when no interrupt will */
	struct pkt_queue done;  /* [tx_lock] sent, to be freed by poll */
	bool is_tx_armed;       /* [tx_lock] an interrupt comes when enough is sent */
	bool is_timer_on;       /* [tx_lock] */
	uint32_t rx_mean_len;   /* [c] of the last frames */
	uint64_t rx_errors;     /* [c] */
};

struct vnet {
	struct virtio_dev v;
	struct netdev *nd;
	struct vnet_pair *pairs; /* [I] num_pairs */
	unsigned num_pairs, max_pairs;
	bool is_running;  /* [a] between start and stop */
	bool is_detached; /* [a] interrupts must do nothing */
	bool is_broken;   /* [a] the device lied, and is off until it is started anew */
	uint32_t rx_room; /* bytes of a receive buffer; [rtnl] changes while down */
	uint64_t num_faults, num_restarts; /* [rtnl], faults [a] */
	struct net_work config_work;       /* the configuration changed */
	/* Commands; [rtnl] */
	struct virtio_queue ctrl;
	struct dma_buf ctrl_mem;
	bool is_ctrl_dead;
	uint64_t vlans[4096 / 64]; /* the device lets pass */
};

/* virtio_net_data.c */
enum err vnet_send(struct netdev_queue *, struct pkt *);
unsigned vnet_poll(struct netdev_queue *, unsigned budget);
void vnet_fill(struct vnet_pair *);     /* receive buffers for the device */
void vnet_free_all(struct vnet_pair *); /* what the stopped queues hold */
void vnet_timer(struct net_timer *);

/* virtio_net.c: the device did what it must not. Any context. */
void vnet_is_faulty(struct vnet *, const char *what);

/* virtio_net_ctrl.c; rtnl held, device running, may sleep. */
enum err vnet_ctrl_start(struct vnet *);
enum err vnet_ctrl_set_pairs(struct vnet *, unsigned num);
void vnet_ctrl_announce_ack(struct vnet *);
void vnet_ctrl_restore(struct vnet *); /* tells a fresh device of MAC and VLANs */
void vnet_set_rx_mode(struct netdev *);
enum err vnet_set_mac(struct netdev *, const uint8_t mac[ETH_ALEN]);
enum err vnet_set_vlan(struct netdev *, unsigned vid, bool is_on);
