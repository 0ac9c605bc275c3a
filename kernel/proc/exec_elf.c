/*
 * The loader of ELF programs: checks every field it uses, maps the segments from the
 * file's page cache (nothing is read ahead: faults do that), the interpreter of a dynamic
 * program likewise, then the stack.
 *
 * Everything goes into a space that nobody runs in yet; on an error the caller throws it
 * away.
 */
#include "kernel/file.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/exec.h"
#include "kernel/proc/exec_stack.h"
#include "kernel/vdso/vdso.h"
#include "kernel/x86/descriptors.h"
#include "kernel/x86/trap.h"
#include "lib/bits.h"
#include "lib/elf.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "mm/slab.h"

enum {
	SEGMENTS_MAX = 65536 / sizeof(struct elf_segment), /* as Linux */
	INTERP_PATH_MAX = 4096,
	BRK_RANDOM_PAGES = 0x2000, /* 32 MiB */
	PIE_RANDOM_BITS = 28,      /* pages */
};

#define PIE_BASE          (USER_SPACE_END / 3 * 2 & ~(uint64_t)(PAGE_SIZE - 1))
#define MAX_SEGMENT_ALIGN GIB(1)

/* A checked ELF file. */
struct elf_image {
	struct file *file;
	struct elf_header header;
	struct elf_segment *segments;     /* header.phnum of them */
	const struct elf_segment *interp; /* or NULL */
	const struct elf_segment *stack;  /* PT_GNU_STACK or NULL */
	vaddr_t start,
	    end;        /* page-aligned hull of the PT_LOAD segments, before the bias */
	uint64_t align; /* largest of their alignments */
	uint64_t bias;  /* what is added to every address of the file */
};

static void
image_fini(struct elf_image *e)
{
	kfree(e->segments);
}

static bool
header_is_ok(const struct elf_header *h)
{
	return !memcmp(h->ident, "\177ELF", 4) &&
	       h->ident[ELF_IDENT_CLASS] == ELF_CLASS_64 &&
	       h->ident[ELF_IDENT_DATA] == ELF_DATA_LSB &&
	       h->ident[ELF_IDENT_VERSION] == ELF_CURRENT &&
	       (h->type == ELF_EXEC || h->type == ELF_DYN) && h->machine == ELF_X86_64 &&
	       h->phentsize == sizeof(struct elf_segment) && h->phnum > 0 &&
	       h->phnum <= SEGMENTS_MAX && h->phoff <= INT64_MAX - 65536;
}

/* Exactly n bytes; a shorter file is no program. */
static enum err
read_exactly(struct file *f, void *buf, size_t n, uint64_t pos)
{
	ssize_t got = file_read_at(f, buf, n, (loff_t)pos);

	if (got < 0)
		return (enum err)got;
	return (size_t)got == n ? OK : ERR_NOEXEC;
}

/* The sizes of a PT_LOAD segment make sense, and its file part is there. */
static bool
load_is_ok(const struct file *f, const struct elf_segment *s)
{
	uint64_t file_size = f->cache ? f->cache->file_size : INT64_MAX;

	if (s->filesz > s->memsz || s->memsz > USER_SPACE_END ||
	    s->vaddr > USER_SPACE_END - s->memsz)
		return false;
	if (s->filesz > INT64_MAX / 2 || s->offset > INT64_MAX / 2 ||
	    s->offset + s->filesz > file_size)
		return false;
	return s->offset % PAGE_SIZE == s->vaddr % PAGE_SIZE;
}

/* Notes the segments that matter; false: nonsense. PT_LOADs must rise and not overlap. */
static bool
segments_are_ok(struct elf_image *e)
{
	vaddr_t last_end = 0;

	e->align = PAGE_SIZE;
	e->start = UINT64_MAX;
	for (unsigned i = 0; i < e->header.phnum; i++) {
		const struct elf_segment *s = &e->segments[i];

		if (s->type == ELF_INTERP && !e->interp)
			e->interp = s;
		if (s->type == ELF_GNU_STACK)
			e->stack = s;
		if (s->type != ELF_LOAD || !s->memsz)
			continue;
		if (!load_is_ok(e->file, s) || s->vaddr < last_end)
			return false;
		last_end = s->vaddr + s->memsz;
		e->start = MIN(e->start, ALIGN_DOWN(s->vaddr, (vaddr_t)PAGE_SIZE));
		e->end = ALIGN_UP(last_end, (vaddr_t)PAGE_SIZE);
		if (is_power_of_2(s->align) && s->align <= MAX_SEGMENT_ALIGN)
			e->align = MAX(e->align, s->align);
	}
	return e->start < e->end;
}

