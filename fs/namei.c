/*
 * The path walk. One component at a time: the dentry cache first, with no lock but a
 * bucket's; only what is not cached takes the directory's lock and asks the file system.
 * Symlinks are spliced in front of what is left of the path, so nothing recurses.
 */
#include "fs/namei.h"

#include "fs/anon.h"
#include "kernel/proc/process.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

enum { MAX_LINKS = 40 };

static struct slab_cache *name_cache;

void
namei_init(void)
{
	name_cache = slab_cache_create("path_name", PATH_MAX, 16);
}

enum err
name_from_user(const char USER *user, bool may_be_empty, char **out)
{
	char *name = slab_alloc(name_cache);
	long len;

	if (!name)
		return ERR_NOMEM;
	len = strncpy_from_user(name, user, PATH_MAX);
	if (len > 0 || (len == 0 && may_be_empty)) {
		*out = name;
		return OK;
	}
	slab_free(name_cache, name);
	return len == 0 ? ERR_NOENT : (enum err)len;
}

void
name_put(char *name)
{
	slab_free(name_cache, name);
}

/* Looks `name` up in the directory `dir`, whose inode->lock is held. */
enum err
dir_lookup_locked(struct dentry *dir, const struct name *name, struct dentry **out)
{
	struct inode *inode = NULL;
	enum err err;

	*out = dentry_find(dir, name);
	if (*out)
		return OK;
	if (dir->inode->flags & INODE_DEAD)
		return ERR_NOENT;
	err = dir->inode->ops->lookup(dir->inode, name, &inode);
	if (err && (err != ERR_NOENT || (dir->super->flags & SUPER_NO_CACHE)))
		return err;
	*out = dentry_add(dir, name, inode);
	return *out ? OK : ERR_NOMEM;
}

/* The dentry of `name` in `dir`, positive or negative. */
static enum err
step(struct dentry *dir, const struct name *name, struct dentry **out)
{
	enum err err;

	*out = dentry_find(dir, name);
	if (likely(*out))
		return OK;
	mutex_lock(&dir->inode->lock);
	err = dir_lookup_locked(dir, name, out);
	mutex_unlock(&dir->inode->lock);
	return err;
}

static bool
is_same(const struct path *a, const struct path *b)
{
	return a->dentry == b->dentry && a->mount == b->mount;
}

static void
move_to(struct path *to, const struct path *from)
{
	struct path old = *to;

	*to = *from;
	dentry_put(old.dentry);
	mount_put_unused(old.mount); /* on the way; what is found is used */
}

/* One step up; at the root it stays where it is. */
static enum err
walk_up(struct walk *w)
{
	const struct mount *before = w->cur.mount;

	for (;;) {
		if (is_same(&w->cur, &w->root))
			return w->flags & WALK_BENEATH ? ERR_XDEV : OK;
		if (w->cur.dentry != w->cur.mount->root)
			break;
		if (!mount_cross_up(&w->cur))
			return OK;
	}
	move_to(&w->cur,
	    &(struct path){mount_get(w->cur.mount), dentry_parent(w->cur.dentry)});
	mount_cross_down(&w->cur);
	return (w->flags & WALK_NO_XDEV) && w->cur.mount != before ? ERR_XDEV : OK;
}

/* The place a descriptor stands for. */
static enum err
path_of_fd(int fd, bool is_whole_path, struct path *out)
{
	struct file *f = fd_get(fd);
	enum err err = OK;

	if (!f)
		return ERR_BADF;
	if (f->dentry) {
		*out = (struct path){f->mount, f->dentry};
		path_get(out);
	} else {
		err = is_whole_path ? anon_path(f, out) : ERR_NOTDIR;
	}
	file_put(f);
	return err;
}

enum err
walk_begin(struct walk *w, int dirfd, const char *text, unsigned flags)
{
	struct process *p = current_process();
	enum err err;
	bool from_fd = dirfd != AT_FDCWD && (*text != '/' || (flags & WALK_IN_ROOT));

	memset(w, 0, sizeof(*w));
	w->flags = flags;
	w->rest = text;
	w->cred = current_cred();
	if (flags & WALK_REAL_IDS) {
		w->cred = w->own_cred = cred_real_ids(w->cred);
		if (!w->own_cred)
			return ERR_NOMEM;
	} else if (p && p->num_threads > 1) {
		/* Another thread may change them while this walk sleeps. */
		w->cred = w->own_cred = process_cred(p);
	}
	if (*text == '/' && (flags & WALK_BENEATH))
		return ERR_XDEV;
	if (flags & WALK_KERNEL) {
		w->root = w->cur = fs_root;
		path_get(&w->root);
		path_get(&w->cur);
		return OK;
	}
	if (from_fd) {
		err = path_of_fd(dirfd, !*text, &w->cur);
		if (err)
			return err;
	} else if (*text == '/' && !(flags & WALK_IN_ROOT)) {
		fs_context_root(current_fs(), &w->cur);
	} else {
		fs_context_cwd(current_fs(), &w->cur);
	}
	if (flags & (WALK_BENEATH | WALK_IN_ROOT)) {
		w->root = w->cur;
		path_get(&w->root);
	} else {
		fs_context_root(current_fs(), &w->root);
	}
	return OK;
}

