/*
 * net/gro.c and net/gso.c: what is coalesced, what is not, and that segmentation of a coalesced
 * packet gives the segments back.
 * LINK: net/gro.c net/gso.c net/pkt.c net/pkt_data.c net/drops.c net/ip_addr.c lib/inet_csum.c
 * lib/string.c lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/kmalloc.c tests/fakes/frames.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c
 */
#include "net/gro.h"

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/page.h"
#include "net/ether.h"
#include "net/gso.h"
#include "net/ip.h"
#include "net/rx.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static struct pkt_queue passed;

void
net_input_steered(struct pkt *p)
{
	pkt_queue_push(&passed, p);
}

PER_CPU(uint64_t[NUM_MIBS], mib_counters);

static struct netdev dev = {.index = 2, .features = NETDEV_GRO, .mtu = 1500};

/* One frame to be made. */
struct frame {
	bool is_v6;
	uint16_t sport;
	uint32_t seq, ack;
	uint16_t len;
	uint8_t flags, tos, ttl;
	uint32_t ts;
	bool has_bad_csum, has_ip_options;
};

enum { ACK = 0x10, PSH = 8, FIN = 1 };

static void
setup(void)
{
	static bool is_done;

	if (!is_done)
		pkt_init();
	is_done = true;
	fake_kmalloc_live = 0;
	passed = (struct pkt_queue){0};
}

static void
put_tcp(uint8_t *t, const struct frame *f)
{
	be32 seq = be32_of(f->seq), ack = be32_of(f->ack), ts = be32_of(f->ts);
	static const uint8_t opt[] = {1, 1, 8, 10};

	memset(t, 0, 32);
	t[0] = (uint8_t)(f->sport >> 8);
	t[1] = (uint8_t)f->sport;
	t[3] = 80;
	memcpy(t + 4, &seq, 4);
	memcpy(t + 8, &ack, 4);
	t[12] = 8 << 4;
	t[13] = f->flags;
	t[14] = 0x10;
	memcpy(t + 20, opt, 4);
	memcpy(t + 24, &ts, 4);
	for (unsigned i = 0; i < f->len; i++)
		t[32 + i] = (uint8_t)(f->seq + i);
}

/* Data at the IP header, as ether_input leaves it; 6 bytes of padding behind. */
static struct pkt *
make(const struct frame *f)
{
	size_t ip_len = f->is_v6 ? 40 : 20, l4_len = 32u + f->len;
	struct pkt *p = pkt_alloc(ip_len + l4_len + 20);
	uint8_t *h = pkt_put(p, 14);
	uint8_t tail[4] = {0, 6, (uint8_t)(l4_len >> 8), (uint8_t)l4_len};
	uint32_t sum;
	be16 csum;

	memset(h, 0, 14);
	p->l2_off = (uint16_t)(h - p->head);
	pkt_pull(p, 14);
	h = pkt_put(p, ip_len + l4_len + 6);
	memset(h, 0, ip_len + l4_len + 6);
	if (f->is_v6) {
		struct ip6_header ip = {.ver_tc_flow.b = {0x60, f->tos},
		    .payload_len = be16_of((uint16_t)l4_len),
		    .next = 6,
		    .hop_limit = f->ttl,
		    .src = {0xfe, 0x80},
		    .dst = {0xfe, 0x80, 1}};

		memcpy(h, &ip, 40);
		sum = csum_add(csum_add(0, tail, 4), h + 8, 32);
	} else {
		struct ip4_header ip = {.ver_ihl = f->has_ip_options ? 0x46 : 0x45,
		    .tos = f->tos,
		    .len = be16_of((uint16_t)(20 + l4_len)),
		    .frag = be16_of(0x4000),
		    .ttl = f->ttl,
		    .proto = 6,
		    .src.b = {10, 0, 0, 1},
		    .dst.b = {10, 0, 0, 2}};

		ip.csum = be16_of(csum_finish(csum_add(0, &ip, 20)));
		memcpy(h, &ip, 20);
		sum = csum_add(csum_add(0, tail, 4), h + 12, 8);
	}
	put_tcp(h + ip_len, f);
	csum = be16_of(
	    (uint16_t)(csum_finish(csum_add(sum, h + ip_len, l4_len)) + f->has_bad_csum));
	memcpy(h + ip_len + 16, &csum, 2);
	p->protocol = f->is_v6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
	p->dev = &dev;
	p->l3_off = (uint16_t)(p->data - p->head);
	return p;
}

