/*
 * ptrace(2): the tracer's requests. All but attaching find the thread by its number among
 * those that the calling thread traces, stopped (SEIZE'd ones: PTRACE_INTERRUPT needs no
 * stop), and freeze it in its stop until they are done.
 */
#include "syscalls.h"

#include "kernel/proc/access.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace_priv.h"
#include "kernel/proc/sigframe.h"
#include "kernel/proc/seccomp.h"
#include "kernel/proc/signal_priv.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/trap.h"
#include "kernel/x86/user_regs.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"

// clang-format off
enum {
	PTRACE_TRACEME, PTRACE_PEEKTEXT, PTRACE_PEEKDATA, PTRACE_PEEKUSER, PTRACE_POKETEXT,
	PTRACE_POKEDATA, PTRACE_POKEUSER, PTRACE_CONT, PTRACE_KILL, PTRACE_SINGLESTEP,
	PTRACE_GETREGS = 12, PTRACE_SETREGS, PTRACE_GETFPREGS, PTRACE_SETFPREGS,
	PTRACE_ATTACH, PTRACE_DETACH,
	PTRACE_SYSCALL = 24,
	PTRACE_ARCH_PRCTL = 30, PTRACE_SYSEMU, PTRACE_SYSEMU_SINGLESTEP,
	PTRACE_SETOPTIONS = 0x4200, PTRACE_GETEVENTMSG, PTRACE_GETSIGINFO, PTRACE_SETSIGINFO,
	PTRACE_GETREGSET, PTRACE_SETREGSET, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_LISTEN,
	PTRACE_PEEKSIGINFO, PTRACE_GETSIGMASK, PTRACE_SETSIGMASK,
	PTRACE_SECCOMP_GET_FILTER = 0x420c,
	PTRACE_GET_SYSCALL_INFO = 0x420e,
};
// clang-format on

enum { OPTIONS_KNOWN = PTRACE_O_TRACESYSGOOD | PTRACE_O_EVENTS | PTRACE_O_EXITKILL };

/* ---- Finding, freezing ------------------------------------------------------------- */

/* A thread that the caller traces, with a reference; stopped and frozen if `is_frozen`.
 * NULL: ESRCH. */
static struct thread *
tracee_take(int tid, bool is_frozen)
{
	struct thread *t = tid > 0 ? thread_find((uint32_t)tid) : NULL;
	struct trace *tr;
	bool ok;

	if (!t)
		return NULL;
	if (!t->process) {
		thread_put(t);
		return NULL;
	}
	spin_lock(&proc_tree_lock);
	spin_lock(&t->process->lock);
	tr = t->trace;
	ok = is_traced(t) && tr->tracer == current_thread();
	if (ok && is_frozen) {
		ok = tr->is_stopped && !tr->is_listening;
		tr->is_frozen = ok;
	}
	spin_unlock(&t->process->lock);
	spin_unlock(&proc_tree_lock);
	if (!ok) {
		thread_put(t);
		return NULL;
	}
	if (is_frozen)
		thread_wait_asleep(t);
	return t;
}

static void
tracee_release(struct thread *t)
{
	struct process *p = t->process;

	spin_lock(&p->lock);
	t->trace->is_frozen = false;
	if (!t->trace->is_stopped)
		wait_queue_wake_all(&t->trace->wait);
	spin_unlock(&p->lock);
	thread_put(t);
}

/* ---- Attaching --------------------------------------------------------------------- */

static enum err
options_check(uint64_t options)
{
	return options & ~(uint64_t)OPTIONS_KNOWN ? ERR_INVAL : OK;
}

/* The candidate is used, and set to NULL, or left. Tree lock held. */
static enum err
attach_locked(struct thread *t, struct trace **new, bool is_seize, uint32_t options)
{
	struct process *p = t->process;
	enum err err = OK;

	spin_lock(&p->lock);
	if (p->num_execs)
		err = ERR_AGAIN;
	else if (p == current_process() || is_traced(t) || (t->flags & THREAD_EXITING))
		err = ERR_PERM;
	else
		err = process_may_access_locked(p, ACCESS_REAL_IDS);
	if (err == OK) {
		if (!t->trace) {
			t->trace = *new;
			*new = NULL;
		}
		t->trace->is_seized = is_seize;
		t->trace->options = options;
		t->trace->is_privileged = capable(CAP_SYS_PTRACE);
		ptrace_link_locked(t, current_thread());
		if (p->is_stopped) {
			t->trace->is_stop_due = true;
			signal_kick_locked(t, false);
			wait_queue_wake_all(&p->stop_wait);
		}
	}
	spin_unlock(&p->lock);
	return err;
}

