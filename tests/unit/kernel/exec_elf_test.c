/*
 * kernel/proc/exec_elf.c and exec_stack.c: programs made here, good and damaged, loaded
 * into real address spaces. LINK: kernel/proc/exec_elf.c kernel/proc/exec_stack.c
 * mm/access.c mm/anon.c mm/area.c mm/aspace.c mm/commit.c mm/fault.c mm/filemap.c mm/huge.c mm/lazyfree.c mm/kpages.c
 * mm/map.c mm/evict.c mm/pagecache.c mm/pagetable.c mm/shmem.c mm/userpt.c lib/rbtree.c lib/string.c
 * tests/fakes/clock.c tests/fakes/cpu.c tests/fakes/frames.c tests/fakes/kmalloc.c
 * tests/fakes/mutex.c tests/fakes/panic.c tests/fakes/percpu.c tests/fakes/programs.c
 * tests/fakes/spinlock.c tests/fakes/tlb.c tests/fakes/vm_env.c tests/fakes/wait.c
 */
#include "kernel/proc/exec.h"
#include "kernel/x86/trap.h"
#include "lib/elf.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/programs.h"
#include "tests/unit/ktest.h"

/* ---- A file in memory, and the program in it ---- */

enum { IMAGE_SIZE = 3 * PAGE_SIZE, DATA_OFFSET = PAGE_SIZE + 0x800, DATA_SIZE = 0x700 };

struct program {
	struct fake_program fake;
	_Alignas(8) uint8_t bytes[IMAGE_SIZE];
};

static struct program main_program, interp_program;

enum err
file_open_exec(const char *path, struct file **out)
{
	if (strcmp(path, "/lib/ld"))
		return ERR_NOENT;
	*out = file_get(&interp_program.fake.file);
	return OK;
}

static struct elf_header *
header(struct program *p)
{
	return (struct elf_header *)p->bytes;
}

static struct elf_segment *
segment(struct program *p, unsigned i)
{
	return (struct elf_segment *)(p->bytes + 64) + i;
}

/* Text at base, data with bss behind it; a stack header; optionally an interpreter. */
static void
make_program(struct program *p, uint16_t type, vaddr_t base, bool has_interp)
{
	memset(p, 0, sizeof(*p));
	for (unsigned i = 0x400; i < IMAGE_SIZE; i++)
		p->bytes[i] = (uint8_t)(i * 7 + 1);
	*header(p) = (struct elf_header){.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
	    .type = type,
	    .machine = ELF_X86_64,
	    .version = 1,
	    .entry = base + 0x500,
	    .phoff = 64,
	    .ehsize = 64,
	    .phentsize = 56,
	    .phnum = has_interp ? 4 : 3};
	*segment(p, 0) = (struct elf_segment){.type = ELF_LOAD,
	    .flags = ELF_R | ELF_X,
	    .vaddr = base,
	    .filesz = PAGE_SIZE,
	    .memsz = PAGE_SIZE,
	    .align = PAGE_SIZE};
	*segment(p, 1) = (struct elf_segment){.type = ELF_LOAD,
	    .flags = ELF_R | ELF_W,
	    .offset = DATA_OFFSET,
	    .vaddr = base + 0x10000 + DATA_OFFSET,
	    .filesz = DATA_SIZE,
	    .memsz = DATA_SIZE + 0x5000,
	    .align = PAGE_SIZE};
	*segment(p, 2) =
	    (struct elf_segment){.type = ELF_GNU_STACK, .flags = ELF_R | ELF_W};
	if (has_interp) {
		*segment(p, 3) = (struct elf_segment){
		    .type = ELF_INTERP, .offset = 0x300, .filesz = 8};
		memcpy(p->bytes + 0x300, "/lib/ld", 8);
	}
	fake_program_init(&p->fake, p->bytes, IMAGE_SIZE);
}

static const struct exec_args args = {.path = "/bin/prog",
    .strings = "prog\0-x\0HOME=/\0",
    .strings_len = 15,
    .argc = 2,
    .envc = 1,
    .uid = 10,
    .euid = 11,
    .gid = 12,
    .egid = 13};