static void
receive(const struct frame *f)
{
	struct pkt *p = make(f);

	if (!gro_receive(p))
		net_input_steered(p);
}

static const struct frame first = {
    .sport = 4000, .seq = 1000, .ack = 7, .len = 500, .flags = ACK, .ttl = 64, .ts = 9};

static struct frame
after(struct frame f)
{
	f.seq += f.len;
	return f;
}

static unsigned
passed_count(void)
{
	unsigned n = passed.count;

	pkt_queue_free(&passed);
	return n;
}

KTEST(gro_makes_one_of_segments_in_order_and_gso_gives_them_back)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct frame f = first;
		struct pkt *p, *next, *want;

		setup();
		f.is_v6 = v6;
		for (unsigned i = 0; i < 10; i++) {
			receive(&f);
			f = after(f);
		}
		f.len = 77;
		f.flags |= PSH;
		receive(&f);
		CHECK_EQ(passed.count, 1); /* PSH and the short one end it */
		p = pkt_queue_pop(&passed);
		CHECK_EQ(pkt_len(p), (v6 ? 72 : 52) + 5000 + 77);
		CHECK_EQ(p->gso_segs, 11);
		CHECK_EQ(p->gso_size, 500);
		if (!v6)
			CHECK_EQ(csum_finish(csum_add(0, p->data, 20)), 0);
		p->data -= 14;
		f = first;
		f.is_v6 = v6;
		for (p = gso_prepare(&dev, p); p; p = next) {
			uint8_t a[600], b[600];

			next = p->next;
			if (f.seq == 1000 + 5000) {
				f.len = 77;
				f.flags |= PSH;
			}
			want = make(&f);
			pkt_pull(p, 14);
			pkt_trim(want, pkt_len(want) - 6);
			CHECK_EQ(pkt_len(p), pkt_len(want));
			CHECK(pkt_read(p, 0, a, pkt_len(p)));
			CHECK(pkt_read(want, 0, b, pkt_len(p)));
			if (!v6) { /* the identification counts on */
				CHECK_EQ(csum_finish(csum_add(0, a, 20)), 0);
				memcpy(a + 4, b + 4, 2);
				memcpy(a + 10, b + 10, 2);
			}
			CHECK(!memcmp(a, b, pkt_len(p)));
			pkt_free(p);
			pkt_free(want);
			f = after(f);
		}
		CHECK_EQ(f.seq, 1000 + 5000 + 77);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}

