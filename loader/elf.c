/*
 * ELF64 (System V gABI chapters 4 and 5, x86-64 psABI 4.4). The kernel has only
 * relocations that need no symbol: R_X86_64_RELATIVE in .rela.dyn, and .relr.dyn, a
 * compact list of places that hold an address (gABI, "SHT_RELR": an even word is an
 * address, an odd one a bit map of the 63 words after the last).
 */
#include "loader/elf.h"

#include "kernel/boot.h"
#include "lib/string.h"

enum {
	ET_DYN = 3,
	EM_X86_64 = 62,
	ELFCLASS64 = 2,
	ELFDATA2LSB = 1,
	PT_LOAD = 1,
	PT_DYNAMIC = 2,
	PF_X = 1,
	PF_W = 2,
	DT_NULL = 0,
	DT_RELA = 7,
	DT_RELASZ = 8,
	DT_RELAENT = 9,
	DT_RELRSZ = 35,
	DT_RELR = 36,
	DT_RELRENT = 37,
	R_X86_64_RELATIVE = 8,
	MAX_PROGRAM_HEADERS = 64,
};

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct program_header {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct dynamic {
	int64_t tag;
	uint64_t value;
};

struct rela {
	uint64_t offset, info;
	int64_t addend;
};

/* An image being relocated. */
struct reloc {
	char *image;
	uint64_t size, link_base, virt;
};

static const char *
check_header(const struct elf_header *h, uint64_t size)
{
	static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

	if (size < sizeof(*h) || memcmp(h->ident, magic, sizeof(magic)) != 0)
		return "not an ELF file";
	if (h->ident[4] != ELFCLASS64 || h->ident[5] != ELFDATA2LSB ||
	    h->machine != EM_X86_64)
		return "an ELF file, but not for x86-64";
	if (h->type != ET_DYN)
		return "an ELF file, but not a position-independent program";
	if (h->phentsize != sizeof(struct program_header) || !h->phnum ||
	    h->phnum > MAX_PROGRAM_HEADERS)
		return "program headers are damaged";
	if (h->phoff > size || h->phnum * sizeof(struct program_header) > size - h->phoff)
		return "truncated: the program headers are cut off";
	return NULL;
}

static const char *
add_segment(struct elf_image *e, const struct program_header *p, uint64_t size)
{
	struct elf_segment *s = &e->segments[e->nsegments];
	uint64_t end = e->link_base + e->size;

	if (!p->memsz)
		return NULL;
	if (e->nsegments == ELF_MAX_SEGMENTS)
		return "more segments than a kernel has";
	if (p->filesz > p->memsz || !IS_ALIGNED(p->vaddr, 4096ull))
		return "a segment is damaged";
	if (p->offset > size || p->filesz > size - p->offset)
		return "truncated: a segment is cut off";
	if ((p->flags & (PF_W | PF_X)) == (PF_W | PF_X))
		return "a segment is both writable and executable";
	if (!e->nsegments) {
		if (p->vaddr < BOOT_KERNEL_SPACE || !IS_ALIGNED(p->vaddr, MIB(2)))
			return "not linked for the kernel's address space";
		end = e->link_base = p->vaddr;
	}
	if (p->vaddr < end || p->memsz > GIB(1) ||
	    p->vaddr - BOOT_KERNEL_SPACE > GIB(1) - p->memsz)
		return "segments overlap or lie outside the kernel's address space";
	s->file_offset = p->offset;
	s->file_size = p->filesz;
	s->place.offset = p->vaddr - e->link_base;
	s->place.size = ALIGN_UP(p->memsz, 4096ull);
	s->place.rights =
	    (p->flags & PF_W ? BOOT_PT_WRITE : 0) | (p->flags & PF_X ? BOOT_PT_EXEC : 0);
	e->size = s->place.offset + s->place.size;
	e->nsegments++;
	return NULL;
}

static bool
is_in_image(const struct elf_image *e, uint64_t offset, uint64_t size)
{
	return offset <= e->size && size <= e->size - offset;
}

const char *
elf_check(const void *file, uint64_t size, struct elf_image *e)
{
	const struct elf_header *h = file;
	const char *wrong = check_header(h, size);

	memset(e, 0, sizeof(*e));
	for (unsigned i = 0; !wrong && i < h->phnum; i++) {
		struct program_header p;

		memcpy(&p, (const char *)file + h->phoff + i * sizeof(p), sizeof(p));
		if (p.type == PT_LOAD) {
			wrong = add_segment(e, &p, size);
		} else if (p.type == PT_DYNAMIC) {
			e->dynamic = p.vaddr;
			e->dynamic_size = p.memsz;
		}
	}
	if (wrong)
		return wrong;
	if (!e->nsegments)
		return "has nothing to load";
	if (!e->dynamic_size)
		return "cannot be moved: it has no relocations";
	e->dynamic -= e->link_base;
	if (!is_in_image(e, e->dynamic, e->dynamic_size))
		return "the dynamic section lies outside";
	e->entry = h->entry - e->link_base;
	for (unsigned i = 0; i < e->nsegments; i++) {
		const struct boot_segment *s = &e->segments[i].place;

		if (s->rights & BOOT_PT_EXEC && e->entry >= s->offset &&
		    e->entry - s->offset < s->size)
			return NULL;
	}
	return "the entry point does not lie in code";
}

void
elf_load(const void *file, const struct elf_image *e, void *image)
{
	memset(image, 0, e->size);
	for (unsigned i = 0; i < e->nsegments; i++) {
		const struct elf_segment *s = &e->segments[i];

		memcpy((char *)image + s->place.offset,
		    (const char *)file + s->file_offset, s->file_size);
	}
}

/* The word at link address `at`, of any alignment; NULL when outside the image. */
static void *
word_at(const struct reloc *r, uint64_t at)
{
	uint64_t offset = at - r->link_base;

	return offset > r->size - sizeof(uint64_t) ? NULL : r->image + offset;
}

/* Stores link address `target` as it will be; it must lie in the image or just behind. */
static bool
put_address(const struct reloc *r, uint64_t at, uint64_t target)
{
	void *word = word_at(r, at);

	if (!word || target - r->link_base > r->size)
		return false;
	target += r->virt - r->link_base;
	memcpy(word, &target, sizeof(target));
	return true;
}

static bool
apply_rela(const struct reloc *r, const struct rela *table, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (table[i].info != R_X86_64_RELATIVE ||
		    !put_address(r, table[i].offset, (uint64_t)table[i].addend))
			return false;
	}
	return true;
}

