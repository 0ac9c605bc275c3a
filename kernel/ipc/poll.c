/*
 * poll, ppoll, select, pselect6: one engine. The first pass over the files registers an
 * entry on each of their wait queues; a wake-up of any of them sends us over the files
 * again, without registering.
 */
#include "kernel/poll.h"

#include "kernel/file.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	POLL_DEFAULT = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM,
	POLL_ALWAYS = POLLERR | POLLHUP
};

/* One file that is waited for. */
struct poll_item {
	struct file *file; /* a reference; NULL: no such descriptor */
	int fd;
	uint32_t events, revents;
};

struct poll_entry {
	struct waiter waiter;
	struct wait_queue *queue;
	struct poll_waiter *owner;
};

enum { POLL_INLINE = 6, POLL_BLOCK = 60 };

struct poll_block {
	struct poll_block *next;
	unsigned used;
	struct poll_entry entries[POLL_BLOCK];
};

struct poll_waiter {
	struct poll_table table;
	struct thread *thread;
	bool is_woken;  /* [a] */
	bool is_failed; /* no memory for an entry */
	unsigned used;
	struct poll_entry entries[POLL_INLINE];
	struct poll_block *blocks;
};

uint32_t
file_poll(struct file *f, struct poll_table *pt)
{
	return f->ops->poll ? f->ops->poll(f, pt) : POLL_DEFAULT;
}

static bool
poll_entry_wake(struct waiter *w, uint32_t events)
{
	struct poll_waiter *pw = container_of(w, struct poll_entry, waiter)->owner;

	__atomic_store_n(&pw->is_woken, true, __ATOMIC_RELEASE);
	thread_wake(pw->thread);
	return true;
}

static struct poll_entry *
poll_entry_alloc(struct poll_waiter *pw)
{
	struct poll_block *b = pw->blocks;

	if (pw->used < POLL_INLINE)
		return &pw->entries[pw->used++];
	if (!b || b->used == POLL_BLOCK) {
		b = kmalloc(sizeof(*b));
		if (!b)
			return NULL;
		b->next = pw->blocks;
		b->used = 0;
		pw->blocks = b;
	}
	return &b->entries[b->used++];
}

static void
poll_add(struct poll_table *pt, struct file *f, struct wait_queue *q)
{
	struct poll_waiter *pw = container_of(pt, struct poll_waiter, table);
	struct poll_entry *e = poll_entry_alloc(pw);

	if (!e) {
		pw->is_failed = true;
		return;
	}
	*e = (struct poll_entry){.waiter.wake = poll_entry_wake, .queue = q, .owner = pw};
	wait_queue_add(q, &e->waiter);
}

static void
poll_waiter_fini(struct poll_waiter *pw)
{
	for (unsigned i = 0; i < pw->used; i++)
		wait_queue_remove(pw->entries[i].queue, &pw->entries[i].waiter);
	while (pw->blocks) {
		struct poll_block *b = pw->blocks;

		for (unsigned i = 0; i < b->used; i++)
			wait_queue_remove(b->entries[i].queue, &b->entries[i].waiter);
		pw->blocks = b->next;
		kfree(b);
	}
}

/* One pass; how many have something to tell. Registers only until the first that is
 * ready. */
static long
poll_scan(struct poll_item *items, unsigned n, struct poll_table *pt)
{
	long ready = 0;

	for (unsigned i = 0; i < n; i++) {
		struct poll_item *it = &items[i];

		if (it->fd < 0)
			continue;
		it->revents = POLLNVAL;
		if (it->file)
			it->revents = file_poll(it->file, pt) &
			              (it->events | POLL_ALWAYS | POLLNVAL);
		if (it->revents) {
			ready++;
			pt = NULL;
		}
	}
	return ready;
}

/*
 * Waits until an item is ready: how many are; 0 when the deadline passed, ERR_RESTARTSYS
 * for a signal. `deadline` 0 waits for ever, 1 does not wait at all.
 */
