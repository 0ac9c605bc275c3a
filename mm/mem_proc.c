/* What /proc shows of memory: meminfo, vmstat and slabinfo, in Linux's forms. */
#include "mm/mem_proc.h"

#include "kernel/procfs.h"
#include "kernel/symbols.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/commit.h"
#include "mm/evict.h"
#include "mm/filemap.h"
#include "mm/huge.h"
#include "mm/layout.h"
#include "mm/lazyfree.h"
#include "mm/page.h"
#include "mm/reclaim.h"
#include "mm/slab.h"

static void
show_kib(struct seq *s, const char *name, uint64_t pages)
{
	seq_printf(
	    s, "%-15s %8llu kB\n", name, (unsigned long long)pages * (PAGE_SIZE / 1024));
}

/*
 * What can be had before programs must end: what is free but for the reserve, and pages of files,
 * of which some are always needed. Objects of shrinkers are not counted: what of them would come
 * back is not known.
 */
static uint64_t
available(const struct mem_stats *m)
{
	uint64_t least = frames_min_free(), files = evict_candidates();

	return m->free_pages - MIN(m->free_pages, least) + files - MIN(files / 2, least);
}

/* Without swap and write-back the lines about them are zeros; programs look for them. */
static void
show_meminfo(struct seq *s)
{
	struct mem_stats m;

	mem_stats_get(&m);
	show_kib(s, "MemTotal:", m.total_pages);
	show_kib(s, "MemFree:", m.free_pages);
	show_kib(s, "MemAvailable:", available(&m));
	show_kib(s, "Buffers:", 0);
	show_kib(s, "Cached:", m.page_cache_pages);
	show_kib(s, "SwapCached:", 0);
	show_kib(s, "Active:", m.anon_pages + m.page_cache_pages - evict_candidates());
	show_kib(s, "Inactive:", evict_candidates());
	show_kib(s, "Active(anon):", m.anon_pages + m.shmem_pages);
	show_kib(s, "Inactive(anon):", 0);
	show_kib(
	    s, "Active(file):", m.page_cache_pages - m.shmem_pages - evict_candidates());
	show_kib(s, "Inactive(file):", evict_candidates());
	show_kib(s, "Unevictable:", mem_counter_read(MEM_MLOCKED));
	show_kib(s, "Mlocked:", mem_counter_read(MEM_MLOCKED));
	show_kib(s, "SwapTotal:", 0);
	show_kib(s, "SwapFree:", 0);
	show_kib(s, "Dirty:", 0);
	show_kib(s, "Writeback:", 0);
	show_kib(s, "AnonPages:", m.anon_pages);
	show_kib(s, "Shmem:", m.shmem_pages);
	show_kib(s, "Slab:", m.slab_pages);
	show_kib(s, "SUnreclaim:", m.slab_pages);
	show_kib(s, "KernelStack:", m.kernel_stack_pages);
	show_kib(s, "PageTables:", m.page_table_pages);
	show_kib(s, "CommitLimit:", commit_limit());
	show_kib(s, "Committed_AS:", mem_counter_read(MEM_COMMITTED));
	show_kib(s, "VmallocTotal:", KVA_SIZE / PAGE_SIZE);
	show_kib(s, "VmallocUsed:", m.vmalloc_pages);
	show_kib(s, "AnonHugePages:", mem_counter_read(MEM_ANON_HUGE));
}

/* Pages are never swapped, and no disk is read: the lines about both are zeros. */
static void
show_vmstat(struct seq *s)
{
	struct mem_stats m;

	mem_stats_get(&m);
	seq_printf(s,
	    "nr_free_pages %lu\nnr_slab_unreclaimable %lu\nnr_anon_pages %lu\n"
	    "nr_file_pages %lu\nnr_shmem %lu\nnr_page_table_pages %lu\n"
	    "nr_kernel_stack %lu\n",
	    m.free_pages, m.slab_pages, m.anon_pages, m.page_cache_pages, m.shmem_pages,
	    m.page_table_pages, m.kernel_stack_pages * (PAGE_SIZE / 1024));
	seq_puts(s, "nr_dirty 0\nnr_writeback 0\npgpgin 0\npgpgout 0\npswpin 0\n"
	            "pswpout 0\n");
	seq_printf(s, "nr_inactive_file %lu\npgfault %lu\npgmajfault %lu\n",
	    evict_candidates(), page_faults_ever(), filemap_major_faults());
	seq_printf(s,
	    "pgscan_kswapd %lu\npgscan_direct %lu\npgsteal_kswapd %lu\n"
	    "pgsteal_direct %lu\n",
	    reclaim_counts.scanned[1], reclaim_counts.scanned[0], reclaim_counts.freed[1],
	    reclaim_counts.freed[0]);
	seq_printf(s, "pglazyfree %lu\npglazyfreed %lu\n", lazyfree_counts.marked,
	    lazyfree_counts.freed);
	seq_printf(s, "slabs_scanned %lu\npageoutrun %lu\nallocstall_normal %lu\n",
	    reclaim_counts.objects, reclaim_counts.runs, reclaim_counts.stalls);
	seq_printf(s,
	    "nr_anon_transparent_hugepages %lu\nthp_fault_alloc %lu\n"
	    "thp_fault_fallback %lu\nthp_split_pmd %lu\n",
	    mem_counter_read(MEM_ANON_HUGE) / HUGE_PAGES, huge_counts.allocated,
	    huge_counts.fallen_back, huge_counts.split);
}

