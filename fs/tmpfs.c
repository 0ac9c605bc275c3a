/*
 * tmpfs: files whose only home is memory. A file's data are pages in its page cache, a
 * directory is a tree ordered by a hash of the names, a symlink is a string.
 *
 * A directory entry's key is 47 bits of hash and 16 bits to tell names of equal hash
 * apart. It is also the entry's position for readdir: it stays the same whatever else is
 * made or removed. The hash is keyed by a random number of the instance, so that nobody
 * can make names that fall together. `tree_lock` guards the tree, and "is it empty?" with
 * "it is dead now" in one step.
 *
 * Pages are charged to the instance by the page cache's fill operation, so those made by
 * faults on a mapping count too. Entries own a reference of their inode.
 */
#include "fs/xattr.h"

#include "kernel/procfs.h"
#include "kernel/proc/signal.h"
#include "kernel/random.h"
#include "lib/rbtree.h"
#include "lib/string.h"
#include "mm/commit.h"
#include "mm/slab.h"

enum { TMPFS_MAGIC = 0x01021994, SEQ_BITS = 16 };

struct tmpfs {
	uint64_t hash_key;   /* [I] */
	uint64_t max_pages;  /* [I] UINT64_MAX: no limit */
	uint64_t max_inodes; /* [I] */
	uint64_t pages;      /* [a] */
	uint64_t inodes;     /* [a] */
	uint64_t next_ino;   /* [a] */
};

struct node {
	struct inode inode;
	struct spinlock tree_lock;
	struct rb_root entries; /* [tree_lock] of a directory */
	struct inode *parent;   /* [its lock, rename_lock] of a directory: no reference */
	char *target;           /* [I] of a symlink */
	uint64_t charged;       /* [a] pages this file was charged for */
};

struct entry {
	struct rb_node node;
	uint64_t key;
	struct inode *inode;
	uint32_t len;
	char name[];
};

static const struct inode_ops tmpfs_inode_ops;
static const struct file_ops tmpfs_file_ops;
static const struct page_cache_ops tmpfs_cache_ops;
static struct slab_cache *node_cache;

static struct node *
node_of(const struct inode *inode)
{
	return container_of(inode, struct node, inode);
}

static struct tmpfs *
instance_of(const struct inode *inode)
{
	return inode->super->private;
}

/* Adds one to a counter that has a limit. */
static bool
charge(uint64_t *count, uint64_t max)
{
	if (__atomic_add_fetch(count, 1, __ATOMIC_RELAXED) <= max)
		return true;
	__atomic_sub_fetch(count, 1, __ATOMIC_RELAXED);
	return false;
}

static enum err
cache_fill(struct page_cache *cache, struct page *page, uint64_t index)
{
	struct inode *inode = cache->owner;
	struct tmpfs *fs = instance_of(inode);

	/* On Linux too this is "no space", not "no memory". */
	if (!commit_allows(NULL, 1) || !charge(&fs->pages, fs->max_pages))
		return ERR_NOSPC;
	mem_counter_add(MEM_COMMITTED, 1);
	__atomic_add_fetch(&node_of(inode)->charged, 1, __ATOMIC_RELAXED);
	memset(page_to_virt(page), 0, PAGE_SIZE);
	return OK;
}

static void
uncharge(struct inode *inode, uint64_t pages)
{
	__atomic_sub_fetch(&node_of(inode)->charged, pages, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&instance_of(inode)->pages, pages, __ATOMIC_RELAXED);
	mem_counter_add(MEM_COMMITTED, -(int64_t)pages);
}

static void
cache_unfill(struct page_cache *cache)
{
	uncharge(cache->owner, 1);
}

static const struct page_cache_ops tmpfs_cache_ops = {
    .fill = cache_fill, .unfill = cache_unfill};

