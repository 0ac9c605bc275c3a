/*
 * The dentry cache: names already looked up, positive or negative, in a hash table by
 * parent and name. A bucket's lock guards its chain and, with dentry->lock, the name and
 * parent of what is in it: both change only while the dentry is out of the table.
 *
 * A dentry without references that is in the table stays, on the list of unused ones,
 * oldest first; a find takes it up again without touching that list. What is on the list
 * and used is skipped when the list is shrunk. One that is not in the table is freed with
 * its last reference.
 *
 * Lock order: bucket, then dentry->lock or unused_lock.
 */
#include "fs/vfs.h"
#include "fs/notify.h"

#include "kernel/panic.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/slab.h"

struct bucket {
	struct spinlock lock;
	struct dentry *first;
};

static struct bucket *buckets;
static uint32_t bucket_mask;
static struct slab_cache *dentry_cache;
static size_t num_dentries, max_dentries; /* [a]; above the maximum old unused ones go */

static struct spinlock unused_lock = SPINLOCK_INIT("dentry_unused", RANK_OBJECT);
static struct list unused = LIST_INIT(unused);

uint32_t dentry_moves_begun, dentry_moves_ended;

void
dcache_init(void)
{
	struct mem_stats mem;
	size_t n;

	mem_stats_get(&mem);
	n = round_up_pow2(MAX(mem.total_pages / 16, 1024ull));
	n = MIN(n, (size_t)65536);
	max_dentries = n * 8;
	bucket_mask = n - 1;
	buckets = kcalloc(n, sizeof(*buckets));
	dentry_cache = slab_cache_create("dentry", sizeof(struct dentry), 16);
	if (!buckets || !dentry_cache)
		panic("no memory for the dentry cache");
	for (size_t i = 0; i < n; i++)
		spin_init(&buckets[i].lock, "dentry_bucket", RANK_DENTRY);
}

/* FNV-1a with a final mix: names are short. */
uint32_t
name_hash(const char *text, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 16777619u;
	return h ^ h >> 15;
}

static struct bucket *
bucket_of(const struct dentry *parent, uint32_t hash)
{
	uint64_t h = ((uintptr_t)parent >> 4) * 0x9e3779b97f4a7c15ull;

	return &buckets[((uint32_t)(h >> 32) ^ hash) & bucket_mask];
}

/* The bucket a dentry belongs to, locked: it may be moving. */
static struct bucket *
lock_bucket(struct dentry *d) NO_THREAD_SAFETY_ANALYSIS
{
	for (;;) {
		struct bucket *b = bucket_of(d->parent, d->hash);

		spin_lock(&b->lock);
		if (b == bucket_of(d->parent, d->hash))
			return b;
		spin_unlock(&b->lock);
	}
}

static void
hash_locked(struct bucket *b, struct dentry *d)
{
	d->chain = b->first;
	b->first = d;
	__atomic_or_fetch(&d->flags, DENTRY_HASHED, __ATOMIC_RELEASE);
}

static void
unhash_locked(struct bucket *b, struct dentry *d)
{
	struct dentry **p = &b->first;

	if (!(d->flags & DENTRY_HASHED))
		return;
	while (*p != d)
		p = &(*p)->chain;
	*p = d->chain;
	__atomic_and_fetch(&d->flags, ~(uint32_t)DENTRY_HASHED, __ATOMIC_RELEASE);
}

static enum err
set_name(struct dentry *d, const struct name *name)
{
	d->text = d->small;
	if (name->len >= sizeof(d->small)) {
		d->text = kmalloc(name->len + 1);
		if (!d->text)
			return ERR_NOMEM;
	}
	memcpy(d->text, name->text, name->len);
	d->text[name->len] = '\0';
	d->len = name->len;
	d->hash = name->hash;
	return OK;
}

/* A dentry with one reference, not in the table. `parent` NULL: a root. */
static struct dentry *
dentry_create(struct super *super, struct dentry *parent, const struct name *name)
{
	struct dentry *d = slab_zalloc(dentry_cache);

	if (!d)
		return NULL;
	if (set_name(d, name)) {
		slab_free(dentry_cache, d);
		return NULL;
	}
	spin_init(&d->lock, "dentry", RANK_OBJECT);
	d->refs = 1;
	d->super = super;
	d->parent = parent ? dentry_get(parent) : d;
	__atomic_fetch_add(&num_dentries, 1, __ATOMIC_RELAXED);
	return d;
}

