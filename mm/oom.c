/* Choosing and ending a process when memory has run out: see mm/oom.h. */
#include "mm/oom.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/proc/pidfd.h"
#include "kernel/proc/process.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/page.h"
#include "mm/reclaim.h"
#include "mm/usage.h"
#include "syscalls.h"

#define VICTIM_TIME_NS (3 * NSEC_PER_SEC) /* then another is chosen */
#define RETRY_TIME_NS  (20 * NSEC_PER_MSEC)

enum { RECLAIM_PAGES = 32, DUMP_MAX = 200, KIB = PAGE_SIZE / 1024 };

uint64_t oom_kill_allocating_task, oom_dump_tasks = 1, panic_on_oom;

static struct mutex oom_lock = MUTEX_INIT(oom_lock, "oom", RANK_OOM);
static struct wait_queue oom_wait = WAIT_QUEUE_INIT(oom_wait);

/* ---- Scores ---- */

/* Pages in use and the correction, which is in thousandths of all memory. */
static int64_t
badness(struct process *p, uint64_t total)
{
	int64_t points = INT64_MIN;

	spin_lock(&p->lock);
	if (p->aspace && p != init_process && p->oom_score_adj != OOM_SCORE_ADJ_MIN &&
	    !p->is_vfork_child && !p->aspace->is_reaped)
		points =
		    (int64_t)__atomic_load_n(&p->aspace->resident, __ATOMIC_RELAXED) +
		    p->oom_score_adj * (int64_t)(total / 1000);
	spin_unlock(&p->lock);
	return points;
}

unsigned
oom_score(struct process *p)
{
	uint64_t total = mem_total_pages();
	int64_t points = badness(p, total);

	if (points == INT64_MIN)
		return 0;
	points = (1000 + points * 1000 / (int64_t)total) * 2 / 3;
	return points > 0 ? (unsigned)points : 0;
}

struct correction {
	const struct aspace *as; /* only compared */
	int adj, min;
};

static bool
correct(struct process *p, void *arg)
{
	const struct correction *c = arg;

	spin_lock(&p->lock);
	if (p->aspace == c->as && p != init_process) {
		p->oom_score_adj = (int16_t)c->adj;
		if (capable(CAP_SYS_RESOURCE))
			p->oom_score_adj_min = (int16_t)c->adj;
	}
	spin_unlock(&p->lock);
	return true;
}

enum err
oom_score_adj_set(struct process *p, int adj)
{
	struct correction c = {.adj = adj};

	spin_lock(&p->lock);
	if (adj < p->oom_score_adj_min && !capable(CAP_SYS_RESOURCE)) {
		spin_unlock(&p->lock);
		return ERR_ACCES;
	}
	p->oom_score_adj = (int16_t)adj;
	if (capable(CAP_SYS_RESOURCE))
		p->oom_score_adj_min = (int16_t)adj;
	c.as = p->is_vfork_child ? NULL : p->aspace;
	spin_unlock(&p->lock);
	if (c.as && __atomic_load_n(&c.as->refs, __ATOMIC_RELAXED) > 1)
		process_for_each(correct, &c);
	return OK;
}

/* ---- The choice ---- */

struct choice {
	uint64_t total;
	int64_t points;
	uint32_t pid; /* 0: nobody */
	bool must_wait;
};

static bool
consider(struct process *p, void *arg)
{
	struct choice *c = arg;
	int64_t points;

	if (p->is_oom_victim && clock_now_ns() < p->oom_deadline_ns) {
		c->must_wait = true;
		return false;
	}
	points = badness(p, c->total);
	if (points > c->points) {
		c->points = points;
		c->pid = p->pid;
	}
	return true;
}

/* With a reference; NULL: nobody, or (*must_wait) one is dying already. */
static struct process *
choose(bool *must_wait)
{
	struct choice c = {.total = mem_total_pages(), .points = INT64_MIN};
	struct process *me = current_process();

	if (__atomic_load_n(&oom_kill_allocating_task, __ATOMIC_RELAXED) &&
	    badness(me, c.total) != INT64_MIN)
		return process_get(me);
	process_for_each(consider, &c);
	*must_wait = c.must_wait;
	return c.pid && !c.must_wait ? process_find(c.pid) : NULL;
}

