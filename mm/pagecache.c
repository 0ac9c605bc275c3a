/*
 * The page cache: a radix tree of 64-way nodes for each file. A node of shift s covers
 * 64 << s pages; nodes of shift 0 hold pages. The tree grows at the root, so that a small
 * file has one node, and a file of one page none: the root pointer then is the page,
 * tagged by bit 0. No allocation happens under the lock: an insertion that lacks a node
 * drops the lock, gets one and starts over.
 */
#include "mm/pagecache.h"

#include "kernel/fcntl.h"
#include "lib/string.h"
#include "mm/evict.h"
#include "mm/filemap.h"
#include "mm/slab.h"

enum { NODE_BITS = 6, NODE_SLOTS = 1 << NODE_BITS, DROP_BATCH = 16 };

#define NO_INDEX UINT64_MAX

struct node {
	unsigned shift;
	unsigned count; /* slots in use */
	void *slots[NODE_SLOTS];
};

static bool
is_lone_page(const void *root)
{
	return (uintptr_t)root & 1;
}

static struct page *
lone_page(void *root)
{
	return (struct page *)((uintptr_t)root & ~(uintptr_t)1);
}

static bool
node_covers(const struct node *n, uint64_t index)
{
	return index >> n->shift < NODE_SLOTS;
}

static struct page *
tree_find(struct page_cache *c, uint64_t index)
{
	struct node *n = c->root;

	if (!n)
		return NULL;
	if (is_lone_page(n))
		return index == 0 ? lone_page(n) : NULL;
	if (!node_covers(n, index))
		return NULL;
	while (n && n->shift) {
		n = n->slots[index >> n->shift & (NODE_SLOTS - 1)];
	}
	return n ? n->slots[index & (NODE_SLOTS - 1)] : NULL;
}

static struct node *
take_spare(struct node **spare, unsigned shift)
{
	struct node *n = *spare;

	*spare = NULL;
	if (n)
		n->shift = shift;
	return n;
}

/* Makes the root a node that covers `index`. False: needs a spare node. */
static bool
grow_root(struct page_cache *c, uint64_t index, struct node **spare)
{
	for (;;) {
		struct node *old = c->root, *n;

		if (old && !is_lone_page(old) && node_covers(old, index))
			return true;
		n = take_spare(
		    spare, old && !is_lone_page(old) ? old->shift + NODE_BITS : 0);
		if (!n)
			return false;
		if (old) {
			n->slots[0] = is_lone_page(old) ? (void *)lone_page(old) : old;
			n->count = 1;
		}
		c->root = n;
	}
}

/* False: needs a zeroed spare node; try again with one. The place must be empty. */
static bool
tree_insert(struct page_cache *c, uint64_t index, struct page *pg, struct node **spare)
{
	struct node *n;
	void **slot;

	if (index == 0 && !c->root) {
		c->root = (void *)((uintptr_t)pg | 1);
		return true;
	}
	if (!grow_root(c, index, spare))
		return false;
	n = c->root;
	while (n->shift) {
		slot = &n->slots[index >> n->shift & (NODE_SLOTS - 1)];
		if (!*slot) {
			*slot = take_spare(spare, n->shift - NODE_BITS);
			if (!*slot)
				return false;
			n->count++;
		}
		n = *slot;
	}
	n->slots[index & (NODE_SLOTS - 1)] = pg;
	n->count++;
	return true;
}

/* The first page at or after `from`, both relative to what `n` covers. */
static uint64_t
next_in_node(const struct node *n, uint64_t from)
{
	for (uint64_t i = from >> n->shift; i < NODE_SLOTS; from = ++i << n->shift) {
		uint64_t below;

		if (!n->slots[i])
			continue;
		if (!n->shift)
			return i;
		below = next_in_node(n->slots[i], from & ((1ull << n->shift) - 1));
		if (below != NO_INDEX)
			return (i << n->shift) + below;
	}
	return NO_INDEX;
}

static uint64_t
tree_next(const struct page_cache *c, uint64_t from)
{
	const struct node *n = c->root;

	if (!n)
		return NO_INDEX;
	if (is_lone_page(n))
		return from == 0 ? 0 : NO_INDEX;
	return node_covers(n, from) ? next_in_node(n, from) : NO_INDEX;
}

/*
 * Takes pages from `from` to `last`, both relative to what `n` covers, out of the subtree
 * until `r` is full; frees nodes that become empty. Returns true if `n` itself is empty
 * (and then the caller frees it). Nodes to be freed are chained through slots[0].
 */
