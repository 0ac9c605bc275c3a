/*
 * Between the files that make up inet sockets: inet.c (addresses, routes, names), inet_port.c,
 * inet_opt.c, inet_mc.c (multicast), inet_msg.c (control data), inet_err.c (error queue), and the
 * datagram protocols above them: udp.c, raw.c, ping.c.
 */
#pragma once

#include "net/ip.h"
#include "net/sock.h"

enum { SOL_IP = 0, SOL_IPV6 = 41, SOL_UDP = 17, SOL_RAW = 255, SOL_ICMPV6 = 58 };

/* struct sockaddr_in and sockaddr_in6 of Linux. */
struct sockaddr_in {
	uint16_t family;
	be16 port;
	be32 addr;
	uint8_t zero[8];
};

struct sockaddr_in6 {
	uint16_t family;
	be16 port;
	be32 flow_info;
	uint8_t addr[16];
	uint32_t scope_id;
};

/* ---- inet_port.c */

extern struct port_table ping_ports;

/* References to at most `max` users of a port, the first `skip` left out: for multicast. */
unsigned inet_port_users(struct port_table *, uint16_t port, unsigned skip,
    struct inet_sock **users, unsigned max);
/* Under a bucket's lock: fn must not take locks of sockets. */
void inet_ports_for_each(
    struct port_table *, void (*fn)(struct inet_sock *, void *arg), void *arg);
void inet_ports_init(void);

/* ---- inet.c */

/* Address and port to bind to, checked: ours, permitted, not bound yet. Sets bound_if for a
 * link-local address with a scope. */
enum err inet_bind_address(
    struct inet_sock *, const struct sock_addr *, struct ip_addr *addr, uint16_t *port);

/* A route out of interface `oif` (0: any); *src as with inet_route. */
enum err inet_route_via(struct inet_sock *, const struct ip_addr *dst, uint32_t oif,
    struct ip_addr *src, struct dst **out);

/* ---- One datagram (inet_msg.c) */

/* What is known of a datagram to be sent before its route is. */
struct inet_tx {
	struct ip_tx ip;
	uint16_t port;
	unsigned oif; /* demanded; 0: any */
	bool
	    is_overridden; /* control data changed what the socket would do: no cached route */
	uint16_t gso_size; /* UDP_SEGMENT */
	uint32_t
	    stamping; /* enum sock_stamping: SO_TIMESTAMPING, as option or control data */
	struct dst *dst; /* a reference, once inet_tx_route has been */
	/* IP_RETOPTS or the extension headers in a row; what ip.options then points to. */
	uint8_t options[INET_EXTS * INET_EXT_MAX];
	struct inet_ext ext; /* the headers by themselves */
};

/* Destination (of the message or the peer) and everything that options and control data say.
 * Resources: none. */
enum err inet_tx_init(struct inet_tx *, struct inet_sock *, const struct sock_msg *);
/* The route and the source address; broadcast only where allowed. */
enum err inet_tx_route(struct inet_tx *, struct inet_sock *);
/* What of a received packet is remembered in its cb while it waits in a socket. */
struct inet_rx {
	uint32_t ifindex;
	uint16_t src_port, dst_port;
	uint16_t gro_size;
	uint32_t full_len; /* raw: of the packet before a filter cut it */
};
static inline struct inet_rx *
inet_rx(struct pkt *p)
{
	return (struct inet_rx *)p->cb;
}
/* Before it is queued: fills the above; ports 0 where there are none. */
void inet_rx_remember(struct pkt *, uint16_t src_port, uint16_t dst_port);
/* Control data that the socket asked for. */
void inet_put_cmsgs(struct inet_sock *, struct sock_msg *, struct pkt *);
/* The rest of a receive: data into the uio, name, control data, flags. Frees the packet. The
 * call's result. */
long inet_recv_pkt(struct inet_sock *, struct sock_msg *, struct pkt *);
/* The recv of datagram sockets: the next datagram, or with MSG_ERRQUEUE the next error. */
long inet_recv(struct sock *, struct sock_msg *);

/* Datagram sockets' connect, disconnect, shutdown; the protocol's hash is its own work. */
enum err inet_dgram_connect(struct inet_sock *, const struct sock_addr *);
void inet_dgram_disconnect(struct inet_sock *);
enum err inet_dgram_shutdown(struct sock *, int how);
uint32_t inet_dgram_poll(struct sock *);
long inet_dgram_ioctl(struct sock *, unsigned cmd, uintptr_t arg);
enum err inet_dgram_getname(struct sock *, struct sock_addr *, bool is_peer);
/* The memory of a socket that begins with its struct inet_sock and owns nothing besides. */
void inet_dgram_destroy(struct sock *);

/* The packet's memory counts against sndbuf from now on, until the device or the receiver is done
 * with it. */
void inet_tx_charge(struct sock *, struct pkt *);
/* Before a send: the pending error, ERR_PIPE after a shutdown, else waits as the message says until
 * sndbuf has room. */
enum err inet_tx_wait(struct sock *, const struct sock_msg *);

/* ---- inet_err.c */

/* A send failed here for its size: the same, with the MTU. */
void inet_local_error(
    struct inet_sock *, const struct ip_addr *dst, uint16_t port, enum err, uint32_t mtu);

/* A datagram is on its way: its time stamp onto the error queue, if tx->stamping asks for that. */
void inet_tx_stamp(struct inet_sock *, const struct inet_tx *tx);

/* ---- inet_mc.c */

enum err inet_mc_setsockopt(
    struct inet_sock *, int level, int opt, const void *val, unsigned len);
/* Does the socket want what came for this group, from this source, at this interface? */
bool inet_mc_wants(struct inet_sock *, const struct ip_addr *group,
    const struct ip_addr *src, unsigned ifindex);
/* IP_MSFILTER, MCAST_MSFILTER; val holds the group asked about. */
enum err inet_mc_getsockopt(struct inet_sock *, int opt, void *val, unsigned *len);
void inet_mc_fini(struct inet_sock *);

/* ---- Bring-up, in this order */

void udp_init(void);
void raw_init(void);
void raw_for_each(void (*fn)(struct inet_sock *, void *arg), void *arg); /* under RCU */
void ping_init(void);
bool ping_is_permitted(void); /* to the current thread: ping_group_range */
void inet_proc_init(void);
void mib_proc_init(void);