static struct inode *
node_create(struct super *super, uint32_t mode)
{
	struct tmpfs *fs = super->private;
	struct node *n;

	if (!charge(&fs->inodes, fs->max_inodes))
		return NULL;
	n = slab_zalloc(node_cache);
	if (!n) {
		__atomic_sub_fetch(&fs->inodes, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	inode_init(&n->inode, super, &tmpfs_inode_ops, mode);
	n->inode.ino = __atomic_add_fetch(&fs->next_ino, 1, __ATOMIC_RELAXED);
	spin_init(&n->tree_lock, "tmpfs_dir", RANK_OBJECT);
	n->inode.flags = INODE_XATTRS;
	if (s_isreg(mode)) {
		n->inode.file_ops = &tmpfs_file_ops;
		page_cache_init(&n->inode.cache, &tmpfs_cache_ops, &n->inode);
		n->inode.cache.is_shmem = true;
		n->inode.cache.file_size = 0;
	}
	if (s_isdir(mode))
		n->inode.nlink = 2;
	return &n->inode;
}

static bool
entry_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct entry, node)->key <
	       rb_entry(b, struct entry, node)->key;
}

/*
 * Frees all entries of a directory that goes away with its instance. Nothing else uses
 * them, so those of sub-directories come up into this tree first: a tree may be deeper
 * than the stack.
 */
static void
drop_entries(struct node *dir)
{
	struct rb_node *n, *below;

	while ((n = rb_first(&dir->entries))) {
		struct entry *e = rb_entry(n, struct entry, node);
		struct node *child = node_of(e->inode);

		rb_erase(&dir->entries, n);
		while ((below = rb_first(&child->entries))) {
			rb_erase(&child->entries, below);
			rb_insert(&dir->entries, below, entry_less);
		}
		inode_put(e->inode);
		kfree(e);
	}
}

static void
tmpfs_free(struct inode *inode)
{
	struct node *n = node_of(inode);
	struct tmpfs *fs = instance_of(inode);

	drop_entries(n);
	xattr_free_all(inode);
	page_cache_destroy(&inode->cache);
	__atomic_sub_fetch(&fs->pages, n->charged, __ATOMIC_RELAXED);
	mem_counter_add(MEM_COMMITTED, -(int64_t)n->charged);
	__atomic_sub_fetch(&fs->inodes, 1, __ATOMIC_RELAXED);
	kfree(n->target);
	slab_free(node_cache, n);
}

/* ---- directories */

