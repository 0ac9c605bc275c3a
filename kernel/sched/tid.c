/*
 * Thread and process numbers: a bitmap with summaries above it, so that the next free
 * number after the last one given is found in as many steps as there are levels. Level 0
 * has a bit for each number in use, a bit of level n + 1 says that a whole word of level
 * n is full.
 *
 * As on Linux, numbers are given in rising order and, after the last (pid_max), again from 300. Level 0
 * lies in pages, of which there are as many as the greatest pid_max so far wanted.
 */
#include "kernel/sched/thread.h"

#include "kernel/panic.h"
#include "lib/bits.h"
#include "mm/slab.h"

enum {
	DEFAULT_MAX = 32768,
	FIRST_AFTER_WRAP = 300,
	LEVELS = 4,
	CHUNK_WORDS = 512, /* a page */
	CHUNK_BITS = CHUNK_WORDS * 64,
	CHUNKS = TID_LIMIT / CHUNK_BITS,
	LEVEL1_WORDS = TID_LIMIT / 64 / 64,
	LEVEL2_WORDS = LEVEL1_WORDS / 64,
};

static_assert(CHUNK_BITS == DEFAULT_MAX, "one page is there from the start");

static uint64_t first_chunk[CHUNK_WORDS] = {0x3}; /* 0: idle threads; 1: init */
static uint64_t *chunks[CHUNKS] = {first_chunk};  /* [tid_lock] set before max rises */
static uint64_t level1[LEVEL1_WORDS], level2[LEVEL2_WORDS], level3[1];
static uint64_t *const summaries[LEVELS] = {NULL, level1, level2, level3};

static struct spinlock tid_lock = SPINLOCK_INIT("tid", RANK_OBJECT);
static uint32_t last GUARDED_BY(tid_lock) = 1;
static uint32_t max = DEFAULT_MAX; /* [a] no number given is so high */
static uint32_t num_chunks = 1;    /* [a] only rises */

/* The word with number `i` of a level; it is there. */
static uint64_t *
word_at(unsigned level, uint32_t i)
{
	return level ? &summaries[level][i] : &chunks[i / CHUNK_WORDS][i % CHUNK_WORDS];
}

static void
mark_used_locked(uint32_t tid)
{
	for (unsigned level = 0, bit = tid; level < LEVELS; level++, bit /= 64) {
		*word_at(level, bit / 64) |= 1ull << bit % 64;
		if (~*word_at(level, bit / 64))
			break;
	}
}

/* How many bits of a level stand for numbers below max. */
static uint32_t
bits_of_level(unsigned level)
{
	uint32_t bits = max;

	while (level--)
		bits = (bits + 63) / 64;
	return bits;
}

/* The first clear bit of `level` at or after `from` below bits_of_level, or that. */
static uint32_t
next_clear(unsigned level, uint32_t from)
{
	uint32_t limit = bits_of_level(level);
	uint64_t free;

	if (from >= limit)
		return limit;
	free = ~*word_at(level, from / 64) & ~0ull << from % 64;
	if (!free) {
		uint32_t word = level + 1 < LEVELS ? next_clear(level + 1, from / 64 + 1)
		                                   : (from / 64 + 1);

		if (word * 64 >= limit)
			return limit;
		free = ~*word_at(level, word);
		from = word * 64;
	}
	from = from / 64 * 64 + bit_first(free);
	return MIN(from, limit);
}

uint32_t
tid_next(uint32_t from)
{
	uint32_t end = __atomic_load_n(&num_chunks, __ATOMIC_ACQUIRE) * CHUNK_WORDS;

	from = MAX(from, 1); /* 0 is the idle threads' */
	for (uint32_t word = from / 64; word < end; word++, from = 0) {
		uint64_t used = __atomic_load_n(word_at(0, word), __ATOMIC_RELAXED) &
		                ~0ull << from % 64;

		if (used)
			return word * 64 + bit_first(used);
	}
	return 0;
}

uint32_t
tid_alloc(void)
{
	uint32_t tid;

	spin_lock(&tid_lock);
	tid = next_clear(0, last + 1);
	if (tid == max)
		tid = next_clear(0, FIRST_AFTER_WRAP);
	if (tid == max) {
		spin_unlock(&tid_lock);
		return 0;
	}
	last = tid;
	mark_used_locked(tid);
	spin_unlock(&tid_lock);
	return tid;
}

bool
tid_take(uint32_t tid)
{
	bool is_free;

	ASSERT(tid < num_chunks * CHUNK_BITS);
	spin_lock(&tid_lock);
	is_free = !(*word_at(0, tid / 64) >> tid % 64 & 1);
	if (is_free)
		mark_used_locked(tid);
	spin_unlock(&tid_lock);
	return is_free;
}

void
tid_free(uint32_t tid)
{
	if (tid <= 1)
		return;
	spin_lock(&tid_lock);
	for (unsigned level = 0, bit = tid; level < LEVELS; level++, bit /= 64)
		*word_at(level, bit / 64) &= ~(1ull << bit % 64);
	spin_unlock(&tid_lock);
}

uint32_t
tid_max(void)
{
	return __atomic_load_n(&max, __ATOMIC_RELAXED);
}

enum err
tid_set_max(uint32_t new_max)
{
	uint32_t want = DIV_ROUND_UP(new_max, CHUNK_BITS);

	ASSERT(new_max > FIRST_AFTER_WRAP && new_max <= TID_LIMIT);
	for (uint32_t i = num_chunks; i < want; i++) {
		uint64_t *chunk = kzalloc(CHUNK_WORDS * sizeof(*chunk));

		if (!chunk)
			return ERR_NOMEM;
		spin_lock(&tid_lock);
		if (!chunks[i]) { /* nobody else was faster */
			chunks[i] = chunk;
			chunk = NULL;
		}
		if (num_chunks < i + 1)
			__atomic_store_n(&num_chunks, i + 1, __ATOMIC_RELEASE);
		spin_unlock(&tid_lock);
		kfree(chunk);
	}
	spin_lock(&tid_lock);
	__atomic_store_n(&max, new_max, __ATOMIC_RELAXED);
	spin_unlock(&tid_lock);
	return OK;
}
