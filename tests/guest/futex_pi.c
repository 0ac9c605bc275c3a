/*
 * Futexes with priority inheritance: locking, handing over, circles, time-outs, owners that
 * end, whom the owner's priority comes from, condition variables, and pthreads on top.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/guest/check.h"

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static long
futex(void *word, int op, unsigned val, const void *timeout, void *word2, unsigned val3)
{
	return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

/* musl has no such functions. */
static int
set_policy(int tid, int policy, const struct sched_param *p)
{
	return (int)syscall(SYS_sched_setscheduler, tid, policy, p);
}

static int
gettid_(void)
{
	return (int)syscall(SYS_gettid);
}

/* A thread that locks word[0 .. n) in turn, says so, waits to be told, and unlocks. */
struct locker {
	pthread_t thread;
	atomic_uint *word[3];
	int ops; /* FUTEX_PRIVATE_FLAG or 0 */
	int policy, priority;
	atomic_int tid, num_locked, order, may_go;
	int result;
};

static atomic_int next_order;

static void *
locker_main(void *arg)
{
	struct locker *l = arg;
	struct sched_param p = {.sched_priority = l->priority};

	if (l->policy)
		set_policy(0, l->policy, &p);
	l->tid = gettid_();
	for (int i = 0; i < 3 && l->word[i]; i++) {
		unsigned zero = 0;

		if (!atomic_compare_exchange_strong(l->word[i], &zero, (unsigned)l->tid))
			l->result =
			    futex(l->word[i], FUTEX_LOCK_PI | l->ops, 0, NULL, NULL, 0)
			        ? errno
			        : 0;
		if (l->result)
			return NULL;
		l->num_locked++;
	}
	l->order = ++next_order;
	while (!l->may_go)
		sleep_ms(1);
	for (int i = 2; i >= 0; i--) {
		unsigned mine = (unsigned)l->tid;

		if (l->word[i] && !atomic_compare_exchange_strong(l->word[i], &mine, 0))
			futex(l->word[i], FUTEX_UNLOCK_PI | l->ops, 0, NULL, NULL, 0);
	}
	return NULL;
}

/* Whether the thread sleeps in the kernel. */
static int
stat_field(int tid, int field)
{
	char path[64], text[512], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	CHECK(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	p = strrchr(text, ')') + 2;
	for (; field > 3; field--)
		p = strchr(p, ' ') + 1;
	return field == 3 && *p >= 'A' ? *p : atoi(p);
}

static void
wait_asleep(atomic_int *tid)
{
	while (!*tid)
		sleep_ms(1);
	while (stat_field(*tid, 3) != 'S')
		sleep_ms(1);
}

static void
start(struct locker *l)
{
	CHECK_EQ(pthread_create(&l->thread, NULL, locker_main, l), 0);
}

static void
start_and_lock(struct locker *l)
{
	start(l);
	while (!l->order)
		sleep_ms(1);
}

/* proves: futex */
static void
lock_and_unlock_alone(void)
{
	unsigned word = 0, tid = (unsigned)gettid_();

	CHECK_EQ(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, tid);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, 0);
	CHECK_EQ(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, tid);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	word = FUTEX_OWNER_DIED;
	CHECK_EQ(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, tid | FUTEX_OWNER_DIED);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, 0);
}

