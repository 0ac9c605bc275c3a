/*
 * Backtraces; see backtrace.h. Each C function starts by pushing RBP and pointing RBP at
 * it, so [rbp] is the caller's frame and [rbp + 8] the return address. A return address
 * in the entry stubs says that a trap_frame lies right above, and the chain goes on with
 * its registers.
 */
#include "kernel/x86/backtrace.h"

#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/symbols.h"
#include "kernel/x86/ex_table.h"
#include "kernel/x86/trap.h"
#include "lib/fmt.h"

enum { MAX_LINES = 40, MAX_REPEATS = 1000 };

extern const uint8_t trap_return[], trap_return_ist[], syscall_return[]; /* *.asm */

/* One step of the walk. */
struct step {
	uint64_t rbp;
	uint64_t address;              /* return address, or where the trap came in */
	const struct trap_frame *trap; /* the address is a trap's, or NULL */
};

static bool
is_kernel_pointer(uint64_t p)
{
	return p >= 0xffff800000000000ull && IS_ALIGNED(p, 8);
}

/* The trap whose frame lies at `at`: where it hit the kernel; false: user mode or damage.
 */
static bool
step_into_trap(struct step *s, uint64_t at)
{
	const struct trap_frame *f = (const struct trap_frame *)at;
	uint64_t cs;

	if (!kernel_peek(&f->cs, &cs) || cs & 3 || !kernel_peek(&f->rip, &s->address) ||
	    !kernel_peek(&f->rbp, &s->rbp))
		return false;
	s->trap = f;
	return true;
}

static bool
step_out(struct step *s)
{
	uint64_t rbp = s->rbp, next;

	s->trap = NULL;
	if (!is_kernel_pointer(rbp) || !kernel_peek((const uint64_t *)rbp, &next) ||
	    !kernel_peek((const uint64_t *)rbp + 1, &s->address) || !s->address)
		return false;
	if (s->address == (uint64_t)trap_return ||
	    s->address == (uint64_t)trap_return_ist)
		return step_into_trap(s, rbp + 16);
	if (s->address == (uint64_t)syscall_return)
		return false;
	if (next && next <= rbp)
		return false; /* stacks grow down: callers lie above */
	s->rbp = next;
	return true;
}

unsigned
backtrace_collect(uint64_t rbp, uint64_t *addresses, unsigned max)
{
	struct step s = {.rbp = rbp};
	unsigned n = 0;

	while (n < max && step_out(&s))
		addresses[n++] = s.address;
	return n;
}

/* Where its frame pointer lies: the chain begins there. */
static uint64_t
sleeper_frame(const struct thread *t)
{
	enum { SAVED_RBP = 5 }; /* words above kernel_sp: switch.asm */

	return t->kernel_sp + SAVED_RBP * 8;
}

unsigned
backtrace_collect_sleeper(const struct thread *t, uint64_t *addresses, unsigned max)
{
	return backtrace_collect(sleeper_frame(t), addresses, max);
}

static void
print_chain(uint64_t rbp)
{
	struct step s = {.rbp = rbp};
	uint64_t last = 0;
	unsigned repeats = 0;
	char text[96];

	for (unsigned lines = 0; lines < MAX_LINES && step_out(&s);) {
		if (s.address == last && ++repeats < MAX_REPEATS)
			continue;
		if (repeats)
			log_printf(LOG_EMERG, "  ... %u times", repeats);
		if (repeats >= MAX_REPEATS)
			break;
		last = s.address;
		repeats = 0;
		lines++;
		/* A call may be the last instruction of its function: look up the call
		 * itself. */
		symbol_format(s.trap ? s.address : s.address - 1, text, sizeof(text));
		log_printf(LOG_EMERG, "  [<%016lx>] %s%s", s.address, text,
		    s.trap ? " (trap)" : "");
	}
}

void
backtrace_here(void)
{
	print_chain((uint64_t)__builtin_frame_address(0));
}

void
backtrace_frame(const struct trap_frame *f)
{
	char text[96];
	uint64_t caller;

	if (trap_is_user(f)) {
		log_printf(LOG_EMERG, "  [<%016lx>] user mode", f->rip);
		return;
	}
	symbol_format(f->rip, text, sizeof(text));
	log_printf(LOG_EMERG, "  [<%016lx>] %s", f->rip, text);
	/* A jump to where no code is: the call that did it has left its return address.
	 */
	if (!symbol_is_code(f->rip) && kernel_peek((const uint64_t *)f->rsp, &caller)) {
		symbol_format(caller - 1, text, sizeof(text));
		log_printf(LOG_EMERG, "  [<%016lx>] %s", caller, text);
	}
	print_chain(f->rbp);
}
