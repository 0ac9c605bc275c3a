/*
 * mm/slab.c, kmalloc.c and slab_debug.c over the real frame allocator. LINK: mm/slab.c
 * mm/kmalloc.c mm/slab_debug.c mm/frames.c mm/frames_boot.c mm/pagetable.c lib/string.c
 * tests/fakes/ram.c tests/fakes/cpu.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/panic.c
 */
#include "mm/slab.h"

#include <stdlib.h>

#include "kernel/sync/spinlock.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ram.h"
#include "tests/unit/ktest.h"

/* One machine for all tests: caches live as long as the kernel. */
static void
setup(void)
{
	static bool is_done;

	if (is_done)
		return;
	is_done = true;
	fake_ram_init_simple(MIB(64));
	slab_init();
}

static uint64_t
num_free(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.free_pages;
}

static void
sum_in_use(const struct slab_stats *s, void *sum)
{
	*(uint64_t *)sum += s->in_use;
}

static uint64_t
num_in_use(void)
{
	uint64_t sum = 0;

	slab_for_each(sum_in_use, &sum);
	return sum;
}

KTEST(kmalloc_sizes_and_alignment)
{
	setup();
	for (size_t n = 0; n <= 20000; n += n < 600 ? 1 : 61) {
		char *p = kmalloc(n);

		CHECK(p);
		CHECK(IS_ALIGNED((vaddr_t)p, 16));
		CHECK(kmalloc_usable(p) >= n);
		memset(p, 1, kmalloc_usable(p));
		kfree(p);
	}
	for (size_t n = 16; n <= MIB(4); n *= 2) {
		char *p = kmalloc(n);

		CHECK(p);
		CHECK(IS_ALIGNED((vaddr_t)p, MIN(n, (size_t)PAGE_SIZE)));
		kfree(p);
	}
	CHECK(!kmalloc(MIB(4) + 1));
	CHECK(!kmalloc((size_t)-1));
	CHECK(!kcalloc(SIZE_MAX / 2, 3));
	CHECK_EQ(num_in_use(), 0);
}

KTEST(kzalloc_and_kcalloc_are_zeroed)
{
	const char *p;

	setup();
	for (unsigned i = 0; i < 100; i++) {
		p = kzalloc(100);
		for (unsigned k = 0; k < 100; k++)
			CHECK_EQ(p[k], 0);
		kfree((void *)p);
	}
	p = kcalloc(10, 300);
	for (unsigned k = 0; k < 3000; k++)
		CHECK_EQ(p[k], 0);
	kfree((void *)p);
}

KTEST(krealloc_keeps_contents)
{
	char *p = NULL;

	setup();
	for (size_t n = 1; n < 100000; n = n * 3 / 2 + 1) {
		p = krealloc(p, n);
		CHECK(p);
		p[n - 1] = (char)n;
		p[0] = 42;
	}
	p = krealloc(p, 5);
	CHECK_EQ(p[0], 42);
	CHECK(kmalloc_usable(p) < 100);
	CHECK(!krealloc(p, MIB(5)));
	CHECK_EQ(p[0], 42); /* still there */
	kfree(p);
	kfree(NULL);
	CHECK_EQ(num_in_use(), 0);
}

KTEST(kstrdup_copies)
{
	char *a, *b;

	setup();
	a = kstrdup("hello");
	b = kstrndup("hello", 3);
	CHECK(!strcmp(a, "hello") && !strcmp(b, "hel"));
	kfree(a);
	kfree(b);
}

KTEST(slab_trim_gives_back_all_that_is_not_in_use)
{
	enum { NUM = 300 };
	static void *objects[NUM];
	uint64_t before;

	setup();
	slab_trim();
	before = mem_free_pages();
	for (unsigned i = 0; i < NUM; i++)
		objects[i] = kmalloc(1000);
	for (unsigned i = 1; i < NUM; i++)
		kfree(objects[i]);
	slab_trim();
	CHECK(mem_free_pages() >= before - 4); /* the slab of the one that is left */
	kfree(objects[0]);
	slab_trim();
	CHECK_EQ(mem_free_pages(), before);
}

KTEST(objects_of_a_deep_cache_circulate_without_frames_until_trimmed)
{
	enum { DEPTH = 32, NUM = 2 * DEPTH };
	void *objects[NUM];
	struct slab_cache *c;
	uint64_t before, idle;

	setup();
	c = slab_cache_create_deep("deep", 8000, 64, DEPTH);
	before = mem_free_pages();
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < NUM; i++)
			CHECK((objects[i] = slab_alloc(c)));
		if (!round)
			idle = mem_free_pages();
		CHECK_EQ(mem_free_pages(), idle);
		for (unsigned i = 0; i < NUM; i++)
			slab_free(c, objects[i]);
		CHECK_EQ(mem_free_pages(), idle);
	}
	slab_trim();
	CHECK(mem_free_pages() >= before);
	slab_cache_destroy(c);
}

