/* Pages that may be freed when memory is low: see mm/lazyfree.h. */
#include "mm/lazyfree.h"

#include "kernel/sync/wait.h"
#include "mm/area.h"
#include "mm/userpt.h"

static struct spinlock spaces_lock = SPINLOCK_INIT("lazyfree", RANK_OBJECT);
static struct list spaces = LIST_INIT(spaces); /* [lock] by lazy_link */
static struct wait_queue done = WAIT_QUEUE_INIT(done);

struct lazyfree_counts lazyfree_counts;

void
lazyfree_note(struct aspace *as, uint64_t pages)
{
	__atomic_add_fetch(&lazyfree_counts.marked, pages, __ATOMIC_RELAXED);
	spin_lock(&spaces_lock);
	if (list_is_empty(&as->lazy_link))
		list_push_back(&spaces, &as->lazy_link);
	spin_unlock(&spaces_lock);
}

static bool
is_busy(const struct aspace *as)
{
	return __atomic_load_n(&as->lazy_users, __ATOMIC_ACQUIRE);
}

void
lazyfree_forget(struct aspace *as)
{
	spin_lock(&spaces_lock);
	list_remove(&as->lazy_link);
	spin_unlock(&spaces_lock);
	if (is_busy(as))
		(void)wait_event(&done, !is_busy(as), WAIT_UNINTERRUPTIBLE, NO_TIMEOUT);
}

/* The first space of the list, which waits for us before it goes; it leaves the list. */
static struct aspace *
take_first(void)
{
	struct aspace *as;

	spin_lock(&spaces_lock);
	as = list_first(&spaces, struct aspace, lazy_link);
	if (as) {
		list_remove(&as->lazy_link);
		__atomic_add_fetch(&as->lazy_users, 1, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&spaces_lock);
	return as;
}

static void
release(struct aspace *as)
{
	/* From then on it may be gone. */
	if (__atomic_sub_fetch(&as->lazy_users, 1, __ATOMIC_SEQ_CST) == 0)
		wait_queue_wake_all(&done);
}

/* All that are marked in the space. */
static uint64_t
free_marked(struct aspace *as)
{
	struct tlb_batch batch;
	uint64_t freed = 0;

	rwsem_lock(&as->lock);
	tlb_batch_begin(&batch, as);
	for (struct area *a = area_find_from(as, 0); a; a = area_next(a))
		if (!a->file && !(a->flags & (AREA_DEVICE | AREA_LOCKED)))
			freed += upt_zap_lazy(as, a->start, a->end, &batch);
	tlb_batch_end(&batch);
	rwsem_unlock(&as->lock);
	return freed;
}

uint64_t
lazyfree_pages(uint64_t want)
{
	uint64_t freed = 0;
	struct aspace *as;

	while (freed < want && (as = take_first())) {
		freed += free_marked(as);
		release(as);
	}
	__atomic_add_fetch(&lazyfree_counts.freed, freed, __ATOMIC_RELAXED);
	return freed;
}
