/*
 * Ranges of address space, two-level segregated fit: free ranges lie in bins by size,
 * four bins to a power of two, and a bit mask names the bins that are not empty. A
 * request looks from the first bin whose every range is large enough, so it never
 * searches a list. Neighbours in address order are linked, so a freed range merges with
 * them at once. Used ranges are found by a hash of the start.
 */
#include "mm/kva_space.h"

#include "kernel/panic.h"
#include "lib/bits.h"
#include "mm/page.h"

/* The bin of ranges of `n` pages: exact below 8, then 4 steps for each power of two. */
static unsigned
bin_of(uint64_t n)
{
	unsigned log;

	if (n < 4)
		return n;
	log = bit_last(n);
	return MIN((log - 1) * 4 + (n >> (log - 2) & 3), (uint64_t)KVA_BINS - 1);
}

/* The first bin of which every range has `n` pages or more. */
static unsigned
bin_for(uint64_t n)
{
	return n < 4 ? n : bin_of(n + (1ull << (bit_last(n) - 2)) - 1);
}

static struct list *
bucket_of(struct kva_space *s, vaddr_t start)
{
	return &s->buckets[(start >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 56];
}

static void
bin_add(struct kva_space *s, struct kva_range *r)
{
	unsigned bin = bin_of(r->npages);

	r->is_free = true;
	list_push_front(&s->bins[bin], &r->link);
	s->mask[bin / 64] |= 1ull << bin % 64;
	s->free_pages += r->npages;
}

static void
bin_remove(struct kva_space *s, struct kva_range *r)
{
	unsigned bin = bin_of(r->npages);

	r->is_free = false;
	list_remove(&r->link);
	if (list_is_empty(&s->bins[bin]))
		s->mask[bin / 64] &= ~(1ull << bin % 64);
	s->free_pages -= r->npages;
}

void
kva_space_init(
    struct kva_space *s, struct kva_range *node, vaddr_t start, uint64_t npages)
{
	*s = (struct kva_space){0};
	list_init(&s->ranges);
	for (unsigned i = 0; i < KVA_BINS; i++)
		list_init(&s->bins[i]);
	for (unsigned i = 0; i < KVA_BUCKETS; i++)
		list_init(&s->buckets[i]);
	*node = (struct kva_range){.start = start, .npages = npages};
	list_push_back(&s->ranges, &node->order);
	bin_add(s, node);
}

static struct kva_range *
first_fit(struct kva_space *s, uint64_t npages)
{
	unsigned bin = bin_for(npages), word = bin / 64;
	uint64_t mask;

	if (bin >= KVA_BINS)
		return NULL;
	mask = s->mask[word] & ~0ull << bin % 64;
	if (!mask && word == 0)
		mask = s->mask[++word];
	if (!mask)
		return NULL;
	return list_first(&s->bins[word * 64 + bit_first(mask)], struct kva_range, link);
}

/* Cuts `r`, which is in no bin, after `npages`; the rest becomes free. */
static void
split(struct kva_space *s, struct kva_range *r, uint64_t npages, struct kva_range **node)
{
	struct kva_range *rest = *node;

	*node = NULL;
	*rest = (struct kva_range){
	    .start = r->start + npages * PAGE_SIZE,
	    .npages = r->npages - npages,
	};
	r->npages = npages;
	list_push_front(&r->order, &rest->order); /* after r */
	bin_add(s, rest);
}

struct kva_range *
kva_space_alloc(
    struct kva_space *s, uint64_t npages, uint64_t align, struct kva_range *spare[2])
{
	uint64_t align_bytes = align * PAGE_SIZE, head;
	struct kva_range *r;

	ASSERT(npages > 0 && is_power_of_2(align));
	r = first_fit(s, npages + align - 1);
	if (!r)
		return NULL;
	bin_remove(s, r);
	head = (ALIGN_UP(r->start, align_bytes) - r->start) / PAGE_SIZE;
	if (head) {
		struct kva_range *front = r;

		/* The aligned part becomes a range of its own behind a free one. */
		r = spare[0];
		spare[0] = NULL;
		*r = (struct kva_range){
		    .start = front->start + head * PAGE_SIZE,
		    .npages = front->npages - head,
		};
		front->npages = head;
		list_push_front(&front->order, &r->order);
		bin_add(s, front);
	}
	if (r->npages > npages)
		split(s, r, npages, &spare[1]);
	list_push_front(bucket_of(s, r->start), &r->link);
	return r;
}

struct kva_range *
kva_space_find(struct kva_space *s, vaddr_t start)
{
	struct list *bucket = bucket_of(s, start);
	struct kva_range *r;

	list_for_each(r, bucket, link)
		if (r->start == start)
			return r;
	return NULL;
}

static struct kva_range *
neighbour(struct kva_space *s, struct list *node)
{
	struct kva_range *r;

	if (node == &s->ranges)
		return NULL;
	r = list_entry(node, struct kva_range, order);
	return r->is_free ? r : NULL;
}

void
kva_space_free(struct kva_space *s, struct kva_range *r, struct kva_range *dead[2])
{
	struct kva_range *before = neighbour(s, r->order.prev);
	struct kva_range *after = neighbour(s, r->order.next);

	ASSERT(!r->is_free);
	list_remove(&r->link);
	if (before) {
		bin_remove(s, before);
		list_remove(&before->order);
		r->start = before->start;
		r->npages += before->npages;
	}
	if (after) {
		bin_remove(s, after);
		list_remove(&after->order);
		r->npages += after->npages;
	}
	dead[0] = before;
	dead[1] = after;
	bin_add(s, r);
}
