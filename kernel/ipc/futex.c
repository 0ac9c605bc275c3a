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
#include "kernel/ipc/futex.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	FUTEX_REQUEUE = 3,
	FUTEX_CMP_REQUEUE = 4,
	FUTEX_WAKE_OP = 5,
	FUTEX_WAIT_BITSET = 9,
	FUTEX_WAKE_BITSET = 10,
	FUTEX_PRIVATE_FLAG = 128,
	FUTEX_CLOCK_REALTIME = 256,
};
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS    0x80000000u
#define FUTEX_TID_MASK   0x3fffffffu
#define FUTEX_BITSET_ANY 0xffffffffu

enum { FUTEX_BUCKETS = 256, ROBUST_LIST_LIMIT = 2048 };

struct futex_key {
	const void *space; /* address space, or the object that is mapped shared */
	uint64_t offset;
};

struct futex_waiter {
	struct list link;            /* [bucket] */
	struct futex_key key;        /* [bucket]: requeue changes it */
	struct futex_bucket *bucket; /* [its own lock, and the new one's] NULL: woken */
	struct thread *thread;
	uint32_t bitset;
};

struct futex_bucket {
	struct spinlock lock;
	struct list waiters;
} ALIGNED(64);

static struct futex_bucket futex_buckets[FUTEX_BUCKETS];

void
futex_init(void)
{
	for (unsigned i = 0; i < FUTEX_BUCKETS; i++) {
		spin_init(&futex_buckets[i].lock, "futex", RANK_OBJECT);
		list_init(&futex_buckets[i].waiters);
	}
}

static struct futex_bucket *
futex_bucket(const struct futex_key *key)
{
	uint64_t h =
	    ((uint64_t)key->space >> 4) + (key->offset >> 2) * 0x9e3779b97f4a7c15ull;

	return &futex_buckets[h * 0x9e3779b97f4a7c15ull >> 56];
}

static bool
futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->space == b->space && a->offset == b->offset;
}

/* What a shared mapping maps, so that other address spaces come to the same key. */
static void
futex_key_shared(struct futex_key *key, struct aspace *as, vaddr_t addr)
{
	struct area *a;

	rwsem_lock_shared(&as->lock);
	a = area_find(as, addr);
	if (a && (a->flags & AREA_SHARED) && a->file) {
		key->space = a->file->cache ? (void *)a->file->cache : (void *)a->file;
		key->offset = (a->file_page << PAGE_SHIFT) + (addr - a->start);
	}
	rwsem_unlock_shared(&as->lock);
}

static enum err
futex_key_get(struct futex_key *key, const uint32_t USER *uaddr, bool is_shared)
{
	struct aspace *as = current_process()->aspace;
	vaddr_t addr = (vaddr_t)uaddr;

	if (addr & 3)
		return ERR_INVAL;
	if (!user_range_ok(uaddr, sizeof(*uaddr)))
		return ERR_FAULT;
	*key = (struct futex_key){as, addr};
	if (is_shared)
		futex_key_shared(key, as, addr);
	return OK;
}

/* ---- Waiting
 * --------------------------------------------------------------------------- */

static bool
futex_is_woken(const struct futex_waiter *w)
{
	return !__atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
}

static void
futex_queue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_bucket(&w->key);

	spin_lock(&b->lock);
	w->bucket = b;
	list_push_back(&b->waiters, &w->link);
	spin_unlock(&b->lock);
}

/* Leaves the queue, wherever a requeue has put us meanwhile. Whether it was woken before
 * that. */
static bool
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
	struct wait_queue nobody;
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
	wait_queue_init(&nobody);
	err = wait_event(&nobody, futex_is_woken(w), WAIT_INTERRUPTIBLE, deadline);
	return futex_unqueue(w) ? OK : err;
}

static long
futex_wait_restart(struct thread *t)
{
	uint32_t USER *uaddr = (uint32_t USER *)t->restart_args[0];
	struct futex_waiter w = {
	    .thread = t, .bitset = (uint32_t)(t->restart_args[2] >> 32)};
	long result;
	enum err err = futex_key_get(&w.key, uaddr, t->restart_args[3] & 1);

	if (err != OK)
		return err;
	result = futex_wait(&w, uaddr, (uint32_t)t->restart_args[2], t->restart_args[1]);
	return result == ERR_RESTARTSYS ? ERR_RESTART_BLOCK : result;
}

