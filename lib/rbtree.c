/*
 * Red-black trees (Guibas and Sedgewick; the case names follow Cormen et al.,
 * Introduction to Algorithms, ch. 13). Invariants: the root is black; a red node has
 * black children; every way from a node down to a missing child passes the same number of
 * black nodes. A missing child counts as black. The colour lives in bit 0 of the parent
 * pointer.
 */
#include "lib/rbtree.h"

enum { BLACK = 1 };

static struct rb_node *
parent_of(const struct rb_node *n)
{
	return (struct rb_node *)(n->parent_colour & ~(uintptr_t)BLACK);
}

static bool
is_red(const struct rb_node *n)
{
	return n && !(n->parent_colour & BLACK);
}

static void
set_parent(struct rb_node *n, struct rb_node *parent)
{
	n->parent_colour = (uintptr_t)parent | (n->parent_colour & BLACK);
}

static void
set_black(struct rb_node *n)
{
	n->parent_colour |= BLACK;
}

static void
set_red(struct rb_node *n)
{
	n->parent_colour &= ~(uintptr_t)BLACK;
}

static void
copy_colour(struct rb_node *to, const struct rb_node *from)
{
	to->parent_colour =
	    (to->parent_colour & ~(uintptr_t)BLACK) | (from->parent_colour & BLACK);
}

/* Makes whatever pointed at `old` point at `new_node` (may be NULL). */
static void
change_child(struct rb_root *root, const struct rb_node *old, struct rb_node *new_node)
{
	struct rb_node *parent = parent_of(old);

	if (!parent)
		root->node = new_node;
	else if (parent->left == old)
		parent->left = new_node;
	else
		parent->right = new_node;
}

/* After a rotation: `n` is below `up`. */
static void
update_pair(const struct rb_root *root, struct rb_node *n, struct rb_node *up)
{
	if (root->update) {
		root->update(n);
		root->update(up);
	}
}

/* n goes down to the left, its right child comes up. Colours stay with the nodes. */
static void
rotate_left(struct rb_root *root, struct rb_node *n)
{
	struct rb_node *up = n->right;

	n->right = up->left;
	if (up->left)
		set_parent(up->left, n);
	change_child(root, n, up);
	set_parent(up, parent_of(n));
	up->left = n;
	set_parent(n, up);
	update_pair(root, n, up);
}

static void
rotate_right(struct rb_root *root, struct rb_node *n)
{
	struct rb_node *up = n->left;

	n->left = up->right;
	if (up->right)
		set_parent(up->right, n);
	change_child(root, n, up);
	set_parent(up, parent_of(n));
	up->right = n;
	set_parent(n, up);
	update_pair(root, n, up);
}

/* `n` is red and its parent may be red too: repairs that, upwards. */
static void
insert_fixup(struct rb_root *root, struct rb_node *n)
{
	while (is_red(parent_of(n))) {
		struct rb_node *parent = parent_of(n);
		struct rb_node *grand =
		    parent_of(parent); /* a red node is not the root */
		bool parent_is_left = grand->left == parent;
		struct rb_node *uncle = parent_is_left ? grand->right : grand->left;

		if (is_red(uncle)) {
			set_black(parent);
			set_black(uncle);
			set_red(grand);
			n = grand;
			continue;
		}
		/* An inner grandchild first becomes an outer one. */
		if (parent_is_left && n == parent->right) {
			rotate_left(root, parent);
			parent = n;
		} else if (!parent_is_left && n == parent->left) {
			rotate_right(root, parent);
			parent = n;
		}
		set_black(parent);
		set_red(grand);
		if (parent_is_left)
			rotate_right(root, grand);
		else
			rotate_left(root, grand);
		break;
	}
	set_black(root->node);
}

void
rb_insert_at(struct rb_root *root, struct rb_node *node, struct rb_node *parent,
    struct rb_node **link)
{
	node->parent_colour = (uintptr_t)parent; /* red */
	node->left = NULL;
	node->right = NULL;
	*link = node;
	insert_fixup(root, node);
}