/* proves: futex */
static void
errors_of_lock(void)
{
	unsigned word = (unsigned)gettid_();
	struct timespec bad = {0, 1000000000}, past = {1, 0};
	pid_t gone;

	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, &bad, NULL, 0), EINVAL);
	CHECK_ERR(futex((char *)&word + 1, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((char *)&word + 1, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	CHECK_ERR(futex(NULL, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(NULL, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(
	    futex(&word, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(
	    futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 0), ENOSYS);
	word = 0;
	CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	word = 1; /* init's */
	CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, &past, NULL, 0), ETIMEDOUT);
	CHECK_EQ(word, 1 | FUTEX_WAITERS);
	CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
	gone = fork();
	if (!gone)
		_exit(0);
	CHECK_EQ(waitpid(gone, NULL, 0), gone);
	word = (unsigned)gone;
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
	CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), ESRCH);
}

static void
read_only_word(void)
{
	unsigned *word = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(word != MAP_FAILED);
	CHECK_ERR(futex(word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EFAULT);
}

static void
unlock_hands_over(void)
{
	atomic_uint word = (unsigned)gettid_();
	struct locker l = {.word = {&word}, .ops = FUTEX_PRIVATE_FLAG};

	start(&l);
	wait_asleep(&l.tid);
	CHECK_EQ(word, (unsigned)gettid_() | FUTEX_WAITERS);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), 0);
	CHECK_EQ(word, (unsigned)l.tid | FUTEX_WAITERS);
	while (!l.order)
		sleep_ms(1);
	CHECK_ERR(
	    futex(&word, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), EPERM);
	l.may_go = 1;
	pthread_join(l.thread, NULL);
	CHECK_EQ(l.result, 0);
	CHECK_EQ(word, 0);
}

static void
other_operations_refuse_such_a_word(void)
{
	atomic_uint word = (unsigned)gettid_(), other = 0;
	struct locker l = {.word = {&word}};

	start(&l);
	wait_asleep(&l.tid);
	CHECK_ERR(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_REQUEUE, 1, (void *)1, &other, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &other, word), EINVAL);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	l.may_go = 1;
	pthread_join(l.thread, NULL);
}

static void *
wait_plain(void *word)
{
	futex(word, FUTEX_WAIT, *(unsigned *)word, NULL, NULL, 0);
	return NULL;
}

static atomic_int plain_tid;

static void *
wait_plain_tid(void *word)
{
	plain_tid = gettid_();
	return wait_plain(word);
}

static void
a_word_waited_for_is_no_lock(void)
{
	unsigned word = 1;
	pthread_t t;

	pthread_create(&t, NULL, wait_plain_tid, &word);
	wait_asleep(&plain_tid);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EINVAL);
	word = (unsigned)gettid_();
	CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EINVAL);
	CHECK_EQ(futex(&word, FUTEX_WAKE, 0, NULL, NULL, 0), 1); /* 0 is taken for 1 */
	pthread_join(t, NULL);
}

static void
time_outs(void)
{
	atomic_uint word = 0;
	struct locker l = {.word = {&word}};
	struct timespec wall, mono;

	start_and_lock(&l);
	wall = in_ms(CLOCK_REALTIME, 30);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, &wall, NULL, 0), ETIMEDOUT);
	mono = in_ms(CLOCK_MONOTONIC, 30);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI2, 0, &mono, NULL, 0), ETIMEDOUT);
	mono = in_ms(CLOCK_MONOTONIC, 0);
	CHECK(mono.tv_sec < wall.tv_sec);
	wall = in_ms(CLOCK_REALTIME, 30);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, &wall, NULL, 0),
	    ETIMEDOUT);
	CHECK_EQ(word, (unsigned)l.tid | FUTEX_WAITERS);
	l.may_go = 1;
	pthread_join(l.thread, NULL);
	CHECK_EQ(word, 0);
}

static void
on_signal(int sig)
{
}

static void
a_signal_does_not_end_the_wait(void)
{
	atomic_uint word = (unsigned)gettid_();
	struct locker l = {.word = {&word}};
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &sa, NULL);
	start(&l);
	wait_asleep(&l.tid);
	pthread_kill(l.thread, SIGUSR1);
	sleep_ms(20);
	wait_asleep(&l.tid);
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	l.may_go = 1;
	pthread_join(l.thread, NULL);
	CHECK_EQ(l.result, 0);
}

