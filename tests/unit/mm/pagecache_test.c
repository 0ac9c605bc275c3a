/* mm/pagecache.c: the tree against a plain set. LINK: mm/evict.c mm/pagecache.c lib/string.c
 * tests/fakes/frames.c tests/fakes/kmalloc.c tests/fakes/panic.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/mutex.c tests/fakes/wait.c tests/fakes/clock.c */
#include "mm/pagecache.h"

#include "lib/string.h"
#include "mm/filemap.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static uint64_t unmapped_from, unmapped_end;
static bool copies_went;

bool
filemap_evict(struct page_cache *c, const struct page *pg)
{
	return false;
}

void
filemap_unmap(struct page_cache *c, uint64_t first, uint64_t end, bool with_copies)
{
	unmapped_from = first;
	unmapped_end = end;
	copies_went = with_copies;
}

static enum err
fill_with_index(struct page_cache *c, struct page *pg, uint64_t index)
{
	if (index == 13)
		return ERR_IO;
	memset(page_to_virt(pg), (int)index, PAGE_SIZE);
	return OK;
}

static const struct page_cache_ops index_ops = {.fill = fill_with_index};

static enum err
touch(struct page_cache *c, uint64_t index)
{
	struct page *pg;
	enum err err = page_cache_get(c, index, &pg);

	if (err == OK)
		page_put(pg);
	return err;
}

KTEST(pagecache_new_pages_are_zeros_and_stay)
{
	struct page_cache c;
	struct page *pg, *again;

	page_cache_init(&c, NULL, NULL);
	CHECK(!page_cache_find(&c, 0));
	CHECK_EQ(page_cache_get(&c, 0, &pg), OK);
	CHECK_EQ(*(char *)page_to_virt(pg), 0);
	again = page_cache_find(&c, 0);
	CHECK(again == pg && pg->refs == 3);
	page_put(pg);
	page_put(again);
	CHECK_EQ(c.num_pages, 1);
	CHECK_EQ(fake_mem_counters[MEM_PAGE_CACHE], 1);
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
	CHECK_EQ(fake_mem_counters[MEM_PAGE_CACHE], 0);
}

