/*
 * drivers/virtio/ring.c against a device's side written from the specification, honest and
 * hostile. LINK: drivers/virtio/ring.c tests/models/virtio_device.c lib/string.c
 * tests/fakes/kmalloc.c tests/fakes/panic.c tests/fakes/percpu.c
 */
#include "drivers/virtio/ring.h"

#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/models/virtio_device.h"
#include "tests/unit/ktest.h"

enum { SIZE = 8, MEMORY = 16384 };

static uint8_t memory[MEMORY] ALIGNED(4096);
static struct virtq q;
static struct model_queue dev;
static int cookies[4 * SIZE];

static bool
start(unsigned num_tables, bool has_event_idx)
{
	struct virtq_config c = {
	    .size = SIZE,
	    .num_tables = num_tables,
	    .table_len = num_tables ? 6 : 0,
	    .has_event_idx = has_event_idx,
	};
	struct dma_buf mem = {memory, (uintptr_t)memory, sizeof(memory)};

	fake_log_is_quiet = true;
	memset(memory, 0xee, sizeof(memory));
	if (virtq_bytes(&c) > MEMORY || virtq_init(&q, &c, &mem) != OK)
		return false;
	dev = (struct model_queue){
	    .desc = (uint8_t *)(uintptr_t)q.desc_addr,
	    .avail = (uint8_t *)(uintptr_t)q.avail_addr,
	    .used = (uint8_t *)(uintptr_t)q.used_addr,
	    .size = SIZE,
	    .has_event_idx = has_event_idx,
	};
	return true;
}

static bool
stop(void)
{
	while (virtq_take_back(&q))
		;
	virtq_fini(&q);
	return fake_kmalloc_live == 0;
}

/* `n` buffers of 100, 200.. bytes; the addresses tell them apart. */
static enum err
add(unsigned num_out, unsigned num_in, void *cookie)
{
	struct virtq_buf bufs[MODEL_MAX_BUFS];

	for (unsigned i = 0; i < num_out + num_in; i++)
		bufs[i] = (struct virtq_buf){0x1000 * (i + 1), 100 * (i + 1)};
	return virtq_add(&q, bufs, num_out, num_in, cookie);
}

KTEST(virtq_chain_reaches_the_device_and_comes_back_with_its_length)
{
	for (unsigned tables = 0; tables <= 2; tables += 2) {
		struct model_chain c;
		uint32_t len;

		CHECK(start(tables, true));
		CHECK_EQ(add(2, 3, &cookies[1]), OK);
		CHECK(model_pop(&dev, &c) && !c.fault);
		CHECK(c.num_out == 2 && c.num_in == 3);
		for (unsigned i = 0; i < 5; i++)
			CHECK((uintptr_t)c.bufs[i].addr == 0x1000 * (i + 1) &&
			      c.bufs[i].len == 100 * (i + 1));
		CHECK(!model_pop(&dev, &c));
		CHECK(virtq_get(&q, &len) == NULL);
		CHECK_EQ(virtq_num_out(&q), tables ? 1 : 5);
		(void)model_push(&dev, c.head, 1200); /* 300 + 400 + 500 */
		CHECK(virtq_get(&q, &len) == &cookies[1] && len == 1200);
		CHECK_EQ(virtq_num_out(&q), 0);
		CHECK(virtq_get(&q, &len) == NULL && !q.is_broken);
		CHECK(stop());
	}
}

KTEST(virtq_full_ring_refuses_and_takes_again_when_chains_came_back_out_of_order)
{
	struct model_chain c[SIZE];
	uint32_t len;

	CHECK(start(0, true));
	for (unsigned round = 0; round < 40000; round++) { /* the indices wrap */
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(add(1, 1, &cookies[i]), OK);
		CHECK(!virtq_has_room(&q, 1));
		CHECK_EQ(add(1, 0, &cookies[5]), ERR_BUSY);
		for (unsigned i = 0; i < 4; i++)
			CHECK(model_pop(&dev, &c[i]) && !c[i].fault);
		for (unsigned i = 0; i < 4; i++)
			(void)model_push(&dev, c[(i + round) % 4].head, 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK(virtq_get(&q, &len) == &cookies[(i + round) % 4]);
	}
	CHECK(!q.is_broken);
	CHECK(stop());
}

KTEST(virtq_tables_let_the_ring_hold_more_and_run_out_into_chains)
{
	struct model_chain c;
	uint32_t len;

	CHECK(start(2, true));
	CHECK_EQ(add(5, 0, &cookies[0]), OK); /* a table: one descriptor */
	CHECK_EQ(add(6, 0, &cookies[1]), OK); /* the other */
	CHECK_EQ(virtq_num_out(&q), 2);
	CHECK_EQ(add(7, 0, &cookies[2]),
	    ERR_BUSY); /* too long for any table, and for the ring */
	CHECK_EQ(add(6, 0, &cookies[2]), OK); /* no table left: a chain */
	CHECK_EQ(virtq_num_out(&q), 8);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(model_pop(&dev, &c) && !c.fault);
		CHECK_EQ(c.num_out, i ? 6 : 5);
		(void)model_push(&dev, c.head, 0);
		CHECK(virtq_get(&q, &len) == &cookies[i]);
	}
	CHECK(virtq_num_out(&q) == 0 && q.num_free_tables == 2);
	CHECK(stop());
}

