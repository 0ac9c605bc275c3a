/*
 * net/pkt.c, net/pkt_data.c: shapes of packets, sharing, and that nothing is lost.
 * LINK: net/pkt.c net/pkt_data.c net/drops.c lib/inet_csum.c lib/string.c lib/fmt.c mm/uio.c
 * fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/kmalloc.c
 * tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 */
#include "net/pkt.h"

#include <stdlib.h>

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/uio.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static void
setup(void)
{
	static bool is_done;

	if (!is_done) {
		pkt_init();
		fake_kmalloc_live = 0;
	}
	is_done = true;
}

static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

/* linear bytes, then fragments of the given lengths; the bytes count on through all. */
static struct pkt *
make(size_t linear, const size_t *frags, unsigned num)
{
	struct pkt *p = pkt_alloc(linear);
	uint8_t *d = pkt_put(p, linear);
	size_t at = 0;

	for (size_t i = 0; i < linear; i++)
		d[i] = pattern(at++);
	for (unsigned f = 0; f < num; f++) {
		struct page *page = page_alloc(0, ALLOC_NORMAL);
		uint8_t *b = page_to_virt(page);

		for (size_t i = 0; i < frags[f]; i++)
			b[16 + i] = pattern(at++);
		if (!pkt_add_frag(p, page, 16, (uint32_t)frags[f]))
			page_put(page);
	}
	return p;
}