static enum err
attach_thread(struct thread *t, bool is_seize, uint32_t options)
{
	struct trace *new = trace_create();
	enum err err;

	if (!new)
		return ERR_NOMEM;
	do {
		spin_lock(&proc_tree_lock);
		err = attach_locked(t, &new, is_seize, options);
		if (err == OK && !is_seize) {
			struct siginfo info = {.signo = SIGSTOP, .code = SI_KERNEL};

			(void)signal_send_thread(t, SIGSTOP, &info); /* it is alive */
		}
		spin_unlock(&proc_tree_lock);
		if (err == ERR_AGAIN &&
		    wait_event(&t->process->exec_wait, !t->process->num_execs,
		        WAIT_INTERRUPTIBLE, NO_TIMEOUT) != OK) {
			err = ERR_RESTARTNOINTR;
			break;
		}
	} while (err == ERR_AGAIN);
	kfree(new);
	return err;
}

static long
do_attach(int tid, bool is_seize, uint64_t addr, uint64_t options)
{
	struct thread *t;
	enum err err;

	if (is_seize && (addr || options_check(options) != OK))
		return ERR_IO;
	t = tid > 0 ? thread_find((uint32_t)tid) : NULL;
	if (!t)
		return ERR_SRCH;
	err = t->process ? attach_thread(t, is_seize, is_seize ? (uint32_t)options : 0)
	                 : ERR_PERM;
	thread_put(t);
	return err;
}

/* The thread of `parent` that traces a child's thread: the one that made it, or any. */
static struct thread *
future_tracer_locked(struct process *parent, uint32_t creator_tid)
{
	struct thread *t, *any = NULL;

	list_for_each(t, &parent->threads, process_link) {
		if (t->flags & THREAD_EXITING)
			continue;
		if (t->tid == creator_tid)
			return t;
		any = any ? any : t;
	}
	return any;
}

static enum err
may_trace_me(const struct cred *parent, const struct cred *me)
{
	bool ok = !(me->cap_permitted & ~parent->cap_permitted) ||
	          (parent->cap_effective >> CAP_SYS_PTRACE & 1);

	return ok ? OK : ERR_PERM;
}

static enum err
trace_me_locked(struct thread *t, struct trace **new)
{
	struct process *parent = t->process->parent;
	struct thread *tracer;
	enum err err;

	if (is_traced(t) || !parent)
		return ERR_PERM;
	spin_lock(&parent->lock);
	tracer = future_tracer_locked(parent, t->process->creator_tid);
	err = tracer ? may_trace_me(parent->cred, t->process->cred) : ERR_PERM;
	if (err == OK) {
		if (!t->trace) {
			t->trace = *new;
			*new = NULL;
		}
		t->trace->is_seized = false;
		t->trace->options = 0;
		/* The parent may have rights for a moment only, as a set-id program:
		 * its child's count, who asked for it. */
		t->trace->is_privileged = capable(CAP_SYS_PTRACE);
		ptrace_link_locked(t, tracer);
	}
	spin_unlock(&parent->lock);
	return err;
}

static long
do_trace_me(void)
{
	struct trace *new = trace_create();
	enum err err;

	if (!new)
		return ERR_NOMEM;
	spin_lock(&proc_tree_lock);
	err = trace_me_locked(current_thread(), &new);
	spin_unlock(&proc_tree_lock);
	kfree(new);
	return err;
}

/* ---- Going on ---------------------------------------------------------------------- */

static uint32_t
work_of(int request)
{
	switch (request) {
	case PTRACE_SYSCALL: return THREAD_CALL_TRACED;
	case PTRACE_SYSEMU: return THREAD_CALL_EMULATED;
	case PTRACE_SYSEMU_SINGLESTEP: return THREAD_CALL_EMULATED | THREAD_CALL_STEPPED;
	case PTRACE_SINGLESTEP: return THREAD_CALL_STEPPED;
	default: return 0;
	}
}

