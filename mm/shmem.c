/*
 * Shared anonymous memory (MAP_SHARED | MAP_ANONYMOUS): an unnamed file of zeros that
 * only its mappings know, so that fork, truncation and accounting are those of any mapped
 * file.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "mm/area.h"
#include "mm/filemap.h"
#include "mm/pagecache.h"
#include "mm/slab.h"

static enum err
shmem_mmap(struct file *f, struct area *a)
{
	a->ops = &filemap_area_ops;
	return OK;
}

static void
shmem_release(struct file *f)
{
	struct page_cache *c = f->private;

	page_cache_destroy(c);
	kfree(c);
}

static const struct file_ops shmem_file_ops = {
    .mmap = shmem_mmap,
    .release = shmem_release,
    .anon_mode = 0100600,
    .anon_name = "/dev/zero (deleted)",
};

struct file *
shmem_file_create(uint64_t size)
{
	struct page_cache *c = kmalloc(sizeof(*c));
	struct file *f;

	if (!c)
		return NULL;
	page_cache_init(c, NULL, NULL);
	c->is_shmem = true;
	c->file_size = size;
	f = file_alloc(&shmem_file_ops, O_RDWR, c);
	if (!f) {
		kfree(c);
		return NULL;
	}
	f->mode = FILE_READ | FILE_WRITE;
	f->cache = c;
	return f;
}
