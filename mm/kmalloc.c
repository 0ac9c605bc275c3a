/*
 * kmalloc: a slab cache per size class; larger sizes are blocks of frames, whose head
 * frame keeps no more than its order. A table turns small sizes into classes.
 */
#include "kernel/panic.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab_priv.h"

enum {
	TABLE_MAX = 1024, /* sizes up to this are looked up, in steps of 16 */
	TABLE_STEP = 16,
};

static const struct {
	uint16_t size;
	const char *name;
} classes[] = {
    {16, "kmalloc-16"},
    {32, "kmalloc-32"},
    {48, "kmalloc-48"},
    {64, "kmalloc-64"},
    {96, "kmalloc-96"},
    {128, "kmalloc-128"},
    {192, "kmalloc-192"},
    {256, "kmalloc-256"},
    {384, "kmalloc-384"},
    {512, "kmalloc-512"},
    {768, "kmalloc-768"},
    {1024, "kmalloc-1k"},
    {2048, "kmalloc-2k"},
    {4096, "kmalloc-4k"},
    {8192, "kmalloc-8k"},
};

static struct slab_cache class_caches[ARRAY_SIZE(classes)];
static uint8_t class_of_step[TABLE_MAX / TABLE_STEP + 1];

static struct slab_cache *
class_for(size_t n)
{
	unsigned big = ARRAY_SIZE(classes) - 3; /* 2048 */

	if (likely(n <= TABLE_MAX))
		return &class_caches[class_of_step[(n + TABLE_STEP - 1) / TABLE_STEP]];
	return &class_caches[big + log2_ceil(n) - 11];
}

static void *
large_alloc(size_t n)
{
	const struct cpu *cpu = this_cpu();
	bool is_atomic = cpu->irq_nesting || cpu->irq_off_depth || cpu->preempt_count;
	unsigned order = log2_ceil(DIV_ROUND_UP(n, (size_t)PAGE_SIZE));
	struct page *pg;

	if (n > (size_t)PAGE_SIZE << MAX_ORDER)
		return NULL;
	pg = page_alloc(order, is_atomic ? ALLOC_ATOMIC : ALLOC_NORMAL);
	if (!pg)
		return NULL;
	mem_counter_add(MEM_SLAB, 1 << order);
	return page_to_virt(pg);
}

static inline void *
alloc_from(size_t n, const void *site)
{
	if (unlikely(n > SLAB_MAX_SIZE))
		return large_alloc(n);
	return cache_alloc_from(class_for(n), site);
}

void *
kmalloc(size_t n)
{
	return alloc_from(n, __builtin_return_address(0));
}

void *
kzalloc(size_t n)
{
	void *p = alloc_from(n, __builtin_return_address(0));

	return p ? memset(p, 0, n) : NULL;
}

void *
kcalloc(size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	p = alloc_from(n, __builtin_return_address(0));
	return p ? memset(p, 0, n) : NULL;
}

static void
free_to(void *p, const void *site)
{
	struct page *pg = virt_to_page(p);
	unsigned order;

	if (likely(pg->flags & PAGE_SLAB)) {
		cache_free_to(pg->slab_cache, p, site);
		return;
	}
	order = pg->order;
	if (!IS_ALIGNED((vaddr_t)p, PAGE_SIZE) || pg->refs != 1)
		panic("kfree of %p, which kmalloc did not give", p);
	mem_counter_add(MEM_SLAB, -(1 << order));
	page_free(pg, order);
}

void
kfree(void *p)
{
	if (p)
		free_to(p, __builtin_return_address(0));
}

size_t
kmalloc_usable(const void *p)
{
	const struct page *pg = virt_to_page(p);

	if (pg->flags & PAGE_SLAB)
		return ((const struct slab_cache *)pg->slab_cache)->size;
	return (size_t)PAGE_SIZE << pg->order;
}

void *
krealloc(void *p, size_t n)
{
	const void *site = __builtin_return_address(0);
	size_t usable = p ? kmalloc_usable(p) : 0;
	void *q;

	/* Stay, unless it would waste more than half. */
	if (p && n <= usable && n >= usable / 2)
		return p;
	q = alloc_from(n, site);
	if (!q || !p)
		return q;
	memcpy(q, p, MIN(n, usable));
	free_to(p, site);
	return q;
}

static char *
dup_from(const char *s, size_t len, const void *site)
{
	char *p = alloc_from(len + 1, site);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *
kstrdup(const char *s)
{
	return dup_from(s, strlen(s), __builtin_return_address(0));
}

char *
kstrndup(const char *s, size_t n)
{
	return dup_from(s, strnlen(s, n), __builtin_return_address(0));
}

void
slab_init(void)
{
	unsigned class = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
		size_t size = classes[i].size;
		size_t align =
		    is_power_of_2(size) ? MIN(size, (size_t)PAGE_SIZE) : TABLE_STEP;

		if (!cache_init(&class_caches[i], classes[i].name, size, align))
			panic("no room for the kmalloc caches");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(class_of_step); i++) {
		while (classes[class].size < i * TABLE_STEP)
			class ++;
		class_of_step[i] = class;
	}
}
