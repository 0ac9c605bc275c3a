/*
 * futex_waitv(2): waiting on up to 128 words at once. As in futex.c, all are queued before
 * any is looked at, so a wake-up that comes in between is seen.
 */
#include "kernel/ipc/futex_priv.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { WAITV_MAX = 128, FUTEX_32 = 2 };

/* Linux's. */
struct futex_waitv {
	uint64_t val;
	uint64_t uaddr;
	uint32_t flags;
	uint32_t reserved;
};

struct waitv_entry {
	struct futex_waiter waiter;
	const uint32_t USER *uaddr;
	uint32_t val;
};

struct waitv {
	unsigned n;
	struct waitv_entry entries[];
};

static enum err
entry_init(struct waitv_entry *e, const struct futex_waitv *u)
{
	if ((u->flags & ~(uint32_t)FUTEX_PRIVATE_FLAG) != FUTEX_32 || u->reserved ||
	    u->val > UINT32_MAX)
		return ERR_INVAL;
	*e = (struct waitv_entry){
	    .waiter = {.thread = current_thread(), .bitset = FUTEX_BITSET_ANY},
	    .uaddr = (const uint32_t USER *)u->uaddr,
	    .val = (uint32_t)u->val,
	};
	return futex_key_get(
	    &e->waiter.key, e->uaddr, !(u->flags & FUTEX_PRIVATE_FLAG), AREA_READ);
}

/* The entries, checked; *err says why there are none. */
static struct waitv *
waitv_create(const struct futex_waitv USER *users, unsigned n, enum err *err)
{
	struct waitv *v = kmalloc(sizeof(*v) + n * sizeof(v->entries[0]));

	*err = v ? OK : ERR_NOMEM;
	if (!v)
		return NULL;
	v->n = n;
	for (unsigned i = 0; i < n && *err == OK; i++) {
		struct futex_waitv user;

		*err = get_user(user, &users[i]);
		if (*err == OK)
			*err = entry_init(&v->entries[i], &user);
	}
	if (*err == OK)
		return v;
	kfree(v);
	return NULL;
}

static bool
is_any_woken(const struct waitv *v)
{
	for (unsigned i = 0; i < v->n; i++)
		if (futex_is_woken(&v->entries[i].waiter))
			return true;
	return false;
}

/* Whether every word still has the value that is waited on. */
static enum err
compare_all(const struct waitv *v)
{
	uint32_t now;

	for (unsigned i = 0; i < v->n; i++) {
		if (user_load32(v->entries[i].uaddr, &now) != OK)
			return ERR_FAULT;
		if (now != v->entries[i].val)
			return ERR_AGAIN;
	}
	return OK;
}

/* Leaves all queues: the last entry that was woken, or `otherwise`. */
static long
unqueue_all(struct waitv *v, long otherwise)
{
	for (unsigned i = 0; i < v->n; i++)
		if (futex_unqueue(&v->entries[i].waiter))
			otherwise = i;
	return otherwise;
}

static long
waitv_wait(struct waitv *v, nsec_t deadline)
{
	enum err err;

	for (unsigned i = 0; i < v->n; i++)
		futex_queue(&v->entries[i].waiter);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = compare_all(v);
	if (err == OK) {
		err = wait_alone(is_any_woken(v), WAIT_INTERRUPTIBLE, deadline);
	}
	return unqueue_all(v, err);
}

long
sys_futex_waitv(const struct futex_waitv USER *users, unsigned n, unsigned flags,
    const struct timespec USER *timeout, int clock)
{
	struct waitv *v;
	nsec_t deadline;
	long result;
	enum err err;

	if (flags || !n || n > WAITV_MAX || !users)
		return ERR_INVAL;
	if (timeout && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return ERR_INVAL;
	err = futex_deadline(timeout, true, clock == CLOCK_REALTIME, &deadline);
	if (err != OK)
		return err;
	v = waitv_create(users, n, &err);
	if (!v)
		return err;
	result = waitv_wait(v, deadline);
	kfree(v);
	return result;
}
