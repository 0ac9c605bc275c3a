/*
 * Ordered trees, the links inside the objects: red-black, so insert, erase and search are
 * O(log n) with at most three rotations. The caller searches by hand (it knows its key)
 *and either gives rb_insert an order or rb_insert_at the place it found. No locking, no
 *memory.
 *
 *	for (struct rb_node *n = root.node; n; )
 *		n = key < rb_entry(n, struct x, node)->key ? n->left : n->right;
 */
#pragma once

#include "lib/types.h"

struct rb_node {
	uintptr_t parent_colour; /* address of the parent; bit 0 set: black */
	struct rb_node *left, *right;
};

struct rb_root {
	struct rb_node *node; /* NULL: empty */
	/*
	 * Of a tree whose nodes know a bound on what is below them (a maximum, say): makes
	 * that of one node anew out of its own value and its children's bounds. Called for
	 * nodes that get other children; NULL: there is none. What an insertion or a changed
	 * value does to the bounds above is the caller's: rb_parent.
	 */
	void (*update)(struct rb_node *);
};

#define rb_entry(n, type, member) container_of(n, type, member)

/* Adds `node` after all that are not greater. less(a, b): a comes before b. */
void rb_insert(struct rb_root *, struct rb_node *node,
    bool (*less)(const struct rb_node *a, const struct rb_node *b));

/* Adds `node` at the empty place *link below `parent` (NULL and &root->node when empty).
 */
void rb_insert_at(struct rb_root *, struct rb_node *node, struct rb_node *parent,
    struct rb_node **link);

void rb_erase(struct rb_root *, struct rb_node *node);

/* Puts `new_node` in the place of `old`, which must order the same. */
void rb_replace(struct rb_root *, struct rb_node *old, struct rb_node *new_node);

/* The node above, NULL: it is the root. */
struct rb_node *rb_parent(const struct rb_node *);

/* In order; NULL at the end. */
struct rb_node *rb_first(const struct rb_root *);
struct rb_node *rb_last(const struct rb_root *);
struct rb_node *rb_next(const struct rb_node *);
struct rb_node *rb_prev(const struct rb_node *);

static inline bool
rb_is_empty(const struct rb_root *root)
{
	return !root->node;
}