static uint64_t
word_at(struct aspace *as, vaddr_t va)
{
	uint64_t v = 0;

	return aspace_read(as, va, &v, 8) == 8 ? v : 0xbad;
}

static bool
text_is(struct aspace *as, vaddr_t va, const char *text)
{
	char buf[64];
	size_t n = strlen(text) + 1;

	return aspace_read(as, va, buf, n) == n && !memcmp(buf, text, n);
}

/* The auxiliary vector's entry of a type; 0xbad: none. */
static uint64_t
aux(struct aspace *as, vaddr_t sp, uint64_t type)
{
	vaddr_t at = sp + 8 * (1 + 3 + 2); /* argc, argv and 0, envp and 0 */

	for (; word_at(as, at) != 0 && word_at(as, at) != 0xbad; at += 16)
		if (word_at(as, at) == type)
			return word_at(as, at + 8);
	return 0xbad;
}

/* ---- Good programs ---- */

KTEST(exec_static_program_is_mapped_with_zeroed_bss)
{
	struct program *p = &main_program;
	struct trap_frame f;
	struct aspace *as;
	vaddr_t data = 0x410000 + DATA_OFFSET;
	uint8_t byte = 1;

	fake_programs_init();
	make_program(p, ELF_EXEC, 0x400000, false);
	as = aspace_create();
	CHECK_EQ(exec_load_elf(as, &p->fake.file, &args, &f), OK);
	CHECK_EQ(f.rip, 0x400500);
	CHECK_EQ(f.rsp % 16, 0);
	CHECK(f.cs == 0x33 && f.ss == 0x2b && f.rflags == 0x202);
	CHECK(aspace_read(as, 0x400500, &byte, 1) == 1 && byte == p->bytes[0x500]);
	CHECK(aspace_read(as, data, &byte, 1) == 1 && byte == p->bytes[DATA_OFFSET]);
	for (vaddr_t va = data + DATA_SIZE; va < data + DATA_SIZE + 0x5000; va++)
		CHECK(aspace_read(as, va, &byte, 1) == 1 && byte == 0);
	CHECK_EQ(aspace_fault(as, 0x400000, AREA_WRITE), ERR_ACCES);
	CHECK_EQ(aspace_fault(as, 0x400000, AREA_EXEC), OK);
	CHECK_EQ(aspace_fault(as, data, AREA_EXEC), ERR_ACCES);
	CHECK_EQ(aspace_fault(as, f.rsp, AREA_EXEC), ERR_ACCES);
	CHECK_EQ(aspace_fault(as, 0x401000, AREA_READ), ERR_FAULT);
	CHECK(p->bytes[DATA_OFFSET + DATA_SIZE] != 0); /* the file itself is as it was */
	CHECK(
	    as->brk_start >= data + DATA_SIZE + 0x5000 && as->brk_start % PAGE_SIZE == 0);
	CHECK(as->exe == &p->fake.file);
	aspace_put(as);
	page_cache_destroy(&p->fake.cache);
	CHECK_EQ(p->fake.file.refs, 1);
	CHECK_EQ(fake_mem_counters[MEM_ANON], 0);
}

