/*
 * Shared anonymous memory (MAP_SHARED | MAP_ANONYMOUS): an unnamed file of zeros that
 * only its mappings know, so that fork, truncation and accounting are those of any mapped
 * file.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "mm/area.h"
#include "mm/commit.h"
#include "mm/filemap.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "mm/slab.h"

static enum err
shmem_mmap(struct file *f, struct area *a)
{
	a->ops = &filemap_area_ops;
	return OK;
}

struct shmem {
	struct page_cache cache;
	uint64_t committed; /* [I] pages: mm/commit.h */
};

static void
shmem_release(struct file *f)
{
	struct shmem *m = f->private;

	page_cache_destroy(&m->cache);
	mem_counter_add(MEM_COMMITTED, -(int64_t)m->committed);
	kfree(m);
}

static const struct file_ops shmem_file_ops = {
    .mmap = shmem_mmap,
    .release = shmem_release,
    .anon_mode = 0100600,
    .anon_name = "/dev/zero (deleted)",
};

struct file *
shmem_file_create(uint64_t size, bool is_noreserve)
{
	uint64_t pages = is_noreserve ? 0 : DIV_ROUND_UP(size, (uint64_t)PAGE_SIZE);
	struct process *p = current_process();
	struct shmem *m =
	    commit_allows(p ? p->aspace : NULL, pages) ? kmalloc(sizeof(*m)) : NULL;
	struct file *f;

	if (!m)
		return NULL;
	page_cache_init(&m->cache, NULL, NULL);
	m->cache.is_shmem = true;
	m->cache.file_size = size;
	m->committed = pages;
	f = file_alloc(&shmem_file_ops, O_RDWR, m);
	if (!f) {
		kfree(m);
		return NULL;
	}
	mem_counter_add(MEM_COMMITTED, (int64_t)pages);
	f->mode = FILE_READ | FILE_WRITE;
	f->cache = &m->cache;
	return f;
}
