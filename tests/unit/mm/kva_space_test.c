/* mm/kva_space.c against a map of pages. LINK: mm/kva_space.c lib/string.c
 * tests/fakes/panic.c tests/fakes/percpu.c */
#include "mm/kva_space.h"

#include <stdlib.h>

#include "lib/string.h"
#include "mm/page.h"
#include "tests/unit/ktest.h"

enum { PAGES = 4096 };
#define START 0xffffc90000000000ull

static struct kva_space space;
static uint8_t used[PAGES];

static struct kva_range *
take(uint64_t npages, uint64_t align)
{
	struct kva_range *spare[2] = {
	    calloc(1, sizeof(*spare[0])), calloc(1, sizeof(*spare[0]))};
	struct kva_range *r = kva_space_alloc(&space, npages, align, spare);

	free(spare[0]);
	free(spare[1]);
	return r;
}

static void
give(struct kva_range *r)
{
	struct kva_range *dead[2];

	kva_space_free(&space, r, dead);
	free(dead[0]);
	free(dead[1]);
}

static void
setup(void)
{
	memset(used, 0, sizeof(used));
	kva_space_init(&space, calloc(1, sizeof(struct kva_range)), START, PAGES);
}

/* All is free again and one range: free its node. False if not. */
static bool
teardown(void)
{
	struct kva_range *r = list_first(&space.ranges, struct kva_range, order);
	bool is_one = r && r->start == START && r->npages == PAGES && r->is_free &&
	              r->order.next == &space.ranges && space.free_pages == PAGES;

	free(r);
	return is_one;
}

KTEST(kva_space_takes_all_and_merges)
{
	struct kva_range *a, *b, *c;

	setup();
	a = take(1024, 1);
	b = take(1024, 1);
	c = take(PAGES - 2048, 1);
	CHECK(a && b && c);
	CHECK(!take(1, 1));
	CHECK_EQ(space.free_pages, 0);
	CHECK(kva_space_find(&space, b->start) == b);
	CHECK(!kva_space_find(&space, b->start + PAGE_SIZE));
	give(b);
	give(a);
	give(c);
	CHECK(teardown());
}

KTEST(kva_space_aligns)
{
	struct kva_range *a, *b;

	setup();
	a = take(3, 1);
	b = take(512, 512);
	CHECK(a && b);
	CHECK(IS_ALIGNED(b->start, MIB(2)));
	CHECK_EQ(b->npages, 512);
	give(a);
	give(b);
	CHECK(teardown());
}

KTEST(kva_space_refuses_what_does_not_fit)
{
	setup();
	CHECK(!take(PAGES + 1, 1));
	CHECK(!take(1ull << 40, 1));
	CHECK(!take(1ull << 62, 1));
	CHECK(teardown());
}

KTEST(kva_space_random_ranges_never_overlap)
{
	enum { SLOTS = 64 };
	struct kva_range *slot[SLOTS] = {0};
	uint64_t held = 0;
	unsigned refused = 0;

	setup();
	srand(3);
	for (unsigned n = 0; n < 100000; n++) {
		unsigned i = rand() % SLOTS;
		uint64_t first, npages = 1 + rand() % (rand() % 8 ? 12 : 300);

		if (slot[i]) {
			first = (slot[i]->start - START) / PAGE_SIZE;
			memset(used + first, 0, slot[i]->npages);
			held -= slot[i]->npages;
			CHECK(kva_space_find(&space, slot[i]->start) == slot[i]);
			give(slot[i]);
			slot[i] = NULL;
			continue;
		}
		slot[i] = take(npages, rand() % 4 ? 1 : 8);
		if (!slot[i]) {
			refused++;
			continue;
		}
		CHECK_EQ(slot[i]->npages, npages);
		first = (slot[i]->start - START) / PAGE_SIZE;
		CHECK(first + npages <= PAGES);
		for (uint64_t p = first; p < first + npages; p++)
			CHECK(!used[p]++);
		held += npages;
		CHECK_EQ(space.free_pages, PAGES - held);
	}
	CHECK(refused < 5000);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slot[i])
			give(slot[i]);
	CHECK(teardown());
}
