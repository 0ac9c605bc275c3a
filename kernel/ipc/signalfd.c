/*
 * signalfd: signals read from a file. What is read are the reader's own pending signals,
 * so a file that was inherited or passed on shows those of whoever reads. To wake
 * sleepers and epoll, a process has one queue that is woken for each signal which
 * somebody watches this way.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/ipc/anon_file.h"
#include "kernel/poll.h"
#include "kernel/proc/process.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"

struct signalfd {
	uint64_t mask; /* [a] */
};

/* Linux's struct signalfd_siginfo. */
struct signalfd_info {
	uint32_t signo;
	int32_t errno_, code;
	uint32_t pid, uid;
	int32_t fd;
	uint32_t timer_id, band, overrun, trapno;
	int32_t status, value;
	uint64_t pointer, utime, stime, addr;
	uint16_t addr_lsb, pad16;
	int32_t syscall;
	uint64_t call_addr;
	uint32_t arch;
	uint8_t pad[28];
};

static_assert(sizeof(struct signalfd_info) == 128, "signalfd_siginfo layout");

static struct signalfd_info
signalfd_describe(const struct siginfo *si)
{
	if (si->code == SI_TIMER)
		return (struct signalfd_info){
		    .signo = (uint32_t)si->signo,
		    .errno_ = si->errno_,
		    .code = si->code,
		    .timer_id = si->pid,
		    .overrun = si->uid,
		    .value = (int32_t)si->value,
		    .pointer = si->value,
		};
	if (siginfo_is_of_file(si))
		return (struct signalfd_info){
		    .signo = (uint32_t)si->signo,
		    .errno_ = si->errno_,
		    .code = si->code,
		    .fd = si->status,
		    .band = (uint32_t)si->value,
		};
	return (struct signalfd_info){
	    .signo = (uint32_t)si->signo,
	    .errno_ = si->errno_,
	    .code = si->code,
	    .pid = si->pid,
	    .uid = si->uid,
	    .status = si->status,
	    .value = (int32_t)si->value,
	    .pointer = si->value,
	    .utime = (uint64_t)si->utime,
	    .stime = (uint64_t)si->stime,
	    .addr = si->addr,
	};
}

static bool
signalfd_is_ready(const struct signalfd *s)
{
	const struct thread *t = current_thread();
	uint64_t pending = t->sig_pending | t->process->shared_pending.pending;

	return pending & __atomic_load_n(&s->mask, __ATOMIC_RELAXED);
}

static ssize_t
signalfd_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct signalfd *s = f->private;
	struct signalfd_info out;
	struct siginfo si;
	ssize_t done = 0;

	if (u->resid < sizeof(out))
		return ERR_INVAL;
	while (u->resid >= sizeof(out)) {
		enum err err;

		if (signal_take_from(s->mask, &si)) {
			out = signalfd_describe(&si);
			if (uio_copy_to(u, &out, sizeof(out)) != sizeof(out))
				return done ? done : ERR_FAULT;
			done += sizeof(out);
			continue;
		}
		if (done || (f->flags & O_NONBLOCK))
			return done ? done : ERR_AGAIN;
		err = wait_event(&current_process()->signalfd_wait, signalfd_is_ready(s),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	return done;
}

static uint32_t
signalfd_poll(struct file *f, struct poll_table *pt)
{
	poll_wait(f, &current_process()->signalfd_wait, pt);
	return signalfd_is_ready(f->private) ? POLLIN : 0;
}

static void
signalfd_release(struct file *f)
{
	kfree(f->private);
}

static const struct file_ops signalfd_ops = {
    .read = signalfd_read,
    .poll = signalfd_poll,
    .release = signalfd_release,
    .anon_mode = 0600,
    .anon_name = "[signalfd]",
};

static long
signalfd_change(int fd, uint64_t mask)
{
	struct file *f = fd_get(fd);
	long result = fd;

	if (!f)
		return ERR_BADF;
	if (f->ops == &signalfd_ops)
		__atomic_store_n(
		    &((struct signalfd *)f->private)->mask, mask, __ATOMIC_RELAXED);
	else
		result = ERR_INVAL;
	file_put(f);
	return result;
}

long
sys_signalfd4(int fd, const uint64_t USER *umask, size_t setsize, int flags)
{
	struct signalfd *s;
	uint64_t mask;

	if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) || setsize != sizeof(mask))
		return ERR_INVAL;
	if (get_user(mask, umask) != OK)
		return ERR_FAULT;
	mask &= ~(SIGMASK(SIGKILL) | SIGMASK(SIGSTOP));
	if (fd != -1)
		return signalfd_change(fd, mask);
	s = kmalloc(sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	s->mask = mask;
	return anon_file_install(&signalfd_ops, O_RDWR, flags, s);
}

long
sys_signalfd(int fd, const uint64_t USER *mask, size_t setsize)
{
	return sys_signalfd4(fd, mask, setsize, 0);
}
