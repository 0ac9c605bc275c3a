/*
 * Kernel memory on the host, from malloc, so that the address sanitizer sees every
 * object. Counts live objects, and fails a chosen call for sweeps over the error paths.
 */
#include "mm/slab.h"

#include <stdlib.h>

#include "lib/string.h"
#include "mm/kva.h"
#include "tests/fakes/fakes.h"

struct slab_cache {
	size_t size, align;
};

long fake_kmalloc_live;
static unsigned fail_in;

void
fake_kmalloc_fail_nth(unsigned n)
{
	fail_in = n;
}

static void *
take(size_t n, size_t align)
{
	void *p = NULL;

	if (fail_in && --fail_in == 0)
		return NULL;
	if (posix_memalign(&p, align < 16 ? 16 : align, n ? n : 1))
		return NULL;
	memset(p, 0xa5, n);
	fake_kmalloc_live++;
	return p;
}

static void *
take_zeroed(size_t n, size_t align)
{
	void *p = take(n, align);

	if (p)
		memset(p, 0, n);
	return p;
}

void *
kmalloc(size_t n)
{
	return take(n, 16);
}

void *
kzalloc(size_t n)
{
	return take_zeroed(n, 16);
}

void *
kcalloc(size_t count, size_t size)
{
	size_t n;

	return __builtin_mul_overflow(count, size, &n) ? NULL : take_zeroed(n, 16);
}

void *
krealloc(void *p, size_t n)
{
	if (!p)
		return kmalloc(n);
	if (fail_in && --fail_in == 0)
		return NULL;
	return realloc(p, n);
}

void
kfree(void *p)
{
	fake_kmalloc_live -= p != NULL;
	free(p);
}

char *
kstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = kmalloc(len + 1);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *
kstrdup(const char *s)
{
	return kstrndup(s, strlen(s));
}

struct slab_cache *
slab_cache_create_deep(const char *name, size_t size, size_t align, unsigned depth)
{
	return slab_cache_create(name, size, align);
}

struct slab_cache *
slab_cache_create(const char *name, size_t size, size_t align)
{
	struct slab_cache *c = kmalloc(sizeof(*c));

	if (c)
		*c = (struct slab_cache){.size = size, .align = align};
	return c;
}

void
slab_cache_destroy(struct slab_cache *c)
{
	kfree(c);
}

void *
slab_alloc(struct slab_cache *c)
{
	return take(c->size, c->align);
}

void *
slab_zalloc(struct slab_cache *c)
{
	return take_zeroed(c->size, c->align);
}

void
slab_free(struct slab_cache *c, void *p)
{
	kfree(p);
}

void *
vmalloc(size_t n)
{
	return take_zeroed(n, 4096);
}

void
vfree(void *p)
{
	kfree(p);
}
