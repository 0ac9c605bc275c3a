/*
 * /proc/PID/mem, auxv, syscall, stack and wchan: what debuggers read of a process. mem belongs to the
 * address space that was there when it was opened, which is also when the rights are
 * asked for; the space's pages go with the process, the file then reads as empty.
 */
#include "fs/procfs.h"

#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "kernel/symbols.h"
#include "kernel/x86/backtrace.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/uio.h"

enum { PIECE = PAGE_SIZE, MAX_CALLS = 16, SYMBOL_SIZE = 64 };

static enum err
mem_open(struct inode *inode, struct file *f)
{
	struct process *p = proc_process(&proc_inode_of(inode)->id);
	struct aspace *as = NULL;
	enum err err;

	if (!p)
		return ERR_SRCH;
	err = process_access_aspace(p, ACCESS_FS_IDS, &as);
	process_put(p);
	if (err == OK || err == ERR_SRCH) { /* of a zombie: empty */
		f->private = as;
		return OK;
	}
	return ERR_ACCES;
}

static void
mem_release(struct file *f)
{
	if (f->private)
		aspace_put(f->private);
}

/* Bytes of one page, or an error: nothing could be moved. */
static ssize_t
move_piece(struct aspace *as, struct uio *uio, char *piece, vaddr_t at)
{
	size_t n = MIN(uio->resid, PIECE - at % PIECE), got;

	if (uio->is_write) {
		n = uio_copy_from(uio, piece, n);
		if (!n)
			return ERR_FAULT;
		got = aspace_poke(as, at, piece, n);
		return got ? (ssize_t)got : ERR_IO;
	}
	n = aspace_peek(as, at, piece, n);
	if (!n)
		return ERR_IO;
	got = uio_copy_to(uio, piece, n);
	return got ? (ssize_t)got : ERR_FAULT;
}

static ssize_t
mem_transfer(struct file *f, struct uio *uio, loff_t *pos)
{
	struct aspace *as = f->private;
	char *piece = kmalloc(PIECE);
	ssize_t total = 0, n = 0;

	if (!piece)
		return ERR_NOMEM;
	while (as && uio->resid && !signal_is_fatal_pending(current_thread())) {
		n = move_piece(as, uio, piece, (vaddr_t)*pos);
		if (n < 0)
			break;
		*pos += n;
		total += n;
	}
	kfree(piece);
	return total ? total : MIN(n, (ssize_t)0);
}

static loff_t
mem_seek(struct file *f, loff_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset = (loff_t)((uint64_t)offset + (uint64_t)f->pos);
	else if (whence != SEEK_SET)
		return ERR_INVAL;
	f->pos = offset;
	return offset;
}

const struct inode_ops proc_mem_ops = {.open = mem_open, .free = proc_inode_free};
const struct file_ops proc_mem_file_ops = {.read = mem_transfer,
    .write = mem_transfer,
    .seek = mem_seek,
    .release = mem_release};

/* The auxiliary vector as it was given to the program. */
void
proc_show_auxv(struct seq *s, const struct proc_id *id)
{
	struct process *p = proc_process(id);
	struct aspace *as = NULL;

	if (!p)
		return;
	if (process_access_aspace(p, ACCESS_FS_IDS, &as) == OK) {
		size_t size = as->auxv_end - as->auxv_start;
		void *copy = size ? kmalloc(size) : NULL;

		if (copy)
			seq_write(s, copy, aspace_peek(as, as->auxv_start, copy, size));
		kfree(copy);
		aspace_put(as);
	}
	process_put(p);
}

/* The frame of a thread that sleeps, false: it runs, or ends. It keeps its stack while it
 * is on its process's list, which the lock does. */
static bool
frame_of_sleeper(const struct thread *t, struct trap_frame *frame)
{
	struct process *p = t->process;
	const struct thread *each;
	bool is_asleep = false;

	spin_lock(&p->lock);
	list_for_each(each, &p->threads, process_link)
		is_asleep |= each == t && t->state != THREAD_RUNNABLE;
	if (is_asleep)
		*frame = *thread_frame(t);
	spin_unlock(&p->lock);
	return is_asleep;
}

/* The return addresses on the stack of a thread that sleeps, innermost first. */
static unsigned
calls_of_sleeper(const struct thread *t, uint64_t *addresses, unsigned max)
{
	struct process *p = t->process;
	const struct thread *each;
	unsigned n = 0;

	spin_lock(&p->lock);
	list_for_each(each, &p->threads, process_link)
		if (each == t && t->state != THREAD_RUNNABLE)
			n = backtrace_collect_sleeper(t, addresses, max);
	spin_unlock(&p->lock);
	return n;
}

void
proc_show_stack(struct seq *s, const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	uint64_t addresses[MAX_CALLS];
	char text[SYMBOL_SIZE];
	unsigned n = 0;

	if (!t)
		return;
	s->error = capable(CAP_SYS_ADMIN) ? process_may_access(t->process, ACCESS_FS_IDS)
	                                  : ERR_ACCES;
	if (!s->error)
		n = calls_of_sleeper(t, addresses, MAX_CALLS);
	for (unsigned i = 0; i < n; i++) {
		symbol_format(addresses[i], text, sizeof(text));
		seq_printf(s, "[<0>] %s\n", text);
	}
	thread_put(t);
}

/* A function that only waits for what its caller has to say. */
static bool
is_of_scheduler(const char *name)
{
	static const char *const starts[] = {"reschedule", "schedule", "sleep_until",
	    "wait_", "switch_to", "thread_sleep", "mutex_lock", "rwsem_lock"};

	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++)
		if (strncmp(name, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

/* In which function of the kernel the thread waits: no place, so no offset. */
void
proc_show_wchan(struct seq *s, const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	uint64_t addresses[MAX_CALLS];
	char text[SYMBOL_SIZE] = "0";
	unsigned n = 0;

	if (!t)
		return;
	if (process_may_access(t->process, ACCESS_FS_IDS) == OK)
		n = calls_of_sleeper(t, addresses, MAX_CALLS);
	for (unsigned i = 0; i < n; i++) {
		symbol_format(addresses[i], text, sizeof(text));
		if (!is_of_scheduler(text))
			break;
	}
	seq_write(s, text, strchr(text, '+') ? (size_t)(strchr(text, '+') - text) : 1);
	thread_put(t);
}

/* The call a sleeping thread is in: number, arguments, stack and instruction pointer. */
void
proc_show_syscall(struct seq *s, const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	struct trap_frame f;

	if (!t)
		return;
	s->error = process_may_access(t->process, ACCESS_FS_IDS);
	if (s->error)
		;
	else if (!frame_of_sleeper(t, &f))
		seq_puts(s, "running\n");
	else if (f.vector != TRAP_SYSCALL || (int64_t)f.error < 0)
		seq_printf(s, "-1 0x%lx 0x%lx\n", f.rsp, f.rip);
	else
		seq_printf(s, "%lu 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx\n",
		    f.error, f.rdi, f.rsi, f.rdx, f.r10, f.r8, f.r9, f.rsp, f.rip);
	thread_put(t);
}
