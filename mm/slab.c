/*
 * Slab caches: objects of one size, cut from blocks of frames.
 *
 * A slab is a block of 2^order frames; its struct page holds the list of its free objects
 * (linked through their first word) and the count of those in use. A cache keeps its
 * slabs in three lists, partial, full and empty, under its lock, and gives empty ones
 * beyond a few back.
 *
 * In front of that each CPU has two magazines per cache, lists of free objects: `loaded`
 * serves both ways, `spare` is either full or empty. Taking and giving an object is a
 * push or pop with interrupts off; only when both magazines are empty (full) one is
 * filled (emptied) under the cache's lock, so after each visit at least one magazine's
 * worth of calls follows without one.
 */
#include "mm/slab_priv.h"

#include "kernel/panic.h"
#include "kernel/sched/cpumask.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/percpu.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/fail_alloc.h"
#include "mm/page.h"

enum {
	MAGAZINE_BYTES = 8192, /* a magazine holds that many bytes of objects, */
	MAGAZINE_MIN = 2,      /* within these bounds */
	MAGAZINE_MAX = 32,
	SLAB_MIN_OBJECTS = 8, /* a slab grows to hold that many */
	SLAB_MAX_ORDER = 3,
	MIN_ALIGN = 16,
};

struct magazine {
	void *loaded, *spare; /* free objects, linked through their first word */
	uint32_t num_loaded, num_spare;
};

static PER_CPU(struct magazine, magazines[MAX_CACHES]);

static struct spinlock caches_lock = SPINLOCK_INIT("slab_caches", RANK_SLAB_LIST);
static struct slab_cache *caches[MAX_CACHES]; /* [caches_lock] by id */

static inline struct magazine *
magazine_of(const struct slab_cache *c)
{
	return &(*this_cpu_ptr(&magazines))[c->id];
}

static inline struct page *
slab_of(const struct slab_cache *c, const void *obj)
{
	struct page *pg = virt_to_page(obj);

	/* Blocks are aligned to their size, in frame numbers. */
	return &page_array[(uint64_t)(pg - page_array) & ~((1ull << c->order) - 1)];
}

/* ---- Slabs ---- */

static struct page *
slab_create(struct slab_cache *c)
{
	const struct cpu *cpu = this_cpu();
	bool is_atomic =
	    cpu->irq_nesting || cpu->irq_off_depth > 1 || cpu->preempt_count > 1;
	struct page *pg = page_alloc(c->order, is_atomic ? ALLOC_ATOMIC : ALLOC_NORMAL);
	char *base, *obj;

	if (!pg)
		return NULL;
	for (unsigned i = 0; i < 1u << c->order; i++) {
		pg[i].flags |= PAGE_SLAB;
		pg[i].slab_cache = c;
	}
	base = page_to_virt(pg);
	pg->slab_free = base;
	pg->slab_inuse = 0;
	for (unsigned i = 0; i < c->per_slab; i++) {
		obj = base + i * c->stride;
		if (CONFIG_DEBUG)
			slab_debug_new(c, obj);
		*(void **)obj = i + 1 < c->per_slab ? obj + c->stride : NULL;
	}
	mem_counter_add(MEM_SLAB, 1 << c->order);
	return pg;
}

static void
slab_destroy(struct slab_cache *c, struct page *pg)
{
	mem_counter_add(MEM_SLAB, -(1 << c->order));
	for (unsigned i = 0; i < 1u << c->order; i++) {
		pg[i].flags &= ~PAGE_SLAB;
		pg[i].slab_cache = NULL;
	}
	page_free(pg, c->order);
}

/* Moves up to `num` objects from slabs to `*list`; returns how many. */
static unsigned
slabs_take_locked(struct slab_cache *c, void **list, unsigned num) MUST_HOLD(c->lock)
{
	unsigned n = 0;

	while (n < num) {
		struct page *pg = list_first(&c->partial, struct page, link);

		if (!pg) {
			pg = list_first(&c->empty, struct page, link);
			if (!pg)
				break;
			c->num_empty--;
			list_remove(&pg->link);
			list_push_front(&c->partial, &pg->link);
		}
		while (n < num && pg->slab_free) {
			void *obj = pg->slab_free;

			pg->slab_free = *(void **)obj;
			pg->slab_inuse++;
			*(void **)obj = *list;
			*list = obj;
			n++;
		}
		if (!pg->slab_free) {
			list_remove(&pg->link);
			list_push_front(&c->full, &pg->link);
		}
	}
	c->in_use += n;
	return n;
}

