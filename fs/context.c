/* A thread's view of the file name space: root, current directory, umask. */
#include "fs/vfs.h"

#include "kernel/proc/process.h"
#include "mm/slab.h"

static struct spinlock contexts_lock = SPINLOCK_INIT("fs_contexts", RANK_MOUNT);
static struct list contexts = LIST_INIT(contexts);

struct fs_context *fs_init_context;

static struct fs_context *
context_create(void)
{
	struct fs_context *fs = kzalloc(sizeof(*fs));

	if (!fs)
		return NULL;
	fs->refs = 1;
	fs->num_users = 1;
	fs->umask = 022;
	spin_init(&fs->lock, "fs_context", RANK_OBJECT);
	return fs;
}

static void
context_enter(struct fs_context *fs)
{
	spin_lock(&contexts_lock);
	list_push_back(&contexts, &fs->link);
	spin_unlock(&contexts_lock);
}

struct fs_context *
fs_context_create_first(void)
{
	struct fs_context *fs = context_create();

	if (!fs)
		return NULL;
	fs->root = fs->cwd = fs_root;
	path_get(&fs->root);
	path_get(&fs->cwd);
	context_enter(fs);
	return fs;
}

struct fs_context *
fs_context_copy(struct fs_context *from)
{
	struct fs_context *fs = context_create();

	if (!fs)
		return NULL;
	spin_lock(&from->lock);
	fs->root = from->root;
	fs->cwd = from->cwd;
	path_get(&fs->root);
	path_get(&fs->cwd);
	spin_unlock(&from->lock);
	fs->umask = from->umask;
	context_enter(fs);
	return fs;
}

struct fs_context *
fs_context_get(struct fs_context *fs)
{
	__atomic_fetch_add(&fs->refs, 1, __ATOMIC_RELAXED);
	return fs;
}

void
fs_context_put(struct fs_context *fs)
{
	if (!fs || __atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	spin_lock(&contexts_lock);
	list_remove(&fs->link);
	spin_unlock(&contexts_lock);
	path_put(&fs->root);
	path_put(&fs->cwd);
	kfree(fs);
}

struct fs_context *
fs_context_share(struct fs_context *fs)
{
	__atomic_fetch_add(&fs->num_users, 1, __ATOMIC_RELAXED);
	return fs_context_get(fs);
}

void
fs_context_leave(struct fs_context *fs)
{
	__atomic_fetch_sub(&fs->num_users, 1, __ATOMIC_RELAXED);
	fs_context_put(fs);
}

bool
fs_context_is_shared(const struct fs_context *fs, unsigned n)
{
	return __atomic_load_n(&fs->num_users, __ATOMIC_RELAXED) > n;
}

struct fs_context *
current_fs(void)
{
	struct fs_context *fs = current_thread()->fs;

	return fs ? fs : fs_init_context;
}

static void
read_path(struct fs_context *fs, const struct path *from, struct path *out)
{
	spin_lock(&fs->lock);
	*out = *from;
	path_get(out);
	spin_unlock(&fs->lock);
}

static void
write_path(struct fs_context *fs, struct path *to, const struct path *path)
{
	struct path old;

	spin_lock(&fs->lock);
	old = *to;
	*to = *path;
	path_get(to);
	spin_unlock(&fs->lock);
	path_put(&old);
}

void
fs_context_root(struct fs_context *fs, struct path *out)
{
	read_path(fs, &fs->root, out);
}

void
fs_context_cwd(struct fs_context *fs, struct path *out)
{
	read_path(fs, &fs->cwd, out);
}

void
fs_context_set_root(struct fs_context *fs, const struct path *path)
{
	write_path(fs, &fs->root, path);
}

void
fs_context_set_cwd(struct fs_context *fs, const struct path *path)
{
	write_path(fs, &fs->cwd, path);
}

static void
replace(struct path *p, const struct path *from, const struct path *to)
{
	if (p->mount != from->mount || p->dentry != from->dentry)
		return;
	*p = *to;
	path_get(p);
	/* The caller holds `from`: these are not the last references, nothing is freed
	 * here. */
	dentry_put(from->dentry);
	mount_put(from->mount);
}

void
fs_contexts_change_root(const struct path *from, const struct path *to)
{
	struct fs_context *fs;

	spin_lock(&contexts_lock);
	list_for_each(fs, &contexts, link) {
		spin_lock(&fs->lock);
		replace(&fs->root, from, to);
		replace(&fs->cwd, from, to);
		spin_unlock(&fs->lock);
	}
	spin_unlock(&contexts_lock);
}