/* Frozen: its frame and flags may be changed. */
static long
do_resume(struct thread *t, int request, uint64_t sig)
{
	struct process *p = t->process;
	uint32_t work = work_of(request);

	if (sig > NSIG)
		return ERR_IO;
	__atomic_fetch_and(&t->flags,
	    ~(uint32_t)(THREAD_CALL_TRACED | THREAD_CALL_EMULATED | THREAD_CALL_STEPPED),
	    __ATOMIC_RELAXED);
	__atomic_fetch_or(&t->flags, work, __ATOMIC_RELAXED);
	if (work & THREAD_CALL_STEPPED)
		user_step_on(t);
	else
		user_step_off(t);
	spin_lock(&p->lock);
	if (t->trace->is_stopped) { /* and not killed meanwhile */
		t->trace->code = (int)sig;
		ptrace_resume_locked(t->trace);
	}
	spin_unlock(&p->lock);
	return 0;
}

static long
do_detach(struct thread *t, uint64_t sig)
{
	struct process *p = t->process;
	bool is_ours;

	if (sig > NSIG)
		return ERR_IO;
	user_step_off(t);
	spin_lock(&proc_tree_lock);
	is_ours = is_traced(t);
	if (is_ours) {
		spin_lock(&p->lock);
		t->trace->code = (int)sig;
		spin_unlock(&p->lock);
		ptrace_unlink_locked(t->trace);
	}
	spin_unlock(&proc_tree_lock);
	if (is_ours)
		thread_put(t); /* tracee_take has another */
	return 0;
}

/* No stop is needed: the thread comes to one. */
static long
do_interrupt(struct thread *t)
{
	struct process *p = t->process;
	long result = ERR_IO;

	spin_lock(&p->lock);
	if (t->trace->is_seized) {
		t->trace->is_trap_due = true;
		if (t->trace->is_listening)
			ptrace_resume_locked(t->trace);
		signal_kick_locked(t, false);
		result = 0;
	}
	spin_unlock(&p->lock);
	return result;
}

static long
do_listen(struct thread *t)
{
	struct process *p = t->process;
	struct trace *tr = t->trace;
	long result = ERR_IO;

	spin_lock(&p->lock);
	if (tr->is_seized && tr->has_info && tr->info.code >> 8 == PTRACE_EVENT_STOP) {
		tr->is_listening = true;
		if (tr->is_notify_due)
			ptrace_resume_locked(tr); /* to stop again at once */
		result = 0;
	}
	spin_unlock(&p->lock);
	return result;
}

static long
do_kill(struct thread *t)
{
	struct siginfo info = {.signo = SIGKILL, .code = SI_USER};

	return signal_send_thread(t, SIGKILL, &info);
}

/* ---- Memory and registers ---------------------------------------------------------- */

static long
do_peek(struct thread *t, uint64_t addr, uint64_t data)
{
	struct aspace *as = process_aspace(t->process);
	uint64_t word;
	size_t n;

	if (!as)
		return ERR_IO;
	n = aspace_peek(as, addr, &word, sizeof(word));
	aspace_put(as);
	return n == sizeof(word) ? put_user(word, (uint64_t USER *)data) : ERR_IO;
}

static long
do_poke(struct thread *t, uint64_t addr, uint64_t data)
{
	struct aspace *as = process_aspace(t->process);
	size_t n;

	if (!as)
		return ERR_IO;
	n = aspace_poke(as, addr, &data, sizeof(data));
	aspace_put(as);
	return n == sizeof(data) ? 0 : ERR_IO;
}

/* Linux's struct user: the registers first, the debug registers near its end. */
enum { USER_DEBUG_REGS = 848, USER_DEBUG_REGS_END = 912, USER_SIZE = 928 };

static bool
is_user_offset(uint64_t addr)
{
	return addr % sizeof(uint64_t) == 0 && addr < USER_SIZE;
}

static long
do_peek_user(struct thread *t, uint64_t addr, uint64_t data)
{
	struct user_regs regs;
	uint64_t word = 0;

	if (!is_user_offset(addr))
		return ERR_IO;
	user_regs_get(t, &regs);
	if (addr < sizeof(regs))
		word = ((const uint64_t *)&regs)[addr / sizeof(word)];
	else if (addr >= USER_DEBUG_REGS && addr < USER_DEBUG_REGS_END)
		word = breakpoints_get(&t->trace->breakpoints,
		    (unsigned)((addr - USER_DEBUG_REGS) / sizeof(word)));
	return put_user(word, (uint64_t USER *)data);
}

