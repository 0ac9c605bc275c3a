/*
 * AF_PACKET sockets (packet(7)): frames as they pass an interface, and frames of one's own.
 * SOCK_RAW sees and sends the Ethernet header, SOCK_DGRAM does without it.
 *
 * A socket listens by a tap (net/ether.h), on one interface or all, for one EtherType or all. The
 * tap runs the socket's filter, clones the packet and notes in its `cb` what recvmsg is to
 * tell. A bound socket holds a reference to its interface; when the interface goes, the
 * socket lets go of it and reads ENODEV. bind and memberships are ordered by send_lock.
 */
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "net/ether.h"
#include "net/filter.h"
#include "net/packet.h"
#include "net/packet_ring.h"
#include "net/sock.h"

enum { /* options and their values: Linux's linux/if_packet.h */
	SOL_PACKET = 263,
	PACKET_ADD_MEMBERSHIP = 1,
	PACKET_DROP_MEMBERSHIP = 2,
	PACKET_RX_RING = 5,
	PACKET_STATISTICS = 6,
	PACKET_AUXDATA = 8,
	PACKET_ORIGDEV = 9,
	PACKET_VERSION = 10,
	PACKET_HDRLEN = 11,
	PACKET_RESERVE = 12,
	TPACKET_V1 = 0,
	TPACKET_V2 = 1,
	PACKET_QDISC_BYPASS = 20,
	PACKET_IGNORE_OUTGOING = 23,

	PACKET_MR_MULTICAST = 0,
	PACKET_MR_PROMISC = 1,
	PACKET_MR_ALLMULTI = 2,

	TP_STATUS_CSUMNOTREADY = 1 << 3,
	TP_STATUS_VLAN_VALID = 1 << 4,
	TP_STATUS_VLAN_TPID_VALID = 1 << 6,
	TP_STATUS_CSUM_VALID = 1 << 7,
	TP_STATUS_USER = 1 << 0,

	PACKET_HOST = 0,
	PACKET_BROADCAST = 1,
	PACKET_MULTICAST = 2,
	PACKET_OTHERHOST = 3,
	PACKET_OUTGOING = 4,

	SIOCINQ = 0x541b,
	SIOCOUTQ = 0x5411,
	MAX_MEMBERSHIPS = 64,
};

struct sockaddr_ll {
	uint16_t family;
	be16 protocol;
	int32_t ifindex;
	uint16_t hatype;
	uint8_t pkttype, halen;
	uint8_t addr[8];
};
static_assert(sizeof(struct sockaddr_ll) == 20, "Linux's struct sockaddr_ll");
enum { SOCKADDR_LL_MIN = 12 }; /* without the address */

struct auxdata { /* struct tpacket_auxdata */
	uint32_t status, len, snaplen;
	uint16_t mac, net, vlan_tci, vlan_tpid;
};

struct packet_mreq {
	int32_t ifindex;
	uint16_t type, alen;
	uint8_t address[8];
};

/* What a queued packet carries in cb. */
struct packet_cb {
	uint32_t len; /* before the filter cut it */
	int32_t ifindex;
	uint16_t hatype;
	uint8_t pkttype;
	uint8_t src[ETH_ALEN];
};
static_assert(sizeof(struct packet_cb) <= 48, "fits into cb");

struct membership {
	struct list link;
	struct packet_mreq mreq;
	unsigned count;
};

struct packet_sock {
	struct sock sock;
	struct list all_link; /* [list_lock] */
	struct ether_tap tap; /* [send_lock] */
	bool is_tapped;       /* [send_lock] */
	struct netdev *dev;   /* [send_lock] bound to, a reference; NULL: all */
	uint16_t protocol;    /* [send_lock] */
	bool is_auxdata, is_origdev, is_qdisc_bypass, is_ignore_outgoing;
	struct list memberships;   /* [send_lock] */
	struct packet_ring *ring;  /* [send_lock, R] what is received goes there */
	uint32_t version, reserve; /* [send_lock] of the ring to be made */
	unsigned num_memberships;
	uint32_t num_packets, num_drops; /* [a] for PACKET_STATISTICS */
};

