/*
 * The frame a signal handler runs on, and rt_sigreturn, which undoes it: Linux's
 * rt_sigframe of x86-64 to the byte (System V ABI, and the kernel's ucontext.h): return
 * address, ucontext with the registers, siginfo; above them, 64-byte aligned, the FPU and
 * vector state in XSAVE form.
 */
#include "kernel/proc/signal.h"

#include "kernel/proc/async.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/sigframe.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/x86/context.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/usercopy.h"
#include "syscalls.h"

struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, trapno, old_mask, cr2;
	uint64_t fpstate; /* user address, 0: none */
	uint64_t reserved[8];
};

struct ucontext {
	uint64_t flags, link;
	struct stack stack;
	struct sigcontext regs;
	uint64_t mask;
};

struct rt_sigframe {
	uint64_t restorer;
	struct ucontext uc;
	struct user_siginfo info;
};

static_assert(sizeof(struct sigcontext) == 256, "sigcontext layout");
static_assert(sizeof(struct ucontext) == 304, "ucontext layout");
static_assert(sizeof(struct rt_sigframe) == 440, "rt_sigframe layout");

enum { UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4 };
enum { RED_ZONE = 128, USER_CS = 0x33, USER_SS = 0x2b };

/* RFLAGS a handler's context may set: AC OF DF TF SF ZF AF PF CF RF. */
enum { RFLAGS_USER = 0x50dd5, RFLAGS_CLEARED_FOR_HANDLER = 0x10500 /* RF DF TF */ };

static void
sigcontext_save(struct sigcontext *sc, const struct trap_frame *f, uint64_t fault_addr)
{
	*sc = (struct sigcontext){
	    .r8 = f->r8,
	    .r9 = f->r9,
	    .r10 = f->r10,
	    .r11 = f->r11,
	    .r12 = f->r12,
	    .r13 = f->r13,
	    .r14 = f->r14,
	    .r15 = f->r15,
	    .rdi = f->rdi,
	    .rsi = f->rsi,
	    .rbp = f->rbp,
	    .rbx = f->rbx,
	    .rdx = f->rdx,
	    .rax = f->rax,
	    .rcx = f->rcx,
	    .rsp = f->rsp,
	    .rip = f->rip,
	    .rflags = f->rflags,
	    .cs = USER_CS,
	    .ss = USER_SS,
	    .error = f->vector < TRAP_VECTORS ? f->error : 0,
	    .trapno = f->vector < TRAP_VECTORS ? f->vector : 0,
	    .old_mask = current_thread()->sig_blocked,
	    .cr2 = fault_addr,
	};
}

/*
 * Nothing that a program writes here may give it more rights: segments are fixed, flags
 * masked. A `rip` outside user space would fault in the kernel's own return, so it
 * becomes SIGSEGV here.
 */
static bool
sigcontext_restore(struct trap_frame *f, const struct sigcontext *sc)
{
	f->r8 = sc->r8, f->r9 = sc->r9, f->r10 = sc->r10, f->r11 = sc->r11,
	f->r12 = sc->r12;
	f->r13 = sc->r13, f->r14 = sc->r14, f->r15 = sc->r15, f->rdi = sc->rdi;
	f->rsi = sc->rsi, f->rbp = sc->rbp, f->rbx = sc->rbx, f->rdx = sc->rdx;
	f->rax = sc->rax, f->rcx = sc->rcx, f->rsp = sc->rsp;
	f->rflags = (f->rflags & ~(uint64_t)RFLAGS_USER) | (sc->rflags & RFLAGS_USER);
	f->cs = USER_CS;
	f->ss = USER_SS;
	f->error = (uint64_t)-1; /* no system call is to be restarted */
	if (sc->rip >= USER_SPACE_END)
		return false;
	f->rip = sc->rip;
	return true;
}

static bool
is_on_altstack(const struct thread *t, uint64_t sp)
{
	return t->sig_altstack_size && sp > t->sig_altstack_sp &&
	       sp - t->sig_altstack_sp <= t->sig_altstack_size;
}

