/* See ip4_env.h. Stands for the transports, IPv6 and DHCP. */
#include "tests/fakes/ip4_env.h"

#include <stdlib.h>

#include "kernel/panic.h"
#include "kernel/sync/rcu.h"
#include "kernel/time/clock.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/dhcp4.h"
#include "net/ifaddr.h"
#include "net/ip_mc_priv.h"
#include "net/neigh.h"
#include "net/ping.h"
#include "net/raw.h"
#include "net/route.h"
#include "tests/fakes/fakes.h"

struct ip4_env_notes ip4_notes;
struct netdev *ip4_env_dev, *ip4_env_dev2;
uint32_t dhcp4_num_listening;

static const uint8_t peer_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x99};

/* ---- What lies above and beside ---------------------------------------------------------- */

static bool
udp_input(struct pkt *p)
{
	if (ip4_notes.is_udp_refused)
		return false;
	ip4_notes.udp_packets++;
	ip4_notes.udp_len = pkt_len(p);
	ASSERT(pkt_read(p, 0, ip4_notes.udp, pkt_len(p)));
	ASSERT(p->ip.payload_len == pkt_len(p));
	pkt_free(p);
	return true;
}

static void
udp_error(const struct ip_error *e)
{
	ip4_notes.errors++;
	ip4_notes.error = *e;
	memcpy(ip4_notes.error_transport, e->transport, 8);
}

const struct ip_proto udp_proto = {.name = "udp", .input = udp_input, .error = udp_error};
const struct ip_proto tcp_proto = {.name = "tcp", .input = udp_input};

bool
raw4_input(struct pkt *p)
{
	return false;
}

void
raw4_error(const struct ip_error *e, uint8_t proto)
{
}

bool
ping_input(struct pkt *p)
{
	ip4_notes.pings++;
	return false;
}

void
ping_error(const struct ip_error *e)
{
}

static struct mc_dev *
no_groups(const struct netdev *dev)
{
	return NULL;
}

const struct mc_family mld_mc = {.dev_of = no_groups};

enum err
ip6_send(struct pkt *p, struct dst *d, const struct ip_tx *tx)
{
	pkt_free(p);
	return ERR_NETUNREACH;
}

void
ifaddr_dad_start(struct ifaddr *ifa)
{
}

bool
dhcp4_input(struct pkt *p)
{
	return false;
}

bool
addrsel_source(const struct netdev *out, const struct ip_addr *dst, unsigned prefs,
    struct ip_addr *src)
{
	struct ifaddr *ifa;

	ifaddr_for_each(ifa, out, AF_INET)
	{
		if (ip_is_v4(dst) && !(ifa->flags & IFA_TENTATIVE)) {
			*src = ifa->addr;
			return true;
		}
	}
	return false;
}

void
net_input_later(struct pkt *p)
{
	pkt_free(p); /* our own copy of what we send to groups */
}

static void
solicit_nobody(struct neigh *n, const uint8_t *mac)
{
}

static void
drop_waiting(struct neigh *n, struct pkt *list)
{
	pkt_free_list(list);
}

static nsec_t
a_second(const struct netdev *dev)
{
	return NSEC_PER_SEC;
}

const struct neigh_ops nd_neigh_ops = {solicit_nobody, drop_waiting, a_second, a_second};

/* ---- The host ---------------------------------------------------------------------------- */

struct ip_addr
ip4_addr(const char *text)
{
	struct ip_addr a;

	ASSERT(ip_parse(text, &a) && ip_is_v4(&a));
	return a;
}

be32
ip4_of(const char *text)
{
	return ip4_addr(text).v4;
}

static void
give_address(struct netdev *dev, const char *addr, const char *broadcast)
{
	struct ifaddr_config c = {.addr = ip4_addr(addr),
	    .broadcast = ip4_addr(broadcast),
	    .plen = 24,
	    .valid_ns = IFA_FOREVER,
	    .preferred_ns = IFA_FOREVER};

	ASSERT(ifaddr_add(dev, &c, true) == OK);
}

static void
make_host(void)
{
	struct route_config r = {.dst = ip4_any,
	    .type = ROUTE_UNICAST,
	    .gateway = ip4_addr("10.0.0.254"),
	    .has_gateway = true};

	loopback_dev = fake_netdev(1);
	loopback_dev->flags |= NETDEV_LOOPBACK;
	loopback_dev->mtu = 65536;
	ip4_env_dev = fake_netdev(2);
	ip4_env_dev2 = fake_netdev(3);
	neigh_init();
	route_init();
	ip4_init();
	ifaddr_init();
	for (unsigned i = 1; i <= 3; i++) {
		fake_netdev_event(netdev_by_index(i), NETDEV_EV_REGISTER);
		fake_netdev_event(netdev_by_index(i), NETDEV_EV_UP);
	}
	mutex_lock(&rtnl_mutex);
	give_address(ip4_env_dev, "10.0.0.1", "10.0.0.255");
	give_address(ip4_env_dev2, "192.168.5.1", "192.168.5.255");
	r.dev = ip4_env_dev;
	ASSERT(route_add(&r, true, false) == OK);
	mutex_unlock(&rtnl_mutex);
}

