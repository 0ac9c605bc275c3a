/* Shared by the files of futexes: buckets, waiters, and how to read a word under a lock. */
#pragma once

#include "kernel/ipc/futex.h"
#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "lib/list.h"

struct timespec;
struct thread;
struct futex_pi_waiter;

enum {
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	FUTEX_REQUEUE = 3,
	FUTEX_CMP_REQUEUE = 4,
	FUTEX_WAKE_OP = 5,
	FUTEX_LOCK_PI = 6,
	FUTEX_UNLOCK_PI = 7,
	FUTEX_TRYLOCK_PI = 8,
	FUTEX_WAIT_BITSET = 9,
	FUTEX_WAKE_BITSET = 10,
	FUTEX_WAIT_REQUEUE_PI = 11,
	FUTEX_CMP_REQUEUE_PI = 12,
	FUTEX_LOCK_PI2 = 13,
	FUTEX_PRIVATE_FLAG = 128,
	FUTEX_CLOCK_REALTIME = 256,
};
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS    0x80000000u
#define FUTEX_TID_MASK   0x3fffffffu
#define FUTEX_BITSET_ANY 0xffffffffu

struct futex_key {
	const void *space; /* address space, or the object that is mapped shared */
	uint64_t offset;
};

struct futex_waiter {
	struct list link;            /* [bucket] */
	struct futex_key key;        /* [bucket]: requeue changes it */
	struct futex_bucket *bucket; /* [its own lock, and the new one's] NULL: woken */
	struct thread *thread;
	struct futex_pi_waiter *pi; /* [I] in FUTEX_WAIT_REQUEUE_PI, else NULL */
	uint32_t bitset;
	uint8_t priority; /* its RealTime priority when it came */
};

struct futex_bucket {
	struct spinlock lock;
	struct list waiters;  /* struct futex_waiter, RealTime ones first */
	struct list pi_locks; /* struct futex_pi: futex_pi.c */
} ALIGNED(64);

/* The arguments of futex(2). */
struct futex_call {
	uint32_t USER *uaddr;
	uint32_t val;
	uint64_t timeout; /* or the second count */
	uint32_t USER *uaddr2;
	uint32_t val3;
	bool is_shared, is_wall;
};

struct futex_bucket *futex_bucket(const struct futex_key *key);
bool futex_key_equal(const struct futex_key *a, const struct futex_key *b);

/*
 * What the word at `uaddr` is known by. ERR_INVAL: not aligned; ERR_FAULT: no user memory, or,
 * if shared, none that may be used by `access` (AREA_READ, AREA_WRITE). May sleep.
 */
enum err futex_key_get(
    struct futex_key *key, const uint32_t USER *uaddr, bool is_shared, unsigned access);

/* The deadline on the monotonic clock, NO_TIMEOUT without one. */
enum err futex_deadline(const struct timespec USER *timeout, bool is_absolute,
    bool is_wall, nsec_t *deadline);

/* Into the queue of w->key. */
void futex_queue(struct futex_waiter *w);

/* Leaves the queue, wherever a requeue has put it. Whether it was woken before that. */
bool futex_unqueue(struct futex_waiter *w);

static inline bool
futex_is_woken(const struct futex_waiter *w)
{
	return !__atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
}

/* Whether somebody waits in the ordinary way; the bucket is locked. */
bool futex_has_waiters_locked(const struct futex_bucket *b, const struct futex_key *key);

/* Takes `w` off its bucket, which is locked, and wakes it: it may return from here on. */
void futex_wake_locked(struct futex_waiter *w);

/*
 * After a look at *uaddr under a lock that found its page missing: brings it in, to be
 * written. ERR_FAULT: there is none. ERR_RESTARTNOINTR: a signal wants to be heard first.
 */
enum err futex_fault_in(uint32_t USER *uaddr);

/* ---- futex_pi.c ---- */

/* Whether the word is a lock with waiters of its own kind. The bucket is locked. */
bool futex_is_pi_locked(const struct futex_bucket *b, const struct futex_key *key);

long futex_lock_pi(const struct futex_call *c, bool is_wall);
long futex_trylock_pi(const struct futex_call *c);
long futex_unlock_pi(const struct futex_call *c);
long futex_wait_requeue_pi(const struct futex_call *c);
long futex_cmp_requeue_pi(const struct futex_call *c);