static long
do_poke_user(struct thread *t, uint64_t addr, uint64_t data)
{
	struct breakpoints *b = &t->trace->breakpoints;
	enum err err;

	if (!is_user_offset(addr))
		return ERR_IO;
	if (addr < sizeof(struct user_regs))
		return user_reg_set(t, (unsigned)(addr / sizeof(data)), data);
	if (addr < USER_DEBUG_REGS || addr >= USER_DEBUG_REGS_END)
		return ERR_IO;
	err =
	    breakpoints_set(b, (unsigned)((addr - USER_DEBUG_REGS) / sizeof(data)), data);
	if (breakpoints_are_on(b)) /* loaded when it runs next */
		__atomic_fetch_or(&t->flags, THREAD_HAS_BREAKPOINTS, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(
		    &t->flags, ~(uint32_t)THREAD_HAS_BREAKPOINTS, __ATOMIC_RELAXED);
	return err;
}

/* The first `len` bytes of the registers from user memory; stops at what is refused. */
static long
set_regs(struct thread *t, const void USER *data, size_t len)
{
	struct user_regs regs;
	enum err err = OK;

	if (len % sizeof(uint64_t))
		return ERR_INVAL;
	if (copy_from_user(&regs, data, len) != OK)
		return ERR_FAULT;
	for (unsigned i = 0; i < len / sizeof(uint64_t) && err == OK; i++)
		err = user_reg_set(t, i, ((const uint64_t *)&regs)[i]);
	return err;
}

static long
get_regs(struct thread *t, void USER *data, size_t len)
{
	struct user_regs regs;

	user_regs_get(t, &regs);
	return copy_to_user(data, &regs, len);
}

static long
get_fpu(struct thread *t, void USER *data, size_t len, size_t size)
{
	void *image = kmalloc(size);
	enum err err = ERR_NOMEM;

	if (image) {
		fpu_get_image(t->fpu, image, size);
		err = copy_to_user(data, image, len);
	}
	kfree(image);
	return err;
}

static long
set_fpu(struct thread *t, const void USER *data, size_t size)
{
	void *image = kmalloc(size);
	enum err err = ERR_NOMEM;

	if (image)
		err = copy_from_user(image, data, size);
	if (err == OK)
		err = fpu_set_image(t->fpu, image, size);
	kfree(image);
	return err;
}

enum { NT_PRSTATUS = 1, NT_PRFPREG = 2, NT_X86_XSTATE = 0x202 };

static size_t
regset_size(uint64_t type)
{
	switch (type) {
	case NT_PRSTATUS: return sizeof(struct user_regs);
	case NT_PRFPREG: return FPU_LEGACY_SIZE;
	case NT_X86_XSTATE: return fpu_image_size();
	default: return 0;
	}
}

static long
do_regset(struct thread *t, uint64_t type, struct iovec USER *uiov, bool is_set)
{
	size_t size = regset_size(type), unit;
	struct iovec iov;
	long result;

	if (get_user(iov, uiov) != OK)
		return ERR_FAULT;
	unit = type == NT_PRSTATUS ? sizeof(uint64_t) : 1;
	if (!size || iov.len % sizeof(uint64_t) % unit)
		return ERR_INVAL;
	iov.len = MIN(iov.len, size);
	if (type == NT_PRSTATUS)
		result = is_set ? set_regs(t, iov.base, iov.len)
		                : get_regs(t, iov.base, iov.len);
	else if (!is_set)
		result = get_fpu(t, iov.base, iov.len, size);
	else if (iov.len != size)
		result = type == NT_X86_XSTATE ? ERR_FAULT : ERR_INVAL;
	else
		result = set_fpu(t, iov.base, size);
	if (result == OK)
		result = put_user(iov.len, &uiov->len);
	return result;
}

/* ---- Signals and events ------------------------------------------------------------ */

static long
do_get_siginfo(struct thread *t, struct user_siginfo USER *to)
{
	struct siginfo info;
	bool has;

	spin_lock(&t->process->lock);
	has = t->trace->has_info;
	info = t->trace->info;
	spin_unlock(&t->process->lock);
	return has ? siginfo_to_user(to, &info) : ERR_INVAL;
}

static long
do_set_siginfo(struct thread *t, const struct user_siginfo USER *from)
{
	struct siginfo info;
	long result = siginfo_from_user(&info, from);

	if (result != OK)
		return result;
	spin_lock(&t->process->lock);
	if (t->trace->has_info)
		t->trace->info = info;
	else
		result = ERR_INVAL;
	spin_unlock(&t->process->lock);
	return result;
}

struct peek_siginfo_args {
	uint64_t offset;
	uint32_t flags;
	int32_t count;
};

enum { PEEK_SHARED = 1 };

static long
do_peek_siginfo(
    struct thread *t, const struct peek_siginfo_args USER *uargs, uint64_t data)
{
	struct user_siginfo USER *to = (struct user_siginfo USER *)data;
	struct peek_siginfo_args a;
	struct siginfo info;
	long done = 0;

	if (get_user(a, uargs) != OK)
		return ERR_FAULT;
	if ((a.flags & ~(uint32_t)PEEK_SHARED) || a.count < 0)
		return ERR_INVAL;
	for (; done < a.count; done++) {
		if (!signal_peek(
		        t, a.flags & PEEK_SHARED, a.offset + (uint64_t)done, &info))
			break;
		if (siginfo_to_user(to + done, &info) != OK)
			return done ? done : ERR_FAULT;
	}
	return done;
}

static long
do_sigmask(struct thread *t, uint64_t size, uint64_t data, bool is_set)
{
	struct process *p = t->process;
	uint64_t mask;

	if (size != sizeof(mask))
		return ERR_INVAL;
	if (!is_set) {
		mask =
		    t->flags & THREAD_RESTORE_MASK ? t->sig_saved_mask : t->sig_blocked;
		return put_user(mask, (uint64_t USER *)data);
	}
	if (get_user(mask, (const uint64_t USER *)data) != OK)
		return ERR_FAULT;
	spin_lock(&p->lock);
	t->sig_blocked = mask & ~SIGNALS_UNBLOCKABLE;
	__atomic_fetch_and(&t->flags, ~(uint32_t)THREAD_RESTORE_MASK, __ATOMIC_RELAXED);
	__atomic_fetch_or(&t->flags, THREAD_NEED_SIGNAL, __ATOMIC_RELAXED);
	spin_unlock(&p->lock);
	return 0;
}

/* Linux's struct ptrace_syscall_info. */
struct call_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t rip, rsp;
	union {
		struct {
			uint64_t nr, args[6];
			uint32_t data; /* of a filter */
		} entry;
		struct {
			int64_t value;
			uint8_t is_error;
		} exit;
	};
};

