/*
 * Futexes that are locks with priority inheritance. The word holds the owner's tid, which
 * user code puts there and takes away alone while nobody waits. Who finds it taken sets
 * FUTEX_WAITERS, so that the owner must come here to unlock, and queues in a struct
 * futex_pi, which lives while anybody waits: it stands in the word's bucket, and its
 * inherit_lock (kernel/sched/inherit.h) has the line and lends the owner its priority.
 *
 * Unlocking hands the lock over: the first in line is owner, in word and line, before it
 * runs. So it has the lock even if a signal or its time-out comes first. Only when an owner
 * ends does the next one write the word itself, with FUTEX_OWNER_DIED.
 *
 * FUTEX_WAIT_REQUEUE_PI waits for a condition variable (an ordinary bucket) until
 * FUTEX_CMP_REQUEUE_PI takes the lock for it or queues it there.
 *
 * Locks: the bucket's guards word, futex_pi and its life; the graph's, under it, the line,
 * which an ending owner changes with that one alone. The word is touched under the
 * bucket's lock, so a missing page means: let go, bring it in, repeat.
 */
#include "kernel/ipc/futex_priv.h"
#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "kernel/proc/signal.h"
#include "kernel/sched/inherit.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

struct futex_pi {
	struct list link; /* [bucket] */
	struct futex_key key;
	struct inherit_lock line;
	unsigned num_users; /* [bucket] calls that have queued and not returned */
};

struct futex_pi_waiter {
	struct inherit_waiter inherit;
	struct futex_pi *pi;  /* [bucket] NULL: has not queued */
	struct futex_key key; /* [I] FUTEX_WAIT_REQUEUE_PI: where it is to be moved */
};

/* A word to be locked. `spare` becomes its futex_pi when it has none. */
struct pi_target {
	uint32_t USER *uaddr;
	struct futex_key key;
	struct futex_bucket *bucket;
	struct futex_pi *spare;
};

/* What a try to lock came to, if not an error. */
enum pi_step { PI_QUEUED, PI_TAKEN, PI_CHANGED };

static struct futex_pi *
pi_find(const struct futex_bucket *b, const struct futex_key *key)
{
	struct futex_pi *pi;

	list_for_each(pi, &b->pi_locks, link)
		if (futex_key_equal(&pi->key, key))
			return pi;
	return NULL;
}

bool
futex_is_pi_locked(const struct futex_bucket *b, const struct futex_key *key)
{
	return pi_find(b, key) != NULL;
}

static enum err
pi_target_init(struct pi_target *target, uint32_t USER *uaddr, bool is_shared)
{
	enum err err = futex_key_get(&target->key, uaddr, is_shared, AREA_WRITE);

	if (err != OK)
		return err;
	target->uaddr = uaddr;
	target->bucket = futex_bucket(&target->key);
	target->spare = kzalloc(sizeof(*target->spare));
	return target->spare ? OK : ERR_NOMEM;
}

static void
pi_target_fini(struct pi_target *target)
{
	kfree(target->spare);
}

/* ---- Locking ---- */

/* One try to change the word under the bucket's lock: PI_CHANGED if it is not `old`. */
static long
pi_swap_locked(const struct pi_target *target, uint32_t old, uint32_t new)
{
	uint32_t seen;
	enum err err = user_cmpxchg32_locked(target->uaddr, old, new, &seen);

	if (err != OK)
		return err;
	return seen == old ? OK : PI_CHANGED;
}

/* Whether the word `value` may be that of a lock others wait for already: the owner's tid,
 * or none where the owner has just ended. */
static bool
pi_is_consistent(const struct futex_pi *pi, uint32_t value)
{
	bool was_left;
	uint32_t tid = inherit_owner_tid(&pi->line, &was_left);

	if (was_left || ((value & FUTEX_OWNER_DIED) && !(value & FUTEX_TID_MASK)))
		return true;
	return (value & FUTEX_TID_MASK) == tid;
}

static void
pi_count_in(struct futex_pi *pi, struct futex_pi_waiter *w)
{
	pi->num_users++;
	w->pi = pi;
}