KTEST(pagecache_fill_gives_contents_or_its_error)
{
	struct page_cache c;
	struct page *pg;

	page_cache_init(&c, &index_ops, NULL);
	CHECK_EQ(page_cache_get(&c, 7, &pg), OK);
	CHECK_EQ(((char *)page_to_virt(pg))[4095], 7);
	page_put(pg);
	CHECK_EQ(page_cache_get(&c, 13, &pg), ERR_IO);
	CHECK(!page_cache_find(&c, 13));
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

static int filled;

/* While it fills, another reads the same page. */
static enum err
fill_too_late(struct page_cache *c, struct page *pg, uint64_t index)
{
	return filled++ == 0 ? touch(c, index) : OK;
}

static void
count_unfilled(struct page_cache *c)
{
	filled--;
}

KTEST(pagecache_says_which_filled_pages_it_did_not_take)
{
	static const struct page_cache_ops ops = {fill_too_late, count_unfilled};
	struct page_cache c;

	page_cache_init(&c, &ops, NULL);
	filled = 0;
	CHECK_EQ(touch(&c, 5), OK);
	CHECK_EQ(filled, 1);
	fake_kmalloc_fail_nth(1);
	CHECK_EQ(touch(&c, 1ull << 40), ERR_NOMEM);
	fake_kmalloc_fail_nth(0);
	CHECK_EQ(filled, 1);
	CHECK_EQ(c.num_pages, 1);
	CHECK_EQ(touch(&c, 9), OK);
	CHECK_EQ(page_cache_truncate(&c, 6, 0), 1);
	CHECK_EQ(page_cache_truncate(&c, 0, 0), 1);
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pagecache_sparse_indexes_are_found_and_cut)
{
	static const uint64_t at[] = {0, 1, 63, 64, 4095, 4096, 1ull << 30, 1ull << 51};
	struct page_cache c;
	uint64_t i = 0;

	page_cache_init(&c, NULL, NULL);
	for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
		CHECK_EQ(touch(&c, at[k]), OK);
	for (unsigned k = 0; k < ARRAY_SIZE(at); k++, i++) {
		i = page_cache_next(&c, i);
		CHECK_EQ(i, at[k]);
	}
	CHECK(page_cache_next(&c, i) == UINT64_MAX);
	page_cache_truncate(&c, 4096, 0);
	CHECK_EQ(unmapped_from, 4096);
	CHECK(unmapped_end == UINT64_MAX && copies_went);
	CHECK_EQ(c.num_pages, 5);
	CHECK(page_cache_next(&c, 4096) == UINT64_MAX);
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pagecache_matches_a_set_through_random_changes)
{
	enum { RANGE = 5000 };
	static bool is_in[RANGE];
	struct page_cache c;
	uint32_t seed = 3;

	page_cache_init(&c, NULL, NULL);
	for (int step = 0; step < 4000; step++) {
		uint64_t i = (seed = seed * 1664525 + 1013904223) >> 8, next;

		if (i % 500 == 1) {
			uint64_t len = i / 500 % 600;

			i = i / 500 % (RANGE - len);
			page_cache_punch(&c, i * PAGE_SIZE, (i + len) * PAGE_SIZE);
			memset(&is_in[i], 0, len);
		} else if (i % 500 == 0) {
			i = i / 500 % RANGE;
			page_cache_truncate(&c, i, 0);
			memset(&is_in[i], 0, RANGE - i);
		} else {
			i %= RANGE;
			CHECK_EQ(touch(&c, i), OK);
			is_in[i] = true;
		}
		i = seed % RANGE;
		for (next = i; next < RANGE && !is_in[next]; next++)
			;
		CHECK_EQ(page_cache_next(&c, i), next < RANGE ? next : UINT64_MAX);
	}
	CHECK_EQ(fake_frames_live, c.num_pages);
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(pagecache_truncate_zeroes_the_tail)
{
	struct page_cache c;
	struct page *pg;
	char *data;

	page_cache_init(&c, NULL, NULL);
	CHECK_EQ(page_cache_get(&c, 2, &pg), OK);
	data = page_to_virt(pg);
	memset(data, 'x', PAGE_SIZE);
	page_cache_truncate(&c, 3, 100);
	CHECK(data[99] == 'x' && data[100] == 0 && data[4095] == 0);
	page_put(pg);
	page_cache_destroy(&c);
}

KTEST(pagecache_punch_drops_whole_pages_and_zeroes_parts)
{
	struct page_cache c;
	struct page *pg[4];

	page_cache_init(&c, NULL, NULL);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(page_cache_get(&c, i, &pg[i]), OK);
		memset(page_to_virt(pg[i]), 'x', PAGE_SIZE);
	}
	CHECK_EQ(page_cache_punch(&c, 100, 3 * PAGE_SIZE + 50), 2);
	CHECK(unmapped_from == 1 && unmapped_end == 3 && !copies_went);
	CHECK(page_cache_next(&c, 1) == 3);
	CHECK(((char *)page_to_virt(pg[0]))[99] == 'x' &&
	      ((char *)page_to_virt(pg[0]))[100] == 0);
	CHECK(((char *)page_to_virt(pg[3]))[49] == 0 &&
	      ((char *)page_to_virt(pg[3]))[50] == 'x');
	page_cache_punch(&c, 3 * PAGE_SIZE + 60, 3 * PAGE_SIZE + 62);
	CHECK(((char *)page_to_virt(pg[3]))[59] == 'x' &&
	      ((char *)page_to_virt(pg[3]))[61] == 0 &&
	      ((char *)page_to_virt(pg[3]))[62] == 'x');
	for (unsigned i = 0; i < 4; i++)
		page_put(pg[i]);
	page_cache_destroy(&c);
	CHECK_EQ(fake_frames_live, 0);
}

KTEST(pagecache_survives_failing_allocations)
{
	for (unsigned n = 1; n < 12; n++) {
		struct page_cache c;
		enum err err;

		page_cache_init(&c, NULL, NULL);
		fake_kmalloc_fail_nth(n);
		err = touch(&c, 1ull << 40);
		fake_kmalloc_fail_nth(0);
		CHECK(err == ERR_NOMEM || (err == OK && n > 7));
		page_cache_truncate(&c, 1ull << 20, 0);
		CHECK_EQ(touch(&c, 5), OK);
		page_cache_destroy(&c);
		CHECK_EQ(fake_frames_live, 0);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}