/* ---- Who is told when ---- */

KTEST(virtq_kicks_once_until_the_device_looks_again)
{
	for (unsigned has_event_idx = 0; has_event_idx < 2; has_event_idx++) {
		struct model_chain c;

		CHECK(start(0, has_event_idx));
		CHECK(!virtq_needs_kick(&q)); /* nothing new */
		CHECK_EQ(add(1, 0, &cookies[0]), OK);
		CHECK(virtq_needs_kick(&q));
		CHECK(!virtq_needs_kick(&q));
		model_want_kick(&dev, false); /* it is at work */
		CHECK_EQ(add(1, 0, &cookies[1]), OK);
		CHECK(!virtq_needs_kick(&q));
		while (model_pop(&dev, &c))
			;
		model_want_kick(&dev, true);
		CHECK_EQ(add(1, 0, &cookies[2]), OK);
		CHECK_EQ(add(1, 0, &cookies[3]), OK);
		CHECK(virtq_needs_kick(&q)); /* one for both */
		CHECK(stop());
	}
}

KTEST(virtq_interrupts_come_only_when_asked_for)
{
	for (unsigned has_event_idx = 0; has_event_idx < 2; has_event_idx++) {
		struct model_chain c;
		uint32_t len;

		CHECK(start(0, has_event_idx));
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(add(1, 0, &cookies[i]), OK);
		CHECK(virtq_irq_on(&q)); /* nothing back yet */
		CHECK(model_pop(&dev, &c));
		CHECK(model_push(&dev, c.head, 0)); /* so this one interrupts */
		virtq_irq_off(&q);
		CHECK(model_pop(&dev, &c));
		CHECK(!model_push(&dev, c.head, 0)); /* and this does not */
		CHECK(
		    virtq_get(&q, &len) && !virtq_irq_on(&q)); /* one is left: no race */
		CHECK(virtq_get(&q, &len) && virtq_irq_on(&q));
		CHECK(stop());
	}
}

KTEST(virtq_late_interrupt_comes_after_half_of_what_is_out)
{
	struct model_chain c;
	uint32_t len;

	CHECK(start(0, true));
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(add(1, 0, &cookies[i]), OK);
	CHECK(virtq_irq_on_later(&q));
	for (unsigned i = 0; i < 6; i++) {
		CHECK(model_pop(&dev, &c));
		CHECK_EQ(model_push(&dev, c.head, 0), i == 3);
	}
	CHECK(!virtq_irq_on_later(&q)); /* all are back */
	for (unsigned i = 0; i < 6; i++)
		CHECK(virtq_get(&q, &len));
	CHECK_EQ(add(1, 0, &cookies[0]), OK); /* a single one is told of at once */
	CHECK(virtq_irq_on_later(&q));
	CHECK(model_pop(&dev, &c) && model_push(&dev, c.head, 0));
	CHECK(stop());
}

/* ---- A device that lies (2.7.8: the driver must not trust it) ---- */

