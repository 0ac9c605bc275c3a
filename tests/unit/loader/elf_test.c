/*
 * loader/elf.c on kernels made here: good ones, each kind of damage, and random damage.
 * LINK: loader/elf.c lib/string.c
 */
#include "loader/elf.h"

#include <stdlib.h>

#include "kernel/boot.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

#define BASE (BOOT_KERNEL_SPACE + MIB(2))

enum {
	PHDRS = 64,
	PHDR_SIZE = 56,
	HEAD = 0x1000, /* file offset of the read-only segment; text and data follow */
	DYNAMIC = HEAD + 0x100,
	RELA = HEAD + 0x200,
	RELR = HEAD + 0x300,
	DATA = HEAD + 0x2000,
	FILE_SIZE = DATA + 0x800,
	DATA_MEM = 0x3000,
};

static uint8_t *file;
static struct elf_image e;

static void
put(size_t at, uint64_t value, size_t n)
{
	memcpy(file + at, &value, n);
}

static void
put_phdr(unsigned i, uint32_t type, uint32_t flags, uint64_t offset, uint64_t filesz,
    uint64_t memsz)
{
	size_t at = PHDRS + i * PHDR_SIZE;

	put(at, type, 4);
	put(at + 4, flags, 4);
	put(at + 8, offset, 8);
	put(at + 16, BASE + offset - HEAD, 8);
	put(at + 24, MIB(2) + offset - HEAD, 8);
	put(at + 32, filesz, 8);
	put(at + 40, memsz, 8);
	put(at + 48, 4096, 8);
}

static void
put_dynamic(unsigned i, uint64_t tag, uint64_t value)
{
	put(DYNAMIC + i * 16, tag, 8);
	put(DYNAMIC + i * 16 + 8, value, 8);
}

/* A kernel of three segments with one RELA and five RELR relocations in its data. */
static void
make_file(void)
{
	free(file);
	file = calloc(1, FILE_SIZE);
	memcpy(file,
	    "\x7f"
	    "ELF\x02\x01\x01",
	    7);
	put(16, 3, 2);
	put(18, 62, 2);
	put(24, BASE + 0x1010, 8);
	put(32, PHDRS, 8);
	put(54, PHDR_SIZE, 2);
	put(56, 4, 2);
	put_phdr(0, 1, 4, HEAD, 0x1000, 0x1000);
	put_phdr(1, 1, 5, HEAD + 0x1000, 0x1000, 0x1000);
	put_phdr(2, 1, 6, DATA, FILE_SIZE - DATA, DATA_MEM);
	put_phdr(3, 2, 4, DYNAMIC, 7 * 16, 7 * 16);
	put_dynamic(0, 7, BASE + RELA - HEAD);
	put_dynamic(1, 8, 24);
	put_dynamic(2, 9, 24);
	put_dynamic(3, 36, BASE + RELR - HEAD);
	put_dynamic(4, 35, 16);
	put_dynamic(5, 37, 8);
	put(RELA, BASE + 0x2100, 8); /* at DATA + 0x100 */
	put(RELA + 8, 8, 8);
	put(RELA + 16, BASE + 0x1234, 8);
	put(RELR, BASE + 0x2000, 8);
	put(RELR + 8, 1 | 1 << 1 | 1 << 2 | 1ull << 10 | 1ull << 63, 8);
	put(DATA, BASE, 8);
	put(DATA + 8, BASE + 1, 8);
	put(DATA + 16, BASE + 2, 8);
	put(DATA + 80, BASE + 10, 8);
	put(DATA + 8 + 62 * 8, BASE + 0x4fff, 8);
	put(DATA + 24, 0x1234, 8); /* not an address */
}

static const char *
check(void)
{
	return elf_check(file, FILE_SIZE, &e);
}

static uint64_t
word(const uint8_t *image, size_t at)
{
	uint64_t v;

	memcpy(&v, image + at, 8);
	return v;
}

static bool
has(const char *text, const char *part)
{
	return text && strstr(text, part);
}

KTEST(elf_good_kernel_is_described)
{
	make_file();
	CHECK(!check());
	CHECK_EQ(e.nsegments, 3);
	CHECK_EQ(e.link_base, BASE);
	CHECK_EQ(e.size, 0x5000);
	CHECK_EQ(e.entry, 0x1010);
	CHECK(e.segments[1].place.rights == BOOT_PT_EXEC &&
	      e.segments[2].place.rights == BOOT_PT_WRITE);
}

KTEST(elf_load_and_relocate_move_every_address_and_nothing_else)
{
	uint64_t virt = BOOT_KERNEL_SPACE + MIB(514);
	uint8_t *image;

	make_file();
	CHECK(!check());
	image = malloc(e.size);
	memset(image, 0xaa, e.size);
	elf_load(file, &e, image);
	CHECK_EQ(word(image, 0x2800), 0); /* .bss */
	CHECK(!elf_relocate(image, &e, virt));
	CHECK_EQ(word(image, 0x2100), virt + 0x1234);
	CHECK_EQ(word(image, 0x2000), virt);
	CHECK_EQ(word(image, 0x2008), virt + 1);
	CHECK_EQ(word(image, 0x2010), virt + 2);
	CHECK_EQ(word(image, 0x2050), virt + 10);
	CHECK_EQ(word(image, 0x2008 + 62 * 8), virt + 0x4fff);
	CHECK_EQ(word(image, 0x2018), 0x1234);
	free(image);
}

