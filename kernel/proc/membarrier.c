/*
 * membarrier(2): the caller orders its memory accesses with those of other threads, which
 * then need no barrier of their own. An interrupt orders all that its CPU does, and its
 * return makes the CPU fetch code anew; so every command sends interrupts: to the CPUs that
 * have the process's memory loaded, or to all. A thread that does not run has passed the
 * scheduler, which is as good.
 */
#include "kernel/proc/process.h"
#include "kernel/proc/rseq.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/ipi.h"
#include "mm/aspace.h"
#include "syscalls.h"

/* Linux's numbers. A registration's bit in aspace->membarrier is its command. */
enum {
	QUERY = 0,
	GLOBAL = 1 << 0,
	GLOBAL_EXPEDITED = 1 << 1,
	REGISTER_GLOBAL_EXPEDITED = 1 << 2,
	PRIVATE_EXPEDITED = 1 << 3,
	REGISTER_PRIVATE_EXPEDITED = 1 << 4,
	PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5,
	REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6,
	PRIVATE_EXPEDITED_RSEQ = 1 << 7,
	REGISTER_PRIVATE_EXPEDITED_RSEQ = 1 << 8,
	GET_REGISTRATIONS = 1 << 9,
	ALL = (1 << 10) - 1,

	FLAG_CPU = 1,

	/* Who registers for a special kind is said to have registered for the plain one,
	 * which it may not use for all that. */
	PLAIN_TOLD = 1 << 16,
};

struct barrier {
	const struct aspace *as; /* whose threads are meant */
	bool restarts_rseq;
};

static void
barrier_here(void *arg)
{
	const struct barrier *b = arg;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (b->restarts_rseq && current_thread()->aspace == b->as)
		rseq_restart();
	(void)cpuid(0, 0); /* serialises: for the caller, who returns by SYSRET */
}

static void
send_barrier(const struct cpumask *where, bool restarts_rseq)
{
	struct barrier b = {current_thread()->aspace, restarts_rseq};

	ipi_call(where, barrier_here, &b);
}

/* Of the process's threads on all CPUs, or on the one given. */
static long
private_barrier(uint32_t registration, bool restarts_rseq, int cpu)
{
	struct aspace *as = current_thread()->aspace;
	struct cpumask one = {{0}}, loaded;

	if (!(__atomic_load_n(&as->membarrier, __ATOMIC_RELAXED) & registration))
		return ERR_PERM;
	if (cpu >= 0 &&
	    ((unsigned)cpu >= num_cpus || !cpus[cpu] || !cpus[cpu]->is_online))
		return 0;
	if (cpu >= 0)
		cpumask_set(&one, (unsigned)cpu);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	loaded = as->cpus;
	send_barrier(cpu >= 0 ? &one : &loaded, restarts_rseq);
	return 0;
}

static long
register_for(uint32_t bits)
{
	__atomic_fetch_or(&current_thread()->aspace->membarrier, bits, __ATOMIC_RELAXED);
	return 0;
}

static long
registrations(void)
{
	uint32_t bits =
	    __atomic_load_n(&current_thread()->aspace->membarrier, __ATOMIC_RELAXED);

	return bits & PLAIN_TOLD ? (bits & ALL) | REGISTER_PRIVATE_EXPEDITED : bits;
}

long
sys_membarrier(int cmd, unsigned flags, int cpu)
{
	static const struct cpumask everywhere = CPUMASK_ALL;

	if (flags && !(cmd == PRIVATE_EXPEDITED_RSEQ && flags == FLAG_CPU))
		return ERR_INVAL;
	switch (cmd) {
	case QUERY: return ALL;
	case GLOBAL:
	case GLOBAL_EXPEDITED: send_barrier(&everywhere, false); return 0;
	case PRIVATE_EXPEDITED:
		return private_barrier(REGISTER_PRIVATE_EXPEDITED, false, -1);
	case PRIVATE_EXPEDITED_SYNC_CORE:
		return private_barrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, false, -1);
	case PRIVATE_EXPEDITED_RSEQ:
		return private_barrier(
		    REGISTER_PRIVATE_EXPEDITED_RSEQ, true, flags ? cpu : -1);
	case REGISTER_GLOBAL_EXPEDITED:
	case REGISTER_PRIVATE_EXPEDITED: return register_for((uint32_t)cmd);
	case REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
	case REGISTER_PRIVATE_EXPEDITED_RSEQ:
		return register_for((uint32_t)cmd | PLAIN_TOLD);
	case GET_REGISTRATIONS: return registrations();
	default: return ERR_INVAL;
	}
}