/* `w` is the first to wait: makes the futex_pi, of the owner that the word names. */
static long
pi_queue_first_locked(struct pi_target *target, uint32_t value, struct futex_pi_waiter *w)
{
	struct thread *owner;
	struct futex_pi *pi = target->spare;
	uint32_t now;
	long result;

	if (!(value & FUTEX_WAITERS)) {
		result = pi_swap_locked(target, value, value | FUTEX_WAITERS);
		if (result != OK)
			return result;
		value |= FUTEX_WAITERS;
	}
	owner = thread_find(value & FUTEX_TID_MASK);
	result = owner ? inherit_wait(&pi->line, owner, &w->inherit) : ERR_SRCH;
	if (owner)
		thread_put(owner);
	if (result == ERR_SRCH) {
		/* It has ended: what it left in the word, or wrote just now, counts. */
		if (user_load32_locked(target->uaddr, &now) != OK)
			return ERR_FAULT;
		return now == value ? ERR_SRCH : PI_CHANGED;
	}
	if (result != OK)
		return result;
	target->spare = NULL;
	pi->key = target->key;
	list_push_back(&target->bucket->pi_locks, &pi->link);
	pi_count_in(pi, w);
	return PI_QUEUED;
}

/*
 * Takes the lock for w's thread if it is free, else queues it. `waiters`: FUTEX_WAITERS if
 * others are to queue behind it at once, or 0. An enum pi_step, or an error; ERR_FAULT:
 * bring the page in and repeat. The bucket is locked.
 */
static long
pi_lock_locked(struct pi_target *target, struct futex_pi_waiter *w, uint32_t waiters)
{
	uint32_t tid = w->inherit.thread->tid, value;
	struct futex_pi *pi;
	long result;

	if (user_load32_locked(target->uaddr, &value) != OK)
		return ERR_FAULT;
	if ((value & FUTEX_TID_MASK) == tid)
		return ERR_DEADLK;
	pi = pi_find(target->bucket, &target->key);
	if (pi) {
		if (!pi_is_consistent(pi, value))
			return ERR_INVAL;
		result = inherit_wait(&pi->line, pi->line.owner, &w->inherit);
		if (result != OK)
			return result;
		pi_count_in(pi, w);
		return PI_QUEUED;
	}
	if (futex_has_waiters_locked(target->bucket, &target->key))
		return ERR_INVAL;
	if (value & FUTEX_TID_MASK)
		return pi_queue_first_locked(target, value, w);
	result =
	    pi_swap_locked(target, value, (value & FUTEX_OWNER_DIED) | tid | waiters);
	return result == OK ? PI_TAKEN : result;
}

/* After a try that came to nothing: whether to make another. */
static enum err
pi_retry(const struct pi_target *target, long result)
{
	if (result != ERR_FAULT && result != PI_CHANGED)
		return (enum err)result;
	return futex_fault_in(target->uaddr);
}

/* ---- Waiting ---- */

/*
 * The last owner ended, and `w` has the lock: says so in the word. ERR_FAULT: the word is
 * gone, and with it the lock's use.
 */
static enum err
pi_settle(const struct pi_target *target, const struct futex_pi_waiter *w)
{
	uint32_t old, new, seen;
	enum err err = user_load32(target->uaddr, &old);

	while (err == OK) {
		new = FUTEX_OWNER_DIED | FUTEX_WAITERS | w->inherit.thread->tid;
		err = user_cmpxchg32(target->uaddr, old, new, &seen);
		if (err == OK && seen == old)
			break;
		old = seen;
	}
	return err;
}

/* The call of `w` returns. The last one takes the futex_pi along: to be freed, or NULL. */
static struct futex_pi *
pi_count_out_locked(struct futex_pi_waiter *w)
{
	struct futex_pi *pi = w->pi;

	if (--pi->num_users)
		return NULL;
	list_remove(&pi->link);
	return pi;
}

/*
 * `w` was given the lock, and returns with it; after an owner that ended the word has to
 * be written. If that fails the lock goes to the next in line.
 */
static enum err
pi_own(const struct pi_target *target, struct futex_pi_waiter *w)
{
	struct inherit_lock *line = &w->pi->line;
	struct inherit_waiter *next;
	struct futex_pi *dead;
	bool was_left;
	enum err err = OK;

	(void)inherit_owner_tid(line, &was_left);
	if (was_left)
		err = pi_settle(target, w);
	spin_lock(&target->bucket->lock);
	next = err == OK ? NULL : inherit_first(line);
	if (next)
		inherit_give(line, next);
	else
		inherit_settle(line);
	dead = pi_count_out_locked(w);
	spin_unlock(&target->bucket->lock);
	kfree(dead);
	return err;
}

/*
 * `w` has queued: sleeps until the lock is its. OK, ERR_TIMEDOUT, or ERR_RESTARTNOINTR
 * for a signal.
 */
