/*
 * What memory there is: from the loader's map to the frame allocator.
 *
 * The page array has its own region of virtual space and is sparse: a section (4 MiB,
 * 1024 struct pages, 64 KiB of the array) is backed when the map has any RAM in it, ours
 * or the firmware's. Where 32 sections in a row are backed, the array uses a 2 MiB leaf.
 * The backing and the page tables for it come as one run from the highest usable range
 * that has room.
 *
 * Sections that are free as a whole go to the allocator with one struct page written;
 * only the mixed ones are set up frame by frame.
 */
#define LOG_PREFIX "mem: "
#include "mm/frames_priv.h"

#include "kernel/boot.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/pagetable.h"

enum {
	SECTION_ARRAY_SIZE = SECTION_FRAMES * sizeof(struct page),
	SECTIONS_PER_LEAF = MIB(2) / SECTION_ARRAY_SIZE,
	MAX_LATER = 32,
	MAX_NODE_RANGES = 64,
};

#define SECTION_SIZE ((uint64_t)PAGE_SIZE << MAX_ORDER)

/* The map while frames_init runs. */
struct boot_map {
	const struct boot_mem *mem;
	unsigned num;
	paddr_t limit;           /* mem=: RAM from here on is not used */
	struct boot_range taken; /* the page array's backing, cut out of a usable range */
};

/* One section that holds RAM. */
struct section {
	uint64_t index;
	unsigned first; /* the first map entry in it */
	bool is_free;   /* wholly usable and not taken */
};

struct node_range {
	uint64_t first, end; /* frames */
	unsigned node;
};

/* Loader memory, freed when the kernel has left it; the map itself lies in it. */
static struct boot_range later[MAX_LATER];
static unsigned num_later;
static paddr_t mem_limit;

static struct node_range node_ranges[MAX_NODE_RANGES];
static unsigned num_node_ranges;

static bool
is_ram(uint32_t type)
{
	switch (type) {
	case BOOT_MEM_USABLE:
	case BOOT_MEM_LOADER:
	case BOOT_MEM_KERNEL:
	case BOOT_MEM_INITRD:
	case BOOT_MEM_ACPI_RECLAIM:
	case BOOT_MEM_ACPI_NVS:
	case BOOT_MEM_EFI_RUNTIME: return true;
	default: return false;
	}
}

/* The part of entry `i` below the limit; size 0 when there is none. */
static struct boot_range
map_range(const struct boot_map *m, unsigned i)
{
	struct boot_range r = {m->mem[i].base, m->mem[i].size};

	if (r.base >= m->limit)
		r.size = 0;
	else if (r.size > m->limit - r.base)
		r.size = m->limit - r.base;
	return r;
}

static bool
overlaps(struct boot_range a, struct boot_range b)
{
	return a.size && b.size && a.base < b.base + b.size && b.base < a.base + a.size;
}

/*
 * Calls fn for each section with RAM in it, in order. The map is sorted: one pass.
 */
static void
for_each_section(const struct boot_map *m,
    void (*fn)(const struct boot_map *, const struct section *, void *arg), void *arg)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < m->num; i++) {
		struct boot_range r = map_range(m, i);
		uint64_t end = (r.base + r.size + SECTION_SIZE - 1) >> SECTION_SHIFT;

		if (!is_ram(m->mem[i].type) || r.size == 0)
			continue;
		for (uint64_t s = MAX(next, r.base >> SECTION_SHIFT); s < end; s++) {
			struct boot_range whole = {s << SECTION_SHIFT, SECTION_SIZE};
			struct section sec = {.index = s, .first = i};

			sec.is_free = m->mem[i].type == BOOT_MEM_USABLE && s > 0 &&
			              r.base <= whole.base &&
			              whole.base + whole.size <= r.base + r.size &&
			              !overlaps(whole, m->taken);
			fn(m, &sec, arg);
		}
		next = MAX(next, end);
	}
}

/* ---- How much the page array needs, and where it goes ---- */

struct array_plan {
	uint64_t run_start, run_len; /* sections in a row that hold RAM */
	uint64_t leaves;             /* 2 MiB leaves */
	uint64_t small;              /* sections mapped by 4 KiB pages */
	uint64_t tables;             /* page-table pages, at most */
	struct boot_range pool;      /* what is left of the backing, while mapping */
};

/* Splits the run into an unaligned head, whole leaves and a tail. */
static void
run_split(uint64_t start, uint64_t len, uint64_t *head, uint64_t *leaves, uint64_t *tail)
{
	*head = MIN(ALIGN_UP(start, (uint64_t)SECTIONS_PER_LEAF) - start, len);
	*leaves = (len - *head) / SECTIONS_PER_LEAF;
	*tail = len - *head - *leaves * SECTIONS_PER_LEAF;
}

