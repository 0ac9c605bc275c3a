/* lib/rbtree.c: order and balance through random changes. LINK: lib/rbtree.c */
#include "lib/rbtree.h"
#include "tests/unit/ktest.h"

enum { NUM = 400 };

struct item {
	struct rb_node node;
	unsigned key;
	bool is_in;
};

static struct item items[NUM];
static uint32_t seed = 1;

static unsigned
rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static bool
item_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct item, node)->key < rb_entry(b, struct item, node)->key;
}

/* The black height of a correct tree, or -1. */
static int
check_node(const struct rb_node *n, const struct rb_node *parent)
{
	int l, r;
	bool red;

	if (!n)
		return 0;
	red = !(n->parent_colour & 1);
	if ((n->parent_colour & ~1ul) != (uintptr_t)parent)
		return -1;
	if (red && (!parent || !(parent->parent_colour & 1)))
		return -1;
	l = check_node(n->left, n);
	r = check_node(n->right, n);
	return l < 0 || l != r ? -1 : l + !red;
}

static bool
is_correct(const struct rb_root *root)
{
	unsigned count = 0, expected = 0, last = 0;

	for (int i = 0; i < NUM; i++)
		expected += items[i].is_in;
	for (struct rb_node *n = rb_first(root); n; n = rb_next(n)) {
		struct item *it = rb_entry(n, struct item, node);

		if (!it->is_in || it->key < last)
			return false;
		last = it->key;
		count++;
	}
	if (count != expected)
		return false;
	for (struct rb_node *n = rb_last(root); n; n = rb_prev(n))
		count--;
	return count == 0 && check_node(root->node, NULL) >= 0;
}

KTEST(rbtree_empty_has_no_ends)
{
	struct rb_root root = {.node = NULL};

	CHECK(rb_is_empty(&root) && !rb_first(&root) && !rb_last(&root));
}

KTEST(rbtree_stays_ordered_and_balanced)
{
	struct rb_root root = {.node = NULL};

	for (int step = 0; step < 6000; step++) {
		struct item *it = &items[rnd() % NUM];

		if (it->is_in) {
			rb_erase(&root, &it->node);
		} else {
			it->key = rnd() % 200; /* with equal keys */
			rb_insert(&root, &it->node, item_less);
		}
		it->is_in = !it->is_in;
		CHECK(is_correct(&root));
	}
	for (int i = 0; i < NUM; i++) {
		if (items[i].is_in)
			rb_erase(&root, &items[i].node);
		items[i].is_in = false;
		CHECK(is_correct(&root));
	}
	CHECK(rb_is_empty(&root));
}

KTEST(rbtree_equal_keys_keep_insertion_order)
{
	struct rb_root root = {.node = NULL};
	unsigned i = 0;

	for (unsigned n = 0; n < 50; n++) {
		items[n].key = 7;
		rb_insert(&root, &items[n].node, item_less);
	}
	for (struct rb_node *n = rb_first(&root); n; n = rb_next(n))
		CHECK(n == &items[i++].node);
	CHECK_EQ(i, 50);
}

KTEST(rbtree_replace_takes_the_place)
{
	struct rb_root root = {.node = NULL};
	struct item other = {.key = 20};

	for (unsigned n = 0; n < 50; n++) {
		items[n].key = n;
		items[n].is_in = true;
		rb_insert(&root, &items[n].node, item_less);
	}
	rb_replace(&root, &items[20].node, &other.node);
	CHECK(rb_next(&items[19].node) == &other.node);
	CHECK(rb_prev(&items[21].node) == &other.node);
	CHECK(check_node(root.node, NULL) > 0);
	rb_erase(&root, &other.node);
	CHECK(rb_next(&items[19].node) == &items[21].node);
}