static enum err
pi_wait(const struct pi_target *target, struct futex_pi_waiter *w, nsec_t deadline)
{
	struct futex_pi *dead = NULL;
	bool owns;
	enum err err;

	err = wait_alone(!__atomic_load_n(&w->inherit.lock, __ATOMIC_ACQUIRE),
	    WAIT_INTERRUPTIBLE, deadline);
	spin_lock(&target->bucket->lock);
	owns = inherit_stop(&w->inherit);
	if (!owns)
		dead = pi_count_out_locked(w);
	spin_unlock(&target->bucket->lock);
	kfree(dead);
	if (owns)
		return pi_own(target, w);
	return err == ERR_RESTARTSYS ? ERR_RESTARTNOINTR : err;
}

long
futex_lock_pi(const struct futex_call *c, bool is_wall)
{
	struct futex_pi_waiter w = {.inherit.thread = current_thread()};
	struct pi_target target = {0};
	nsec_t deadline;
	long result;
	enum err err = futex_deadline(
	    (const struct timespec USER *)c->timeout, true, is_wall, &deadline);

	if (err == OK)
		err = pi_target_init(&target, c->uaddr, c->is_shared);
	while (err == OK) {
		spin_lock(&target.bucket->lock);
		result = pi_lock_locked(&target, &w, 0);
		spin_unlock(&target.bucket->lock);
		if (result == PI_QUEUED)
			err = pi_wait(&target, &w, deadline);
		if (result == PI_QUEUED || result == PI_TAKEN)
			break;
		err = pi_retry(&target, result);
	}
	pi_target_fini(&target);
	return err;
}

/* Like Linux's, it fails as locking would: ERR_DEADLK, ERR_SRCH. */
long
futex_trylock_pi(const struct futex_call *c)
{
	struct futex_pi_waiter w = {.inherit.thread = current_thread()};
	struct pi_target target = {0};
	long result;
	enum err err = pi_target_init(&target, c->uaddr, c->is_shared);

	while (err == OK) {
		spin_lock(&target.bucket->lock);
		result = pi_lock_locked(&target, &w, 0);
		spin_unlock(&target.bucket->lock);
		if (result == PI_QUEUED) /* a time-out long ago ends it at once */
			err = pi_wait(&target, &w, 1);
		if (err == ERR_TIMEDOUT || err == ERR_RESTARTNOINTR)
			err = ERR_AGAIN;
		if (result == PI_QUEUED || result == PI_TAKEN)
			break;
		err = pi_retry(&target, result);
	}
	pi_target_fini(&target);
	return err;
}

/* ---- Unlocking ---- */

/* The word is `value`, and the caller's by it. As pi_lock_locked. */
static long
pi_unlock_locked(const struct pi_target *target, uint32_t value)
{
	struct futex_pi *pi = pi_find(target->bucket, &target->key);
	struct inherit_waiter *next;
	bool was_left;
	long result;

	if (!pi) {
		if (futex_has_waiters_locked(target->bucket, &target->key))
			return ERR_INVAL;
		return pi_swap_locked(target, value, 0);
	}
	if (inherit_owner_tid(&pi->line, &was_left) != current_thread()->tid)
		return ERR_INVAL;
	/* Whoever owns it and runs has others behind it, or there would be no futex_pi. */
	next = inherit_first(&pi->line);
	ASSERT(next);
	result = pi_swap_locked(target, value, FUTEX_WAITERS | next->thread->tid);
	if (result == OK)
		inherit_give(&pi->line, next);
	return result;
}

long
futex_unlock_pi(const struct futex_call *c)
{
	struct pi_target target = {.uaddr = c->uaddr};
	uint32_t value;
	long result = PI_CHANGED;
	enum err err = user_load32(c->uaddr, &value);

	if (err == OK && (value & FUTEX_TID_MASK) != current_thread()->tid)
		return ERR_PERM;
	if (err == OK)
		err = futex_key_get(&target.key, c->uaddr, c->is_shared, AREA_WRITE);
	if (err == OK)
		target.bucket = futex_bucket(&target.key);
	while (err == OK) {
		spin_lock(&target.bucket->lock);
		result = pi_unlock_locked(&target, value);
		spin_unlock(&target.bucket->lock);
		if (result == OK)
			break;
		err = pi_retry(&target, result);
		if (err == OK)
			err = user_load32(c->uaddr, &value);
		if (err == OK && (value & FUTEX_TID_MASK) != current_thread()->tid)
			err = ERR_PERM;
	}
	return err;
}

/* ---- Condition variables ---- */

/* The look at the word comes after queueing, as in an ordinary wait. */
static enum err
requeue_wait(struct futex_waiter *w, const struct futex_call *c, nsec_t deadline)
{
	uint32_t now;
	enum err err;

	futex_queue(w);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = user_load32(c->uaddr, &now);
	if (err == OK && now != c->val)
		err = ERR_AGAIN;
	if (err != OK)
		return err;
	return wait_alone(futex_is_woken(w), WAIT_INTERRUPTIBLE, deadline);
}

