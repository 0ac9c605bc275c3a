/*
 * Descriptor tables: an array of file pointers with two bitmaps, open and close-on-exec.
 *
 * Changes hold the table's lock. Look-ups take none: a thread that shares its table with
 * nobody just reads its array, as only it could change it; others read under RCU, take a reference unless the count has dropped to 0, and look again
 * whether the descriptor still names that file. Arrays that grew and files are freed
 * after a grace period, so both reads are safe.
 *
 * A descriptor that is reserved is open without a file.
 *
 * The lowest free descriptor: next_free is a lower bound of it, and `full` has a bit for
 * each word of `open` that has no zero, so a search looks at one bit per 64 descriptors.
 */
#include "kernel/proc/fdtable.h"

#include "kernel/proc/process.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { FD_START = 64, FD_MAX = 1 << 20 };

struct fd_array {
	struct rcu_head rcu;
	unsigned capacity; /* multiple of 64 */
	struct file **files;
	uint64_t *open, *cloexec, *full;
};

struct fd_table {
	uint32_t refs; /* [a] threads that use it, and readers for /proc */
	struct spinlock lock;
	struct fd_array *array; /* [lock] changed; [R] read */
	unsigned next_free;     /* [lock] no descriptor below is free */
};

static struct fd_array *
fd_array_alloc(unsigned capacity)
{
	size_t words = capacity / 64, full_words = DIV_ROUND_UP(words, 64);
	struct fd_array *a = kzalloc(
	    sizeof(*a) + capacity * sizeof(struct file *) + (2 * words + full_words) * 8);

	if (!a)
		return NULL;
	a->capacity = capacity;
	a->files = (struct file **)(a + 1);
	a->open = (uint64_t *)(a->files + capacity);
	a->cloexec = a->open + words;
	a->full = a->cloexec + words;
	return a;
}

static void
fd_array_free(struct rcu_head *head)
{
	kfree(container_of(head, struct fd_array, rcu));
}

struct fd_table *
fd_table_create(void)
{
	struct fd_table *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->array = fd_array_alloc(FD_START);
	if (!t->array) {
		kfree(t);
		return NULL;
	}
	t->refs = 1;
	spin_init(&t->lock, "fd table", RANK_FD_TABLE);
	return t;
}

static bool
fd_is_open(const struct fd_array *a, unsigned fd)
{
	return fd < a->capacity && (a->open[fd / 64] >> fd % 64 & 1);
}

static void
fd_set_open(struct fd_array *a, unsigned fd)
{
	unsigned word = fd / 64;

	a->open[word] |= 1ull << fd % 64;
	if (a->open[word] == UINT64_MAX)
		a->full[word / 64] |= 1ull << word % 64;
}

static void
fd_set_closed(struct fd_array *a, unsigned fd)
{
	unsigned word = fd / 64;

	a->open[word] &= ~(1ull << fd % 64);
	a->cloexec[word] &= ~(1ull << fd % 64);
	a->full[word / 64] &= ~(1ull << word % 64);
}

static void
fd_set_cloexec(struct fd_array *a, unsigned fd, bool on)
{
	uint64_t bit = 1ull << fd % 64;

	if (on)
		a->cloexec[fd / 64] |= bit;
	else
		a->cloexec[fd / 64] &= ~bit;
}

/* The lowest free descriptor >= min; a->capacity if the array is full from there on. */
static unsigned
fd_array_find_free(const struct fd_array *a, unsigned min)
{
	unsigned words = a->capacity / 64, word = min / 64;
	uint64_t free_bits;

	if (word >= words)
		return a->capacity;
	free_bits = ~a->open[word] & (UINT64_MAX << min % 64);
	if (free_bits)
		return word * 64 + bit_first(free_bits);
	for (word++; word < words; word = (word / 64 + 1) * 64) {
		uint64_t not_full = ~a->full[word / 64] & (UINT64_MAX << word % 64);

		if (!not_full)
			continue;
		word = word / 64 * 64 + bit_first(not_full);
		if (word >= words)
			break;
		return word * 64 + bit_first(~a->open[word]);
	}
	return a->capacity;
}

static void
fd_array_copy(struct fd_array *to, const struct fd_array *from, unsigned capacity)
{
	unsigned words = capacity / 64;

	memcpy(to->files, from->files, capacity * sizeof(struct file *));
	memcpy(to->open, from->open, words * 8);
	memcpy(to->cloexec, from->cloexec, words * 8);
	memcpy(to->full, from->full, DIV_ROUND_UP(words, 64) * 8);
}

/* Makes room for descriptor `fd`; called without the lock. ERR_NOMEM, ERR_MFILE. */
static enum err
fd_table_grow(struct fd_table *t, unsigned fd)
{
	struct fd_array *bigger, *old;

	if (fd >= FD_MAX)
		return ERR_MFILE;
	bigger = fd_array_alloc((unsigned)MAX(round_up_pow2(fd + 1), (uint64_t)FD_START));
	if (!bigger)
		return ERR_NOMEM;
	spin_lock(&t->lock);
	old = t->array;
	if (old->capacity < bigger->capacity) {
		fd_array_copy(bigger, old, old->capacity);
		rcu_assign(t->array, bigger);
	} else {
		old = bigger; /* another thread was faster */
	}
	spin_unlock(&t->lock);
	rcu_call(&old->rcu, fd_array_free);
	return OK;
}