static bool
is_pattern(const struct pkt *p, size_t from)
{
	uint8_t buf[8192];
	size_t n = pkt_len(p);

	if (n > sizeof(buf) || !pkt_read(p, 0, buf, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (buf[i] != pattern(from + i))
			return false;
	return true;
}

static const size_t three[] = {100, 1, 333};

/* A head, its fragments, and two more packets with fragments: the bytes of them in order. */
static struct pkt *
make_chain(size_t *total)
{
	struct pkt *p = make(50, three, 3);
	size_t at = pkt_len(p);

	for (unsigned k = 0; k < 2; k++) {
		struct pkt *m = make(40, three, 2);

		for (size_t i = 0; i < pkt_len(m); i++) {
			uint8_t b = pattern(at + i);

			if (!pkt_write(m, i, &b, 1))
				abort();
		}
		at += pkt_len(m);
		pkt_chain(p, m);
	}
	*total = at;
	return p;
}

KTEST(pkt_push_pull_put_keep_within_the_storage)
{
	struct pkt *p;

	setup();
	p = pkt_alloc(10);
	CHECK(pkt_len(p) == 0 && !pkt_pull(p, 1));
	CHECK(pkt_push(p, PKT_HEADROOM));
	CHECK(!pkt_push(p, 1));
	CHECK_EQ(pkt_len(p), PKT_HEADROOM);
	CHECK(pkt_pull(p, PKT_HEADROOM));
	CHECK(pkt_put(p, 10));
	CHECK(!pkt_put(p, PKT_LINEAR));
	pkt_free(p);
	CHECK(!pkt_alloc(SIZE_MAX));
	CHECK_EQ(fake_kmalloc_live, 0);
}

/* The descriptor lies in front of its first storage: it and a clone's bytes end in either order. */
KTEST(pkt_descriptor_lives_on_when_its_bytes_move)
{
	setup();
	for (unsigned order = 0; order < 2; order++) {
		struct pkt *p = pkt_alloc(100), *c;
		uint32_t alone = p->truesize;

		memset(pkt_put(p, 100), 7, 100);
		c = pkt_clone(p);
		CHECK(c && c->data == p->data);
		CHECK(pkt_writable(p, 0)); /* shared: its bytes move */
		CHECK(c->data != p->data);
		CHECK(p->truesize > alone);
		CHECK(pkt_tailroom(p, 3000)); /* and again */
		p->data[0] = 8;
		pkt_free(order ? c : p);
		CHECK_EQ((order ? p : c)->data[0], order ? 8 : 7);
		CHECK_EQ((order ? p : c)->data[99], 7);
		pkt_free(order ? p : c);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}

KTEST(pkt_reads_and_writes_across_every_piece)
{
	struct pkt *p;
	size_t total;
	uint8_t buf[2000];

	setup();
	p = make_chain(&total);
	CHECK_EQ(pkt_len(p), total);
	CHECK(is_pattern(p, 0));
	for (size_t off = 0; off <= total; off++) {
		CHECK(pkt_read(p, off, buf, total - off));
		CHECK(!pkt_read(p, off, buf, total - off + 1));
		for (size_t i = 0; i < total - off; i++)
			CHECK_EQ(buf[i], pattern(off + i));
	}
	CHECK(!pkt_read(p, total + 1, buf, 0));
	CHECK(!pkt_read(p, 1, buf, SIZE_MAX));
	pkt_free(p);
	CHECK_EQ(fake_kmalloc_live, 0);
	CHECK_EQ(fake_frames_live, 0);
}

KTEST(pkt_csum_over_odd_pieces_is_that_of_the_bytes)
{
	struct pkt *p;
	size_t total;
	uint8_t buf[2000];

	setup();
	p = make_chain(&total);
	CHECK(pkt_read(p, 0, buf, total));
	for (size_t off = 0; off < total; off += 13)
		CHECK_EQ(csum_finish(pkt_csum(p, off, total - off, 0)),
		    csum_finish(csum_add(0, buf + off, total - off)));
	pkt_free(p);
}

KTEST(pkt_trim_cuts_at_every_length)
{
	size_t total;

	setup();
	for (size_t len = 0; len < 1200; len++) {
		struct pkt *p = make_chain(&total);

		pkt_trim(p, len);
		CHECK_EQ(pkt_len(p), MIN(len, total));
		CHECK(is_pattern(p, 0));
		pkt_free(p);
		CHECK_EQ(fake_kmalloc_live, 0);
		CHECK_EQ(fake_frames_live, 0);
	}
}

KTEST(pkt_need_moves_any_front_into_the_linear_part)
{
	size_t total;

	setup();
	for (size_t n = 0; n < 1200; n += 3) {
		struct pkt *p = make_chain(&total);

		if (n > total) {
			CHECK(!pkt_need(p, n));
		} else {
			CHECK(pkt_need(p, n));
			CHECK(pkt_linear(p) >= n);
		}
		CHECK_EQ(pkt_len(p), total);
		CHECK(is_pattern(p, 0));
		pkt_free(p);
		CHECK_EQ(fake_kmalloc_live, 0);
		CHECK_EQ(fake_frames_live, 0);
	}
}

KTEST(pkt_clone_shares_until_writable)
{
	struct pkt *p, *c;
	size_t total;

	setup();
	p = make_chain(&total);
	p->l3_off = (uint16_t)(p->data - p->head);
	c = pkt_clone(p);
	CHECK(c->data == p->data && pkt_len(c) == total && is_pattern(c, 0));
	CHECK(pkt_writable(c, 400));
	CHECK(c->data != p->data);
	CHECK(c->head + c->l3_off == c->data);
	c->data[0] = (uint8_t)~pattern(0);
	CHECK_EQ(p->data[0], pattern(0));
	pkt_free(p);
	CHECK_EQ(pkt_len(c), total);
	c->data[0] = pattern(0);
	CHECK(is_pattern(c, 0));
	pkt_free(c);
	CHECK_EQ(fake_kmalloc_live, 0);
	CHECK_EQ(fake_frames_live, 0);
}

KTEST(pkt_copy_has_everything_in_one_piece)
{
	struct pkt *p, *c;
	size_t total;

	setup();
	p = make_chain(&total);
	CHECK(pkt_pull(p, 20));
	p->l3_off = (uint16_t)(p->data - p->head - 14);
	c = pkt_copy(p, 300);
	CHECK_EQ(pkt_linear(c), total - 20);
	CHECK(is_pattern(c, 20));
	CHECK_EQ(c->data - (c->head + c->l3_off), 14);
	CHECK_EQ(c->head[c->l3_off], pattern(6));
	pkt_free(p);
	pkt_free(c);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pkt_add_frag_joins_neighbours_and_stops_at_the_limit)
{
	struct pkt *p;
	struct page *page;

	setup();
	p = pkt_alloc(0);
	page = page_alloc(0, ALLOC_NORMAL);
	for (unsigned i = 0; i < 10; i++)
		CHECK(pkt_add_frag(p, page_get(page), i * 100, 100));
	CHECK_EQ(p->num_frags, 1);
	for (unsigned i = 1; i < PKT_MAX_FRAGS; i++)
		CHECK(pkt_add_frag(p, page_get(page), i * 200, 100));
	CHECK(!pkt_add_frag(p, page, 0, 1));
	CHECK_EQ(pkt_len(p), 1000 + 100 * (PKT_MAX_FRAGS - 1));
	pkt_free(p);
	page_put(page);
	CHECK_EQ(fake_frames_live, 0);
}

KTEST(pkt_calls_survive_every_failed_allocation)
{
	size_t total;

	setup();
	for (unsigned nth = 1; nth < 40; nth++) {
		struct pkt *p = make_chain(&total), *c;

		fake_kmalloc_fail_nth(nth);
		c = pkt_clone(p);
		pkt_free(c);
		c = pkt_copy(p, 1000);
		pkt_free(c);
		(void)pkt_need(p, 700);
		c = pkt_alloc(9000);
		pkt_free(c);
		fake_kmalloc_fail_nth(0);
		CHECK(is_pattern(p, 0));
		pkt_free(p);
		CHECK_EQ(fake_kmalloc_live, 0);
		CHECK_EQ(fake_frames_live, 0);
	}
}

static uint32_t released;

static void
on_release(void *arg, uint32_t charge)
{
	*(uint32_t *)arg += charge;
}

KTEST(pkt_release_comes_once_and_not_for_clones)
{
	struct pkt *p, *c;

	setup();
	released = 0;
	p = pkt_alloc(10);
	p->release = on_release;
	p->release_arg = &released;
	p->release_charge = 7;
	c = pkt_clone(p);
	pkt_free(c);
	CHECK_EQ(released, 0);
	pkt_release(p);
	CHECK_EQ(released, 7);
	pkt_free(p);
	CHECK_EQ(released, 7);
}

KTEST(pkt_queue_keeps_order_and_sums)
{
	struct pkt_queue q = {0}, r = {0};
	struct pkt *a, *b, *c;

	setup();
	a = pkt_alloc(1);
	b = pkt_alloc(2000);
	c = pkt_alloc(1);
	pkt_queue_push(&q, a);
	pkt_queue_push(&q, b);
	pkt_queue_push(&r, c);
	pkt_queue_splice(&r, &q);
	CHECK(!q.first && r.count == 3);
	CHECK(pkt_queue_pop(&r) == c);
	pkt_queue_push_front(&r, c);
	CHECK(pkt_queue_pop(&r) == c && pkt_queue_pop(&r) == a);
	CHECK_EQ(r.truesize, b->truesize);
	pkt_queue_free(&r);
	pkt_free(a);
	pkt_free(c);
	CHECK_EQ(r.count, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pkt_drop_counts_its_reason)
{
	uint64_t before;

	setup();
	before = drop_total(DROP_IP_TTL);
	pkt_drop(pkt_alloc(1), DROP_IP_TTL);
	CHECK_EQ(drop_total(DROP_IP_TTL), before + 1);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pkt_fill_from_uio_goes_on_in_pages)
{
	static uint8_t src[10000];
	struct uio u;
	struct pkt *p;

	setup();
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = pattern(i);
	p = pkt_alloc(100);
	uio_init_kernel(&u, src, 8000, true);
	CHECK_EQ(pkt_fill_from_uio(p, &u, 8000), 0);
	CHECK_EQ(pkt_len(p), 8000);
	CHECK(is_pattern(p, 0));
	pkt_free(p);
	CHECK_EQ(fake_frames_live, 0);
}
