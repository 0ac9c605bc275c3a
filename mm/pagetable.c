/*
 * x86-64 page tables (SDM vol. 3, 4.5). Tables are reached through the direct map.
 *
 * The upper half is one for all address spaces: every root has the same 256 entries
 * there, set once by pt_init_kernel. What the kernel maps later goes below the entry of
 * the on-demand region (mm/layout.h), whose table is made then; so no root is ever out of
 * date.
 *
 * Rights are checked at the leaves: upper levels allow everything.
 */
#define LOG_PREFIX "mm: "
#include "mm/pagetable.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/x86/cpu.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/page.h"

enum { ENTRIES = 512, FIRST_KERNEL_ENTRY = 256, LEVELS = 4 };

#define PTE_HUGE_PAT (1ull << 12) /* where a 2 MiB or 1 GiB leaf has the PAT bit */
#define PTE_RIGHTS \
	(PTE_WRITE | PTE_USER | PTE_PWT | PTE_PCD | PTE_GLOBAL | PTE_COW | PTE_SPECIAL | \
	    PTE_NX)

paddr_t kernel_page_table;

static bool has_1g_leaves;
static paddr_t early_base;
static uint64_t early_num;

static inline uint64_t
level_size(unsigned level)
{
	return 1ull << (PAGE_SHIFT + 9 * (level - 1));
}

static inline unsigned
level_index(vaddr_t va, unsigned level)
{
	return va >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1);
}

static inline pte_t *
table_of(pte_t entry)
{
	return phys_to_virt(pte_phys(entry));
}

static inline bool
is_leaf(pte_t entry, unsigned level)
{
	return level == 1 || entry & PTE_HUGE;
}

/* The same leaf one level down or up: the PAT bit moves between bits 7 and 12. */
static pte_t
leaf_entry(paddr_t pa, uint64_t bits, unsigned level)
{
	if (level == 1)
		return pa | bits;
	if (bits & PTE_PAT)
		bits = (bits & ~(uint64_t)PTE_PAT) | PTE_HUGE_PAT;
	return pa | bits | PTE_HUGE;
}

paddr_t
pt_table_alloc(void)
{
	struct page *pg;

	if (early_num) {
		paddr_t pa = early_base;

		early_base += PAGE_SIZE;
		early_num--;
		memset(phys_to_virt(pa), 0, PAGE_SIZE);
		return pa;
	}
	pg = page_alloc(0, ALLOC_ZERO);
	if (!pg)
		return 0;
	mem_counter_add(MEM_PAGE_TABLE, 1);
	return page_to_phys(pg);
}

void
pt_table_free(paddr_t pa)
{
	mem_counter_add(MEM_PAGE_TABLE, -1);
	page_free(phys_to_page(pa), 0);
}