static uint64_t
key_of(const struct inode *dir, const struct name *name)
{
	uint64_t h = instance_of(dir)->hash_key ^ name->len;

	for (uint32_t i = 0; i < name->len; i++) {
		h = (h ^ (uint8_t)name->text[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	/* Positions 0 to 2 are the start, "." and "..": keep the hash above them. */
	return ((h >> 17) | 1) << SEQ_BITS;
}

/* The first entry whose key is at least `key`, or NULL. */
static struct entry *
entry_from(struct node *dir, uint64_t key)
{
	struct entry *found = NULL;
	struct rb_node *n = dir->entries.node;

	while (n) {
		struct entry *e = rb_entry(n, struct entry, node);

		if (e->key < key) {
			n = n->right;
		} else {
			found = e;
			n = n->left;
		}
	}
	return found;
}

static struct entry *
entry_after(struct entry *e)
{
	struct rb_node *n = rb_next(&e->node);

	return n ? rb_entry(n, struct entry, node) : NULL;
}

static struct entry *
find_locked(struct node *dir, const struct name *name)
{
	uint64_t key = key_of(&dir->inode, name);
	struct entry *e;

	for (e = entry_from(dir, key); e && e->key >> SEQ_BITS == key >> SEQ_BITS;
	     e = entry_after(e))
		if (e->len == name->len && !memcmp(e->name, name->text, name->len))
			return e;
	return NULL;
}

static struct entry *
entry_create(const struct name *name)
{
	struct entry *e = kmalloc(sizeof(*e) + name->len + 1);

	if (!e)
		return NULL;
	memcpy(e->name, name->text, name->len);
	e->name[name->len] = '\0';
	e->len = name->len;
	e->inode = NULL;
	return e;
}

/* Puts an entry into the tree; it takes a reference of `inode`. The caller frees it on an
 * error. */
static enum err
entry_insert(struct node *dir, struct entry *e, struct inode *inode)
{
	const struct name name = {.text = e->name, .len = e->len};
	uint64_t key = key_of(&dir->inode, &name);
	enum err err = OK;

	spin_lock(&dir->tree_lock);
	/* The first free key of this hash. */
	for (struct entry *other = entry_from(dir, key); other && other->key == key;
	     other = entry_after(other))
		key++;
	if (dir->inode.flags & INODE_DEAD)
		err = ERR_NOENT;
	else if ((key & ((1 << SEQ_BITS) - 1)) == (1 << SEQ_BITS) - 1)
		err = ERR_NOSPC;
	if (!err) {
		e->key = key;
		e->inode = inode_get(inode);
		rb_insert(&dir->entries, &e->node, entry_less);
	}
	spin_unlock(&dir->tree_lock);
	return err;
}

/* Takes the entry of `name` out; its inode reference goes to the caller with it. */
static struct entry *
entry_remove(struct node *dir, const struct name *name)
{
	struct entry *e;

	spin_lock(&dir->tree_lock);
	e = find_locked(dir, name);
	if (e)
		rb_erase(&dir->entries, &e->node);
	spin_unlock(&dir->tree_lock);
	return e;
}

static void
add_links(struct inode *inode, int n)
{
	__atomic_add_fetch(&inode->nlink, n, __ATOMIC_RELAXED);
}

static void
dir_changed(struct inode *dir)
{
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
}

static enum err
tmpfs_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	struct node *d = node_of(dir);
	struct entry *e;

	spin_lock(&d->tree_lock);
	e = find_locked(d, name);
	*out = e ? inode_get(e->inode) : NULL;
	spin_unlock(&d->tree_lock);
	return e ? OK : ERR_NOENT;
}

/* Enters a new inode, whose reference goes to *out, or away on an error. */
static enum err
enter_new(
    struct inode *dir, const struct name *name, struct inode *inode, struct inode **out)
{
	struct entry *e = entry_create(name);
	enum err err = e ? entry_insert(node_of(dir), e, inode) : ERR_NOMEM;

	if (err) {
		kfree(e);
		inode_put(inode);
		return err;
	}
	if (s_isdir(inode->mode)) {
		node_of(inode)->parent = dir;
		add_links(dir, 1);
	}
	dir_changed(dir);
	*out = inode;
	return OK;
}

static enum err
tmpfs_create(struct inode *dir, const struct name *name, uint32_t mode, uint64_t rdev,
    struct inode **out)
{
	struct inode *inode = node_create(dir->super, mode);

	if (!inode)
		return ERR_NOSPC;
	inode->rdev = rdev;
	inode_init_owner(inode, dir);
	return enter_new(dir, name, inode, out);
}

static enum err
tmpfs_symlink(
    struct inode *dir, const struct name *name, const char *target, struct inode **out)
{
	struct inode *inode = node_create(dir->super, S_IFLNK | S_IRWXUGO);

	if (!inode)
		return ERR_NOSPC;
	node_of(inode)->target = kstrdup(target);
	if (!node_of(inode)->target) {
		inode_put(inode);
		return ERR_NOMEM;
	}
	inode->size = strlen(target);
	inode_init_owner(inode, dir);
	return enter_new(dir, name, inode, out);
}

static enum err
tmpfs_tmpfile(struct inode *dir, uint32_t mode, struct inode **out)
{
	struct inode *inode = node_create(dir->super, mode);

	if (!inode)
		return ERR_NOSPC;
	inode_init_owner(inode, dir);
	inode->nlink = 0;
	*out = inode;
	return OK;
}

static enum err
tmpfs_link(struct inode *dir, const struct name *name, struct inode *inode)
{
	struct entry *e = entry_create(name);
	enum err err = e ? entry_insert(node_of(dir), e, inode) : ERR_NOMEM;

	if (err) {
		kfree(e);
		return err;
	}
	add_links(inode, 1);
	inode_touch(inode, INODE_CTIME);
	dir_changed(dir);
	return OK;
}

/* Marks an empty directory dead, so that nothing more is made in it. */
static enum err
kill_dir(struct inode *inode)
{
	struct node *n = node_of(inode);
	enum err err = OK;

	spin_lock(&n->tree_lock);
	if (rb_is_empty(&n->entries))
		__atomic_or_fetch(&inode->flags, INODE_DEAD, __ATOMIC_RELEASE);
	else
		err = ERR_NOTEMPTY;
	spin_unlock(&n->tree_lock);
	return err;
}

/* The links an inode loses with its entry in `dir`. */
static void
drop_links(struct inode *dir, struct inode *inode)
{
	if (s_isdir(inode->mode)) {
		add_links(inode, -2);
		add_links(dir, -1);
	} else {
		add_links(inode, -1);
	}
	inode_touch(inode, INODE_CTIME);
}

static enum err
tmpfs_unlink(struct inode *dir, const struct name *name, struct inode *inode)
{
	struct entry *e;
	enum err err = s_isdir(inode->mode) ? kill_dir(inode) : OK;

	if (err)
		return err;
	e = entry_remove(node_of(dir), name);
	if (!e)
		return ERR_NOENT;
	drop_links(dir, inode);
	dir_changed(dir);
	inode_put(e->inode);
	kfree(e);
	return OK;
}

/* A directory that moved counts at its new parent. */
static void
reparent(struct inode *inode, struct inode *from, struct inode *to)
{
	if (!s_isdir(inode->mode) || from == to)
		return;
	node_of(inode)->parent = to;
	add_links(from, -1);
	add_links(to, 1);
}

/* Makes the entry of `name` lead to `to` instead of `from`; the references change with
 * it. */
static void
repoint(struct node *dir, const struct name *name, struct inode *to)
{
	struct entry *e;

	spin_lock(&dir->tree_lock);
	e = find_locked(dir, name);
	e->inode = to;
	spin_unlock(&dir->tree_lock);
}

/* After the new name is there: the old one goes, or leads to `whiteout`. */
static void
leave_old_name(const struct rename *r, struct inode *whiteout)
{
	struct node *old_dir = node_of(r->old_dir);
	struct entry *e;

	if (whiteout) {
		repoint(old_dir, &r->old_name, whiteout);
		inode_put(r->old_inode);
		return;
	}
	e = entry_remove(old_dir, &r->old_name);
	inode_put(e->inode);
	kfree(e);
}

/* *out is NULL when none is wanted. */
static enum err
make_whiteout(const struct rename *r, struct inode **out)
{
	*out = NULL;
	if (!r->is_whiteout)
		return OK;
	*out = node_create(r->old_dir->super, S_IFCHR);
	if (!*out)
		return ERR_NOSPC;
	inode_init_owner(*out, r->old_dir);
	return OK;
}

static enum err
tmpfs_rename(const struct rename *r)
{
	struct node *old_dir = node_of(r->old_dir), *new_dir = node_of(r->new_dir);
	struct inode *whiteout;
	struct entry *e;
	enum err err = make_whiteout(r, &whiteout);

	if (err)
		return err;
	if (r->is_exchange) {
		repoint(old_dir, &r->old_name, r->new_inode);
		repoint(new_dir, &r->new_name, r->old_inode);
		reparent(r->new_inode, r->new_dir, r->old_dir);
	} else if (r->new_inode) {
		err = s_isdir(r->new_inode->mode) ? kill_dir(r->new_inode) : OK;
		if (err) {
			inode_put(whiteout);
			return err;
		}
		repoint(new_dir, &r->new_name, inode_get(r->old_inode));
		drop_links(r->new_dir, r->new_inode);
		inode_put(r->new_inode);
	} else {
		e = entry_create(&r->new_name);
		err = e ? entry_insert(new_dir, e, r->old_inode) : ERR_NOMEM;
		if (err) {
			kfree(e);
			inode_put(whiteout);
			return err;
		}
	}
	if (!r->is_exchange)
		leave_old_name(r, whiteout);
	reparent(r->old_inode, r->old_dir, r->new_dir);
	inode_touch(r->old_inode, INODE_CTIME);
	if (r->is_exchange)
		inode_touch(r->new_inode, INODE_CTIME);
	dir_changed(r->old_dir);
	dir_changed(r->new_dir);
	return OK;
}

/* A copy of the first entry at or after `pos`: emit may fault, so not under the spinlock.
 */
static bool
copy_entry(struct node *dir, loff_t pos, struct entry *out, char name[NAME_MAX + 1],
    struct stat *st)
{
	struct entry *e;

	spin_lock(&dir->tree_lock);
	e = entry_from(dir, pos);
	if (e) {
		out->key = e->key;
		out->len = e->len;
		memcpy(name, e->name, e->len);
		st->st_ino = e->inode->ino;
		st->st_mode = e->inode->mode;
	}
	spin_unlock(&dir->tree_lock);
	return e != NULL;
}

static enum err
tmpfs_readdir(struct inode *dir, struct dir_sink *sink)
{
	struct node *d = node_of(dir);
	char name[NAME_MAX + 1];
	struct entry e;
	struct stat st;

	if (sink->pos == 0) {
		if (!sink->emit(sink, ".", 1, dir->ino, S_IFDIR, 1))
			return OK;
		sink->pos = 1;
	}
	if (sink->pos == 1) {
		uint64_t ino = d->parent ? d->parent->ino : dir->ino;

		if (!sink->emit(sink, "..", 2, ino, S_IFDIR, 2))
			return OK;
		sink->pos = 2;
	}
	while (copy_entry(d, sink->pos, &e, name, &st)) {
		if (!sink->emit(sink, name, e.len, st.st_ino, st.st_mode, e.key + 1))
			return OK;
		sink->pos = e.key + 1;
	}
	return OK;
}

/* ---- files */

static long
tmpfs_readlink(struct inode *inode, char *buf, size_t size)
{
	size_t n = MIN((size_t)inode->size, size);

	memcpy(buf, node_of(inode)->target, n);
	return n;
}

static void
set_size(struct inode *inode, loff_t size)
{
	loff_t old = inode->size;

	inode->cache.file_size = size;
	__atomic_store_n(&inode->size, size, __ATOMIC_RELEASE);
	if (size < old)
		uncharge(
		    inode, page_cache_truncate(&inode->cache,
		               DIV_ROUND_UP(size, (loff_t)PAGE_SIZE), size % PAGE_SIZE));
}

/* Whether the seals allow the change. */
static bool
may_change(const struct inode *inode, const struct attr *attr)
{
	uint32_t seals = s_isreg(inode->mode) ? inode->cache.seals : 0;

	if (attr->valid & ATTR_SIZE &&
	    ((seals & F_SEAL_SHRINK && attr->size < inode->size) ||
	        (seals & F_SEAL_GROW && attr->size > inode->size)))
		return false;
	return !(attr->valid & ATTR_MODE && seals & F_SEAL_EXEC &&
	         (attr->mode ^ inode->mode) & 0111);
}

static enum err
tmpfs_setattr(struct inode *inode, const struct attr *attr)
{
	if (!may_change(inode, attr))
		return ERR_PERM;
	if (attr->valid & ATTR_SIZE) {
		set_size(inode, attr->size);
		inode_touch(inode, INODE_MTIME);
	}
	simple_setattr(inode, attr);
	return OK;
}

/* Makes the pages of [offset, end) present. On an error none remain beyond the file's end. */
static enum err
allocate_range(struct inode *inode, uint64_t offset, uint64_t end)
{
	uint64_t last = DIV_ROUND_UP(end, PAGE_SIZE);
	enum err err = OK;

	if (last - offset / PAGE_SIZE > instance_of(inode)->max_pages)
		return ERR_NOSPC;
	for (uint64_t i = offset / PAGE_SIZE; i < last && !err; i++) {
		struct page *page;

		err = signal_is_pending(current_thread())
		          ? ERR_INTR
		          : page_cache_get(&inode->cache, i, &page);
		if (!err)
			page_put(page);
	}
	if (!err)
		return OK;
	uncharge(inode, page_cache_truncate(&inode->cache,
	                    DIV_ROUND_UP((uint64_t)inode->size, PAGE_SIZE), 0));
	return err;
}

static enum err
tmpfs_fallocate(struct inode *inode, int mode, loff_t offset, loff_t len)
{
	uint64_t end = (uint64_t)offset + len;
	enum err err;
	uint32_t seals = inode->cache.seals;

	if (mode & ~(FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE))
		return ERR_OPNOTSUPP;
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) && mode & FALLOC_PUNCH_HOLE)
		return ERR_PERM;
	if (seals & F_SEAL_GROW && !(mode & FALLOC_PUNCH_HOLE) &&
	    end > (uint64_t)inode->size)
		return ERR_PERM;
	if (mode == FALLOC_PUNCH_HOLE)
		return ERR_OPNOTSUPP;
	if (mode & FALLOC_PUNCH_HOLE) {
		uncharge(inode, page_cache_punch(&inode->cache, (uint64_t)offset, end));
		inode_touch(inode, INODE_MTIME | INODE_CTIME);
		return OK;
	}
	err = allocate_range(inode, offset, end);
	if (err)
		return err;
	if (!(mode & FALLOC_KEEP_SIZE) && end > (uint64_t)inode->size)
		set_size(inode, end);
	inode_touch(inode, INODE_MTIME | INODE_CTIME);
	return OK;
}

