/*
 * seccomp; see seccomp.h. A thread points at its newest filter, each filter at the one
 * before; they are counted and shared, so a fork costs one reference. What a thread has is
 * only ever extended, also by another (TSYNC): the chain it is running stays alive below the
 * new one, so it reads without a lock.
 */
#include "kernel/proc/seccomp.h"

#define LOG_PREFIX "seccomp: "

#include "kernel/file.h"
#include "kernel/log.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/ptrace.h"
#include "kernel/procfs.h"
#include "kernel/proc/seccomp_notify.h"
#include "kernel/x86/context.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/trap.h"
#include "lib/bpf.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	NR_READ = 0,
	NR_WRITE = 1,
	NR_SIGRETURN = 15,
	NR_EXIT = 60,
	PATH_INSNS_MAX = 32768, /* of all filters of a thread, 4 extra for each */
	FILTER_EXTRA = 4,
	ERRNO_MAX = 4095,
};
#define AUDIT_ARCH_X86_64 0xc000003eu

/* A program's answers: the upper half of its result, smaller is stricter as int32_t. */
enum {
	RET_KILL_PROCESS = INT32_MIN,
	RET_KILL_THREAD = 0,
	RET_TRAP = 0x30000,
	RET_ERRNO = 0x50000,
	RET_USER_NOTIF = 0x7fc00000,
	RET_TRACE = 0x7ff00000,
	RET_LOG = 0x7ffc0000,
	RET_ALLOW = 0x7fff0000,
};

struct seccomp_filter {
	uint32_t refs;      /* [a] */
	uint32_t num_total; /* instructions of this one and those before, with extras */
	bool logs;          /* SECCOMP_FILTER_FLAG_LOG */
	struct seccomp_listener *listener; /* [I] a reference, or NULL */
	unsigned n;
	struct seccomp_filter *before; /* [I] a reference, or NULL */
	struct bpf_insn insns[];
};

/* ---- Filters ----------------------------------------------------------------------- */

static struct seccomp_filter *
filter_get(struct seccomp_filter *f)
{
	if (f)
		__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

static void
filter_put(struct seccomp_filter *f)
{
	while (f && __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		struct seccomp_filter *before = f->before;

		if (f->listener)
			listener_orphan(f->listener);
		kfree(f);
		f = before;
	}
}

/* Of the general instructions those that Linux takes here: whole aligned words of the data,
 * no packet. */
static bool
insn_is_allowed(const struct bpf_insn *in)
{
	unsigned class = in->code & BPF_CLASS, mode = in->code & BPF_MODE;

	if (class == BPF_ALU)
		return (in->code & BPF_OP) != BPF_MOD;
	if (class != BPF_LD && class != BPF_LDX)
		return true;
	if (class == BPF_LD && mode == BPF_ABS)
		return (in->code & BPF_SIZE) == BPF_W && in->k % 4 == 0 &&
		       in->k < sizeof(struct call_data);
	return mode == BPF_IMM || mode == BPF_MEM || mode == BPF_LEN;
}

static bool
program_is_valid(const struct seccomp_filter *f)
{
	if (!bpf_is_valid(f->insns, f->n))
		return false;
	for (unsigned i = 0; i < f->n; i++)
		if (!insn_is_allowed(&f->insns[i]))
			return false;
	return true;
}

/* struct sock_fprog in user memory. */
static enum err
filter_from_user(const void USER *uprogram, struct seccomp_filter **out)
{
	struct {
		uint16_t n;
		const void USER *insns;
	} program;
	struct seccomp_filter *f;
	size_t size;
	enum err err;

	if (copy_from_user(&program, uprogram, sizeof(program)) != OK)
		return ERR_FAULT;
	if (!program.n || program.n > BPF_INSNS_MAX)
		return ERR_INVAL;
	if (!current_process()->no_new_privs && !capable(CAP_SYS_ADMIN))
		return ERR_ACCES;
	size = program.n * sizeof(struct bpf_insn);
	f = kzalloc(sizeof(*f) + size);
	if (!f)
		return ERR_NOMEM;
	f->refs = 1;
	f->n = program.n;
	err = copy_from_user(f->insns, program.insns, size);
	if (err == OK && !program_is_valid(f))
		err = ERR_INVAL;
	if (err != OK)
		kfree(f);
	else
		*out = f;
	return err;
}

struct call_source {
	struct bpf_source source;
	struct call_data data;
};

static bool
load_call(const struct bpf_source *source, uint32_t off, unsigned size, bool is_absolute,
    uint32_t *v)
{
	const struct call_source *c = container_of(source, struct call_source, source);

	if (off > sizeof(c->data) - sizeof(*v))
		return false;
	memcpy(v, (const char *)&c->data + off, sizeof(*v));
	return true;
}

/* What the filters say, and which of them. */
struct verdict {
	uint32_t result;
	const struct seccomp_filter *filter; /* NULL: none stands against the call */
};

static struct call_data
call_of(const struct trap_frame *f)
{
	return (struct call_data){.nr = (int32_t)f->error,
	    .arch = AUDIT_ARCH_X86_64,
	    .rip = f->rip,
	    .args = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9}};
}