/* Makes the table below *entry unless another CPU does it first. False: no memory. */
static bool
table_install(pte_t *entry, vaddr_t va)
{
	paddr_t pa = pt_table_alloc();
	pte_t expected = 0;
	pte_t made = pa | PTE_PRESENT | PTE_WRITE | (va >> 63 ? 0 : PTE_USER);

	if (!pa)
		return false;
	if (!__atomic_compare_exchange_n(
	        entry, &expected, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		pt_table_free(pa);
	return true;
}

/*
 * The entry for `va` at `to_level`, or a leaf above it; *level says which. NULL: no table
 * below the entry of *level (with `alloc`: no memory for one).
 */
static pte_t *
walk_to(paddr_t root, vaddr_t va, unsigned to_level, bool alloc, unsigned *level)
{
	pte_t *table = phys_to_virt(root);

	for (unsigned l = LEVELS;; l--) {
		pte_t *entry = &table[level_index(va, l)];
		pte_t value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

		*level = l;
		if (l == to_level || (value & PTE_PRESENT && is_leaf(value, l)))
			return entry;
		if (!(value & PTE_PRESENT)) {
			if (!alloc || !table_install(entry, va))
				return NULL;
			value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
		}
		table = table_of(value);
	}
}

pte_t *
pt_walk(paddr_t root, vaddr_t va, bool alloc, unsigned *level)
{
	return walk_to(root, va, 1, alloc, level);
}

pte_t *
pt_walk_2m(paddr_t root, vaddr_t va, bool alloc)
{
	unsigned level;

	return walk_to(root, va, 2, alloc, &level);
}

/* The largest leaf that fits at va -> pa with `size` bytes to go. */
static unsigned
leaf_level(vaddr_t va, paddr_t pa, size_t size)
{
	for (unsigned l = has_1g_leaves ? 3 : 2; l > 1; l--)
		if (IS_ALIGNED(va | pa, level_size(l)) && size >= level_size(l))
			return l;
	return 1;
}

enum err
pt_map(paddr_t root, vaddr_t va, paddr_t pa, size_t size, uint64_t bits)
{
	size_t done = 0;

	ASSERT(IS_ALIGNED(va | pa | size, PAGE_SIZE));
	while (done < size) {
		unsigned want = leaf_level(va + done, pa + done, size - done), level;
		pte_t *entry = walk_to(root, va + done, want, true, &level);

		/* A table left by earlier small mappings: go on with small ones. */
		while (entry && level == want && want > 1 && *entry & PTE_PRESENT &&
		       !is_leaf(*entry, level))
			entry = walk_to(root, va + done, --want, true, &level);
		if (!entry) {
			pt_unmap(root, va, done);
			return ERR_NOMEM;
		}
		ASSERT(!(*entry & PTE_PRESENT));
		__atomic_store_n(
		    entry, leaf_entry(pa + done, bits, level), __ATOMIC_RELEASE);
		done += level_size(level);
	}
	return OK;
}

void
pt_unmap(paddr_t root, vaddr_t va, size_t size)
{
	vaddr_t end = va + size;

	while (va != end) {
		unsigned level;
		pte_t *entry = walk_to(root, va, 1, false, &level);
		uint64_t span = level_size(level);

		if (entry && *entry & PTE_PRESENT) {
			ASSERT(IS_ALIGNED(va, span) && end - va >= span);
			__atomic_store_n(entry, 0, __ATOMIC_RELEASE);
		}
		/* Written so that the top of the space does not wrap. */
		va += MIN(end - va, span - (va & (span - 1)));
	}
}

/* Replaces the huge leaf by a table of smaller ones that map the same. */
static enum err
leaf_split(pte_t *entry, unsigned level)
{
	pte_t old = *entry;
	paddr_t table_pa = pt_table_alloc();
	paddr_t pa = pte_phys(old) & ~(level_size(level) - 1);
	uint64_t bits = old & ~(PTE_ADDR | PTE_HUGE);
	pte_t *table = phys_to_virt(table_pa);

	if (!table_pa)
		return ERR_NOMEM;
	if (old & PTE_HUGE_PAT)
		bits |= PTE_PAT;
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = leaf_entry(pa + i * level_size(level - 1), bits, level - 1);
	__atomic_store_n(entry, table_pa | PTE_PRESENT | PTE_WRITE | (old & PTE_USER),
	    __ATOMIC_RELEASE);
	return OK;
}

enum err
pt_protect(paddr_t root, vaddr_t va, size_t size, uint64_t bits)
{
	vaddr_t end = va + size;

	while (va != end) {
		unsigned level;
		pte_t *entry = walk_to(root, va, 1, false, &level);
		uint64_t span = level_size(level), new_bits = bits & PTE_RIGHTS;

		if (!entry || !(*entry & PTE_PRESENT)) {
			va += MIN(end - va, span - (va & (span - 1)));
			continue;
		}
		if (!IS_ALIGNED(va, span) || end - va < span) {
			enum err e = leaf_split(entry, level);

			if (e)
				return e;
			continue;
		}
		__atomic_store_n(
		    entry, (*entry & ~PTE_RIGHTS) | new_bits, __ATOMIC_RELEASE);
		va += span;
	}
	return OK;
}

uint64_t
pte_cache_bits(enum cache_type type)
{
	switch (type) {
	case CACHE_WB: return 0;
	case CACHE_WC: return PTE_PWT;
	case CACHE_UC: return PTE_PCD | PTE_PWT;
	}
	return PTE_PCD | PTE_PWT;
}

/* ---- Roots ---- */

paddr_t
pt_create(void)
{
	paddr_t root = pt_table_alloc();
	pte_t *to = phys_to_virt(root);
	const pte_t *from = phys_to_virt(kernel_page_table);

	if (root)
		memcpy(to + FIRST_KERNEL_ENTRY, from + FIRST_KERNEL_ENTRY,
		    (ENTRIES - FIRST_KERNEL_ENTRY) * sizeof(*to));
	return root;
}

static void
tables_free(paddr_t table_pa, unsigned level, unsigned entries)
{
	const pte_t *table = phys_to_virt(table_pa);

	for (unsigned i = 0; level > 1 && i < entries; i++)
		if (table[i] & PTE_PRESENT && !is_leaf(table[i], level))
			tables_free(pte_phys(table[i]), level - 1, ENTRIES);
	pt_table_free(table_pa);
}

void
pt_destroy(paddr_t root)
{
	ASSERT(root != kernel_page_table);
	tables_free(root, LEVELS, FIRST_KERNEL_ENTRY);
}

/* ---- Bring-up ---- */

void
pt_early_pool(paddr_t base, uint64_t num)
{
	early_base = base;
	early_num = num;
}

/* A copy of the table and all below it, leaves made global. */
static paddr_t
tables_copy(paddr_t from_pa, unsigned level, unsigned *num_wx)
{
	const pte_t *from = phys_to_virt(from_pa);
	paddr_t pa = pt_table_alloc();
	pte_t *to = phys_to_virt(pa);

	if (!pa)
		panic("no memory for the kernel's page tables");
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!(from[i] & PTE_PRESENT))
			continue;
		if (!is_leaf(from[i], level)) {
			to[i] = tables_copy(pte_phys(from[i]), level - 1, num_wx) |
			        PTE_PRESENT | PTE_WRITE;
			continue;
		}
		to[i] = from[i] | PTE_GLOBAL;
		*num_wx += from[i] & PTE_WRITE && !(from[i] & PTE_NX);
	}
	return pa;
}