/* ---- The log, in Linux's words ---- */

static void
copy_name(struct process *p, char name[THREAD_NAME_LEN])
{
	struct thread *t = process_leader(p);

	memset(name, 0, THREAD_NAME_LEN);
	if (!t)
		return;
	memcpy(name, t->name, THREAD_NAME_LEN);
	thread_put(t);
}

static bool
log_task(struct process *p, void *arg)
{
	unsigned *left = arg;
	uint64_t size = 0, resident = 0;

	spin_lock(&p->lock);
	if (p->aspace) {
		size = p->aspace->num_pages;
		resident = p->aspace->resident;
	}
	spin_unlock(&p->lock);
	if (size && *left) {
		char name[THREAD_NAME_LEN];

		copy_name(p, name);
		log_info("[%7u] %5u %5u %8lu %8lu %13d %s", p->pid, p->cred->uid, p->pid,
		    size, resident, p->oom_score_adj, name);
		--*left;
	}
	return *left > 0;
}

static void
log_state(void)
{
	unsigned left = DUMP_MAX;
	struct mem_stats m;
	char name[THREAD_NAME_LEN];

	copy_name(current_process(), name);
	log_warn("%s invoked oom-killer: order=0, oom_score_adj=%d", name,
	    current_process()->oom_score_adj);
	mem_stats_get(&m);
	log_warn("Mem-Info: total:%lukB free:%lukB anon:%lukB file:%lukB shmem:%lukB "
	         "slab:%lukB pagetables:%lukB kernel_stack:%lukB",
	    m.total_pages * KIB, m.free_pages * KIB, m.anon_pages * KIB,
	    (m.page_cache_pages - m.shmem_pages) * KIB, m.shmem_pages * KIB,
	    m.slab_pages * KIB, m.page_table_pages * KIB, m.kernel_stack_pages * KIB);
	if (!__atomic_load_n(&oom_dump_tasks, __ATOMIC_RELAXED))
		return;
	log_info("Tasks state (memory values in pages):");
	log_info("[  pid  ]   uid  tgid total_vm      rss oom_score_adj name");
	process_for_each(log_task, &left);
}

static uint64_t
count_tables(struct aspace *as)
{
	uint64_t last = 0, n = 0;

	rwsem_lock_shared(&as->lock);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
		n += area_count_tables(a, &last);
	rwsem_unlock_shared(&as->lock);
	return n;
}

static void
log_victim(struct process *p, struct aspace *as, const char *name)
{
	uint64_t anon = __atomic_load_n(&as->resident_anon, __ATOMIC_RELAXED);
	uint64_t all = __atomic_load_n(&as->resident, __ATOMIC_RELAXED);
	struct cred *cred = process_cred(p);

	log_info("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task=%s,"
	         "pid=%u,uid=%u",
	    name, p->pid, cred ? cred->uid : 0);
	log_err("Out of memory: Killed process %u (%s) total-vm:%lukB, anon-rss:%lukB, "
	        "file-rss:%lukB, shmem-rss:0kB, UID:%u pgtables:%lukB oom_score_adj:%d",
	    p->pid, name, as->num_pages * KIB, anon * KIB, (all - MIN(all, anon)) * KIB,
	    cred ? cred->uid : 0, count_tables(as) * KIB, p->oom_score_adj);
	if (cred)
		cred_put(cred);
}

/* ---- The end of one ---- */

static void
mark_victim(struct process *p)
{
	p->oom_deadline_ns = clock_now_ns() + VICTIM_TIME_NS;
	__atomic_store_n(&p->is_oom_victim, true, __ATOMIC_RELEASE);
}