void
rb_insert(struct rb_root *root, struct rb_node *node,
    bool (*less)(const struct rb_node *a, const struct rb_node *b))
{
	struct rb_node *parent = NULL, **link = &root->node;

	while (*link) {
		parent = *link;
		link = less(node, parent) ? &parent->left : &parent->right;
	}
	rb_insert_at(root, node, parent, link);
}

/* One step of erase_fixup with `n` the left child; returns the node to go on with. */
static struct rb_node *
fix_short_left(struct rb_root *root, struct rb_node *parent)
{
	struct rb_node *sibling = parent->right;

	if (is_red(sibling)) {
		set_black(sibling);
		set_red(parent);
		rotate_left(root, parent);
		sibling = parent->right;
	}
	if (!is_red(sibling->left) && !is_red(sibling->right)) {
		set_red(sibling);
		return parent;
	}
	if (!is_red(sibling->right)) {
		set_black(sibling->left);
		set_red(sibling);
		rotate_right(root, sibling);
		sibling = parent->right;
	}
	copy_colour(sibling, parent);
	set_black(parent);
	set_black(sibling->right);
	rotate_left(root, parent);
	return root->node;
}

static struct rb_node *
fix_short_right(struct rb_root *root, struct rb_node *parent)
{
	struct rb_node *sibling = parent->left;

	if (is_red(sibling)) {
		set_black(sibling);
		set_red(parent);
		rotate_right(root, parent);
		sibling = parent->left;
	}
	if (!is_red(sibling->left) && !is_red(sibling->right)) {
		set_red(sibling);
		return parent;
	}
	if (!is_red(sibling->left)) {
		set_black(sibling->right);
		set_red(sibling);
		rotate_left(root, sibling);
		sibling = parent->left;
	}
	copy_colour(sibling, parent);
	set_black(parent);
	set_black(sibling->left);
	rotate_right(root, parent);
	return root->node;
}

/* The ways through `n` (may be NULL), a child of `parent`, are one black node short. */
static void
erase_fixup(struct rb_root *root, struct rb_node *n, struct rb_node *parent)
{
	while (parent && !is_red(n)) {
		n = parent->left == n ? fix_short_left(root, parent)
		                      : fix_short_right(root, parent);
		parent = parent_of(n);
	}
	if (n)
		set_black(n);
}

void
rb_erase(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *gone = node, *child, *parent;
	bool was_red;

	/* With two children the successor, which has no left child, leaves its own place.
	 */
	if (node->left && node->right)
		for (gone = node->right; gone->left; gone = gone->left)
			;
	child = gone->left ? gone->left : gone->right;
	parent = parent_of(gone);
	was_red = is_red(gone);
	change_child(root, gone, child);
	if (child)
		set_parent(child, parent);
	if (gone != node) {
		if (parent == node)
			parent = gone;
		rb_replace(root, node, gone);
		if (root->update)
			root->update(gone);
	}
	if (!was_red)
		erase_fixup(root, child, parent);
}

void
rb_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new_node)
{
	change_child(root, old, new_node);
	*new_node = *old;
	if (new_node->left)
		set_parent(new_node->left, new_node);
	if (new_node->right)
		set_parent(new_node->right, new_node);
}

struct rb_node *
rb_parent(const struct rb_node *n)
{
	return parent_of(n);
}

struct rb_node *
rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->left)
		n = n->left;
	return n;
}

struct rb_node *
rb_last(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->right)
		n = n->right;
	return n;
}

struct rb_node *
rb_next(const struct rb_node *n)
{
	struct rb_node *up;

	if (n->right) {
		for (n = n->right; n->left; n = n->left)
			;
		return (struct rb_node *)n;
	}
	while ((up = parent_of(n)) && up->right == n)
		n = up;
	return up;
}

struct rb_node *
rb_prev(const struct rb_node *n)
{
	struct rb_node *up;

	if (n->left) {
		for (n = n->left; n->right; n = n->right)
			;
		return (struct rb_node *)n;
	}
	while ((up = parent_of(n)) && up->left == n)
		n = up;
	return up;
}
