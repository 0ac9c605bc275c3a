/* How much memory may be promised: see mm/commit.h. */
#include "mm/commit.h"

#include "kernel/proc/cred.h"
#include "mm/aspace.h"
#include "mm/page.h"

enum {
	KIB_SHIFT = PAGE_SHIFT - 10, /* KiB in a page */
	USER_RESERVE_MAX = 128 << 10,
	ADMIN_RESERVE_MAX = 8 << 10,
};

uint64_t overcommit_memory = OVERCOMMIT_GUESS;
uint64_t overcommit_ratio = 50;
uint64_t overcommit_kbytes;
uint64_t user_reserve_kbytes = USER_RESERVE_MAX;
uint64_t admin_reserve_kbytes = ADMIN_RESERVE_MAX;

static uint64_t
setting(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

void
commit_init(void)
{
	struct mem_stats s;
	uint64_t share;

	mem_stats_get(&s);
	share = (s.free_pages << KIB_SHIFT) / 32;
	user_reserve_kbytes = MIN(share, (uint64_t)USER_RESERVE_MAX);
	admin_reserve_kbytes = MIN(share, (uint64_t)ADMIN_RESERVE_MAX);
}

uint64_t
commit_limit(void)
{
	uint64_t kbytes = setting(&overcommit_kbytes);

	if (kbytes)
		return kbytes >> KIB_SHIFT;
	return mem_total_pages() * setting(&overcommit_ratio) / 100;
}

static uint64_t
minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* A part is kept for the administrator, and a 32nd of a program's own size for others. */
static bool
is_within_limit(const struct aspace *as, uint64_t pages)
{
	uint64_t limit = commit_limit(), reserve;

	if (!capable(CAP_SYS_ADMIN))
		limit = minus(limit, setting(&admin_reserve_kbytes) >> KIB_SHIFT);
	if (as) {
		reserve = setting(&user_reserve_kbytes) >> KIB_SHIFT;
		limit = minus(limit, MIN(as->num_pages / 32, reserve));
	}
	return mem_counter_read(MEM_COMMITTED) + pages < limit;
}

bool
commit_allows(const struct aspace *as, uint64_t pages)
{
	switch (setting(&overcommit_memory)) {
	case OVERCOMMIT_ALWAYS: return true;
	case OVERCOMMIT_NEVER: return is_within_limit(as, pages);
	default: return pages <= mem_total_pages();
	}
}