long
futex_wait_requeue_pi(const struct futex_call *c)
{
	struct futex_pi_waiter pi = {.inherit.thread = current_thread()};
	struct futex_waiter w = {
	    .thread = current_thread(), .bitset = FUTEX_BITSET_ANY, .pi = &pi};
	struct pi_target target = {.uaddr = c->uaddr2};
	nsec_t deadline;
	enum err err = futex_deadline(
	    (const struct timespec USER *)c->timeout, true, c->is_wall, &deadline);

	if (err == OK && c->uaddr == c->uaddr2)
		err = ERR_INVAL;
	if (err == OK)
		err = futex_key_get(&w.key, c->uaddr, c->is_shared, AREA_READ);
	if (err == OK)
		err = futex_key_get(&pi.key, c->uaddr2, c->is_shared, AREA_WRITE);
	if (err == OK && futex_key_equal(&w.key, &pi.key))
		err = ERR_INVAL;
	if (err != OK)
		return err;
	err = requeue_wait(&w, c, deadline);
	if (!futex_unqueue(&w)) /* nobody has moved it */
		return err == ERR_RESTARTSYS ? ERR_RESTARTNOINTR : err;
	if (!pi.pi)
		return OK; /* the lock was free, and taken for it */
	target.key = pi.key;
	target.bucket = futex_bucket(&pi.key);
	err = pi_wait(&target, &pi, deadline);
	/* Not to be repeated: the condition variable has let it go. */
	return err == ERR_RESTARTNOINTR ? ERR_AGAIN : err;
}

/* Takes the lock for `w` or queues it there; from here it is off the condition variable. */
static long
requeue_one_locked(struct pi_target *to, struct futex_waiter *w, uint32_t waiters)
{
	long result;

	if (!w->pi || !futex_key_equal(&w->pi->key, &to->key))
		return ERR_INVAL;
	result = pi_lock_locked(to, w->pi, waiters);
	if (result == PI_TAKEN) {
		futex_wake_locked(w);
	} else if (result == PI_QUEUED) {
		list_remove(&w->link);
		/* It sleeps on, until the lock is given to it. */
		__atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
	}
	return result;
}

/* Moves one waiter and up to max_more. *done counts, also over repetitions. */
static long
requeue_locked(struct futex_bucket *b, const struct futex_key *from, struct pi_target *to,
    unsigned max_more, unsigned *done)
{
	struct futex_waiter *w, *next;
	long result = PI_QUEUED;

	if (pi_find(b, from))
		return ERR_INVAL;
	list_for_each_safe(w, next, &b->waiters, link) {
		if (!futex_key_equal(&w->key, from))
			continue;
		if (*done > max_more)
			break;
		result = requeue_one_locked(to, w, max_more ? FUTEX_WAITERS : 0);
		if (result != PI_QUEUED && result != PI_TAKEN)
			break;
		(*done)++;
	}
	return result == PI_TAKEN ? PI_QUEUED : result;
}

long
futex_cmp_requeue_pi(const struct futex_call *c)
{
	struct pi_target to = {0};
	struct futex_key from;
	struct futex_bucket *b;
	unsigned done = 0;
	uint32_t now;
	long result = PI_CHANGED;
	enum err err = OK;

	if (c->val != 1 || (int32_t)c->timeout < 0 || c->uaddr == c->uaddr2)
		return ERR_INVAL;
	err = futex_key_get(&from, c->uaddr, c->is_shared, AREA_READ);
	if (err == OK)
		err = pi_target_init(&to, c->uaddr2, c->is_shared);
	if (err == OK && futex_key_equal(&from, &to.key))
		err = ERR_INVAL;
	if (err == OK) /* the lock must be there, though nobody is to be moved to it */
		err = user_load32(c->uaddr2, &now);
	b = err == OK ? futex_bucket(&from) : NULL;
	while (err == OK && result != PI_QUEUED) {
		spin_lock_pair(&b->lock, &to.bucket->lock);
		err = user_load32_locked(c->uaddr, &now);
		if (err == OK && now == c->val3)
			result =
			    requeue_locked(b, &from, &to, (uint32_t)c->timeout, &done);
		spin_unlock_pair(&b->lock, &to.bucket->lock);
		if (err == ERR_FAULT)
			err = user_load32(c->uaddr, &now);
		else if (now != c->val3)
			err = ERR_AGAIN;
		else if (result != PI_QUEUED)
			err = pi_retry(&to, result);
	}
	pi_target_fini(&to);
	return err == OK || done ? (long)done : err;
}