static long
poll_items(struct poll_item *items, unsigned n, nsec_t deadline)
{
	struct poll_waiter pw = {.table.add = poll_add, .thread = current_thread()};
	struct poll_table *pt = deadline == 1 ? NULL : &pw.table;
	struct wait_queue nobody;
	long ready;
	enum err err = OK;

	wait_queue_init(&nobody);
	for (;;) {
		__atomic_store_n(&pw.is_woken, false, __ATOMIC_SEQ_CST);
		ready = poll_scan(items, n, pt);
		pt = NULL;
		if (ready || err != OK || deadline == 1)
			break;
		if (pw.is_failed) {
			err = ERR_NOMEM;
			break;
		}
		err = wait_event(&nobody, __atomic_load_n(&pw.is_woken, __ATOMIC_ACQUIRE),
		    WAIT_INTERRUPTIBLE, deadline);
	}
	poll_waiter_fini(&pw);
	if (ready || err == OK || err == ERR_TIMEDOUT)
		return ready;
	return err;
}

static void
poll_items_get(struct poll_item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		items[i].file = items[i].fd >= 0 ? fd_get(items[i].fd) : NULL;
}

static void
poll_items_put(struct poll_item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (items[i].file)
			file_put(items[i].file);
}

/* ---- Time-outs
 * ------------------------------------------------------------------------- */

/* From a relative time: never 0, which would be for ever; 1 for none at all. */
static nsec_t
poll_deadline(nsec_t timeout)
{
	return timeout ? clock_now_ns() + MIN(timeout, (nsec_t)INT64_MAX / 2) : 1;
}

static struct timespec
poll_time_left(nsec_t deadline)
{
	nsec_t now = clock_now_ns();

	return timespec_from_ns(deadline > now ? deadline - now : 0);
}

/* ---- poll
 * ------------------------------------------------------------------------------ */

struct pollfd {
	int32_t fd;
	int16_t events, revents;
};

enum { POLL_STACK_FDS = 8 };

static long
poll_user(struct pollfd USER *ufds, struct pollfd *fds, struct poll_item *items,
    unsigned n, nsec_t deadline)
{
	long ready;

	for (unsigned i = 0; i < n; i++)
		items[i] = (struct poll_item){
		    .fd = fds[i].fd, .events = (uint16_t)fds[i].events};
	poll_items_get(items, n);
	ready = poll_items(items, n, deadline);
	poll_items_put(items, n);
	if (ready < 0)
		return ready;
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = (int16_t)items[i].revents;
	if (copy_to_user(ufds, fds, n * sizeof(*fds)) != OK)
		return ERR_FAULT;
	return ready;
}

static long
poll_call(struct pollfd USER *ufds, unsigned n, nsec_t deadline)
{
	struct pollfd few[POLL_STACK_FDS], *fds = few;
	struct poll_item few_items[POLL_STACK_FDS], *items = few_items;
	long result;

	if (n > current_process()->rlimits[RLIMIT_NOFILE].cur)
		return ERR_INVAL;
	if (n > POLL_STACK_FDS) {
		fds = kcalloc(n, sizeof(*fds));
		items = kcalloc(n, sizeof(*items));
	}
	if (!fds || !items)
		result = ERR_NOMEM;
	else if (copy_from_user(fds, ufds, n * sizeof(*fds)) != OK)
		result = ERR_FAULT;
	else
		result = poll_user(ufds, fds, items, n, deadline);
	if (n > POLL_STACK_FDS) {
		kfree(fds);
		kfree(items);
	}
	return result;
}

static long
poll_restart(struct thread *t)
{
	long result = poll_call((struct pollfd USER *)t->restart_args[0],
	    (unsigned)t->restart_args[1], t->restart_args[2]);

	return result == ERR_RESTARTSYS ? ERR_RESTART_BLOCK : result;
}

