/*
 * The tables of processes and user threads. Both hashes are changed under proc_tree_lock
 * and read under RCU; objects are freed after a grace period, so a reader may take a
 * reference to what it finds if the count has not dropped to 0. Processes in the order of
 * their pids are the numbers in use (tid_next) that belong to one.
 */
#include "kernel/proc/process.h"

#include "kernel/file.h"
#include "kernel/panic.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/seccomp.h"
#include "kernel/sched/sched.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "mm/aspace.h"
#include "mm/slab.h"

enum {
	HASH_SIZE = 4096
}; /* power of two; pids are handed out in order, so they spread evenly */

struct spinlock proc_tree_lock = SPINLOCK_INIT("process tree", RANK_PROC_TREE);
struct process *init_process;

static struct list process_hash[HASH_SIZE]; /* [tree, R] */
static struct list thread_hash[HASH_SIZE];  /* [tree, R] */
static uint64_t num_born;                   /* [tree] for born_as */
static struct slab_cache *process_cache;

void
process_init(void)
{
	for (unsigned i = 0; i < HASH_SIZE; i++) {
		list_init(&process_hash[i]);
		list_init(&thread_hash[i]);
	}
	process_cache = slab_cache_create("process", sizeof(struct process), 0);
	if (!process_cache)
		panic("process: no memory for the cache");
	session_init();
	signal_init();
}

struct process *
process_create(void)
{
	struct process *p = slab_zalloc(process_cache);

	if (!p)
		return NULL;
	p->refs = 1;
	spin_init(&p->lock, "process", RANK_PROC);
	list_init(&p->children);
	list_init(&p->tracees);
	list_init(&p->sibling_link);
	list_init(&p->pgroup_link);
	list_init(&p->threads);
	list_init(&p->sem_undos);
	list_init(&p->shared_pending.infos);
	wait_queue_init(&p->stop_wait);
	wait_queue_init(&p->exec_wait);
	wait_queue_init(&p->core_wait);
	wait_queue_init(&p->exit_wait);
	wait_queue_init(&p->child_wait);
	wait_queue_init(&p->vfork_wait);
	wait_queue_init(&p->signalfd_wait);
	itimers_init(p);
	p->exit_signal = SIGCHLD;
	p->start_ns = clock_now_ns();
	return p;
}

