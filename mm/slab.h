/*
 * Kernel objects. kmalloc serves any size (to 4 MiB) from size classes; a cache serves
 * one type. Per-CPU free lists in front of slabs: O(1). Debug builds poison freed
 * objects, keep red zones, catch double frees and report leaks by allocation site.
 *
 * Any context but NMI; never sleeps; in interrupts and under spinlocks it may use the
 * reserve of free frames. Memory comes from the direct map, at least 16-byte aligned; a
 * power-of-two size is aligned to itself up to a page.
 */
#pragma once

#include "lib/types.h"

void *kmalloc(size_t n) __attribute__((malloc, alloc_size(1))); /* NULL: no memory */
void *kzalloc(size_t n) __attribute__((malloc, alloc_size(1))); /* filled with zeros */
void *kcalloc(size_t count, size_t size)
    __attribute__((malloc));       /* NULL also on overflow */
void *krealloc(void *p, size_t n); /* the old one stays valid on NULL */
void kfree(void *p);               /* NULL is fine */
size_t kmalloc_usable(const void *p);
char *kstrdup(const char *s);
char *kstrndup(const char *s, size_t n);

struct slab_cache;

struct slab_cache *slab_cache_create(const char *name, size_t size, size_t align);
/*
 * The same for what comes and goes in large numbers, such as the buffers of a device's ring: a CPU
 * keeps up to twice `depth` free objects, so that they circulate without the cache's lock and without
 * new slabs. What it keeps goes when memory is low, as that of all caches does (slab_trim).
 */
struct slab_cache *slab_cache_create_deep(
    const char *name, size_t size, size_t align, unsigned depth);
void slab_cache_destroy(struct slab_cache *); /* all objects must be back */
void *slab_alloc(struct slab_cache *);        /* NULL: no memory; contents undefined */
void *slab_zalloc(struct slab_cache *);
void slab_free(struct slab_cache *, void *);

/* Gives back all memory without an object in use, of all caches and CPUs. Thread context. */
void slab_trim(void);

struct slab_stats {
	const char *name;
	size_t object_size;
	uint64_t objects, in_use, slabs;
	uint32_t objects_per_slab, pages_per_slab;
};
/* Calls fn for each cache, with no lock held. */
void slab_for_each(void (*fn)(const struct slab_stats *, void *arg), void *arg);

/*
 * Debug builds: slab_mark_leaks starts a period; slab_leaks_for_each names, by allocation
 * site, the objects allocated since then and still in use, and returns how many. Others:
 * none. With no lock held; /proc/slab_leaks shows the same, and "mark" written to it
 * marks.
 */
struct slab_leak {
	const void *site; /* the return address of kmalloc or slab_alloc */
	const char *cache;
	uint64_t count;
};
void slab_mark_leaks(void);
uint64_t slab_leaks_for_each(void (*fn)(const struct slab_leak *, void *arg), void *arg);

void slab_init(void);