static struct mutex list_lock = MUTEX_INIT(list_lock, "packet sockets", RANK_SETUP);
static struct list all_socks = LIST_INIT(all_socks);

static struct packet_sock *
packet_of(struct sock *sk)
{
	return container_of(sk, struct packet_sock, sock);
}

/* ---- Listening ------------------------------------------------------------------------------ */

static uint8_t
pkttype_of(const struct pkt *p)
{
	if (p->flags & PKT_OUTGOING)
		return PACKET_OUTGOING;
	if (p->flags & PKT_OTHERHOST)
		return PACKET_OTHERHOST;
	if (p->flags & PKT_BROADCAST)
		return PACKET_BROADCAST;
	return p->flags & PKT_MULTICAST ? PACKET_MULTICAST : PACKET_HOST;
}

/* Notes what recvmsg tells of a packet. */
static void
describe(struct packet_cb *cb, const struct pkt *p, uint32_t len)
{
	*cb = (struct packet_cb){.len = len,
	    .ifindex = (int32_t)p->dev->index,
	    .hatype = p->dev->type,
	    .pkttype = pkttype_of(p)};
	memcpy(cb->src, p->head + p->l2_off + ETH_ALEN, ETH_ALEN);
}

static uint32_t
aux_status(const struct pkt *p)
{
	uint32_t status = 0;

	if (p->flags & PKT_CSUM_PARTIAL)
		status |= TP_STATUS_CSUMNOTREADY;
	else if (p->flags & PKT_CSUM_OK)
		status |= TP_STATUS_CSUM_VALID;
	if (p->flags & PKT_HAS_VLAN)
		status |= TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
	return status;
}

static void
name_of(struct sockaddr_ll *ll, const struct packet_cb *cb, uint16_t protocol)
{
	*ll = (struct sockaddr_ll){.family = AF_PACKET,
	    .protocol = be16_of(protocol),
	    .ifindex = cb->ifindex,
	    .hatype = cb->hatype,
	    .pkttype = cb->pkttype,
	    .halen = ETH_ALEN};
	memcpy(ll->addr, cb->src, ETH_ALEN);
}

/* Into the ring: `keep` bytes from data on. */
static bool
put_into_ring(
    struct packet_sock *ps, struct packet_ring *ring, struct pkt *p, uint32_t keep)
{
	struct packet_cb cb;
	struct sockaddr_ll name;
	struct ring_frame f = {.len = (uint32_t)pkt_len(p),
	    .snaplen = (uint32_t)MIN(pkt_len(p), keep),
	    .status = aux_status(p),
	    .name = &name,
	    .wall_ns = clock_wall_ns()};

	if (p->flags & PKT_HAS_VLAN) {
		f.vlan_tci = p->vlan_tci;
		f.vlan_tpid = ETHERTYPE_VLAN;
	}
	if (ps->sock.type == SOCK_RAW)
		f.maclen = (uint32_t)(p->head + p->l3_off - p->data);
	describe(&cb, p, f.len);
	name_of(&name, &cb, p->protocol);
	if (!packet_ring_put(ring, p, &f))
		return false;
	sock_wake(&ps->sock, POLLIN | POLLRDNORM);
	return true;
}

static bool
put_into_queue(struct packet_sock *ps, struct pkt *p, uint32_t keep)
{
	struct pkt *c = pkt_clone(p);

	if (!c)
		return false;
	describe((struct packet_cb *)c->cb, p, (uint32_t)pkt_len(p));
	pkt_trim(c, keep);
	if (sock_queue_rx(&ps->sock, c))
		return true;
	pkt_drop(c, DROP_SOCK_RCVBUF);
	return false;
}

