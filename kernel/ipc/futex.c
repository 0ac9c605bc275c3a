/*
 * Futexes: sleeping until a word of user memory is changed. Waiters stand in buckets by a
 * hash of the key: (address space, address) for private ones, (file or anonymous page
 * owner, offset) for shared ones. A waiter checks the word under its bucket's lock after
 * it is queued, and a waker changes the word before it takes the lock, so no wake-up is
 * lost.
 *
 * The word cannot be read under a spinlock when its page is not present; then the lock is
 * released, the page brought in, and the look repeated.
 */
#include "kernel/file.h"
#include "kernel/ipc/futex_priv.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { FUTEX_BUCKETS = 256 };

static struct futex_bucket futex_buckets[FUTEX_BUCKETS];

void
futex_init(void)
{
	for (unsigned i = 0; i < FUTEX_BUCKETS; i++) {
		spin_init(&futex_buckets[i].lock, "futex", RANK_OBJECT);
		list_init(&futex_buckets[i].waiters);
		list_init(&futex_buckets[i].pi_locks);
	}
}

struct futex_bucket *
futex_bucket(const struct futex_key *key)
{
	uint64_t h =
	    ((uint64_t)key->space >> 4) + (key->offset >> 2) * 0x9e3779b97f4a7c15ull;

	return &futex_buckets[h * 0x9e3779b97f4a7c15ull >> 56];
}

bool
futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->space == b->space && a->offset == b->offset;
}

/*
 * What a shared mapping maps, so that other address spaces come to the same key. As on Linux
 * memory that will never be anybody's own, anonymous and read-only, is none.
 */
static enum err
futex_key_shared(struct futex_key *key, struct aspace *as, vaddr_t addr, unsigned access)
{
	struct area *a;
	enum err err = OK;

	rwsem_lock_shared(&as->lock);
	a = area_find(as, addr);
	if (!a || !(a->flags & access) || !(a->file || a->flags & AREA_WRITE)) {
		err = ERR_FAULT;
	} else if ((a->flags & AREA_SHARED) && a->file) {
		key->space = a->file->cache ? (void *)a->file->cache : (void *)a->file;
		key->offset = (a->file_page << PAGE_SHIFT) + (addr - a->start);
	}
	rwsem_unlock_shared(&as->lock);
	return err;
}

enum err
futex_key_get(
    struct futex_key *key, const uint32_t USER *uaddr, bool is_shared, unsigned access)
{
	struct aspace *as = current_process()->aspace;
	vaddr_t addr = (vaddr_t)uaddr;

	if (addr & 3)
		return ERR_INVAL;
	if (!user_range_ok(uaddr, sizeof(*uaddr)))
		return ERR_FAULT;
	*key = (struct futex_key){as, addr};
	return is_shared ? futex_key_shared(key, as, addr, access) : OK;
}

/* ---- Waiting
 * --------------------------------------------------------------------------- */

/* RealTime waiters stand before the others, by priority: they are woken first. */
static void
futex_insert(struct futex_bucket *b, struct futex_waiter *w)
{
	struct list *before = &b->waiters;
	struct futex_waiter *other;

	if (unlikely(w->priority)) {
		before = b->waiters.next;
		while (before != &b->waiters) {
			other = list_entry(before, struct futex_waiter, link);
			if (other->priority < w->priority)
				break;
			before = before->next;
		}
	}
	list_insert_between(&w->link, before->prev, before);
	__atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
}

void
futex_queue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_bucket(&w->key);

	w->priority = w->thread->sched.run_priority;
	spin_lock(&b->lock);
	futex_insert(b, w);
	spin_unlock(&b->lock);
}

bool
futex_unqueue(struct futex_waiter *w)
{
	for (;;) {
		struct futex_bucket *b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);

		if (!b)
			return true;
		spin_lock(&b->lock);
		if (w->bucket == b) {
			list_remove(&w->link);
			w->bucket = NULL;
			spin_unlock(&b->lock);
			return false;
		}
		spin_unlock(&b->lock);
	}
}

/*
 * The word is looked at after we are in the queue, without the lock: a waker that changes
 * it afterwards finds us, one that changed it before is seen here.
 */
static long
futex_wait(
    struct futex_waiter *w, const uint32_t USER *uaddr, uint32_t val, nsec_t deadline)
{
	uint32_t now;
	enum err err;

