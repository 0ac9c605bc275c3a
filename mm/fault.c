/*
 * Page faults: from the trap's address to the area that must provide the page, and from
 * what comes of it to a signal, if it must be. SDM vol. 3, 4.7 has the error code.
 */
#define LOG_PREFIX "vm: "

#include "kernel/log.h"
#include "kernel/proc/process.h"
#include "kernel/x86/traps.h"
#include "kernel/x86/trap.h"
#include "mm/area.h"
#include "mm/fail_alloc.h"
#include "mm/huge.h"
#include "mm/oom.h"
#include "mm/page.h"

static PER_CPU(uint64_t, num_faults);

enum fault_error {
	FAULT_PRESENT = 1 << 0,
	FAULT_WRITE = 1 << 1,
	FAULT_USER = 1 << 2,
	FAULT_RESERVED = 1 << 3,
	FAULT_EXEC = 1 << 4,
};

static bool
may_access(const struct area *a, unsigned access)
{
	/* What may be written or executed may be read: x86 entries know no other way. */
	return access == AREA_READ ? a->flags & AREA_ACCESS : a->flags & access;
}

/* The stack area that may grow down to `va`, or NULL. */
static struct area *
stack_above(struct aspace *as, vaddr_t va)
{
	struct area *a = area_find_from(as, va);

	return a && a->flags & AREA_STACK && a->start > va ? a : NULL;
}

/* Extends a stack down to `va` within its limit, keeping the gap to what is below. */
static enum err
grow_stack(struct aspace *as, vaddr_t va)
{
	struct area *a, *below;
	enum err err = ERR_FAULT;

	rwsem_lock(&as->lock);
	a = stack_above(as, va);
	if (area_find(as, va)) {
		err = OK; /* another thread has done it */
	} else if (a && a->end - va <= current_limit(RLIMIT_STACK) &&
	           va >= __atomic_load_n(&mmap_min_addr, __ATOMIC_RELAXED) &&
	           area_may_grow(as, (a->start - va) >> PAGE_SHIFT, a->flags) &&
	           (!(a->flags & AREA_LOCKED) ||
	               area_may_lock(as, (a->start - va) >> PAGE_SHIFT))) {
		below = area_prev(a);
		if (!below || below->end + STACK_GUARD_GAP <= va ||
		    below->flags & AREA_STACK || !(below->flags & AREA_ACCESS)) {
			area_set_start(a, va);
			err = OK;
		}
	}
	rwsem_unlock(&as->lock);
	return err;
}

/* One try under the shared lock. ERR_FAULT: no area. */
static enum err
fault_in(struct aspace *as, vaddr_t va, unsigned access)
{
	struct area *a;
	enum err err = ERR_FAULT;

	rwsem_lock_shared(&as->lock);
	a = area_find(as, va);
	if (a) {
		err = ERR_ACCES;
		if (may_access(a, access))
			err = a->ops->fault(a, va, access);
	}
	rwsem_unlock_shared(&as->lock);
	return err;
}

enum err
aspace_fault(struct aspace *as, vaddr_t va, unsigned access)
{
	enum err err;

	va = ALIGN_DOWN(va, PAGE_SIZE);
	err = fault_in(as, va, access);
	if (likely(err == OK))
		return OK;
	while (err == ERR_AGAIN) {
		huge_split_unlocked(as, va);
		err = fault_in(as, va, access);
	}
	if (err != ERR_FAULT)
		return err;
	err = grow_stack(as, va);
	return err == OK ? fault_in(as, va, access) : err;
}

/* The current program's access failed with `err`. */
static void
send_fault_signal(enum err err, vaddr_t addr)
{
	struct process *p = current_process();

	switch (err) {
	case ERR_FAULT: signal_fault(SIGSEGV, SEGV_MAPERR, addr); break;
	case ERR_ACCES: signal_fault(SIGSEGV, SEGV_ACCERR, addr); break;
	case ERR_NOMEM: /* by mm/oom.c already, as a rule */
		if (!p->is_exiting)
			log_err("Out of memory: Killed process %u (%s), for there is no "
			        "other",
			    p->pid, current_thread()->name);
		(void)signal_send_process(p, SIGKILL, NULL); /* it exists: we are in it */
		break;
	default: signal_fault(SIGBUS, BUS_ADRERR, addr); break;
	}
}

/* The same fault again once there is memory, for which another process may have to end. */
static enum err
fault_after_making_room(struct aspace *as, vaddr_t addr, unsigned access)
{
	enum {
		IN_VAIN_MAX = 8
	}; /* though there are pages: then of no use to this fault */
	enum oom_answer answer;
	enum err err = ERR_NOMEM;

	for (unsigned in_vain = 0; err == ERR_NOMEM && in_vain < IN_VAIN_MAX;) {
		answer = oom_make_room();
		if (answer == OOM_GIVE_UP)
			break;
		err = aspace_fault(as, addr, access);
		in_vain += answer == OOM_THERE_IS;
	}
	return err;
}

/* Whether the kernel may fault on user memory at this instruction at all. */
static bool
is_user_access(const struct trap_frame *f)
{
	return trap_is_user(f) || ex_table_find(f->rip);
}

uint64_t
page_faults_ever(void)
{
	uint64_t n = 0;
	const struct cpu *c;

	for_each_online_cpu(c)
		n += *per_cpu_ptr(&num_faults, c);
	return n;
}

bool
page_fault(struct trap_frame *f, vaddr_t addr)
{
	struct thread *t = current_thread();
	uint32_t allocs_to_fail = fail_alloc_left();
	unsigned access = AREA_READ;
	enum err err = ERR_FAULT;

	if (f->error & FAULT_RESERVED || !is_user_access(f))
		return false;
	if (f->error & FAULT_WRITE)
		access = AREA_WRITE;
	else if (f->error & FAULT_EXEC)
		access = AREA_EXEC;
	if (addr < USER_SPACE_END && t->aspace) {
		err = aspace_fault(t->aspace, addr, access);
		this_cpu_add(&num_faults, 1);
		if (t->process)
			t->process->min_faults++; /* a lost count does not matter */
	}
	if (err == OK)
		return true;
	/* Memory was refused for a test: the program tries again. */
	if (allocs_to_fail && !fail_alloc_left())
		return trap_is_user(f);
	if (err == ERR_NOMEM)
		err = fault_after_making_room(t->aspace, addr, access);
	if (err == OK)
		return true;
	if (!trap_is_user(f))
		return false;
	send_fault_signal(err, addr);
	return true;
}
