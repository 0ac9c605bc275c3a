/*
 * The fakes that host unit tests link instead of the kernel: one set for all. Each .c
 * here stands for the kernel file of that name; name those you need in the test's LINK
 * line:
 *
 *   percpu.c    this_cpu(), current_thread(): one CPU, `fake_thread` is current
 *   spinlock.c  spinlocks with owner and rank check (needs percpu, panic)
 *   mutex.c     mutex and rwsem with owner and rank check (needs percpu, panic)
 *   wait.c      wait queues; a sleep runs `fake_on_sleep` once, which must help
 *   rcu.c       callbacks run in fake_rcu_run() or rcu_synchronize()
 *   clock.c     the clocks are variables
 *   kmalloc.c   kmalloc, slabs, vmalloc on malloc: counted, the Nth call can fail
 *   frames.c    page_alloc & co from an arena of 32 MiB; the same
 *   panic.c     panic, log: print; EXPECT_PANIC catches
 *   programs.c  programs in memory for the loader (programs.h)
 *   tlb.c       TLB flushes are counted
 *   timer.c     timers fire from fake_timers_run()
 *   vm_env.c    files, random numbers, signals as far as address spaces need them
 */
#pragma once

#include <setjmp.h>

#include "lib/types.h"

/* percpu.c */
extern struct thread fake_thread;

/* clock.c */
extern nsec_t fake_now_ns;
extern int64_t fake_wall_ns;

/* kmalloc.c */
extern long fake_kmalloc_live; /* objects allocated and not freed */
void fake_kmalloc_fail_nth(
    unsigned n); /* the nth call from now (1 = next) fails; 0: none */

/* frames.c */
extern long fake_frames_live;       /* frames allocated and not freed */
extern int64_t fake_mem_counters[]; /* by enum mem_counter */
void fake_frames_fail_nth(unsigned n);

/* tlb.c */
extern unsigned fake_tlb_flushes;

/* wait.c: called instead of sleeping; NULL: a sleep is a test failure (abort). */
extern void (*fake_on_sleep)(void);
extern bool fake_signal_pending; /* interruptible sleeps end with ERR_RESTARTSYS */

/* rcu.c */
void fake_rcu_run(void);

/* timer.c: sets fake_now_ns step by step to `until` and fires what is due. */
void fake_timers_run(nsec_t until);

/* panic.c */
extern jmp_buf *fake_panic_catch;
extern char fake_panic_text[256];
extern bool fake_log_is_quiet;

/* True if running `stmt` panics. Locks it held stay as they are. */
#define EXPECT_PANIC(stmt) \
	({ \
		jmp_buf env_; \
		volatile bool panicked_ = true; \
		if (!setjmp(env_)) { \
			fake_panic_catch = &env_; \
			stmt; \
			panicked_ = false; \
		} \
		fake_panic_catch = NULL; \
		panicked_; \
	})
