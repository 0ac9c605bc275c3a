/*
 * kernel/proc/signal.c: queues, what is ignored, who is told, stop and continue.
 * LINK: kernel/proc/signal.c lib/string.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * LINK: tests/fakes/kmalloc.c tests/fakes/panic.c tests/fakes/wait.c
 * LINK: tests/fakes/clock.c lib/fmt.c
 */
#include "kernel/proc/signal.h"

#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/x86/ipi.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

struct spinlock proc_tree_lock = SPINLOCK_INIT("tree", RANK_PROC_TREE);
struct process *init_process;

static struct process p;
static struct thread a, b;
static unsigned woken;
static long caches; /* what lives for ever */

bool
thread_wake_interruptible(struct thread *t)
{
	woken++;
	return true;
}

bool
thread_wake_killable(struct thread *t)
{
	woken++;
	return true;
}

void
ipi_reschedule(struct cpu *cpu)
{
}

void
ptrace_kill_locked(struct thread *t)
{
}

void
ptrace_job_control_locked(struct process *q, bool is_stop)
{
}

uint32_t
posix_timer_taken_locked(struct posix_timer *t)
{
	return 0;
}

struct pgroup *
pgroup_find_locked(uint32_t pgid)
{
	return NULL;
}

static void
setup(void)
{
	static bool is_up;

	if (!is_up) {
		signal_init();
		caches = fake_kmalloc_live;
	}
	is_up = true;
	p = (struct process){
	    .num_threads = 2, .leader = &a, .sigactions = signal_actions_create()};
	spin_init(&p.lock, "process", RANK_PROC);
	list_init(&p.threads);
	list_init(&p.shared_pending.infos);
	wait_queue_init(&p.stop_wait);
	wait_queue_init(&p.signalfd_wait);
	p.rlimits[RLIMIT_SIGPENDING].cur = 4;
	a = (struct thread){.process = &p, .tid = 1};
	b = (struct thread){.process = &p, .tid = 2};
	list_init(&a.sig_queue);
	list_init(&b.sig_queue);
	list_push_back(&p.threads, &a.process_link);
	list_push_back(&p.threads, &b.process_link);
	woken = 0;
}

static void
set_handler(int sig, uint64_t handler)
{
	p.sigactions->actions[sig - 1].handler = handler;
}

static int
take(struct thread *t, struct siginfo *info)
{
	int sig;

	spin_lock(&p.lock);
	sig = signal_dequeue_locked(t, t->sig_blocked, info);
	spin_unlock(&p.lock);
	return sig;
}

static bool
done(void)
{
	signal_queue_flush(&p, &p.shared_pending);
	signal_actions_put(p.sigactions);
	return p.num_queued_signals == 0 && fake_kmalloc_live == caches;
}

KTEST(signal_standard_is_queued_once_realtime_each_time)
{
	struct siginfo info = {.code = SI_QUEUE};

	setup();
	set_handler(SIGUSR1, 0x1000);
	set_handler(40, 0x1000);
	a.sig_blocked = b.sig_blocked = ~0ull;
	for (unsigned i = 0; i < 3; i++) {
		info.value = i;
		CHECK_EQ(signal_send_process(&p, SIGUSR1, &info), OK);
		CHECK_EQ(signal_send_process(&p, 40, &info), OK);
	}
	CHECK_EQ(signal_send_process(&p, 41, &info), ERR_AGAIN); /* four are queued */
	a.sig_blocked = 0;
	CHECK_EQ(take(&a, &info), SIGUSR1);
	CHECK_EQ(info.value, 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(take(&a, &info), 40);
		CHECK_EQ(info.value, i);
	}
	CHECK(done());
}

KTEST(signal_ignored_leaves_no_trace)
{
	setup();
	CHECK_EQ(signal_send_process(&p, SIGCHLD, NULL), OK);
	set_handler(SIGTERM, SIG_IGN);
	CHECK_EQ(signal_send_process(&p, SIGTERM, NULL), OK);
	CHECK_EQ(p.shared_pending.pending, 0);
	CHECK_EQ(woken, 0);
	a.sig_blocked = SIGMASK(SIGCHLD);
	CHECK_EQ(signal_send_process(&p, SIGCHLD, NULL), OK);
	CHECK_EQ(p.shared_pending.pending, SIGMASK(SIGCHLD));
	CHECK(done());
}

