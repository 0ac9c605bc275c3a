/*
 * /proc/PID/smaps and smaps_rollup (proc(5)): how much memory each area of a process really has, shared
 * and of its own. Counted when read, under the space's lock.
 */
#include "fs/procfs.h"

#include "kernel/proc/process.h"
#include "mm/aspace.h"
#include "mm/area.h"
#include "mm/slab.h"
#include "mm/usage.h"

static void
show_kib(struct seq *s, const char *name, uint64_t bytes)
{
	seq_printf(s, "%-16s%8lu kB\n", name, bytes / 1024);
}

/* The lines that both files have. Pages are never swapped. */
static void
show_usage(struct seq *s, const struct area_usage *u, uint64_t locked, bool is_rollup)
{
	show_kib(s, "Rss:", u->rss);
	show_kib(s, "Pss:", u->pss);
	show_kib(s, "Pss_Dirty:", u->pss_dirty);
	if (is_rollup) {
		show_kib(s, "Pss_Anon:", u->pss_anon);
		show_kib(s, "Pss_File:", u->pss_file);
		show_kib(s, "Pss_Shmem:", 0);
	}
	show_kib(s, "Shared_Clean:", u->shared_clean);
	show_kib(s, "Shared_Dirty:", u->shared_dirty);
	show_kib(s, "Private_Clean:", u->private_clean);
	show_kib(s, "Private_Dirty:", u->private_dirty);
	show_kib(s, "Referenced:", u->referenced);
	show_kib(s, "Anonymous:", u->anonymous);
	show_kib(s, "LazyFree:", u->lazy);
	show_kib(s, "AnonHugePages:", u->huge);
	show_kib(s, "ShmemPmdMapped:", 0);
	show_kib(s, "FilePmdMapped:", 0);
	show_kib(s, "Shared_Hugetlb:", 0);
	show_kib(s, "Private_Hugetlb:", 0);
	show_kib(s, "Swap:", 0);
	show_kib(s, "SwapPss:", 0);
	show_kib(s, "Locked:", locked);
}

static void
show_flags(struct seq *s, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {{AREA_READ, "rd"}, {AREA_WRITE, "wr"}, {AREA_EXEC, "ex"},
	    {AREA_SHARED, "sh"}, {AREA_STACK, "gd"}, {AREA_DEVICE, "pf"},
	    {AREA_LOCKED, "lo"}, {AREA_NO_DUMP, "dd"}, {AREA_HUGE, "hg"},
	    {AREA_NO_HUGE, "nh"}};

	seq_puts(s, "VmFlags:");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			seq_printf(s, " %s", names[i].name);
	seq_puts(s, " mr mw me \n");
}

static void
show_one(struct seq *s, struct area *a, const struct path *root, char *buf)
{
	struct area_usage u = {.rss = 0};

	proc_show_area(s, a, root, buf);
	area_add_usage(a, &u);
	show_kib(s, "Size:", a->end - a->start);
	show_kib(s, "KernelPageSize:", PAGE_SIZE);
	show_kib(s, "MMUPageSize:", PAGE_SIZE);
	show_usage(s, &u, a->flags & AREA_LOCKED ? u.pss : 0, false);
	seq_puts(s, "THPeligible:    0\n");
	show_flags(s, a->flags);
}

void
proc_show_smaps(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace_look(id);
	char *buf = as ? kmalloc(PATH_MAX) : NULL;
	struct path root;

	if (buf) {
		fs_context_root(current_fs(), &root);
		rwsem_lock_shared(&as->lock);
		for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
			show_one(s, a, &root, buf);
		rwsem_unlock_shared(&as->lock);
		path_put(&root);
		kfree(buf);
	}
	if (as)
		aspace_put(as);
}

void
proc_show_smaps_rollup(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace_look(id);
	struct area_usage all = {.rss = 0};
	vaddr_t start = 0, end = 0;
	uint64_t locked = 0;

	if (!as)
		return;
	rwsem_lock_shared(&as->lock);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		uint64_t before = all.pss;

		area_add_usage(a, &all);
		if (a->flags & AREA_LOCKED)
			locked += all.pss - before;
		start = start ? start : a->start;
		end = a->end;
	}
	rwsem_unlock_shared(&as->lock);
	seq_printf(s, "%08lx-%08lx ---p 00000000 00:00 0 %26s[rollup]\n", start, end, "");
	show_usage(s, &all, locked, true);
	aspace_put(as);
}
