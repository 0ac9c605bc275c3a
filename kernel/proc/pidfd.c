/* Process descriptors; see pidfd.h. A file holds a reference on its process. */
#include "kernel/proc/pidfd.h"

#include "kernel/ipc/anon_file.h"
#include "kernel/poll.h"
#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "kernel/random.h"
#include "syscalls.h"

static uint32_t
pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct process *p = f->private;

	poll_wait(f, &p->exit_wait, pt);
	return __atomic_load_n(&p->is_zombie, __ATOMIC_ACQUIRE) ? POLLIN | POLLRDNORM : 0;
}

static void
pidfd_release(struct file *f)
{
	process_put(f->private);
}

static const struct file_ops pidfd_ops = {
    .poll = pidfd_poll,
    .release = pidfd_release,
    .anon_mode = 0600,
    .anon_name = "[pidfd]",
};

long
pidfd_install(struct process *p, int flags)
{
	struct file *f = file_alloc(&pidfd_ops, O_RDWR | (uint32_t)flags, process_get(p));
	int fd;

	if (!f) {
		process_put(p);
		return ERR_NOMEM;
	}
	fd = fd_install(f, 0, true);
	if (fd < 0)
		file_put(f);
	return fd;
}

struct process *
pidfd_process(int fd, bool *is_nonblock)
{
	struct file *f = fd_get(fd);
	struct process *p = NULL;

	if (!f)
		return NULL;
	if (f->ops == &pidfd_ops) {
		p = process_get(f->private);
		*is_nonblock = f->flags & O_NONBLOCK;
	}
	file_put(f);
	return p;
}

enum err
pidfd_signal_target(int fd, struct process **out)
{
	struct file *f = fd_get(fd);
	uint32_t pid;

	if (!f)
		return ERR_BADF;
	if (f->ops == &pidfd_ops) {
		*out = process_get(f->private);
		file_put(f);
		return OK;
	}
	pid = file_proc_pid(f);
	file_put(f);
	*out = pid ? process_find(pid) : NULL;
	return *out ? OK : pid ? ERR_SRCH : ERR_BADF;
}

bool
process_is_reaped(struct process *p)
{
	struct process *now = process_find(p->pid);

	if (now)
		process_put(now);
	return now != p;
}

long
sys_pidfd_open(int pid, unsigned flags)
{
	struct process *p;
	struct thread *t;
	long fd;

	if ((flags & ~(unsigned)O_NONBLOCK) || pid <= 0)
		return ERR_INVAL;
	p = process_find((uint32_t)pid);
	if (!p) { /* a thread that is not the first is no process */
		t = thread_find((uint32_t)pid);
		if (t)
			thread_put(t);
		return t ? ERR_INVAL : ERR_SRCH;
	}
	fd = pidfd_install(p, (int)flags);
	process_put(p);
	return fd;
}

/* The file of descriptor `fd` in another thread, with a reference; or NULL. */
static struct file *
file_of(struct thread *t, int fd)
{
	struct fd_table *fds = thread_fds(t);
	struct file *f;
	int at = fd;

	if (!fds)
		return NULL;
	f = fd >= 0 ? fd_table_next(fds, &at) : NULL;
	if (f && at != fd) {
		file_put(f);
		f = NULL;
	}
	fd_table_put(fds);
	return f;
}

long
sys_pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	bool is_nonblock;
	struct process *p;
	struct thread *leader;
	struct file *f;
	long result;

	if (flags)
		return ERR_INVAL;
	p = pidfd_process(pidfd, &is_nonblock);
	if (!p)
		return ERR_BADF;
	leader = process_leader(p);
	result =
	    !leader || p->is_zombie ? ERR_SRCH : process_may_access(p, ACCESS_REAL_IDS);
	f = result == OK ? file_of(leader, fd) : NULL;
	if (result == OK)
		result = f ? fd_install(f, 0, true) : ERR_BADF;
	if (result < 0 && f)
		file_put(f);
	if (leader)
		thread_put(leader);
	process_put(p);
	return result;
}

/* ---- kcmp: whether two processes share a thing ------------------------------------- */

enum {
	KCMP_FILE,
	KCMP_VM,
	KCMP_FILES,
	KCMP_FS,
	KCMP_SIGHAND,
	KCMP_IO,
	KCMP_SYSVSEM,
};

/* 0 alike, else 1 or 2: an order that holds but tells nothing of the addresses. */
static long
compare(const void *a, const void *b)
{
	static uint64_t cookie; /* [a] */
	uint64_t secret = __atomic_load_n(&cookie, __ATOMIC_RELAXED), none = 0;

	if (a == b)
		return 0;
	if (!secret) {
		random_bytes(&secret, sizeof(secret));
		secret |= 1;
		if (!__atomic_compare_exchange_n(&cookie, &none, secret, false,
		        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			secret = none;
	}
	return (uint64_t)a * secret < (uint64_t)b * secret ? 1 : 2;
}

static long
compare_files(struct thread *a, struct thread *b, uint64_t fd_a, uint64_t fd_b)
{
	struct file *f = file_of(a, fd_a <= INT32_MAX ? (int)fd_a : -1);
	struct file *g = file_of(b, fd_b <= INT32_MAX ? (int)fd_b : -1);
	long result = f && g ? compare(f, g) : ERR_BADF;

	if (f)
		file_put(f);
	if (g)
		file_put(g);
	return result;
}

static long
compare_things(const struct thread *a, const struct thread *b, int type)
{
	switch (type) {
	case KCMP_VM: return compare(a->process->aspace, b->process->aspace);
	case KCMP_FILES: return compare(a->fds, b->fds);
	case KCMP_FS: return compare(a->fs, b->fs);
	case KCMP_SIGHAND: return compare(a->process->sigactions, b->process->sigactions);
	case KCMP_IO:
	case KCMP_SYSVSEM: return 0; /* nobody has any */
	default: return ERR_INVAL;
	}
}

long
sys_kcmp(int pid1, int pid2, int type, uint64_t idx1, uint64_t idx2)
{
	struct thread *a = pid1 > 0 ? thread_find((uint32_t)pid1) : NULL;
	struct thread *b = pid2 > 0 ? thread_find((uint32_t)pid2) : NULL;
	long result = ERR_SRCH;

	if (a && b) {
		result = process_may_access(a->process, ACCESS_REAL_IDS);
		if (result == OK)
			result = process_may_access(b->process, ACCESS_REAL_IDS);
		if (result == OK)
			result = type == KCMP_FILE ? compare_files(a, b, idx1, idx2)
			                           : compare_things(a, b, type);
	}
	if (a)
		thread_put(a);
	if (b)
		thread_put(b);
	return result;
}