/* Of the new table: a reference, or what was reserved in the old one is free. */
static void
fd_copied(struct fd_table *t, unsigned fd)
{
	struct file *f = t->array->files[fd];

	if (f) {
		file_get(f);
		return;
	}
	fd_set_closed(t->array, fd);
	t->next_free = MIN(t->next_free, fd);
}

/* A copy holding references of its own, no larger than what is open needs. */
struct fd_table *
fd_table_copy(struct fd_table *from)
{
	struct fd_table *t = kzalloc(sizeof(*t));
	unsigned capacity;

	if (!t)
		return NULL;
	t->refs = 1;
	spin_init(&t->lock, "fd table", RANK_FD_TABLE);
	for (;;) {
		capacity = __atomic_load_n(&from->array, __ATOMIC_RELAXED)->capacity;
		t->array = fd_array_alloc(capacity);
		if (!t->array) {
			kfree(t);
			return NULL;
		}
		spin_lock(&from->lock);
		if (from->array->capacity == capacity)
			break;
		spin_unlock(&from->lock); /* it grew meanwhile */
		kfree(t->array);
	}
	fd_array_copy(t->array, from->array, capacity);
	t->next_free = from->next_free;
	for (unsigned word = 0; word < capacity / 64; word++)
		for (uint64_t bits = t->array->open[word]; bits; bits &= bits - 1)
			fd_copied(t, word * 64 + bit_first(bits));
	spin_unlock(&from->lock);
	return t;
}