/* Reads and checks the headers of `file`. image_fini in any case. */
static enum err
image_read(struct elf_image *e, struct file *file)
{
	size_t size;
	enum err err;

	memset(e, 0, sizeof(*e));
	e->file = file;
	err = read_exactly(file, &e->header, sizeof(e->header), 0);
	if (err != OK)
		return err;
	if (!header_is_ok(&e->header))
		return ERR_NOEXEC;
	size = e->header.phnum * sizeof(*e->segments);
	e->segments = kmalloc(size);
	if (!e->segments)
		return ERR_NOMEM;
	err = read_exactly(file, e->segments, size, e->header.phoff);
	if (err != OK)
		return err;
	return segments_are_ok(e) ? OK : ERR_NOEXEC;
}

static int
prot_of(const struct elf_segment *s)
{
	return (s->flags & ELF_R ? PROT_READ : 0) | (s->flags & ELF_W ? PROT_WRITE : 0) |
	       (s->flags & ELF_X ? PROT_EXEC : 0);
}

static enum err
map_at(struct aspace *as, vaddr_t start, vaddr_t end, int prot, struct file *f,
    uint64_t offset)
{
	long addr;

	if (start >= end)
		return OK;
	addr = aspace_map(as, start, end - start, prot,
	    MAP_PRIVATE | MAP_FIXED | (f ? 0 : MAP_ANONYMOUS), f, (loff_t)offset);
	return addr < 0 ? (enum err)addr : OK;
}

/* The page's rest after the file's part: zeros, not what the file has there. */
static enum err
clear_tail(struct aspace *as, vaddr_t from)
{
	static const uint8_t zeros[PAGE_SIZE];
	size_t len = ALIGN_UP(from, (vaddr_t)PAGE_SIZE) - from;

	if (len && aspace_fault(as, from, AREA_WRITE) == ERR_NOMEM)
		return ERR_NOMEM;
	return aspace_write(as, from, zeros, len) == len ? OK : ERR_NOEXEC;
}

static enum err
map_segment(struct aspace *as, const struct elf_image *e, const struct elf_segment *s)
{
	vaddr_t vaddr = s->vaddr + e->bias, file_end = vaddr + s->filesz;
	vaddr_t start = ALIGN_DOWN(vaddr, (vaddr_t)PAGE_SIZE);
	vaddr_t middle = s->filesz ? ALIGN_UP(file_end, (vaddr_t)PAGE_SIZE) : start;
	vaddr_t end = ALIGN_UP(vaddr + s->memsz, (vaddr_t)PAGE_SIZE);
	enum err err;

	err = map_at(as, start, middle, prot_of(s), e->file, s->offset - (vaddr - start));
	if (err == OK)
		err = map_at(as, middle, end, prot_of(s), NULL, 0);
	if (err == OK && s->filesz && s->memsz > s->filesz && file_end < middle &&
	    s->flags & ELF_W)
		err = clear_tail(as, file_end);
	return err;
}

static enum err
map_segments(struct aspace *as, const struct elf_image *e)
{
	for (unsigned i = 0; i < e->header.phnum; i++) {
		const struct elf_segment *s = &e->segments[i];
		enum err err;

		if (s->type != ELF_LOAD || !s->memsz)
			continue;
		err = map_segment(as, e, s);
		if (err != OK)
			return err;
	}
	return OK;
}

/* Where a position-independent program goes: a third of the space from its end, at
 * random. */
static enum err
choose_program_base(struct elf_image *e)
{
	uint64_t room = USER_SPACE_END / 4;

	if (e->header.type == ELF_EXEC)
		return OK;
	if (e->end - e->start > room)
		return ERR_NOMEM;
	e->bias = PIE_BASE + (layout_random(RANDOMIZE_LAYOUT, 1ull << PIE_RANDOM_BITS)
	                         << PAGE_SHIFT);
	e->bias = ALIGN_DOWN(e->bias, e->align) - ALIGN_DOWN(e->start, e->align);
	return OK;
}

