/*
 * A core file as debuggers read it (ELF gABI, chapter 5; core(5)): the header, one program header
 * for all notes and one for each area, the notes, and from the next page on the areas' memory with
 * holes where nothing is. The notes of the thread that got the signal come first, with those of the
 * process among them. Layouts are Linux's for x86-64 (struct elf_prstatus and its kin).
 */
#include "kernel/file.h"
#include "kernel/proc/coredump_priv.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/sigframe.h"
#include "kernel/proc/wait.h"
#include "kernel/procfs.h"
#include "kernel/sched/sched.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/user_regs.h"
#include "lib/elf.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/dump.h"
#include "mm/page.h"
#include "mm/slab.h"

enum {
	PN_XNUM =
	    0xffff, /* the number of program headers is in the first section header */
	NT_PRSTATUS = 1,
	NT_PRFPREG = 2,
	NT_PRPSINFO = 3,
	NT_AUXV = 6,
	NT_X86_XSTATE = 0x202,
	NT_FILE = 0x46494c45,
	NT_SIGINFO = 0x53494749,
	PATH_SIZE = 4096,
	ARGS_SIZE = 80,
};

struct note {
	uint32_t name_size, desc_size, type;
};

struct prstatus {
	int32_t signo, code, errno_;
	int16_t cursig;
	uint64_t sigpend, sighold;
	uint32_t pid, ppid, pgrp, sid;
	struct timeval utime, stime, cutime, cstime;
	struct user_regs regs;
	int32_t has_fpu;
};

struct prpsinfo {
	char state, state_letter, is_zombie, nice;
	uint64_t flag;
	uint32_t uid, gid, pid, ppid, pgrp, sid;
	char name[THREAD_NAME_LEN], args[ARGS_SIZE];
};

static_assert(sizeof(struct prstatus) == 336, "struct elf_prstatus");
static_assert(sizeof(struct prpsinfo) == 136, "struct elf_prpsinfo");

/* An area as the file has it. */
struct piece {
	vaddr_t start, end;
	uint32_t flags;
	bool is_maybe_elf; /* one page, if it begins an ELF file */
	uint64_t size;     /* bytes in the file */
};

struct layout {
	struct piece *pieces;
	unsigned num;
	struct seq process_notes; /* those that are there once */
	struct seq files;         /* the contents of NT_FILE */
	uint64_t notes_size;
	bool is_full; /* no memory */
};

/* ---- Which memory ------------------------------------------------------------------ */

static uint64_t
piece_size(const struct area *a, uint32_t filter, bool *is_maybe_elf)
{
	uint64_t all = a->end - a->start;

	if (a->ops->name && strcmp(a->ops->name, "[vdso]") == 0)
		return all;
	if (a->flags & (AREA_NO_DUMP | AREA_DEVICE))
		return 0;
	if (a->flags & AREA_SHARED) {
		bool is_file = a->file && file_has_name(a->file);

		return filter & (is_file ? CORE_FILE_SHARED : CORE_ANON_SHARED) ? all : 0;
	}
	if ((filter & CORE_ANON_PRIVATE) && area_has_own_pages(a))
		return all;
	if (!a->file)
		return 0;
	if (filter & CORE_FILE_PRIVATE)
		return all;
	*is_maybe_elf =
	    (filter & CORE_ELF_HEADERS) && a->file_page == 0 && (a->flags & AREA_READ);
	return 0;
}

static void
add_file(struct layout *l, struct seq *names, const struct area *a, char *path)
{
	const uint64_t place[3] = {a->start, a->end, a->file_page};
	const char *name = file_path_text(a->file, path, PATH_SIZE);

	seq_write(&l->files, place, sizeof(place));
	seq_write(names, name ? name : "", strlen(name ? name : "") + 1);
}

