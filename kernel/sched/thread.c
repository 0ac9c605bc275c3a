/*
 * Life and death of threads. One reference is the creator's; thread_start takes another
 * for the scheduler, dropped when the thread has run for the last time (thread_reap, on
 * its successor's stack). The memory is freed after an RCU grace period, so a struct
 * thread found under RCU (thread_for_each, a mutex's owner) can be read.
 */
#include "kernel/sched/thread.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "kernel/proc/seccomp.h"
#include "kernel/proc/syscall.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/time/clock.h"
#include "kernel/x86/context.h"
#include "lib/string.h"
#include "mm/kva.h"
#include "mm/slab.h"

static struct slab_cache *thread_cache;
static struct spinlock list_lock = SPINLOCK_INIT("threads", RANK_OBJECT);
static struct list all_threads = LIST_INIT(all_threads); /* [list_lock], read under RCU */
static unsigned num_threads;                             /* [list_lock], [a] to read */
uint32_t threads_max = UINT32_MAX;
static uint64_t num_forks; /* likewise */

void
threads_init(void)
{
	thread_cache = slab_cache_create("thread", sizeof(struct thread), 64);
	if (!thread_cache)
		panic("no memory for the thread cache");
}

static void
list_add(struct thread *t)
{
	spin_lock(&list_lock);
	t->all_link.next = &all_threads;
	t->all_link.prev = all_threads.prev;
	/* A reader that finds it finds it whole. */
	rcu_assign(all_threads.prev->next, &t->all_link);
	all_threads.prev = &t->all_link;
	num_threads++;
	num_forks++;
	spin_unlock(&list_lock);
}

/* Its own `next` stays, for a reader that stands on it. */
static void
list_del(struct thread *t)
{
	spin_lock(&list_lock);
	t->all_link.prev->next = t->all_link.next;
	t->all_link.next->prev = t->all_link.prev;
	num_threads--;
	spin_unlock(&list_lock);
}

unsigned
thread_count(void)
{
	return num_threads;
}

uint64_t
thread_forks(void)
{
	return num_forks;
}

/* A thread without stack, list entry and start; scheduling parameters of an ordinary
 * thread. */
static struct thread *
thread_new(const char *name)
{
	struct thread *t = slab_zalloc(thread_cache);

	if (!t)
		return NULL;
	strlcpy(t->name, name, sizeof(t->name));
	t->refs = 1;
	t->state = THREAD_BLOCKED;
	t->start_ns = clock_now_ns();
	t->sched.cpu = this_cpu();
	t->sched.affinity = CPUMASK_ALL;
	t->timer_slack_ns = t->default_slack_ns = DEFAULT_TIMER_SLACK_NS;
	t->mce_kill = MCE_KILL_DEFAULT;
	sched_params_set(t, SCHED_NORMAL, 0, 0);
	list_init(&t->process_link);
	list_init(&t->sig_queue);
	wait_queue_init(&t->joiners);
	return t;
}

static void
thread_free(struct rcu_head *head)
{
	struct thread *t = container_of(head, struct thread, rcu);

	arch_thread_fini(t);
	kfree(t->trace);
	seccomp_release(t);
	if (t->flags & THREAD_OWNS_TID)
		tid_free(t->tid);
	stack_free(t->stack_base, KERNEL_STACK_SIZE);
	if (t->process)
		process_put(t->process);
	slab_free(thread_cache, t);
}

