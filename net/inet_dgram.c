/* What UDP, raw and ping sockets do alike: connect and its undoing, shutdown, poll, ioctl. */
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "net/inet_priv.h"

enum err
inet_dgram_connect(struct inet_sock *is, const struct sock_addr *a)
{
	struct ip_addr dst, src;
	uint16_t port;
	uint32_t scope_if;
	struct dst *route, *old;
	enum err err = inet_get_addr(is, a, &dst, &port, &scope_if);
	uint32_t oif = scope_if;

	if (err != OK)
		return err;
	if (!oif)
		oif = is->sock.bound_if;
	if (!oif && ip_is_multicast(&dst))
		oif = ip_is_v4(&dst) ? is->mc_if : is->mc_if6;
	src = is->is_connected ? is->bind_addr : is->local;
	if (ip_is_unspecified(&src) && ip_is_v4(&dst) && ip_is_multicast(&dst))
		src = is->mc_addr;
	if (!ip_is_unspecified(&src) && ip_is_v4(&src) != ip_is_v4(&dst))
		return ERR_NETUNREACH;
	err = inet_route_via(is, &dst, oif, &src, &route);
	if (err != OK)
		return err;
	if (route->type == ROUTE_BROADCAST && !is->sock.is_broadcast) {
		dst_put(route);
		return ERR_ACCES;
	}
	spin_lock(&is->sock.lock);
	old = is->dst;
	is->dst = route;
	is->peer = dst;
	is->peer_port = port;
	is->scope_if = scope_if;
	if (ip_is_unspecified(&is->local) || is->is_connected)
		is->local = src;
	is->is_connected = true;
	spin_unlock(&is->sock.lock);
	if (old)
		dst_put(old);
	return OK;
}

void
inet_dgram_disconnect(struct inet_sock *is)
{
	struct dst *old;

	spin_lock(&is->sock.lock);
	old = is->dst;
	is->dst = NULL;
	is->peer = is->sock.family == AF_INET ? ip4_any : ip_any;
	is->peer_port = 0;
	is->scope_if = 0;
	is->local = is->bind_addr;
	is->is_connected = false;
	spin_unlock(&is->sock.lock);
	if (old)
		dst_put(old);
}

/* Without a peer there is nothing to shut, but it wakes readers all the same, as on Linux. */
enum err
inet_dgram_shutdown(struct sock *sk, int how)
{
	const struct inet_sock *is = (const struct inet_sock *)sk;

	spin_lock(&sk->lock);
	sk->shutdown |= (uint8_t)(how + 1);
	spin_unlock(&sk->lock);
	sock_wake(sk, POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
	return is->is_connected ? OK : ERR_NOTCONN;
}

uint32_t
inet_dgram_poll(struct sock *sk)
{
	uint8_t shutdown = __atomic_load_n(&sk->shutdown, __ATOMIC_RELAXED);
	uint32_t events = 0;

	if (__atomic_load_n(&sk->error, __ATOMIC_RELAXED) != OK ||
	    __atomic_load_n(&sk->errors.first, __ATOMIC_RELAXED))
		events |= POLLERR | (sk->is_select_err_queue ? POLLPRI : 0);
	if (shutdown & SOCK_NO_RECV)
		events |= POLLRDHUP | POLLIN | POLLRDNORM;
	if (shutdown == (SOCK_NO_RECV | SOCK_NO_SEND))
		events |= POLLHUP;
	if (__atomic_load_n(&sk->rx.first, __ATOMIC_RELAXED))
		events |= POLLIN | POLLRDNORM;
	if (__atomic_load_n(&sk->tx_bytes, __ATOMIC_RELAXED) < sk->sndbuf)
		events |= POLLOUT | POLLWRNORM | POLLWRBAND;
	return events;
}

long
inet_dgram_ioctl(struct sock *sk, unsigned cmd, uintptr_t arg)
{
	enum { SIOCINQ = 0x541b, SIOCOUTQ = 0x5411 };
	int32_t n = 0;

	switch (cmd) {
	case SIOCINQ:
		spin_lock(&sk->lock);
		if (sk->rx.first)
			n = (int32_t)pkt_len(sk->rx.first);
		spin_unlock(&sk->lock);
		break;
	case SIOCOUTQ:
		n = (int32_t)__atomic_load_n(&sk->tx_bytes, __ATOMIC_RELAXED);
		break;
	default: return ERR_NOTTY;
	}
	return put_user(n, (int32_t USER *)arg);
}

enum err
inet_dgram_getname(struct sock *sk, struct sock_addr *a, bool is_peer)
{
	return inet_getname((struct inet_sock *)sk, a, is_peer);
}

/* The device or the receiver is done with a packet: its memory comes back to the socket. */
static void
tx_done(void *arg, uint32_t charge)
{
	struct sock *sk = arg;
	uint32_t left = __atomic_sub_fetch(&sk->tx_bytes, charge, __ATOMIC_RELEASE);

	if (left < sk->sndbuf && left + charge >= sk->sndbuf)
		sock_wake(sk, POLLOUT | POLLWRNORM);
	sock_put(sk);
}

void
inet_tx_charge(struct sock *sk, struct pkt *p)
{
	p->release = tx_done;
	p->release_arg = sock_get(sk);
	p->release_charge = p->truesize;
	__atomic_fetch_add(&sk->tx_bytes, p->truesize, __ATOMIC_RELAXED);
}

void
inet_dgram_destroy(struct sock *sk)
{
	struct inet_sock *is = (struct inet_sock *)sk;

	inet_sock_fini(is);
	kfree(is);
}