/* The strictest answer; of equal ones the newest filter's. */
static struct verdict
run_filters(const struct seccomp_filter *f, const struct trap_frame *frame)
{
	const struct call_source c = {
	    .source = {.load = load_call, .len = sizeof(struct call_data)},
	    .data = call_of(frame),
	};
	struct verdict v = {.result = RET_ALLOW};

	for (; f; f = f->before) {
		uint32_t one = bpf_run(f->insns, &c.source);

		if ((int32_t)(one & 0xffff0000) < (int32_t)(v.result & 0xffff0000))
			v = (struct verdict){one, f};
	}
	return v;
}

/* ---- Judging ----------------------------------------------------------------------- */

static void
log_call(const struct trap_frame *f, const char *what)
{
	const struct thread *t = current_thread();

	log_info("%s[%u]: call %d at %lx %s", t->name, t->tid, (int)f->error,
	    (unsigned long)f->rip, what);
}

static struct siginfo
sigsys_info(const struct trap_frame *f, uint32_t data)
{
	return (struct siginfo){.signo = SIGSYS,
	    .code = SYS_SECCOMP,
	    .errno_ = (int32_t)data,
	    .addr = f->rip,
	    .status = (int32_t)f->error,
	    .value = AUDIT_ARCH_X86_64};
}

static NORETURN void
kill_caller(const struct trap_frame *f, uint32_t data, bool is_process)
{
	const struct siginfo info = sigsys_info(f, data);

	log_call(f, "is not allowed");
	if (is_process || current_process()->num_threads == 1)
		process_exit_by_signal(&info);
	process_exit_thread(SIGSYS);
}

/* The tracer decides, and may change the call: then the filters look again. */
static bool
ask_tracer(struct trap_frame *f, uint32_t data)
{
	if (!ptrace_wants(current_thread(), PTRACE_EVENT_SECCOMP)) {
		f->rax = (uint64_t)ERR_NOSYS;
		return false;
	}
	ptrace_event(PTRACE_EVENT_SECCOMP, data);
	return !signal_is_fatal_pending(current_thread()) && (int32_t)f->error >= 0;
}

/* Its listener decides: true, the call is to be done. */
static bool
ask_listener(struct trap_frame *f, const struct seccomp_filter *filter)
{
	const struct call_data call = call_of(f);

	if (filter->listener)
		return listener_ask(filter->listener, f, &call);
	f->rax = (uint64_t)ERR_NOSYS;
	return false;
}

static bool
judge(struct trap_frame *f, bool is_again)
{
	struct verdict v =
	    run_filters(__atomic_load_n(&current_thread()->seccomp, __ATOMIC_ACQUIRE), f);
	uint32_t data = v.result & 0xffff;
	struct siginfo info;

	switch ((int32_t)(v.result & 0xffff0000)) {
	case RET_ALLOW: return true;
	case RET_LOG: log_call(f, "is allowed"); return true;
	case RET_TRACE:
		if (is_again)
			return true;
		return ask_tracer(f, data) && judge(f, true);
	case RET_ERRNO:
		f->rax = (uint64_t) - (int64_t)MIN(data, (uint32_t)ERRNO_MAX);
		break;
	case RET_USER_NOTIF: return ask_listener(f, v.filter);
	case RET_TRAP:
		f->rax = f->error;
		info = sigsys_info(f, data);
		signal_force(&info);
		break;
	case RET_KILL_THREAD: kill_caller(f, data, false);
	default: kill_caller(f, data, true);
	}
	if (v.filter && v.filter->logs)
		log_call(f, "is refused");
	return false;
}

bool
seccomp_check(struct trap_frame *f)
{
	uint64_t nr = f->error;

	if (seccomp_mode_of(current_thread()) == SECCOMP_FILTER)
		return judge(f, false);
	if (nr == NR_READ || nr == NR_WRITE || nr == NR_EXIT || nr == NR_SIGRETURN)
		return true;
	log_call(f, "is not allowed");
	if (current_process()->num_threads == 1)
		process_exit_group(SIGKILL);
	process_exit_thread(SIGKILL);
}

/* ---- Threads ----------------------------------------------------------------------- */

enum seccomp_mode
seccomp_mode_of(const struct thread *t)
{
	if (!(t->flags & THREAD_CALL_FILTERED))
		return SECCOMP_OFF;
	return __atomic_load_n(&t->seccomp, __ATOMIC_RELAXED) ? SECCOMP_FILTER
	                                                      : SECCOMP_STRICT;
}

