/*
 * The tree of mounts. A hash table by (parent mount, mount point) leads from a mount
 * point to what is mounted there; the path walk reads it under RCU and takes its
 * reference only from a mount that still has some. Changes are made one at a time under
 * `change_lock`, and each single one of them under `mount_lock`, so that readers of the
 * list see a whole tree.
 *
 * A mount in the tree has one reference for being there. Unmounting takes that from 1 to
 * 0 in one step, which fails while anyone uses the mount or has mounted something below
 * it.
 */
#include "fs/vfs.h"

#include "kernel/panic.h"
#include "kernel/procfs.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { BUCKETS = 256 };

static struct mutex change_lock = MUTEX_INIT(change_lock, "mounts", RANK_SETUP);
static struct spinlock mount_lock = SPINLOCK_INIT("mount", RANK_MOUNT);
static struct mount *buckets[BUCKETS];                 /* [mount_lock, RCU] */
static struct list all_mounts = LIST_INIT(all_mounts); /* [mount_lock] */
static uint32_t last_id;                               /* [mount_lock] */

struct path fs_root;

/* Flags a mount keeps; the others ask for an action. */
enum {
	KEPT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
	             MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | MS_NOSYMFOLLOW
};

static struct mount **
bucket_of(const struct mount *parent, const struct dentry *mountpoint)
{
	uint64_t h = (uintptr_t)parent * 31 + (uintptr_t)mountpoint;

	return &buckets[h * 0x9e3779b97f4a7c15ull >> 56];
}

struct mount *
mount_get(struct mount *m)
{
	__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}