/* The tap: under RCU, the packet is not ours. */
static void
packet_tap(struct ether_tap *tap, struct pkt *p)
{
	struct packet_sock *ps = container_of(tap, struct packet_sock, tap);
	struct packet_ring *ring = rcu_dereference(ps->ring);
	uint8_t *data = p->data;
	uint32_t keep;

	if (p->flags & PKT_OUTGOING && ps->is_ignore_outgoing)
		return;
	if (ps->sock.type == SOCK_DGRAM)
		p->data = p->head + p->l3_off;
	keep = filter_run(&ps->sock, p);
	if (keep) {
		bool is_taken =
		    ring ? put_into_ring(ps, ring, p, keep) : put_into_queue(ps, p, keep);

		__atomic_add_fetch(&ps->num_packets, 1, __ATOMIC_RELAXED);
		if (!is_taken)
			__atomic_add_fetch(&ps->num_drops, 1, __ATOMIC_RELAXED);
	}
	p->data = data;
}

static void
unhook(struct packet_sock *ps)
{
	if (!ps->is_tapped)
		return;
	ether_tap_remove(&ps->tap);
	ps->is_tapped = false;
	rcu_synchronize();
}

static void
hook(struct packet_sock *ps)
{
	if (!ps->protocol)
		return;
	ps->tap = (struct ether_tap){
	    .dev = ps->dev, .protocol = ps->protocol, .input = packet_tap};
	ether_tap_add(&ps->tap);
	ps->is_tapped = true;
}

static struct netdev *
dev_get_by_index(int32_t index)
{
	struct netdev *dev;

	rcu_read_lock();
	dev = index > 0 ? netdev_by_index((unsigned)index) : NULL;
	if (dev)
		netdev_get(dev);
	rcu_read_unlock();
	return dev;
}

static enum err
packet_bind(struct sock *sk, const struct sock_addr *a)
{
	const struct sockaddr_ll *ll = (const struct sockaddr_ll *)a->bytes;
	struct packet_sock *ps = packet_of(sk);
	struct netdev *dev = NULL;

	if (a->len < SOCKADDR_LL_MIN || ll->family != AF_PACKET)
		return ERR_INVAL;
	if (ll->ifindex) {
		dev = dev_get_by_index(ll->ifindex);
		if (!dev)
			return ERR_NODEV;
	}
	mutex_lock(&sk->send_lock);
	unhook(ps);
	if (ps->dev)
		netdev_put(ps->dev);
	ps->dev = dev;
	if (be16_get(ll->protocol))
		ps->protocol = be16_get(ll->protocol);
	hook(ps);
	mutex_unlock(&sk->send_lock);
	if (dev && !(dev->flags & NETDEV_UP))
		sock_set_error(sk, ERR_NETDOWN);
	return OK;
}

/* ---- Receiving ------------------------------------------------------------------------------ */

static void
put_auxdata(struct sock_msg *msg, const struct pkt *p)
{
	const struct packet_cb *cb = (const struct packet_cb *)p->cb;
	size_t data_off = (size_t)(p->data - p->head);
	struct auxdata aux = {
	    .status = TP_STATUS_USER,
	    .len = cb->len,
	    .snaplen = (uint32_t)pkt_len(p),
	    .net = (uint16_t)(p->l3_off > data_off ? p->l3_off - data_off : 0),
	};

	aux.status |= aux_status(p);
	if (p->flags & PKT_HAS_VLAN) {
		aux.vlan_tci = p->vlan_tci;
		aux.vlan_tpid = ETHERTYPE_VLAN;
	}
	put_cmsg(msg, SOL_PACKET, PACKET_AUXDATA, &aux, sizeof(aux));
}

static void
put_name(struct sock_addr *name, const struct pkt *p)
{
	struct sockaddr_ll *ll = (struct sockaddr_ll *)name->bytes;

	name_of(ll, (const struct packet_cb *)p->cb, p->protocol);
	name->len = sizeof(*ll);
}

