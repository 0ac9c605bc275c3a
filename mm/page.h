/*
 * Physical memory in frames of 4 KiB. Each frame of RAM has a `struct page` in an array
 * mapped at PAGE_ARRAY, so page <-> frame <-> direct-map address are arithmetic.
 *
 * Allocation is a buddy system per zone with per-CPU caches of single frames: O(1) in
 * practice.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

enum { PAGE_SHIFT = 12, PAGE_SIZE = 4096, MAX_ORDER = 10 }; /* largest block: 4 MiB */

struct page {
	uint32_t refs;    /* [a] 0: free. page_get/page_put */
	uint8_t flags;    /* PAGE_* */
	uint8_t order;    /* of the block this frame heads */
	uint8_t zone;     /* [I] enum zone_id */
	uint8_t node;     /* [I] NUMA node, see frames_set_node */
	struct list link; /* free lists, slab lists, LRU: whoever owns the frame */
	union {
		struct {
			union {
				void *owner; /* page cache or anonymous mapping */
				uint64_t private;
			};
			uint64_t index; /* page number within the owner */
		};
		struct {                  /* PAGE_SLAB */
			void *slab_cache; /* in every frame of the slab */
			void *slab_free;  /* first free object; in the head frame */
		};
	};
	uint32_t mapcount; /* [a] page-table entries of user space that map it */
	uint32_t slab_inuse;
} ALIGNED(64);

static_assert(sizeof(struct page) == 64, "one cache line a frame");

enum page_flags {
	PAGE_BUDDY = 1 << 0, /* heads a block in a free list; [zone's lock] */
	PAGE_SLAB = 1 << 1,
	PAGE_RESERVED = 1 << 2, /* never allocated: firmware, kernel image */
	PAGE_DIRTY = 1 << 3,
	PAGE_UPTODATE = 1 << 4,
	PAGE_ACCESSED = 1 << 5,
	PAGE_POISONED = 1 << 6, /* debug: free and filled with poison */
	PAGE_RAW =
	    1 << 7, /* heads a free 4 MiB block whose other struct pages are not set up */
};

/* What may be asked of page_alloc. */
enum alloc_flags {
	ALLOC_NORMAL = 0,
	ALLOC_ZERO = 1 << 0,   /* filled with zeros */
	ALLOC_DMA32 = 1 << 1,  /* below 4 GiB */
	ALLOC_ATOMIC = 1 << 2, /* may dip into the reserve; never sleeps or reclaims */
	ALLOC_LOW = 1 << 3,    /* below 1 MiB (AP trampoline) */
	ALLOC_SPARE = 1 << 4,  /* only while memory is plentiful, and at once or not */
};

/* 2^order contiguous frames with refs = 1 on the first. NULL means only: no memory. */
struct page *page_alloc(unsigned order, unsigned alloc_flags);
void page_free(struct page *, unsigned order); /* the caller has the only reference */

struct page *page_get(struct page *);
void page_put(struct page *); /* the last one frees the block */

extern vaddr_t direct_map_base; /* virtual address of physical 0 */
extern struct page *page_array; /* indexed by frame number */
extern uint64_t page_array_frames;

static inline void *
phys_to_virt(paddr_t p)
{
	return (void *)(direct_map_base + p);
}

/* Only for addresses in the direct map (slab and page memory), not kva or the image. */
static inline paddr_t
virt_to_phys(const void *v)
{
	return (paddr_t)((vaddr_t)v - direct_map_base);
}

static inline struct page *
phys_to_page(paddr_t p)
{
	return &page_array[p >> PAGE_SHIFT];
}

static inline paddr_t
page_to_phys(const struct page *pg)
{
	return (paddr_t)(pg - page_array) << PAGE_SHIFT;
}

static inline void *
page_to_virt(const struct page *pg)
{
	return phys_to_virt(page_to_phys(pg));
}

static inline struct page *
virt_to_page(const void *v)
{
	return phys_to_page(virt_to_phys(v));
}

struct mem_stats {
	uint64_t total_pages; /* RAM the kernel manages */
	uint64_t free_pages;  /* buddy and per-CPU caches */
	/* in use for what; page_cache_pages include shmem_pages */
	uint64_t slab_pages, page_table_pages, kernel_stack_pages, page_cache_pages,
	    anon_pages, shmem_pages, vmalloc_pages;
};

void mem_stats_get(struct mem_stats *);
enum mem_counter {
	MEM_SLAB,
	MEM_PAGE_TABLE,
	MEM_KERNEL_STACK,
	MEM_PAGE_CACHE,
	MEM_ANON,
	MEM_ANON_HUGE, /* of these in pages of 2 MiB */
	MEM_SHMEM,
	MEM_VMALLOC,
	MEM_COMMITTED, /* promised to programs: mm/commit.h */
	MEM_MLOCKED,   /* in areas that are locked */
	MEM_COUNTERS,
};
void mem_counter_add(enum mem_counter, int64_t pages); /* per-CPU, any context */
uint64_t mem_counter_read(enum mem_counter);           /* their sum */
uint64_t mem_free_pages(void);                         /* the same */
uint64_t mem_total_pages(void);                        /* as in mem_stats; cheap */

/*
 * Whether the frame has a struct page: it lies in a 4 MiB section that holds RAM. Its
 * contents mean something only if the frame is in use, or was ever: see page_is_managed.
 */
bool page_exists(paddr_t);

/* Whether the frame is RAM that the allocator gives out: it may hold anybody's data. */
bool page_is_managed(paddr_t);

/*
 * Watermarks. The reserve is what only ALLOC_ATOMIC may use; `fn` is called, in any context,
 * when there is less than a quarter more free; frames_below_high says how much is missing
 * to half as much more.
 */
uint64_t frames_min_free(void);
void frames_set_min_free(uint64_t pages); /* at most a quarter of memory */
void frames_on_low(void (*fn)(void));
uint64_t frames_below_high(void);

/* Bring-up, in this order, from kernel_main. */
struct boot_info;
void frames_init(const struct boot_info *); /* page array, zones, free lists */
void frames_free_boot_memory(void);         /* after the loader's memory has been left */

/* Gives reserved frames to the allocator: an unpacked initrd. Page-aligned. */
void frames_free_range(paddr_t base, uint64_t size);

/* RAM in [base, base+size) belongs to NUMA node `node` (SRAT). Before other CPUs run. */
void frames_set_node(paddr_t base, uint64_t size, unsigned node);
