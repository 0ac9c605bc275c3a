/* eventfd: a counter in a file. write adds, read takes all of it (or 1 with
 * EFD_SEMAPHORE). */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/ipc/anon_file.h"
#include "kernel/poll.h"
#include "kernel/sched/thread.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "syscalls.h"

enum { EFD_SEMAPHORE = 1 };
#define EVENTFD_MAX 0xfffffffffffffffeull

struct eventfd {
	struct spinlock lock;
	uint64_t count; /* [lock]; read without */
	bool is_semaphore;
	struct wait_queue wait;
};

/* Takes the value for a reader; false: nothing there. */
static bool
eventfd_take(struct eventfd *e, uint64_t *value)
{
	spin_lock(&e->lock);
	*value = e->is_semaphore ? e->count > 0 : e->count;
	e->count -= *value;
	spin_unlock(&e->lock);
	return *value > 0;
}

static ssize_t
eventfd_read(struct file *f, struct uio *u, loff_t *pos)
{
	struct eventfd *e = f->private;
	uint64_t value;

	if (u->resid < sizeof(value))
		return ERR_INVAL;
	while (!eventfd_take(e, &value)) {
		enum err err;

		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(&e->wait, __atomic_load_n(&e->count, __ATOMIC_RELAXED),
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	wait_queue_wake(&e->wait, ~0u, POLLOUT);
	return uio_copy_to(u, &value, sizeof(value)) == sizeof(value)
	           ? (ssize_t)sizeof(value)
	           : ERR_FAULT;
}

static bool
eventfd_add(struct eventfd *e, uint64_t value)
{
	bool fits;

	spin_lock(&e->lock);
	fits = value <= EVENTFD_MAX - e->count;
	if (fits)
		e->count += value;
	spin_unlock(&e->lock);
	return fits;
}

static ssize_t
eventfd_write(struct file *f, struct uio *u, loff_t *pos)
{
	struct eventfd *e = f->private;
	uint64_t value;

	if (u->resid < sizeof(value))
		return ERR_INVAL;
	if (uio_copy_from(u, &value, sizeof(value)) != sizeof(value))
		return ERR_FAULT;
	if (value == UINT64_MAX)
		return ERR_INVAL;
	while (!eventfd_add(e, value)) {
		enum err err;

		if (f->flags & O_NONBLOCK)
			return ERR_AGAIN;
		err = wait_event(&e->wait,
		    __atomic_load_n(&e->count, __ATOMIC_RELAXED) <= EVENTFD_MAX - value,
		    WAIT_INTERRUPTIBLE, NO_TIMEOUT);
		if (err != OK)
			return err;
	}
	wait_queue_wake(&e->wait, ~0u, POLLIN);
	return sizeof(value);
}

static uint32_t
eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->private;
	uint64_t count;

	poll_wait(f, &e->wait, pt);
	count = __atomic_load_n(&e->count, __ATOMIC_ACQUIRE);
	return (count ? POLLIN : 0) | (count < EVENTFD_MAX ? POLLOUT : 0);
}

static void
eventfd_release(struct file *f)
{
	kfree(f->private);
}

static const struct file_ops eventfd_ops = {
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
    .anon_mode = 0600,
    .anon_name = "[eventfd]",
};

long
sys_eventfd2(unsigned initval, int flags)
{
	struct eventfd *e;

	if (flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK))
		return ERR_INVAL;
	e = kzalloc(sizeof(*e));
	if (!e)
		return ERR_NOMEM;
	spin_init(&e->lock, "eventfd", RANK_OBJECT);
	wait_queue_init(&e->wait);
	e->count = initval;
	e->is_semaphore = flags & EFD_SEMAPHORE;
	return anon_file_install(&eventfd_ops, O_RDWR, flags, e);
}

long
sys_eventfd(unsigned initval)
{
	return sys_eventfd2(initval, 0);
}
