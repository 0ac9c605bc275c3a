/* Between slab.c (caches), slab_debug.c (checks of debug builds) and kmalloc.c (size
 * classes). */
#pragma once

#include "kernel/sync/spinlock.h"
#include "lib/list.h"
#include "mm/slab.h"

enum {
	MAX_CACHES = 128,
	SLAB_MAX_SIZE = 8192, /* larger objects are blocks of frames */
};

struct slab_cache {
	const char *name;   /* [I] as are all up to the lock */
	uint32_t id;        /* index of its per-CPU magazines */
	uint32_t size;      /* bytes the user sees */
	uint32_t stride;    /* bytes from object to object */
	uint32_t order;     /* of a slab */
	uint32_t per_slab;  /* objects */
	uint32_t magazine;  /* objects in a full one */
	uint32_t max_empty; /* empty slabs kept */

	struct spinlock lock;
	struct list partial; /* [lock] slabs with used and free objects */
	struct list full;    /* [lock] */
	struct list empty;   /* [lock] */
	uint32_t num_empty;  /* [lock] */
	uint64_t num_slabs;  /* [lock] */
	uint64_t in_use; /* [lock] objects out of slabs, those in magazines included */
};

/* Debug builds: what lies behind each object. */
struct slab_tag {
	uint64_t red_zone;
	const void *site; /* who allocated it, or freed it */
	uint32_t state;   /* TAG_USED or TAG_FREE */
	uint32_t period;  /* of slab_mark_leaks, at allocation */
};

/* Sets up `c` in place; false: too many caches. */
bool cache_init(struct slab_cache *c, const char *name, size_t size, size_t align);
void *cache_alloc_from(struct slab_cache *c, const void *site);
void cache_free_to(struct slab_cache *c, void *obj, const void *site);

/* Calls fn for every cache, under the lock of the list of caches. */
void cache_for_each(void (*fn)(struct slab_cache *, void *arg), void *arg);

/* slab_debug.c: called in debug builds only. */
void slab_debug_new(const struct slab_cache *c, void *obj); /* a fresh slab's object */
void slab_debug_alloc(const struct slab_cache *c, void *obj, const void *site);
void slab_debug_free(const struct slab_cache *c, void *obj, const void *site);
