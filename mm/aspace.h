/*
 * User address spaces: a tree of areas over page tables. An area is a run of pages with
 * the same rights and backing; its ops fill pages on a fault. Changes hold `lock`
 * exclusively, faults shared. References: aspace_get/put; the last put unmaps everything.
 */
#pragma once

#include "kernel/sched/cpumask.h"
#include "kernel/sync/mutex.h"
#include "lib/list.h"
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
	AREA_STACK = 1 << 4,      /* grows down to its guard gap */
	AREA_HEAP = 1 << 5,       /* brk */
	AREA_DEVICE = 1 << 6,     /* maps device memory: not copied by core dumps */
	AREA_MAY_WRITE = 1 << 7,  /* mprotect may add AREA_WRITE */
	AREA_LOCKED = 1 << 8,     /* mlock: its pages stay */
	AREA_NO_FORK = 1 << 9,    /* madvise: a child does not get it */
	AREA_WIPE_FORK = 1 << 10, /* madvise: a child gets it empty */
	AREA_ACCOUNT = 1 << 11,   /* counted as promised: mm/commit.h */
	AREA_NORESERVE = 1 << 12, /* MAP_NORESERVE: never is */
	AREA_NO_DUMP = 1 << 13,   /* madvise: not in core files */
	AREA_LOCK_ONFAULT =
	    1 << 14,            /* beside LOCKED: they need not be made present now */
	AREA_HUGE = 1 << 15,    /* madvise: pages of 2 MiB are wanted, */
	AREA_NO_HUGE = 1 << 16, /* or not, as in MAP_STACK */

	AREA_POLICY_SHIFT = 24, /* mbind: mode and flags, mm/mempolicy.c */
	AREA_POLICY_MODE = 7,
	AREA_POLICY_FLAG_SHIFT = 11,
	AREA_POLICY = 0x1f << AREA_POLICY_SHIFT,

	AREA_ACCESS = AREA_READ | AREA_WRITE | AREA_EXEC,
};

struct area {
	struct rb_node node;
	vaddr_t start, end; /* page-aligned, [start, end) */
	uint64_t gap;       /* free bytes below it, what a stack keeps free left out */
	uint64_t max_gap;   /* no gap of it and what is below it in the tree is larger */
	uint32_t flags;
	const struct area_ops *ops;
	struct file *file;  /* a reference, or NULL for anonymous memory */
	uint64_t file_page; /* page number in the file at `start` */
	struct aspace *aspace;
	struct list cache_link; /* [file->cache->map_lock] in page_cache.areas */
	void *private;          /* the mapped thing's */
};

struct area_ops {
	const char *name;
	/*
	 * Makes the page at `va` (page-aligned) present with the needed right: AREA_READ,
	 * WRITE or EXEC, which the area has. The aspace lock is held shared: other faults
	 * run at the same time. ERR_NOMEM, or any other error for SIGBUS; ERR_AGAIN: once
	 * more, after huge_split_unlocked (mm/huge.h).
	 */
	enum err (*fault)(struct area *, vaddr_t va, unsigned access);
	/* A copy of an area has been made: by fork, by a split, by mremap. Lock held. */
	void (*open)(struct area *);
	void (*close)(
	    struct area *); /* the area, or a part that was split off, goes away */
};

struct aspace {
	paddr_t page_table;
	struct rwsem lock;
	struct rb_root areas;   /* [lock] by start */
	struct cpumask cpus;    /* [a] CPUs that have it loaded; kept by mm/tlb.c */
	struct tlb_context tlb; /* tlb_context_init by aspace_create */
	uint32_t refs;          /* [a] */
	uint64_t num_pages;     /* [lock] mapped by areas */
	uint64_t data_pages;    /* [lock] of these private and writable, stacks apart */
	uint64_t peak_pages;    /* [lock] most that num_pages was */
	uint64_t stack_pages;   /* [lock] of stacks */
	uint64_t exec_pages;    /* [lock] of what may be executed and not written */
	uint64_t locked_pages;  /* [lock] of areas with AREA_LOCKED */
	uint64_t committed;     /* [lock] of areas with AREA_ACCOUNT */
	uint32_t num_areas;     /* [lock] */
	uint64_t resident; /* [a] pages present, the zero page and devices not counted */
	uint64_t resident_anon; /* [a] of these anonymous */
	uint64_t peak_resident; /* [a] highest seen */
	uint32_t lock_future;   /* [lock] mlockall(MCL_FUTURE): flags of new areas */
	uint8_t dumpable;       /* [a] enum dumpable: kernel/proc/coredump.h */
	uint16_t core_filter;   /* [a] enum core_filter, the same */
	bool is_reaped;         /* [lock] its private memory has been taken: mm/oom.c */
	bool no_huge_pages;     /* [a] PR_SET_THP_DISABLE */
	bool has_huge_pages;    /* [a] has, or ever had */
	struct list lazy_link; /* of spaces with pages that may be freed: mm/lazyfree.c */
	uint32_t lazy_users;   /* [a] work with them */
	vaddr_t brk_start, brk; /* [lock] */
	vaddr_t mmap_base;      /* [I] search goes down from here */
	vaddr_t stack_top;
	vaddr_t code_start, code_end, data_start, data_end, arg_start, arg_end, env_start,
	    env_end, auxv_start, auxv_end;
	struct file *exe;    /* a reference, or NULL */
	uint32_t membarrier; /* [a] registrations: kernel/proc/membarrier.c */
};

