/*
 * Addresses as programs give them, of any length and family, to sockets of both families: what is
 * taken can be given back and taken again.
 * LINK: net/inet.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include <stdlib.h>

#include "kernel/proc/cred.h"
#include "lib/string.h"
#include "net/ifaddr.h"
#include "net/inet_priv.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/net_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What inet.c wants of the rest; creation and routes are not asked for. */
#define NEVER(type, name, ...) \
	type name(__VA_ARGS__) \
	{ \
		abort(); \
	}

NEVER(struct sock *, tcp_sock_create, int family)
NEVER(struct sock *, udp_sock_create, int family)
NEVER(struct sock *, raw_sock_create, int family, int proto)
NEVER(struct sock *, ping_sock_create, int family)
NEVER(bool, ping_is_permitted, void)
NEVER(void, sock_init, struct sock *s, const struct sock_ops *o, int f, int t, int p)
NEVER(void, sock_register_family, int family, sock_create_fn *create)
NEVER(bool, sock_parse_numbers, const char *text, uint32_t *out, unsigned n)
NEVER(enum err, inet_bind_port, struct inet_sock *i, struct port_table *t,
    const struct ip_addr *a, uint16_t p)
NEVER(void, sockets_init, void)
NEVER(void, inet_ports_init, void)
NEVER(void, udp_init, void)
NEVER(void, raw_init, void)
NEVER(void, ping_init, void)
NEVER(void, inet_proc_init, void)
NEVER(void, mib_proc_init, void)
NEVER(enum err, route_output, struct flow *f, struct dst **out)
NEVER(void, dst_put, struct dst *d)
NEVER(struct dst *, dst_get, struct dst *d)

uint32_t route_generation;

bool
capable(enum capability cap)
{
	return true;
}

struct ifaddr *
ifaddr_find(const struct netdev *dev, const struct ip_addr *a)
{
	return NULL;
}

bool
ifaddr_is_local(const struct ip_addr *a)
{
	return a->b[15] & 1;
}

static void
check_given_back(const struct inet_sock *is, const struct ip_addr *addr, uint16_t port,
    uint32_t scope_if)
{
	struct sock_addr again;
	struct ip_addr addr2;
	uint16_t port2;
	uint32_t scope2;

	inet_put_addr(is, &again, addr, port, scope_if);
	if (inet_get_addr(is, &again, &addr2, &port2, &scope2) != OK ||
	    !ip_equal(addr, &addr2) || port != port2 || scope_if != scope2)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct inet_sock is = {.sock.type = SOCK_DGRAM};
	struct sock_addr a;
	struct ip_addr addr;
	uint16_t port;
	uint32_t scope_if;

	if (n < 1)
		return 0;
	is.sock.family = data[0] & 1 ? AF_INET6 : AF_INET;
	is.is_v6only = data[0] & 2;
	is.sock.bound_if = data[0] & 4 ? 2 : 0;
	n = n - 1 < sizeof(a.bytes) ? n - 1 : sizeof(a.bytes);
	memset(&a, 0, sizeof(a));
	memcpy(a.bytes, data + 1, n);
	a.len = (unsigned)n;
	if (inet_get_addr(&is, &a, &addr, &port, &scope_if) == OK)
		check_given_back(&is, &addr, port, scope_if);
	(void)inet_bind_address(&is, &a, &addr, &port); /* any answer will do */
	return 0;
}