void
walk_end(struct walk *w)
{
	if (w->cur.dentry)
		path_put(&w->cur);
	if (w->root.dentry)
		path_put(&w->root);
	kfree(w->link_text);
	if (w->own_cred)
		cred_put(w->own_cred);
}

/* The text of a symlink followed by `rest`, as one allocated string. */
static enum err
splice_link(struct walk *w, struct inode *inode)
{
	size_t rest_len = strlen(w->rest);
	char *text = kmalloc(PATH_MAX + 1 + rest_len + 1);
	long n;

	if (!text)
		return ERR_NOMEM;
	n = inode->ops->readlink ? inode->ops->readlink(inode, text, PATH_MAX)
	                         : ERR_INVAL;
	if (n <= 0) {
		kfree(text);
		return n ? (enum err)n : ERR_NOENT;
	}
	text[n] = '/';
	if (rest_len == 0)
		text[n] = '\0'; /* no slash: the target need not be a directory */
	memcpy(text + n + 1, w->rest, rest_len + 1);
	kfree(w->link_text);
	w->link_text = text;
	w->rest = text;
	return OK;
}

enum err
walk_follow(struct walk *w, struct path *link)
{
	struct inode *inode = link->dentry->inode;
	struct path target;
	enum err err = ERR_LOOP;

	if (w->flags & WALK_NO_SYMLINKS)
		goto out;
	if (++w->num_links > MAX_LINKS || (link->mount->flags & MS_NOSYMFOLLOW))
		goto out;
	err = ERR_INVAL;
	if (inode->ops->follow) {
		if (w->flags & WALK_NO_MAGIC) {
			err = ERR_LOOP;
			goto out;
		}
		err = inode->ops->follow(inode, &target);
		if (!err && (w->flags & (WALK_BENEATH | WALK_IN_ROOT))) {
			path_put(&target);
			err = ERR_XDEV;
		} else if (!err) {
			move_to(&w->cur, &target);
		}
	}
	if (err == ERR_INVAL) {
		inode_touch(inode, INODE_ATIME);
		err = splice_link(w, inode);
		if (!err && *w->rest == '/') {
			if (w->flags & WALK_BENEATH) {
				err = ERR_XDEV;
			} else {
				path_get(&w->root);
				move_to(&w->cur, &w->root);
			}
		}
	}
out:
	path_put(link);
	return err;
}

enum err
walk_last(struct walk *w, struct path *out)
{
	struct dentry *d;
	enum err err = step(w->cur.dentry, &w->last, &d);

	if (err)
		return err;
	if (!__atomic_load_n(&d->inode, __ATOMIC_ACQUIRE)) {
		dentry_put(d);
		return ERR_NOENT;
	}
	*out = (struct path){mount_get(w->cur.mount), d};
	mount_cross_down(out);
	if ((w->flags & WALK_NO_XDEV) && out->mount != w->cur.mount) {
		path_put(out);
		return ERR_XDEV;
	}
	return OK;
}

/*
 * Takes the next component off w->rest into w->last. Only directories that may be
 * searched have names in them.
 */
static enum err
next_component(struct walk *w)
{
	const struct inode *dir = w->cur.dentry->inode;
	const char *start = w->rest, *p = start;
	uint32_t len;

	if (!s_isdir(dir->mode))
		return ERR_NOTDIR;
	while (*p && *p != '/')
		p++;
	len = p - start;
	w->has_slash = *p == '/';
	while (*p == '/')
		p++;
	w->rest = p;
	w->last_kind = LAST_NAME;
	if (start[0] == '.' && len == 1)
		w->last_kind = LAST_DOT;
	else if (start[0] == '.' && start[1] == '.' && len == 2)
		w->last_kind = LAST_DOTDOT;
	else if (len > NAME_MAX)
		return ERR_NAMETOOLONG;
	w->last = (struct name){start, len, name_hash(start, len)};
	return inode_permission(w->cred, dir, MAY_EXEC);
}

/* Goes into w->last, which is not the end of the path. */
static enum err
walk_into(struct walk *w)
{
	struct path next;
	enum err err;

	if (w->last_kind == LAST_DOT)
		return OK;
	if (w->last_kind == LAST_DOTDOT)
		return walk_up(w);
	err = walk_last(w, &next);
	if (err)
		return err;
	if (s_islnk(next.dentry->inode->mode))
		return walk_follow(w, &next);
	move_to(&w->cur, &next);
	return OK;
}

enum err
walk_to_parent(struct walk *w)
{
	for (;;) {
		enum err err;

		while (*w->rest == '/')
			w->rest++;
		w->last_kind = LAST_NONE;
		if (!*w->rest)
			return OK;
		err = next_component(w);
		if (err || !*w->rest)
			return err;
		err = walk_into(w);
		if (err)
			return err;
	}
}

