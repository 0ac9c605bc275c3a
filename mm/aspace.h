/*
 * User address spaces: a tree of areas over page tables. An area is a run of pages with the
 * same rights and backing; its ops fill pages on a fault. Changes hold `lock` exclusively,
 * faults shared. References: aspace_get/put; the last put unmaps everything.
 */
#pragma once

#include "kernel/sched/cpumask.h"
#include "kernel/sync/mutex.h"
#include "lib/rbtree.h"
#include "mm/pagetable.h"
#include "mm/tlb.h"

struct file;
struct aspace;
struct trap_frame;

#define USER_SPACE_END 0x00007ffffffff000ull

enum area_flags {
	AREA_READ = 1 << 0,
	AREA_WRITE = 1 << 1,
	AREA_EXEC = 1 << 2,
	AREA_SHARED = 1 << 3,
	AREA_STACK = 1 << 4,	/* grows down to its guard gap */
	AREA_HEAP = 1 << 5,	/* brk */
	AREA_DEVICE = 1 << 6,	/* maps device memory: not copied by core dumps */
};

struct area {
	struct rb_node node;
	vaddr_t start, end; /* page-aligned, [start, end) */
	uint32_t flags;
	const struct area_ops *ops;
	struct file *file;	/* a reference, or NULL for anonymous memory */
	uint64_t file_page;	/* page number in the file at `start` */
	struct aspace *aspace;
};

struct area_ops {
	const char *name;
	/* Makes the page at `va` present with the needed right; the aspace lock is held shared. */
	enum err (*fault)(struct area *, vaddr_t va, unsigned access);
	void (*close)(struct area *); /* the area, or a part that was split off, goes away */
};

struct aspace {
	paddr_t page_table;
	struct rwsem lock;
	struct rb_root areas;	  /* [lock] by start */
	struct cpumask cpus;	  /* [a] CPUs that have it loaded; kept by mm/tlb.c */
	struct tlb_context tlb;	  /* tlb_context_init by aspace_create */
	uint32_t refs;		  /* [a] */
	uint64_t num_pages;	  /* [lock] mapped by areas */
	uint64_t resident;	  /* [a] pages present */
	vaddr_t brk_start, brk;	  /* [lock] */
	vaddr_t mmap_base;	  /* [lock] search goes down from here */
	vaddr_t stack_top;
	vaddr_t code_start, code_end, data_start, data_end, arg_start, arg_end, env_start, env_end;
	struct file *exe; /* a reference, or NULL */
};

/* A new space with only the kernel half. NULL: no memory. */
struct aspace *aspace_create(void);
/* A copy for fork: private pages become copy-on-write in both. */
struct aspace *aspace_fork(struct aspace *);
struct aspace *aspace_get(struct aspace *);
void aspace_put(struct aspace *);
void aspace_switch(struct aspace *); /* loads it on this CPU (tlb_load); called by the scheduler */

/*
 * Maps memory as mmap does: prot PROT_*, flags MAP_* of Linux. Returns the address or an err.
 * file may be NULL with MAP_ANONYMOUS; it is referenced by the area.
 */
long aspace_map(struct aspace *, vaddr_t hint, size_t len, int prot, int flags,
    struct file *file, loff_t offset);
enum err aspace_unmap(struct aspace *, vaddr_t start, size_t len);
enum err aspace_protect(struct aspace *, vaddr_t start, size_t len, int prot);
long aspace_brk(struct aspace *, vaddr_t new_brk); /* the break after the call */

/* The area that holds `va` or, if none does, NULL. Lock held. */
struct area *area_find(struct aspace *, vaddr_t va);

/*
 * The page-fault entry, from the trap handler with interrupts on. Returns true if the fault was
 * resolved; else a signal has been sent (user mode) or the kernel access is to be fixed up or a bug.
 */
bool page_fault(struct trap_frame *, vaddr_t addr);

/*
 * exec's part: loads the ELF image of `file` into the new space `as`: segments, interpreter,
 * brk, stack, vDSO. Sets entry and stack pointer of `frame`. Nothing of the caller's own space changes.
 */
struct exec_args;
enum err exec_load_elf(
    struct aspace *as, struct file *file, const struct exec_args *args, struct trap_frame *frame);