/* What of a new program's layout is drawn at random: /proc/sys/kernel/randomize_va_space. */
enum randomize_level { RANDOMIZE_NOTHING, RANDOMIZE_LAYOUT, RANDOMIZE_HEAP };
extern uint64_t randomize_va_space; /* [a] */

/* Whether that level is, for programs that the current process executes; and a number below
 * `limit` for it, 0 if not. */
bool is_layout_random(enum randomize_level);
uint64_t layout_random(enum randomize_level, uint64_t limit);

/* Caches and the zero page; after slab_init, before the first space. */
void aspace_init(void);

/* A new space with only the kernel half, its layout drawn at random. NULL: no memory. */
struct aspace *aspace_create(void);
/* A copy for fork: private pages become copy-on-write in both. NULL: no memory. */
struct aspace *aspace_fork(struct aspace *);
struct aspace *aspace_get(struct aspace *);
void aspace_put(struct aspace *); /* may sleep */
/* Loads it on this CPU (tlb_load), NULL: the kernel's own; interrupts off. The scheduler
 * and exec. */
void aspace_switch(struct aspace *);

/*
 * Maps memory as mmap does: prot PROT_*, flags MAP_* (mm/mman.h). Returns the address or
 * an err. file may be NULL with MAP_ANONYMOUS; it is referenced by the area.
 */
long aspace_map(struct aspace *, vaddr_t hint, size_t len, int prot, int flags,
    struct file *file, loff_t offset);
enum err aspace_unmap(struct aspace *, vaddr_t start, size_t len);
enum err aspace_protect(struct aspace *, vaddr_t start, size_t len, int prot);
/* mremap: MREMAP_* flags; the new address or an err. */
long aspace_remap(struct aspace *, vaddr_t old, size_t old_len, size_t new_len, int flags,
    vaddr_t new_addr);
long aspace_brk(struct aspace *, vaddr_t new_brk); /* the break after the call */
/* A stack of `len` bytes below `top`, which grows down as it is used. */
enum err aspace_map_stack(struct aspace *, vaddr_t top, size_t len, int prot);
/*
 * Maps n frames of the kernel's own side by side, which stay the kernel's: the vDSO.
 * ERR_NOMEM leaves a space that is only good to be thrown away.
 */
struct kernel_page {
	paddr_t phys;
	uint32_t rights; /* AREA_READ, AREA_EXEC */
};
enum err aspace_map_kernel_pages(
    struct aspace *, const struct kernel_page *pages, unsigned n, vaddr_t *base);
/*
 * Takes its private memory from a space whose processes have all been killed; an access to
 * it is a fault from now on. May sleep.
 */
void aspace_reap(struct aspace *);
/* Makes the pages of [start, start+len) present, as far as there are areas. */
enum err aspace_populate(struct aspace *, vaddr_t start, size_t len);
/* The same for one kind of access, where the areas have that right. */
enum err aspace_populate_for(struct aspace *, vaddr_t start, size_t len, unsigned access);

/* The area that holds `va` or, if none does, NULL. Lock held. */
struct area *area_find(struct aspace *, vaddr_t va);
/* In address order: the first area that ends above `va`, and the one after; NULL at the
 * end. */
struct area *area_find_from(struct aspace *, vaddr_t va);
struct area *area_next(const struct area *);

/*
 * Copies between kernel memory and a space that need not be the current one: exec's
 * stack, /proc. Returns how many bytes could be reached. Rights as for the program
 * itself. May sleep.
 */
size_t aspace_read(struct aspace *, vaddr_t va, void *buf, size_t len);
size_t aspace_write(struct aspace *, vaddr_t va, const void *buf, size_t len);

/*
 * The same for debuggers, whatever the rights: a write to memory the program may only read
 * gives it a private copy. Shared memory that cannot be written stays as it is.
 */
size_t aspace_peek(struct aspace *, vaddr_t va, void *buf, size_t len);
size_t aspace_poke(struct aspace *, vaddr_t va, const void *buf, size_t len);

/* A fault at `va` that needs `access`: ERR_FAULT no area, ERR_ACCES no right, ERR_IO no
 * page (SIGBUS). */
enum err aspace_fault(struct aspace *, vaddr_t va, unsigned access);

/*
 * The page-fault entry, from the trap handler with interrupts on. Returns true if the
 * fault was resolved or a signal has been sent (user mode); false: a kernel access to be
 * fixed up, or a bug.
 */
bool page_fault(struct trap_frame *, vaddr_t addr);
uint64_t page_faults_ever(void); /* how many there were, on all CPUs */

/*
 * exec's part: loads the ELF image of `file` into the new space `as`: segments,
 * interpreter, brk, stack, vDSO. Sets entry and stack pointer of `frame`. Nothing of the
 * caller's own space changes. ERR_NOEXEC: not a program this machine runs.
 * kernel/proc/exec_elf.c
 */
struct exec_args;
enum err exec_load_elf(struct aspace *as, struct file *file, const struct exec_args *args,
    struct trap_frame *frame);