KTEST(elf_truncated_at_any_length_is_refused)
{
	make_file();
	for (size_t n = 0; n < FILE_SIZE; n += n < 512 ? 1 : 97) {
		uint8_t *cut = malloc(n ? n : 1);
		const char *wrong;

		memcpy(cut, file, n);
		wrong = elf_check(cut, n, &e);
		free(cut);
		CHECK(wrong);
		CHECK(n < 64 || has(wrong, "truncated"));
	}
}

KTEST(elf_of_another_machine_is_refused)
{
	make_file();
	put(18, 183, 2); /* AArch64 */
	CHECK(has(check(), "not for x86-64"));
	make_file();
	put(4, 1, 1); /* 32 bits */
	CHECK(has(check(), "not for x86-64"));
	make_file();
	put(0, 'M', 1);
	CHECK(has(check(), "not an ELF"));
	make_file();
	put(16, 2, 2);
	CHECK(has(check(), "position-independent"));
}

KTEST(elf_damaged_segments_are_refused)
{
	const struct {
		size_t at;
		uint64_t value;
		size_t n;
		const char *says;
	} damage[] = {
	    {PHDRS + 4, 7, 4, "writable and executable"},
	    {PHDRS + 8, UINT64_MAX - 4, 8, "truncated"},
	    {PHDRS + 16, MIB(2), 8, "address space"},
	    {PHDRS + 16, 0xffffffffffe00000, 8, "address space"},
	    {PHDRS + 32, 0x2000, 8, "damaged"},
	    {PHDRS + 40, UINT64_MAX, 8, "address space"},
	    {PHDRS + PHDR_SIZE + 16, BASE, 8, "overlap"},
	    {PHDRS + PHDR_SIZE + 16, BASE + 0x1001, 8, "damaged"},
	    {PHDRS + 2 * PHDR_SIZE + 40, GIB(1), 8, "address space"},
	    {PHDRS + 3 * PHDR_SIZE + 16, BASE + 0x4ff8, 8, "dynamic"},
	    {PHDRS + 3 * PHDR_SIZE, 4, 4, "relocations"},
	    {24, BASE + 0x2010, 8, "entry"},
	    {24, 0, 8, "entry"},
	    {32, UINT64_MAX, 8, "truncated"},
	    {54, 32, 2, "program headers"},
	    {56, 0, 2, "program headers"},
	    {56, 9999, 2, "program headers"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		make_file();
		put(damage[i].at, damage[i].value, damage[i].n);
		CHECK(has(check(), damage[i].says));
	}
}

static const char *
relocate(void)
{
	const char *wrong;
	uint8_t *image;

	if (check())
		return "no check";
	image = malloc(e.size);
	elf_load(file, &e, image);
	wrong = elf_relocate(image, &e, BASE + MIB(2));
	free(image);
	return wrong;
}

KTEST(elf_bad_relocations_are_refused)
{
	const struct {
		size_t at;
		uint64_t value;
	} damage[] = {
	    {RELA, BASE - 8},           /* place below */
	    {RELA, BASE + 0x4ffc},      /* place half outside */
	    {RELA, UINT64_MAX},         /* far outside */
	    {RELA + 8, 1},              /* R_X86_64_64 */
	    {RELA + 8, 8 | 1ull << 32}, /* wants a symbol */
	    {RELA + 16, 0},             /* points to nothing */
	    {RELA + 16, BASE + 0x5001},
	    {RELR, 0},
	    {RELR, 3}, /* a bit map first */
	    {RELR + 8, BASE + 0x5000},
	    {DATA, 0x1000},               /* what RELR moves is no address */
	    {DYNAMIC + 8, BASE + 0x4ff0}, /* table outside */
	    {DYNAMIC + 24, UINT64_MAX},   /* of such a size */
	    {DYNAMIC + 40, 16},           /* entry size */
	    {DYNAMIC + 88, 4},
	    {DYNAMIC + 56, 0 - 1ull},
	};

	make_file();
	CHECK(!relocate());
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		make_file();
		put(damage[i].at, damage[i].value, 8);
		CHECK(has(relocate(), "bad relocation"));
	}
}

KTEST(elf_random_damage_never_leaves_the_buffers)
{
	uint64_t seed = 7;

	for (unsigned round = 0; round < 20000; round++) {
		make_file();
		for (unsigned i = 0; i < 1 + round % 4; i++) {
			size_t where;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			where = (seed >> 33) % 5;
			/* Headers and tables, where it matters. */
			where = where == 0   ? (seed >> 20) % 64
			        : where == 1 ? PHDRS + (seed >> 20) % (4 * PHDR_SIZE)
			        : where == 2 ? DYNAMIC + (seed >> 20) % 112
			        : where == 3 ? RELA + (seed >> 20) % 24
			                     : RELR + (seed >> 20) % 16;
			file[where] = (uint8_t)(seed >> 56);
		}
		if (!check() && e.size < MIB(16))
			(void)relocate();
	}
	free(file);
	file = NULL;
}