unsigned
seccomp_num_filters(struct thread *t)
{
	const struct seccomp_filter *f;
	unsigned n = 0;

	spin_lock(&t->process->lock); /* it may be given others meanwhile */
	for (f = t->seccomp; f; f = f->before)
		n++;
	spin_unlock(&t->process->lock);
	return n;
}

void
seccomp_inherit_locked(struct thread *t)
{
	struct thread *from = current_thread();

	if (!(from->flags & THREAD_CALL_FILTERED))
		return;
	t->seccomp = filter_get(from->seccomp);
	__atomic_fetch_or(&t->flags, THREAD_CALL_FILTERED, __ATOMIC_RELAXED);
}

void
seccomp_release(struct thread *t)
{
	filter_put(t->seccomp);
}

static long
set_strict(void)
{
	if (seccomp_mode_of(current_thread()) == SECCOMP_FILTER)
		return ERR_INVAL;
	thread_set_work(THREAD_CALL_FILTERED, 0);
	return 0;
}

/* Whether all `t` has is part of the current thread's. */
static bool
may_follow(const struct thread *t)
{
	const struct seccomp_filter *f = current_thread()->seccomp;

	if (seccomp_mode_of(t) == SECCOMP_OFF)
		return true;
	while (f && f != t->seccomp)
		f = f->before;
	return f && t->seccomp;
}

/* The number of the first thread that cannot follow, or 0. */
static uint32_t
find_stray_locked(struct process *p)
{
	const struct thread *t;

	list_for_each(t, &p->threads, process_link)
		if (t != current_thread() && !(t->flags & THREAD_EXITING) &&
		    !may_follow(t))
			return t->tid;
	return 0;
}

/* `t` gets the filter; what it had is below, so its own reference on that is one too many. */
static void
set_filter_locked(struct thread *t, struct seccomp_filter *f)
{
	struct seccomp_filter *old = t->seccomp;

	__atomic_store_n(&t->seccomp, filter_get(f), __ATOMIC_RELEASE);
	__atomic_fetch_or(&t->flags, THREAD_CALL_FILTERED, __ATOMIC_RELEASE);
	filter_put(old);
}

/* Threads that run have their CPU's byte from before. */
static void
refresh_call_work(void *unused)
{
	struct cpu *c = this_cpu();

	c->call_work |= current_thread()->flags & THREAD_CALL_FILTERED;
}

enum {
	FLAG_TSYNC = 1,
	FLAG_LOG = 2,
	FLAG_SPEC_ALLOW = 4,
	FLAG_NEW_LISTENER = 8,
	FLAG_TSYNC_ESRCH = 16,
	FLAG_WAIT_KILLABLE = 32,
	FLAGS_KNOWN = FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW | FLAG_NEW_LISTENER |
	              FLAG_TSYNC_ESRCH | FLAG_WAIT_KILLABLE,
};

/* Takes the caller's reference. */
static long
add_filter(struct seccomp_filter *f, unsigned flags)
{
	static const struct cpumask all = CPUMASK_ALL;
	struct thread *me = current_thread(), *t;
	struct process *p = me->process;
	uint32_t stray = 0;
	bool is_long;

	spin_lock(&p->lock);
	f->logs = flags & FLAG_LOG;
	f->num_total = f->n + FILTER_EXTRA + (me->seccomp ? me->seccomp->num_total : 0);
	is_long = f->num_total > PATH_INSNS_MAX;
	if (!is_long && (flags & FLAG_TSYNC))
		stray = find_stray_locked(p);
	if (!is_long && !stray) {
		f->before = filter_get(me->seccomp);
		list_for_each(t, &p->threads, process_link)
			if (t == me ||
			    ((flags & FLAG_TSYNC) && !(t->flags & THREAD_EXITING)))
				set_filter_locked(t, f);
	}
	spin_unlock(&p->lock);
	filter_put(f);
	if (is_long)
		return ERR_NOMEM;
	if (stray)
		return flags & FLAG_TSYNC_ESRCH ? ERR_SRCH : (long)stray;
	thread_set_work(THREAD_CALL_FILTERED, 0);
	if (flags & FLAG_TSYNC)
		ipi_call(&all, refresh_call_work, NULL);
	return 0;
}

static bool
are_flags_ok(unsigned flags)
{
	if (flags & ~(unsigned)FLAGS_KNOWN)
		return false;
	/* Both would say something by the result: a thread's number, or a descriptor. */
	if ((flags & FLAG_TSYNC) && (flags & FLAG_NEW_LISTENER) &&
	    !(flags & FLAG_TSYNC_ESRCH))
		return false;
	return !(flags & FLAG_WAIT_KILLABLE) || (flags & FLAG_NEW_LISTENER);
}

/* A thread has one listener at most. */
static bool
has_listener(const struct seccomp_filter *f)
{
	for (; f; f = f->before)
		if (f->listener)
			return true;
	return false;
}

