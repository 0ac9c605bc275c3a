/*
 * net/tcp_table.c: one connection a four-tuple, and none is lost.
 * LINK: net/tcp_table.c net/ip_addr.c lib/siphash.c lib/string.c lib/fmt.c
 * tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/kmalloc.c tests/fakes/frames.c
 * tests/fakes/panic.c tests/fakes/rcu.c
 */
#include "kernel/random.h"
#include "lib/string.h"
#include "net/tcp_conn.h"
#include "tests/unit/ktest.h"

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5a, n);
}

enum { N = 20000 };

static struct tcp_entry entries[N];

static struct tcp_key
key(unsigned i)
{
	struct tcp_key k = {.local = ip_from_v4(be32_of(0x0a000001)),
	    .peer = ip_from_v4(be32_of(0x0a000100 + i / 1000)),
	    .local_port = 80,
	    .peer_port = (uint16_t)(1024 + i % 1000)};

	if (i & 1) { /* the same of IPv6 */
		memset(k.local.b, 0, 12);
		memset(k.peer.b, 0, 12);
		k.local.b[0] = k.peer.b[0] = 0x20;
	}
	return k;
}

static struct tcp_entry *
find(const struct tcp_key *k)
{
	return tcp_find(k, tcp_hash(k));
}

static void
fill(void)
{
	static bool is_ready;

	if (!is_ready)
		tcp_table_init();
	is_ready = true;
	for (unsigned i = 0; i < N; i++) {
		entries[i] = (struct tcp_entry){.key = key(i)};
		(void)tcp_entry_add(&entries[i]);
	}
}

static void
empty(void)
{
	for (unsigned i = 0; i < N; i++)
		(void)tcp_entry_remove(&entries[i]);
}

static bool
count(struct tcp_entry *e, void *arg)
{
	return ++*(unsigned *)arg % 10;
}

static unsigned
count_all(void)
{
	unsigned num = 0;
	uint32_t bucket = 0;

	do {
		bucket = tcp_for_each(bucket, count, &num);
	} while (bucket);
	return num;
}

KTEST(every_entry_is_found_by_its_tuple_and_walked_once)
{
	fill();
	for (unsigned i = 0; i < N; i++) {
		struct tcp_key k = key(i);

		CHECK(find(&k) == &entries[i]);
	}
	CHECK_EQ(count_all(), N);
	empty();
	CHECK_EQ(count_all(), 0);
}

KTEST(each_part_of_the_tuple_counts)
{
	struct tcp_key k;

	fill();
	k = key(4);
	k.local_port++;
	CHECK(!find(&k));
	k = key(4);
	k.local.b[15] ^= 1;
	CHECK(!find(&k));
	k = key(5);
	k.scope_if = 3;
	CHECK(!find(&k));
	k = key(4);
	k.peer_port += 1000; /* beyond those used */
	CHECK(!find(&k));
	empty();
}

KTEST(a_second_entry_of_one_tuple_is_refused_with_the_first)
{
	struct tcp_entry twin = {.key = key(7)};

	fill();
	CHECK(tcp_entry_add(&twin) == &entries[7]);
	CHECK(!twin.is_hashed);
	empty();
}

KTEST(removing_twice_says_so)
{
	struct tcp_key k = key(9);

	fill();
	CHECK(tcp_entry_remove(&entries[9]));
	CHECK(!tcp_entry_remove(&entries[9]));
	CHECK(!find(&k));
	empty();
}

KTEST(replacing_takes_the_place_only_of_one_that_is_there)
{
	struct tcp_entry heir = {.key = key(11)}, late = {.key = key(11)};

	fill();
	CHECK(tcp_entry_replace(&entries[11], &heir));
	CHECK(find(&heir.key) == &heir);
	CHECK(!entries[11].is_hashed);
	CHECK(!tcp_entry_replace(&entries[11], &late));
	CHECK(find(&heir.key) == &heir);
	CHECK(tcp_entry_remove(&heir));
	empty();
}
