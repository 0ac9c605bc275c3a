/*
 * Restartable sequences: registration, the CPU's number, and sequences that are abandoned
 * for a signal, for another thread's turn, or for being wrong. musl registers nothing, so
 * all of it is ours to do.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/guest/check.h"

enum { SIG = 0x53053053, UNREGISTER = 1, SIZE = 32 };

struct rseq_area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t cs;
	uint32_t flags, node_id, mm_cid, pad;
} __attribute__((aligned(32)));

struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
} __attribute__((aligned(32)));

static _Thread_local struct rseq_area area;

static long
rseq(void *a, unsigned len, int flags, unsigned sig)
{
	return syscall(SYS_rseq, a, len, flags, sig);
}

static void
reg(void)
{
	CHECK_EQ(rseq(&area, SIZE, 0, SIG), 0);
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* proves: rseq */
static void
registers_once(void)
{
	struct rseq_area *other = aligned_alloc(32, 128);

	memset(&area, 0, sizeof(area));
	area.cpu_id = -1;
	CHECK_ERR(rseq(&area, SIZE, 2, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE - 1, 0, SIG), EINVAL);
	CHECK_ERR(rseq((char *)&area + 4, SIZE, 0, SIG), EINVAL);
	CHECK_ERR(rseq((void *)~31ul, SIZE, 0, SIG), EFAULT);
	CHECK_ERR(rseq(&area, SIZE, UNREGISTER, SIG), EINVAL);
	reg();
	CHECK(area.cpu_id == area.cpu_id_start && (int)area.cpu_id >= 0);
	CHECK_ERR(rseq(&area, SIZE, 0, SIG), EBUSY);
	CHECK_ERR(rseq(&area, SIZE, 0, SIG + 1), EPERM);
	CHECK_ERR(rseq(other, SIZE, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE * 2, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE, UNREGISTER | 2, SIG), EINVAL);
	CHECK_ERR(rseq(other, SIZE, UNREGISTER, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE * 2, UNREGISTER, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE, UNREGISTER, SIG + 1), EPERM);
	CHECK_EQ(rseq(&area, SIZE, UNREGISTER, SIG), 0);
	CHECK_EQ(area.cpu_id, -1u);
	CHECK_EQ(area.cpu_id_start, 0);
	CHECK_ERR(rseq(&area, SIZE, UNREGISTER, SIG), EINVAL);
	reg();
}

static void
cpu_id_follows_the_thread(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned cpu, node;

	reg();
	for (int i = 0; i < 3 * n; i++) {
		pin(i % (int)n);
		CHECK_EQ(area.cpu_id, i % n);
		CHECK_EQ(area.cpu_id_start, i % n);
		CHECK_EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
		CHECK_EQ(cpu, area.cpu_id);
		CHECK_EQ(node, area.node_id);
		CHECK(area.mm_cid < (unsigned)n);
	}
}

static void *
expect_unregistered(void *arg)
{
	return (void *)rseq(&area, SIZE, 0, SIG);
}