static bool
kill_if_shares(struct process *p, void *as)
{
	if (__atomic_load_n(&p->aspace, __ATOMIC_RELAXED) != as || p == init_process)
		return true;
	mark_victim(p);
	(void)signal_send_process(p, SIGKILL, NULL); /* it may be gone already */
	return true;
}

static void
kill_process(struct process *p)
{
	struct aspace *as = process_aspace(p);
	char name[THREAD_NAME_LEN];

	if (!as)
		return; /* it has ended meanwhile */
	copy_name(p, name);
	if (!p->is_exiting)
		log_victim(p, as, name);
	process_for_each(kill_if_shares, as);
	if (as != current_process()->aspace) {
		aspace_reap(as);
		log_info("oom_reaper: reaped process %u (%s), now anon-rss:%lukB, "
		         "file-rss:%lukB, shmem-rss:0kB",
		    p->pid, name, as->resident_anon * KIB,
		    (as->resident - MIN(as->resident_anon, as->resident)) * KIB);
	}
	aspace_put(as);
}

void
oom_victim_exit(struct process *p)
{
	if (!p->is_oom_victim)
		return;
	__atomic_store_n(&p->is_oom_victim, false, __ATOMIC_RELEASE);
	wait_queue_wake_all(&oom_wait);
}

static void
wait_a_little(void)
{
	bool never = false;

	/* Woken or not, it is tried again; killed, the caller finds out. */
	(void)wait_event(&oom_wait, never, WAIT_KILLABLE, clock_now_ns() + RETRY_TIME_NS);
}

/* With the lock held: kills one if there is no page now. */
static enum oom_answer
make_room_locked(void)
{
	struct page *pg = page_alloc(0, ALLOC_NORMAL);
	bool must_wait = false;
	struct process *p;

	if (pg) {
		page_free(pg, 0);
		return OOM_THERE_IS;
	}
	p = choose(&must_wait);
	if (must_wait)
		return OOM_WAITED;
	if (__atomic_load_n(&panic_on_oom, __ATOMIC_RELAXED))
		panic("Out of memory: system-wide panic_on_oom is enabled");
	log_state();
	if (!p) {
		log_err("Out of memory and no killable processes...");
		return OOM_GIVE_UP;
	}
	kill_process(p);
	process_put(p);
	return OOM_WAITED;
}

enum oom_answer
oom_make_room(void)
{
	enum oom_answer answer = OOM_WAITED;

	if (signal_is_fatal_pending(current_thread())) {
		mark_victim(current_process()); /* it ends sooner with the reserve */
		return OOM_GIVE_UP;
	}
	__atomic_add_fetch(&reclaim_counts.stalls, 1, __ATOMIC_RELAXED);
	if (reclaim_pages(RECLAIM_PAGES))
		return OOM_WAITED;
	if (mutex_trylock(&oom_lock)) {
		answer = make_room_locked();
		mutex_unlock(&oom_lock);
	}
	if (answer == OOM_WAITED && !signal_is_fatal_pending(current_thread()))
		wait_a_little();
	return answer;
}

/* ---- process_mrelease ---- */

struct sharers {
	const struct aspace *as; /* only compared */
	bool all_die;
};

static bool
look_if_dying(struct process *p, void *arg)
{
	struct sharers *s = arg;

	if (__atomic_load_n(&p->aspace, __ATOMIC_RELAXED) == s->as)
		s->all_die &= p->is_exiting;
	return s->all_die;
}

long
sys_process_mrelease(int fd, unsigned flags)
{
	bool is_nonblock;
	struct process *p = flags ? NULL : pidfd_process(fd, &is_nonblock);
	struct sharers s = {.all_die = true};
	struct aspace *as;

	if (!p)
		return flags ? ERR_INVAL : ERR_BADF;
	as = process_aspace(p);
	process_put(p);
	if (!as)
		return ERR_SRCH;
	s.as = as;
	process_for_each(look_if_dying, &s);
	if (s.all_die)
		aspace_reap(as);
	aspace_put(as);
	return s.all_die ? OK : ERR_INVAL;
}
