/*
 * What the file name space wants of the rest of the kernel: a process with credentials
 * and a few descriptors, user memory that is just memory, random numbers that repeat.
 */
#include "fs/vfs.h"
#include "kernel/procfs.h"
#include "kernel/device.h"
#include "kernel/ipc/epoll.h"
#include "kernel/ipc/pipe.h"
#include "kernel/proc/async.h"
#include "kernel/proc/process.h"
#include "kernel/proc/signal.h"
#include "kernel/random.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/filemap.h"
#include "mm/usercopy.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/fs_env.h"

struct process fake_process;
struct file *fake_fds[8];
extern struct cred cred_root;
static uint64_t state = 1;

const struct area_ops filemap_area_ops;

void
fake_fs_begin(void)
{
	file_init();
	dcache_init();
	namei_init();
	tmpfs_init();
	fake_become(&cred_root);
	for (unsigned i = 0; i < RLIMITS; i++)
		fake_process.rlimits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	if (fs_mount("rootfs", "rootfs", NULL, 0, "mode=755"))
		abort();
	fs_init_context = fs_context_create_first();
	fake_thread.process = &fake_process;
	fake_thread.fs = fs_init_context;
}

void
fake_become(struct cred *cred)
{
	fake_process.cred = cred;
}

uint64_t
random_u64(void)
{
	return state = state * 6364136223846793005ull + 1442695040888963407ull;
}

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5a, n);
}

bool
signal_is_pending(const struct thread *t)
{
	return fake_signal_pending;
}

enum err
signal_send_thread(struct thread *t, int sig, const struct siginfo *info)
{
	return OK;
}

void
epoll_forget_file(struct file *f)
{
}

bool
filemap_evict(struct page_cache *c, const struct page *pg)
{
	return false;
}

void
file_owner_leave(struct file *f)
{
}

void
async_list_init(struct async_list *l)
{
	list_init(&l->owners);
}

void
async_tell_all(struct async_list *l, enum poll_code code)
{
}

void
filemap_unmap(struct page_cache *c, uint64_t first, uint64_t end, bool with_copies)
{
}

enum err
fifo_open(struct file *f, struct pipe **slot, struct spinlock *lock)
{
	return ERR_NXIO;
}

enum err
pipe_open_again(struct file *f, const struct file *from)
{
	return ERR_NXIO;
}

struct file *
fd_get(int fd)
{
	return fd >= 0 && fd < 8 && fake_fds[fd] ? file_get(fake_fds[fd]) : NULL;
}

long
strncpy_from_user(char *dst, const char USER *src, size_t size)
{
	const char *s = (const char __attribute__((force)) *)src;
	size_t n = strnlen(s, size);

	if (n == size)
		return ERR_NAMETOOLONG;
	memcpy(dst, s, n + 1);
	return (long)n;
}

enum err
copy_from_user(void *dst, const void USER *src, size_t n)
{
	return ERR_FAULT;
}

enum err
copy_to_user(void USER *dst, const void *src, size_t n)
{
	return ERR_FAULT;
}

/* ---- What fs/inotify.c stands on ------------------------------------------------------- */

int
fd_install(struct file *f, int min_fd, bool cloexec)
{
	return ERR_MFILE; /* no process here has descriptors */
}

void
proc_register_numbers(struct proc_number numbers[], unsigned n)
{
}

void
mqueue_closed_by(struct file *f)
{
}

enum err
proc_register_private(const char *name, void (*show)(struct seq *),
    enum err (*store)(void *private, const char *text), void *private)
{
	return OK;
}