struct removal {
	struct page *pages[DROP_BATCH];
	unsigned num;
	struct node *empty;
};

static bool
remove_from_node(struct node *n, uint64_t from, uint64_t last, struct removal *r)
{
	uint64_t end = MIN(last >> n->shift, (uint64_t)NODE_SLOTS - 1) + 1;
	uint64_t below = (1ull << n->shift) - 1;

	for (uint64_t i = from >> n->shift; i < end; from = ++i << n->shift) {
		if (!n->slots[i])
			continue;
		if (r->num == DROP_BATCH)
			break;
		if (n->shift) {
			struct node *child = n->slots[i];

			if (!remove_from_node(child, from & below,
			        i == last >> n->shift ? last & below : below, r))
				continue;
			child->slots[0] = r->empty;
			r->empty = child;
		} else {
			r->pages[r->num++] = n->slots[i];
		}
		n->slots[i] = NULL;
		n->count--;
	}
	return n->count == 0;
}

static void
remove_batch_locked(struct page_cache *c, uint64_t from, uint64_t last, struct removal *r)
{
	struct node *n = c->root;

	if (is_lone_page(n)) {
		if (from == 0) {
			r->pages[r->num++] = lone_page(n);
			c->root = NULL;
		}
	} else if (n && node_covers(n, from) && remove_from_node(n, from, last, r)) {
		n->slots[0] = r->empty;
		r->empty = n;
		c->root = NULL;
	}
	c->num_pages -= r->num;
	/* A fault that holds such a page now sees that it is no longer the file's. */
	for (unsigned i = 0; i < r->num; i++)
		__atomic_store_n(&r->pages[i]->owner, NULL, __ATOMIC_SEQ_CST);
}

static void
count_pages(const struct page_cache *c, int64_t n)
{
	mem_counter_add(MEM_PAGE_CACHE, n);
	if (c->is_shmem)
		mem_counter_add(MEM_SHMEM, n);
}

/* What has been taken out of the tree goes, with the nodes. */
static void
drop_removed(struct page_cache *c, struct removal *r)
{
	for (unsigned i = 0; i < r->num; i++) {
		if (page_cache_is_evictable(c))
			evict_remove(r->pages[i]);
		page_put(r->pages[i]);
	}
	while (r->empty) {
		struct node *next = r->empty->slots[0];

		kfree(r->empty);
		r->empty = next;
	}
	count_pages(c, -(int64_t)r->num);
}

/* Takes every page from `from` to `last` out of the tree and drops the tree's references. How
 * many. */
static uint64_t
drop_pages(struct page_cache *c, uint64_t from, uint64_t last)
{
	uint64_t dropped = 0;
	struct removal r;

	do {
		r.num = 0;
		r.empty = NULL;
		spin_lock(&c->lock);
		remove_batch_locked(c, from, last, &r);
		spin_unlock(&c->lock);
		drop_removed(c, &r);
		dropped += r.num;
	} while (r.num == DROP_BATCH);
	return dropped;
}

void
page_cache_init(struct page_cache *c, const struct page_cache_ops *ops, void *owner)
{
	memset(c, 0, sizeof(*c));
	spin_init(&c->lock, "page_cache", RANK_PAGE_TREE);
	mutex_init(&c->map_lock, "page_cache_map", RANK_PAGE_CACHE);
	list_init(&c->areas);
	c->ops = ops;
	c->owner = owner;
	c->file_size = UINT64_MAX;
	c->seals = F_SEAL_SEAL;
}

void
page_cache_destroy(struct page_cache *c)
{
	drop_pages(c, 0, NO_INDEX);
	if (page_cache_is_evictable(c))
		evict_wait(c);
}

bool
page_cache_drop_clean(struct page_cache *c, struct page *pg)
{
	enum { REFS = 2 }; /* more are had by page_cache_find, under the lock */
	struct removal r = {.num = 0};
	uint64_t index = pg->index;

	spin_lock(&c->lock);
	if (tree_find(c, index) == pg &&
	    __atomic_load_n(&pg->refs, __ATOMIC_ACQUIRE) == REFS &&
	    !(__atomic_load_n(&pg->flags, __ATOMIC_ACQUIRE) & PAGE_DIRTY))
		remove_batch_locked(c, index, index, &r);
	spin_unlock(&c->lock);
	drop_removed(c, &r);
	return r.num;
}

