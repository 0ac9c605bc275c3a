/* Files whose pages can be read again: see store.h. */
#include "tests/fakes/store.h"

#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/filemap.h"

static enum err
fill(struct page_cache *c, struct page *pg, uint64_t index)
{
	struct fake_store *s = c->owner;

	s->reads++;
	memset(page_to_virt(pg), (uint8_t)(index + s->version), PAGE_SIZE);
	return OK;
}

static const struct page_cache_ops cache_ops = {.fill = fill};

static enum err
store_mmap(struct file *f, struct area *a)
{
	a->ops = &filemap_area_ops;
	return OK;
}

static const struct file_ops file_ops = {.mmap = store_mmap};

void
fake_store_init(struct fake_store *s, uint64_t pages)
{
	memset(s, 0, sizeof(*s));
	page_cache_init(&s->cache, &cache_ops, s);
	s->cache.file_size = pages * PAGE_SIZE;
	s->file.ops = &file_ops;
	s->file.refs = 1;
	s->file.mode = FILE_READ | FILE_WRITE;
	s->file.cache = &s->cache;
}
