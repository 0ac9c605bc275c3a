/* Programs in memory, and what else the loader asks of the kernel. */
#include "tests/fakes/programs.h"

#include "kernel/proc/coredump.h"
#include "kernel/vdso/vdso.h"
#include "kernel/x86/context.h"
#include "kernel/x86/features.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/aspace.h"
#include "mm/filemap.h"
#include "mm/page.h"

struct cpu_features cpu_features = {.leaf_1_edx = 0x1234, .has_fsgsbase = true};
struct page *fake_vdso_page;

size_t
fpu_signal_size(void)
{
	return 832;
}

enum err
vdso_map(struct aspace *as, vaddr_t *base)
{
	struct kernel_page page = {page_to_phys(fake_vdso_page), AREA_READ | AREA_EXEC};

	return aspace_map_kernel_pages(as, &page, 1, base);
}

static enum err
fill_from_bytes(struct page_cache *c, struct page *pg, uint64_t index)
{
	struct fake_program *p = c->owner;
	uint64_t at = index * PAGE_SIZE, n = p->size > at ? p->size - at : 0;

	memset(page_to_virt(pg), 0, PAGE_SIZE);
	memcpy(page_to_virt(pg), p->bytes + (n ? at : 0), MIN(n, PAGE_SIZE));
	return OK;
}

static const struct page_cache_ops cache_ops = {.fill = fill_from_bytes};

static enum err
map_program(struct file *f, struct area *a)
{
	a->ops = &filemap_area_ops;
	return OK;
}

static const struct file_ops file_ops = {.mmap = map_program};

ssize_t
file_read_at(struct file *f, void *buf, size_t n, loff_t pos)
{
	struct fake_program *p = f->private;

	if (pos < 0)
		return ERR_INVAL;
	if ((uint64_t)pos >= p->size)
		return 0;
	n = MIN(n, p->size - (size_t)pos);
	memcpy(buf, p->bytes + pos, n);
	return (ssize_t)n;
}

bool
file_is_readable(const struct file *f)
{
	return true;
}

enum dumpable
coredump_suid_dumpable(void)
{
	return DUMPABLE_NO;
}

void
fake_programs_init(void)
{
	if (kernel_page_table)
		return;
	kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
	aspace_init();
	fake_vdso_page = page_alloc(0, ALLOC_ZERO);
}

void
fake_program_init(struct fake_program *p, const uint8_t *bytes, size_t size)
{
	*p = (struct fake_program){.bytes = bytes,
	    .size = size,
	    .file = {.ops = &file_ops,
	        .refs = 1,
	        .mode = FILE_READ,
	        .cache = &p->cache,
	        .private = p}};
	page_cache_init(&p->cache, &cache_ops, p);
	p->cache.file_size = size;
}