/* The list of areas, and NT_FILE: how many, the page size, places, then all names. */
static bool
layout_areas_locked(struct layout *l, struct aspace *as, struct seq *names, char *path)
{
	uint64_t head[2] = {0, PAGE_SIZE};
	unsigned room = 0;

	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		room++;
		head[0] += a->file != NULL;
	}
	l->pieces = kcalloc(MAX(room, 1u), sizeof(*l->pieces));
	if (!l->pieces)
		return false;
	seq_write(&l->files, head, sizeof(head));
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a)) {
		struct piece *p = &l->pieces[l->num++];

		*p = (struct piece){.start = a->start, .end = a->end, .flags = a->flags};
		p->size = piece_size(a, as->core_filter, &p->is_maybe_elf);
		if (a->file)
			add_file(l, names, a, path);
	}
	return true;
}

static bool
begins_elf(struct aspace *as, vaddr_t va)
{
	char magic[4];

	return aspace_peek(as, va, magic, sizeof(magic)) == sizeof(magic) &&
	       memcmp(magic, "\177ELF", sizeof(magic)) == 0;
}

static bool
layout_areas(struct layout *l, struct aspace *as)
{
	char *path = kmalloc(PATH_SIZE);
	struct seq names;
	bool ok = false;

	if (!path)
		return false;
	seq_init(&names);
	rwsem_lock_shared(&as->lock);
	ok = layout_areas_locked(l, as, &names, path);
	rwsem_unlock_shared(&as->lock);
	seq_write(&l->files, names.buf, names.len);
	ok = ok && !names.is_full && !l->files.is_full;
	seq_free(&names);
	kfree(path);
	for (unsigned i = 0; ok && i < l->num; i++)
		if (l->pieces[i].is_maybe_elf && begins_elf(as, l->pieces[i].start))
			l->pieces[i].size = PAGE_SIZE;
	return ok;
}

/* ---- Notes ------------------------------------------------------------------------- */

static size_t
note_size(const char *name, size_t size)
{
	return sizeof(struct note) + ALIGN_UP(strlen(name) + 1, (size_t)4) +
	       ALIGN_UP(size, (size_t)4);
}

static void
note_add(struct seq *s, const char *name, uint32_t type, const void *data, size_t size)
{
	static const char zeros[4];
	size_t name_size = strlen(name) + 1;
	const struct note n = {(uint32_t)name_size, (uint32_t)size, type};

	seq_write(s, &n, sizeof(n));
	seq_write(s, name, name_size);
	seq_write(s, zeros, ALIGN_UP(name_size, (size_t)4) - name_size);
	seq_write(s, data, size);
	seq_write(s, zeros, ALIGN_UP(size, (size_t)4) - size);
}

static void
prstatus_fill(struct prstatus *st, const struct core *c, const struct thread *t)
{
	struct process *p = c->process;
	nsec_t utime = t->utime_ns, stime = t->stime_ns;

	memset(st, 0, sizeof(*st));
	st->signo = c->info->signo;
	st->cursig = (int16_t)c->info->signo;
	st->sigpend = t->sig_pending;
	st->sighold = t->sig_blocked;
	st->pid = t->tid;
	st->ppid = process_parent_pid(p);
	st->pgrp = process_pgid(p);
	st->sid = process_sid(p);
	if (t == p->leader)
		process_times(p, &utime, &stime);
	st->utime = timeval_from_ns(utime);
	st->stime = timeval_from_ns(stime);
	st->cutime = timeval_from_ns(p->child_utime_ns);
	st->cstime = timeval_from_ns(p->child_stime_ns);
	user_regs_get(t, &st->regs);
	st->has_fpu = 1;
}

