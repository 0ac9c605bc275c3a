/*
 * Ping sockets: SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6 (icmp(7)). A program without
 * privileges sends echo requests and gets the answers to its own; the identifier is the socket's
 * port, so ports of ping sockets are a table like UDP's.
 */
#include "net/ping.h"

#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "net/filter.h"
#include "net/inet_priv.h"
#include "net/netdev.h"

enum { ECHO_REQUEST4 = 8, ECHO_REQUEST6 = 128, ANY_GROUP = INT32_MAX, MAX_SHARING = 16 };

struct echo_header {
	uint8_t type, code;
	be16 csum, id, seq;
};

/* Groups whose members may: net.ipv4.ping_group_range, here all, as distributions have it. */
static uint32_t first_group, last_group = ANY_GROUP;

/* ---- Receiving ------------------------------------------------------------------------------ */

static bool
ping_matches(const struct inet_sock *is, const struct ip_addr *local, unsigned ifindex)
{
	const struct sock *sk = &is->sock;

	if ((sk->family == AF_INET) != ip_is_v4(local))
		return false;
	if (sk->bound_if && ifindex && sk->bound_if != ifindex)
		return false;
	return ip_is_unspecified(&is->local) || ip_equal(&is->local, local);
}

/* A reference, or NULL. */
static struct inet_sock *
ping_find(uint16_t id, const struct ip_addr *local, unsigned ifindex)
{
	struct inet_sock *users[MAX_SHARING], *found = NULL;
	unsigned n = inet_port_users(&ping_ports, id, 0, users, MAX_SHARING);

	for (unsigned i = 0; i < n; i++) {
		if (!found && ping_matches(users[i], local, ifindex))
			found = users[i];
		else
			sock_put(&users[i]->sock);
	}
	return found;
}

bool
ping_input(struct pkt *p)
{
	const struct echo_header *h = pkt_need(p, sizeof(*h));
	struct inet_sock *is =
	    h ? ping_find(be16_get(h->id), &p->ip.dst, p->dev->index) : NULL;

	if (!is)
		return false;
	if (!filter_run(&is->sock, p)) {
		pkt_drop(p, DROP_SOCK_FILTER);
	} else {
		inet_rx_remember(p, 0, is->local_port);
		if (!sock_queue_rx(&is->sock, p))
			pkt_drop(p, DROP_SOCK_RCVBUF);
	}
	sock_put(&is->sock);
	return true;
}

void
ping_error(const struct ip_error *e)
{
	const struct echo_header *h = (const struct echo_header *)e->transport;
	uint8_t request = e->family == AF_INET ? ECHO_REQUEST4 : ECHO_REQUEST6;
	struct inet_sock *is;

	if (e->transport_len < sizeof(*h) || h->type != request)
		return;
	is = ping_find(be16_get(h->id), &e->src, e->dev ? e->dev->index : 0);
	if (!is)
		return;
	inet_icmp_error(is, e, 0, is->is_connected);
	sock_put(&is->sock);
}

static long
ping_recv(struct sock *sk, struct sock_msg *msg)
{
	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	return inet_recv(sk, msg);
}

/* ---- Sending ---------------------------------------------------------------------------------- */

/* The program's header is checked; identifier and checksum are ours. */
static enum err
ping_finish(struct inet_sock *is, struct pkt *p, const struct inet_tx *tx)
{
	struct echo_header *h = pkt_need(p, sizeof(*h));
	bool is_v4 = is->sock.family == AF_INET;
	size_t len = pkt_len(p);
	uint32_t sum = 0;

	if (!h || h->code || h->type != (is_v4 ? ECHO_REQUEST4 : ECHO_REQUEST6))
		return ERR_INVAL;
	h->id = be16_of(is->local_port);
	h->csum = be16_of(0);
	if (!is_v4)
		sum = ip_pseudo_csum(
		    &tx->ip.src, &tx->ip.dst, IP_PROTO_ICMP6, (uint32_t)len);
	h->csum = be16_of(csum_finish(pkt_csum(p, 0, len, sum)));
	p->l4_off = (uint16_t)(p->data - p->head);
	return OK;
}

static enum err
ping_autobind(struct inet_sock *is)
{
	enum err err = OK;

	mutex_lock(&is->sock.send_lock);
	if (!is->local_port)
		err = inet_autobind(is, &ping_ports, NULL);
	mutex_unlock(&is->sock.send_lock);
	return err;
}