static long
packet_recv(struct sock *sk, struct sock_msg *msg)
{
	size_t len, n;
	struct pkt *p;
	enum err err;
	long result;

	if (msg->flags & MSG_ERRQUEUE)
		return ERR_AGAIN;
	err = sock_dequeue_rx(sk, msg, &p);
	if (err != OK)
		return err;
	if (!p)
		return 0;
	len = pkt_len(p);
	n = MIN(len, msg->uio->resid);
	if (n < len)
		msg->out_flags |= MSG_TRUNC;
	result = (long)(msg->flags & MSG_TRUNC ? len : n);
	if (pkt_copy_to_uio(p, 0, n, msg->uio) < n)
		result = ERR_FAULT;
	if (result >= 0) {
		if (msg->name)
			put_name(msg->name, p);
		sock_put_stamps(sk, msg, p->stamp_ns);
		if (packet_of(sk)->is_auxdata)
			put_auxdata(msg, p);
	}
	pkt_free(p);
	return result;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Where a packet goes, from the message or the binding. */
struct destination {
	struct netdev *dev; /* a reference */
	uint16_t protocol;
	uint8_t addr[ETH_ALEN];
};

static enum err
destination_get(struct packet_sock *ps, const struct sock_msg *msg, struct destination *d)
{
	const struct sockaddr_ll *ll;

	if (msg->name) {
		ll = (const struct sockaddr_ll *)msg->name->bytes;
		if (msg->name->len < SOCKADDR_LL_MIN)
			return ERR_INVAL;
		if (ps->sock.type == SOCK_DGRAM &&
		    (ll->halen < ETH_ALEN || msg->name->len < SOCKADDR_LL_MIN + ETH_ALEN))
			return ERR_INVAL;
		d->dev = dev_get_by_index(ll->ifindex);
		d->protocol = be16_get(ll->protocol);
		memcpy(d->addr, ll->addr, ETH_ALEN);
		return d->dev ? OK : ERR_NXIO;
	}
	if (ps->sock.type == SOCK_DGRAM)
		return ERR_DESTADDRREQ;
	mutex_lock(&ps->sock.send_lock);
	d->dev = ps->dev ? netdev_get(ps->dev) : NULL;
	d->protocol = ps->protocol;
	mutex_unlock(&ps->sock.send_lock);
	return d->dev ? OK : ERR_NXIO;
}

static enum err
transmit(struct packet_sock *ps, const struct destination *d, struct pkt *p)
{
	const struct ether_header *h = (const struct ether_header *)p->data;

	if (ps->sock.type == SOCK_DGRAM)
		return ether_send(d->dev, p, d->addr, d->protocol);
	p->protocol = be16_get(h->type);
	p->l3_off = (uint16_t)(p->data - p->head + sizeof(*h));
	return netdev_send(d->dev, p);
}

static long
send_to(struct packet_sock *ps, struct sock_msg *msg, const struct destination *d)
{
	size_t n = msg->uio->resid;
	size_t max = d->dev->mtu;
	struct pkt *p;
	long result;

	if (ps->sock.type == SOCK_RAW)
		max += sizeof(struct ether_header) + 4; /* a VLAN tag may be in it */
	if (!(d->dev->flags & NETDEV_UP))
		return ERR_NETDOWN;
	if (n > max || n > PKT_MAX_LEN)
		return ERR_MSGSIZE;
	if (ps->sock.type == SOCK_RAW && n < sizeof(struct ether_header))
		return ERR_INVAL;
	p = pkt_alloc(n);
	if (!p)
		return ERR_NOBUFS;
	result = pkt_fill_from_uio(p, msg->uio, n);
	if (result < 0) {
		pkt_free(p);
		return result;
	}
	result = transmit(ps, d, p);
	return result < 0 ? result : (long)n;
}

static long
packet_send(struct sock *sk, struct sock_msg *msg)
{
	struct destination d = {0};
	enum err err = destination_get(packet_of(sk), msg, &d);
	long result;

	if (err != OK)
		return err;
	result = send_to(packet_of(sk), msg, &d);
	netdev_put(d.dev);
	return result;
}

/* ---- Options ---------------------------------------------------------------------------------- */

/* Puts a membership into effect or takes it back. [rtnl] */
static enum err
membership_apply(struct netdev *dev, const struct packet_mreq *m, bool is_on)
{
	switch (m->type) {
	case PACKET_MR_MULTICAST:
		if (m->alen != ETH_ALEN)
			return ERR_INVAL;
		if (is_on)
			return netdev_mc_add(dev, m->address);
		netdev_mc_del(dev, m->address);
		return OK;
	case PACKET_MR_PROMISC: netdev_set_promisc(dev, is_on ? 1 : -1); return OK;
	case PACKET_MR_ALLMULTI: netdev_set_allmulti(dev, is_on ? 1 : -1); return OK;
	default: return ERR_INVAL;
	}
}

static struct membership *
membership_find(struct packet_sock *ps, const struct packet_mreq *m)
{
	struct membership *it;

	list_for_each(it, &ps->memberships, link)
		if (it->mreq.ifindex == m->ifindex && it->mreq.type == m->type &&
		    it->mreq.alen == m->alen &&
		    !memcmp(it->mreq.address, m->address, sizeof(m->address)))
			return it;
	return NULL;
}

static enum err
membership_add(struct packet_sock *ps, const struct packet_mreq *m)
{
	struct membership *it = membership_find(ps, m);
	struct netdev *dev;
	enum err err = ERR_NODEV;

	if (it) {
		it->count++;
		return OK;
	}
	if (ps->num_memberships >= MAX_MEMBERSHIPS)
		return ERR_NOBUFS;
	it = kzalloc(sizeof(*it));
	if (!it)
		return ERR_NOBUFS;
	mutex_lock(&rtnl_mutex);
	rcu_read_lock();
	dev = netdev_by_index((unsigned)m->ifindex);
	rcu_read_unlock(); /* rtnl keeps it */
	if (dev)
		err = membership_apply(dev, m, true);
	mutex_unlock(&rtnl_mutex);
	if (err != OK) {
		kfree(it);
		return err;
	}
	it->mreq = *m;
	it->count = 1;
	list_push_back(&ps->memberships, &it->link);
	ps->num_memberships++;
	return OK;
}

static void
membership_end(struct packet_sock *ps, struct membership *it)
{
	struct netdev *dev;

	mutex_lock(&rtnl_mutex);
	rcu_read_lock();
	dev = netdev_by_index((unsigned)it->mreq.ifindex);
	rcu_read_unlock();
	if (dev)
		(void)membership_apply(dev, &it->mreq, false); /* it was applied */
	mutex_unlock(&rtnl_mutex);
	list_remove(&it->link);
	ps->num_memberships--;
	kfree(it);
}

static enum err
set_membership(struct packet_sock *ps, const void *val, unsigned len, bool is_add)
{
	struct packet_mreq m;
	struct membership *it;
	enum err err = OK;

	if (len < sizeof(m))
		return ERR_INVAL;
	memcpy(&m, val, sizeof(m));
	if (m.alen > sizeof(m.address))
		return ERR_INVAL;
	memset(m.address + m.alen, 0, sizeof(m.address) - m.alen);
	mutex_lock(&ps->sock.send_lock);
	if (is_add) {
		err = membership_add(ps, &m);
	} else {
		it = membership_find(ps, &m);
		if (it && --it->count == 0) /* as Linux, none is no error */
			membership_end(ps, it);
	}
	mutex_unlock(&ps->sock.send_lock);
	return err;
}

static const struct sock_flag flags[] = {
    {PACKET_AUXDATA, offsetof(struct packet_sock, is_auxdata)},
    {PACKET_ORIGDEV, offsetof(struct packet_sock, is_origdev)},
    {PACKET_QDISC_BYPASS, offsetof(struct packet_sock, is_qdisc_bypass)},
    {PACKET_IGNORE_OUTGOING, offsetof(struct packet_sock, is_ignore_outgoing)},
};

/* Makes the ring, or with zeros ends it. */
static enum err
set_ring(struct packet_sock *ps, const void *val, unsigned len)
{
	struct packet_ring *old = NULL, *ring = NULL;
	struct tpacket_req req;
	enum err err = OK;

	if (len < sizeof(req))
		return ERR_INVAL;
	memcpy(&req, val, sizeof(req));
	mutex_lock(&ps->sock.send_lock);
	if (req.block_nr && ps->ring)
		err = ERR_BUSY;
	else if (req.block_nr && ps->version != TPACKET_V2)
		err = ERR_INVAL;
	else if (req.block_nr)
		err = packet_ring_create(&req, ps->reserve, &ring);
	if (err == OK) {
		old = ps->ring;
		rcu_assign(ps->ring, ring);
	}
	mutex_unlock(&ps->sock.send_lock);
	if (old) {
		rcu_synchronize();
		packet_ring_free(old);
	}
	return err;
}

/* Numbers that shape the ring to come. */
static enum err
set_ring_option(struct packet_sock *ps, int opt, uint32_t n)
{
	enum err err = OK;

	mutex_lock(&ps->sock.send_lock);
	if (ps->ring)
		err = ERR_BUSY;
	else if (opt == PACKET_RESERVE)
		ps->reserve = n;
	else if (n > TPACKET_V2)
		err = ERR_INVAL; /* TPACKET_V3: libpcap then asks for V2 */
	else
		ps->version = n;
	mutex_unlock(&ps->sock.send_lock);
	return err;
}

static enum err
packet_setsockopt(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	struct packet_sock *ps = packet_of(sk);
	bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);
	int32_t n;

	if (level != SOL_PACKET)
		return ERR_NOPROTOOPT;
	if (opt == PACKET_ADD_MEMBERSHIP || opt == PACKET_DROP_MEMBERSHIP)
		return set_membership(ps, val, len, opt == PACKET_ADD_MEMBERSHIP);
	if (opt == PACKET_RX_RING)
		return set_ring(ps, val, len);
	if (!flag && opt != PACKET_VERSION && opt != PACKET_RESERVE)
		return ERR_NOPROTOOPT;
	if (len < sizeof(n))
		return ERR_INVAL;
	memcpy(&n, val, sizeof(n));
	if (!flag)
		return set_ring_option(ps, opt, (uint32_t)n);
	*flag = n != 0;
	return OK;
}

