/*
 * Defaults for calls of rooms that are not linked yet, so that every step of bring-up has a
 * kernel that boots. A room's own definition wins over the weak one here; the file goes away
 * when none is left.
 */
#include "kernel/panic.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "kernel/x86/context.h"
#include "kernel/x86/trap.h"
#include "mm/aspace.h"
#include "mm/kva.h"

__attribute__((weak)) void
wait_queue_wake(struct wait_queue *q, unsigned n, uint32_t events)
{
}

__attribute__((weak)) void
sched_preempt(void)
{
}

__attribute__((weak)) void
preempt_schedule_irq(void)
{
}

__attribute__((weak)) void
schedule(void)
{
}

__attribute__((weak)) void
sched_print_state(void)
{
}

__attribute__((weak)) void
sched_thread_begin(struct thread *prev)
{
}

__attribute__((weak)) NORETURN void
thread_exit(void)
{
	panic("thread ended");
}

__attribute__((weak)) void
signal_deliver(struct trap_frame *f)
{
}

__attribute__((weak)) void
signal_fault(int sig, int code, vaddr_t addr)
{
	panic("signal %d of a program", sig);
}

__attribute__((weak)) bool
stack_guard_hit(vaddr_t addr)
{
	return false;
}

__attribute__((weak)) NO_THREAD_SAFETY_ANALYSIS void
mutex_lock(struct mutex *m)
{
}

__attribute__((weak)) NO_THREAD_SAFETY_ANALYSIS void
mutex_unlock(struct mutex *m)
{
}

__attribute__((weak)) void
rwsem_lock(struct rwsem *s)
{
}

__attribute__((weak)) void
rwsem_unlock(struct rwsem *s)
{
}

__attribute__((weak)) void
rwsem_lock_shared(struct rwsem *s)
{
}

__attribute__((weak)) void
rwsem_unlock_shared(struct rwsem *s)
{
}

__attribute__((weak)) enum err
signal_send_process(struct process *p, int sig, const struct siginfo *info)
{
	return ERR_SRCH;
}