struct process *
process_get(struct process *p)
{
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void
process_free(struct rcu_head *head)
{
	slab_free(process_cache, container_of(head, struct process, rcu));
}

/* Whatever a process holds, half-built ones too. */
void
process_put(struct process *p)
{
	if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	signal_queue_flush(p, &p->shared_pending);
	if (p->aspace)
		aspace_put(p->aspace);
	if (p->sigactions)
		signal_actions_put(p->sigactions);
	if (p->cred)
		cred_put(p->cred);
	kfree(p->exe_path);
	rcu_call(&p->rcu, process_free);
}

static bool
ref_get_unless_zero(uint32_t *refs)
{
	uint32_t n = __atomic_load_n(refs, __ATOMIC_RELAXED);

	while (n)
		if (__atomic_compare_exchange_n(
		        refs, &n, n + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* Under RCU or the tree lock; no reference. */
static struct process *
process_lookup(uint32_t pid)
{
	struct process *p;

	rcu_list_for_each(
	    p, &process_hash[pid % HASH_SIZE], hash_link) if (p->pid == pid) return p;
	return NULL;
}

struct process *
process_find(uint32_t pid)
{
	struct process *p;

	rcu_read_lock();
	p = process_lookup(pid);
	if (p && !ref_get_unless_zero(&p->refs))
		p = NULL;
	rcu_read_unlock();
	return p;
}

struct process *
process_find_locked(uint32_t pid)
{
	return process_lookup(pid);
}

uint32_t
process_next_pid(uint32_t from)
{
	uint32_t pid;

	rcu_read_lock();
	for (pid = tid_next(from); pid && !process_lookup(pid);)
		pid = tid_next(pid + 1);
	rcu_read_unlock();
	return pid;
}

struct thread *
thread_find(uint32_t tid)
{
	struct thread *t;

	rcu_read_lock();
	rcu_list_for_each(t, &thread_hash[tid % HASH_SIZE], tid_link)
	{
		if (t->tid == tid && ref_get_unless_zero(&t->refs)) {
			rcu_read_unlock();
			return t;
		}
	}
	rcu_read_unlock();
	return NULL;
}

void
process_for_each(bool (*fn)(struct process *, void *), void *arg)
{
	struct process *p;

	rcu_read_lock();
	for (uint32_t pid = tid_next(1); pid; pid = tid_next(pid + 1)) {
		p = process_lookup(pid);
		if (p && !fn(p, arg))
			break;
	}
	rcu_read_unlock();
}

void
process_add_thread(struct process *p, struct thread *t)
{
	spin_lock(&proc_tree_lock);
	rcu_list_push_front(&thread_hash[t->tid % HASH_SIZE], &t->tid_link);
	spin_lock(&p->lock);
	seccomp_inherit_locked(t);
	list_push_back(&p->threads, &t->process_link);
	p->num_threads++;
	spin_unlock(&p->lock);
	spin_unlock(&proc_tree_lock);
}

static void
io_count_add(struct io_count *sum, const struct io_count *io)
{
	sum->rchar += io->rchar;
	sum->wchar += io->wchar;
	sum->syscr += io->syscr;
	sum->syscw += io->syscw;
}

void
process_remove_thread(struct process *p, struct thread *t)
{
	nsec_t user, system;

	spin_lock(&proc_tree_lock);
	rcu_list_remove(&t->tid_link);
	spin_lock(&p->lock);
	list_remove(&t->process_link);
	thread_times(t, &user, &system); /* it still runs */
	p->utime_ns += user;
	p->stime_ns += system;
	p->nvcsw += t->nvcsw;
	p->nivcsw += t->nivcsw;
	io_count_add(&p->io, &t->io);
	spin_unlock(&p->lock);
	spin_unlock(&proc_tree_lock);
}

void
process_rename_thread(struct thread *t, uint32_t tid)
{
	spin_lock(&proc_tree_lock);
	rcu_list_remove(&t->tid_link);
	spin_unlock(&proc_tree_lock);
	rcu_synchronize(); /* a reader may stand on the link that moves to another chain
	                    */
	spin_lock(&proc_tree_lock);
	t->tid = tid;
	rcu_list_push_front(&thread_hash[tid % HASH_SIZE], &t->tid_link);
	spin_unlock(&proc_tree_lock);
}

void
process_adopt_locked(struct process *p, struct process *parent)
{
	process_forget_news_locked(p);
	p->parent = parent;
	p->born_as = ++num_born;
	list_push_back(&parent->children, &p->sibling_link);
	if (p->is_zombie || p->has_stop_news || p->has_continue_news)
		process_has_news_locked(p);
}

static bool
born_before(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct process, news_link)->born_as <
	       rb_entry(b, struct process, news_link)->born_as;
}

void
process_has_news_locked(struct process *p)
{
	if (p->is_news || !p->parent)
		return;
	rb_insert(&p->parent->news, &p->news_link, born_before);
	p->is_news = true;
}

void
process_forget_news_locked(struct process *p)
{
	if (p->is_news)
		rb_erase(&p->parent->news, &p->news_link);
	p->is_news = false;
}

void
process_publish(struct process *p, struct process *parent)
{
	spin_lock(&proc_tree_lock);
	if (parent) {
		process_adopt_locked(p, parent);
		p->has_subreaper = parent->is_subreaper || parent->has_subreaper;
		pgroup_join_locked(p, parent->pgroup);
	}
	rcu_list_push_front(&process_hash[p->pid % HASH_SIZE], &p->hash_link);
	spin_unlock(&proc_tree_lock);
}

void
process_unpublish_locked(struct process *p)
{
	rcu_list_remove(&p->hash_link);
	process_forget_news_locked(p);
	list_remove(&p->sibling_link);
	p->parent = NULL;
	pgroup_leave_locked(p);
}

struct thread *
process_leader(struct process *p)
{
	struct thread *t;

	spin_lock(&p->lock);
	t = p->leader ? thread_get(p->leader) : NULL;
	spin_unlock(&p->lock);
	return t;
}

void
process_drop_leader(struct process *p)
{
	struct thread *t;

	spin_lock(&p->lock);
	t = p->leader;
	p->leader = NULL;
	spin_unlock(&p->lock);
	if (t)
		thread_put(t);
}

struct aspace *
process_aspace(struct process *p)
{
	struct aspace *as;

	spin_lock(&p->lock);
	as = p->aspace ? aspace_get(p->aspace) : NULL;
	spin_unlock(&p->lock);
	return as;
}

struct fd_table *
thread_fds(struct thread *t)
{
	struct process *p = t->process;
	struct fd_table *fds;

	spin_lock(&p->lock);
	fds = t->fds ? fd_table_get(t->fds) : NULL;
	spin_unlock(&p->lock);
	return fds;
}

struct fs_context *
thread_fs(struct thread *t)
{
	struct process *p = t->process;
	struct fs_context *fs;

	spin_lock(&p->lock);
	fs = t->fs ? fs_context_get(t->fs) : NULL;
	spin_unlock(&p->lock);
	return fs;
}

struct fs_context *
thread_replace_fs(struct fs_context *new)
{
	struct thread *t = current_thread();
	struct fs_context *old;

	spin_lock(&t->process->lock);
	old = t->fs;
	t->fs = new;
	spin_unlock(&t->process->lock);
	return old;
}

void
thread_files_drop(struct thread_files *files)
{
	if (files->fds)
		fd_table_put(files->fds);
	if (files->fs)
		fs_context_leave(files->fs);
}

/* What a thread that runs has used since it was last charged counts as its own time, and may turn
 * out to be the system's: neither part that was told once goes back. */
void
process_times(struct process *p, nsec_t *utime_ns, nsec_t *stime_ns)
{
	nsec_t user, system, sum;
	struct thread *t;

	spin_lock(&p->lock);
	*utime_ns = p->utime_ns;
	*stime_ns = p->stime_ns;
	list_for_each(t, &p->threads, process_link) {
		thread_times(t, &user, &system);
		*utime_ns += user;
		*stime_ns += system;
	}
	sum = *utime_ns + *stime_ns;
	*stime_ns =
	    MAX(sum - MIN(sum, MAX(*utime_ns, p->told_utime_ns)), p->told_stime_ns);
	*utime_ns = MAX(sum - MIN(sum, *stime_ns), p->told_utime_ns);
	p->told_utime_ns = *utime_ns;
	p->told_stime_ns = *stime_ns;
	spin_unlock(&p->lock);
}

void
process_io(struct process *p, struct io_count *io)
{
	const struct thread *t;

	spin_lock(&p->lock);
	*io = p->io;
	list_for_each(t, &p->threads, process_link)
		io_count_add(io, &t->io);
	spin_unlock(&p->lock);
}

uint32_t
process_pgid(struct process *p)
{
	uint32_t pgid;

	spin_lock(&proc_tree_lock);
	pgid = p->pgroup ? p->pgroup->pgid : 0;
	spin_unlock(&proc_tree_lock);
	return pgid;
}

uint32_t
process_sid(struct process *p)
{
	uint32_t sid;

	spin_lock(&proc_tree_lock);
	sid = p->pgroup ? p->pgroup->session->sid : 0;
	spin_unlock(&proc_tree_lock);
	return sid;
}

uint32_t
process_parent_pid(struct process *p)
{
	const struct process *parent;
	uint32_t pid;

	rcu_read_lock(); /* a parent is left by its children before it is freed */
	parent = rcu_dereference(p->parent);
	pid = parent ? parent->pid : 0;
	rcu_read_unlock();
	return pid;
}

char
thread_state_letter(const struct thread *t)
{
	struct process *p = t->process;
	uint32_t state = __atomic_load_n(&t->state, __ATOMIC_RELAXED);
	char letter = 'S';

	if (t->flags & THREAD_EXITED)
		return 'X';
	spin_lock(&p->lock);
	if (is_traced(t) && t->trace->is_stopped)
		letter = 't';
	else if (state == THREAD_RUNNABLE)
		letter = 'R';
	else if (p->is_stopped && p->num_parked == p->num_threads)
		letter = 'T';
	else if (state == THREAD_BLOCKED)
		letter = 'D';
	spin_unlock(&p->lock);
	return letter;
}

/* The leader's; one that has ended before the others is a zombie already. */
char
process_state_letter(struct process *p)
{
	struct thread *t = p->is_zombie ? NULL : process_leader(p);
	char letter = t ? thread_state_letter(t) : 'Z';

	if (t)
		thread_put(t);
	return letter == 'X' ? 'Z' : letter;
}