/* Two chains are out; the device does `lie`; the queue must say `fault`. */
static bool
lie_is_found(uint32_t id, uint32_t len, int idx, enum virtq_fault fault)
{
	struct model_chain c;
	uint32_t got;

	if (!start(2, true) || add(1, 1, &cookies[0]) != OK ||
	    add(0, 4, &cookies[1]) != OK)
		return false;
	while (model_pop(&dev, &c))
		;
	(void)model_push(&dev, id, len);
	if (idx >= 0)
		model_set_used_idx(&dev, (uint16_t)idx);
	if (virtq_get(&q, &got) || !q.is_broken || q.fault != fault)
		return false;
	/* From now on it is dead, and what is out can be taken back. */
	if (add(1, 0, &cookies[2]) != ERR_IO || virtq_needs_kick(&q) ||
	    virtq_get(&q, &got))
		return false;
	(void)virtq_irq_on(&q);
	virtq_irq_off(&q);
	return virtq_take_back(&q) && virtq_take_back(&q) && !virtq_take_back(&q) &&
	       stop();
}

KTEST(virtq_breaks_when_the_device_lies)
{
	CHECK(lie_is_found(SIZE, 0, -1, VIRTQ_BAD_ID));
	CHECK(lie_is_found(0xffffffff, 0, -1, VIRTQ_BAD_ID));
	CHECK(lie_is_found(5, 0, -1, VIRTQ_BAD_ID)); /* free */
	CHECK(lie_is_found(1, 0, -1, VIRTQ_BAD_ID)); /* inside a chain */
	CHECK(lie_is_found(0, 201, -1, VIRTQ_BAD_LENGTH));
	CHECK(lie_is_found(2, 1001, -1, VIRTQ_BAD_LENGTH));
	CHECK(lie_is_found(0, 0xffffffff, -1, VIRTQ_BAD_LENGTH));
	CHECK(lie_is_found(0, 0, SIZE + 1, VIRTQ_BAD_INDEX));
	CHECK(lie_is_found(0, 0, 0xffff, VIRTQ_BAD_INDEX)); /* backwards */
}

KTEST(virtq_breaks_when_a_chain_comes_back_twice)
{
	struct model_chain c;
	uint32_t len;

	CHECK(start(0, true));
	CHECK_EQ(add(1, 0, &cookies[0]), OK);
	CHECK_EQ(add(1, 0, &cookies[1]), OK);
	CHECK(model_pop(&dev, &c));
	(void)model_push(&dev, c.head, 0);
	(void)model_push(&dev, c.head, 0);
	CHECK(virtq_get(&q, &len) == &cookies[0]);
	CHECK(virtq_get(&q, &len) == NULL && q.fault == VIRTQ_BAD_ID);
	CHECK(virtq_take_back(&q) == &cookies[1]);
	CHECK(stop());
}

KTEST(virtq_does_not_read_back_what_the_device_could_have_overwritten)
{
	struct model_chain c;
	uint32_t len;

	CHECK(start(2, true));
	CHECK_EQ(add(2, 0, &cookies[0]), OK);
	CHECK_EQ(add(0, 4, &cookies[1]), OK);
	while (model_pop(&dev, &c)) {
		/* Descriptors, tables and the available ring become rubbish. */
	}
	memset(memory, 0xff, (size_t)(dev.used - memory));
	(void)model_push(&dev, 0, 0);
	CHECK(virtq_get(&q, &len) == &cookies[0] && !q.is_broken);
	CHECK_EQ(virtq_num_out(&q), 1);
	CHECK_EQ(add(3, 0, &cookies[2]), OK);
	CHECK(stop());
}

/* A device that writes anything anywhere it may, for many rounds. */
KTEST(virtq_survives_random_used_rings)
{
	uint32_t seed = 12345;
	unsigned num_broken = 0;

	for (unsigned round = 0; round < 3000; round++) {
		uint32_t len;

		CHECK(start(2, round & 1));
		for (unsigned i = 0; i < 4; i++)
			(void)add(1 + i % 3, i % 2, &cookies[i]);
		for (unsigned i = 0; i < 12 && !q.is_broken; i++) {
			seed = seed * 1664525 + 1013904223;
			(void)model_push(&dev, seed >> 28, seed >> 20 & 0xff);
			if (seed >> 12 & 1)
				model_set_used_idx(&dev, (uint16_t)(seed >> 8 & 7));
			while (virtq_get(&q, &len))
				;
		}
		num_broken += q.is_broken;
		CHECK(stop());
	}
	CHECK(num_broken > 1000);
}

KTEST(virtq_init_without_memory_leaves_nothing)
{
	for (unsigned n = 1; n <= 2; n++) {
		fake_kmalloc_fail_nth(n);
		CHECK(!start(2, true));
		CHECK_EQ(fake_kmalloc_live, 0);
	}
	fake_kmalloc_fail_nth(0);
	CHECK(start(2, true) && stop());
}
