/* Panics in bad places: the report must come out of each (tests/boot/test_panic.py). */
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/selftest.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/time/timer.h"

static struct mutex a_mutex = MUTEX_INIT(a_mutex, "a_mutex", RANK_SETUP);
static struct spinlock a_lock = SPINLOCK_INIT("a_lock", RANK_OBJECT);

static __attribute__((noinline)) unsigned
recurse(unsigned n)
{
	volatile uint8_t frame[512];

	frame[n % sizeof(frame)] = (uint8_t)n;
	return n == ~0u ? 0 : recurse(n + 1) + frame[n % sizeof(frame)];
}

static void
overflow(void *arg)
{
	(void)recurse(0);
}

/* On a thread's stack, which kva guards; the boot stack has a test of its own. */
SELFTEST_FATAL(stack_overflow_thread)
{
	thread_start(thread_create_kernel("overflow", overflow, NULL));
	thread_sleep_ns(NSEC_PER_SEC);
}

SELFTEST_FATAL(panic_with_locks)
{
	mutex_lock(&a_mutex);
	spin_lock(&a_lock);
	panic("with two locks held");
}

static void
panic_on_expiry(struct timer *t)
{
	panic("from a timer");
}

SELFTEST_FATAL(panic_in_interrupt)
{
	static struct timer t;

	timer_init(&t, panic_on_expiry);
	timer_arm(&t, clock_now_ns() + NSEC_PER_MSEC);
	for (;;)
		__builtin_ia32_pause();
}

/* A console that faults, and cannot even print about that. */
static void
faulty_write(struct console *c, const char *text, size_t len)
{
	*(volatile char *)8 = *text;
}

static struct console faulty = {.name = "faulty", .write = faulty_write};

/* The log lock is held by whoever panics inside a console. */
SELFTEST_FATAL(panic_in_a_console)
{
	log_console_level = 0; /* no replay */
	console_register(&faulty);
	log_console_level = LOG_DEBUG;
	log_info("this line faults");
}

/* Another CPU spins with interrupts off: only an NMI stops it. */
static void
spin_deaf(void *arg)
{
	irq_disable_nested();
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
	for (;;)
		__builtin_ia32_pause();
}

SELFTEST_FATAL(panic_beside_a_deaf_cpu)
{
	static bool is_deaf;
	struct thread *t = thread_create_kernel("deaf", spin_deaf, &is_deaf);

	preempt_disable();
	thread_start(t);
	while (!__atomic_load_n(&is_deaf, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	panic("beside a deaf CPU");
}

/* Two CPUs at once: one report, whole. */
static void
panic_too(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	panic("two at once");
}

SELFTEST_FATAL(panic_on_two_cpus)
{
	static bool go;

	thread_start(thread_create_kernel("other", panic_too, &go));
	thread_sleep_ns(10 * NSEC_PER_MSEC);
	preempt_disable();
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	panic("two at once");
}