enum { CALL_INFO_NONE, CALL_INFO_ENTRY, CALL_INFO_EXIT, CALL_INFO_SECCOMP };
#define AUDIT_ARCH_X86_64 0xc000003eu

/* Which kind of stop it is in. */
static uint8_t
call_info_op(const struct trace *tr)
{
	int code = tr->has_info ? tr->info.code : 0;

	if (code == (SIGTRAP | 0x80))
		return tr->message == PTRACE_MESSAGE_ENTRY ? CALL_INFO_ENTRY
		                                           : CALL_INFO_EXIT;
	return code == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8) ? CALL_INFO_SECCOMP
	                                                     : CALL_INFO_NONE;
}

static long
do_call_info(struct thread *t, uint64_t size, uint64_t data)
{
	struct call_info ci = {.op = call_info_op(t->trace), .arch = AUDIT_ARCH_X86_64};
	const struct trap_frame *f = thread_frame(t);
	const uint64_t args[6] = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9};
	size_t len = offsetof(struct call_info, entry);

	ci.rip = f->rip;
	ci.rsp = f->rsp;
	if (ci.op == CALL_INFO_EXIT) {
		ci.exit.value = (int64_t)f->rax;
		ci.exit.is_error = f->rax >= (uint64_t)-4095;
		len =
		    offsetof(struct call_info, exit.is_error) + sizeof(ci.exit.is_error);
	} else if (ci.op != CALL_INFO_NONE) {
		ci.entry.nr = f->error;
		__builtin_memcpy(ci.entry.args, args, sizeof(args));
		len = offsetof(struct call_info, entry.data);
		if (ci.op == CALL_INFO_SECCOMP) {
			ci.entry.data = (uint32_t)t->trace->message;
			len += sizeof(ci.entry.data);
		}
	}
	if (copy_to_user((void USER *)data, &ci, MIN((size_t)size, len)) != OK)
		return ERR_FAULT;
	return (long)len;
}