static void
prpsinfo_fill(struct prpsinfo *ps, const struct core *c)
{
	struct process *p = c->process;
	const struct aspace *as = p->aspace;
	size_t n = MIN((size_t)(as->arg_end - as->arg_start), (size_t)ARGS_SIZE - 1);

	memset(ps, 0, sizeof(*ps));
	ps->state_letter = 'R';
	ps->nice = (char)current_thread()->sched.nice;
	ps->flag = p->has_execed ? 0 : 0x40; /* PF_FORKNOEXEC */
	ps->uid = p->cred->uid;
	ps->gid = p->cred->gid;
	ps->pid = p->pid;
	ps->ppid = process_parent_pid(p);
	ps->pgrp = process_pgid(p);
	ps->sid = process_sid(p);
	memcpy(ps->name, current_thread()->name, sizeof(ps->name));
	n = aspace_peek(p->aspace, as->arg_start, ps->args, n);
	for (size_t i = 0; i < n; i++)
		if (!ps->args[i])
			ps->args[i] = ' ';
}

static void
add_auxv(struct seq *s, struct aspace *as)
{
	size_t size = as->auxv_end - as->auxv_start;
	void *copy = kmalloc(MAX(size, (size_t)1));

	if (copy && aspace_peek(as, as->auxv_start, copy, size) == size)
		note_add(s, "CORE", NT_AUXV, copy, size);
	kfree(copy);
}

static void
layout_process_notes(struct layout *l, const struct core *c)
{
	struct seq *s = &l->process_notes;
	struct user_siginfo info;
	struct prpsinfo ps;

	prpsinfo_fill(&ps, c);
	note_add(s, "CORE", NT_PRPSINFO, &ps, sizeof(ps));
	siginfo_layout(&info, c->info);
	note_add(s, "CORE", NT_SIGINFO, &info, sizeof(info));
	add_auxv(s, c->process->aspace);
	note_add(s, "CORE", NT_FILE, l->files.buf, l->files.len);
	seq_free(&l->files);
}

static size_t
thread_notes_size(void)
{
	size_t image = fpu_image_size();

	return note_size("CORE", sizeof(struct prstatus)) +
	       note_size("CORE", FPU_LEGACY_SIZE) +
	       (image ? note_size("LINUX", image) : 0);
}

/* The first thread's come with those of the process. */
static bool
write_thread_notes(
    struct core *c, const struct thread *t, const struct seq *process_notes)
{
	size_t size = fpu_image_size();
	void *image = kmalloc(MAX(size, (size_t)FPU_LEGACY_SIZE));
	struct prstatus st;
	struct seq s;
	bool ok;

	if (!image)
		return false;
	seq_init(&s);
	prstatus_fill(&st, c, t);
	note_add(&s, "CORE", NT_PRSTATUS, &st, sizeof(st));
	if (process_notes)
		seq_write(&s, process_notes->buf, process_notes->len);
	fpu_get_image(t->fpu, image, FPU_LEGACY_SIZE);
	note_add(&s, "CORE", NT_PRFPREG, image, FPU_LEGACY_SIZE);
	if (size) {
		fpu_get_image(t->fpu, image, size);
		note_add(&s, "LINUX", NT_X86_XSTATE, image, size);
	}
	ok = !s.is_full && core_write(c, s.buf, s.len);
	seq_free(&s);
	kfree(image);
	return ok;
}

/* ---- The file ---------------------------------------------------------------------- */

static bool
write_header(struct core *c, const struct layout *l)
{
	unsigned num = l->num + 1;
	struct elf_header h = {
	    .ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
	    .type = ELF_CORE,
	    .machine = ELF_X86_64,
	    .version = 1,
	    .phoff = sizeof(h),
	    .ehsize = sizeof(h),
	    .phentsize = sizeof(struct elf_segment),
	    .phnum = (uint16_t)MIN(num, (unsigned)PN_XNUM),
	};

	if (num >= PN_XNUM) {
		h.shentsize = sizeof(struct elf_section);
		h.shnum = 1;
		h.shoff = sizeof(h) + (uint64_t)num * sizeof(struct elf_segment) +
		          l->notes_size;
	}
	return core_write(c, &h, sizeof(h));
}

