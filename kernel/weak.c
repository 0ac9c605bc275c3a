/*
 * Defaults for calls of rooms that are not linked yet, so that every step of bring-up has a
 * kernel that boots. A room's own definition wins over the weak one here; the file goes away
 * when none is left.
 */
#include "kernel/file.h"
#include "kernel/panic.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/thread.h"
#include "kernel/x86/trap.h"
#include "mm/aspace.h"
#include "mm/kva.h"

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

__attribute__((weak)) enum err
signal_send_process(struct process *p, int sig, const struct siginfo *info)
{
	return ERR_SRCH;
}

__attribute__((weak)) bool
signal_is_pending(const struct thread *t)
{
	return false;
}

__attribute__((weak)) bool
signal_is_fatal_pending(const struct thread *t)
{
	return false;
}

__attribute__((weak)) bool
capable(enum capability cap)
{
	return false;
}

__attribute__((weak)) struct file *
file_alloc(const struct file_ops *ops, uint32_t flags, void *private)
{
	return NULL;
}

__attribute__((weak)) struct file *
file_get(struct file *f)
{
	return f;
}

__attribute__((weak)) void
file_put(struct file *f)
{
}

__attribute__((weak)) struct file *
fd_get(int fd)
{
	return NULL;
}
