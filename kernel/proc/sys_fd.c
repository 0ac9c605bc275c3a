/* System calls on descriptors as such: close, dup, fcntl, ioctl. */
#include "syscalls.h"

#include "kernel/fcntl.h"
#include "kernel/ipc/pipe.h"
#include "kernel/proc/async.h"
#include "kernel/proc/fdtable.h"
#include "kernel/proc/process.h"
#include "mm/usercopy.h"

long
sys_close(int fd)
{
	return fd_close(fd);
}

enum { CLOSE_RANGE_UNSHARE = 1 << 1, CLOSE_RANGE_CLOEXEC = 1 << 2 };

long
sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	enum err err = OK;

	if ((flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) ||
	    first > last)
		return ERR_INVAL;
	if (flags & CLOSE_RANGE_UNSHARE)
		err = fd_table_unshare();
	if (err == OK)
		fd_table_close_range(
		    current_thread()->fds, first, last, flags & CLOSE_RANGE_CLOEXEC);
	return err;
}

/* A second descriptor >= min_fd for the file of `fd`. */
static long
fd_duplicate(int fd, unsigned min_fd, bool cloexec)
{
	struct file *f = fd_get(fd);
	int result;

	if (!f)
		return ERR_BADF;
	result = fd_install(f, (int)min_fd, cloexec);
	if (result < 0)
		file_put(f);
	return result;
}

long
sys_dup(int fd)
{
	return fd_duplicate(fd, 0, false);
}

static long
fd_duplicate_to(int oldfd, int newfd, bool cloexec)
{
	struct file *f = fd_get(oldfd);
	enum err err;

	if (!f)
		return ERR_BADF;
	err = fd_table_replace(current_thread()->fds, f, (unsigned)newfd, cloexec);
	file_put(f);
	return err == OK ? newfd : err;
}

long
sys_dup2(int oldfd, int newfd)
{
	struct file *f;

	if (oldfd != newfd)
		return fd_duplicate_to(oldfd, newfd, false);
	f = fd_get(oldfd);
	if (!f)
		return ERR_BADF;
	file_put(f);
	return newfd;
}

long
sys_dup3(int oldfd, int newfd, int flags)
{
	if ((flags & ~O_CLOEXEC) || oldfd == newfd)
		return ERR_INVAL;
	return fd_duplicate_to(oldfd, newfd, flags & O_CLOEXEC);
}

/* What F_SETFL may change; the rest of its argument is ignored, as on Linux. */
enum { SETFL_MASK = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME };

