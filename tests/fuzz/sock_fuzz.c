/*
 * What programs hand to sockets as bytes: control data, socket filters, IP options. The first byte
 * says which.
 * LINK: net/cmsg.c net/filter.c lib/bpf.c net/ip_addr.c lib/string.c lib/fmt.c lib/siphash.c lib/inet_csum.c
 * fs/seq.c tests/fakes/net_env.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "mm/usercopy.h"
#include "net/filter.h"
#include "net/sock.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/net_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum err
copy_from_user(void *dst, const void USER *src, size_t n)
{
	abort(); /* filters are run directly */
}

/* Every message found lies within the control data. */
static void
walk_control(const uint8_t *data, size_t n)
{
	uint64_t *copy = malloc(n + 8);
	struct sock_msg m = {.control = (uint8_t *)copy, .control_len = n};
	const struct cmsg *c = NULL;
	enum err err;

	memcpy(copy, data, n);
	while ((c = cmsg_next(&m, c, &err)))
		if (c->len < sizeof(*c) ||
		    c->len > (size_t)((uint8_t *)copy + n - (const uint8_t *)c))
			abort();
	free(copy);
}

/* The first half is the program, the second the packet. */
static void
run_filter(const uint8_t *data, size_t n)
{
	unsigned num = (unsigned)(n / 2 / sizeof(struct bpf_insn));
	size_t size = num * sizeof(struct bpf_insn);
	struct bpf_insn *insns = malloc(size + 1);
	struct pkt *p = fake_pkt(fake_netdev(1), data + size, n - size);

	memcpy(insns, data, size);
	if (bpf_is_valid(insns, num))
		(void)filter_run_insns(insns, p);
	pkt_free(p);
	free(insns);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	if (data[0] & 1)
		walk_control(data + 1, n - 1);
	else
		run_filter(data + 1, n - 1);
	return 0;
}