/* A reference to a mount that may be going away. */
static bool
try_get(struct mount *m)
{
	uint32_t refs = __atomic_load_n(&m->refs, __ATOMIC_RELAXED);

	while (refs > 0)
		if (__atomic_compare_exchange_n(&m->refs, &refs, refs + 1, true,
		        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void
free_rcu(struct rcu_head *head)
{
	struct mount *m = container_of(head, struct mount, rcu);

	kfree(m->source);
	kfree(m);
}

/* The last reference is gone and it is in no table. */
static void
destroy(struct mount *m)
{
	dentry_put(m->root);
	super_put(m->super);
	rcu_call(&m->rcu, free_rcu);
}

void
mount_put_unused(struct mount *m)
{
	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0)
		destroy(m);
}

void
mount_put(struct mount *m)
{
	if (unlikely(__atomic_load_n(&m->is_expiring, __ATOMIC_RELAXED)))
		__atomic_store_n(&m->is_expiring, false, __ATOMIC_RELAXED);
	mount_put_unused(m);
}

/* What is mounted on `at`, with a reference, or NULL. */
static struct mount *
find(const struct path *at)
{
	struct mount *m;

	rcu_read_lock();
	m = rcu_dereference(*bucket_of(at->mount, at->dentry));
	while (
	    m && !(m->parent == at->mount && m->mountpoint == at->dentry && try_get(m)))
		m = rcu_dereference(m->chain);
	rcu_read_unlock();
	return m;
}

void
mount_cross_down(struct path *path)
{
	while (__atomic_load_n(&path->dentry->flags, __ATOMIC_ACQUIRE) & DENTRY_MOUNTED) {
		struct mount *m = find(path);

		if (!m)
			return;
		path_put(path);
		path->mount = m;
		path->dentry = dentry_get(m->root);
	}
}

bool
mount_cross_up(struct path *path)
{
	struct path up;

	spin_lock(&mount_lock);
	up = (struct path){path->mount->parent, path->mount->mountpoint};
	if (up.mount)
		path_get(&up);
	spin_unlock(&mount_lock);
	if (!up.mount)
		return false;
	path_put(path);
	*path = up;
	return true;
}

bool
mount_is_readonly(const struct mount *m)
{
	return (m->flags & MS_RDONLY) || m->super->is_readonly;
}

/* Counted first, then looked: who makes it read-only does it the other way round, so that one of them
 * sees the other. */
bool
mount_write_begin(struct mount *m)
{
	__atomic_add_fetch(&m->num_writers, 1, __ATOMIC_SEQ_CST);
	if (!mount_is_readonly(m))
		return true;
	mount_write_end(m);
	return false;
}

void
mount_write_end(struct mount *m)
{
	__atomic_sub_fetch(&m->num_writers, 1, __ATOMIC_RELEASE);
}

bool
dentry_is_mountpoint(struct dentry *d)
{
	struct mount *m;
	bool found = false;

	if (!(d->flags & DENTRY_MOUNTED))
		return false;
	spin_lock(&mount_lock);
	list_for_each(m, &all_mounts, all_link)
		found |= m->mountpoint == d;
	spin_unlock(&mount_lock);
	return found;
}

/* A mount in no place yet, with one reference. Takes the references of super and root. */
static struct mount *
mount_create(struct super *super, struct dentry *root, uint32_t flags, const char *source)
{
	struct mount *m = kzalloc(sizeof(*m));

	if (m)
		m->source = kstrdup(source);
	if (!m || !m->source) {
		kfree(m);
		dentry_put(root);
		super_put(super);
		return NULL;
	}
	m->super = super;
	m->root = root;
	m->refs = 1;
	m->flags = flags & KEPT_FLAGS;
	if (!(flags & (MS_NOATIME | MS_STRICTATIME)))
		m->flags |= MS_RELATIME;
	list_init(&m->all_link);
	return m;
}

static void
attach_locked(struct mount *m, const struct path *at)
{
	struct mount **b;

	if (at) {
		m->parent = mount_get(at->mount);
		m->mountpoint = dentry_get(at->dentry);
		__atomic_or_fetch(&at->dentry->flags, DENTRY_MOUNTED, __ATOMIC_RELEASE);
		b = bucket_of(m->parent, m->mountpoint);
		m->chain = *b;
		rcu_assign(*b, m);
	}
	if (list_is_empty(&m->all_link)) {
		m->id = ++last_id;
		list_push_back(&all_mounts, &m->all_link);
	}
}

/* Out of the hash table; *at gets the references it held to its place. */
static void
detach_locked(struct mount *m, struct path *at)
{
	struct mount **p;

	*at = (struct path){m->parent, m->mountpoint};
	if (!m->parent)
		return;
	for (p = bucket_of(m->parent, m->mountpoint); *p != m; p = &(*p)->chain)
		;
	rcu_assign(*p, m->chain);
	m->parent = NULL;
	m->mountpoint = NULL;
}

/* Puts `m` (its reference goes to the tree) on `at`. Directories go on directories only.
 */
static enum err
attach(struct mount *m, const struct path *at)
{
	bool is_dir = s_isdir(m->root->inode->mode);

	if (at && is_dir != s_isdir(at->dentry->inode->mode)) {
		mount_put(m);
		return ERR_NOTDIR;
	}
	/* Names that are not cached would not lead to the mount again. */
	if (at && (at->dentry->super->flags & SUPER_NO_CACHE) &&
	    at->dentry != at->dentry->super->root_dentry) {
		mount_put(m);
		return ERR_INVAL;
	}
	spin_lock(&mount_lock);
	attach_locked(m, at);
	spin_unlock(&mount_lock);
	return OK;
}

enum err
fs_mount(const char *type_name, const char *source, const struct path *at, uint32_t flags,
    const char *data)
{
	struct super_type *type = super_type_find(type_name);
	struct super *super;
	struct mount *m;
	enum err err;

	if (!type)
		return ERR_NODEV;
	err = type->mount(type, source, data, &super);
	if (err)
		return err;
	/* The same file system twice on top of itself is a mistake (mount(2), EBUSY). */
	if (at && at->dentry == at->mount->root && at->mount->super == super) {
		super_put(super);
		return ERR_BUSY;
	}
	m = mount_create(super, dentry_get(super->root_dentry), flags, source);
	if (!m)
		return ERR_NOMEM;
	mutex_lock(&change_lock);
	err = attach(m, at);
	if (!err && !at) {
		fs_root = (struct path){m, super->root_dentry};
		path_get(&fs_root);
	}
	mutex_unlock(&change_lock);
	return err;
}

struct mount *
fs_mount_nowhere(struct super *super)
{
	return mount_create(
	    super_get(super), dentry_get(super->root_dentry), 0, super->type->name);
}

static enum err
bind_one(const struct mount *from, struct dentry *root, const struct path *at)
{
	struct mount *m = mount_create(
	    super_get(from->super), dentry_get(root), from->flags, from->source);

	return m ? attach(m, at) : ERR_NOMEM;
}

/* The next mount after `last` (NULL: the first) directly on `parent`, with a reference.
 */
static struct mount *
next_child(const struct mount *parent, uint32_t last)
{
	struct mount *m, *found = NULL;

	spin_lock(&mount_lock);
	list_for_each(m, &all_mounts, all_link)
		if (m->parent == parent && m->id > last && (!found || m->id < found->id))
			found = m;
	if (found)
		mount_get(found);
	spin_unlock(&mount_lock);
	return found;
}

/*
 * Binds what is mounted directly below `from` on `from_mount` at the same places of the
 * new mount at `at`; deeper ones by going down. At most `depth` levels, so that the stack
 * stays bounded.
 */
static enum err
bind_children(const struct path *from, const struct path *at, unsigned depth)
{
	struct path top = *at;
	uint32_t limit = last_id; /* those made here are not to be bound again */
	struct mount *child = NULL;
	enum err err = OK;

	if (depth == 0)
		return ERR_LOOP;
	path_get(&top);
	mount_cross_down(&top);
	for (uint32_t id = 0; !err && (child = next_child(from->mount, id));
	     mount_put(child)) {
		struct path place = {top.mount, child->mountpoint};

		id = child->id;
		if (id > limit || !dentry_is_below(child->mountpoint, from->dentry))
			continue;
		err = bind_one(child, child->root, &place);
		if (!err)
			err = bind_children(
			    &(struct path){child, child->root}, &place, depth - 1);
	}
	path_put(&top);
	return err;
}

enum err
fs_bind(const struct path *from, const struct path *at, bool is_recursive)
{
	enum { MAX_DEPTH = 8 };
	enum err err;

	mutex_lock(&change_lock);
	err = bind_one(from->mount, from->dentry, at);
	if (!err && is_recursive)
		err = bind_children(from, at, MAX_DEPTH);
	mutex_unlock(&change_lock);
	return err;
}

/* Whether `at` lies on mount `m` or on one below it. */
static bool
is_on(const struct mount *at, const struct mount *m)
{
	for (; at; at = at->parent)
		if (at == m)
			return true;
	return false;
}

enum err
fs_move_mount(const struct path *from, const struct path *at)
{
	struct path old = {NULL, NULL};
	enum err err = OK;

	mutex_lock(&change_lock);
	spin_lock(&mount_lock);
	if (from->dentry != from->mount->root || !from->mount->parent)
		err = ERR_INVAL;
	else if (is_on(at->mount, from->mount))
		err = ERR_LOOP;
	else if (s_isdir(from->dentry->inode->mode) != s_isdir(at->dentry->inode->mode))
		err = ERR_NOTDIR;
	if (!err) {
		detach_locked(from->mount, &old);
		attach_locked(from->mount, at);
	}
	spin_unlock(&mount_lock);
	mutex_unlock(&change_lock);
	if (old.mount)
		path_put(&old);
	return err;
}

/* Whether files are open for writing through the mount or, if it is not it alone that changes, through
 * any of its file system. */
static bool
has_writers(const struct mount *of, bool is_alone)
{
	const struct mount *m;
	bool has = __atomic_load_n(&of->num_writers, __ATOMIC_SEQ_CST);

	if (is_alone)
		return has;
	spin_lock(&mount_lock);
	list_for_each(m, &all_mounts, all_link)
		has |= m->super == of->super &&
		       __atomic_load_n(&m->num_writers, __ATOMIC_SEQ_CST);
	spin_unlock(&mount_lock);
	return has;
}

enum err
fs_remount(const struct path *path, uint32_t flags, const char *data)
{
	struct mount *m = path->mount;
	uint32_t kept = flags & KEPT_FLAGS, old;
	enum err err = OK;

	if (path->dentry != m->root)
		return ERR_INVAL;
	if (m->super->ops->remount && !(flags & MS_BIND))
		err = m->super->ops->remount(m->super, data);
	if (err)
		return err;
	if (!(kept & (MS_NOATIME | MS_STRICTATIME)))
		kept |= MS_RELATIME;
	mutex_lock(&change_lock);
	old = __atomic_exchange_n(&m->flags, kept, __ATOMIC_SEQ_CST);
	if ((kept & ~old & MS_RDONLY) && has_writers(m, flags & MS_BIND)) {
		__atomic_store_n(&m->flags, old, __ATOMIC_SEQ_CST);
		err = ERR_BUSY;
	}
	mutex_unlock(&change_lock);
	return err;
}

/* Takes `m` and all that is mounted below it out of the tree; users keep what they use.
 */
static void
detach_tree(struct mount *m)
{
	struct mount *child;
	struct path at;

	while ((child = next_child(m, 0))) {
		detach_tree(child);
		mount_put(child);
	}
	spin_lock(&mount_lock);
	detach_locked(m, &at);
	list_remove(&m->all_link);
	spin_unlock(&mount_lock);
	if (at.mount)
		path_put(&at);
	mount_put(m);
}

/* MNT_EXPIRE marks what nobody uses, and takes it the next time if nobody has come since. */
static enum err
expire(struct mount *m)
{
	const uint32_t only_ours = 2;

	if (__atomic_load_n(&m->refs, __ATOMIC_ACQUIRE) != only_ours)
		return ERR_BUSY;
	return __atomic_exchange_n(&m->is_expiring, true, __ATOMIC_RELAXED) ? OK
	                                                                    : ERR_AGAIN;
}

static enum err
umount(const struct path *path, int flags)
{
	struct mount *m = path->mount;
	uint32_t only_ours = 2; /* the tree's and that of `path` */
	enum err err = OK;

	if (path->dentry != m->root)
		return ERR_INVAL;
	mutex_lock(&change_lock);
	if (!m->parent)
		err = ERR_INVAL;
	else if (flags & UMOUNT_EXPIRE)
		err = expire(m);
	if (!err && flags & UMOUNT_DETACH) {
		detach_tree(m);
	} else if (!err) {
		struct path at = {NULL, NULL};

		/* From 2 to 1: nobody else may come in between, who would be the third.
		 */
		spin_lock(&mount_lock);
		if (__atomic_compare_exchange_n(&m->refs, &only_ours, 1, false,
		        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			detach_locked(m, &at);
			list_remove(&m->all_link);
		} else {
			err = ERR_BUSY;
		}
		spin_unlock(&mount_lock);
		if (at.mount)
			path_put(&at);
	}
	mutex_unlock(&change_lock);
	return err;
}

enum err
fs_umount(const struct path *path, int flags)
{
	enum err err = umount(path, flags);

	dentry_put(path->dentry); /* first: the super goes with the mount */
	mount_put_unused(path->mount);
	return err;
}

enum err
fs_pivot_root(const struct path *new_root, const struct path *put_old)
{
	struct mount *m = new_root->mount;
	struct path old_root, place;
	enum err err = OK;

	fs_context_root(current_fs(), &old_root);
	mutex_lock(&change_lock);
	spin_lock(&mount_lock);
	if (new_root->dentry != m->root || old_root.dentry != old_root.mount->root)
		err = ERR_INVAL;
	else if (!m->parent || !old_root.mount->parent)
		err = ERR_INVAL; /* the first root cannot be moved */
	else if (m == old_root.mount || put_old->mount == old_root.mount)
		err = ERR_BUSY;
	else if (!is_on(put_old->mount, m))
		err = ERR_INVAL;
	if (!err) {
		struct path top;

		detach_locked(m, &place);
		detach_locked(old_root.mount, &top);
		attach_locked(old_root.mount, put_old);
		attach_locked(m, &top);
		spin_unlock(&mount_lock);
		path_put(&place);
		path_put(&top);
	} else {
		spin_unlock(&mount_lock);
	}
	mutex_unlock(&change_lock);
	if (!err)
		fs_contexts_change_root(&old_root, new_root);
	path_put(&old_root);
	return err;
}

/* ---- /proc/mounts, mountinfo, mountstats */

static void
show_flags(struct seq *s, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} names[] = {
	    {MS_NOSUID, ",nosuid"},
	    {MS_NODEV, ",nodev"},
	    {MS_NOEXEC, ",noexec"},
	    {MS_NOATIME, ",noatime"},
	    {MS_NODIRATIME, ",nodiratime"},
	    {MS_RELATIME, ",relatime"},
	    {MS_NOSYMFOLLOW, ",nosymfollow"},
	};

	seq_puts(s, flags & MS_RDONLY ? "ro" : "rw");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			seq_puts(s, names[i].text);
}

static void
show_super_options(struct seq *s, struct super *super)
{
	if (super->ops->show_options)
		super->ops->show_options(super, s);
}

static void
show_one(struct seq *s, struct mount *m, const char *where, enum mounts_style style)
{
	static const char special[] = " \t\n\\";
	char buf[256];
	char *inner;

	if (style == MOUNTS_STATS) {
		seq_puts(s, "device ");
		seq_escape(s, m->source, special);
		seq_puts(s, " mounted on ");
		seq_escape(s, where, special);
		seq_printf(s, " with fstype %s\n", m->super->type->name);
	} else if (style == MOUNTS_INFO) {
		inner = dentry_text(m->root, buf, sizeof(buf));
		seq_printf(s, "%u %u %u:%u %s ", m->id, m->parent ? m->parent->id : m->id,
		    dev_major(m->super->dev), dev_minor(m->super->dev),
		    inner ? inner : "/");
		seq_escape(s, where, special);
		seq_putc(s, ' ');
		show_flags(s, m->flags);
		seq_printf(s, " - %s ", m->super->type->name);
		seq_escape(s, m->source, special);
		seq_puts(s, m->super->is_readonly ? " ro" : " rw");
		show_super_options(s, m->super);
		seq_putc(s, '\n');
	} else {
		seq_escape(s, m->source, special);
		seq_putc(s, ' ');
		seq_escape(s, where, special);
		seq_printf(s, " %s ", m->super->type->name);
		show_flags(s, m->flags | (m->super->is_readonly ? MS_RDONLY : 0));
		show_super_options(s, m->super);
		seq_puts(s, " 0 0\n");
	}
}

/* The mount with the smallest id above `last`, with a reference, or NULL. */
static struct mount *
next_mount(uint32_t last)
{
	struct mount *m, *found = NULL;

	spin_lock(&mount_lock);
	list_for_each(m, &all_mounts, all_link)
		if (m->id > last && (!found || m->id < found->id))
			found = m;
	if (found)
		mount_get(found);
	spin_unlock(&mount_lock);
	return found;
}

void
mounts_show(struct seq *s, const struct path *root, enum mounts_style style)
{
	struct mount *m;
	char *buf = kmalloc(PATH_MAX);

	if (!buf)
		return;
	for (uint32_t id = 0; (m = next_mount(id)); mount_put(m)) {
		struct path path = {m, m->root};
		bool is_reachable;
		char *where = path_text(&path, root, buf, PATH_MAX, &is_reachable);

		id = m->id;
		if (where && is_reachable)
			show_one(s, m, where, style);
	}
	kfree(buf);
}