/* O_ASYNC stays as it is where there is nothing to tell. */
static long
file_set_flags(struct file *f, int fd, uint32_t flags)
{
	uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED), new;

	if ((flags & ~old & O_NOATIME) && !file_may_skip_atime(f))
		return ERR_PERM;
	if (((flags ^ old) & O_ASYNC) && f->ops->async) {
		enum err err = file_set_async(f, fd, flags & O_ASYNC);

		if (err != OK)
			return err;
	}
	old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
	do
		new = (old & ~(uint32_t)SETFL_MASK) | (flags & SETFL_MASK);
	while (!__atomic_compare_exchange_n(
	    &f->flags, &old, new, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

/* dnotify, of which inotify took the place, can only be ended. */
static long
file_notify(const struct file *f, int events)
{
	if (!(events & ~DN_MULTISHOT))
		return 0;
	return f->ops->readdir ? ERR_INVAL : ERR_NOTDIR;
}

static long
file_fcntl(struct file *f, int fd, unsigned cmd, uintptr_t arg)
{
	switch (cmd) {
	case F_GETFL:
		return f->flags &
		       ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	case F_SETFL: return file_set_flags(f, fd, (uint32_t)arg);
	case F_SETOWN:
	case F_GETOWN:
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
	case F_GETOWNER_UIDS: return file_fcntl_owner(f, cmd, arg);
	case F_NOTIFY: return file_notify(f, (int32_t)arg);
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ: return pipe_fcntl(f, cmd, arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW: return file_fcntl_lock(f, cmd, arg);
	case F_ADD_SEALS:
	case F_GET_SEALS: return file_fcntl_seals(f, cmd, arg);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT: return file_fcntl_hint(f, cmd, arg);
	default: return ERR_INVAL;
	}
}

static bool
fcntl_works_on_path(unsigned cmd)
{
	return cmd == F_GETFL || cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ||
	       cmd == F_GETFD || cmd == F_SETFD;
}

static long
fcntl_dup(struct file *f, uintptr_t min_fd, bool cloexec)
{
	int fd;

	if (min_fd >= current_process()->rlimits[RLIMIT_NOFILE].cur)
		return ERR_INVAL;
	fd = fd_install(file_get(f), (int)min_fd, cloexec);
	if (fd < 0)
		file_put(f);
	return fd;
}

long
sys_fcntl(int fd, unsigned cmd, uintptr_t arg)
{
	struct fd_table *t = current_thread()->fds;
	struct file *f = fd_get(fd);
	long result;

	if (!f)
		return ERR_BADF;
	if ((f->mode & FILE_PATH) && !fcntl_works_on_path(cmd))
		result = ERR_BADF;
	else if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		result = fcntl_dup(f, arg, cmd == F_DUPFD_CLOEXEC);
	else if (cmd == F_GETFD)
		result = fd_table_cloexec(t, (unsigned)fd, -1);
	else if (cmd == F_SETFD)
		result = MIN(fd_table_cloexec(t, (unsigned)fd, arg & FD_CLOEXEC), 0);
	else
		result = file_fcntl(f, fd, cmd, arg);
	file_put(f);
	return result;
}

/* Requests every file has (asm-generic/ioctls.h). */
enum {
	FIONCLEX = 0x5450,
	FIOCLEX = 0x5451,
	FIOASYNC = 0x5452,
	FIONBIO = 0x5421,
	FIONREAD = 0x541b,
};

static long
file_set_flag_by_user(struct file *f, uint32_t flag, uintptr_t arg)
{
	int32_t on;
	enum err err = get_user(on, (const int32_t USER *)arg);

	if (err != OK)
		return err;
	if (on)
		__atomic_fetch_or(&f->flags, flag, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&f->flags, ~flag, __ATOMIC_RELAXED);
	return 0;
}

static long
file_set_async_by_user(struct file *f, int fd, uintptr_t arg)
{
	int32_t on;

	if (get_user(on, (const int32_t USER *)arg) != OK)
		return ERR_FAULT;
	if (!on == !(f->flags & O_ASYNC))
		return 0;
	return f->ops->async ? file_set_async(f, fd, on) : ERR_NOTTY;
}

/* FIONREAD of a regular file: bytes from its position to its end. */
static long
file_tell_left(struct file *f, uintptr_t arg)
{
	int32_t left = (int32_t)file_bytes_left(f);

	return put_user(left, (int32_t USER *)arg);
}

long
sys_ioctl(int fd, unsigned cmd, uintptr_t arg)
{
	struct file *f = fd_get(fd);
	long result;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		result = ERR_BADF;
	else if (cmd == FIOCLEX || cmd == FIONCLEX)
		result = MIN(
		    fd_table_cloexec(current_thread()->fds, (unsigned)fd, cmd == FIOCLEX),
		    0);
	else if (cmd == FIONBIO)
		result = file_set_flag_by_user(f, O_NONBLOCK, arg);
	else if (cmd == FIOASYNC)
		result = file_set_async_by_user(f, fd, arg);
	else if (cmd == FIONREAD && f->cache)
		result = file_tell_left(f, arg);
	else
		result = f->ops->ioctl ? f->ops->ioctl(f, cmd, arg) : ERR_NOTTY;
	file_put(f);
	return result;
}