/* A has a, wants b; B has b, wants c; C has c, wants a: the last is refused. */
static void
circles_are_refused(void)
{
	atomic_uint w[3] = {0};
	struct locker b = {.word = {&w[1], &w[2]}}, c = {.word = {&w[2], &w[0]}};

	w[0] = (unsigned)gettid_();
	w[2] = 0;
	start(&c); /* takes 2, waits for 0 */
	wait_asleep(&c.tid);
	start(&b); /* takes 1, waits for 2 */
	wait_asleep(&b.tid);
	CHECK_ERR(futex(&w[1], FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_EQ(b.num_locked, 1);
	CHECK_EQ(futex(&w[0], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	b.may_go = c.may_go = 1;
	pthread_join(b.thread, NULL);
	pthread_join(c.thread, NULL);
	CHECK_EQ(b.num_locked, 2);
	CHECK_EQ(c.num_locked, 2);
}

/* /proc shows the priority a thread runs at: 20 + nice, or -1 - RealTime priority. */
static int
priority_of(struct locker *l)
{
	return stat_field(l->tid, 18);
}

static void
the_owner_runs_at_its_waiters_priority(void)
{
	atomic_uint w[2] = {0};
	struct locker a = {.word = {&w[0]}}, b = {.word = {&w[1], &w[0]}},
	              c = {.word = {&w[1]}, .policy = SCHED_FIFO, .priority = 7};
	struct sched_param p = {.sched_priority = 33};

	start_and_lock(&a);
	CHECK_EQ(priority_of(&a), 20 + nice(0));
	start(&b);
	wait_asleep(&b.tid);
	CHECK_EQ(priority_of(&a), 20 + nice(0));
	start(&c);
	wait_asleep(&c.tid);
	CHECK_EQ(priority_of(&b), -8);
	CHECK_EQ(priority_of(&a), -8);
	CHECK_EQ(syscall(SYS_sched_getscheduler, a.tid), SCHED_OTHER);
	CHECK_EQ(set_policy(c.tid, SCHED_FIFO, &p), 0);
	CHECK_EQ(priority_of(&a), -34);
	p.sched_priority = 50;
	CHECK_EQ(set_policy(b.tid, SCHED_RR, &p), 0);
	CHECK_EQ(priority_of(&a), -51);
	p.sched_priority = 0;
	CHECK_EQ(set_policy(b.tid, SCHED_OTHER, &p), 0);
	CHECK_EQ(priority_of(&b), -34);
	CHECK_EQ(priority_of(&a), -34);
	a.may_go = 1;
	pthread_join(a.thread, NULL);
	while (!b.order)
		sleep_ms(1);
	CHECK_EQ(priority_of(&b), -34);
	b.may_go = 1;
	pthread_join(b.thread, NULL);
	c.may_go = 1;
	pthread_join(c.thread, NULL);
}

static void
a_waiter_that_gives_up_takes_its_priority_along(void)
{
	atomic_uint word = 0;
	struct locker a = {.word = {&word}};
	struct timespec ts;
	struct sched_param p = {.sched_priority = 9};
	pid_t pid = gettid_();

	start_and_lock(&a);
	CHECK_EQ(set_policy(pid, SCHED_FIFO, &p), 0);
	ts = in_ms(CLOCK_REALTIME, 20);
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, &ts, NULL, 0), ETIMEDOUT);
	CHECK_EQ(priority_of(&a), 20 + nice(0));
	a.may_go = 1;
	pthread_join(a.thread, NULL);
}

static void
the_line_is_by_priority(void)
{
	atomic_uint word = (unsigned)gettid_();
	struct locker l[4] = {
	    {.word = {&word}, .may_go = 1},
	    {.word = {&word}, .may_go = 1, .policy = SCHED_FIFO, .priority = 10},
	    {.word = {&word}, .may_go = 1},
	    {.word = {&word}, .may_go = 1, .policy = SCHED_RR, .priority = 30},
	};

	next_order = 0;
	for (int i = 0; i < 4; i++) {
		start(&l[i]);
		wait_asleep(&l[i].tid);
	}
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(l[i].thread, NULL);
	CHECK_EQ(l[3].order, 1);
	CHECK_EQ(l[1].order, 2);
	CHECK_EQ(l[0].order, 3);
	CHECK_EQ(l[2].order, 4);
}

/* On one CPU: the owner must run although a stronger thread than its own priority spins. */
static atomic_int hog_began, hog_ended, inverted;

static void *
hog(void *arg)
{
	struct timespec end = in_ms(CLOCK_MONOTONIC, 400), now;
	struct sched_param p = {.sched_priority = 20};

	set_policy(0, SCHED_FIFO, &p);
	hog_began = 1;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < end.tv_sec ||
	       (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	hog_ended = 1;
	return NULL;
}

static void *
wants(void *arg)
{
	struct sched_param p = {.sched_priority = 30};

	set_policy(0, SCHED_FIFO, &p);
	while (!hog_began)
		sleep_ms(1);
	if (futex(arg, FUTEX_LOCK_PI, 0, NULL, NULL, 0))
		inverted = 2;
	else if (hog_ended)
		inverted = 1;
	return NULL;
}

static void
no_priority_inversion(void)
{
	unsigned word = (unsigned)gettid_();
	cpu_set_t one;
	pthread_t h, w;
	struct timespec t;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	pthread_create(&w, NULL, wants, &word);
	pthread_create(&h, NULL, hog, NULL);
	/* Runs again only by what the waiter lends it. */
	do
		clock_gettime(CLOCK_MONOTONIC, &t);
	while (!(*(volatile unsigned *)&word & FUTEX_WAITERS));
	CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	pthread_join(w, NULL);
	pthread_join(h, NULL);
	CHECK_EQ(inverted, 0);
}

/* ---- Owners that end ---- */

static void *
lock_and_end(void *arg)
{
	struct locker *l = arg;

	l->tid = gettid_();
	futex(l->word[0], FUTEX_LOCK_PI, 0, NULL, NULL, 0);
	l->order = 1;
	while (!l->may_go)
		sleep_ms(1);
	return NULL;
}

static void
an_owner_that_ends_leaves_the_lock(void)
{
	atomic_uint word = 0;
	struct locker a = {.word = {&word}}, b = {.word = {&word}};

	pthread_create(&a.thread, NULL, lock_and_end, &a);
	while (!a.order)
		sleep_ms(1);
	start(&b);
	wait_asleep(&b.tid);
	a.may_go = 1;
	pthread_join(a.thread, NULL);
	while (!b.order)
		sleep_ms(1);
	CHECK_EQ(b.result, 0);
	CHECK_EQ(word, (unsigned)b.tid | FUTEX_WAITERS | FUTEX_OWNER_DIED);
	b.may_go = 1;
	pthread_join(b.thread, NULL);
	CHECK_EQ(word, 0);
}

static void
robust_mutex(int pshared)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    (pshared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	pid_t pid;
	int fds[2];
	char c;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	CHECK_EQ(pthread_mutex_init(m, &a), 0);
	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		pthread_mutex_lock(m);
		(void)!write(fds[1], "x", 1);
		sleep_ms(50); /* the parent waits by now, as a rule */
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(m), 0);
	CHECK_EQ(pthread_mutex_unlock(m), 0);
	CHECK_EQ(pthread_mutex_lock(m), 0);
	CHECK_EQ(pthread_mutex_unlock(m), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void
robust_mutex_of_two_processes(void)
{
	robust_mutex(1);
}

struct robust {
	struct robust_list_head head;
	struct robust_list entry;
	atomic_uint word;
};

/* What the kernel writes when a list entry with the PI bit is left. */
static void *
leave_robust(void *arg)
{
	struct robust *r = arg;

	r->head.list.next = (struct robust_list *)((uintptr_t)&r->entry | 1);
	r->head.futex_offset =
	    (long)offsetof(struct robust, word) - (long)offsetof(struct robust, entry);
	r->head.list_op_pending = NULL;
	r->entry.next = &r->head.list;
	r->word = (unsigned)gettid_() | FUTEX_WAITERS;
	syscall(SYS_set_robust_list, &r->head, sizeof(r->head));
	return NULL;
}

static void
robust_entries_say_what_they_are(void)
{
	struct robust r = {0};
	pthread_t t;

	pthread_create(&t, NULL, leave_robust, &r);
	pthread_join(t, NULL);
	sleep_ms(20);
	CHECK_EQ(r.word, FUTEX_WAITERS | FUTEX_OWNER_DIED);
	CHECK_EQ(futex(&r.word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(r.word, (unsigned)gettid_() | FUTEX_OWNER_DIED);
}

/* ---- Condition variables ---- */

struct cond_wait {
	pthread_t thread;
	unsigned *cond;
	atomic_uint *lock;
	unsigned val;
	int timeout_ms;
	atomic_int tid, is_back;
	int result;
	unsigned seen; /* the lock's word on return */
};

static void *
cond_wait_main(void *arg)
{
	struct cond_wait *c = arg;
	struct timespec ts = in_ms(CLOCK_MONOTONIC, c->timeout_ms);

	c->tid = gettid_();
	errno = 0;
	futex(c->cond, FUTEX_WAIT_REQUEUE_PI, c->val, c->timeout_ms ? &ts : NULL, c->lock,
	    0);
	c->result = errno;
	c->seen = *c->lock;
	if (!c->result) {
		unsigned mine = (unsigned)c->tid;

		if (!atomic_compare_exchange_strong(c->lock, &mine, 0))
			futex(c->lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	}
	c->is_back = 1;
	return NULL;
}

static void
requeue_to_a_free_lock(void)
{
	unsigned cond = 5;
	atomic_uint lock = 0;
	struct cond_wait c = {.cond = &cond, .lock = &lock, .val = 5};

	pthread_create(&c.thread, NULL, cond_wait_main, &c);
	wait_asleep(&c.tid);
	CHECK_ERR(futex(&cond, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, NULL, &lock, 4), EAGAIN);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI, 2, NULL, &lock, 5), EINVAL);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, NULL, &cond, 5), EINVAL);
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, NULL, &lock, 5), 1);
	pthread_join(c.thread, NULL);
	CHECK_EQ(c.result, 0);
	CHECK_EQ(c.seen, c.tid);
	CHECK_EQ(lock, 0);
}

static void
requeue_to_a_lock_that_is_held(void)
{
	unsigned cond = 5;
	atomic_uint lock = (unsigned)gettid_(), other = 0;
	struct cond_wait c[3];

	for (int i = 0; i < 3; i++) {
		c[i] = (struct cond_wait){.cond = &cond, .lock = &lock, .val = 5};
		pthread_create(&c[i].thread, NULL, cond_wait_main, &c[i]);
		wait_asleep(&c[i].tid);
	}
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)9, &other, 5), EINVAL);
	CHECK_EQ(other, 0);
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 5), 2);
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)9, &lock, 5), 1);
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)9, &lock, 5), 0);
	sleep_ms(10);
	CHECK(!c[0].is_back && !c[1].is_back && !c[2].is_back);
	CHECK_EQ(lock, (unsigned)gettid_() | FUTEX_WAITERS);
	CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(c[i].thread, NULL);
		CHECK_EQ(c[i].result, 0);
	}
	CHECK_EQ(lock, 0);
}

