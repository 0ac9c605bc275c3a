/*
 * Restartable sequences: see rseq.h. The structures are Linux's (uapi/linux/rseq.h), up to
 * mm_cid.
 *
 * A sequence may hold no system call. So who was switched out in one needs no look at
 * where it was, only at the CPU it comes back to; that makes a blocking call as cheap with
 * rseq as without.
 */
#include "kernel/proc/rseq.h"

#include "kernel/proc/signal.h"
#include "kernel/x86/context.h"
#include "kernel/x86/trap.h"
#include "mm/aspace.h"
#include "mm/usercopy.h"
#include "syscalls.h"

struct rseq {
	uint32_t cpu_id_start; /* a CPU's number also when not registered */
	uint32_t cpu_id;
	uint64_t cs; /* struct rseq_cs, or 0 */
	uint32_t flags;
	uint32_t node_id;
	uint32_t mm_cid;
};

static_assert(offsetof(struct rseq, mm_cid) + sizeof(uint32_t) <= 32,
    "whatever is registered has all members");

struct rseq_cs {
	uint32_t version, flags;
	uint64_t start_ip, length, abort_ip;
};

enum {
	RSEQ_ORIG_SIZE = 32, /* all that there was at first */
	RSEQ_ALIGN = 32,
	RSEQ_FLAG_UNREGISTER = 1,
};
#define RSEQ_UNINITIALIZED UINT32_MAX

static struct rseq USER *
user_rseq(const struct thread *t)
{
	return t->rseq.area;
}

static void
mark(struct thread *t)
{
	__atomic_fetch_or(&t->flags, THREAD_RSEQ_DUE, __ATOMIC_RELAXED);
}

void
rseq_switch_registered(struct thread *prev, struct thread *next)
{
	if (prev->rseq.area && thread_frame(prev)->vector != TRAP_SYSCALL)
		mark(prev);
	if (next->rseq.area && next->rseq.cpu != cpu_id())
		mark(next);
}

void
rseq_restart(void)
{
	if (current_thread()->rseq.area)
		mark(current_thread());
}

/* What the struct says of the CPU. A number for each thread of the process that runs (mm_cid)
 * is its CPU's. */
static enum err
write_ids(struct rseq USER *area, uint32_t cpu, uint32_t node)
{
	uint32_t ids[2] = {cpu == RSEQ_UNINITIALIZED ? 0 : cpu, cpu},
	         more[2] = {node, ids[0]};

	if (copy_to_user(&area->cpu_id_start, ids, sizeof(ids)) != OK)
		return ERR_FAULT;
	return copy_to_user(&area->node_id, more, sizeof(more));
}

static enum err
update_ids(struct thread *t)
{
	uint32_t cpu, node;

	/* Set before it is written: whoever moves the thread later marks it again. */
	irq_disable_nested();
	cpu = cpu_id();
	node = this_cpu()->node;
	if (t->rseq.cpu == cpu) {
		irq_enable_nested();
		return OK;
	}
	t->rseq.cpu = cpu;
	irq_enable_nested();
	return write_ids(user_rseq(t), cpu, node);
}

/* The sequence that the thread says it is in: OK, *at 0: none. */
static enum err
read_sequence(const struct thread *t, struct rseq_cs *s, uint64_t *at)
{
	uint32_t signature;

	if (get_user(*at, &user_rseq(t)->cs) != OK)
		return ERR_FAULT;
	if (!*at)
		return OK;
	if (copy_from_user(s, (const void USER *)*at, sizeof(*s)) != OK)
		return ERR_FAULT;
	if (s->version || s->start_ip >= USER_SPACE_END ||
	    s->length >= USER_SPACE_END - s->start_ip || s->abort_ip >= USER_SPACE_END ||
	    s->abort_ip - s->start_ip < s->length)
		return ERR_INVAL;
	if (get_user(signature, (const uint32_t USER *)(s->abort_ip - 4)) != OK)
		return ERR_FAULT;
	return signature == t->rseq.signature ? OK : ERR_INVAL;
}

/* Out of the sequence, if the frame is in one. Its flags have lost their meaning: none may
 * be set. */
static enum err
leave_sequence(const struct thread *t, struct trap_frame *frame)
{
	static const uint64_t none;
	struct rseq_cs s;
	uint64_t at;
	uint32_t flags;
	bool is_inside;
	enum err err = read_sequence(t, &s, &at);

	if (err != OK || !at)
		return err;
	is_inside = frame->rip - s.start_ip < s.length;
	if (is_inside) {
		if (get_user(flags, &user_rseq(t)->flags) != OK)
			return ERR_FAULT;
		if (flags || s.flags)
			return ERR_INVAL;
	}
	if (put_user(none, &user_rseq(t)->cs) != OK)
		return ERR_FAULT;
	if (is_inside)
		frame->rip = s.abort_ip;
	return OK;
}

void
rseq_return(struct trap_frame *frame)
{
	struct thread *t = current_thread();
	enum err err;

	__atomic_fetch_and(&t->flags, ~(uint32_t)THREAD_RSEQ_DUE, __ATOMIC_RELAXED);
	if (!t->rseq.area)
		return;
	err = update_ids(t);
	if (err == OK && frame->vector != TRAP_SYSCALL)
		err = leave_sequence(t, frame);
	if (err != OK)
		signal_fault(SIGSEGV, SI_KERNEL, 0);
}

bool
rseq_interrupt(struct trap_frame *frame)
{
	const struct thread *t = current_thread();

	return !t->rseq.area || frame->vector == TRAP_SYSCALL ||
	       leave_sequence(t, frame) == OK;
}

/* ---- The call ---- */

static long
unregister(struct thread *t, struct rseq USER *area, uint32_t len, uint32_t signature)
{
	if (!area || area != user_rseq(t) || len != t->rseq.len)
		return ERR_INVAL;
	if (signature != t->rseq.signature)
		return ERR_PERM;
	if (write_ids(area, RSEQ_UNINITIALIZED, 0) != OK)
		return ERR_FAULT;
	t->rseq = (struct thread_rseq){0};
	return OK;
}

static bool
is_good_place(const struct rseq USER *area, uint32_t len)
{
	return (uintptr_t)area % RSEQ_ALIGN == 0 && len >= RSEQ_ORIG_SIZE;
}

long
sys_rseq(void USER *uarea, uint32_t len, int flags, uint32_t signature)
{
	struct thread *t = current_thread();
	struct rseq USER *area = uarea;
	static const uint64_t none;

	if (flags == RSEQ_FLAG_UNREGISTER)
		return unregister(t, area, len, signature);
	if (flags)
		return ERR_INVAL;
	if (t->rseq.area) {
		if (area != user_rseq(t) || len != t->rseq.len)
			return ERR_INVAL;
		return signature == t->rseq.signature ? ERR_BUSY : ERR_PERM;
	}
	if (!is_good_place(area, len))
		return ERR_INVAL;
	if (!user_range_ok(area, len) || put_user(none, &area->cs) != OK)
		return ERR_FAULT;
	t->rseq = (struct thread_rseq){area, len, signature, RSEQ_UNINITIALIZED};
	mark(t);
	return OK;
}
