/*
 * libFuzzer: the ELF loader takes any file as program and any as interpreter. What it refuses
 * leaves nothing behind; what it loads lies within user space, starts there, and its pages can
 * be touched.
 *
 * The input is the length of the program (two bytes, little-endian), the program, and the
 * interpreter's file. tests/fuzz/corpus/exec_elf_fuzz has a static, a position-independent and a
 * dynamic program with its interpreter to begin with.
 * LINK: kernel/proc/exec_elf.c kernel/proc/exec_stack.c
 * mm/access.c mm/anon.c mm/area.c mm/aspace.c mm/commit.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/kpages.c
 * mm/map.c mm/evict.c mm/pagecache.c mm/pagetable.c mm/shmem.c mm/userpt.c lib/rbtree.c lib/string.c
 * tests/fakes/clock.c tests/fakes/cpu.c tests/fakes/frames.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/programs.c
 * tests/fakes/spinlock.c tests/fakes/tlb.c tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernel/proc/exec.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/area.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/programs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES_TOUCHED = 64 };

static struct fake_program main_program, interp_program;

/* Every name but that of nothing is the interpreter's. */
enum err
file_open_exec(const char *path, struct file **out)
{
	if (!*path)
		return ERR_NOENT;
	*out = file_get(&interp_program.file);
	return OK;
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
	fake_programs_init();
	len = MIN((size_t)(data[0] | data[1] << 8), size - 2);
	fake_program_init(&main_program, data + 2, len);
	fake_program_init(&interp_program, data + 2 + len, size - 2 - len);
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