static void
know(struct netdev *dev, const char *text)
{
	struct ip_addr a = ip4_addr(text);

	neigh_update(dev, &a, peer_mac,
	    NEIGH_UPD_CREATE | NEIGH_UPD_SOLICITED | NEIGH_UPD_OVERRIDE);
}

void
ip4_env_setup(void)
{
	fake_log_is_quiet = true;
	if (!ip4_env_dev)
		make_host();
	fake_net_timers_run(
	    fake_now_ns + 100 * NSEC_PER_SEC); /* buckets fill, caches age */
	fake_net_work_run();
	know(ip4_env_dev, "10.0.0.99");
	know(ip4_env_dev, "10.0.0.254");
	know(ip4_env_dev2, "192.168.5.99");
	fake_wire_clear();
	fake_rcu_run();
	memset(&ip4_notes, 0, sizeof(ip4_notes));
	memset(fake_drops, 0, sizeof(fake_drops));
}

/* ---- In ---------------------------------------------------------------------------------- */

static void
receive(struct netdev *dev, const void *data, size_t n, uint32_t flags,
    const struct ether_proto *proto)
{
	struct pkt *p = fake_pkt(dev, data, n);

	p->flags = flags;
	rcu_read_lock();
	proto->input(p);
	rcu_read_unlock();
}

void
ip4_env_input_raw(const void *data, size_t n)
{
	receive(ip4_env_dev, data, n, 0, &ip4_ether_proto);
}

void
ip4_env_input_arp(const void *data, size_t n)
{
	receive(ip4_env_dev, data, n, 0, &arp_ether_proto);
}

void
ip4_env_input(const struct ip4_in *in)
{
	unsigned hdr_len = 20 + in->options_len;
	size_t n = hdr_len + in->len + (size_t)in->pad;
	uint8_t *buf = calloc(1, n + 1);
	struct ip4_header *h = (struct ip4_header *)buf;

	*h = (struct ip4_header){
	    .ver_ihl = in->ver_ihl ? (uint8_t)in->ver_ihl : (uint8_t)(0x40 | hdr_len / 4),
	    .len = be16_of((uint16_t)(hdr_len + in->len + (size_t)in->len_off)),
	    .id = be16_of(in->id),
	    .frag = be16_of(in->frag),
	    .ttl = in->ttl ? in->ttl : 64,
	    .proto = in->proto ? in->proto : IP_PROTO_UDP,
	    .src = ip4_of(in->src ? in->src : "10.0.0.99"),
	    .dst = ip4_of(in->dst ? in->dst : "10.0.0.1")};
	if (in->options_len)
		memcpy(h + 1, in->options, in->options_len);
	if (in->len)
		memcpy(buf + hdr_len, in->data, in->len);
	ip4_set_csum(h, hdr_len);
	h->csum.b[1] ^= (uint8_t)in->bad_csum;
	receive(in->dev ? in->dev : ip4_env_dev, buf, n, in->flags, &ip4_ether_proto);
	free(buf);
}

void
ip4_env_arp(unsigned op, const uint8_t mac[6], const char *sender, const char *target)
{
	uint8_t a[28] = {0, 1, 8, 0, 6, 4, 0, (uint8_t)op};
	be32 s = ip4_of(sender), t = ip4_of(target);

	memcpy(a + 8, mac, 6);
	memcpy(a + 14, &s, 4);
	memcpy(a + 24, &t, 4);
	receive(ip4_env_dev, a, sizeof(a), op == 1 ? PKT_BROADCAST : 0, &arp_ether_proto);
}

/* ---- Out --------------------------------------------------------------------------------- */

bool
ip4_env_output(struct ip4_out *out)
{
	struct pkt *p;
	unsigned hdr_len;

	while ((p = fake_wire_pop(&out->eth))) {
		if (be16_get(out->eth.type) != ETHERTYPE_IP4) {
			pkt_free(p);
			continue;
		}
		out->dev = p->dev;
		memcpy(&out->h, p->data, sizeof(out->h));
		hdr_len = (out->h.ver_ihl & 0xfu) * 4;
		ASSERT(csum_finish(csum_add(0, p->data, hdr_len)) == 0);
		ASSERT(be16_get(out->h.len) == pkt_len(p));
		out->options_len = hdr_len - 20;
		memcpy(out->options, p->data + 20, out->options_len);
		out->len = pkt_len(p) - hdr_len;
		ASSERT(pkt_read(p, hdr_len, out->data, out->len));
		pkt_free(p);
		return true;
	}
	return false;
}

bool
ip4_env_arp_output(uint8_t arp[28], struct ether_header *eth)
{
	struct pkt *p;

	while ((p = fake_wire_pop(eth))) {
		bool is_arp = be16_get(eth->type) == ETHERTYPE_ARP;

		if (is_arp)
			ASSERT(pkt_read(p, 0, arp, 28));
		pkt_free(p);
		if (is_arp)
			return true;
	}
	return false;
}