struct dentry *
dentry_make_root(struct super *super, struct inode *inode)
{
	const struct name name = {.text = "/", .len = 1};
	struct dentry *d = dentry_create(super, NULL, &name);

	if (d)
		d->inode = inode;
	else
		inode_put(inode);
	return d;
}

struct dentry *
dentry_get(struct dentry *d)
{
	__atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

/*
 * Frees a dentry that has no references and is not in the table, unless dcache_shrink has
 * just taken it from the unused list: then that frees it. Returns the parent to put, or
 * NULL.
 */
static struct dentry *
dentry_free(struct dentry *d)
{
	struct dentry *parent = d->parent == d ? NULL : d->parent;

	spin_lock(&unused_lock);
	if (__atomic_load_n(&d->refs, __ATOMIC_ACQUIRE) > 0) {
		spin_unlock(&unused_lock);
		return NULL;
	}
	if (d->flags & DENTRY_UNUSED)
		list_remove(&d->unused_link);
	spin_unlock(&unused_lock);

	notify_dropped(d->inode);
	inode_put(d->inode);
	if (d->text != d->small)
		kfree(d->text);
	slab_free(dentry_cache, d);
	__atomic_fetch_sub(&num_dentries, 1, __ATOMIC_RELAXED);
	return parent;
}

static void
unused_add(struct dentry *d)
{
	spin_lock(&unused_lock);
	if (!(d->flags & DENTRY_UNUSED)) {
		__atomic_or_fetch(&d->flags, DENTRY_UNUSED, __ATOMIC_RELAXED);
		list_push_back(&unused, &d->unused_link);
	}
	spin_unlock(&unused_lock);
}

/* Puts what may be the last reference. Returns the parent to put, or NULL. */
static struct dentry *
put_last(struct dentry *d, bool is_pruning) NO_THREAD_SAFETY_ANALYSIS
{
	struct bucket *b = lock_bucket(d);

	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0) {
		spin_unlock(&b->lock);
		return NULL;
	}
	if (is_pruning)
		unhash_locked(b, d);
	if (d->flags & DENTRY_HASHED) {
		unused_add(d);
		spin_unlock(&b->lock);
		return NULL;
	}
	spin_unlock(&b->lock);
	return dentry_free(d);
}