static enum err
packet_getsockopt(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	struct packet_sock *ps = packet_of(sk);
	const bool *flag = sock_flag_of(sk, flags, ARRAY_SIZE(flags), opt);
	uint32_t words[2] = {0};
	unsigned n = sizeof(words[0]);

	if (level != SOL_PACKET)
		return ERR_NOPROTOOPT;
	if (opt == PACKET_STATISTICS) { /* read and begun anew */
		words[0] = __atomic_exchange_n(&ps->num_packets, 0, __ATOMIC_RELAXED);
		words[1] = __atomic_exchange_n(&ps->num_drops, 0, __ATOMIC_RELAXED);
		n = sizeof(words);
	} else if (flag) {
		words[0] = *flag;
	} else if (opt == PACKET_HDRLEN) { /* of the version that is in the buffer */
		memcpy(words, val, MIN(*len, n));
		if (*len < n || words[0] > TPACKET_V2)
			return ERR_INVAL;
		words[0] = TPACKET2_HEADER;
	} else if (opt == PACKET_VERSION || opt == PACKET_RESERVE) {
		words[0] = opt == PACKET_VERSION ? ps->version : ps->reserve;
	} else {
		return ERR_NOPROTOOPT;
	}
	*len = MIN(*len, n);
	memcpy(val, words, *len);
	return OK;
}

