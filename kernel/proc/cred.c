/*
 * Credentials: counted, immutable once a process has them. A change makes a copy, changes
 * it and publishes it; the old one is freed after a grace period, so current_cred() needs
 * no reference.
 */
#include "kernel/proc/cred.h"

#include "kernel/proc/proc_priv.h"
#include "lib/string.h"
#include "mm/slab.h"

/* What kernel threads act with, and PID 1 begins with. */
struct cred cred_root = {
    .refs = 1,
    .cap_permitted = CAP_ALL,
    .cap_effective = CAP_ALL,
    .cap_bounding = CAP_ALL,
};

const struct cred *
current_cred(void)
{
	struct thread *t = current_thread();

	return t && t->process ? rcu_dereference(t->process->cred) : &cred_root;
}

bool
capable(enum capability cap)
{
	return current_cred()->cap_effective >> cap & 1;
}

bool
cred_in_group(const struct cred *c, uint32_t gid)
{
	uint32_t low = 0, high = c->num_groups;

	if (gid == c->fsgid)
		return true;
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (c->groups[mid] == gid)
			return true;
		if (c->groups[mid] < gid)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

struct cred *
cred_get(struct cred *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

static void
cred_free(struct rcu_head *head)
{
	struct cred *c = container_of(head, struct cred, rcu);

	kfree(c->groups);
	kfree(c);
}

void
cred_put(struct cred *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
		rcu_call(&c->rcu, cred_free);
}

struct cred *
cred_copy(const struct cred *from)
{
	struct cred *c = kmalloc(sizeof(*c));

	if (!c)
		return NULL;
	*c = *from;
	c->refs = 1;
	if (from->num_groups) {
		c->groups = kmalloc(from->num_groups * sizeof(*c->groups));
		if (!c->groups) {
			kfree(c);
			return NULL;
		}
		memcpy(c->groups, from->groups, from->num_groups * sizeof(*c->groups));
	}
	return c;
}

struct cred *
process_cred(struct process *p)
{
	struct cred *c;

	spin_lock(&p->lock);
	c = cred_get(p->cred);
	spin_unlock(&p->lock);
	return c;
}

void
process_set_cred(struct process *p, struct cred *new)
{
	struct cred *old;

	spin_lock(&p->lock);
	old = p->cred;
	rcu_assign(p->cred, new);
	spin_unlock(&p->lock);
	cred_put(old);
}
