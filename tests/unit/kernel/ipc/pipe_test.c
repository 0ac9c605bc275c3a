/*
 * kernel/ipc/pipe.c: the ring, atomic writes, ends that close, resizing.
 * LINK: kernel/ipc/pipe.c kernel/file.c mm/uio.c lib/string.c lib/fmt.c
 * LINK: tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * LINK: tests/fakes/wait.c tests/fakes/rcu.c tests/fakes/clock.c
 * LINK: tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/frames.c
 */
#include "kernel/ipc/pipe.h"

#include "kernel/fcntl.h"
#include "kernel/ipc/epoll.h"
#include "kernel/poll.h"
#include "kernel/proc/async.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "syscalls.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static struct process process = {.pid = 1};
static struct cred cred;
static struct file *installed[2];
static unsigned num_installed, sigpipes;
static long caches; /* what lives for ever */

/* User memory is ours. */
enum err
copy_to_user(void USER *dst, const void *src, size_t n)
{
	memcpy((void *)(uintptr_t)dst, src, n);
	return OK;
}

int
fd_install(struct file *f, int min_fd, bool cloexec)
{
	installed[num_installed] = f;
	return (int)num_installed++;
}

enum err
fd_close(int fd)
{
	file_put(installed[fd]);
	return OK;
}

const struct cred *
current_cred(void)
{
	return &cred;
}

bool
capable(enum capability cap)
{
	return false;
}

enum err
signal_send_thread(struct thread *t, int sig, const struct siginfo *info)
{
	sigpipes += sig == SIGPIPE;
	return OK;
}

struct file *
fd_get(int fd)
{
	return NULL;
}