long
sys_poll(struct pollfd USER *fds, unsigned nfds, int timeout_ms)
{
	struct thread *t = current_thread();
	nsec_t deadline = timeout_ms < 0
	                      ? NO_TIMEOUT
	                      : poll_deadline((nsec_t)timeout_ms * NSEC_PER_MSEC);
	long result = poll_call(fds, nfds, deadline);

	if (result != ERR_RESTARTSYS)
		return result;
	t->restart_fn = poll_restart;
	t->restart_args[0] = (uint64_t)fds;
	t->restart_args[1] = nfds;
	t->restart_args[2] = deadline;
	return ERR_RESTART_BLOCK;
}

static enum err
poll_timespec(const struct timespec USER *timeout, nsec_t *deadline)
{
	struct timespec ts;

	*deadline = NO_TIMEOUT;
	if (!timeout)
		return OK;
	if (get_user(ts, timeout) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	*deadline = poll_deadline(timespec_to_ns(&ts));
	return OK;
}

/* The end of the calls with a mask: tells the time that is left, puts the mask back. */
static long
poll_finish(long result, struct timespec USER *timeout, nsec_t deadline)
{
	if (result == ERR_RESTARTSYS)
		result = ERR_RESTARTNOHAND;
	signal_end_mask(result == ERR_RESTARTNOHAND);
	if (timeout) {
		struct timespec left = poll_time_left(deadline);

		(void)put_user(
		    left, timeout); /* Linux ignores memory it may not write too */
	}
	return result;
}

long
sys_ppoll(struct pollfd USER *fds, unsigned nfds, struct timespec USER *timeout,
    const uint64_t USER *sigmask, size_t setsize)
{
	nsec_t deadline;
	enum err err = poll_timespec(timeout, &deadline);

	if (err == OK)
		err = signal_begin_mask(sigmask, setsize);
	if (err != OK)
		return err;
	return poll_finish(poll_call(fds, nfds, deadline), timeout, deadline);
}

/* ---- select
 * ---------------------------------------------------------------------------- */

enum {
	SELECT_IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
	SELECT_OUT = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
	SELECT_EX = POLLPRI,
	SELECT_MAX = 1 << 16,
};

static const uint32_t select_events[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};

/* The three sets, `words` each, one after the other. */
struct select_sets {
	uint64_t USER *user[3];
	uint64_t *bits;
	unsigned words;
};

static uint64_t
select_any(const struct select_sets *s, unsigned word)
{
	return s->bits[word] | s->bits[s->words + word] | s->bits[2 * s->words + word];
}

static unsigned
select_make_items(const struct select_sets *s, unsigned n, struct poll_item *items)
{
	unsigned count = 0;

	for (unsigned fd = 0; fd < n; fd++) {
		uint32_t events = 0;

		if (!(select_any(s, fd / 64) >> fd % 64 & 1))
			continue;
		for (unsigned set = 0; set < 3; set++)
			if (s->bits[set * s->words + fd / 64] >> fd % 64 & 1)
				events |= select_events[set];
		items[count++] = (struct poll_item){.fd = (int)fd, .events = events};
	}
	return count;
}

/* Which of the asked-for bits hold; how many. */
static long
select_store(struct select_sets *s, const struct poll_item *items, unsigned count)
{
	uint64_t *old = s->bits;
	long n = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned word = (unsigned)items[i].fd / 64;
		uint64_t bit = 1ull << items[i].fd % 64;

		for (unsigned set = 0; set < 3; set++) {
			uint64_t *w = &old[set * s->words + word];

			if (!(*w & bit))
				continue;
			if (items[i].revents & select_events[set])
				n++;
			else
				*w &= ~bit;
		}
	}
	return n;
}

static enum err
select_copy(struct select_sets *s, unsigned n, bool to_user)
{
	size_t bytes = DIV_ROUND_UP(n, 64) * 8ul;

	for (unsigned set = 0; set < 3; set++) {
		uint64_t *bits = s->bits + set * s->words;
		enum err err = OK;

		if (s->user[set] && to_user)
			err = copy_to_user(s->user[set], bits, bytes);
		else if (s->user[set])
			err = copy_from_user(bits, s->user[set], bytes);
		if (err != OK)
			return err;
	}
	return OK;
}