KTEST(exec_stack_is_as_the_abi_says)
{
	struct program *p = &main_program;
	struct trap_frame f;
	struct aspace *as;
	vaddr_t sp;

	fake_programs_init();
	make_program(p, ELF_EXEC, 0x400000, false);
	as = aspace_create();
	CHECK_EQ(exec_load_elf(as, &p->fake.file, &args, &f), OK);
	sp = f.rsp;
	CHECK_EQ(word_at(as, sp), 2);
	CHECK(text_is(as, word_at(as, sp + 8), "prog"));
	CHECK(text_is(as, word_at(as, sp + 16), "-x"));
	CHECK_EQ(word_at(as, sp + 24), 0);
	CHECK(text_is(as, word_at(as, sp + 32), "HOME=/"));
	CHECK_EQ(word_at(as, sp + 40), 0);
	CHECK_EQ(aux(as, sp, 3), 0x400040);
	CHECK_EQ(aux(as, sp, 4), 56);
	CHECK_EQ(aux(as, sp, 5), 3);
	CHECK_EQ(aux(as, sp, 6), 4096);
	CHECK_EQ(aux(as, sp, 7), 0);
	CHECK_EQ(aux(as, sp, 9), 0x400500);
	CHECK_EQ(aux(as, sp, 11), 10);
	CHECK_EQ(aux(as, sp, 12), 11);
	CHECK_EQ(aux(as, sp, 13), 12);
	CHECK_EQ(aux(as, sp, 14), 13);
	CHECK_EQ(aux(as, sp, 16), 0x1234);
	CHECK_EQ(aux(as, sp, 17), 100);
	CHECK_EQ(aux(as, sp, 23), 0);
	CHECK_EQ(aux(as, sp, 26), 2);
	CHECK_EQ(word_at(as, aux(as, sp, 25)), 0x5a5a5a5a5a5a5a5a);
	CHECK(text_is(as, aux(as, sp, 15), "x86_64"));
	CHECK(text_is(as, aux(as, sp, 31), "/bin/prog"));
	CHECK_EQ(aspace_fault(as, aux(as, sp, 33), AREA_EXEC), OK);
	CHECK_EQ(aspace_fault(as, aux(as, sp, 33), AREA_WRITE), ERR_ACCES);
	CHECK_EQ(fake_vdso_page->refs, 1);
	CHECK(as->arg_start == word_at(as, sp + 8) &&
	      as->env_start == word_at(as, sp + 32));
	CHECK(as->arg_end == as->env_start && as->env_end == as->env_start + 7);
	CHECK_EQ(word_at(as, as->stack_top - 8), 0);
	aspace_put(as);
	page_cache_destroy(&p->fake.cache);
}

KTEST(exec_dynamic_program_starts_in_its_interpreter)
{
	struct program *p = &main_program, *ld = &interp_program;
	struct trap_frame f;
	struct aspace *as;
	vaddr_t base;
	uint8_t byte;

	fake_programs_init();
	make_program(p, ELF_DYN, 0, true);
	make_program(ld, ELF_DYN, 0, false);
	ld->bytes[0x500] = 0x77;
	as = aspace_create();
	CHECK_EQ(exec_load_elf(as, &p->fake.file, &args, &f), OK);
	base = aux(as, f.rsp, 7);
	CHECK(base != 0 && base % PAGE_SIZE == 0);
	CHECK_EQ(f.rip, base + 0x500);
	CHECK(aspace_read(as, f.rip, &byte, 1) == 1 && byte == 0x77);
	CHECK(aux(as, f.rsp, 9) >= 0x555555554000 &&
	      aux(as, f.rsp, 9) % PAGE_SIZE == 0x500);
	CHECK_EQ(aux(as, f.rsp, 3) + 0x4c0, aux(as, f.rsp, 9));
	aspace_put(as);
	CHECK_EQ(ld->fake.file.refs, 1);
	page_cache_destroy(&p->fake.cache);
	page_cache_destroy(&ld->fake.cache);
}

KTEST(exec_many_strings_fill_more_than_the_first_stack)
{
	static char strings[200000];
	struct exec_args many = args;
	struct program *p = &main_program;
	struct trap_frame f;
	struct aspace *as;
	uint64_t argv_last;

	fake_programs_init();
	make_program(p, ELF_DYN, 0, false);
	for (unsigned i = 0; i < sizeof(strings); i += 4)
		memcpy(strings + i, "abc", 4);
	many.strings = strings;
	many.strings_len = sizeof(strings);
	many.argc = 40000;
	many.envc = 10000;
	as = aspace_create();
	CHECK_EQ(exec_load_elf(as, &p->fake.file, &many, &f), OK);
	CHECK_EQ(word_at(as, f.rsp), 40000);
	argv_last = word_at(as, f.rsp + 40000 * 8);
	CHECK(text_is(as, argv_last, "abc"));
	CHECK_EQ(word_at(as, f.rsp + 40001 * 8), 0);
	CHECK_EQ(word_at(as, f.rsp + 40002 * 8), argv_last + 4);
	aspace_put(as);
	page_cache_destroy(&p->fake.cache);
}

