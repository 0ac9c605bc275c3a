/* The text of /proc/PID/maps and smaps. */
#include "kernel/file.h"
#include "kernel/procfs.h"
#include "mm/area.h"
#include "mm/page.h"
#include "mm/userpt.h"

enum { NAME_COLUMN = 73 }; /* where Linux begins the name */

/* What a nameless area is called. */
static const char *
area_name(const struct area *a)
{
	const struct aspace *as = a->aspace;

	if (a->flags & AREA_HEAP)
		return "[heap]";
	if (a->start < as->stack_top && a->end >= as->stack_top)
		return "[stack]";
	return a->file ? NULL : "";
}

static void
show_name(struct seq *s, const struct area *a, const struct maps_namer *namer,
    size_t line_start)
{
	const char *name = area_name(a);

	if (name && !*name) {
		seq_putc(s, '\n');
		return;
	}
	while (!s->is_full && s->len - line_start < NAME_COLUMN)
		seq_putc(s, ' ');
	if (name)
		seq_puts(s, name);
	else if (a->file->inode)
		namer->path(s, a->file);
	else if (a->file->ops->anon_name)
		seq_puts(s, a->file->ops->anon_name);
	seq_putc(s, '\n');
}

static void
show_line(struct seq *s, const struct area *a, const struct maps_namer *namer)
{
	unsigned major = 0, minor = 0;
	uint64_t inode = 0;
	size_t start = s->len;

	if (a->file && a->file->inode)
		namer->ids(a->file, &major, &minor, &inode);
	seq_printf(s, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", a->start, a->end,
	    a->flags & AREA_READ ? 'r' : '-', a->flags & AREA_WRITE ? 'w' : '-',
	    a->flags & AREA_EXEC ? 'x' : '-', a->flags & AREA_SHARED ? 's' : 'p',
	    a->file ? a->file_page << PAGE_SHIFT : 0, major, minor, inode);
	show_name(s, a, namer, start);
}

/* What smaps counts of an area, in pages. */
struct usage {
	uint64_t present, anon, shared, dirty, referenced,
	    weighted; /* weighted: in 1/4096 pages */
};

static void
count_entry(struct usage *u, pte_t entry)
{
	const struct page *pg;
	uint64_t users;

	if (!entry || entry & PTE_SPECIAL)
		return;
	pg = phys_to_page(pte_phys(entry));
	/* The page cache holds one reference itself. */
	users = page_is_anon(pg) ? pg->mapcount : pg->refs - 1;
	u->present++;
	u->anon += page_is_anon(pg);
	u->shared += users > 1;
	u->dirty += !!(entry & PTE_DIRTY);
	u->referenced += !!(entry & PTE_ACCESSED);
	u->weighted += PAGE_SIZE / MAX(users, 1ull);
}

static void
count_area(struct usage *u, const struct area *a)
{
	struct upt_run run;

	for (vaddr_t va = a->start; upt_next_run(a->aspace, va, a->end, &run);
	     va = run.va + (uint64_t)run.num * PAGE_SIZE)
		for (unsigned i = 0; i < run.num; i++)
			count_entry(u, upt_load(&run.pte[i]));
}

static void
show_usage(struct seq *s, const struct area *a)
{
	struct usage u = {0};
	uint64_t own;

	count_area(&u, a);
	own = u.present - u.shared;
	seq_printf(s, "Size:           %8lu kB\n", (a->end - a->start) >> 10);
	seq_printf(s, "KernelPageSize: %8u kB\nMMUPageSize:    %8u kB\n", 4, 4);
	seq_printf(s, "Rss:            %8lu kB\n", u.present * 4);
	seq_printf(s, "Pss:            %8lu kB\n", u.weighted >> 10);
	seq_printf(
	    s, "Shared_Clean:   %8lu kB\n", (u.shared - MIN(u.shared, u.dirty)) * 4);
	seq_printf(s, "Shared_Dirty:   %8lu kB\n", MIN(u.shared, u.dirty) * 4);
	seq_printf(s, "Private_Clean:  %8lu kB\n", (own - MIN(own, u.dirty)) * 4);
	seq_printf(s, "Private_Dirty:  %8lu kB\n", MIN(own, u.dirty) * 4);
	seq_printf(s, "Referenced:     %8lu kB\n", u.referenced * 4);
	seq_printf(s, "Anonymous:      %8lu kB\n", u.anon * 4);
	seq_printf(s, "Swap:           %8u kB\n", 0);
	seq_printf(
	    s, "Locked:         %8lu kB\n", a->flags & AREA_LOCKED ? u.present * 4 : 0);
}

void
aspace_show_maps(
    struct aspace *as, struct seq *s, const struct maps_namer *namer, bool detailed)
{
	/* Exclusively: the counting looks into pages, which faults must not take away. */
	rwsem_lock(&as->lock);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		show_line(s, a, namer);
		if (detailed)
			show_usage(s, a);
	}
	rwsem_unlock(&as->lock);
}