void
epoll_forget_file(struct file *f)
{
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
file_drop_path(struct file *f)
{
}

static struct file *rd, *wr;

static void
open_pipe(void)
{
	static bool is_up;
	int fds[2];

	if (!is_up) {
		file_init();
		caches = fake_kmalloc_live;
	}
	is_up = true;
	fake_thread.process = &process;
	num_installed = 0;
	fake_on_sleep = NULL;
	if (sys_pipe2((int USER *)(uintptr_t)fds, O_NONBLOCK) == OK) {
		rd = installed[0];
		wr = installed[1];
	}
}

static ssize_t
put(const void *buf, size_t n)
{
	return file_write_at(wr, buf, n, 0);
}

static ssize_t
get(void *buf, size_t n)
{
	return file_read_at(rd, buf, n, 0);
}

static bool
close_pipe(void)
{
	file_put(rd);
	file_put(wr);
	fake_rcu_run();
	return fake_kmalloc_live == caches && fake_frames_live == 0;
}

KTEST(pipe_keeps_order_through_odd_sizes)
{
	static uint8_t out[7001], in[7001];
	uint8_t next_out = 0, next_in = 0;
	size_t inside = 0;

	open_pipe();
	for (unsigned round = 0; round < 2000; round++) {
		size_t n = round * 37 % sizeof(out) + 1, m = round * 53 % sizeof(in) + 1;
		ssize_t w, r;

		for (size_t i = 0; i < n; i++)
			out[i] = (uint8_t)(next_out + i);
		w = put(out, n);
		CHECK(w > 0 || w == ERR_AGAIN);
		if (w > 0) {
			next_out = (uint8_t)(next_out + w);
			inside += (size_t)w;
		}
		r = get(in, m);
		CHECK(r > 0 || r == ERR_AGAIN);
		for (ssize_t i = 0; i < r; i++)
			CHECK_EQ(in[i], next_in++);
		if (r > 0)
			inside -= (size_t)r;
		CHECK(inside <= 65536);
	}
	CHECK(close_pipe());
}

KTEST(pipe_small_writes_are_all_or_nothing)
{
	static char buf[65536];

	open_pipe();
	CHECK_EQ(put(buf, 65536), 65536);
	CHECK_EQ(put(buf, 1), ERR_AGAIN);
	CHECK_EQ(get(buf, 4095), 4095);
	CHECK_EQ(put(buf, 4096), ERR_AGAIN);
	CHECK_EQ(get(buf, 1), 1);
	CHECK_EQ(put(buf, 4096), 4096);
	CHECK_EQ(get(buf, 5000), 5000);
	CHECK_EQ(put(buf, 5000), 4096); /* not atomic: what fits */
	CHECK(close_pipe());
}

KTEST(pipe_ends_tell_each_other)
{
	char c;

	open_pipe();
	CHECK_EQ(rd->ops->poll(rd, NULL), 0);
	CHECK_EQ(put("x", 1), 1);
	file_get(rd);
	file_put(wr);
	CHECK_EQ(rd->ops->poll(rd, NULL), POLLIN | POLLRDNORM | POLLHUP);
	CHECK_EQ(get(&c, 1), 1);
	CHECK_EQ(get(&c, 1), 0);
	file_put(rd);
	file_put(rd);
	open_pipe();
	sigpipes = 0;
	file_put(rd);
	CHECK_EQ(put("x", 1), ERR_PIPE);
	CHECK_EQ(sigpipes, 1);
	CHECK(wr->ops->poll(wr, NULL) & POLLERR);
	file_put(wr);
	fake_rcu_run();
	CHECK(fake_kmalloc_live == caches && fake_frames_live == 0);
}

KTEST(pipe_resize_keeps_what_is_there)
{
	static char buf[20000];

	open_pipe();
	CHECK_EQ(pipe_fcntl(rd, F_GETPIPE_SZ, 0), 65536);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (char)i;
	CHECK_EQ(put(buf, sizeof(buf)), (ssize_t)sizeof(buf));
	CHECK_EQ(pipe_fcntl(rd, F_SETPIPE_SZ, 4096), ERR_BUSY);
	CHECK_EQ(pipe_fcntl(rd, F_SETPIPE_SZ, 20000), 32768);
	CHECK_EQ(pipe_fcntl(rd, F_SETPIPE_SZ, 2 << 20), ERR_PERM);
	CHECK_EQ(pipe_fcntl(rd, F_SETPIPE_SZ, 16 << 20), ERR_INVAL);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(get(buf, sizeof(buf)), (ssize_t)sizeof(buf));
	for (unsigned i = 0; i < sizeof(buf); i++)
		CHECK_EQ(buf[i], (char)i);
	CHECK(close_pipe());
}

static void
writer_comes(void)
{
	CHECK_EQ(put("late", 4), 4);
}

KTEST(pipe_reader_sleeps_until_data_comes)
{
	char buf[8];

	open_pipe();
	rd->flags &= ~(uint32_t)O_NONBLOCK;
	fake_on_sleep = writer_comes;
	CHECK_EQ(get(buf, sizeof(buf)), 4);
	fake_on_sleep = NULL;
	fake_signal_pending = true;
	CHECK_EQ(get(buf, sizeof(buf)), ERR_RESTARTSYS);
	fake_signal_pending = false;
	CHECK(close_pipe());
}

KTEST(pipe_survives_every_failed_allocation)
{
	char buf[8];

	for (unsigned n = 1; n < 6; n++) {
		int fds[2];
		long err;

		num_installed = 0;
		fake_kmalloc_fail_nth(n);
		err = sys_pipe2((int USER *)(uintptr_t)fds, 0);
		fake_kmalloc_fail_nth(0);
		if (err == OK) {
			rd = installed[0];
			wr = installed[1];
			CHECK(close_pipe());
		} else {
			CHECK_EQ(err, ERR_NOMEM);
			fake_rcu_run();
			CHECK_EQ(fake_kmalloc_live, caches);
		}
	}
	open_pipe();
	fake_frames_fail_nth(1);
	CHECK_EQ(put("x", 1), ERR_NOMEM);
	fake_frames_fail_nth(0);
	CHECK_EQ(put("x", 1), 1);
	CHECK_EQ(get(buf, 8), 1);
	CHECK(close_pipe());
}