static enum err
tmpfs_fsync(struct file *f, bool data_only)
{
	return OK;
}

static const struct file_ops tmpfs_file_ops = {
    .read = data_read,
    .write = data_write,
    .seek = data_seek,
    .mmap = data_mmap,
    .fsync = tmpfs_fsync,
};

static const struct inode_ops tmpfs_inode_ops = {
    .lookup = tmpfs_lookup,
    .create = tmpfs_create,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rename = tmpfs_rename,
    .tmpfile = tmpfs_tmpfile,
    .readdir = tmpfs_readdir,
    .readlink = tmpfs_readlink,
    .setattr = tmpfs_setattr,
    .fallocate = tmpfs_fallocate,
    .free = tmpfs_free,
};

/* ---- the instance */

static void
tmpfs_statfs(struct super *super, struct statfs *st)
{
	struct tmpfs *fs = super->private;

	st->bsize = st->frsize = PAGE_SIZE;
	if (fs->max_pages != UINT64_MAX) {
		st->blocks = fs->max_pages;
		st->bfree = st->bavail = fs->max_pages - MIN(fs->pages, fs->max_pages);
	}
	if (fs->max_inodes != UINT64_MAX) {
		st->files = fs->max_inodes;
		st->ffree = fs->max_inodes - MIN(fs->inodes, fs->max_inodes);
	}
}

