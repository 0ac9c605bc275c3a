/*
 * net/tcp_sndbuf.c: the stream comes out as it went in, whatever pieces it is made of, and every page
 * is given back.
 * LINK: net/tcp_sndbuf.c net/pkt.c net/pkt_data.c net/drops.c lib/inet_csum.c lib/string.c
 * lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/kmalloc.c tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/tcp_conn.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static uint8_t
byte_at(uint32_t pos)
{
	return (uint8_t)(pos * 31 + (pos >> 8) * 7);
}

/* Adds n bytes of the stream; pieces follow each other in a block, or not. */
static bool
add(struct tcp_sndbuf *b, uint32_t *end, uint32_t n, bool is_apart)
{
	while (n) {
		struct tcp_chunk c;
		uint8_t *p;

		if (!tcp_frag_take(n + is_apart, &c) || !tcp_sndbuf_reserve(b, 1))
			return false;
		if (is_apart && c.len > 1)
			c.len--; /* a byte nobody uses */
		p = (uint8_t *)page_to_virt(c.page) + c.off;
		c.len = MIN(c.len, n);
		for (uint32_t i = 0; i < c.len; i++)
			p[i] = byte_at(*end + i);
		tcp_sndbuf_add(b, c.page, c.off, c.len);
		*end += c.len;
		n -= c.len;
	}
	return true;
}

static bool
is_right(const struct tcp_sndbuf *b, uint32_t off, uint32_t len, uint32_t front)
{
	static uint8_t out[1 << 17];

	tcp_sndbuf_copy(b, off, len, out);
	for (uint32_t i = 0; i < len; i++)
		if (out[i] != byte_at(front + off + i))
			return false;
	return true;
}

KTEST(writes_that_follow_in_memory_are_one_piece)
{
	struct tcp_sndbuf b = {.len = 0};
	uint32_t end = 0;

	for (unsigned i = 0; i < 50; i++)
		CHECK(add(&b, &end, 20, false));
	CHECK_EQ(b.tail - b.head, 1);
	CHECK_EQ(b.len, 1000);
	CHECK(is_right(&b, 0, 1000, 0));
	tcp_sndbuf_clear(&b);
	CHECK_EQ(b.len, 0);
}

KTEST(any_part_is_copied_right_while_front_and_end_move)
{
	struct tcp_sndbuf b = {.pos = 0};
	uint32_t front = 0, end = 0;

	srand(1);
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t len, off;

		if (end - front < 60000)
			CHECK(add(&b, &end, 1 + (uint32_t)rand() % 3000, rand() & 1));
		off = (uint32_t)rand() % b.len;
		len = 1 + (uint32_t)rand() % (b.len - off);
		CHECK(is_right(&b, off, len, front));
		len = (uint32_t)rand() % (b.len + 1);
		if (rand() & 1) {
			tcp_sndbuf_consume(&b, len);
			front += len;
		}
		if (!b.len)
			CHECK(add(&b, &end, 10, false));
		CHECK_EQ(b.len, end - front);
	}
	tcp_sndbuf_clear(&b);
	CHECK(!b.ring);
}

KTEST(positions_may_wrap)
{
	struct tcp_sndbuf b = {.pos = UINT32_MAX - 500};
	uint32_t end = 0;

	CHECK(add(&b, &end, 400, true) && add(&b, &end, 400, true) &&
	      add(&b, &end, 400, true));
	CHECK(is_right(&b, 350, 700, 0));
	tcp_sndbuf_consume(&b, 900);
	CHECK_EQ(b.pos, 399);
	CHECK(is_right(&b, 0, 300, 900));
	tcp_sndbuf_clear(&b);
}

KTEST(a_span_ends_with_the_last_piece_allowed)
{
	struct tcp_sndbuf b = {.len = 0};
	uint32_t end = 0;

	for (unsigned i = 0; i < 10; i++)
		CHECK(add(&b, &end, 100, true));
	CHECK_EQ(b.tail - b.head, 10);
	CHECK_EQ(tcp_sndbuf_span(&b, 0, 1000, 3), 300);
	CHECK_EQ(tcp_sndbuf_span(&b, 50, 950, 3), 250);
	CHECK_EQ(tcp_sndbuf_span(&b, 50, 80, 3), 80);
	CHECK_EQ(tcp_sndbuf_span(&b, 850, 150, 18), 150);
	tcp_sndbuf_clear(&b);
}

KTEST(attached_pieces_outlive_the_buffer)
{
	struct tcp_sndbuf b = {.len = 0};
	uint32_t end = 0;
	uint8_t out[700];
	struct pkt *p;

	pkt_init();
	p = pkt_alloc(0);
	CHECK(p);
	for (unsigned i = 0; i < 10; i++)
		CHECK(add(&b, &end, 100, true));
	CHECK(tcp_sndbuf_attach(&b, 150, 700, p));
	CHECK_EQ(p->num_frags, 8);
	tcp_sndbuf_clear(&b);
	CHECK_EQ(pkt_len(p), 700);
	CHECK(pkt_read(p, 0, out, 700));
	for (uint32_t i = 0; i < 700; i++)
		CHECK_EQ(out[i], byte_at(150 + i));
	pkt_free(p);
}

KTEST(pages_come_back)
{
	struct tcp_sndbuf b = {.len = 0};
	uint32_t end = 0;
	long before;

	CHECK(add(&b, &end, 1, false)); /* the CPU has its block */
	before = fake_frames_live;
	CHECK(add(&b, &end, 200000, true));
	CHECK(fake_frames_live > before);
	tcp_sndbuf_clear(&b);
	CHECK(fake_frames_live <= before + 8); /* but the one it cuts from now */
}

KTEST(no_memory_is_said)
{
	struct tcp_sndbuf b = {.len = 0};

	fake_kmalloc_fail_nth(1);
	CHECK(!tcp_sndbuf_reserve(&b, 100));
	fake_kmalloc_fail_nth(0);
	CHECK(tcp_sndbuf_reserve(&b, 100));
	kfree(b.ring);
}