/* proves: futex */
static void
requeue_waits_end(void)
{
	unsigned cond = 5;
	atomic_uint lock = (unsigned)gettid_();
	struct cond_wait wrong = {.cond = &cond, .lock = &lock, .val = 4},
	                 late = {.cond = &cond,
	                     .lock = &lock,
	                     .val = 5,
	                     .timeout_ms = 20},
	                 moved = {
	                     .cond = &cond, .lock = &lock, .val = 5, .timeout_ms = 60};

	cond_wait_main(&wrong);
	CHECK_EQ(wrong.result, EAGAIN);
	pthread_create(&late.thread, NULL, cond_wait_main, &late);
	pthread_join(late.thread, NULL);
	CHECK_EQ(late.result, ETIMEDOUT);
	pthread_create(&moved.thread, NULL, cond_wait_main, &moved);
	wait_asleep(&moved.tid);
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, NULL, &lock, 5), 1);
	pthread_join(moved.thread, NULL);
	CHECK_EQ(moved.result, ETIMEDOUT);
	CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
	CHECK_EQ(lock, 0);
	CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 5, NULL, &cond, 0), EINVAL);
}

/* ---- pthreads ---- */

enum { THREADS = 6, ROUNDS = 2000 };

static pthread_mutex_t mutex;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long shared_count;
static int tokens, num_taken;

