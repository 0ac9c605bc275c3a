/*
 * The trie of net/fib.h.
 *
 * Invariants: a child's prefix is longer than its parent's and lies within it, on the side that
 * its next bit says; a node without entries has two children. So there are fewer than two nodes
 * for each prefix. A writer builds what is new before one store shows it, and never changes the
 * prefix of a node that readers can see.
 */
#include "net/fib.h"

#include "mm/slab.h"

struct fib_node {
	struct fib_node *child[2]; /* RCU */
	struct fib_node *parent;   /* [rtnl] */
	struct fib_entry *entries; /* RCU */
	struct ip_addr key;        /* [I] */
	uint8_t bits;              /* [I] */
	struct rcu_head rcu;
};

static unsigned
bit_at(const struct ip_addr *a, unsigned n)
{
	return a->b[n / 8] >> (7 - n % 8) & 1;
}

static unsigned
min_bits(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many leading bits two addresses share, 0..128. */
static unsigned
common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t diff = __builtin_bswap64(a->q[i] ^ b->q[i]);

		if (diff)
			return i * 64 + (unsigned)__builtin_clzll(diff);
	}
	return 128;
}

static struct fib_node *
node_new(const struct ip_addr *key, unsigned bits)
{
	struct fib_node *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	for (unsigned i = 0; i < bits / 8; i++)
		n->key.b[i] = key->b[i];
	if (bits % 8)
		n->key.b[bits / 8] = key->b[bits / 8] & (uint8_t)(0xff << (8 - bits % 8));
	n->bits = (uint8_t)bits;
	return n;
}

static void
node_free(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct fib_node, rcu));
}

/* The pointer that holds `n`. */
static struct fib_node **
link_of(struct fib *f, const struct fib_node *n)
{
	return n->parent ? &n->parent->child[n->parent->child[1] == n] : &f->root;
}

static void
adopt(struct fib_node *parent, struct fib_node *child)
{
	rcu_assign(parent->child[bit_at(&child->key, parent->bits)], child);
	child->parent = parent;
}

/*
 * The node of this prefix, made if there is none. Where the way down leaves the prefix of the next
 * node, a node is put above it: the new one itself, or one for the bits both share.
 */
static struct fib_node *
node_make(struct fib *f, const struct ip_addr *key, unsigned bits)
{
	struct fib_node *parent = NULL, *n = f->root, *made, *fork;
	unsigned shared = 0;

	while (n) {
		shared = min_bits(common_bits(key, &n->key), min_bits(bits, n->bits));
		if (shared < n->bits || n->bits == bits)
			break;
		parent = n;
		n = n->child[bit_at(key, n->bits)];
	}
	if (n && n->bits == bits && shared == bits)
		return n;
	made = node_new(key, bits);
	if (!made)
		return NULL;
	fork = made;
	if (n && shared < bits) {
		fork = node_new(key, shared);
		if (!fork) {
			kfree(made);
			return NULL;
		}
		adopt(fork, made);
	}
	if (n)
		adopt(fork, n); /* readers that come by the old way still find n */
	fork->parent = parent;
	rcu_assign(
	    *(parent ? &parent->child[bit_at(key, parent->bits)] : &f->root), fork);
	return made;
}

/* Takes away nodes that no longer earn their place, from `n` upwards. */
static void
prune(struct fib *f, struct fib_node *n)
{
	while (n && !n->entries && !(n->child[0] && n->child[1])) {
		struct fib_node *only = n->child[0] ? n->child[0] : n->child[1];
		struct fib_node *parent = n->parent;

		rcu_assign(*link_of(f, n), only);
		if (only)
			only->parent = parent;
		rcu_call(&n->rcu, node_free);
		n = parent;
	}
}

static struct fib_node *
node_find(const struct fib *f, const struct ip_addr *key, unsigned bits)
{
	struct fib_node *n = rcu_dereference(f->root);

	while (n && n->bits < bits && common_bits(key, &n->key) >= n->bits)
		n = rcu_dereference(n->child[bit_at(key, n->bits)]);
	return n && n->bits == bits && common_bits(key, &n->key) >= bits ? n : NULL;
}

enum err
fib_insert(
    struct fib *f, const struct ip_addr *prefix, unsigned bits, struct fib_entry *e)
{
	struct fib_node *n = node_make(f, prefix, bits);
	struct fib_entry **at;

	if (!n)
		return ERR_NOMEM;
	for (at = &n->entries; *at && (*at)->rank <= e->rank;)
		at = &(*at)->next;
	e->next = *at;
	rcu_assign(*at, e);
	return OK;
}

void
fib_remove(
    struct fib *f, const struct ip_addr *prefix, unsigned bits, struct fib_entry *e)
{
	struct fib_node *n = node_find(f, prefix, bits);
	struct fib_entry **at;

	if (!n)
		return;
	for (at = &n->entries; *at && *at != e;)
		at = &(*at)->next;
	if (*at)
		rcu_assign(*at, e->next); /* e keeps its next for readers on it */
	prune(f, n);
}

struct fib_entry *
fib_find(const struct fib *f, const struct ip_addr *prefix, unsigned bits)
{
	struct fib_node *n = node_find(f, prefix, bits);

	return n ? rcu_dereference(n->entries) : NULL;
}

struct fib_entry *
fib_lookup(const struct fib *f, const struct ip_addr *addr,
    bool (*accepts)(const struct fib_entry *, void *arg), void *arg)
{
	const struct fib_node *n = rcu_dereference(f->root);
	struct fib_entry *best = NULL, *e;

	while (n && common_bits(addr, &n->key) >= n->bits) {
		for (e = rcu_dereference(n->entries); e; e = rcu_dereference(e->next)) {
			if (accepts(e, arg)) {
				best = e;
				break;
			}
		}
		if (n->bits == 128)
			break;
		n = rcu_dereference(n->child[bit_at(addr, n->bits)]);
	}
	return best;
}

/* The node after `n` in the order of prefixes, its subtree first. */
static struct fib_node *
node_next(const struct fib_node *n)
{
	const struct fib_node *from;

	if (n->child[0] || n->child[1])
		return n->child[0] ? n->child[0] : n->child[1];
	for (from = n, n = n->parent; n; from = n, n = n->parent)
		if (n->child[0] == from && n->child[1])
			return n->child[1];
	return NULL;
}

bool
fib_for_each(struct fib *f, bool (*fn)(struct fib_entry *, void *arg), void *arg)
{
	struct fib_node *n = f->root, *next;
	struct fib_entry *e, *after;

	/* Removing the last entry of n may free n and its parent, a fork: never the node after n,
	   which has entries, or has two children outside of n. */
	for (; n; n = next) {
		next = node_next(n);
		for (e = n->entries; e; e = after) {
			after = e->next;
			if (!fn(e, arg))
				return false;
		}
	}
	return true;
}