enum err
walk_parent(
    struct walk *w, int dirfd, const char *text, unsigned flags, enum err not_a_name)
{
	enum err err = walk_begin(w, dirfd, text, flags);

	if (!err)
		err = walk_to_parent(w);
	if (!err && w->last_kind != LAST_NAME)
		err = not_a_name;
	return err;
}

enum err
walk_follow_last(struct walk *w, struct path *link)
{
	enum err err =
	    may_follow_link(w->cred, w->cur.dentry->inode, link->dentry->inode);

	if (err) {
		path_put(link);
		return err;
	}
	return walk_follow(w, link);
}

/* The rest of the walk, last component included: w->cur is the result. */
static enum err
walk_all(struct walk *w)
{
	for (;;) {
		bool must_be_dir = w->flags & WALK_DIRECTORY;
		struct path next;
		enum err err = walk_to_parent(w);

		if (err)
			return err;
		if (w->last_kind != LAST_NAME)
			return w->last_kind == LAST_DOTDOT ? walk_up(w) : OK;
		must_be_dir |= w->has_slash;
		err = walk_last(w, &next);
		if (err)
			return err;
		if (s_islnk(next.dentry->inode->mode) &&
		    (w->has_slash || (w->flags & WALK_FOLLOW))) {
			if (w->has_slash)
				w->flags |= WALK_DIRECTORY | WALK_FOLLOW;
			err = walk_follow_last(w, &next);
			if (err)
				return err;
			continue;
		}
		move_to(&w->cur, &next);
		return must_be_dir && !s_isdir(w->cur.dentry->inode->mode) ? ERR_NOTDIR
		                                                           : OK;
	}
}

enum err
path_lookup(int dirfd, const char *text, unsigned flags, struct path *out)
{
	struct walk w;
	enum err err;

	if (!*text && !(flags & WALK_EMPTY))
		return ERR_NOENT;
	err = walk_begin(&w, dirfd, text, flags);
	if (!err)
		err = walk_all(&w);
	if (!err && (flags & WALK_DIRECTORY) && !s_isdir(w.cur.dentry->inode->mode))
		err = ERR_NOTDIR;
	if (!err) {
		*out = w.cur; /* with its references */
		w.cur = (struct path){NULL, NULL};
	}
	walk_end(&w);
	return err;
}

/* Writes "/" and the name of `d` before *p; false when it does not fit behind `buf`. */
static bool
prepend(struct dentry *d, char **p, const char *buf)
{
	bool fits;

	spin_lock(&d->lock);
	fits = *p - buf >= d->len + 1;
	if (fits) {
		*p -= d->len + 1;
		(*p)[0] = '/';
		memcpy(*p + 1, d->text, d->len);
	}
	spin_unlock(&d->lock);
	return fits;
}

static bool
is_deleted(const struct dentry *d)
{
	return d->parent != d && !(d->flags & DENTRY_HASHED) &&
	       !(d->super->flags & SUPER_NO_CACHE);
}

/* One attempt of path_text; `cur` has references, which it moves. */
static char *
text_once(
    struct path *cur, const struct path *root, char *buf, char *p, bool *is_reachable)
{
	const char *start = p;

	*is_reachable = true;
	while (!is_same(cur, root)) {
		struct dentry *d = cur->dentry;

		if (d == cur->mount->root) {
			if (mount_cross_up(cur))
				continue;
			*is_reachable = false;
			break;
		}
		if (!prepend(d, &p, buf))
			return NULL;
		cur->dentry = dentry_parent(d);
		dentry_put(d);
	}
	if (p == start && p > buf)
		*--p = '/';
	return p;
}

char *
path_text(const struct path *path, const struct path *root, char *buf, size_t size,
    bool *is_reachable)
{
	static const char deleted[] = " (deleted)";

	for (;;) {
		uint32_t ended = __atomic_load_n(&dentry_moves_ended, __ATOMIC_SEQ_CST);
		uint32_t begun = __atomic_load_n(&dentry_moves_begun, __ATOMIC_SEQ_CST);
		struct path cur = *path;
		char *p = buf + size - 1, *result;

		if (size < sizeof(deleted) + 1)
			return NULL;
		*p = '\0';
		if (is_deleted(path->dentry)) {
			p -= sizeof(deleted) - 1;
			memcpy(p, deleted, sizeof(deleted));
		}
		path_get(&cur);
		result = text_once(&cur, root, buf, p, is_reachable);
		path_put(&cur);
		if (begun == ended &&
		    begun == __atomic_load_n(&dentry_moves_begun, __ATOMIC_SEQ_CST))
			return result;
	}
}

char *
dentry_text(struct dentry *d, char *buf, size_t size)
{
	char *p = buf + size - 1;

	*p = '\0';
	dentry_get(d);
	while (d->parent != d) {
		struct dentry *parent;

		if (!prepend(d, &p, buf)) {
			p = NULL;
			break;
		}
		parent = dentry_parent(d);
		dentry_put(d);
		d = parent;
	}
	dentry_put(d);
	if (p && !*p && p > buf)
		*--p = '/';
	return p;
}