static long
do_set_options(struct thread *t, uint64_t options)
{
	if (options_check(options) != OK)
		return ERR_INVAL;
	spin_lock(&t->process->lock);
	t->trace->options = (uint32_t)options;
	spin_unlock(&t->process->lock);
	return 0;
}

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS };

static long
do_arch_prctl(struct thread *t, uint64_t value, uint64_t code)
{
	bool is_fs = code == ARCH_SET_FS || code == ARCH_GET_FS;
	uint64_t *base = is_fs ? &t->fs_base : &t->gs_base;

	switch (code) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (value >= USER_SPACE_END)
			return ERR_PERM;
		*base = value;
		return 0;
	case ARCH_GET_FS:
	case ARCH_GET_GS: return put_user(*base, (uint64_t USER *)value);
	default: return ERR_INVAL;
	}
}

/* ---- The call ---------------------------------------------------------------------- */

static long
request_on(struct thread *t, int request, uint64_t addr, uint64_t data)
{
	switch (request) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA: return do_peek(t, addr, data);
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA: return do_poke(t, addr, data);
	case PTRACE_PEEKUSER: return do_peek_user(t, addr, data);
	case PTRACE_POKEUSER: return do_poke_user(t, addr, data);
	case PTRACE_CONT:
	case PTRACE_SYSCALL:
	case PTRACE_SYSEMU:
	case PTRACE_SYSEMU_SINGLESTEP:
	case PTRACE_SINGLESTEP: return do_resume(t, request, data);
	case PTRACE_DETACH: return do_detach(t, data);
	case PTRACE_LISTEN: return do_listen(t);
	case PTRACE_GETREGS:
		return get_regs(t, (void USER *)data, sizeof(struct user_regs));
	case PTRACE_SETREGS:
		return set_regs(t, (const void USER *)data, sizeof(struct user_regs));
	case PTRACE_GETFPREGS:
		return get_fpu(t, (void USER *)data, FPU_LEGACY_SIZE, FPU_LEGACY_SIZE);
	case PTRACE_SETFPREGS:
		return set_fpu(t, (const void USER *)data, FPU_LEGACY_SIZE);
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
		return do_regset(
		    t, addr, (struct iovec USER *)data, request == PTRACE_SETREGSET);
	case PTRACE_GETSIGINFO:
		return do_get_siginfo(t, (struct user_siginfo USER *)data);
	case PTRACE_SETSIGINFO:
		return do_set_siginfo(t, (const struct user_siginfo USER *)data);
	case PTRACE_PEEKSIGINFO:
		return do_peek_siginfo(
		    t, (const struct peek_siginfo_args USER *)addr, data);
	case PTRACE_GETSIGMASK:
	case PTRACE_SETSIGMASK:
		return do_sigmask(t, addr, data, request == PTRACE_SETSIGMASK);
	case PTRACE_SETOPTIONS: return do_set_options(t, data);
	case PTRACE_GETEVENTMSG:
		return put_user(t->trace->message, (uint64_t USER *)data);
	case PTRACE_GET_SYSCALL_INFO: return do_call_info(t, addr, data);
	case PTRACE_SECCOMP_GET_FILTER:
		return seccomp_get_filter(t, addr, (void USER *)data);
	case PTRACE_ARCH_PRCTL: return do_arch_prctl(t, addr, data);
	default: return ERR_IO;
	}
}

long
sys_ptrace(int request, int tid, uint64_t addr, uint64_t data)
{
	bool needs_stop = request != PTRACE_KILL && request != PTRACE_INTERRUPT;
	struct thread *t;
	long result;

	if (request == PTRACE_TRACEME)
		return do_trace_me();
	if (request == PTRACE_ATTACH || request == PTRACE_SEIZE)
		return do_attach(tid, request == PTRACE_SEIZE, addr, data);
	t = tracee_take(tid, needs_stop);
	if (!t)
		return ERR_SRCH;
	if (needs_stop) {
		result = request_on(t, request, addr, data);
		tracee_release(t);
		return result;
	}
	result = request == PTRACE_KILL ? do_kill(t) : do_interrupt(t);
	thread_put(t);
	return result;
}
