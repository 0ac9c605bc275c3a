/*
 * Thread and process numbers: a bitmap with summaries above it, so that the next free
 * number after the last one given is found in as many steps as there are levels. Level 0
 * has a bit for each number in use, a bit of level n + 1 says that a whole word of level
 * n is full.
 *
 * As on Linux, numbers are given in rising order and, after the last, again from 300.
 */
#include "kernel/sched/thread.h"

#include "kernel/panic.h"
#include "lib/bits.h"

enum {
	FIRST_AFTER_WRAP = 300,
	LEVELS = 3,
};

static uint64_t level0[TID_LIMIT / 64] = {0x3}; /* 0: idle threads; 1: init */
static uint64_t level1[TID_LIMIT / 64 / 64];
static uint64_t level2[1];
static uint64_t *const levels[LEVELS] = {level0, level1, level2};
static const uint32_t level_bits[LEVELS] = {
    TID_LIMIT, TID_LIMIT / 64, TID_LIMIT / 64 / 64};

static struct spinlock tid_lock = SPINLOCK_INIT("tid", RANK_OBJECT);
static uint32_t last GUARDED_BY(tid_lock) = 1;

static void
mark_used_locked(uint32_t tid)
{
	for (unsigned level = 0, bit = tid; level < LEVELS; level++, bit /= 64) {
		levels[level][bit / 64] |= 1ull << bit % 64;
		if (~levels[level][bit / 64])
			break;
	}
}

/* The first clear bit of `level` at or after `from` below level_bits, or level_bits. */
static uint32_t
next_clear(unsigned level, uint32_t from)
{
	uint32_t limit = level_bits[level];
	uint64_t free;

	if (from >= limit)
		return limit;
	free = ~levels[level][from / 64] & ~0ull << from % 64;
	if (!free) {
		uint32_t word = level + 1 < LEVELS ? next_clear(level + 1, from / 64 + 1)
		                                   : (from / 64 + 1);

		if (word * 64 >= limit)
			return limit;
		free = ~levels[level][word];
		from = word * 64;
	}
	from = from / 64 * 64 + bit_first(free);
	return MIN(from, limit);
}

uint32_t
tid_next(uint32_t from)
{
	from = MAX(from, 1); /* 0 is the idle threads' */
	for (uint32_t word = from / 64; word < TID_LIMIT / 64; word++, from = 0) {
		uint64_t used =
		    __atomic_load_n(&level0[word], __ATOMIC_RELAXED) & ~0ull << from % 64;

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
	if (tid == TID_LIMIT)
		tid = next_clear(0, FIRST_AFTER_WRAP);
	if (tid == TID_LIMIT) {
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

	ASSERT(tid < TID_LIMIT);
	spin_lock(&tid_lock);
	is_free = !(level0[tid / 64] >> tid % 64 & 1);
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
		levels[level][bit / 64] &= ~(1ull << bit % 64);
	spin_unlock(&tid_lock);
}
