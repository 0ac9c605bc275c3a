/*
 * libFuzzer: the Intel drivers against a device that answers with anything: descriptors that
 * say what they like, reports of what was not sent, registers that read as random or as ones,
 * causes nobody asked for, links that flap, memory that ends; resets, downs and ups between.
 * Nothing may be read or written out of place, nothing leak, no wait be endless.
 * LINK: drivers/net/e1000.c drivers/net/e1000e.c drivers/net/e1000_netdev.c
 * drivers/net/e1000_hw.c drivers/net/e1000_filter.c drivers/net/e1000_rx.c
 * drivers/net/e1000_tx.c tests/models/e1000_model.c tests/models/e1000_model_rings.c
 * net/pkt.c net/pkt_data.c net/drops.c lib/inet_csum.c lib/string.c lib/fmt.c mm/uio.c
 * fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/kmalloc.c tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c tests/fakes/clock.c
 * tests/unit/drivers/net/e1000_env.c
 */
#include <stdlib.h>

#include "mm/page.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/drivers/net/e1000_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__asm__(
    ".section .set.drivers,\"aw\"\n.globl set_drivers_start\nset_drivers_start:\n.text");

enum { RING = 256, MAX_STEPS = 400, TYPE = 0x88b5 };

static const uint8_t *in, *in_end;
static unsigned lies_left;

static unsigned
byte(void)
{
	return in < in_end ? *in++ : 0;
}

static uint32_t
word(void)
{
	uint32_t v = byte();

	v = v << 8 | byte();
	v = v << 8 | byte();
	return v << 8 | byte();
}

static uint32_t
lie(uint32_t truth)
{
	if (!lies_left)
		return truth;
	lies_left--;
	switch (byte() % 4) {
	case 0: return UINT32_MAX;
	case 1: return word();
	case 2: return truth ^ 1u << byte() % 32;
	default: return truth;
	}
}

static uint64_t *
descriptor(unsigned ring, unsigned i)
{
	const uint32_t *regs = env.chip.regs;
	uint64_t base = regs[ring / 4] | (uint64_t)regs[ring / 4 + 1] << 32;

	return base ? (uint64_t *)phys_to_virt(base) + 2 * (i % RING) : NULL;
}

/* A filled buffer, whatever is in it. */
static void
say_received(void)
{
	unsigned ring = 0x2800 + (byte() & 1) * 0x100;
	uint64_t *d = descriptor(ring, byte());

	if (!d)
		return;
	d[1] = (uint64_t)word() << 32 | word();
	if (byte() & 1)
		d[1] |= env.chip.chip == MODEL_82574 ? 3 : 3ull << 32;
	e1000_model_raise(&env.chip, 1u << 7 | 3u << 20);
}

/* "Sent": the driver frees it, so the model must not look at it any more. */
static void
say_sent(void)
{
	uint64_t *d = descriptor(0x3800 + (byte() & 1) * 0x100, byte());

	env.chip.is_stuck = true;
	if (d)
		d[1] |= 1ull << 32;
	e1000_model_raise(&env.chip, 1u << 0 | 3u << 22);
}

static void
plug_in_again(void)
{
	bool has_msix = env.chip.has_msix;
	uint64_t dma_end = env.chip.dma_end;

	e1000_model_init(&env.chip, env.chip.chip, env_mac);
	env.chip.has_msix = has_msix;
	env.chip.dma_end = dma_end;
}

static void
set_up(bool is_up)
{
	if (is_up && !(env.nd->flags & NETDEV_UP)) {
		if (env.nd->ops->up(env.nd) == OK)
			env.nd->flags |= NETDEV_UP;
	} else if (!is_up && env.nd->flags & NETDEV_UP) {
		env.nd->flags &= ~(uint32_t)NETDEV_UP;
		env.nd->ops->down(env.nd);
		for (unsigned i = 0; i < env.nd->num_queues; i++) {
			pkt_queue_free(&env.nd->queues[i].held);
			env.nd->queues[i].held = (struct pkt_queue){0};
			env.nd->queues[i].is_stopped = false;
		}
	}
}

static void
send_one(void)
{
	struct pkt *p;

	if (!(env.nd->flags & NETDEV_UP) || env.nd->queues[0].held.count > 50)
		return;
	p = env_packet(TYPE, 60 + byte() * 8, 1);
	if (!p)
		return;
	if (byte() & 1) {
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = (uint16_t)(p->data + 34 - p->head);
		p->csum_offset = 16;
	}
	(void)env_send(
	    p, byte() % env.nd->num_queues); /* what it says is not the point */
}

static void
step(void)
{
	switch (byte() % 14) {
	case 0: (void)env_receive(NULL, TYPE, 60 + byte() * 37, 1); break;
	case 1:
	case 2: say_received(); break;
	case 3: say_sent(); break;
	case 4:
	case 5: send_one(); break;
	case 6: env.nd->ops->tx_timeout(env.nd); break;
	case 7: e1000_model_set_link(&env.chip, byte() & 1); break;
	case 8: e1000_model_raise(&env.chip, word()); break;
	case 9: lies_left = byte(); break;
	case 10:
		/* An error leaves the old one; both are fine. */
		(void)env.nd->ops->set_mtu(env.nd, byte() & 1 ? 9000 : 1500);
		break;
	case 11: set_up(byte() & 1); break;
	case 12:
		if (env.chip.is_gone)
			plug_in_again();
		else
			env.chip.is_gone = true;
		break;
	default: fake_kmalloc_fail_nth(byte()); break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	in_end = data + size;
	lies_left = 0;
	num_cpus = 2;
	fake_kmalloc_fail_nth(0);
	env_init(byte() % 4);
	env.chip.on_sent = NULL;
	env.lie = lie;
	if (byte() & 1)
		lies_left = byte(); /* already while it attaches */
	if (env_attach() == OK) {
		set_up(true);
		for (unsigned i = 0; i < MAX_STEPS && in < in_end; i++) {
			step();
			if (byte() & 3)
				env_settle();
		}
	}
	lies_left = 0;
	fake_kmalloc_fail_nth(0);
	if (env.nd)
		set_up(false);
	env.chip.violations = 0; /* lies make the driver write what it never would */
	if (!env_end())
		abort();
	return 0;
}