static enum err
packet_getname(struct sock *sk, struct sock_addr *a, bool is_peer)
{
	struct packet_sock *ps = packet_of(sk);
	struct sockaddr_ll *ll = (struct sockaddr_ll *)a->bytes;

	if (is_peer)
		return ERR_OPNOTSUPP;
	*ll = (struct sockaddr_ll){.family = AF_PACKET};
	mutex_lock(&sk->send_lock);
	ll->protocol = be16_of(ps->protocol);
	if (ps->dev) {
		ll->ifindex = (int32_t)ps->dev->index;
		ll->hatype = ps->dev->type;
		ll->halen = ETH_ALEN;
		memcpy(ll->addr, ps->dev->mac, ETH_ALEN);
	}
	mutex_unlock(&sk->send_lock);
	a->len = sizeof(*ll);
	return OK;
}

static long
packet_ioctl(struct sock *sk, unsigned cmd, uintptr_t arg)
{
	int32_t n = 0;

	if (cmd != SIOCINQ && cmd != SIOCOUTQ)
		return ERR_NOTTY;
	if (cmd == SIOCINQ) {
		spin_lock(&sk->lock);
		n = sk->rx.first ? (int32_t)pkt_len(sk->rx.first) : 0;
		spin_unlock(&sk->lock);
	}
	return put_user(n, (int32_t USER *)arg);
}

