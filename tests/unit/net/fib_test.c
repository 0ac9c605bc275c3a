/*
 * net/fib.c: longest prefix match against a naive model, through random tables of both families.
 * LINK: net/fib.c tests/fakes/kmalloc.c tests/fakes/rcu.c tests/fakes/panic.c lib/string.c
 * lib/fmt.c
 */
#include "net/fib.h"

#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

enum { NUM = 300 };

struct item {
	struct fib_entry entry; /* first */
	struct ip_addr prefix;
	unsigned bits;
	bool is_in, is_refused;
};

static struct item items[NUM];
static uint32_t seed;

static unsigned
rnd(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Few distinct bits, so that prefixes nest and share. */
static struct ip_addr
random_addr(bool v4)
{
	static const uint8_t few[] = {0, 0, 0x80, 0xc0, 1, 0xff, 0x20, 0x55};
	struct ip_addr a = {.q = {0, 0}};

	for (unsigned i = v4 ? 12 : 0; i < 16; i++)
		a.b[i] = few[rnd(8)];
	if (v4)
		a.b[10] = a.b[11] = 0xff;
	return a;
}

static bool
holds(const struct item *it, const struct ip_addr *a)
{
	for (unsigned i = 0; i < it->bits; i++)
		if ((it->prefix.b[i / 8] ^ a->b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static void
cut(struct item *it)
{
	for (unsigned i = it->bits; i < 128; i++)
		it->prefix.b[i / 8] &= (uint8_t) ~(1 << (7 - i % 8));
}

static bool
accepts(const struct fib_entry *e, void *arg)
{
	return !container_of(e, struct item, entry)->is_refused;
}

/* What the table should answer: the longest, then the lowest rank. */
static bool
is_right(const struct fib_entry *e, const struct ip_addr *a)
{
	const struct item *best = NULL;

	for (unsigned i = 0; i < NUM; i++) {
		struct item *it = &items[i];

		if (!it->is_in || it->is_refused || !holds(it, a))
			continue;
		if (!best || it->bits > best->bits ||
		    (it->bits == best->bits && it->entry.rank < best->entry.rank))
			best = it;
	}
	if (!best || !e)
		return !best && !e;
	return container_of(e, struct item, entry)->bits == best->bits &&
	       e->rank == best->entry.rank;
}

static bool
count_entry(struct fib_entry *e, void *arg)
{
	++*(unsigned *)arg;
	return true;
}

static bool
remove_entry(struct fib_entry *e, void *arg)
{
	struct item *it = container_of(e, struct item, entry);

	fib_remove(arg, &it->prefix, it->bits, e);
	it->is_in = false;
	return true;
}

/* A random change: the item goes in if it was out, and the other way round. */
static bool
toggle(struct fib *f, struct item *it, bool v4)
{
	if (it->is_in) {
		fib_remove(f, &it->prefix, it->bits, &it->entry);
		it->is_in = false;
		return true;
	}
	it->prefix = random_addr(v4);
	it->bits = v4 ? 96 + rnd(33) : rnd(129);
	it->is_refused = rnd(8) == 0;
	it->entry.rank = rnd(4);
	cut(it);
	if (fib_insert(f, &it->prefix, it->bits, &it->entry) != OK)
		return false;
	it->is_in = true;
	return true;
}

static bool
model_agrees(bool v4)
{
	struct fib f = {NULL};
	unsigned count = 0, expected = 0;

	memset(items, 0, sizeof(items));
	for (unsigned step = 0; step < 4000; step++) {
		struct ip_addr a;

		if (!toggle(&f, &items[rnd(NUM)], v4))
			return false;
		a = random_addr(v4);
		if (!is_right(fib_lookup(&f, &a, accepts, NULL), &a))
			return false;
		if (step % 64 == 0)
			fake_rcu_run();
	}
	for (unsigned i = 0; i < NUM; i++) {
		expected += items[i].is_in;
		if (items[i].is_in && !fib_find(&f, &items[i].prefix, items[i].bits))
			return false;
	}
	if (!fib_for_each(&f, count_entry, &count) || count != expected)
		return false;
	(void)fib_for_each(&f, remove_entry, &f);
	fake_rcu_run();
	return !f.root && fake_kmalloc_live == 0;
}

KTEST(fib_finds_longest_v6_prefix_as_a_naive_search_does)
{
	for (seed = 1; seed < 8; seed++)
		CHECK(model_agrees(false));
}

KTEST(fib_finds_longest_v4_prefix_as_a_naive_search_does)
{
	for (seed = 1; seed < 8; seed++)
		CHECK(model_agrees(true));
}

KTEST(fib_insert_without_memory_changes_nothing)
{
	struct fib f = {NULL};
	struct item a = {.bits = 128}, b = {.bits = 128};

	b.prefix.b[15] = 1;
	CHECK_EQ(fib_insert(&f, &a.prefix, a.bits, &a.entry), OK);
	for (unsigned n = 1; n <= 2; n++) {
		fake_kmalloc_fail_nth(n);
		CHECK_EQ(fib_insert(&f, &b.prefix, b.bits, &b.entry), ERR_NOMEM);
		CHECK(!fib_find(&f, &b.prefix, b.bits));
		CHECK(fib_find(&f, &a.prefix, a.bits) == &a.entry);
	}
	fib_remove(&f, &a.prefix, a.bits, &a.entry);
	fake_rcu_run();
	CHECK_EQ(fake_kmalloc_live, 0);
}