static void
a_child_process_has_it_and_a_thread_has_not(void)
{
	pthread_t t;
	void *result;
	int status;
	pid_t pid;

	reg();
	pid = fork();
	if (!pid) {
		pin(0);
		_exit(rseq(&area, SIZE, 0, SIG) == -1 && errno == EBUSY && !area.cpu_id
		          ? 0
		          : 1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	pthread_create(&t, NULL, expect_unregistered, NULL);
	pthread_join(t, &result);
	CHECK_EQ((long)result, 0);
}

/*
 * Goes round in a sequence until that is abandoned, or `stop` is set. The number of times
 * that its last instruction was done: 0, unless stopped.
 */
static int __attribute__((noinline))
spin_in_sequence(volatile int *stop, uint64_t *cs, struct sequence *s)
{
	int was_aborted;

	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
	                 "movq %%rax, 8(%[s])\n\t"
	                 "leaq 2f(%%rip), %%rcx\n\t"
	                 "subq %%rax, %%rcx\n\t"
	                 "movq %%rcx, 16(%[s])\n\t"
	                 "leaq 4f(%%rip), %%rax\n\t"
	                 "movq %%rax, 24(%[s])\n\t"
	                 "movl $0, (%[s])\n\t"
	                 "movq %[s], (%[cs])\n"
	                 "1:\n\t"
	                 "cmpl $0, (%[stop])\n\t"
	                 "je 1b\n"
	                 "2:\n\t"
	                 "movl $0, %[aborted]\n\t"
	                 "jmp 5f\n\t"
	                 ".long 0x53053053\n"
	                 "4:\n\t"
	                 "movl $1, %[aborted]\n"
	                 "5:\n"
	                 : [aborted] "=&r"(was_aborted)
	                 : [s] "r"(s), [cs] "r"(cs), [stop] "r"(stop)
	                 : "rax", "rcx", "memory", "cc");
	return was_aborted;
}

static struct sequence sequence;
static volatile int stop, signals, cs_seen;

static void
on_signal(int sig)
{
	signals++;
	cs_seen |= area.cs != 0;
}

static void
start_timer(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct itimerval it = {{0, 0}, {0, 20000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void
a_signal_abandons_it(void)
{
	reg();
	start_timer();
	while (!signals) /* others' turns abandon it too */
		CHECK_EQ(spin_in_sequence(&stop, &area.cs, &sequence), 1);
	CHECK_EQ(cs_seen, 0);
	CHECK_EQ(area.cs, 0);
}

static void *
spin_beside(void *arg)
{
	while (!stop)
		;
	return NULL;
}

static void
anothers_turn_abandons_it(void)
{
	pthread_t t;

	pin(0);
	reg();
	pthread_create(&t, NULL, spin_beside, NULL);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(spin_in_sequence(&stop, &area.cs, &sequence), 1);
	stop = 1;
	pthread_join(t, NULL);
	CHECK_EQ(spin_in_sequence(&stop, &area.cs, &sequence), 0);
}

static void
outside_nothing_happens_but_the_pointer_goes(void)
{
	pthread_t t;

	pin(0);
	reg();
	sequence = (struct sequence){.start = (uintptr_t)on_signal, .length = 1};
	sequence.abort = (uintptr_t) & (uint32_t[]){SIG, 0}[1];
	area.cs = (uintptr_t)&sequence;
	pthread_create(&t, NULL, spin_beside, NULL);
	while (*(volatile uint64_t *)&area.cs)
		;
	stop = 1;
	pthread_join(t, NULL);
}

/* The thread says something wrong of its sequence: it gets SIGSEGV. */
static int
status_with(void (*spoil)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		reg();
		start_timer();
		spoil();
		while (!signals)
			;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static uint32_t code[4] = {SIG, 0, SIG + 1, 0};

static void
spoil_nothing(void)
{
	sequence = (struct sequence){
	    .start = (uintptr_t)code, .length = 1, .abort = (uintptr_t)&code[1]};
	area.cs = (uintptr_t)&sequence;
}

static void
spoil_pointer(void)
{
	area.cs = 16;
}

static void
spoil_pointer_to_kernel(void)
{
	area.cs = 0xffffffff80000000;
}

static void
spoil_version(void)
{
	spoil_nothing();
	sequence.version = 1;
}

static void
spoil_signature(void)
{
	spoil_nothing();
	sequence.abort = (uintptr_t)&code[3];
}

static void
spoil_start(void)
{
	spoil_nothing();
	sequence.start = 0xffffffff80000000;
}

static void
spoil_length(void)
{
	spoil_nothing();
	sequence.length = -1ul;
}

static void
spoil_abort_inside(void)
{
	spoil_nothing();
	sequence.length = 64;
}

/* proves: rseq */
static void
wrong_sequences_kill(void)
{
	CHECK_EQ(status_with(spoil_nothing), -1);
	CHECK_EQ(status_with(spoil_pointer), SIGSEGV);
	CHECK_EQ(status_with(spoil_pointer_to_kernel), SIGSEGV);
	CHECK_EQ(status_with(spoil_version), SIGSEGV);
	CHECK_EQ(status_with(spoil_signature), SIGSEGV);
	CHECK_EQ(status_with(spoil_start), SIGSEGV);
	CHECK_EQ(status_with(spoil_length), SIGSEGV);
	CHECK_EQ(status_with(spoil_abort_inside), SIGSEGV);
}

/* What it is for: counters for each CPU, without atomic operations. */
enum { THREADS = 6, ROUNDS = 200000, CPUS = 256 };

static struct {
	volatile uint64_t n;
} __attribute__((aligned(64))) counters[CPUS];

/* counters[cpu].n++ if the thread is and stays on `cpu`. */
static int __attribute__((noinline))
add_one(uint32_t cpu, volatile uint64_t *counter, struct rseq_area *a)
{
	int was_aborted;

	__asm__ volatile(".pushsection .data.rel.rseq, \"aw\"\n\t"
	                 ".balign 32\n"
	                 "3:\n\t"
	                 ".long 0, 0\n\t"
	                 ".quad 1f, 2f - 1f, 4f\n\t"
	                 ".popsection\n\t"
	                 "leaq 3b(%%rip), %%rax\n\t"
	                 "movq %%rax, 8(%[a])\n"
	                 "1:\n\t"
	                 "cmpl %[cpu], 4(%[a])\n\t"
	                 "jne 4f\n\t"
	                 "movq (%[n]), %%rax\n\t"
	                 "incq %%rax\n\t"
	                 "movq %%rax, (%[n])\n"
	                 "2:\n\t"
	                 "movl $0, %[aborted]\n\t"
	                 "jmp 5f\n\t"
	                 ".long 0x53053053\n"
	                 "4:\n\t"
	                 "movl $1, %[aborted]\n"
	                 "5:\n"
	                 : [aborted] "=&r"(was_aborted)
	                 : [a] "r"(a), [cpu] "r"(cpu), [n] "r"(counter)
	                 : "rax", "memory", "cc");
	return was_aborted;
}

static void *
count(void *arg)
{
	reg();
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t cpu;

		do
			cpu = *(volatile uint32_t *)&area.cpu_id_start;
		while (add_one(cpu, &counters[cpu].n, &area));
		if (i % 1024 == 0)
			sched_yield();
	}
	return NULL;
}

static void
counters_of_cpus_lose_nothing(void)
{
	pthread_t t[THREADS];
	uint64_t sum = 0;

	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < CPUS; i++)
		sum += counters[i].n;
	CHECK_EQ(sum, (long)THREADS * ROUNDS);
}

static void
memory_that_is_gone_kills(void)
{
	struct rseq_area *a =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid = fork();

	if (!pid) {
		CHECK_EQ(rseq(a, SIZE, 0, SIG), 0);
		munmap(a, 4096);
		start_timer();
		while (!signals)
			;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- membarrier ---- */

enum {
	GLOBAL = 1,
	GLOBAL_EXPEDITED = 2,
	REGISTER_GLOBAL = 4,
	PRIVATE = 8,
	REGISTER_PRIVATE = 16,
	PRIVATE_CORE = 32,
	REGISTER_CORE = 64,
	PRIVATE_RSEQ = 128,
	REGISTER_RSEQ = 256,
	GET_REGISTRATIONS = 512,
};

static long
membarrier(int cmd, unsigned flags, int cpu)
{
	return syscall(SYS_membarrier, cmd, flags, cpu);
}

/* proves: membarrier */
static void
membarrier_wants_registration(void)
{
	long all = membarrier(0, 0, 0);

	CHECK_EQ(all & 511, 511);
	CHECK_EQ(membarrier(GET_REGISTRATIONS, 0, 0), 0);
	CHECK_EQ(membarrier(GLOBAL, 0, 0), 0);
	CHECK_EQ(membarrier(GLOBAL_EXPEDITED, 0, 0), 0);
	CHECK_ERR(membarrier(PRIVATE, 0, 0), EPERM);
	CHECK_ERR(membarrier(PRIVATE_CORE, 0, 0), EPERM);
	CHECK_ERR(membarrier(PRIVATE_RSEQ, 0, 0), EPERM);
	CHECK_ERR(membarrier(3, 0, 0), EINVAL);
	CHECK_ERR(membarrier(1024, 0, 0), EINVAL);
	CHECK_ERR(membarrier(GLOBAL, 1, 0), EINVAL);
	CHECK_ERR(membarrier(PRIVATE, 1, 0), EINVAL);
	CHECK_ERR(membarrier(PRIVATE_RSEQ, 2, 0), EINVAL);
	CHECK_EQ(membarrier(REGISTER_CORE, 0, 0), 0);
	CHECK_EQ(membarrier(GET_REGISTRATIONS, 0, 0), REGISTER_CORE | REGISTER_PRIVATE);
	CHECK_EQ(membarrier(PRIVATE_CORE, 0, 0), 0);
	CHECK_ERR(membarrier(PRIVATE, 0, 0), EPERM);
	CHECK_EQ(membarrier(REGISTER_PRIVATE, 0, 0), 0);
	CHECK_EQ(membarrier(PRIVATE, 0, 0), 0);
	CHECK_EQ(membarrier(REGISTER_GLOBAL, 0, 0), 0);
	CHECK_EQ(membarrier(REGISTER_RSEQ, 0, 0), 0);
	CHECK_EQ(membarrier(PRIVATE_RSEQ, 0, 0), 0);
	CHECK_EQ(membarrier(PRIVATE_RSEQ, 1, 0), 0);
	CHECK_EQ(membarrier(PRIVATE_RSEQ, 1, 100000), 0);
	CHECK_EQ(membarrier(GET_REGISTRATIONS, 0, 0),
	    REGISTER_CORE | REGISTER_PRIVATE | REGISTER_GLOBAL | REGISTER_RSEQ);
}

static atomic_int num_abandoned;

static void *
spin_in_many(void *arg)
{
	static struct sequence mine;

	pin((int)(long)arg);
	reg();
	while (!stop)
		num_abandoned += spin_in_sequence(&stop, &area.cs, &mine);
	return NULL;
}

static void
membarrier_abandons_sequences(void)
{
	long cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pthread_t t;

	CHECK_EQ(membarrier(REGISTER_RSEQ, 0, 0), 0);
	pthread_create(&t, NULL, spin_in_many, (void *)cpu);
	for (int i = 1; i <= 20; i++) {
		CHECK_EQ(membarrier(PRIVATE_RSEQ, i % 2, (int)cpu), 0);
		while (num_abandoned < i) {
			sched_yield();
			membarrier(PRIVATE_RSEQ, 0, 0);
		}
	}
	stop = 1;
	pthread_join(t, NULL);
}

static const struct test tests[] = {
    TEST(registers_once),
    TEST(cpu_id_follows_the_thread),
    TEST(a_child_process_has_it_and_a_thread_has_not),
    TEST(a_signal_abandons_it),
    TEST(anothers_turn_abandons_it),
    TEST(outside_nothing_happens_but_the_pointer_goes),
    TEST(wrong_sequences_kill),
    TEST(counters_of_cpus_lose_nothing),
    TEST(memory_that_is_gone_kills),
    TEST(membarrier_wants_registration),
    TEST(membarrier_abandons_sequences),
};

RUN_TESTS(tests)