/* Where frames begin, growing down. */
static uint64_t
sigframe_top(
    const struct thread *t, const struct trap_frame *f, const struct sigaction *action)
{
	if ((action->flags & SA_ONSTACK) && t->sig_altstack_size &&
	    !is_on_altstack(t, f->rsp))
		return t->sig_altstack_sp + t->sig_altstack_size;
	return f->rsp - RED_ZONE;
}

static struct stack
altstack_get(const struct thread *t, uint64_t sp)
{
	return (struct stack){
	    .sp = t->sig_altstack_sp,
	    .flags = !t->sig_altstack_size   ? SS_DISABLE
	             : is_on_altstack(t, sp) ? SS_ONSTACK
	                                     : t->sig_altstack_flags,
	    .size = t->sig_altstack_size,
	};
}

static bool
is_child_info(const struct siginfo *info)
{
	return info->signo == SIGCHLD && info->code > 0 && info->code != SI_KERNEL;
}

/* Of an instruction: the kernel's codes for faults, not a tracer's for its stops. */
static bool
is_fault_info(const struct siginfo *info)
{
	const uint64_t faults = SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGILL) |
	                        SIGMASK(SIGFPE) | SIGMASK(SIGTRAP);

	return info->signo > 0 && info->signo <= NSIG &&
	       (SIGMASK(info->signo) & faults) && info->code > 0 &&
	       info->code < SI_KERNEL;
}

/* Whatever the signal: the kernel's codes for files, unless they are codes of the signal's own. */
bool
siginfo_is_of_file(const struct siginfo *info)
{
	return info->code == SI_SIGIO ||
	       (info->code >= POLL_IN && info->code <= POLL_HUP && !is_child_info(info) &&
	           !is_fault_info(info) &&
	           !(info->signo == SIGSYS && info->code == SYS_SECCOMP));
}

/* Adds the siginfo itself, laid out by the kind of signal. */
void
siginfo_layout(struct user_siginfo *to, const struct siginfo *from)
{
	memset(to, 0, sizeof(*to));
	to->signo = from->signo;
	to->errno_ = from->errno_;
	to->code = from->code;
	if (is_child_info(from)) {
		to->child.pid = from->pid;
		to->child.uid = from->uid;
		to->child.status = from->status;
		to->child.utime = from->utime;
		to->child.stime = from->stime;
	} else if (from->signo == SIGSYS && from->code == SYS_SECCOMP) {
		to->call.addr = from->addr;
		to->call.nr = from->status;
		to->call.arch = (uint32_t)from->value;
	} else if (siginfo_is_of_file(from)) {
		to->poll.band = from->value;
		to->poll.fd = from->status;
	} else if (from->addr || is_fault_info(from)) {
		to->addr = from->addr;
	} else {
		to->rt.pid = from->pid;
		to->rt.uid = from->uid;
		to->rt.value = from->value;
	}
}

enum err
siginfo_to_user(struct user_siginfo USER *to, const struct siginfo *from)
{
	struct user_siginfo u;

	siginfo_layout(&u, from);
	return put_user(u, to);
}

enum err
siginfo_from_user(struct siginfo *to, const struct user_siginfo USER *from)
{
	struct user_siginfo u;
	enum err err = get_user(u, from);

	if (err != OK)
		return err;
	*to = (struct siginfo){.signo = u.signo, .errno_ = u.errno_, .code = u.code};
	if (is_child_info(to)) {
		to->pid = u.child.pid;
		to->uid = u.child.uid;
		to->status = u.child.status;
		to->utime = u.child.utime;
		to->stime = u.child.stime;
	} else if (to->signo == SIGSYS && to->code == SYS_SECCOMP) {
		to->addr = u.call.addr;
		to->status = u.call.nr;
		to->value = u.call.arch;
	} else if (siginfo_is_of_file(to)) {
		to->value = u.poll.band;
		to->status = u.poll.fd;
	} else if (is_fault_info(to)) {
		to->addr = u.addr;
	} else {
		to->pid = u.rt.pid;
		to->uid = u.rt.uid;
		to->value = u.rt.value;
	}
	return OK;
}

