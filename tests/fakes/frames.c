/*
 * Physical memory on the host: an arena of frames that the "direct map" shows. Free
 * frames are poisoned for the address sanitizer; frames in use are counted; a chosen call
 * can fail.
 */
#include "mm/page.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#include "lib/string.h"
#include "tests/fakes/fakes.h"

enum { FRAMES = 8192 };

static uint8_t arena[FRAMES * PAGE_SIZE] __attribute__((aligned(4096)));
static struct page pages[FRAMES];

vaddr_t direct_map_base = (vaddr_t)arena;
struct page *page_array = pages;
vaddr_t fake_page_array = (vaddr_t)pages; /* where mm/layout.h says it is */
uint64_t page_array_frames = FRAMES;

long fake_frames_live;
int64_t fake_mem_counters[MEM_COUNTERS];
static unsigned fail_in, next_frame = 1; /* frame 0 is never given out */

void
fake_frames_fail_nth(unsigned n)
{
	fail_in = n;
}

static void
prepare(struct page *pg, unsigned order, unsigned alloc_flags)
{
	void *memory = page_to_virt(pg);

	ASAN_UNPOISON_MEMORY_REGION(memory, PAGE_SIZE << order);
	memset(memory, alloc_flags & ALLOC_ZERO ? 0 : 0xa5, PAGE_SIZE << order);
	memset(pg, 0, sizeof(*pg));
	pg->refs = 1;
	pg->order = (uint8_t)order;
	fake_frames_live += 1l << order;
}

struct page *
page_alloc(unsigned order, unsigned alloc_flags)
{
	unsigned n = 1u << order;

	if (fail_in && --fail_in == 0)
		return NULL;
	for (unsigned tried = 0; tried < FRAMES; tried += n) {
		unsigned i = ALIGN_UP(next_frame, n), free = 0;

		next_frame = i + n < FRAMES ? i + n : 1;
		if (i + n > FRAMES)
			continue;
		while (free < n && !pages[i + free].refs && !pages[i + free].private)
			free++;
		if (free < n)
			continue;
		prepare(&pages[i], order, alloc_flags);
		for (unsigned k = 1; k < n; k++)
			pages[i + k].private = 1; /* taken with its head */
		return &pages[i];
	}
	return NULL;
}

void
page_free(struct page *pg, unsigned order)
{
	if (pg->refs > 1 || order != pg->order)
		abort();
	for (unsigned k = 0; k < 1u << order; k++)
		pg[k].private = 0;
	pg->refs = 0;
	fake_frames_live -= 1l << order;
	ASAN_POISON_MEMORY_REGION(page_to_virt(pg), PAGE_SIZE << order);
}

struct page *
page_get(struct page *pg)
{
	if (!pg->refs)
		abort();
	pg->refs++;
	return pg;
}

void
page_put(struct page *pg)
{
	if (!pg->refs)
		abort();
	if (--pg->refs == 0) {
		pg->refs = 1;
		page_free(pg, pg->order);
	}
}

void
mem_counter_add(enum mem_counter which, int64_t n)
{
	fake_mem_counters[which] += n;
}

uint64_t
mem_counter_read(enum mem_counter which)
{
	return (uint64_t)fake_mem_counters[which];
}

uint64_t
mem_total_pages(void)
{
	struct mem_stats s;

	mem_stats_get(&s);
	return s.total_pages;
}

void
mem_stats_get(struct mem_stats *s)
{
	memset(s, 0, sizeof(*s));
	s->total_pages = FRAMES;
	s->free_pages = FRAMES - (uint64_t)fake_frames_live;
}
