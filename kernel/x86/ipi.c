/*
 * Function calls on other CPUs. Calls are synchronous, so a CPU has at most one under
 * way: its `struct ipi_request`, which the sender keeps in its per-CPU area. A target has
 * one bit for each sender that wants something of it. The sender sets its bit and, if the
 * word was empty, sends the interrupt; the target takes the whole word and serves all
 * senders in it: that is the batching, without queue, lock or allocation.
 */
#include "kernel/x86/ipi.h"

#include "kernel/irq/vectors.h"
#include "kernel/panic.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/clock.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/nmi.h"
#include "kernel/x86/percpu_ops.h"
#include "lib/bits.h"

enum {
	STOP_LIMIT_NS = 100000000,
	SENDER_WORDS = MAX_CPUS / 64,
};

struct ipi_request {
	void (*fn)(void *);
	void *arg;
	uint32_t num_pending; /* [a] targets that have not finished */
	bool is_busy;         /* [c] */
};

static PER_CPU(struct ipi_request, request);
static PER_CPU(struct cpumask, senders); /* [a] whose requests wait for this CPU */

void
ipi_reschedule(struct cpu *cpu)
{
	apic_send(cpu->apic_id, ICR_FIXED | ICR_ASSERT | VECTOR_RESCHEDULE);
}

void
ipi_send_nmi(struct cpu *cpu)
{
	apic_send(cpu->apic_id, ICR_NMI | ICR_ASSERT);
}

static void
serve(unsigned sender)
{
	struct ipi_request *r = per_cpu_ptr(&request, cpus[sender]);

	r->fn(r->arg);
	/* The last access: the sender may go on and reuse the request. */
	__atomic_fetch_sub(&r->num_pending, 1, __ATOMIC_RELEASE);
}

void
ipi_call_interrupt(void)
{
	struct cpumask *mine = this_cpu_ptr(&senders);

	for (unsigned w = 0; w < SENDER_WORDS; w++) {
		uint64_t bits =
		    __atomic_load_n(&mine->bits[w], __ATOMIC_RELAXED)
		        ? __atomic_exchange_n(&mine->bits[w], 0, __ATOMIC_ACQ_REL)
		        : 0;

		for (; bits; bits &= bits - 1)
			serve(w * 64 + bit_first(bits));
	}
}

/* Whether `c` is to be interrupted for the request that this CPU has ready. */
static bool
post(struct cpu *c, unsigned sender)
{
	uint64_t *word = &per_cpu_ptr(&senders, c)->bits[sender / 64];

	/* Release: the target that sees the bit sees the request. */
	return __atomic_fetch_or(word, 1ull << sender % 64, __ATOMIC_ACQ_REL) == 0;
}

static unsigned
count_targets(const struct cpumask *mask, struct cpumask *targets)
{
	struct cpu *c;
	unsigned n = 0;

	*targets = (struct cpumask){{0}};
	for_each_online_cpu(c)
		if (c != this_cpu() && cpumask_test(mask, c->id)) {
			cpumask_set(targets, c->id);
			n++;
		}
	return n;
}

static void
call_others(const struct cpumask *mask, void (*fn)(void *), void *arg)
{
	struct ipi_request *r = this_cpu_ptr(&request);
	struct cpumask targets;
	unsigned n = count_targets(mask, &targets);
	struct cpu *c;

	if (!n)
		return;
	ASSERT(!r->is_busy && !this_cpu()->irq_nesting);
	*r =
	    (struct ipi_request){.fn = fn, .arg = arg, .num_pending = n, .is_busy = true};
	for_each_online_cpu(c)
		if (cpumask_test(&targets, c->id) && post(c, cpu_id()))
			apic_send(c->apic_id, ICR_FIXED | ICR_ASSERT | VECTOR_CALL);
	while (__atomic_load_n(&r->num_pending, __ATOMIC_ACQUIRE)) {
		irq_disable_nested();
		ipi_call_interrupt(); /* two CPUs with interrupts off may be calling each
		                         other */
		irq_enable_nested();
		cpu_relax();
	}
	r->is_busy = false;
}

void
ipi_call(const struct cpumask *mask, void (*fn)(void *), void *arg)
{
	preempt_disable();
	call_others(mask, fn, arg);
	if (cpumask_test(mask, cpu_id())) {
		irq_disable_nested();
		fn(arg);
		irq_enable_nested();
	}
	preempt_enable();
}

unsigned
ipi_stop_others(void)
{
	nsec_t limit = clock_now_ns() + STOP_LIMIT_NS;
	unsigned num_running = 0;
	struct cpu *c;

	for_each_online_cpu(c)
		if (c != this_cpu())
			nmi_request(c, NMI_STOP);
	/*
	 * The NMI handler takes the request word away: empty means that it is being
	 * obeyed.
	 */
	for_each_online_cpu(c) {
		if (c == this_cpu())
			continue;
		while (__atomic_load_n(&c->nmi_request, __ATOMIC_ACQUIRE) &&
		       clock_now_ns() < limit)
			cpu_relax();
		num_running += __atomic_load_n(&c->nmi_request, __ATOMIC_ACQUIRE) != 0;
	}
	return num_running;
}