	futex_queue(w);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = user_load32(uaddr, &now);
	if (err == OK && now != val)
		err = ERR_AGAIN;
	if (err != OK) {
		/* A wake-up that came in between was meant for somebody: it counts as
		 * ours. */
		return futex_unqueue(w) ? OK : err;
	}
	err = wait_alone(futex_is_woken(w), WAIT_INTERRUPTIBLE, deadline);
	return futex_unqueue(w) ? OK : err;
}

static long
futex_wait_restart(struct thread *t)
{
	uint32_t USER *uaddr = (uint32_t USER *)t->restart_args[0];
	struct futex_waiter w = {
	    .thread = t, .bitset = (uint32_t)(t->restart_args[2] >> 32)};
	long result;
	enum err err = futex_key_get(&w.key, uaddr, t->restart_args[3] & 1, AREA_READ);

	if (err != OK)
		return err;
	result = futex_wait(&w, uaddr, (uint32_t)t->restart_args[2], t->restart_args[1]);
	return result == ERR_RESTARTSYS ? ERR_RESTART_BLOCK : result;
}

enum err
futex_deadline(
    const struct timespec USER *timeout, bool is_absolute, bool is_wall, nsec_t *deadline)
{
	struct timespec ts;
	nsec_t ns;

	*deadline = NO_TIMEOUT;
	if (!timeout)
		return OK;
	if (get_user(ts, timeout) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	ns = timespec_to_ns(&ts);
	if (!is_absolute) {
		ns += clock_now_ns();
	} else if (is_wall) {
		int64_t left = (int64_t)ns - clock_wall_ns();

		ns = clock_now_ns() + (nsec_t)MAX(left, 0);
	}
	*deadline = MAX(ns, (nsec_t)1);
	return OK;
}

static long
futex_do_wait(const struct futex_call *c, bool is_absolute)
{
	struct thread *t = current_thread();
	struct futex_waiter w = {.thread = t, .bitset = c->val3};
	nsec_t deadline;
	long result;
	enum err err = futex_deadline(
	    (const struct timespec USER *)c->timeout, is_absolute, c->is_wall, &deadline);

	if (err == OK && !c->val3)
		return ERR_INVAL;
	if (err == OK)
		err = futex_key_get(&w.key, c->uaddr, c->is_shared, AREA_READ);
	if (err != OK)
		return err;
	result = futex_wait(&w, c->uaddr, c->val, deadline);
	if (result != ERR_RESTARTSYS || deadline == NO_TIMEOUT)
		return result;
	t->restart_fn = futex_wait_restart;
	t->restart_args[0] = (uint64_t)c->uaddr;
	t->restart_args[1] = deadline;
	t->restart_args[2] = (uint64_t)c->val3 << 32 | c->val;
	t->restart_args[3] = c->is_shared;
	return ERR_RESTART_BLOCK;
}

/* ---- Waking
 * ---------------------------------------------------------------------------- */

void
futex_wake_locked(struct futex_waiter *w)
{
	struct thread *t = thread_get(w->thread);

	list_remove(&w->link);
	/* From here the waiter may return: `w` is on its stack. */
	__atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
	thread_wake(t);
	thread_put(t);
}

bool
futex_has_waiters_locked(const struct futex_bucket *b, const struct futex_key *key)
{
	const struct futex_waiter *w;

	list_for_each(w, &b->waiters, link)
		if (futex_key_equal(&w->key, key))
			return true;
	return false;
}

/*
 * ERR_INVAL: who waits there is not to be woken but given a lock. As on Linux, `n` below
 * one means one.
 */
static long
futex_wake(const struct futex_key *key, int n, uint32_t bitset)
{
	struct futex_bucket *b = futex_bucket(key);
	struct futex_waiter *w, *next;
	long woken = 0;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (list_is_empty(&b->waiters) && list_is_empty(&b->pi_locks))
		return 0;
	spin_lock(&b->lock);
	if (unlikely(!list_is_empty(&b->pi_locks)) && futex_is_pi_locked(b, key))
		woken = ERR_INVAL;
	list_for_each_safe(w, next, &b->waiters, link) {
		if (woken < 0)
			break;
		if (!futex_key_equal(&w->key, key))
			continue;
		if (unlikely(w->pi != NULL)) {
			woken = ERR_INVAL;
			break;
		}
		if (!(w->bitset & bitset))
			continue;
		futex_wake_locked(w);
		if (++woken >= n)
			break;
	}
	spin_unlock(&b->lock);
	return woken;
}

static long
futex_do_wake(const struct futex_call *c)
{
	struct futex_key key;
	enum err err =
	    c->val3 ? futex_key_get(&key, c->uaddr, c->is_shared, AREA_READ) : ERR_INVAL;

	if (err != OK)
		return err;
	return futex_wake(&key, (int)c->val, c->val3);
}

void
futex_wake_address(uint32_t USER *addr, unsigned n)
{
	struct futex_key key;

	if (futex_key_get(&key, addr, false, AREA_READ) != OK)
		return;
	(void)futex_wake(&key, (int)n, FUTEX_BITSET_ANY);
	if (futex_key_get(&key, addr, true, AREA_READ) == OK &&
	    key.space != current_process()->aspace)
		(void)futex_wake(&key, (int)n, FUTEX_BITSET_ANY);
}

enum err
futex_fault_in(uint32_t USER *uaddr)
{
	uint32_t unused;

	/* Writes 0 over 0, if anything. */
	if (user_cmpxchg32(uaddr, 0, 0, &unused) != OK)
		return ERR_FAULT;
	return signal_is_pending(current_thread()) ? ERR_RESTARTNOINTR : OK;
}

/* Two futexes and their buckets, for requeueing from the one to the other. */
struct futex_pair {
	struct futex_key from, to;
	struct futex_bucket *a, *b;
};

/* Both buckets are locked. */
static long
futex_requeue_locked(const struct futex_pair *p, uint32_t max_woken, uint32_t max_moved)
{
	struct futex_waiter *w, *next;
	uint32_t moved = 0, woken = 0;

	if (futex_is_pi_locked(p->a, &p->from))
		return ERR_INVAL;
	list_for_each_safe(w, next, &p->a->waiters, link) {
		if (!futex_key_equal(&w->key, &p->from))
			continue;
		if (w->pi)
			return ERR_INVAL;
		if (woken < max_woken) {
			futex_wake_locked(w);
			woken++;
			continue;
		}
		if (moved >= max_moved)
			break;
		w->key = p->to;
		if (p->a != p->b) {
			list_remove(&w->link);
			futex_insert(p->b, w);
		}
		moved++;
	}
	return (long)woken + (long)moved;
}

/*
 * Wakes up to `val` waiters of uaddr and moves up to `timeout` more to uaddr2. With
 * `compare` only if *uaddr is val3, which is looked at when nobody can come or go: who
 * has come to wait for another value will see that itself.
 */
static long
futex_do_requeue(const struct futex_call *c, bool compare)
{
	uint32_t max_moved = (uint32_t)c->timeout, now;
	struct futex_pair p;
	long result;
	enum err err;

	if ((int32_t)c->val < 0 || (int32_t)max_moved < 0)
		return ERR_INVAL;
	err = futex_key_get(&p.from, c->uaddr, c->is_shared, AREA_READ);
	if (err == OK)
		err = futex_key_get(&p.to, c->uaddr2, c->is_shared, AREA_READ);
	if (err != OK)
		return err;
	p.a = futex_bucket(&p.from);
	p.b = futex_bucket(&p.to);
	for (;;) {
		spin_lock_pair(&p.a->lock, &p.b->lock);
		err = compare ? user_load32_locked(c->uaddr, &now) : OK;
		if (err == OK && compare && now != c->val3)
			err = ERR_AGAIN;
		result = err == OK ? futex_requeue_locked(&p, c->val, max_moved) : err;
		spin_unlock_pair(&p.a->lock, &p.b->lock);
		if (err != ERR_FAULT)
			return result;
		err = user_load32(c->uaddr, &now);
		if (err != OK)
			return err;
	}
}

/* FUTEX_WAKE_OP's little language: *uaddr2 = old OP arg; then whether old CMP cmparg. */
static bool
futex_op_apply(uint32_t code, uint32_t old, uint32_t *new)
{
	uint32_t op = code >> 28 & 7, arg = (uint32_t)((int32_t)(code << 8) >> 20);

	if (code >> 31)
		arg = 1u << (arg & 31);
	switch (op) {
	case 0: *new = arg; return true;
	case 1: *new = old + arg; return true;
	case 2: *new = old | arg; return true;
	case 3: *new = old & ~arg; return true;
	case 4: *new = old ^ arg; return true;
	default: return false;
	}
}

/* 0, 1, or ERR_NOSYS. */
static int
futex_op_compare(uint32_t code, uint32_t old)
{
	int32_t arg = (int32_t)(code << 20) >> 20, value = (int32_t)old;

	switch (code >> 24 & 15) {
	case 0: return value == arg;
	case 1: return value != arg;
	case 2: return value < arg;
	case 3: return value <= arg;
	case 4: return value > arg;
	case 5: return value >= arg;
	default: return ERR_NOSYS;
	}
}

static long
futex_do_wake_op(const struct futex_call *c)
{
	struct futex_key key1, key2;
	uint32_t old, seen, new;
	long woken, more = 0;
	int holds;
	enum err err = futex_key_get(&key1, c->uaddr, c->is_shared, AREA_READ);

	if (err == OK)
		err = futex_key_get(&key2, c->uaddr2, c->is_shared, AREA_WRITE);
	if (err == OK)
		err = user_load32(c->uaddr2, &old);
	while (err == OK) {
		if (!futex_op_apply(c->val3, old, &new))
			return ERR_NOSYS;
		err = user_cmpxchg32(c->uaddr2, old, new, &seen);
		if (err == OK && seen == old)
			break;
		old = seen;
	}
	if (err != OK)
		return err;
	holds = futex_op_compare(c->val3, old);
	if (holds < 0)
		return holds;
	woken = futex_wake(&key1, (int)c->val, FUTEX_BITSET_ANY);
	if (woken >= 0 && holds)
		more = futex_wake(&key2, (int)c->timeout, FUTEX_BITSET_ANY);
	return more < 0 ? more : woken + more;
}

static bool
futex_has_timeout(int cmd)
{
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI ||
	       cmd == FUTEX_LOCK_PI2 || cmd == FUTEX_WAIT_REQUEUE_PI;
}

/* FUTEX_CLOCK_REALTIME is not for this command; but a bad time-out is told first. */
static COLD enum err
futex_wrong_clock(const struct futex_call *c, int cmd)
{
	nsec_t unused;
	enum err err = OK;

	if (futex_has_timeout(cmd))
		err = futex_deadline(
		    (const struct timespec USER *)c->timeout, false, false, &unused);
	return err == OK ? ERR_NOSYS : err;
}

long
sys_futex(uint32_t USER *uaddr, int op, uint32_t val, uint64_t timeout,
    uint32_t USER *uaddr2, uint32_t val3)
{
	struct futex_call c = {uaddr, val, timeout, uaddr2, val3,
	    .is_shared = !(op & FUTEX_PRIVATE_FLAG),
	    .is_wall = op & FUTEX_CLOCK_REALTIME};

	int cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

	if (unlikely(c.is_wall) && cmd != FUTEX_WAIT_BITSET &&
	    cmd != FUTEX_WAIT_REQUEUE_PI && cmd != FUTEX_LOCK_PI2)
		return futex_wrong_clock(&c, cmd);
	switch (cmd) {
	case FUTEX_WAIT: c.val3 = FUTEX_BITSET_ANY; return futex_do_wait(&c, false);
	case FUTEX_WAIT_BITSET: return futex_do_wait(&c, true);
	case FUTEX_WAKE: c.val3 = FUTEX_BITSET_ANY; return futex_do_wake(&c);
	case FUTEX_WAKE_BITSET: return futex_do_wake(&c);
	case FUTEX_REQUEUE: return futex_do_requeue(&c, false);
	case FUTEX_CMP_REQUEUE: return futex_do_requeue(&c, true);
	case FUTEX_WAKE_OP: return futex_do_wake_op(&c);
	case FUTEX_LOCK_PI: return futex_lock_pi(&c, true);
	case FUTEX_LOCK_PI2: return futex_lock_pi(&c, c.is_wall);
	case FUTEX_TRYLOCK_PI: return futex_trylock_pi(&c);
	case FUTEX_UNLOCK_PI: return futex_unlock_pi(&c);
	case FUTEX_WAIT_REQUEUE_PI: return futex_wait_requeue_pi(&c);
	case FUTEX_CMP_REQUEUE_PI: return futex_cmp_requeue_pi(&c);
	default: return ERR_NOSYS;
	}
}