KTEST(signal_goes_to_a_thread_that_wants_it)
{
	struct siginfo info;

	setup();
	set_handler(SIGUSR1, 0x1000);
	a.sig_blocked = SIGMASK(SIGUSR1);
	CHECK_EQ(signal_send_process(&p, SIGUSR1, NULL), OK);
	CHECK(!signal_is_pending(&a) && signal_is_pending(&b));
	CHECK_EQ(take(&a, &info), 0);
	CHECK_EQ(take(&b, &info), SIGUSR1);
	CHECK_EQ(info.code, SI_KERNEL);
	CHECK_EQ(signal_send_thread(&a, SIGUSR1, NULL), OK);
	CHECK(!signal_is_pending(&a));
	CHECK_EQ(take(&b, &info), 0);
	a.sig_blocked = 0;
	CHECK_EQ(take(&a, &info), SIGUSR1);
	CHECK(done());
}

KTEST(signal_fatal_ends_all_threads_at_once)
{
	setup();
	CHECK_EQ(signal_send_process(&p, SIGTERM, NULL), OK);
	CHECK(p.is_exiting);
	CHECK_EQ(p.exit_status, SIGTERM);
	CHECK(signal_is_fatal_pending(&a) && signal_is_fatal_pending(&b));
	CHECK_EQ(woken, 2);
	CHECK(done());
}

KTEST(signal_init_process_is_protected)
{
	setup();
	init_process = &p;
	CHECK_EQ(signal_send_process(&p, SIGKILL, NULL), OK);
	CHECK_EQ(signal_send_process(&p, SIGTERM, NULL), OK);
	CHECK(!p.is_exiting && !p.shared_pending.pending);
	set_handler(SIGTERM, 0x1000);
	CHECK_EQ(signal_send_process(&p, SIGTERM, NULL), OK);
	CHECK_EQ(p.shared_pending.pending, SIGMASK(SIGTERM));
	init_process = NULL;
	CHECK(done());
}

KTEST(signal_stop_and_continue_cancel_each_other)
{
	setup();
	set_handler(SIGCONT, 0x1000);
	a.sig_blocked = b.sig_blocked = ~0ull;
	CHECK_EQ(signal_send_process(&p, SIGCONT, NULL), OK);
	CHECK_EQ(signal_send_thread(&b, SIGTSTP, NULL), OK);
	CHECK_EQ(p.shared_pending.pending, 0);
	CHECK_EQ(b.sig_pending, SIGMASK(SIGTSTP));
	p.is_stopped = p.is_stop_told = true;
	CHECK_EQ(signal_send_process(&p, SIGCONT, NULL), OK);
	CHECK_EQ(b.sig_pending, 0);
	CHECK(!p.is_stopped && p.is_continue_due);
	CHECK_EQ(p.shared_pending.pending, SIGMASK(SIGCONT));
	CHECK(done());
}

KTEST(signal_faults_come_first_and_cannot_be_ignored)
{
	struct siginfo info;

	setup();
	fake_thread.process = &p;
	list_init(&fake_thread.sig_queue);
	set_handler(SIGUSR1, 0x1000);
	set_handler(SIGSEGV, SIG_IGN);
	CHECK_EQ(signal_send_thread(&fake_thread, SIGUSR1, NULL), OK);
	fake_thread.sig_blocked = SIGMASK(SIGSEGV);
	signal_fault(SIGSEGV, SEGV_MAPERR, 0x1234);
	CHECK_EQ(p.sigactions->actions[SIGSEGV - 1].handler, SIG_DFL);
	CHECK_EQ(take(&fake_thread, &info), SIGSEGV);
	CHECK_EQ(info.addr, 0x1234);
	CHECK_EQ(take(&fake_thread, &info), SIGUSR1);
	fake_thread.process = NULL;
	CHECK(done());
}