struct thread *
thread_get(struct thread *t)
{
	__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void
thread_put(struct thread *t)
{
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
		rcu_call(&t->rcu, thread_free);
}

void
thread_wait_asleep(const struct thread *t)
{
	enum { SPINS = 200, NAP_NS = 50000 };

	for (unsigned i = 0;; i++) {
		if (!__atomic_load_n(&t->sched.is_queued, __ATOMIC_ACQUIRE) &&
		    !__atomic_load_n(&t->sched.is_running, __ATOMIC_ACQUIRE))
			return;
		if (i < SPINS && t->sched.cpu != this_cpu())
			cpu_relax();
		else
			thread_sleep_ns(NAP_NS);
	}
}

struct thread *
thread_create_kernel(const char *name, void (*entry)(void *), void *arg)
{
	struct thread *t = thread_new(name);

	if (!t)
		return NULL;
	t->flags = THREAD_IS_KERNEL | THREAD_OWNS_TID;
	t->entry = entry;
	t->arg = arg;
	t->tid = tid_alloc();
	t->stack_base = stack_alloc(KERNEL_STACK_SIZE);
	if (!t->tid || !t->stack_base) {
		thread_free(&t->rcu);
		return NULL;
	}
	arch_thread_init_kernel(t);
	list_add(t);
	return t;
}

/* What a new thread has of the one that makes it. */
static void
inherit_params(struct thread *t, const struct thread *from)
{
	bool resets = from->sched.resets_on_fork;

	t->sched.affinity = from->sched.affinity;
	t->ioprio = from->ioprio;
	t->timer_slack_ns = t->default_slack_ns = from->timer_slack_ns;
	t->mce_kill = from->mce_kill;
	if (resets && from->sched.rt_priority)
		sched_params_set(t, SCHED_NORMAL, 0, 0);
	else
		sched_params_set(t, from->sched.policy,
		    resets ? MAX(from->sched.nice, 0) : from->sched.nice,
		    from->sched.rt_priority);
}

struct thread *
thread_create_user(struct process *process, const char *name,
    const struct trap_frame *frame, uint32_t tid)
{
	struct thread *t, *self = current_thread();

	if (thread_count() >= __atomic_load_n(&threads_max, __ATOMIC_RELAXED))
		return NULL;
	t = thread_new(name);
	if (!t)
		return NULL;
	t->process = process_get(process);
	t->aspace = process->aspace;
	t->tid = tid;
	if (syscall_is_traced)
		t->flags |= THREAD_CALL_LOGGED;
	if (self->process)
		inherit_params(t, self);
	t->stack_base = stack_alloc(KERNEL_STACK_SIZE);
	if (!t->stack_base || arch_thread_init_user(t, frame) != OK) {
		thread_free(&t->rcu);
		return NULL;
	}
	if (process->leader)
		t->flags |= THREAD_OWNS_TID;
	list_add(t);
	return t;
}

/* An idle thread is never on a queue, and in no list. */
struct thread *
thread_create_idle(struct cpu *cpu, void (*loop)(void *))
{
	char name[THREAD_NAME_LEN] = "idle";
	struct thread *t = thread_new(name);

	if (!t)
		return NULL;
	t->flags = THREAD_IS_KERNEL;
	t->entry = loop;
	t->state = THREAD_RUNNABLE;
	t->sched.cpu = cpu;
	t->sched.level = SCHED_LEVEL_IDLE;
	t->stack_base = stack_alloc(KERNEL_STACK_SIZE);
	if (!t->stack_base) {
		thread_free(&t->rcu);
		return NULL;
	}
	arch_thread_init_kernel(t);
	return t;
}

struct thread *
thread_create_boot(void)
{
	struct thread *t = thread_new("boot");

	if (!t)
		return NULL;
	t->flags = THREAD_IS_KERNEL;
	t->stack_base = boot_stack;
	t->state = THREAD_RUNNABLE;
	list_add(t);
	return t;
}

void
thread_exit(void)
{
	struct thread *t = current_thread();

	assert_may_sleep();
	if (CONFIG_DEBUG && t->num_held_mutexes)
		panic("thread %s ends with %s held", t->name, t->held_mutexes[0].name);
	list_del(t);
	__atomic_fetch_or(&t->flags, THREAD_EXITING | THREAD_EXITED, __ATOMIC_RELEASE);
	wait_queue_wake_all(&t->joiners);
	thread_set_state(THREAD_DEAD);
	schedule();
	__builtin_unreachable();
}

void
thread_join(struct thread *t)
{
	(void)wait_event(
	    &t->joiners, t->flags & THREAD_EXITED, WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);
}

/*
 * On the next thread's stack, interrupts off. A full stack cache means that freeing would
 * have to flush TLBs: that is left to thread_free, which runs where it may wait.
 */
void
thread_reap(struct thread *t)
{
	if (t->stack_base == boot_stack || stack_recycle(t->stack_base))
		t->stack_base = NULL;
	thread_put(t);
}

void
thread_for_each(bool (*fn)(struct thread *, void *arg), void *arg)
{
	struct list *l;

	rcu_read_lock();
	for (l = rcu_dereference(all_threads.next); l != &all_threads;
	     l = rcu_dereference(l->next))
		if (!fn(list_entry(l, struct thread, all_link), arg))
			break;
	rcu_read_unlock();
}