static void
plan_run(struct array_plan *p)
{
	uint64_t head, leaves, tail;

	if (p->run_len == 0)
		return;
	run_split(p->run_start, p->run_len, &head, &leaves, &tail);
	p->leaves += leaves;
	p->small += head + tail;
	/* A table for each ragged end, a directory for each 1 GiB of array the run
	 * touches. */
	p->tables += 2 + 1 + (p->run_len * SECTION_ARRAY_SIZE >> 30) + 1;
}

static void
plan_section(const struct boot_map *m, const struct section *s, void *arg)
{
	struct array_plan *p = arg;

	if (p->run_len && s->index == p->run_start + p->run_len) {
		p->run_len++;
		return;
	}
	plan_run(p);
	p->run_start = s->index;
	p->run_len = 1;
}

/* The highest place in usable memory for `size` bytes at `align`; size 0: none. */
static struct boot_range
find_room(const struct boot_map *m, uint64_t size, uint64_t align)
{
	for (unsigned i = m->num; i-- > 0;) {
		struct boot_range r = map_range(m, i);
		paddr_t end = r.base + r.size, start;

		if (m->mem[i].type != BOOT_MEM_USABLE || r.size < size)
			continue;
		start = ALIGN_DOWN(end - size, align);
		/* Not the first MiB: it is scarce. */
		if (start >= r.base && start >= MIB(1))
			return (struct boot_range){start, size};
	}
	return (struct boot_range){0, 0};
}

static void
map_piece(paddr_t root, struct array_plan *p, uint64_t section, uint64_t num)
{
	uint64_t size = num * SECTION_ARRAY_SIZE;
	vaddr_t va = PAGE_ARRAY + section * SECTION_ARRAY_SIZE;

	if (num == 0)
		return;
	if (pt_map(root, va, p->pool.base, size,
	        PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_GLOBAL))
		panic("the page array's tables were planned too small");
	p->pool.base += size;
	p->pool.size -= size;
}

struct map_run {
	paddr_t root;
	struct array_plan *plan;
	bool want_leaves; /* first the 2 MiB leaves, from the aligned start of the backing
	                   */
	uint64_t start, len;
};

static void
map_run(struct map_run *r)
{
	uint64_t head, leaves, tail;

	if (r->len == 0)
		return;
	run_split(r->start, r->len, &head, &leaves, &tail);
	if (r->want_leaves) {
		map_piece(r->root, r->plan, r->start + head, leaves * SECTIONS_PER_LEAF);
		return;
	}
	map_piece(r->root, r->plan, r->start, head);
	map_piece(r->root, r->plan, r->start + r->len - tail, tail);
}

static void
map_section(const struct boot_map *m, const struct section *s, void *arg)
{
	struct map_run *r = arg;

	if (r->len && s->index == r->start + r->len) {
		r->len++;
		return;
	}
	map_run(r);
	r->start = s->index;
	r->len = 1;
}

static void
page_array_map(struct boot_map *m, paddr_t root)
{
	struct array_plan plan = {0};
	uint64_t bytes;

	for_each_section(m, plan_section, &plan);
	plan_run(&plan);
	plan.tables += 1; /* the slot's own */
	bytes = plan.leaves * MIB(2) + plan.small * SECTION_ARRAY_SIZE +
	        plan.tables * PAGE_SIZE;
	m->taken = find_room(m, bytes, plan.leaves ? MIB(2) : PAGE_SIZE);
	if (m->taken.size == 0)
		panic("no room for the page array: %llu KiB in one piece",
		    (unsigned long long)(bytes >> 10));
	plan.pool = m->taken;
	pt_early_pool(m->taken.base + bytes - plan.tables * PAGE_SIZE, plan.tables);
	for (int leaves = 1; leaves >= 0; leaves--) {
		struct map_run run = {.root = root, .plan = &plan, .want_leaves = leaves};

		for_each_section(m, map_section, &run);
		map_run(&run);
	}
	page_array = (struct page *)PAGE_ARRAY;
}

/* ---- Filling the allocator ---- */

/* Releases [base, end) but what the page array has taken and frame 0, which looks like
 * NULL. */
static void
release(const struct boot_map *m, paddr_t base, paddr_t end)
{
	paddr_t taken_end = m->taken.base + m->taken.size;

	base = MAX(base, (paddr_t)PAGE_SIZE);
	if (base < m->taken.base)
		frames_release(base >> PAGE_SHIFT, MIN(end, m->taken.base) >> PAGE_SHIFT);
	if (end > taken_end)
		frames_release(MAX(base, taken_end) >> PAGE_SHIFT, end >> PAGE_SHIFT);
}

static void
fill_section(const struct boot_map *m, const struct section *s, void *arg)
{
	uint64_t first = s->index << MAX_ORDER;
	paddr_t start = s->index << SECTION_SHIFT, end = start + SECTION_SIZE;

	if (s->is_free) {
		section_free_raw(first);
		return;
	}
	section_reserve(first);
	for (unsigned i = s->first; i < m->num && m->mem[i].base < end; i++) {
		struct boot_range r = map_range(m, i);
		paddr_t from = MAX(r.base, start), to = MIN(r.base + r.size, end);

		if (m->mem[i].type == BOOT_MEM_USABLE && from < to)
			release(m, from, to);
	}
}