static void
init_mutex(void)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	CHECK_EQ(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), 0);
	CHECK_EQ(pthread_mutex_init(&mutex, &a), 0);
}

static void *
count_up(void *arg)
{
	struct sched_param p = {.sched_priority = 1 + (int)(long)arg};

	if ((long)arg % 2)
		set_policy(0, SCHED_RR, &p);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		shared_count++;
		if (i % 64 == 0)
			sched_yield();
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void
pthread_mutexes(void)
{
	pthread_t t[THREADS];

	init_mutex();
	for (long i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count_up, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(shared_count, (long)THREADS * ROUNDS);
}

static void *
take_tokens(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < 200; i++) {
		while (!tokens)
			pthread_cond_wait(&cond, &mutex);
		tokens--;
		num_taken++;
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void
pthread_conditions(void)
{
	pthread_t t[THREADS];

	init_mutex();
	for (long i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, take_tokens, NULL), 0);
	for (int i = 0; i < THREADS * 200; i++) {
		pthread_mutex_lock(&mutex);
		tokens++;
		pthread_mutex_unlock(&mutex);
		if (i % 3)
			pthread_cond_signal(&cond);
		else
			pthread_cond_broadcast(&cond);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(num_taken, THREADS * 200);
}

/* Many threads, two locks in one order, time-outs and signals: nobody is lost. */
static atomic_uint storm_words[2];
static atomic_int storm_inside[2], storm_bad;

static void
storm_lock(int i, int tid, int with_timeout)
{
	unsigned zero = 0;

	while (!atomic_compare_exchange_strong(&storm_words[i], &zero, (unsigned)tid)) {
		struct timespec ts = in_ms(CLOCK_REALTIME, 1);

		zero = 0;
		if (!futex(&storm_words[i], FUTEX_LOCK_PI, 0, with_timeout ? &ts : NULL,
		        NULL, 0))
			break;
		if (errno != ETIMEDOUT)
			storm_bad = errno;
	}
	if (storm_inside[i]++)
		storm_bad = 1000;
}

static void
storm_unlock(int i, int tid)
{
	unsigned mine = (unsigned)tid;

	storm_inside[i]--;
	if (!atomic_compare_exchange_strong(&storm_words[i], &mine, 0) &&
	    futex(&storm_words[i], FUTEX_UNLOCK_PI, 0, NULL, NULL, 0))
		storm_bad = 2000 + errno;
}

static void *
storm(void *arg)
{
	int tid = gettid_(), n = (int)(long)arg;
	struct sched_param p = {.sched_priority = 1 + n};

	for (int i = 0; i < 400; i++) {
		if (i % 50 == 25)
			set_policy(0, n % 3 ? SCHED_FIFO : SCHED_RR, &p);
		storm_lock(0, tid, n % 2);
		if (i % 3 == 0)
			storm_lock(1, tid, i % 2);
		if (i % 16 == 0)
			sched_yield();
		if (i % 3 == 0)
			storm_unlock(1, tid);
		storm_unlock(0, tid);
	}
	return NULL;
}

static void
storm_of_locks(void)
{
	pthread_t t[THREADS];
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGUSR1, &sa, NULL);
	for (long i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, storm, (void *)i), 0);
	for (int i = 0; i < 100; i++) {
		pthread_kill(t[i % THREADS], SIGUSR1);
		sleep_ms(1);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(storm_bad, 0);
	CHECK_EQ(storm_words[0], 0);
	CHECK_EQ(storm_words[1], 0);
}

static const struct test tests[] = {
    TEST(lock_and_unlock_alone),
    TEST(errors_of_lock),
    TEST(read_only_word),
    TEST(unlock_hands_over),
    TEST(other_operations_refuse_such_a_word),
    TEST(a_word_waited_for_is_no_lock),
    TEST(time_outs),
    TEST(a_signal_does_not_end_the_wait),
    TEST(circles_are_refused),
    TEST(the_owner_runs_at_its_waiters_priority),
    TEST(a_waiter_that_gives_up_takes_its_priority_along),
    TEST(the_line_is_by_priority),
    TEST(no_priority_inversion),
    TEST(an_owner_that_ends_leaves_the_lock),
    TEST(robust_mutex_of_two_processes),
    TEST(robust_entries_say_what_they_are),
    TEST(requeue_to_a_free_lock),
    TEST(requeue_to_a_lock_that_is_held),
    TEST(requeue_waits_end),
    TEST(pthread_mutexes),
    TEST(pthread_conditions),
    TEST(storm_of_locks),
};

RUN_TESTS(tests)