static void
tmpfs_show_options(struct super *super, struct seq *s)
{
	struct tmpfs *fs = super->private;
	struct inode *root = super->root_dentry->inode;

	if (fs->max_pages != UINT64_MAX)
		seq_printf(s, ",size=%luk", fs->max_pages * (PAGE_SIZE / 1024));
	if (fs->max_inodes != UINT64_MAX)
		seq_printf(s, ",nr_inodes=%lu", fs->max_inodes);
	if ((root->mode & S_IALLUGO) != 01777)
		seq_printf(s, ",mode=%o", root->mode & S_IALLUGO);
}

static void
tmpfs_free_super(struct super *super)
{
	kfree(super->private);
}

static const struct super_ops tmpfs_super_ops = {
    .statfs = tmpfs_statfs,
    .show_options = tmpfs_show_options,
    .free = tmpfs_free_super,
};

struct options {
	uint64_t max_pages, max_inodes;
	uint64_t mode, uid, gid;
};

/* One "name=value" of the mount options, its value ending at a comma or the end of the
 * text. */
static bool
parse_option(struct options *o, const char *text, uint64_t total_pages)
{
	static const char *const names[] = {
	    "size=", "nr_blocks=", "nr_inodes=", "mode=", "uid=", "gid="};
	const char *end;
	unsigned i = 0;
	uint64_t v;

	while (i < ARRAY_SIZE(names) && strncmp(text, names[i], strlen(names[i])) != 0)
		i++;
	if (i == ARRAY_SIZE(names))
		return false;
	text += strlen(names[i]);
	if (i == 3 ? !parse_u64(text, &end, 8, &v) : !parse_size(text, &end, &v))
		return false;
	if (i == 0 && *end == '%') {
		v = v * total_pages / 100 * PAGE_SIZE;
		end++;
	}
	if (*end && *end != ',')
		return false;
	switch (i) {
	case 0:
		o->max_pages = v ? DIV_ROUND_UP(v, (uint64_t)PAGE_SIZE) : UINT64_MAX;
		break;
	case 1: o->max_pages = v ? v : UINT64_MAX; break;
	case 2: o->max_inodes = v ? v : UINT64_MAX; break;
	case 3: o->mode = v & S_IALLUGO; break;
	case 4: o->uid = v; break;
	default: o->gid = v; break;
	}
	return true;
}

