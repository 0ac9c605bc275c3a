/* The first words of a new program's stack (AMD64 ABI supplement, 3.4.1). */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct aspace;
struct exec_args;

/* What the loader found, for the auxiliary vector. */
struct exec_image {
	vaddr_t phdr; /* AT_PHDR, 0: not in memory */
	uint64_t phnum;
	vaddr_t interp_base; /* AT_BASE, 0: no interpreter */
	vaddr_t entry;       /* AT_ENTRY: the program's own */
	vaddr_t vdso;        /* AT_SYSINFO_EHDR, 0: none */
	bool stack_is_exec;
};

/* Maps the stack and fills it; *sp is where the program begins. ERR_2BIG, ERR_NOMEM. */
enum err exec_build_stack(
    struct aspace *, const struct exec_args *, const struct exec_image *, vaddr_t *sp);