static long
select_wait(struct select_sets *s, unsigned n, nsec_t deadline)
{
	unsigned count = 0, made;
	struct poll_item *items;
	long result;

	for (unsigned w = 0; w < s->words; w++)
		count += (unsigned)__builtin_popcountll(select_any(s, w));
	items = kcalloc(MAX(count, 1u), sizeof(*items));
	if (!items)
		return ERR_NOMEM;
	made = select_make_items(s, n, items);
	poll_items_get(items, made);
	result = 0;
	for (unsigned i = 0; i < made; i++)
		if (!items[i].file)
			result = ERR_BADF;
	if (result == 0)
		result = poll_items(items, made, deadline);
	poll_items_put(items, made);
	if (result >= 0)
		result = select_store(s, items, made);
	kfree(items);
	return result;
}

static long
select_call(
    int n, uint64_t USER *in, uint64_t USER *out, uint64_t USER *ex, nsec_t deadline)
{
	struct select_sets s = {.user = {in, out, ex}};
	long result;

	if (n < 0)
		return ERR_INVAL;
	n = MIN(n, (int)SELECT_MAX);
	s.words = MAX(DIV_ROUND_UP((unsigned)n, 64u), 1u);
	s.bits = kcalloc(3ul * s.words, 8);
	if (!s.bits)
		return ERR_NOMEM;
	result = select_copy(&s, (unsigned)n, false);
	if (result == OK && n % 64)
		for (unsigned set = 0; set < 3; set++)
			s.bits[(set + 1) * s.words - 1] &= (1ull << n % 64) - 1;
	if (result == OK)
		result = select_wait(&s, (unsigned)n, deadline);
	if (result >= 0 && select_copy(&s, (unsigned)n, true) != OK)
		result = ERR_FAULT;
	kfree(s.bits);
	return result;
}

long
sys_select(int n, uint64_t USER *in, uint64_t USER *out, uint64_t USER *ex,
    struct timeval USER *timeout)
{
	const int64_t usec_per_sec = NSEC_PER_SEC / NSEC_PER_USEC;
	nsec_t deadline = NO_TIMEOUT;
	struct timeval tv;
	long result;

	if (timeout) {
		if (get_user(tv, timeout) != OK)
			return ERR_FAULT;
		/* Here alone microseconds may be more than a second's. */
		if (tv.sec < 0 || tv.usec < 0 ||
		    __builtin_add_overflow(tv.sec, tv.usec / usec_per_sec, &tv.sec))
			return ERR_INVAL;
		tv.usec %= usec_per_sec;
		deadline = poll_deadline(timeval_to_ns(&tv));
	}
	result = select_call(n, in, out, ex, deadline);
	if (timeout) {
		struct timespec left = poll_time_left(deadline);

		tv = (struct timeval){left.sec, left.nsec / (int64_t)NSEC_PER_USEC};
		(void)put_user(
		    tv, timeout); /* Linux ignores memory it may not write too */
	}
	return result == ERR_RESTARTSYS ? ERR_RESTARTNOHAND : result;
}

long
sys_pselect6(int n, uint64_t USER *in, uint64_t USER *out, uint64_t USER *ex,
    struct timespec USER *timeout, const void USER *sig)
{
	struct {
		const uint64_t USER *mask;
		size_t size;
	} arg = {NULL, 0};
	nsec_t deadline;
	enum err err = OK;

	if (sig)
		err = copy_from_user(&arg, sig, sizeof(arg));
	if (err == OK)
		err = poll_timespec(timeout, &deadline);
	if (err == OK)
		err = signal_begin_mask(arg.mask, arg.size);
	if (err != OK)
		return err;
	return poll_finish(select_call(n, in, out, ex, deadline), timeout, deadline);
}