struct page *
page_cache_find(struct page_cache *c, uint64_t index)
{
	struct page *pg;

	spin_lock(&c->lock);
	pg = tree_find(c, index);
	if (pg)
		page_get(pg);
	spin_unlock(&c->lock);
	return pg;
}

void
page_cache_find_range(
    struct page_cache *c, uint64_t first, unsigned n, struct page *pages[])
{
	spin_lock(&c->lock);
	for (unsigned i = 0; i < n; i++) {
		pages[i] = tree_find(c, first + i);
		if (pages[i])
			page_get(pages[i]);
	}
	spin_unlock(&c->lock);
}

/* Puts `pg` at `index`, or finds that another was faster: *winner, with a reference. */
static enum err
publish(struct page_cache *c, uint64_t index, struct page *pg, struct page **winner)
{
	struct node *spare = NULL;
	bool done = false;

	while (!done) {
		spin_lock(&c->lock);
		*winner = tree_find(c, index);
		if (*winner) {
			page_get(*winner);
			done = true;
		} else if (tree_insert(c, index, pg, &spare)) {
			*winner = page_get(pg);
			c->num_pages++;
			done = true;
		}
		spin_unlock(&c->lock);
		if (!done && !spare) {
			spare = kzalloc(sizeof(*spare));
			if (!spare)
				return ERR_NOMEM;
		}
	}
	kfree(spare);
	return OK;
}

enum err
page_cache_get(struct page_cache *c, uint64_t index, struct page **out)
{
	bool has_fill = c->ops && c->ops->fill;
	struct page *pg;
	enum err err = OK;

	*out = page_cache_find(c, index);
	if (*out) {
		page_mark_used(*out);
		return OK;
	}
	pg = page_alloc(0, has_fill ? ALLOC_NORMAL : ALLOC_ZERO);
	if (!pg)
		return ERR_NOMEM;
	if (has_fill)
		err = c->ops->fill(c, pg, index);
	if (err == OK) {
		pg->owner = c;
		pg->index = index;
		pg->flags |= PAGE_UPTODATE;
		if (page_cache_is_evictable(c))
			evict_add(pg);
		err = publish(c, index, pg, out);
		if (err == OK && *out == pg) {
			count_pages(c, 1);
			return OK;
		}
		if (page_cache_is_evictable(c))
			evict_remove(pg);
		if (has_fill && c->ops->unfill)
			c->ops->unfill(c);
	}
	page_put(pg);
	return err;
}

/* Zeroes bytes [from, end) of a page, if it is there. */
static void
zero_part(struct page_cache *c, uint64_t index, size_t from, size_t end)
{
	struct page *pg = from < end ? page_cache_find(c, index) : NULL;

	if (!pg)
		return;
	memset((char *)page_to_virt(pg) + from, 0, end - from);
	page_put(pg);
}

uint64_t
page_cache_truncate(struct page_cache *c, uint64_t first, size_t partial_bytes)
{
	uint64_t dropped = drop_pages(c, first, NO_INDEX);

	filemap_unmap(c, first, NO_INDEX, true);
	if (partial_bytes && first)
		zero_part(c, first - 1, partial_bytes, PAGE_SIZE);
	return dropped;
}

/*
 * Unlike truncation, a fault meanwhile may make such a page anew. It is the file's then, and
 * that its entry goes again loses nothing.
 */
uint64_t
page_cache_punch(struct page_cache *c, uint64_t from, uint64_t end)
{
	uint64_t first = DIV_ROUND_UP(from, (uint64_t)PAGE_SIZE), after = end / PAGE_SIZE;
	uint64_t dropped = 0;

	if (first < after) {
		dropped = drop_pages(c, first, after - 1);
		filemap_unmap(c, first, after, false);
	}
	if (first > after) {
		zero_part(c, after, from % PAGE_SIZE, end % PAGE_SIZE);
		return 0;
	}
	if (from % PAGE_SIZE)
		zero_part(c, first - 1, from % PAGE_SIZE, PAGE_SIZE);
	zero_part(c, after, 0, end % PAGE_SIZE);
	return dropped;
}

uint64_t
page_cache_next(struct page_cache *c, uint64_t from)
{
	uint64_t index;

	spin_lock(&c->lock);
	index = tree_next(c, from);
	spin_unlock(&c->lock);
	return index;
}
