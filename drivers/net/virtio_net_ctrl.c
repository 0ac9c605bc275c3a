/*
 * Commands to a virtio network device (virtio 1.2, 5.1.6.5): class, number and data go out
 * on the control queue, one byte comes back. One at a time, under rtnl; the answer is
 * waited for, so the queue needs no interrupt. A device that does not answer gets no more
 * commands until it is reset: it may still write to the buffer.
 */
#define LOG_PREFIX "virtio-net: "
#include "drivers/net/virtio_net_priv.h"

#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/page.h"

enum {
	CLASS_RX = 0,
	RX_PROMISC = 0,
	RX_ALLMULTI = 1,
	CLASS_MAC = 1,
	MAC_TABLE_SET = 0,
	MAC_ADDR_SET = 1,
	CLASS_VLAN = 2,
	VLAN_ADD = 0,
	VLAN_DEL = 1,
	CLASS_ANNOUNCE = 3,
	ANNOUNCE_ACK = 0,
	CLASS_MQ = 4,
	MQ_PAIRS_SET = 0,

	ANSWER_OK = 0,
	CTRL_RING = 16,
	MAX_MC = 64,  /* more: all multicast is taken */
	DATA_OFF = 8, /* in ctrl_mem, after class and number */
	ANSWER_OFF = 2048,
};

#define SPIN_NS   (200 * NSEC_PER_USEC)
#define ANSWER_NS NSEC_PER_SEC
#define PAUSE_NS  (100 * NSEC_PER_USEC)

enum err
vnet_ctrl_start(struct vnet *vn)
{
	unsigned index = virtio_has(&vn->v, VNET_F_MQ) ? vn->max_pairs * 2 : 2;
	struct virtq_config c = {.size = CTRL_RING};

	vn->is_ctrl_dead = false;
	if (!virtio_has(&vn->v, VNET_F_CTRL_VQ))
		return OK;
	if (!vn->ctrl_mem.cpu) {
		enum err err =
		    dev_dma_alloc(vn->v.dev, &vn->ctrl_mem, PAGE_SIZE, PAGE_SIZE);

		if (err != OK)
			return err;
	}
	return virtio_queue_start(&vn->v, &vn->ctrl, index, c, VIRTIO_NO_VECTOR);
}

/* Waits for the answer: first busily, as most devices answer at once. */
static bool
is_answered(struct vnet *vn)
{
	nsec_t start = clock_now_ns(), waited = 0;
	uint32_t len;

	while (waited < ANSWER_NS) {
		if (virtq_get(&vn->ctrl.ring, &len))
			return true;
		if (vn->ctrl.ring.is_broken)
			return false;
		if (waited < SPIN_NS)
			delay_ns(NSEC_PER_USEC);
		else
			thread_sleep_ns(PAUSE_NS);
		waited = clock_now_ns() - start;
	}
	return false;
}

/* Data is at DATA_OFF already; see put_data. */
static enum err
command(struct vnet *vn, uint8_t class, uint8_t number, uint32_t data_len)
{
	uint8_t *mem = vn->ctrl_mem.cpu;
	struct virtq_buf bufs[3] = {
	    {vn->ctrl_mem.addr, 2},
	    {vn->ctrl_mem.addr + DATA_OFF, data_len},
	    {vn->ctrl_mem.addr + ANSWER_OFF, 1},
	};
	unsigned num_out = data_len ? 2 : 1;
	enum err err;

	if (vn->is_ctrl_dead || !vn->ctrl.doorbell)
		return ERR_IO;
	mem[0] = class;
	mem[1] = number;
	mem[ANSWER_OFF] = 0xff;
	if (!data_len)
		bufs[1] = bufs[2];
	err = virtq_add(&vn->ctrl.ring, bufs, num_out, 1, mem);
	if (err != OK)
		return err;
	virtio_kick(&vn->ctrl);
	if (!is_answered(vn)) {
		log_err("%s: command %u.%u is not answered", vn->nd->name, class, number);
		vn->is_ctrl_dead = true;
		return ERR_TIMEDOUT;
	}
	return __atomic_load_n(&mem[ANSWER_OFF], __ATOMIC_RELAXED) == ANSWER_OK ? OK
	                                                                        : ERR_IO;
}

static void
put_data(struct vnet *vn, uint32_t off, const void *data, size_t n)
{
	memcpy((uint8_t *)vn->ctrl_mem.cpu + DATA_OFF + off, data, n);
}