KTEST(gro_flush_passes_what_is_held)
{
	struct frame f = first;

	setup();
	receive(&f);
	f = after(f);
	receive(&f);
	CHECK_EQ(passed.count, 0);
	gro_flush();
	CHECK_EQ(passed_count(), 1);
	gro_flush();
	CHECK_EQ(passed_count(), 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

/* Two segments, the second changed by `f`; how many packets come of it. */
static unsigned
two(struct frame second)
{
	setup();
	receive(&first);
	receive(&second);
	gro_flush();
	return passed_count();
}

KTEST(gro_keeps_apart_what_differs)
{
	struct frame f = after(first);

	CHECK_EQ(two(f), 1);
	f.seq++;
	CHECK_EQ(two(f), 2);
	f = after(first), f.ack++;
	CHECK_EQ(two(f), 2);
	f = after(first), f.ts++;
	CHECK_EQ(two(f), 2);
	f = after(first), f.tos = 3;
	CHECK_EQ(two(f), 2);
	f = after(first), f.ttl--;
	CHECK_EQ(two(f), 2);
	f = after(first), f.sport++;
	CHECK_EQ(two(f), 2);
	f = after(first), f.flags |= FIN;
	CHECK_EQ(two(f), 2);
	f = after(first), f.len++;
	CHECK_EQ(two(f), 2);
	f = after(first), f.len = 0;
	CHECK_EQ(two(f), 2);
	f = after(first), f.has_bad_csum = true;
	CHECK_EQ(two(f), 2);
	f = after(first), f.has_ip_options = true;
	CHECK_EQ(two(f), 2);
	f = after(first), f.is_v6 = true;
	CHECK_EQ(two(f), 2);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(gro_passes_the_held_segment_before_its_flows_next_packet)
{
	struct frame f = after(first);
	struct pkt *p;

	setup();
	receive(&first);
	f.len = 0; /* nor does an acknowledgement alone overtake */
	receive(&f);
	gro_flush();
	p = pkt_queue_pop(&passed);
	CHECK_EQ(pkt_len(p), 552);
	pkt_free(p);
	p = pkt_queue_pop(&passed);
	CHECK_EQ(pkt_len(p), 52);
	pkt_free(p);
	CHECK_EQ(fake_kmalloc_live, 0);
}

static const struct frame bare = {
    .sport = 4000, .seq = 1000, .ack = 7, .flags = ACK, .ttl = 64, .ts = 9};

/* A bare acknowledgement, and another; how many packets come of them. */
static unsigned
two_acks(struct frame second)
{
	setup();
	receive(&bare);
	receive(&second);
	gro_flush();
	return passed_count();
}

KTEST(gro_keeps_the_last_of_bare_acknowledgements)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct frame f = bare;
		struct pkt *p;
		be32 ack;

		setup();
		mib_counters[MIB_TcpExt_TCPBacklogCoalesce] = 0;
		f.is_v6 = v6;
		for (unsigned i = 0; i < 6; i++, f.ack += 2896, f.ts++)
			receive(&f);
		CHECK_EQ(passed.count, 1); /* four make one, lest slow start be slow */
		gro_flush();
		CHECK_EQ(passed.count, 2);
		p = pkt_queue_pop(&passed);
		CHECK(pkt_read(p, (v6 ? 40 : 20) + 8, &ack, sizeof(ack)));
		CHECK_EQ(be32_get(ack), 7 + 3 * 2896);
		CHECK_EQ(p->gso_size, 0);
		pkt_free(p);
		p = pkt_queue_pop(&passed);
		CHECK(pkt_read(p, (v6 ? 40 : 20) + 8, &ack, sizeof(ack)));
		CHECK_EQ(be32_get(ack), 7 + 5 * 2896);
		CHECK_EQ(mib_counters[MIB_TcpExt_TCPBacklogCoalesce], 4);
		pkt_free(p);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}

KTEST(gro_drops_no_acknowledgement_that_says_something_of_its_own)
{
	struct frame f = bare;

	f.ack++;
	CHECK_EQ(two_acks(f), 1);
	CHECK_EQ(two_acks(bare), 2); /* a duplicate: a sign of loss */
	f.ack = bare.ack - 1;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.ts--;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.seq++;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.tos = 3;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.flags |= FIN;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.flags |= 0x40; /* ECE */
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.len = 10;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.sport++;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++, f.has_bad_csum = true;
	CHECK_EQ(two_acks(f), 2);
	f = bare, f.ack++;
	dev.is_forwarding4 = true;
	CHECK_EQ(two_acks(f), 2);
	dev.is_forwarding4 = false;
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(gro_stops_at_64_KiB)
{
	struct frame f = first;
	unsigned total = 0;
	struct pkt *p;

	setup();
	f.len = 1448;
	for (unsigned i = 0; i < 100; i++) {
		receive(&f);
		f = after(f);
	}
	gro_flush();
	CHECK(passed.count >= 3);
	while ((p = pkt_queue_pop(&passed))) {
		CHECK(pkt_len(p) <= PKT_MAX_LEN);
		total += (unsigned)pkt_len(p) - 52;
		pkt_free(p);
	}
	CHECK_EQ(total, 144800);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(gso_of_a_device_without_anything_gives_one_piece_tag_and_checksum)
{
	struct frame f = first;
	struct pkt *p;
	struct page *page;
	uint8_t *h;

	setup();
	p = make(&f);
	pkt_trim(p, pkt_len(p) - 6);
	p->data -= 14;
	memset(p->data, 0x11, 12);
	memset(p->data + 34 + 16, 0, 2); /* the pseudo header's part, here none */
	page = page_alloc(0, ALLOC_ZERO);
	CHECK(pkt_add_frag(p, page, 0, 10));
	p->flags |= PKT_HAS_VLAN | PKT_CSUM_PARTIAL;
	p->vlan_tci = 5;
	p->csum_start = (uint16_t)(p->l3_off + 20);
	p->csum_offset = 16;
	CHECK(gso_is_needed(&dev, p));
	p = gso_prepare(&dev, p);
	CHECK(p && !p->next && p->num_frags == 0);
	h = p->data;
	CHECK(h[11] == 0x11 && h[12] == 0x81 && h[13] == 0 && h[15] == 5);
	CHECK_EQ(csum_finish(pkt_csum(p, 18 + 20, pkt_len(p) - 38, 0)), 0);
	CHECK(!gso_is_needed(&dev, p));
	pkt_free(p);
	CHECK_EQ(fake_kmalloc_live, 0);
	CHECK_EQ(fake_frames_live, 0);
}