static long
ping_send(struct sock *sk, struct sock_msg *msg)
{
	struct inet_sock *is = (struct inet_sock *)sk;
	size_t n = msg->uio->resid;
	struct inet_tx tx;
	struct pkt *p;
	enum err err;

	if (n > PKT_MAX_LEN)
		return ERR_MSGSIZE;
	if (n < sizeof(struct echo_header))
		return ERR_INVAL;
	if (msg->flags & MSG_OOB)
		return ERR_OPNOTSUPP;
	err = inet_tx_init(&tx, is, msg);
	if (err == OK && (sk->family == AF_INET) != ip_is_v4(&tx.ip.dst))
		err = ERR_INVAL;
	if (err == OK && !is->local_port)
		err = ping_autobind(is);
	if (err == OK)
		err = inet_tx_wait(sk, msg);
	if (err == OK)
		err = inet_tx_route(&tx, is);
	if (err != OK)
		return err;
	p = pkt_alloc(MIN(n, (size_t)PKT_LINEAR));
	err = p ? (enum err)pkt_fill_from_uio(p, msg->uio, n) : ERR_NOBUFS;
	if (err == OK)
		err = ping_finish(is, p, &tx);
	if (err == OK) {
		mib_icmp_sent(p, tx.ip.proto);
		inet_tx_charge(sk, p);
		err = ip_send(p, tx.dst, &tx.ip);
	} else {
		pkt_free(p);
	}
	dst_put(tx.dst);
	return err != OK ? err : (long)n;
}

/* ---- The other operations ------------------------------------------------------------------------ */

static enum err
ping_bind(struct sock *sk, const struct sock_addr *a)
{
	return inet_bind((struct inet_sock *)sk, a, &ping_ports);
}

static enum err
ping_connect(
    struct sock *sk, const struct sock_addr *a, nsec_t deadline_ns, bool is_nonblock)
{
	struct inet_sock *is = (struct inet_sock *)sk;
	enum err err;

	if (a->len < sizeof(a->family))
		return ERR_INVAL;
	if (a->family == AF_UNSPEC) {
		inet_dgram_disconnect(is);
		return OK;
	}
	err = is->local_port ? OK : ping_autobind(is);
	if (err != OK)
		return err;
	mutex_lock(&sk->send_lock);
	err = inet_dgram_connect(is, a);
	mutex_unlock(&sk->send_lock);
	return err;
}

static void
ping_close(struct sock *sk)
{
	struct inet_sock *is = (struct inet_sock *)sk;

	mutex_lock(&sk->send_lock);
	inet_release_port(is, &ping_ports);
	inet_mc_fini(is);
	mutex_unlock(&sk->send_lock);
}

static enum err
ping_setsockopt(struct sock *sk, int level, int opt, const void *val, unsigned len)
{
	return inet_setsockopt((struct inet_sock *)sk, level, opt, val, len);
}

static enum err
ping_getsockopt(struct sock *sk, int level, int opt, void *val, unsigned *len)
{
	return inet_getsockopt((struct inet_sock *)sk, level, opt, val, len);
}

static const struct sock_ops ping_ops = {
    .name = "PING",
    .bind = ping_bind,
    .connect = ping_connect,
    .send = ping_send,
    .recv = ping_recv,
    .poll = inet_dgram_poll,
    .shutdown = inet_dgram_shutdown,
    .close = ping_close,
    .getname = inet_dgram_getname,
    .setsockopt = ping_setsockopt,
    .getsockopt = ping_getsockopt,
    .ioctl = inet_dgram_ioctl,
    .destroy = inet_dgram_destroy,
};

struct sock *
ping_sock_create(int family)
{
	struct inet_sock *is = kzalloc(sizeof(*is));

	if (!is)
		return NULL;
	inet_sock_init(is, &ping_ops, family, SOCK_DGRAM,
	    family == AF_INET ? IP_PROTO_ICMP : IP_PROTO_ICMP6);
	return &is->sock;
}

/* ---- Permission ------------------------------------------------------------------------------------ */

static bool
is_in_range(uint32_t gid)
{
	return gid >= first_group && gid <= last_group;
}

bool
ping_is_permitted(void)
{
	const struct cred *cred = current_cred();

	for (uint32_t i = 0; i < cred->num_groups; i++)
		if (is_in_range(cred->groups[i]))
			return true;
	return is_in_range(cred->egid);
}

static void
show_groups(struct seq *s)
{
	seq_printf(s, "%u\t%u\n", first_group, last_group);
}

static enum err
store_groups(const char *text)
{
	uint32_t range[2];

	if (!sock_parse_numbers(text, range, 2) || range[0] > ANY_GROUP ||
	    range[1] > ANY_GROUP)
		return ERR_INVAL;
	first_group = range[0];
	last_group = range[1];
	return OK;
}

void
ping_init(void)
{
	if (proc_register_rw(
	        "sys/net/ipv4/ping_group_range", show_groups, store_groups) != OK)
		panic("ping: no memory for a file in /proc");
}