/* ---- Damaged programs ---- */

static enum err
load(struct program *p)
{
	struct aspace *as = aspace_create();
	struct trap_frame f;
	enum err err = exec_load_elf(as, &p->fake.file, &args, &f);

	aspace_put(as);
	page_cache_destroy(&p->fake.cache);
	page_cache_destroy(&interp_program.fake.cache);
	return err;
}

#define DAMAGED(change) \
	({ \
		struct program *p = &main_program; \
		make_program(p, ELF_EXEC, 0x400000, true); \
		make_program(&interp_program, ELF_DYN, 0, false); \
		change; \
		load(p); \
	})

KTEST(exec_damaged_headers_are_refused)
{
	fake_programs_init();
	CHECK_EQ(DAMAGED((void)p), OK);
	CHECK_EQ(DAMAGED(p->fake.size = 0), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->fake.size = 63), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->fake.size = 100), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->bytes[0] = 0), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->bytes[4] = 1), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->bytes[5] = 2), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->type = 1), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->machine = 3), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->phentsize = 32), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->phnum = 0), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->phnum = 0xffff), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->phoff = IMAGE_SIZE - 10), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(header(p)->phoff = UINT64_MAX), ERR_NOEXEC);
}

KTEST(exec_damaged_segments_are_refused)
{
	fake_programs_init();
	CHECK_EQ(DAMAGED(segment(p, 1)->memsz = DATA_SIZE - 1), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->memsz = UINT64_MAX), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->filesz = UINT64_MAX), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->vaddr = UINT64_MAX - 0x7ff), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->vaddr += 1), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->vaddr = 0x400800), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->vaddr = USER_SPACE_END - 0x800), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->offset = 0xffff800), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->offset = UINT64_MAX & ~0x7ffull), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 0)->vaddr = 0), ERR_PERM);
	CHECK_EQ(DAMAGED((segment(p, 0)->type = 0, segment(p, 1)->type = 0)), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 1)->align = 3), OK);
}

KTEST(exec_damaged_interpreters_are_refused)
{
	fake_programs_init();
	CHECK_EQ(DAMAGED(segment(p, 3)->filesz = 1), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 3)->filesz = 5000), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 3)->filesz = 7), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(segment(p, 3)->offset = IMAGE_SIZE), ERR_NOEXEC);
	CHECK_EQ(DAMAGED(p->bytes[0x301] = 'x'), ERR_NOENT);
	CHECK_EQ(DAMAGED(interp_program.fake.size = 20), ERR_LIBBAD);
	CHECK_EQ(DAMAGED(header(&interp_program)->entry = 0x7000000), ERR_LIBBAD);
	CHECK_EQ(interp_program.fake.file.refs, 1);
}

KTEST(exec_random_damage_never_breaks_the_kernel)
{
	long frames = fake_frames_live, objects;
	uint32_t seed = 5;

	fake_programs_init();
	objects = fake_kmalloc_live;
	frames = fake_frames_live;
	for (int run = 0; run < 3000; run++) {
		(void)DAMAGED({
			struct program *victim = run & 1 ? p : &interp_program;
			for (int i = 0; i <= run % 3; i++) {
				seed = seed * 1664525 + 1013904223;
				victim->bytes[seed >> 8 & 0x13f] ^= (uint8_t)(seed >> 24);
			}
		});
		CHECK_EQ(main_program.fake.file.refs, 1);
		CHECK_EQ(interp_program.fake.file.refs, 1);
		CHECK_EQ(fake_frames_live, frames);
		CHECK_EQ(fake_kmalloc_live, objects);
	}
}
