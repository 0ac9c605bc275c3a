/*
 * What debug builds check about slab objects. Behind each lies a tag: a red zone, a
 * state, who allocated or freed it. A free object is filled with poison behind its first
 * word, the link. Checked on free: the object is the cache's, in use, and its red zone
 * whole; on allocation: nobody has written to it. Leaks are the objects in use, counted
 * by allocation site.
 */
#include "kernel/panic.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab_priv.h"

enum {
	TAG_USED = 0x55534544,
	TAG_FREE = 0x46524545,
	POISON_FREE = 0x6b,
	POISON_NEW = 0xa5, /* what an object holds before its owner writes to it */
};

#define RED_ZONE 0xbadc0ffee0ddf00dull

static uint32_t period;

static struct slab_tag *
tag_of(const struct slab_cache *c, void *obj)
{
	return (struct slab_tag *)((char *)obj + c->size);
}

void
slab_debug_new(const struct slab_cache *c, void *obj)
{
	memset(obj, POISON_FREE, c->size);
	*tag_of(c, obj) = (struct slab_tag){.red_zone = RED_ZONE, .state = TAG_FREE};
}

void
slab_debug_alloc(const struct slab_cache *c, void *obj, const void *site)
{
	struct slab_tag *tag = tag_of(c, obj);
	const uint8_t *bytes = obj;

	if (tag->state != TAG_FREE || tag->red_zone != RED_ZONE)
		panic("%s: free object %p is overwritten at its end; freed at %p",
		    c->name, obj, tag->site);
	for (size_t i = sizeof(void *); i < c->size; i++)
		if (bytes[i] != POISON_FREE)
			panic(
			    "%s: object %p was written at +%zu after it was freed at %p",
			    c->name, obj, i, tag->site);
	memset(obj, POISON_NEW, c->size);
	tag->state = TAG_USED;
	tag->site = site;
	tag->period = period;
}

void
slab_debug_free(const struct slab_cache *c, void *obj, const void *site)
{
	struct page *pg = virt_to_page(obj);
	struct slab_tag *tag = tag_of(c, obj);
	uint64_t offset = virt_to_phys(obj) & (((uint64_t)PAGE_SIZE << c->order) - 1);

	if (!(pg->flags & PAGE_SLAB))
		panic("%s: free of %p, which is in no slab", c->name, obj);
	if (pg->slab_cache != c)
		panic("%s: free of %p, which belongs to %s", c->name, obj,
		    ((const struct slab_cache *)pg->slab_cache)->name);
	if (offset % c->stride || offset / c->stride >= c->per_slab)
		panic("%s: free of %p, which is inside an object", c->name, obj);
	if (tag->state == TAG_FREE)
		panic("%s: object %p freed again at %p; freed before at %p", c->name, obj,
		    site, tag->site);
	if (tag->state != TAG_USED || tag->red_zone != RED_ZONE)
		panic("%s: object %p is overwritten at its end; freed at %p", c->name,
		    obj, site);
	memset(obj, POISON_FREE, c->size);
	tag->state = TAG_FREE;
	tag->site = site;
}

/* ---- Leaks ---- */

/* A frame of its own, so that counting allocates no object. */
struct leaks {
	uint64_t total, others; /* objects; of sites that found no place in the table */
	unsigned num;
	struct slab_leak sites[];
};

enum { MAX_SITES = (PAGE_SIZE - sizeof(struct leaks)) / sizeof(struct slab_leak) };

static void
count_object(struct leaks *l, const struct slab_cache *c, const void *site)
{
	unsigned i = 0;

	l->total++;
	while (i < l->num && (l->sites[i].site != site || l->sites[i].cache != c->name))
		i++;
	if (i == MAX_SITES) {
		l->others++;
		return;
	}
	if (i == l->num) {
		l->sites[i].site = site;
		l->sites[i].cache = c->name;
		l->sites[i].count = 0;
		l->num++;
	}
	l->sites[i].count++;
}

static void
count_slabs(struct leaks *l, const struct slab_cache *c, const struct list *slabs)
{
	for (struct list *node = slabs->next; node != slabs; node = node->next) {
		struct page *pg = list_entry(node, struct page, link);

		for (unsigned i = 0; i < c->per_slab; i++) {
			char *obj = (char *)page_to_virt(pg) + i * c->stride;
			const struct slab_tag *tag = tag_of(c, obj);

			if (tag->state == TAG_USED && tag->period == period)
				count_object(l, c, tag->site);
		}
	}
}

static void
count_cache(struct slab_cache *c, void *arg)
{
	spin_lock(&c->lock);
	count_slabs(arg, c, &c->partial);
	count_slabs(arg, c, &c->full);
	spin_unlock(&c->lock);
}

void
slab_mark_leaks(void)
{
	period++;
}

uint64_t
slab_leaks_for_each(void (*fn)(const struct slab_leak *, void *arg), void *arg)
{
	struct page *pg = CONFIG_DEBUG ? page_alloc(0, ALLOC_ZERO) : NULL;
	struct leaks *leaks;
	uint64_t total;

	if (!pg)
		return 0;
	leaks = page_to_virt(pg);
	cache_for_each(count_cache, leaks);
	for (unsigned i = 0; i < leaks->num; i++)
		fn(&leaks->sites[i], arg);
	if (leaks->others)
		fn(&(struct slab_leak){.cache = "others", .count = leaks->others}, arg);
	total = leaks->total;
	page_put(pg);
	return total;
}
