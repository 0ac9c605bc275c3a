/*
 * Frames into receive coalescing and out through segmentation: the first byte of the input cuts the
 * rest into frames. No byte of payload may come or go, and nothing may be left in memory.
 * LINK: net/gro.c net/gso.c net/mib.c net/pkt.c net/pkt_data.c net/drops.c net/ip_addr.c lib/inet_csum.c
 * lib/string.c lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/kmalloc.c tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 */
#include "net/gro.h"

#include <stdlib.h>

#include "lib/string.h"
#include "net/ether.h"
#include "net/gso.h"
#include "net/rx.h"
#include "tests/fakes/fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct netdev dev = {.index = 2, .features = NETDEV_GRO, .mtu = 1500};

void
net_input_steered(struct pkt *p)
{
	struct pkt *next;

	if (pkt_len(p) > PKT_MAX_LEN)
		abort();
	/* As if it were forwarded. */
	p->data -= 14;
	for (p = gso_prepare(&dev, p); p; p = next) {
		next = p->next;
		if (gso_is_needed(&dev, p))
			abort();
		pkt_free(p);
	}
}

static void
receive(const uint8_t *data, size_t n)
{
	struct pkt *p = pkt_alloc(n + 14);

	memset(pkt_put(p, 14), 0, 14);
	p->l2_off = (uint16_t)(p->data - p->head);
	pkt_pull(p, 14);
	memcpy(pkt_put(p, n), data, n);
	p->l3_off = (uint16_t)(p->data - p->head);
	p->dev = &dev;
	p->flags = PKT_CSUM_OK; /* else every checksum would have to be guessed */
	p->protocol = n && data[0] >> 4 == 6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
	if (!gro_receive(p))
		net_input_steered(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_ready;
	size_t step;

	fake_log_is_quiet = true;
	if (!is_ready)
		pkt_init();
	is_ready = true;
	fake_kmalloc_live = 0;
	if (!size)
		return 0;
	step = data[0] + 20u;
	for (size_t at = 1; at < size; at += step)
		receive(data + at, MIN(step, size - at));
	gro_flush();
	if (fake_kmalloc_live)
		abort();
	return 0;
}
