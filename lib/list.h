/*
 * Doubly linked lists, the links inside the objects. A list is a `struct list` that
 * heads a ring; an empty list points at itself. All calls are O(1). No locking.
 */
#pragma once

#include "lib/types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) \
	{ \
		&(name), &(name) \
	}

static inline void
list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool
list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_insert_between(struct list *node, struct list *prev, struct list *next)
{
	next->prev = node;
	node->next = next;
	node->prev = prev;
	prev->next = node;
}

static inline void
list_push_front(struct list *l, struct list *node)
{
	list_insert_between(node, l, l->next);
}

static inline void
list_push_back(struct list *l, struct list *node)
{
	list_insert_between(node, l->prev, l);
}

/* Takes `node` out of its list and leaves it as an empty list of its own. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, taken out, or NULL. */
static inline struct list *
list_pop_front(struct list *l)
{
	struct list *node = l->next;

	if (node == l)
		return NULL;
	l->next = node->next;
	l->next->prev = l;
	list_init(node);
	return node;
}

/* Moves every node of `from` to the end of `to`; `from` is empty afterwards. */
static inline void
list_splice_back(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

#define list_first(l, type, member) \
	(list_is_empty(l) ? NULL : list_entry((l)->next, type, member))

#define list_last(l, type, member) \
	(list_is_empty(l) ? NULL : list_entry((l)->prev, type, member))

/* `pos` walks the objects of list `l`; the list must not change under it. */
#define list_for_each(pos, l, member) \
	for (pos = list_entry((l)->next, __typeof__(*pos), member); &pos->member != (l); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* The same, and `pos` itself may be removed or freed; `tmp` is the look-ahead. */
#define list_for_each_safe(pos, tmp, l, member) \
	for (pos = list_entry((l)->next, __typeof__(*pos), member), \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (l); \
	     pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