void
pt_init_kernel(paddr_t loader_root)
{
	enum { EXT_FEATURES = 0x80000001, EDX_PAGE1GB = 1 << 26 };
	const pte_t *from = phys_to_virt(loader_root);
	pte_t *to;
	unsigned num_wx = 0;

	/* What is left of the early pool belongs to reserved frames: give none of it
	 * back. */
	early_num = 0;
	has_1g_leaves = cpuid(EXT_FEATURES, 0).edx & EDX_PAGE1GB;
	kernel_page_table = pt_table_alloc();
	ASSERT(kernel_page_table);
	to = phys_to_virt(kernel_page_table);
	for (unsigned i = FIRST_KERNEL_ENTRY; i < ENTRIES; i++) {
		if (!(from[i] & PTE_PRESENT))
			continue;
		if (i == level_index(PAGE_ARRAY, LEVELS))
			to[i] = from[i]; /* ours already */
		else
			to[i] = tables_copy(pte_phys(from[i]), LEVELS - 1, &num_wx) |
			        PTE_PRESENT | PTE_WRITE;
	}
	ASSERT(table_install(&to[level_index(KVA_BASE, LEVELS)], KVA_BASE));
	if (num_wx)
		log_warn("%u pages of the kernel are writable and executable", num_wx);
	write_cr3(kernel_page_table);
}
