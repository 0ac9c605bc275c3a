/*
 * What a thread's locks become when it ends, or gives up its memory: the robust list
 * (set_robust_list(2), Linux's Documentation/locking/robust-futex-ABI) and the locks with
 * priority inheritance. The list's entries are addresses of user memory whose lowest bit
 * says that the lock is one of the latter: then its word is marked here, and the next in
 * line has it by inherit_leave_all.
 */
#include "kernel/ipc/futex_priv.h"
#include "kernel/proc/access.h"
#include "kernel/proc/process.h"
#include "kernel/sched/inherit.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { ROBUST_LIST_LIMIT = 2048, ROBUST_PI = 1 };

/* Linux's struct robust_list_head. */
struct robust_list_head {
	uint64_t next;
	int64_t futex_offset;
	uint64_t pending; /* about to be locked or unlocked */
};

static void
release_one(uint64_t entry, int64_t offset, bool is_pending)
{
	uint32_t USER *word =
	    (uint32_t USER *)((entry & ~(uint64_t)ROBUST_PI) + (uint64_t)offset);
	bool is_pi = entry & ROBUST_PI;
	uint32_t old, seen;

	if (((vaddr_t)word & 3) || user_load32(word, &old) != OK)
		return;
	/* It died between freeing the word and waking who waits for it. */
	if (is_pending && !is_pi && !old) {
		futex_wake_address(word, 1);
		return;
	}
	while ((old & FUTEX_TID_MASK) == current_thread()->tid) {
		uint32_t new = (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

		if (user_cmpxchg32(word, old, new, &seen) != OK)
			return;
		if (seen == old) {
			if (!is_pi && (old & FUTEX_WAITERS))
				futex_wake_address(word, 1);
			return;
		}
		old = seen;
	}
}

static void
release_list(void USER *uhead)
{
	struct robust_list_head head;
	uint64_t entry;

	if (copy_from_user(&head, uhead, sizeof(head)) != OK)
		return;
	entry = head.next;
	for (unsigned n = 0; entry != (uint64_t)uhead && n < ROBUST_LIST_LIMIT; n++) {
		uint64_t next;

		if (get_user(next,
		        (const uint64_t USER *)(entry & ~(uint64_t)ROBUST_PI)) != OK)
			return;
		if (entry != head.pending)
			release_one(entry, head.futex_offset, false);
		entry = next;
	}
	if (head.pending)
		release_one(head.pending, head.futex_offset, true);
}

void
futex_release_all(bool ends)
{
	struct thread *t = current_thread();

	if (t->robust_list)
		release_list(t->robust_list);
	t->robust_list = NULL;
	inherit_leave_all(ends);
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
	enum err err;

	if (!t)
		return ERR_SRCH;
	err = process_may_access(t->process, ACCESS_REAL_IDS);
	value = (uint64_t)t->robust_list;
	thread_put(t);
	if (err == OK)
		err = put_user(size, len);
	return err == OK ? put_user(value, head) : err;
}
