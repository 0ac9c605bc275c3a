/*
 * libFuzzer: the ELF loader takes any file as program and any as interpreter. What it refuses
 * leaves nothing behind; what it loads lies within user space, starts there, and its pages can
 * be touched.
 *
 * The input is the length of the program (two bytes, little-endian), the program, and the
 * interpreter's file. tests/fuzz/corpus/exec_elf_fuzz has a static, a position-independent and a
 * dynamic program with its interpreter to begin with.
 * LINK: kernel/proc/exec_elf.c kernel/proc/exec_stack.c
 * mm/access.c mm/anon.c mm/area.c mm/aspace.c mm/commit.c mm/fault.c mm/filemap.c mm/huge.c mm/kpages.c
 * mm/map.c mm/evict.c mm/pagecache.c mm/pagetable.c mm/shmem.c mm/userpt.c lib/rbtree.c lib/string.c
 * tests/fakes/clock.c tests/fakes/cpu.c tests/fakes/frames.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/tlb.c tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/file.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/exec.h"
#include "kernel/vdso/vdso.h"
#include "kernel/x86/features.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/filemap.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "tests/fakes/fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES_TOUCHED = 64 };

struct cpu_features cpu_features = {.leaf_1_edx = 0x1234, .has_fsgsbase = true};

static struct page *vdso_page;

/* A file made of a part of the input. */
struct program {
	struct file file;
	struct page_cache cache;
	const uint8_t *bytes;
	size_t size;
};

static struct program main_program, interp_program;

size_t
fpu_signal_size(void)
{
	return 832;
}

enum err
vdso_map(struct aspace *as, vaddr_t *base)
{
	struct kernel_page page = {page_to_phys(vdso_page), AREA_READ | AREA_EXEC};

	return aspace_map_kernel_pages(as, &page, 1, base);
}

static enum err
fill_from_bytes(struct page_cache *c, struct page *pg, uint64_t index)
{
	struct program *p = c->owner;
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
	struct program *p = f->private;

	if (pos < 0)
		return ERR_INVAL;
	if ((uint64_t)pos >= p->size)
		return 0;
	n = MIN(n, p->size - (size_t)pos);
	memcpy(buf, p->bytes + pos, n);
	return (ssize_t)n;
}

/* Every name but that of nothing is the interpreter's. */
enum err
file_open_exec(const char *path, struct file **out)
{
	if (!*path)
		return ERR_NOENT;
	*out = file_get(&interp_program.file);
	return OK;
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

static void
program_init(struct program *p, const uint8_t *bytes, size_t size)
{
	memset(p, 0, sizeof(*p));
	p->bytes = bytes;
	p->size = size;
	page_cache_init(&p->cache, &cache_ops, p);
	p->cache.file_size = size;
	p->file = (struct file){.ops = &file_ops,
	    .refs = 1,
	    .mode = FILE_READ,
	    .cache = &p->cache,
	    .private = p};
}

#define require(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static void
check_loaded(struct aspace *as, const struct trap_frame *f)
{
	unsigned touched = 0;
	uint8_t byte;

	require(f->rip < USER_SPACE_END);
	require(f->rsp % 16 == 0 && f->rsp < as->stack_top && area_find(as, f->rsp));
	require(f->cs == 0x33 && f->ss == 0x2b && f->rflags == 0x202);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		require(a->start < a->end && a->end <= USER_SPACE_END);
		require(a->start >= PAGE_SIZE && !(a->flags & AREA_SHARED));
		for (vaddr_t va = a->start; va < a->end && touched < PAGES_TOUCHED;
		     va += PAGE_SIZE, touched++) {
			(void)aspace_read(as, va, &byte, 1);
			(void)aspace_write(as, va, &byte, 1);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct exec_args args = {.path = "/bin/prog",
	    .strings = "prog\0-x\0HOME=/\0",
	    .strings_len = 15,
	    .argc = 2,
	    .envc = 1};
	struct trap_frame f;
	struct aspace *as;
	long frames, objects;
	size_t len;

	if (size < 2)
		return 0;
	if (!kernel_page_table) {
		kernel_page_table = page_to_phys(page_alloc(0, ALLOC_ZERO));
		aspace_init();
		vdso_page = page_alloc(0, ALLOC_ZERO);
	}
	len = MIN((size_t)(data[0] | data[1] << 8), size - 2);
	program_init(&main_program, data + 2, len);
	program_init(&interp_program, data + 2 + len, size - 2 - len);
	frames = fake_frames_live;
	objects = fake_kmalloc_live;

	as = aspace_create();
	if (exec_load_elf(as, &main_program.file, &args, &f) == OK)
		check_loaded(as, &f);
	aspace_put(as);
	page_cache_destroy(&main_program.cache);
	page_cache_destroy(&interp_program.cache);
	require(main_program.file.refs == 1 && interp_program.file.refs == 1);
	require(fake_frames_live == frames && fake_kmalloc_live == objects);
	return 0;
}
