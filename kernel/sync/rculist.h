/*
 * Lists that are read under RCU (kernel/sync/rcu.h) while a writer, holding whatever lock
 * the list has, adds and removes. A removed node keeps its links, so a reader that stands
 * on it finds the way on; it may be freed or added again only after a grace period.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "lib/list.h"

static inline void
rcu_list_insert_after(struct list *where, struct list *node)
{
	node->prev = where;
	node->next = where->next;
	where->next->prev = node;
	rcu_assign(where->next, node);
}

static inline void
rcu_list_push_front(struct list *l, struct list *node)
{
	rcu_list_insert_after(l, node);
}

static inline void
rcu_list_push_back(struct list *l, struct list *node)
{
	rcu_list_insert_after(l->prev, node);
}

static inline void
rcu_list_remove(struct list *node)
{
	node->next->prev = node->prev;
	__atomic_store_n(&node->prev->next, node->next, __ATOMIC_RELAXED);
}

#define rcu_list_for_each(pos, l, member) \
	for (pos = list_entry(rcu_dereference((l)->next), __typeof__(*pos), member); \
	     &pos->member != (l); pos = list_entry(rcu_dereference(pos->member.next), \
	                              __typeof__(*pos), member))