/* The deadline on the monotonic clock, NO_TIMEOUT without one. */
static enum err
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

struct futex_call {
	uint32_t USER *uaddr;
	uint32_t val;
	uint64_t timeout; /* or the second count */
	uint32_t USER *uaddr2;
	uint32_t val3;
	bool is_shared, is_wall;
};

static long
futex_do_wait(const struct futex_call *c, bool is_absolute)
{
	struct thread *t = current_thread();
	struct futex_waiter w = {.thread = t, .bitset = c->val3};
	nsec_t deadline;
	long result;
	enum err err = futex_key_get(&w.key, c->uaddr, c->is_shared);

	if (!c->val3)
		return ERR_INVAL;
	if (err == OK)
		err = futex_deadline((const struct timespec USER *)c->timeout,
		    is_absolute, c->is_wall, &deadline);
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

static void
futex_wake_locked(struct futex_waiter *w)
{
	struct thread *t = thread_get(w->thread);

	list_remove(&w->link);
	/* From here the waiter may return: `w` is on its stack. */
	__atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
	thread_wake(t);
	thread_put(t);
}

static long
futex_wake(const struct futex_key *key, unsigned n, uint32_t bitset)
{
	struct futex_bucket *b = futex_bucket(key);
	struct futex_waiter *w, *next;
	long woken = 0;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (list_is_empty(&b->waiters))
		return 0;
	spin_lock(&b->lock);
	list_for_each_safe(w, next, &b->waiters, link) {
		if (woken >= n)
			break;
		if (!futex_key_equal(&w->key, key) || !(w->bitset & bitset))
			continue;
		futex_wake_locked(w);
		woken++;
	}
	spin_unlock(&b->lock);
	return woken;
}

static long
futex_do_wake(const struct futex_call *c)
{
	struct futex_key key;
	enum err err = futex_key_get(&key, c->uaddr, c->is_shared);

	if (err != OK)
		return err;
	if (!c->val3)
		return ERR_INVAL;
	return futex_wake(&key, c->val, c->val3);
}

void
futex_wake_address(uint32_t USER *addr, unsigned n)
{
	struct futex_key key;

	if (futex_key_get(&key, addr, false) != OK)
		return;
	futex_wake(&key, n, FUTEX_BITSET_ANY);
	futex_key_shared(&key, current_process()->aspace, (vaddr_t)addr);
	if (key.space != current_process()->aspace)
		futex_wake(&key, n, FUTEX_BITSET_ANY);
}

/*
 * Wakes up to `val` waiters of uaddr and moves up to `timeout` more to uaddr2. With
 * `compare` only if *uaddr is val3; a waiter that comes in between is moved too, and
 * looks at uaddr's new value itself.
 */
static long
futex_do_requeue(const struct futex_call *c, bool compare)
{
	struct futex_key from, to;
	struct futex_bucket *a, *b;
	struct futex_waiter *w, *next;
	uint32_t moved = 0, woken = 0, max_moved = (uint32_t)c->timeout, now;
	enum err err = futex_key_get(&from, c->uaddr, c->is_shared);

	if (err == OK)
		err = futex_key_get(&to, c->uaddr2, c->is_shared);
	if (err == OK && compare) {
		err = user_load32(c->uaddr, &now);
		if (err == OK && now != c->val3)
			err = ERR_AGAIN;
	}
	if (err != OK)
		return err;
	if ((int32_t)c->val < 0 || (int32_t)max_moved < 0)
		return ERR_INVAL;
	a = futex_bucket(&from);
	b = futex_bucket(&to);
	spin_lock_pair(&a->lock, &b->lock);
	list_for_each_safe(w, next, &a->waiters, link) {
		if (!futex_key_equal(&w->key, &from))
			continue;
		if (woken < c->val) {
			futex_wake_locked(w);
			woken++;
			continue;
		}
		if (moved >= max_moved)
			break;
		w->key = to;
		if (a != b) {
			list_remove(&w->link);
			list_push_back(&b->waiters, &w->link);
			__atomic_store_n(&w->bucket, b, __ATOMIC_RELEASE);
		}
		moved++;
	}
	spin_unlock_pair(&a->lock, &b->lock);
	return (long)woken + (long)moved;
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

static bool
futex_op_compare(uint32_t code, uint32_t old)
{
	int32_t arg = (int32_t)(code << 20) >> 20, value = (int32_t)old;

	switch (code >> 24 & 15) {
	case 0: return value == arg;
	case 1: return value != arg;
	case 2: return value < arg;
	case 3: return value <= arg;
	case 4: return value > arg;
	default: return value >= arg;
	}
}

static long
futex_do_wake_op(const struct futex_call *c)
{
	struct futex_key key1, key2;
	uint32_t old, seen, new;
	long woken;
	enum err err = futex_key_get(&key1, c->uaddr, c->is_shared);

	if (err == OK)
		err = futex_key_get(&key2, c->uaddr2, c->is_shared);
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
	woken = futex_wake(&key1, c->val, FUTEX_BITSET_ANY);
	if (futex_op_compare(c->val3, old))
		woken += futex_wake(&key2, (unsigned)c->timeout, FUTEX_BITSET_ANY);
	return woken;
}

long
sys_futex(uint32_t USER *uaddr, int op, uint32_t val, uint64_t timeout,
    uint32_t USER *uaddr2, uint32_t val3)
{
	struct futex_call c = {uaddr, val, timeout, uaddr2, val3,
	    .is_shared = !(op & FUTEX_PRIVATE_FLAG),
	    .is_wall = op & FUTEX_CLOCK_REALTIME};

	switch (op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)) {
	case FUTEX_WAIT: c.val3 = FUTEX_BITSET_ANY; return futex_do_wait(&c, false);
	case FUTEX_WAIT_BITSET: return futex_do_wait(&c, true);
	case FUTEX_WAKE: c.val3 = FUTEX_BITSET_ANY; return futex_do_wake(&c);
	case FUTEX_WAKE_BITSET: return futex_do_wake(&c);
	case FUTEX_REQUEUE: return futex_do_requeue(&c, false);
	case FUTEX_CMP_REQUEUE: return futex_do_requeue(&c, true);
	case FUTEX_WAKE_OP: return futex_do_wake_op(&c);
	default: return ERR_NOSYS;
	}
}

/* ---- Robust lists
 * ------------------------------------------------------------------------ */

/* Linux's struct robust_list_head. */
struct robust_list_head {
	uint64_t next;
	int64_t futex_offset;
	uint64_t pending;
};

static void
robust_release_one(uint64_t entry, int64_t offset)
{
	uint32_t USER *word = (uint32_t USER *)((entry & ~1ull) + (uint64_t)offset);
	uint32_t old, seen;

	if (((vaddr_t)word & 3) || user_load32(word, &old) != OK)
		return;
	while ((old & FUTEX_TID_MASK) == current_thread()->tid) {
		uint32_t new = (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

		if (user_cmpxchg32(word, old, new, &seen) != OK)
			return;
		if (seen == old) {
			if (old & FUTEX_WAITERS)
				futex_wake_address(word, 1);
			return;
		}
		old = seen;
	}
}

void
futex_release_robust_list(void USER *uhead)
{
	struct robust_list_head head;
	uint64_t entry;

	if (copy_from_user(&head, uhead, sizeof(head)) != OK)
		return;
	entry = head.next;
	for (unsigned n = 0; entry != (uint64_t)uhead && n < ROBUST_LIST_LIMIT; n++) {
		uint64_t next;

		if (get_user(next, (const uint64_t USER *)(entry & ~1ull)) != OK)
			return;
		if (entry != head.pending)
			robust_release_one(entry, head.futex_offset);
		entry = next;
	}
	if (head.pending)
		robust_release_one(head.pending, head.futex_offset);
}

long
sys_set_robust_list(void USER *head, size_t len)
{
	if (len != sizeof(struct robust_list_head))
		return ERR_INVAL;
	current_thread()->robust_list = head;
	return 0;
}

long
sys_get_robust_list(int tid, uint64_t USER *head, size_t USER *len)
{
	struct thread *t =
	    tid ? thread_find((uint32_t)tid) : thread_get(current_thread());
	size_t size = sizeof(struct robust_list_head);
	uint64_t value;

	if (!t)
		return ERR_SRCH;
	value = (uint64_t)t->robust_list;
	thread_put(t);
	if (put_user(value, head) != OK)
		return ERR_FAULT;
	return put_user(size, len);
}