enum err
vnet_ctrl_set_pairs(struct vnet *vn, unsigned num)
{
	uint16_t n = (uint16_t)num;

	if (!virtio_has(&vn->v, VNET_F_MQ))
		return num == 1 ? OK : ERR_OPNOTSUPP;
	put_data(vn, 0, &n, sizeof(n));
	return command(vn, CLASS_MQ, MQ_PAIRS_SET, sizeof(n));
}

void
vnet_ctrl_announce_ack(struct vnet *vn)
{
	(void)command(vn, CLASS_ANNOUNCE, ANNOUNCE_ACK, 0); /* it asks again if not */
}

/* ---- Filters ----------------------------------------------------------------------- */

static void
set_switch(struct vnet *vn, uint8_t number, bool is_on)
{
	uint8_t v = is_on;

	put_data(vn, 0, &v, 1);
	if (command(vn, CLASS_RX, number, 1) != OK)
		log_warn("%s: cannot set its receive filter", vn->nd->name);
}

struct mc_list {
	uint32_t num;
	bool is_too_long;
	uint8_t macs[MAX_MC][ETH_ALEN];
};

static void
collect_mc(void *arg, const uint8_t mac[ETH_ALEN])
{
	struct mc_list *l = arg;

	if (l->num == MAX_MC)
		l->is_too_long = true;
	else
		memcpy(l->macs[l->num++], mac, ETH_ALEN);
}

/* Two tables, each a number and the addresses: unicast (none besides our own), multicast. */
static void
set_mac_table(struct vnet *vn, const struct mc_list *l)
{
	uint32_t none = 0;

	put_data(vn, 0, &none, sizeof(none));
	put_data(vn, 4, &l->num, sizeof(l->num));
	put_data(vn, 8, l->macs, l->num * ETH_ALEN);
	if (command(vn, CLASS_MAC, MAC_TABLE_SET, 8 + l->num * ETH_ALEN) != OK)
		log_warn("%s: cannot set its multicast filter", vn->nd->name);
}

void
vnet_set_rx_mode(struct netdev *nd)
{
	struct vnet *vn = nd->private;
	struct mc_list list = {0};

	if (!vn->is_running || !virtio_has(&vn->v, VNET_F_CTRL_RX))
		return; /* it gives us all; the stack sorts it out */
	netdev_for_each_mc(nd, collect_mc, &list);
	set_switch(vn, RX_PROMISC, nd->flags & NETDEV_PROMISC);
	set_switch(vn, RX_ALLMULTI, list.is_too_long || nd->flags & NETDEV_ALLMULTI);
	set_mac_table(vn, &list);
}

enum err
vnet_set_mac(struct netdev *nd, const uint8_t mac[ETH_ALEN])
{
	struct vnet *vn = nd->private;

	if (!virtio_has(&vn->v, VNET_F_CTRL_MAC_ADDR))
		return ERR_OPNOTSUPP;
	if (!vn->is_running)
		return OK; /* vnet_ctrl_restore says it */
	put_data(vn, 0, mac, ETH_ALEN);
	return command(vn, CLASS_MAC, MAC_ADDR_SET, ETH_ALEN);
}

static enum err
tell_vlan(struct vnet *vn, unsigned vid, bool is_on)
{
	uint16_t id = (uint16_t)vid;

	put_data(vn, 0, &id, sizeof(id));
	return command(vn, CLASS_VLAN, is_on ? VLAN_ADD : VLAN_DEL, sizeof(id));
}

enum err
vnet_set_vlan(struct netdev *nd, unsigned vid, bool is_on)
{
	struct vnet *vn = nd->private;

	if (vid >= 4096)
		return ERR_INVAL;
	if (is_on)
		vn->vlans[vid / 64] |= 1ull << vid % 64;
	else
		vn->vlans[vid / 64] &= ~(1ull << vid % 64);
	if (!vn->is_running || !virtio_has(&vn->v, VNET_F_CTRL_VLAN))
		return OK;
	return tell_vlan(vn, vid, is_on);
}

void
vnet_ctrl_restore(struct vnet *vn)
{
	const struct netdev *nd = vn->nd;

	if (memcmp(nd->mac, nd->permanent_mac, ETH_ALEN) != 0 &&
	    vnet_set_mac(vn->nd, nd->mac) != OK)
		log_warn("%s: cannot set its address", nd->name);
	for (unsigned vid = 0; vid < 4096 && virtio_has(&vn->v, VNET_F_CTRL_VLAN); vid++)
		if (vn->vlans[vid / 64] >> vid % 64 & 1 && tell_vlan(vn, vid, true) != OK)
			log_warn("%s: cannot let VLAN %u pass", nd->name, vid);
}