static bool
parse_options(struct options *o, const char *text, uint64_t total_pages)
{
	while (*text) {
		const char *comma = strchr(text, ',');

		if (*text != ',' && !parse_option(o, text, total_pages))
			return false;
		if (!comma)
			break;
		text = comma + 1;
	}
	return true;
}

static enum err
tmpfs_mount(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	struct mem_stats mem;
	struct options o = {.mode = 01777};
	struct tmpfs *fs;
	struct super *super;
	struct inode *root;
	enum err err = ERR_NOMEM;

	mem_stats_get(&mem);
	o.max_pages = mem.total_pages / 2;
	o.max_inodes = mem.total_pages / 2;
	if (!parse_options(&o, data, mem.total_pages))
		return ERR_INVAL;
	fs = kzalloc(sizeof(*fs));
	super = fs ? super_create(type, &tmpfs_super_ops, TMPFS_MAGIC) : NULL;
	if (!super) {
		kfree(fs);
		return ERR_NOMEM;
	}
	super->private = fs;
	fs->hash_key = random_u64();
	fs->max_pages = o.max_pages;
	fs->max_inodes = o.max_inodes;
	root = node_create(super, S_IFDIR | o.mode);
	if (root) {
		root->uid = o.uid;
		root->gid = o.gid;
		err = super_set_root(super, root);
	}
	if (err)
		super_put(super);
	else
		*out = super;
	return err;
}

static struct super_type tmpfs_type = {.name = "tmpfs", .mount = tmpfs_mount};
static struct super_type rootfs_type = {.name = "rootfs", .mount = tmpfs_mount};

void
tmpfs_init(void)
{
	node_cache = slab_cache_create("tmpfs_inode", sizeof(struct node), 16);
	super_type_register(&tmpfs_type);
	super_type_register(&rootfs_type);
}