struct fd_table *
fd_table_get(struct fd_table *t)
{
	__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void
fd_table_put(struct fd_table *t)
{
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	fd_table_close_range(t, 0, UINT32_MAX, false);
	kfree(t->array);
	kfree(t);
}

/* Takes the file at `fd` out of the table; lock held. NULL: not open, or reserved. */
static struct file *
fd_take_locked(struct fd_table *t, unsigned fd)
{
	struct fd_array *a = t->array;
	struct file *f;

	f = fd_is_open(a, fd) ? a->files[fd] : NULL;
	if (!f)
		return NULL;
	__atomic_store_n(&a->files[fd], NULL, __ATOMIC_RELEASE);
	fd_set_closed(a, fd);
	if (fd < t->next_free)
		t->next_free = fd;
	return f;
}

static void
fd_drop(struct fd_table *t, struct file *f)
{
	if (f->inode)
		file_closed_by(f, t);
	file_put(f);
}

void
fd_table_close_range(struct fd_table *t, unsigned first, unsigned last, bool only_mark)
{
	for (unsigned word = first / 64;; word++) {
		for (;;) {
			struct file *f = NULL;

			spin_lock(&t->lock);
			if (word >= t->array->capacity / 64 || word > last / 64) {
				spin_unlock(&t->lock);
				return;
			}

			uint64_t bits = t->array->open[word];

			if (word == first / 64)
				bits &= UINT64_MAX << first % 64;
			if (word == last / 64)
				bits &= UINT64_MAX >> (63 - last % 64);
			if (only_mark)
				t->array->cloexec[word] |= bits;
			for (; bits && !f && !only_mark; bits &= bits - 1)
				f = fd_take_locked(t, word * 64 + bit_first(bits));
			spin_unlock(&t->lock);
			if (!f)
				break;
			fd_drop(t, f);
		}
	}
}

unsigned
fd_table_size(struct fd_table *t)
{
	unsigned size;

	rcu_read_lock();
	size = rcu_dereference(t->array)->capacity;
	rcu_read_unlock();
	return size;
}

void
fd_table_close_on_exec(struct fd_table *t)
{
	/* Only the current process uses the table now: exec has unshared it. */
	for (unsigned word = 0; word < t->array->capacity / 64; word++) {
		/* The other threads are gone: nothing is reserved. */
		while (t->array->cloexec[word]) {
			unsigned fd = word * 64 + bit_first(t->array->cloexec[word]);
			struct file *f;

			spin_lock(&t->lock);
			f = fd_take_locked(t, fd);
			spin_unlock(&t->lock);
			fd_drop(t, f);
		}
	}
}

/* Kernel threads have none: they only fill the table of PID 1. */
static uint64_t
fd_limit(void)
{
	struct process *p = current_process();

	return p ? p->rlimits[RLIMIT_NOFILE].cur : FD_START;
}

/* f NULL: reserves it. */
int
fd_table_install(struct fd_table *t, struct file *f, unsigned min_fd, bool cloexec)
{
	uint64_t limit = fd_limit();

	for (;;) {
		unsigned fd;
		enum err err;

		spin_lock(&t->lock);
		fd = fd_array_find_free(t->array, MAX(min_fd, t->next_free));
		if (fd < t->array->capacity && fd < limit) {
			if (min_fd <= t->next_free)
				t->next_free = fd + 1;
			fd_set_open(t->array, fd);
			fd_set_cloexec(t->array, fd, cloexec);
			__atomic_store_n(&t->array->files[fd], f, __ATOMIC_RELEASE);
			spin_unlock(&t->lock);
			return (int)fd;
		}
		spin_unlock(&t->lock);
		fd = MAX(fd, min_fd);
		if (fd >= limit)
			return ERR_MFILE;
		err = fd_table_grow(t, fd);
		if (err != OK)
			return err;
	}
}

enum err
fd_table_replace(struct fd_table *t, struct file *f, unsigned fd, bool cloexec)
{
	struct file *old;

	if (fd >= fd_limit())
		return ERR_BADF;
	for (;;) {
		enum err err;

		spin_lock(&t->lock);
		if (fd < t->array->capacity)
			break;
		spin_unlock(&t->lock);
		err = fd_table_grow(t, fd);
		if (err != OK)
			return err;
	}
	old = t->array->files[fd];
	if (!old && fd_is_open(t->array, fd)) {
		spin_unlock(&t->lock);
		return ERR_BUSY;
	}
	fd_set_open(t->array, fd);
	fd_set_cloexec(t->array, fd, cloexec);
	__atomic_store_n(&t->array->files[fd], file_get(f), __ATOMIC_RELEASE);
	spin_unlock(&t->lock);
	if (old)
		fd_drop(t, old);
	return OK;
}

int
fd_table_cloexec(struct fd_table *t, unsigned fd, int want)
{
	int result = ERR_BADF;

	spin_lock(&t->lock);
	if (fd_is_open(t->array, fd)) {
		result = t->array->cloexec[fd / 64] >> fd % 64 & 1;
		if (want >= 0)
			fd_set_cloexec(t->array, fd, want);
	}
	spin_unlock(&t->lock);
	return result;
}

struct file *
fd_table_next(struct fd_table *t, int *fd)
{
	struct file *f = NULL;

	spin_lock(&t->lock);
	for (unsigned i = (unsigned)*fd; i < t->array->capacity; i++) {
		if (t->array->files[i]) {
			f = file_get(t->array->files[i]);
			*fd = (int)i;
			break;
		}
	}
	spin_unlock(&t->lock);
	return f;
}

enum err
fd_table_unshare(void)
{
	struct thread *t = current_thread();
	struct fd_table *copy, *old = t->fds;

	if (__atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1)
		return OK;
	copy = fd_table_copy(old);
	if (!copy)
		return ERR_NOMEM;
	spin_lock(&t->process->lock);
	t->fds = copy;
	spin_unlock(&t->process->lock);
	fd_table_put(old);
	return OK;
}

static bool
file_get_unless_zero(struct file *f)
{
	uint32_t refs = __atomic_load_n(&f->refs, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&f->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static struct file *
fd_get_shared(struct fd_table *t, unsigned fd)
{
	struct file *f = NULL;

	rcu_read_lock();
	for (;;) {
		struct fd_array *a = rcu_dereference(t->array);

		f = fd < a->capacity ? rcu_dereference(a->files[fd]) : NULL;
		if (!f)
			break;
		if (!file_get_unless_zero(f))
			continue;
		if (f == rcu_dereference(rcu_dereference(t->array)->files[fd]))
			break;
		/* Closed meanwhile: we hold what may be the last reference, and cannot
		 * sleep here. */
		rcu_read_unlock();
		file_put(f);
		rcu_read_lock();
	}
	rcu_read_unlock();
	return f;
}

struct file *
fd_get(int fd)
{
	struct fd_table *t = current_thread()->fds;
	struct file *f;

	/* Acquire: what others changed before they left it. */
	if (unlikely(__atomic_load_n(&t->refs, __ATOMIC_ACQUIRE) != 1))
		return fd_get_shared(t, (unsigned)fd);
	if ((unsigned)fd >= t->array->capacity)
		return NULL;
	f = t->array->files[fd];
	return f ? file_get(f) : NULL;
}

int
fd_reserve(bool cloexec)
{
	return fd_table_install(current_thread()->fds, NULL, 0, cloexec);
}

/* The array may grow meanwhile. */
void
fd_fill(int fd, struct file *f)
{
	struct fd_table *t = current_thread()->fds;

	spin_lock(&t->lock);
	__atomic_store_n(&t->array->files[fd], f, __ATOMIC_RELEASE);
	spin_unlock(&t->lock);
}

void
fd_unreserve(int fd)
{
	struct fd_table *t = current_thread()->fds;

	spin_lock(&t->lock);
	fd_set_closed(t->array, (unsigned)fd);
	t->next_free = MIN(t->next_free, (unsigned)fd);
	spin_unlock(&t->lock);
}

int
fd_install(struct file *f, int min_fd, bool cloexec)
{
	return fd_table_install(current_thread()->fds, f, (unsigned)min_fd, cloexec);
}

enum err
fd_close(int fd)
{
	struct fd_table *t = current_thread()->fds;
	struct file *f;

	spin_lock(&t->lock);
	f = fd_take_locked(t, (unsigned)fd);
	spin_unlock(&t->lock);
	if (!f)
		return ERR_BADF;
	fd_drop(t, f);
	return OK;
}