void
dentry_put(struct dentry *d)
{
	while (d) {
		uint32_t refs = __atomic_load_n(&d->refs, __ATOMIC_RELAXED);

		while (refs > 1)
			if (__atomic_compare_exchange_n(&d->refs, &refs, refs - 1, true,
			        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
				return;
		d = put_last(d, false);
	}
}

/* Takes the oldest unused dentry (of `super`, unless NULL) off the list, with a
 * reference. */
static struct dentry *
unused_pop(struct super *super)
{
	struct dentry *d;

	spin_lock(&unused_lock);
	list_for_each(d, &unused, unused_link) {
		if (super && d->super != super)
			continue;
		list_remove(&d->unused_link);
		__atomic_and_fetch(&d->flags, ~(uint32_t)DENTRY_UNUSED, __ATOMIC_RELAXED);
		dentry_get(d);
		spin_unlock(&unused_lock);
		return d;
	}
	spin_unlock(&unused_lock);
	return NULL;
}

static size_t
shrink(struct super *super, size_t max)
{
	size_t freed = 0;

	for (; max > 0; max--) {
		struct dentry *d = unused_pop(super);

		if (!d)
			break;
		d = put_last(d, true);
		freed += d != NULL;
		dentry_put(d);
	}
	return freed;
}

size_t
dcache_shrink(size_t max)
{
	return shrink(NULL, max);
}

void
dcache_drop_super(struct super *super)
{
	shrink(super, SIZE_MAX);
}

static bool
name_matches(const struct dentry *d, const struct dentry *dir, const struct name *name)
{
	return d->hash == name->hash && d->parent == dir && d->len == name->len &&
	       !memcmp(d->text, name->text, name->len);
}

struct dentry *
dentry_find(struct dentry *dir, const struct name *name)
{
	struct bucket *b = bucket_of(dir, name->hash);
	struct dentry *d;

	spin_lock(&b->lock);
	for (d = b->first; d; d = d->chain)
		if (name_matches(d, dir, name)) {
			dentry_get(d);
			break;
		}
	spin_unlock(&b->lock);
	return d;
}

struct dentry *
dentry_add(struct dentry *dir, const struct name *name, struct inode *inode)
{
	struct dentry *d;
	struct bucket *b;

	if (__atomic_load_n(&num_dentries, __ATOMIC_RELAXED) > max_dentries)
		dcache_shrink(16);
	d = dentry_create(dir->super, dir, name);
	if (!d) {
		inode_put(inode);
		return NULL;
	}
	d->inode = inode;
	if (dir->super->flags & SUPER_NO_CACHE)
		return d;
	b = bucket_of(dir, d->hash);
	spin_lock(&b->lock);
	hash_locked(b, d);
	spin_unlock(&b->lock);
	return d;
}

void
dentry_fill(struct dentry *d, struct inode *inode)
{
	ASSERT(!d->inode);
	__atomic_store_n(&d->inode, inode, __ATOMIC_RELEASE);
}

void
dentry_drop(struct dentry *d) NO_THREAD_SAFETY_ANALYSIS
{
	struct bucket *b = lock_bucket(d);

	unhash_locked(b, d);
	spin_unlock(&b->lock);
}

/* Several supers may move at once; a reader only needs to see that something did. */
static void
move_begin(void)
{
	__atomic_fetch_add(&dentry_moves_begun, 1, __ATOMIC_SEQ_CST);
}

static void
move_end(void)
{
	__atomic_fetch_add(&dentry_moves_ended, 1, __ATOMIC_SEQ_CST);
}

/* Gives a dentry that is not in the table its new place and puts it in. */
static void
enter(struct dentry *d, struct dentry *parent, struct dentry *name_from)
{
	struct bucket *b;

	spin_lock(&d->lock);
	if (d->text != d->small && d->text != name_from->text)
		kfree(d->text);
	d->text = name_from->text;
	if (name_from->text == name_from->small) {
		memcpy(d->small, name_from->small, sizeof(d->small));
		d->text = d->small;
	}
	d->len = name_from->len;
	d->hash = name_from->hash;
	d->parent = parent;
	spin_unlock(&d->lock);

	b = bucket_of(d->parent, d->hash);
	spin_lock(&b->lock);
	hash_locked(b, d);
	spin_unlock(&b->lock);
}

enum err
dentry_move(struct dentry *d, struct dentry *new_dir, const struct name *name)
{
	struct dentry *old_dir = d->parent;
	struct dentry carrier; /* brings the new name */
	enum err err = set_name(&carrier, name);

	if (err)
		return err;
	move_begin();
	dentry_drop(d);
	enter(d, dentry_get(new_dir), &carrier);
	move_end();
	dentry_put(old_dir);
	return OK;
}

void
dentry_swap(struct dentry *a, struct dentry *b)
{
	struct dentry *a_dir = a->parent, *b_dir = b->parent;
	struct dentry a_name, b_name;

	move_begin();
	dentry_drop(a);
	dentry_drop(b);
	/* Copies of both names, so that each can take over the other's. */
	a_name = *a;
	b_name = *b;
	if (a->text == a->small)
		a_name.text = a_name.small;
	if (b->text == b->small)
		b_name.text = b_name.small;
	a->text = a->small; /* owned by the copies now */
	b->text = b->small;
	enter(a, b_dir, &b_name);
	enter(b, a_dir, &a_name);
	move_end();
}

struct dentry *
dentry_parent(struct dentry *d)
{
	struct dentry *parent;

	spin_lock(&d->lock);
	parent = dentry_get(d->parent);
	spin_unlock(&d->lock);
	return parent;
}

/* Under rename_lock of the super, so that parents stay. */
bool
dentry_is_below(struct dentry *d, struct dentry *ancestor)
{
	for (;; d = d->parent) {
		if (d == ancestor)
			return true;
		if (d->parent == d)
			return false;
	}
}