/* Gives all objects of `list` back to their slabs; slabs to be freed go to `dead`. */
static void
slabs_give_locked(struct slab_cache *c, void *list, struct list *dead) MUST_HOLD(c->lock)
{
	while (list) {
		void *obj = list;
		struct page *pg = slab_of(c, obj);

		list = *(void **)obj;
		c->in_use--;
		if (!pg->slab_free) { /* was full */
			list_remove(&pg->link);
			list_push_front(&c->partial, &pg->link);
		}
		*(void **)obj = pg->slab_free;
		pg->slab_free = obj;
		if (--pg->slab_inuse)
			continue;
		list_remove(&pg->link);
		if (c->num_empty < c->max_empty) {
			list_push_front(&c->empty, &pg->link);
			c->num_empty++;
		} else {
			list_push_front(dead, &pg->link);
			c->num_slabs--;
		}
	}
}

static void
slabs_give(struct slab_cache *c, void *list)
{
	struct list dead = LIST_INIT(dead), *node;

	spin_lock(&c->lock);
	slabs_give_locked(c, list, &dead);
	spin_unlock(&c->lock);
	while ((node = list_pop_front(&dead)))
		slab_destroy(c, list_entry(node, struct page, link));
}

/* ---- Magazines; interrupts are off ---- */

/* Fills the empty `loaded` from slabs, a new one if need be. False: no memory. */
static bool
magazine_fill(struct slab_cache *c, struct magazine *m)
{
	struct page *fresh;

	spin_lock(&c->lock);
	m->num_loaded = slabs_take_locked(c, &m->loaded, c->magazine);
	spin_unlock(&c->lock);
	if (m->num_loaded)
		return true;
	fresh = slab_create(c);
	if (!fresh)
		return false;
	spin_lock(&c->lock);
	list_push_front(&c->partial, &fresh->link);
	c->num_slabs++;
	m->num_loaded = slabs_take_locked(c, &m->loaded, c->magazine);
	spin_unlock(&c->lock);
	return true;
}

static void
magazine_swap(struct magazine *m)
{
	struct magazine old = *m;

	m->loaded = old.spare;
	m->num_loaded = old.num_spare;
	m->spare = old.loaded;
	m->num_spare = old.num_loaded;
}

void *
cache_alloc_from(struct slab_cache *c, const void *site)
{
	struct magazine *m;
	void *obj = NULL;

	if (fail_alloc())
		return NULL;
	irq_disable_nested();
	m = magazine_of(c);
	if (unlikely(!m->loaded)) {
		if (m->spare)
			magazine_swap(m);
		else if (!magazine_fill(c, m))
			goto out;
	}
	obj = m->loaded;
	m->loaded = *(void **)obj;
	m->num_loaded--;
	if (CONFIG_DEBUG)
		slab_debug_alloc(c, obj, site);
out:
	irq_enable_nested();
	return obj;
}

void
cache_free_to(struct slab_cache *c, void *obj, const void *site)
{
	struct magazine *m;

	irq_disable_nested();
	if (CONFIG_DEBUG)
		slab_debug_free(c, obj, site);
	m = magazine_of(c);
	if (unlikely(m->num_loaded == c->magazine)) {
		magazine_swap(m);
		if (m->loaded) { /* both were full */
			slabs_give(c, m->loaded);
			m->loaded = NULL;
			m->num_loaded = 0;
		}
	}
	*(void **)obj = m->loaded;
	m->loaded = obj;
	m->num_loaded++;
	irq_enable_nested();
}

static void
magazines_drain(void *arg)
{
	struct slab_cache *c = arg;
	struct magazine *m;

	irq_disable_nested();
	m = magazine_of(c);
	slabs_give(c, m->loaded);
	slabs_give(c, m->spare);
	*m = (struct magazine){0};
	irq_enable_nested();
}

/* ---- Caches ---- */

static bool
cache_register(struct slab_cache *c)
{
	bool is_found = false;

	spin_lock(&caches_lock);
	for (unsigned i = 0; i < MAX_CACHES && !is_found; i++) {
		if (caches[i])
			continue;
		caches[i] = c;
		c->id = i;
		is_found = true;
	}
	spin_unlock(&caches_lock);
	return is_found;
}

bool
cache_init(struct slab_cache *c, const char *name, size_t size, size_t align)
{
	ASSERT(size > 0 && size <= SLAB_MAX_SIZE && is_power_of_2(align) &&
	       align <= PAGE_SIZE);
	*c = (struct slab_cache){.name = name, .size = ALIGN_UP(size, sizeof(void *))};
	align = MAX(align, (size_t)MIN_ALIGN);
	c->stride =
	    ALIGN_UP(c->size + (CONFIG_DEBUG ? sizeof(struct slab_tag) : 0), align);
	while (((uint64_t)PAGE_SIZE << c->order) / c->stride < SLAB_MIN_OBJECTS &&
	       c->order < SLAB_MAX_ORDER)
		c->order++;
	c->per_slab = ((uint64_t)PAGE_SIZE << c->order) / c->stride;
	c->magazine = MIN(MAX(MAGAZINE_BYTES / c->size, (uint32_t)MAGAZINE_MIN),
	    (uint32_t)MAGAZINE_MAX);
	c->max_empty = DIV_ROUND_UP(c->magazine, c->per_slab);
	spin_init(&c->lock, name, RANK_SLAB);
	list_init(&c->partial);
	list_init(&c->full);
	list_init(&c->empty);
	return cache_register(c);
}