static void
remember_loader_memory(const struct boot_map *m)
{
	for (unsigned i = 0; i < m->num; i++) {
		struct boot_range r = map_range(m, i);
		struct boot_range *last = num_later ? &later[num_later - 1] : NULL;

		if (m->mem[i].type != BOOT_MEM_LOADER || r.size == 0)
			continue;
		if (last && last->base + last->size == r.base)
			last->size += r.size;
		else if (num_later < MAX_LATER)
			later[num_later++] = r;
		else
			log_warn("loader memory at %#llx stays reserved: too many pieces",
			    (unsigned long long)r.base);
	}
}

static paddr_t
limit_option(void)
{
	uint64_t limit = PAGE_ARRAY_SIZE / sizeof(struct page) * PAGE_SIZE;
	const char *text;

	for (unsigned i = 0; (text = cmdline_get("mem", i)); i++) {
		const char *end;
		uint64_t value;

		if (parse_size(text, &end, &value) && *end == '\0' && value >= MIB(16))
			limit = value & ~(uint64_t)(PAGE_SIZE - 1);
		else
			log_warn("mem=%s is not a size of 16M or more: ignored", text);
	}
	return limit;
}

void
frames_init(const struct boot_info *boot)
{
	struct boot_map m = {.num = boot->mem_map_len, .limit = limit_option()};
	struct mem_stats stats;

	ASSERT(boot->direct_map_base >= DIRECT_MAP_MIN &&
	       boot->direct_map_base < DIRECT_MAP_MAX);
	direct_map_base = boot->direct_map_base;
	m.mem = phys_to_virt(boot->mem_map);
	mem_limit = m.limit;
	num_later = num_node_ranges = 0;
	for (unsigned i = 0; i < m.num; i++) {
		struct boot_range r = map_range(&m, i);

		if (is_ram(m.mem[i].type) && r.size)
			page_array_frames = (r.base + r.size) >> PAGE_SHIFT;
	}
	page_array_frames = ALIGN_UP(page_array_frames, (uint64_t)SECTION_FRAMES);
	zones_init();
	page_array_map(&m, boot->page_table_root);
	for_each_section(&m, fill_section, NULL);
	zones_set_reserve();
	remember_loader_memory(&m);
	mem_stats_get(&stats);
	log_info("%llu MiB usable of %u map entries, %llu KiB for the page array",
	    (unsigned long long)(stats.total_pages >> (20 - PAGE_SHIFT)), m.num,
	    (unsigned long long)(m.taken.size >> 10));
}

void
frames_free_range(paddr_t base, uint64_t size)
{
	paddr_t end = MIN(base + size, mem_limit);

	if (base < end)
		frames_release(base >> PAGE_SHIFT, end >> PAGE_SHIFT);
}

void
frames_free_boot_memory(void)
{
	for (unsigned i = 0; i < num_later; i++)
		frames_free_range(later[i].base, later[i].size);
	num_later = 0;
}

/* ---- What is asked later ---- */

bool
page_exists(paddr_t pa)
{
	unsigned level;
	pte_t *pte;

	if (pa >> PAGE_SHIFT >= page_array_frames)
		return false;
	pte = pt_walk(kernel_page_table, (vaddr_t)phys_to_page(pa), false, &level);
	return pte && *pte & PTE_PRESENT;
}

bool
page_is_managed(paddr_t pa)
{
	uint64_t frame = pa >> PAGE_SHIFT;

	if (!page_exists(pa))
		return false;
	if (page_array[ALIGN_DOWN(frame, (uint64_t)SECTION_FRAMES)].flags & PAGE_RAW)
		return true;
	return !(page_array[frame].flags & PAGE_RESERVED);
}

void
frames_set_node(paddr_t base, uint64_t size, unsigned node)
{
	uint64_t first = base >> PAGE_SHIFT, end = (base + size) >> PAGE_SHIFT;

	if (num_node_ranges == MAX_NODE_RANGES) {
		log_once(LOG_WARNING,
		    "more than %u NUMA ranges: the rest count as node 0",
		    (unsigned)MAX_NODE_RANGES);
		return;
	}
	node_ranges[num_node_ranges++] = (struct node_range){first, end, node};
	end = MIN(end, page_array_frames);
	while (first < end) {
		uint64_t next =
		    ALIGN_DOWN(first, (uint64_t)SECTION_FRAMES) + SECTION_FRAMES;
		const struct page *head = &page_array[next - SECTION_FRAMES];

		if (page_exists(first << PAGE_SHIFT) && !(head->flags & PAGE_RAW))
			for (uint64_t f = first; f < MIN(next, end); f++)
				page_array[f].node = node;
		first = next;
	}
}

unsigned
frame_node(uint64_t frame)
{
	for (unsigned i = 0; i < num_node_ranges; i++)
		if (frame >= node_ranges[i].first && frame < node_ranges[i].end)
			return node_ranges[i].node;
	return 0;
}
