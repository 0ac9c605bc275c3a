/*
 * Allocations that fail on purpose, to test what is done about it: the Nth that a thread
 * asks for after N was written to its /proc/PID/fail-nth (fs/proc_fail.c). Each allocator
 * asks here first. Debug builds only; no interrupt's allocation fails or counts.
 */
#pragma once

#include "kernel/sched/thread.h"
#include "kernel/x86/percpu.h"

/* What the current thread still has to go, 0: it has failed or never will. */
static inline uint32_t
fail_alloc_left(void)
{
	return CONFIG_DEBUG ? current_thread()->fail_nth : 0;
}

/* Whether the allocation that begins now must fail; one less to go. Any context. */
static inline bool
fail_alloc(void)
{
	struct thread *t = CONFIG_DEBUG ? current_thread() : NULL;

	return t && t->fail_nth && !this_cpu()->irq_nesting && --t->fail_nth == 0;
}