static uint32_t
packet_poll(struct sock *sk)
{
	struct packet_ring *ring;
	uint32_t events = POLLOUT | POLLWRNORM;

	if (__atomic_load_n(&sk->rx.first, __ATOMIC_RELAXED))
		events |= POLLIN | POLLRDNORM;
	rcu_read_lock();
	ring = rcu_dereference(packet_of(sk)->ring);
	if (ring && packet_ring_has_data(ring))
		events |= POLLIN | POLLRDNORM;
	rcu_read_unlock();
	if (__atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK)
		events |= POLLERR;
	return events;
}

/* ---- Life ----------------------------------------------------------------------------------------- */

static enum err
not_supported_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	return ERR_OPNOTSUPP;
}

static enum err
not_supported_listen(struct sock *sk, int backlog)
{
	return ERR_OPNOTSUPP;
}

static enum err
not_supported_accept(
    struct sock *sk, struct sock **out, nsec_t deadline_ns, bool is_nonblock)
{
	return ERR_OPNOTSUPP;
}

static enum err
not_supported_shutdown(struct sock *sk, int how)
{
	return ERR_OPNOTSUPP;
}

static void
packet_close(struct sock *sk)
{
	struct packet_sock *ps = packet_of(sk);
	struct membership *it, *tmp;

	mutex_lock(&list_lock);
	list_remove(&ps->all_link);
	mutex_unlock(&list_lock);
	mutex_lock(&sk->send_lock);
	unhook(ps);
	list_for_each_safe(it, tmp, &ps->memberships, link)
		membership_end(ps, it);
	if (ps->dev)
		netdev_put(ps->dev);
	ps->dev = NULL;
	packet_ring_free(ps->ring); /* unhooked: nobody is in it */
	ps->ring = NULL;
	mutex_unlock(&sk->send_lock);
}

static enum err
packet_mmap(struct sock *sk, struct area *area)
{
	struct packet_ring *ring;
	enum err err = ERR_INVAL;

	rcu_read_lock(); /* send_lock ranks before the aspace's, which is held */
	ring = rcu_dereference(packet_of(sk)->ring);
	if (ring)
		err = packet_ring_mmap(ring, area);
	rcu_read_unlock();
	return err;
}

static void
packet_destroy(struct sock *sk)
{
	kfree(packet_of(sk));
}

static const struct sock_ops packet_ops = {
    .name = "PACKET",
    .bind = packet_bind,
    .connect = not_supported_connect,
    .listen = not_supported_listen,
    .accept = not_supported_accept,
    .send = packet_send,
    .recv = packet_recv,
    .poll = packet_poll,
    .shutdown = not_supported_shutdown,
    .close = packet_close,
    .getname = packet_getname,
    .setsockopt = packet_setsockopt,
    .getsockopt = packet_getsockopt,
    .ioctl = packet_ioctl,
    .mmap = packet_mmap,
    .destroy = packet_destroy,
};

enum err
packet_create(int family, int type, int proto, struct sock **out)
{
	struct packet_sock *ps;

	if (!capable(CAP_NET_RAW))
		return ERR_PERM;
	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return ERR_SOCKTNOSUPPORT;
	ps = kzalloc(sizeof(*ps));
	if (!ps)
		return ERR_NOBUFS;
	sock_init(&ps->sock, &packet_ops, family, type, 0);
	/* Its tap may be called under the lock of the socket that sends. */
	spin_init(&ps->sock.lock, "packet socket", RANK_SOCK_TAP);
	list_init(&ps->memberships);
	/* The argument is in network order (packet(7)). */
	ps->protocol = (uint16_t)((proto & 0xff) << 8 | (proto >> 8 & 0xff));
	hook(ps);
	mutex_lock(&list_lock);
	list_push_back(&all_socks, &ps->all_link);
	mutex_unlock(&list_lock);
	*out = &ps->sock;
	return OK;
}