bool
sigframe_push(
    struct trap_frame *f, const struct sigaction *action, const struct siginfo *info)
{
	struct thread *t = current_thread();
	struct rt_sigframe frame; /* each byte of it is set below: it has no padding */
	uint64_t top = sigframe_top(t, f, action);
	uint64_t fpu_size = fpu_signal_size();
	uint64_t fpstate = ALIGN_DOWN(top - fpu_size, (uint64_t)64);
	uint64_t at = ALIGN_DOWN(fpstate - sizeof(frame), (uint64_t)16) - 8;

	/* The x86-64 ABI has no return without a restorer; one that overflows its stack
	 * is lost. */
	if (!(action->flags & SA_RESTORER) || at > top)
		return false;
	if (top == t->sig_altstack_sp + t->sig_altstack_size && at < t->sig_altstack_sp)
		return false;
	sigcontext_save(&frame.uc.regs, f, info->addr);
	frame.uc.regs.fpstate = fpstate;
	frame.restorer = action->restorer;
	frame.uc.link = 0;
	frame.uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS |
	                 (fpu_size > FPU_LEGACY_SIZE ? UC_FP_XSTATE : 0);
	frame.uc.stack = altstack_get(t, f->rsp);
	frame.uc.mask =
	    t->flags & THREAD_RESTORE_MASK ? t->sig_saved_mask : t->sig_blocked;
	siginfo_layout(&frame.info, info);
	if (fpu_signal_save((void USER *)fpstate) != OK ||
	    copy_to_user((void USER *)at, &frame, sizeof(frame)) != OK)
		return false;
	if (t->sig_altstack_flags & SS_AUTODISARM)
		t->sig_altstack_size = 0;

	f->rdi = (uint64_t)info->signo;
	f->rsi = at + offsetof(struct rt_sigframe, info);
	f->rdx = at + offsetof(struct rt_sigframe, uc);
	f->rax = 0;
	f->rsp = at;
	f->rip = action->handler;
	f->rflags &= ~(uint64_t)RFLAGS_CLEARED_FOR_HANDLER;
	if (f->rip >=
	    USER_SPACE_END) { /* a fault at the handler's address, as if it had jumped */
		f->rip = 0;
		signal_fault(SIGSEGV, SI_KERNEL, 0);
	}
	return true;
}

static enum err
altstack_set(struct thread *t, const struct stack *ss)
{
	uint32_t mode = (uint32_t)ss->flags & ~SS_AUTODISARM;

	if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
		return ERR_INVAL;
	if (mode == SS_DISABLE) {
		t->sig_altstack_sp = 0;
		t->sig_altstack_size = 0;
		t->sig_altstack_flags = 0;
		return OK;
	}
	if (ss->size < MINSIGSTKSZ)
		return ERR_NOMEM;
	t->sig_altstack_sp = ss->sp;
	t->sig_altstack_size = ss->size;
	t->sig_altstack_flags = (uint32_t)ss->flags & SS_AUTODISARM;
	return OK;
}

long
sys_sigaltstack(const struct stack USER *new, struct stack USER *old)
{
	struct thread *t = current_thread();
	uint64_t sp = user_frame()->rsp;
	struct stack before = altstack_get(t, sp), ss;
	enum err err = OK;

	if (new) {
		err = get_user(ss, new);
		if (err == OK && is_on_altstack(t, sp))
			err = ERR_PERM;
		if (err == OK)
			err = altstack_set(t, &ss);
	}
	if (err == OK && old)
		err = put_user(before, old);
	return err;
}

long
sys_rt_sigreturn(void)
{
	struct thread *t = current_thread();
	struct trap_frame *f = user_frame();
	struct rt_sigframe frame;

	/* The handler's `ret` has popped the restorer's address. */
	if (copy_from_user(&frame, (const void USER *)(f->rsp - 8), sizeof(frame)) != OK)
		goto bad;
	signal_set_blocked(frame.uc.mask);
	if (!sigcontext_restore(f, &frame.uc.regs))
		goto bad;
	if (fpu_signal_restore((const void USER *)frame.uc.regs.fpstate) != OK)
		goto bad;
	(void)altstack_set(
	    t, &frame.uc.stack); /* nonsense there leaves the old one, as on Linux */
	return (long)f->rax;
bad:
	signal_fault(SIGSEGV, SI_KERNEL, 0);
	return 0;
}