static bool
move_word(const struct reloc *r, uint64_t at)
{
	const void *word = word_at(r, at);
	uint64_t target;

	if (!word)
		return false;
	memcpy(&target, word, sizeof(target));
	return put_address(r, at, target);
}

static bool
apply_relr(const struct reloc *r, const uint64_t *table, uint64_t n)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (!(table[i] & 1)) {
			if (!move_word(r, table[i]))
				return false;
			next = table[i] + 8;
			continue;
		}
		for (unsigned bit = 1; bit < 64; bit++) {
			if (table[i] >> bit & 1 && !move_word(r, next + (bit - 1) * 8))
				return false;
		}
		next += 63 * 8;
	}
	return true;
}

/* A table of the dynamic section, as a pointer into the image; NULL when outside. */
static const void *
table_at(const struct reloc *r, uint64_t at, uint64_t size)
{
	uint64_t offset = at - r->link_base;

	if (offset > r->size || size > r->size - offset || !IS_ALIGNED(offset, 8ull))
		return NULL;
	return r->image + offset;
}

const char *
elf_relocate(void *image, const struct elf_image *e, uint64_t virt)
{
	struct reloc r = {image, e->size, e->link_base, virt};
	const struct dynamic *d = (const void *)((char *)image + e->dynamic);
	uint64_t value[DT_RELRENT + 1] = {0};
	const void *rela, *relr;

	if (!IS_ALIGNED(e->dynamic, 8ull))
		return "bad relocation: the dynamic section lies odd";
	for (uint64_t i = 0; i < e->dynamic_size / sizeof(*d) && d[i].tag != DT_NULL;
	     i++) {
		if (d[i].tag > 0 && (uint64_t)d[i].tag < ARRAY_SIZE(value))
			value[d[i].tag] = d[i].value;
	}
	rela =
	    table_at(&r, value[DT_RELA] ? value[DT_RELA] : r.link_base, value[DT_RELASZ]);
	relr =
	    table_at(&r, value[DT_RELR] ? value[DT_RELR] : r.link_base, value[DT_RELRSZ]);
	if (!rela || !relr)
		return "bad relocation: a table lies outside the kernel";
	if ((value[DT_RELASZ] && value[DT_RELAENT] != sizeof(struct rela)) ||
	    (value[DT_RELRSZ] && value[DT_RELRENT] != sizeof(uint64_t)))
		return "bad relocation: table of an unknown form";
	if (!apply_rela(&r, rela, value[DT_RELASZ] / sizeof(struct rela)))
		return "bad relocation in .rela.dyn";
	if (!apply_relr(&r, relr, value[DT_RELRSZ] / sizeof(uint64_t)))
		return "bad relocation in .relr.dyn";
	return NULL;
}