/* It cannot be read, whatever rights one has. */
static void
show_drop(struct seq *s)
{
	s->error = ERR_ACCES;
}

/* 1: pages of files, 2: objects, 3: both; and 4: not to log it, which is not done. */
static enum err
store_drop(const char *text)
{
	uint64_t what;
	const char *end;

	if (!parse_u64(text, &end, 10, &what) || (*end && *end != '\n') || what < 1 ||
	    what > 4)
		return ERR_INVAL;
	reclaim_drop(what & 1, what & 2);
	return OK;
}

static void
show_cache(const struct slab_stats *c, void *seq)
{
	seq_printf(seq,
	    "%-17s %6llu %6llu %6zu %4llu %4u : tunables 0 0 0 : slabdata %6llu %6llu "
	    "0\n",
	    c->name, (unsigned long long)c->in_use, (unsigned long long)c->objects,
	    c->object_size, (unsigned long long)c->objects_per_slab, c->pages_per_slab,
	    (unsigned long long)c->slabs, (unsigned long long)c->slabs);
}

static void
show_slabinfo(struct seq *s)
{
	seq_puts(s,
	    "slabinfo - version: 2.1\n"
	    "# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> "
	    ": tunables <limit> <batchcount> <sharedfactor> "
	    ": slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	slab_for_each(show_cache, s);
}

static void
show_leak(const struct slab_leak *leak, void *seq)
{
	char site[64];

	symbol_format((uint64_t)leak->site, site, sizeof(site));
	seq_printf(
	    seq, "%8llu %-17s %s\n", (unsigned long long)leak->count, leak->cache, site);
}

static void
show_leaks(struct seq *s)
{
	uint64_t total = slab_leaks_for_each(show_leak, s);

	seq_printf(s, "%8llu in all\n", (unsigned long long)total);
}

static enum err
store_leaks(const char *text)
{
	if (strcmp(text, "mark") != 0)
		return ERR_INVAL;
	slab_mark_leaks();
	return OK;
}

/* ---- /sys/kernel/mm/transparent_hugepage ---- */

static const char *const huge_mode_names[HUGE_MODES] = {"always", "madvise", "never"};

static void
show_huge_mode(struct seq *s)
{
	uint32_t now = __atomic_load_n(&huge_mode, __ATOMIC_RELAXED);

	for (unsigned i = 0; i < HUGE_MODES; i++)
		seq_printf(
		    s, i == now ? "%s[%s]" : "%s%s", i ? " " : "", huge_mode_names[i]);
	seq_putc(s, '\n');
}

static enum err
store_huge_mode(const char *text)
{
	for (unsigned i = 0; i < HUGE_MODES; i++) {
		if (strcmp(text, huge_mode_names[i]) == 0) {
			__atomic_store_n(&huge_mode, i, __ATOMIC_RELAXED);
			return OK;
		}
	}
	return ERR_INVAL;
}

static void
show_huge_size(struct seq *s)
{
	seq_printf(s, "%llu\n", (unsigned long long)HUGE_SIZE);
}

void
mem_proc_init(void)
{
	mem_sysctl_init();
	/* A missing file is no reason not to boot: the registry says so itself. */
	(void)proc_register("meminfo", show_meminfo);
	(void)proc_register("slabinfo", show_slabinfo);
	(void)proc_register_wo("sys/vm/drop_caches", show_drop, store_drop);
	(void)proc_register("vmstat", show_vmstat);
	(void)sysfs_register_rw(
	    "kernel/mm/transparent_hugepage/enabled", show_huge_mode, store_huge_mode);
	(void)sysfs_register_private(
	    "kernel/mm/transparent_hugepage/hpage_pmd_size", show_huge_size, NULL);
	if (CONFIG_DEBUG)
		(void)proc_register_rw("slab_leaks", show_leaks, store_leaks);
}