/* The filter's listener and a file on it, which nobody else has yet. */
static enum err
make_listener(struct seccomp_filter *f, unsigned flags, struct file **file)
{
	if (has_listener(current_thread()->seccomp))
		return ERR_BUSY;
	f->listener = listener_create(flags & FLAG_WAIT_KILLABLE);
	*file = f->listener ? listener_file(f->listener) : NULL;
	return *file ? OK : ERR_NOMEM;
}

/* Takes the caller's references: the descriptor of the file, once the filter holds. */
static long
add_filter_with_file(struct seccomp_filter *f, unsigned flags, struct file *file)
{
	int fd = fd_install(file, 0, true);
	long result;

	if (fd < 0) {
		file_put(file);
		filter_put(f);
		return fd;
	}
	result = add_filter(f, flags);
	if (result != 0)
		(void)fd_close(fd); /* its number has not been told */
	return result ? result : fd;
}

static long
set_filter(unsigned flags, const void USER *program)
{
	struct file *file = NULL;
	struct seccomp_filter *f;
	enum err err;

	if (!are_flags_ok(flags))
		return ERR_INVAL;
	err = filter_from_user(program, &f);
	if (err != OK)
		return err;
	if (seccomp_mode_of(current_thread()) == SECCOMP_STRICT)
		err = ERR_INVAL;
	if (err == OK && (flags & FLAG_NEW_LISTENER))
		err = make_listener(f, flags, &file);
	if (err != OK) {
		filter_put(f);
		return err;
	}
	return file ? add_filter_with_file(f, flags, file) : add_filter(f, flags);
}

/* ---- PTRACE_SECCOMP_GET_FILTER ----------------------------------------------------- */

/* The oldest is number 0. A reference, or NULL. */
static struct seccomp_filter *
filter_number(struct thread *t, uint64_t number)
{
	struct process *p = t->process;
	struct seccomp_filter *f, *found = NULL;
	uint64_t count = 0;

	spin_lock(&p->lock);
	for (f = t->seccomp; f; f = f->before)
		count++;
	if (number < count) {
		f = t->seccomp;
		for (uint64_t i = count - 1; i > number; i--)
			f = f->before;
		found = filter_get(f);
	}
	spin_unlock(&p->lock);
	return found;
}

long
seccomp_get_filter(struct thread *t, uint64_t number, void USER *to)
{
	struct seccomp_filter *f;
	long n;

	if (!capable(CAP_SYS_ADMIN) || seccomp_mode_of(current_thread()) != SECCOMP_OFF)
		return ERR_ACCES;
	if (seccomp_mode_of(t) != SECCOMP_FILTER)
		return ERR_INVAL;
	f = filter_number(t, number);
	if (!f)
		return ERR_NOENT;
	n = (long)f->n;
	if (to && copy_to_user(to, f->insns, f->n * sizeof(struct bpf_insn)) != OK)
		n = ERR_FAULT;
	filter_put(f);
	return n;
}

/* ---- Calls ------------------------------------------------------------------------- */

static long
is_action_known(const uint32_t USER *uaction)
{
	uint32_t action;

	if (get_user(action, uaction) != OK)
		return ERR_FAULT;
	switch ((int32_t)action) {
	case RET_KILL_PROCESS:
	case RET_KILL_THREAD:
	case RET_TRAP:
	case RET_ERRNO:
	case RET_USER_NOTIF:
	case RET_TRACE:
	case RET_LOG:
	case RET_ALLOW: return 0;
	default: return ERR_OPNOTSUPP;
	}
}

long
seccomp_set_mode(uint64_t mode, const void USER *program)
{
	if (mode == SECCOMP_STRICT)
		return set_strict();
	return mode == SECCOMP_FILTER ? set_filter(0, program) : ERR_INVAL;
}

enum { SET_MODE_STRICT, SET_MODE_FILTER, GET_ACTION_AVAIL, GET_NOTIF_SIZES };

long
sys_seccomp(unsigned op, unsigned flags, void USER *args)
{
	switch (op) {
	case SET_MODE_STRICT: return flags || args ? ERR_INVAL : set_strict();
	case SET_MODE_FILTER: return set_filter(flags, args);
	case GET_ACTION_AVAIL: return flags ? ERR_INVAL : is_action_known(args);
	case GET_NOTIF_SIZES: return flags ? ERR_INVAL : listener_put_sizes(args);
	default: return ERR_INVAL;
	}
}

/* What filters may answer, the strongest first. */
static void
show_actions(struct seq *s)
{
	seq_puts(s, "kill_process kill_thread trap errno user_notif trace log allow\n");
}

void
seccomp_init(void)
{
	(void)proc_register(
	    "sys/kernel/seccomp/actions_avail", show_actions); /* no memory: not there */
}