struct slab_cache *
slab_cache_create(const char *name, size_t size, size_t align)
{
	struct slab_cache *c = kmalloc(sizeof(*c));

	if (c && !cache_init(c, name, size, MAX(align, (size_t)1))) {
		kfree(c);
		return NULL;
	}
	return c;
}

struct slab_cache *
slab_cache_create_deep(const char *name, size_t size, size_t align, unsigned depth)
{
	struct slab_cache *c = slab_cache_create(name, size, align);

	if (c) { /* nobody has taken from it yet */
		c->magazine = depth;
		c->max_empty = DIV_ROUND_UP(depth, c->per_slab);
	}
	return c;
}

void
slab_cache_destroy(struct slab_cache *c)
{
	struct list *node;

	if (num_cpus > 1)
		ipi_call(&CPUMASK_ALL, magazines_drain, c);
	else
		magazines_drain(c);
	if (c->in_use)
		panic("slab cache %s destroyed with %llu objects in use", c->name,
		    (unsigned long long)c->in_use);
	while ((node = list_pop_front(&c->empty)))
		slab_destroy(c, list_entry(node, struct page, link));
	spin_lock(&caches_lock);
	caches[c->id] = NULL;
	spin_unlock(&caches_lock);
	kfree(c);
}

void *
slab_alloc(struct slab_cache *c)
{
	return cache_alloc_from(c, __builtin_return_address(0));
}

void *
slab_zalloc(struct slab_cache *c)
{
	void *obj = cache_alloc_from(c, __builtin_return_address(0));

	return obj ? memset(obj, 0, c->size) : NULL;
}

void
slab_free(struct slab_cache *c, void *obj)
{
	cache_free_to(c, obj, __builtin_return_address(0));
}

static void
drain_all_here(void *unused)
{
	spin_lock(&caches_lock);
	for (unsigned i = 0; i < MAX_CACHES; i++)
		if (caches[i])
			magazines_drain(caches[i]);
	spin_unlock(&caches_lock);
}

void
slab_trim(void)
{
	if (num_cpus > 1)
		ipi_call(&CPUMASK_ALL, drain_all_here, NULL);
	else
		drain_all_here(NULL);
	spin_lock(&caches_lock);
	for (unsigned i = 0; i < MAX_CACHES; i++) {
		struct slab_cache *c = caches[i];
		struct list dead = LIST_INIT(dead), *node;

		if (!c)
			continue;
		spin_lock(&c->lock);
		list_splice_back(&dead, &c->empty);
		c->num_slabs -= c->num_empty;
		c->num_empty = 0;
		spin_unlock(&c->lock);
		while ((node = list_pop_front(&dead)))
			slab_destroy(c, list_entry(node, struct page, link));
	}
	spin_unlock(&caches_lock);
}

/* ---- Statistics ---- */

void
cache_for_each(void (*fn)(struct slab_cache *, void *arg), void *arg)
{
	spin_lock(&caches_lock);
	for (unsigned i = 0; i < MAX_CACHES; i++)
		if (caches[i])
			fn(caches[i], arg);
	spin_unlock(&caches_lock);
}

static struct slab_stats
stats_of(const struct slab_cache *c)
{
	struct slab_stats s = {
	    .name = c->name,
	    .object_size = c->size,
	    .objects = c->num_slabs * c->per_slab,
	    .in_use = c->in_use,
	    .slabs = c->num_slabs,
	    .objects_per_slab = c->per_slab,
	    .pages_per_slab = 1u << c->order,
	};

	/* Objects in magazines are free; other CPUs' counts may be a moment old. */
	for (unsigned i = 0; i < MAX(num_cpus, 1u); i++) {
		const struct magazine *m;

		if (!cpus[i])
			continue;
		m = &(*per_cpu_ptr(&magazines, cpus[i]))[c->id];
		s.in_use -= MIN(s.in_use, (uint64_t)m->num_loaded + m->num_spare);
	}
	return s;
}

void
slab_for_each(void (*fn)(const struct slab_stats *, void *arg), void *arg)
{
	for (unsigned i = 0; i < MAX_CACHES; i++) {
		struct slab_stats s = {0};

		spin_lock(&caches_lock);
		if (caches[i])
			s = stats_of(caches[i]);
		spin_unlock(&caches_lock);
		if (s.name)
			fn(&s, arg);
	}
}