static uint64_t
memory_offset(const struct layout *l)
{
	unsigned num = l->num + 1;
	uint64_t end = sizeof(struct elf_header) +
	               (uint64_t)num * sizeof(struct elf_segment) + l->notes_size;

	if (num >= PN_XNUM)
		end += sizeof(struct elf_section);
	return ALIGN_UP(end, (uint64_t)PAGE_SIZE);
}

static bool
write_segments(struct core *c, const struct layout *l)
{
	uint64_t at = memory_offset(l);
	struct elf_segment s = {.type = ELF_NOTE,
	    .offset = sizeof(struct elf_header) + (uint64_t)(l->num + 1) * sizeof(s),
	    .filesz = l->notes_size};

	if (!core_write(c, &s, sizeof(s)))
		return false;
	for (unsigned i = 0; i < l->num; i++) {
		const struct piece *p = &l->pieces[i];

		s = (struct elf_segment){.type = ELF_LOAD,
		    .flags = (p->flags & AREA_READ ? ELF_R : 0) |
		             (p->flags & AREA_WRITE ? ELF_W : 0) |
		             (p->flags & AREA_EXEC ? ELF_X : 0),
		    .offset = at,
		    .vaddr = p->start,
		    .filesz = p->size,
		    .memsz = p->end - p->start,
		    .align = PAGE_SIZE};
		if (!core_write(c, &s, sizeof(s)))
			return false;
		at += p->size;
	}
	return true;
}

static bool
write_notes(struct core *c, const struct layout *l)
{
	const struct elf_section many = {.info = l->num + 1};
	bool ok = write_thread_notes(c, c->threads[0], &l->process_notes);

	for (unsigned i = 1; ok && i < c->num_threads; i++)
		ok = write_thread_notes(c, c->threads[i], NULL);
	return ok && (l->num + 1 < PN_XNUM || core_write(c, &many, sizeof(many)));
}

static bool
write_piece(struct core *c, const struct piece *p, void *page)
{
	struct aspace *as = c->process->aspace;
	vaddr_t va = p->start, end = p->start + p->size;

	while (va < end) {
		vaddr_t next = aspace_dump_next(as, va, end);

		if (next > va && !core_skip(c, next - va))
			return false;
		if (next >= end)
			break;
		va = next;
		if (!(aspace_dump_page(as, va, page) ? core_write(c, page, PAGE_SIZE)
		                                     : core_skip(c, PAGE_SIZE)))
			return false;
		va += PAGE_SIZE;
	}
	return true;
}

static bool
write_memory(struct core *c, const struct layout *l)
{
	void *page = kmalloc(PAGE_SIZE);
	bool ok = page && core_skip(c, memory_offset(l) - c->pos);

	for (unsigned i = 0; ok && i < l->num; i++)
		ok = write_piece(c, &l->pieces[i], page);
	kfree(page);
	return ok;
}

/* A hole at the end is part of the file too. */
static void
write_end(struct core *c, const struct layout *l)
{
	uint64_t end = memory_offset(l);

	for (unsigned i = 0; i < l->num; i++)
		end += l->pieces[i].size;
	if (c->is_pipe || c->pos != end || c->data_end == end)
		return;
	c->pos--;
	(void)core_write(
	    c, "", 1); /* else a debugger finds it cut short, which it reads too */
}

bool
core_write_elf(struct core *c)
{
	struct layout l = {.num = 0};
	bool is_ready;

	seq_init(&l.process_notes);
	seq_init(&l.files);
	is_ready = layout_areas(&l, c->process->aspace);
	if (is_ready) {
		layout_process_notes(&l, c);
		l.notes_size = l.process_notes.len + c->num_threads * thread_notes_size();
		is_ready = !l.process_notes.is_full;
	}
	if (is_ready && write_header(c, &l) && write_segments(c, &l) &&
	    write_notes(c, &l) && write_memory(c, &l))
		write_end(c, &l);
	seq_free(&l.process_notes);
	seq_free(&l.files);
	kfree(l.pieces);
	return is_ready;
}
