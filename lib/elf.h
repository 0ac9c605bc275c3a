/* ELF64 files (System V ABI, "Object Files"; AMD64 supplement), as far as running them
 * needs. */
#pragma once

#include "lib/types.h"

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_section {
	uint32_t name, type;
	uint64_t flags, addr, offset, size;
	uint32_t link, info;
	uint64_t addralign, entsize;
};

static_assert(sizeof(struct elf_section) == 64, "ELF64 section header");
static_assert(sizeof(struct elf_header) == 64, "ELF64 header");
static_assert(sizeof(struct elf_segment) == 56, "ELF64 program header");

enum { ELF_CLASS_64 = 2, ELF_DATA_LSB = 1, ELF_CURRENT = 1 };
enum { ELF_IDENT_CLASS = 4, ELF_IDENT_DATA = 5, ELF_IDENT_VERSION = 6 };
enum { ELF_EXEC = 2, ELF_DYN = 3, ELF_CORE = 4, ELF_X86_64 = 62 };
enum {
	ELF_LOAD = 1,
	ELF_INTERP = 3,
	ELF_NOTE = 4,
	ELF_PHDR = 6,
	ELF_GNU_STACK = 0x6474e551,
};
enum { ELF_X = 1, ELF_W = 2, ELF_R = 4 };
