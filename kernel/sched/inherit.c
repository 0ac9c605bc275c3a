/*
 * Priority inheritance: see inherit.h. The graph: a thread waits for at most one lock
 * (t->inherit.waits_for), a lock has one owner, an owner has a tree of the locks for which
 * somebody waits (t->inherit.owned, strongest first). So a chain of waiting is a path,
 * and a change at its tail travels along it until it changes nothing.
 *
 * One spinlock guards all of it. It is taken only where a thread is about to sleep for
 * such a lock, or one is handed over: beside the two switches that this costs, and unlike
 * one lock for each thread and each lock of the chain, it is easily seen to be right.
 */
#include "kernel/sched/inherit.h"

#include "kernel/sched/sched_priv.h"

enum { MAX_CHAIN = 1024 }; /* as Linux's kernel.max_lock_depth */

static struct spinlock graph_lock = SPINLOCK_INIT("inherit", RANK_INHERIT);

static bool
waiter_is_before(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct inherit_waiter, node)->priority >
	       rb_entry(b, struct inherit_waiter, node)->priority;
}

static bool
lock_is_before(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct inherit_lock, owned_node)->priority >
	       rb_entry(b, struct inherit_lock, owned_node)->priority;
}

static struct inherit_waiter *
first_locked(const struct inherit_lock *l)
{
	struct rb_node *n = rb_first(&l->waiters);

	return n ? rb_entry(n, struct inherit_waiter, node) : NULL;
}

/* Puts `l` into its owner's tree, where it now belongs there. */
static void
own(struct inherit_lock *l)
{
	const struct inherit_waiter *w = first_locked(l);

	l->has_waiters = w != NULL;
	if (!w)
		return;
	l->priority = w->priority;
	rb_insert(&l->owner->inherit.owned, &l->owned_node, lock_is_before);
}

static void
disown(struct inherit_lock *l)
{
	if (l->has_waiters)
		rb_erase(&l->owner->inherit.owned, &l->owned_node);
	l->has_waiters = false;
}

/*
 * What `t` inherits, and those along its chain. The chain cannot be a circle
 * (inherit_wait), so this ends; it stops where nothing changes.
 */
static void
update_chain(struct thread *t)
{
	while (t) {
		struct rb_node *n = rb_first(&t->inherit.owned);
		struct inherit_waiter *w = t->inherit.waits_for;
		uint8_t priority = 0;

		if (n)
			priority = rb_entry(n, struct inherit_lock, owned_node)->priority;
		sched_set_inherited(t, priority);
		if (!w || w->priority == t->sched.run_priority)
			return;
		disown(w->lock);
		rb_erase(&w->lock->waiters, &w->node);
		w->priority = t->sched.run_priority;
		rb_insert(&w->lock->waiters, &w->node, waiter_is_before);
		own(w->lock);
		t = w->lock->owner;
	}
}

/* Whether `t`, if it waited for a lock of `owner`, would in the end wait for itself. */
static bool
is_deadlock(const struct thread *owner, const struct thread *t)
{
	for (unsigned n = 0; n < MAX_CHAIN; n++) {
		if (owner == t)
			return true;
		if (!owner->inherit.waits_for)
			return false;
		owner = owner->inherit.waits_for->lock->owner;
	}
	return true;
}

enum err
inherit_wait(struct inherit_lock *l, struct thread *owner, struct inherit_waiter *w)
{
	enum err err = OK;

	spin_lock(&graph_lock);
	if (l->owner)
		owner = l->owner;
	if (owner->inherit.has_ended)
		err = ERR_SRCH;
	else if (is_deadlock(owner, w->thread))
		err = ERR_DEADLK;
	if (err == OK) {
		l->owner = owner;
		disown(l);
		w->lock = l;
		w->priority = w->thread->sched.run_priority;
		w->thread->inherit.waits_for = w;
		rb_insert(&l->waiters, &w->node, waiter_is_before);
		own(l);
		update_chain(owner);
	}
	spin_unlock(&graph_lock);
	return err;
}

/* Takes `w` out of its lock's line. */
static void
take_out(struct inherit_waiter *w)
{
	disown(w->lock);
	rb_erase(&w->lock->waiters, &w->node);
	w->lock = NULL;
	w->thread->inherit.waits_for = NULL;
}

bool
inherit_stop(struct inherit_waiter *w)
{
	struct inherit_lock *l;

	spin_lock(&graph_lock);
	l = w->lock;
	if (l) {
		take_out(w);
		own(l);
		update_chain(l->owner);
	}
	spin_unlock(&graph_lock);
	return !l;
}

struct inherit_waiter *
inherit_first(struct inherit_lock *l)
{
	struct inherit_waiter *w;

	spin_lock(&graph_lock);
	w = first_locked(l);
	spin_unlock(&graph_lock);
	return w;
}

/* The waiter may not go before the lock of the graph is free: inherit_stop takes it. */
static void
give_locked(struct inherit_lock *l, struct inherit_waiter *w)
{
	struct thread *old = l->owner;

	take_out(w);
	l->owner = w->thread;
	own(l);
	update_chain(old);
	update_chain(l->owner);
	thread_wake(l->owner);
}

void
inherit_give(struct inherit_lock *l, struct inherit_waiter *w)
{
	spin_lock(&graph_lock);
	give_locked(l, w);
	spin_unlock(&graph_lock);
}

uint32_t
inherit_owner_tid(const struct inherit_lock *l, bool *was_left)
{
	uint32_t tid;

	spin_lock(&graph_lock);
	tid = l->owner ? l->owner->tid : 0;
	*was_left = l->was_left;
	spin_unlock(&graph_lock);
	return tid;
}

void
inherit_settle(struct inherit_lock *l)
{
	spin_lock(&graph_lock);
	l->was_left = false;
	spin_unlock(&graph_lock);
}

void
inherit_leave_all(bool ends)
{
	struct thread *t = current_thread();
	struct rb_node *n;

	spin_lock(&graph_lock);
	t->inherit.has_ended |= ends;
	while ((n = rb_first(&t->inherit.owned))) {
		struct inherit_lock *l = rb_entry(n, struct inherit_lock, owned_node);

		l->was_left = true;
		give_locked(l, first_locked(l));
	}
	spin_unlock(&graph_lock);
}

void
inherit_priority_changed(struct thread *t)
{
	spin_lock(&graph_lock);
	update_chain(t);
	spin_unlock(&graph_lock);
}