KTEST(slab_memory_returns_to_frames)
{
	enum { NUM = 20000 };
	static void *objs[NUM];
	struct slab_cache *c;
	uint64_t before;

	setup();
	c = slab_cache_create("test", 200, 8);
	before = num_free();
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < NUM; i++)
			CHECK(objs[i] = slab_alloc(c));
		CHECK(num_free() < before - NUM * 200 / PAGE_SIZE);
		for (unsigned i = 0; i < NUM; i++)
			slab_free(c, objs[i]);
		CHECK(num_free() > before - 20); /* a few are kept */
	}
	slab_cache_destroy(c);
	CHECK_EQ(num_free(), before);
}

KTEST(slab_destroy_of_a_used_cache_panics)
{
	struct slab_cache *c;
	void *obj;

	setup();
	c = slab_cache_create("test", 64, 64);
	obj = slab_alloc(c);
	CHECK(IS_ALIGNED((vaddr_t)obj, 64));
	CHECK(EXPECT_PANIC(slab_cache_destroy(c)));
	slab_free(c, obj);
	slab_cache_destroy(c);
}

KTEST(slab_exhaustion_gives_null_and_recovers)
{
	void *list = NULL, *p;
	uint64_t before, n = 0;

	setup();
	before = num_free();
	while ((p = kmalloc(1000))) {
		*(void **)p = list;
		list = p;
		n++;
	}
	CHECK(n > 10000);
	CHECK(!kmalloc(9000));
	CHECK(num_free() > 16); /* the reserve is untouched */
	while ((p = list)) {
		list = *(void **)p;
		kfree(p);
	}
	CHECK(num_free() > before - 40);
	CHECK(p = kmalloc(100000));
	kfree(p);
}

KTEST(slab_double_free_panics)
{
	char *p;

	setup();
	p = kmalloc(40);
	kfree(p);
	CHECK(EXPECT_PANIC(kfree(p)));
	irq_enable_nested(); /* the panic left them off */
	CHECK(strstr(fake_panic_text, "freed again"));
	p = kmalloc(9000);
	kfree(p);
	CHECK(EXPECT_PANIC(kfree(p)));
}

KTEST(slab_wrong_frees_panic)
{
	struct slab_cache *a;
	char *p, *big;

	setup();
	a = slab_cache_create("a", 100, 8);
	p = kmalloc(100);
	CHECK(EXPECT_PANIC(slab_free(a, p)));
	irq_enable_nested();
	CHECK(strstr(fake_panic_text, "belongs to kmalloc-128"));
	CHECK(EXPECT_PANIC(kfree(p + 16)));
	irq_enable_nested();
	CHECK(strstr(fake_panic_text, "inside an object"));
	kfree(p);
	big = kmalloc(20000);
	CHECK(EXPECT_PANIC(kfree(big + 4096)));
	kfree(big);
	slab_cache_destroy(a);
}

/* Damages an object behind its end or after its free; the cache is given up. */
KTEST(slab_overwrites_are_found)
{
	struct slab_cache *c;
	char *p, *q;

	setup();
	c = slab_cache_create("over", 56, 8);
	p = slab_alloc(c);
	p[56] ^= 1;
	CHECK(EXPECT_PANIC(slab_free(c, p)));
	irq_enable_nested();
	CHECK(strstr(fake_panic_text, "overwritten at its end"));
	p[56] ^= 1;
	slab_free(c, p);
	p[20] = 0;
	CHECK(EXPECT_PANIC(q = slab_alloc(c)));
	irq_enable_nested();
	CHECK(strstr(fake_panic_text, "at +20 after it was freed"));
	(void)q;
}

static unsigned num_sites;

static void
count_leak(const struct slab_leak *leak, void *unused)
{
	num_sites++;
}

KTEST(slab_leaks_are_counted_by_site)
{
	void *old, *p[7];

	setup();
	old = kmalloc(10);
	slab_mark_leaks();
	for (unsigned i = 0; i < 7; i++)
		p[i] = i < 4 ? kmalloc(33) : kzalloc(500);
	CHECK_EQ(slab_leaks_for_each(count_leak, NULL), 7);
	CHECK_EQ(num_sites, 2);
	for (unsigned i = 0; i < 7; i++)
		kfree(p[i]);
	CHECK_EQ(slab_leaks_for_each(count_leak, NULL), 0);
	kfree(old);
}

KTEST(slab_survives_random_use)
{
	enum { SLOTS = 3000, ROUNDS = 200000 };
	static struct {
		uint8_t *p;
		size_t n;
	} slot[SLOTS];
	uint64_t live, before;

	setup();
	live = before = num_in_use();
	srand(7);
	for (unsigned n = 0; n < ROUNDS; n++) {
		unsigned i = rand() % SLOTS;

		if (slot[i].p) {
			CHECK_EQ(slot[i].p[0], i % 251);
			CHECK_EQ(slot[i].p[slot[i].n - 1], i % 251);
			kfree(slot[i].p);
			slot[i].p = NULL;
			continue;
		}
		slot[i].n = 1 + rand() % (rand() % 50 ? 300 : 12000);
		slot[i].p = kmalloc(slot[i].n);
		CHECK(slot[i].p);
		slot[i].p[0] = slot[i].p[slot[i].n - 1] = i % 251;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		live += slot[i].p && slot[i].n <= 8192;
	}
	CHECK_EQ(num_in_use(), live);
	for (unsigned i = 0; i < SLOTS; i++)
		kfree(slot[i].p);
	CHECK_EQ(num_in_use(), before);
}