/* Where the interpreter goes: among the mappings, which it is the first of. */
static enum err
choose_interp_base(struct aspace *as, struct elf_image *e)
{
	size_t size = e->end - e->start + e->align;
	long addr;

	if (e->header.type == ELF_EXEC)
		return OK;
	addr = aspace_map(as, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
	if (addr < 0)
		return (enum err)addr;
	e->bias = ALIGN_UP((vaddr_t)addr, e->align) - ALIGN_DOWN(e->start, e->align);
	return aspace_unmap(as, (vaddr_t)addr, size);
}

/* Where the program headers are in memory: in the segment that holds their place in the
 * file. */
static vaddr_t
phdr_address(const struct elf_image *e)
{
	uint64_t off = e->header.phoff, size = e->header.phnum * sizeof(*e->segments);

	for (unsigned i = 0; i < e->header.phnum; i++) {
		const struct elf_segment *s = &e->segments[i];

		if (s->type == ELF_LOAD && off >= s->offset &&
		    off - s->offset <= s->filesz && size <= s->filesz - (off - s->offset))
			return s->vaddr + (off - s->offset) + e->bias;
	}
	return 0;
}

/* What /proc and brk want to know of the program's extent. */
static void
note_layout(struct aspace *as, const struct elf_image *e)
{
	vaddr_t brk = e->end + e->bias;

	as->code_start = UINT64_MAX;
	for (unsigned i = 0; i < e->header.phnum; i++) {
		const struct elf_segment *s = &e->segments[i];
		vaddr_t start = s->vaddr + e->bias, end = start + s->filesz;

		if (s->type != ELF_LOAD)
			continue;
		if (s->flags & ELF_X) {
			as->code_start = MIN(as->code_start, start);
			as->code_end = MAX(as->code_end, end);
		}
		as->data_start = MAX(as->data_start, start);
		as->data_end = MAX(as->data_end, end);
	}
	if (as->code_start == UINT64_MAX)
		as->code_start = as->code_end;
	brk += layout_random(RANDOMIZE_HEAP, BRK_RANDOM_PAGES) << PAGE_SHIFT;
	as->brk_start = as->brk = brk;
	as->exe = file_get(e->file);
}

static bool
is_in_image(const struct elf_image *e, vaddr_t va)
{
	return va >= e->start + e->bias && va < e->end + e->bias;
}

/* Loads the interpreter that `program` names; *entry is where it begins. */
static enum err
load_interp(
    struct aspace *as, const struct elf_image *program, vaddr_t *base, vaddr_t *entry)
{
	size_t size = program->interp->filesz;
	struct elf_image e = {.segments = NULL};
	struct file *file = NULL;
	char *path;
	enum err err;

	if (size < 2 || size > INTERP_PATH_MAX || program->interp->offset > INT64_MAX / 2)
		return ERR_NOEXEC;
	path = kmalloc(size);
	if (!path)
		return ERR_NOMEM;
	err = read_exactly(program->file, path, size, program->interp->offset);
	if (err == OK && path[size - 1])
		err = ERR_NOEXEC;
	if (err == OK)
		err = file_open_exec(path, &file);
	kfree(path);
	if (err != OK)
		return err;
	if (!file_is_readable(file))
		as->dumpable = (uint8_t)coredump_suid_dumpable();
	err = image_read(&e, file);
	if (err == OK)
		err = choose_interp_base(as, &e);
	if (err == OK)
		err = map_segments(as, &e);
	*base = e.start + e.bias;
	*entry = e.header.entry + e.bias;
	if (err == OK && !is_in_image(&e, *entry))
		err = ERR_NOEXEC;
	image_fini(&e);
	file_put(file);
	return err == ERR_NOEXEC ? ERR_LIBBAD : err;
}

static enum err
load_program(struct aspace *as, struct elf_image *e, const struct exec_args *args,
    struct trap_frame *frame)
{
	struct exec_image image = {.phnum = e->header.phnum};
	vaddr_t entry, sp;
	enum err err;

	err = choose_program_base(e);
	if (err == OK)
		err = map_segments(as, e);
	if (err != OK)
		return err;
	note_layout(as, e);
	image.phdr = phdr_address(e);
	image.entry = e->header.entry + e->bias;
	image.stack_is_exec = e->stack && e->stack->flags & ELF_X;
	entry = image.entry;
	if (e->interp)
		err = load_interp(as, e, &image.interp_base, &entry);
	else if (!is_in_image(e, entry))
		err = ERR_NOEXEC;
	if (err == OK)
		err = vdso_map(as, &image.vdso);
	if (err == OK)
		err = exec_build_stack(as, args, &image, &sp);
	if (err != OK)
		return err;
	memset(frame, 0, sizeof(*frame));
	frame->rip = entry;
	frame->rsp = sp;
	frame->cs = USER_CS;
	frame->ss = USER_DS;
	frame->rflags = 0x202; /* IF and the bit that is always set */
	return OK;
}

enum err
exec_load_elf(struct aspace *as, struct file *file, const struct exec_args *args,
    struct trap_frame *frame)
{
	struct elf_image e;
	enum err err;

	err = image_read(&e, file);
	if (err == OK)
		err = load_program(as, &e, args, frame);
	image_fini(&e);
	return err;
}