/* ---- Interfaces that go, /proc/net/packet ------------------------------------------------------------ */

/*
 * An interface is down or goes: sockets bound to it are told, and let go of it. The event
 * comes with rtnl held, which ranks after our locks: so this is work for later.
 */
struct gone_work {
	struct net_work work;
	struct netdev *dev; /* a reference */
	enum err err;
};

static void
gone_work(struct net_work *w)
{
	struct gone_work *g = container_of(w, struct gone_work, work);
	struct packet_sock *ps;

	mutex_lock(&list_lock);
	list_for_each(ps, &all_socks, all_link) {
		bool is_bound;

		mutex_lock(&ps->sock.send_lock);
		is_bound = ps->dev == g->dev;
		if (is_bound && g->err == ERR_NODEV) {
			unhook(ps);
			netdev_put(ps->dev);
			ps->dev = NULL;
		}
		mutex_unlock(&ps->sock.send_lock);
		if (is_bound)
			sock_set_error(&ps->sock, g->err);
	}
	mutex_unlock(&list_lock);
	netdev_put(g->dev);
	kfree(g);
}

static void
packet_netdev_event(struct netdev *dev, enum netdev_event event)
{
	struct gone_work *g;

	if (event != NETDEV_EV_DOWN && event != NETDEV_EV_UNREGISTER)
		return;
	g = kzalloc(sizeof(*g));
	if (!g)
		return;
	g->work.fn = gone_work;
	g->dev = netdev_get(dev);
	g->err = event == NETDEV_EV_DOWN ? ERR_NETDOWN : ERR_NODEV;
	net_config_queue(&g->work);
}

static void
packet_show(struct seq *s)
{
	struct packet_sock *ps;

	seq_puts(s, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
	mutex_lock(&list_lock);
	list_for_each(ps, &all_socks, all_link) {
		mutex_lock(&ps->sock.send_lock); /* a new bind gives its interface away */
		seq_printf(s, "%016x %-6u %-4u %04x   %-5u %u %-6u %-6u %-6lu\n", 0,
		    ps->sock.refs, ps->sock.type, ps->protocol,
		    ps->dev ? ps->dev->index : 0, ps->is_tapped, ps->sock.rx_bytes,
		    ps->sock.attr.uid, ps->sock.ino);
		mutex_unlock(&ps->sock.send_lock);
	}
	mutex_unlock(&list_lock);
}

/* /proc/net/ptype: to whom frames go, by type and interface. Sockets, then protocols. */
static void
show_types(struct seq *s)
{
	struct packet_sock *ps;

	seq_puts(s, "Type Device      Function\n");
	mutex_lock(&list_lock);
	list_for_each(ps, &all_socks, all_link) {
		mutex_lock(&ps->sock.send_lock);
		if (ps->is_tapped && ps->protocol == ETHERTYPE_ALL)
			seq_puts(s, "ALL ");
		else if (ps->is_tapped)
			seq_printf(s, "%04x", ps->protocol);
		if (ps->is_tapped)
			seq_printf(s, " %-8s %s\n", ps->dev ? ps->dev->name : "",
			    ps->ring ? "tpacket_rcv" : "packet_rcv");
		mutex_unlock(&ps->sock.send_lock);
	}
	mutex_unlock(&list_lock);
	seq_printf(s, "%04x %-8s %s\n%04x %-8s %s\n%04x %-8s %s\n", ETHERTYPE_IP4, "",
	    "ip_rcv", ETHERTYPE_ARP, "", "arp_rcv", ETHERTYPE_IP6, "", "ipv6_rcv");
}

void
packet_init(void)
{
	static struct netdev_notifier notifier = {.event = packet_netdev_event};

	sock_register_family(AF_PACKET, packet_create);
	netdev_notify_add(&notifier);
	/* No memory: not shown. */
	(void)proc_register("net/packet", packet_show);
	(void)proc_register("net/ptype", show_types);
}
