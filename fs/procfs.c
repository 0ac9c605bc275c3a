/*
 * procfs and sysfs: files whose text is made when they are read. Registered files
 * (kernel/procfs.h) form a tree for each of the two; beside them the root of procfs has a
 * directory for each process (fs/proc_pid.c).
 *
 * Nothing is cached: processes come and go, so dentries of this file system are never
 * found again, and each lookup makes an inode of its own. Text is made at the first read
 * of an open file and kept until the file is read from position 0 again; a pread makes
 * its own.
 */
#include "fs/procfs.h"

#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/uio.h"

enum { PROC_MAGIC = 0x9fa0, SYSFS_MAGIC = 0x62656572, ROOT_INO = 1, MAX_STORE = 4096 };

/* A registered file, or a folder of them when `show` is NULL. Never taken away. */
struct proc_file {
	const char *name; /* its last component, of `len` bytes */
	uint32_t len;
	uint32_t mode;
	uint64_t ino;
	void (*show)(struct seq *);
	enum err (*store)(const char *);
	enum err (*store_private)(void *, const char *);
	void *private;  /* for show and store_private */
	bool is_hidden; /* [a] not found, not listed */
	struct proc_file *parent;
	struct list children; /* [tree_lock] */
	struct list sibling;  /* [tree_lock] */
};

static struct spinlock tree_lock = SPINLOCK_INIT("procfs", RANK_OBJECT);
static struct proc_file root = {.name = "/",
    .len = 1,
    .mode = S_IFDIR | 0555,
    .ino = ROOT_INO,
    .parent = &root,
    .children = LIST_INIT(root.children)};
static struct proc_file sys_root = {.name = "/",
    .len = 1,
    .mode = S_IFDIR | 0555,
    .ino = ROOT_INO,
    .parent = &sys_root,
    .children = LIST_INIT(sys_root.children)};
static uint64_t last_ino = ROOT_INO; /* [tree_lock] */
static struct slab_cache *inode_cache;

static const struct inode_ops dir_ops;

/* ---- the tree of registered files */

static struct proc_file *
child_locked(struct proc_file *dir, const char *name, uint32_t len)
{
	struct proc_file *f;

	list_for_each(f, &dir->children, sibling)
		if (f->len == len && !memcmp(f->name, name, len))
			return f;
	return NULL;
}

/* Adds a file or folder unless the name is taken; then that is returned and `f` freed. */
static struct proc_file *
add(struct proc_file *dir, struct proc_file *f)
{
	struct proc_file *old;

	list_init(&f->children);
	f->parent = dir;
	spin_lock(&tree_lock);
	old = child_locked(dir, f->name, f->len);
	if (!old) {
		f->ino = ++last_ino;
		list_push_back(&dir->children, &f->sibling);
	}
	spin_unlock(&tree_lock);
	if (!old)
		return f;
	kfree(f);
	return old;
}

/* Enters DIR/NAME and the folders in it, as `what` says; `show` NULL: a folder with nothing in
 * it yet. */
static enum err
enter(struct proc_file *dir, const char *name, const struct proc_file *what)
{
	bool is_writable = what->store || what->store_private;

	for (;;) {
		const char *slash = strchr(name, '/');
		struct proc_file *f = kzalloc(sizeof(*f)), *there;

		if (!f)
			return ERR_NOMEM;
		if (!slash)
			*f = *what;
		f->name = name;
		f->len = slash ? (uint32_t)(slash - name) : strlen(name);
		f->mode = slash || !what->show ? S_IFDIR | 0555
		          : what->mode         ? S_IFREG | what->mode
		                               : S_IFREG | (is_writable ? 0644 : 0444);
		there = add(dir, f);
		if (!slash)
			return there == f ? OK : ERR_EXIST;
		dir = there;
		name = slash + 1;
	}
}

enum err
proc_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text))
{
	return enter(&root, name, &(struct proc_file){.show = show, .store = store});
}

enum err
proc_register_wo(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text))
{
	return enter(
	    &root, name, &(struct proc_file){.show = show, .store = store, .mode = 0200});
}

enum err
proc_register(const char *name, void (*show)(struct seq *))
{
	return enter(&root, name, &(struct proc_file){.show = show});
}

enum err
proc_register_private(const char *name, void (*show)(struct seq *),
    enum err (*store)(void *private, const char *text), void *private)
{
	return enter(&root, name,
	    &(struct proc_file){
	        .show = show, .store_private = store, .private = private});
}

enum err
sysfs_register_private(const char *name, void (*show)(struct seq *), void *private)
{
	return enter(
	    &sys_root, name, &(struct proc_file){.show = show, .private = private});
}

enum err
sysfs_register_rw(
    const char *name, void (*show)(struct seq *), enum err (*store)(const char *text))
{
	return enter(&sys_root, name, &(struct proc_file){.show = show, .store = store});
}

enum err
sysfs_register(const char *name, void (*show)(struct seq *))
{
	return enter(&sys_root, name, &(struct proc_file){.show = show});
}

static void
set_visible(struct proc_file *f, const char *name, bool is_visible)
{
	spin_lock(&tree_lock);
	while (f && *name) {
		const char *slash = strchr(name, '/');
		uint32_t len = slash ? (uint32_t)(slash - name) : strlen(name);

		f = child_locked(f, name, len);
		name += len + (slash != NULL);
	}
	if (f)
		__atomic_store_n(&f->is_hidden, !is_visible, __ATOMIC_RELAXED);
	spin_unlock(&tree_lock);
}

void
proc_set_visible(const char *name, bool is_visible)
{
	set_visible(&root, name, is_visible);
}

void
sysfs_set_visible(const char *name, bool is_visible)
{
	set_visible(&sys_root, name, is_visible);
}

/* ---- inodes */

struct proc_inode *
proc_inode_create(struct super *super, const struct inode_ops *ops, uint32_t mode,
    uint64_t ino, const struct proc_id *id)
{
	struct proc_inode *p = slab_zalloc(inode_cache);

	if (!p)
		return NULL;
	inode_init(&p->inode, super, ops, mode);
	p->inode.ino = ino;
	if (s_isdir(mode))
		p->inode.nlink = 2;
	if (id)
		p->id = *id;
	return p;
}

void
proc_inode_free(struct inode *inode)
{
	page_cache_destroy(&inode->cache);
	slab_free(inode_cache, proc_inode_of(inode));
}

static enum err
registered_inode(struct super *super, const struct proc_file *f, struct inode **out)
{
	struct proc_inode *p = proc_inode_create(
	    super, s_isdir(f->mode) ? &dir_ops : &proc_plain_ops, f->mode, f->ino, NULL);

	if (!p)
		return ERR_NOMEM;
	p->file = f;
	if (!s_isdir(f->mode))
		p->inode.file_ops = &proc_text_file_ops;
	*out = &p->inode;
	return OK;
}

bool
proc_parse_number(const struct name *name, uint32_t *value)
{
	uint64_t v = 0;

	if (name->len == 0 || name->len > 10 || (name->len > 1 && name->text[0] == '0'))
		return false;
	for (uint32_t i = 0; i < name->len; i++) {
		if (name->text[i] < '0' || name->text[i] > '9')
			return false;
		v = v * 10 + (name->text[i] - '0');
	}
	*value = v;
	return v <= INT32_MAX;
}

/* /proc/net is a link to the folder that each process has. */
static bool
is_net(const struct proc_file *f)
{
	return f->parent == &root && f->len == 3 && memcmp(f->name, "net", 3) == 0;
}

enum err
proc_net_inode(struct super *super, struct inode **out)
{
	const struct proc_file *f;

	spin_lock(&tree_lock);
	f = child_locked(&root, "net", 3);
	spin_unlock(&tree_lock);
	return f ? registered_inode(super, f, out) : ERR_NOENT;
}

static enum err
dir_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	const struct proc_file *d = proc_inode_of(dir)->file;
	struct proc_file *f;

	spin_lock(&tree_lock);
	f = child_locked((struct proc_file *)d, name->text, name->len);
	spin_unlock(&tree_lock);
	if (f && !__atomic_load_n(&f->is_hidden, __ATOMIC_RELAXED) && !is_net(f))
		return registered_inode(dir->super, f, out);
	return d == &root ? proc_pid_lookup(dir->super, name, out) : ERR_NOENT;
}

bool
proc_emit_dots(struct dir_sink *sink, uint64_t ino, uint64_t parent_ino)
{
	if (sink->pos == 0) {
		if (!sink->emit(sink, ".", 1, ino, S_IFDIR, 1))
			return false;
		sink->pos = 1;
	}
	if (sink->pos == 1) {
		if (!sink->emit(sink, "..", 2, parent_ino, S_IFDIR, 2))
			return false;
		sink->pos = 2;
	}
	return true;
}

/* The child number `n` of a folder. Children are only ever added, at the end. */
static const struct proc_file *
nth_child(const struct proc_file *dir, uint64_t n)
{
	struct proc_file *f, *found = NULL;

	spin_lock(&tree_lock);
	list_for_each(f, &dir->children, sibling)
		if (n-- == 0) {
			found = f;
			break;
		}
	spin_unlock(&tree_lock);
	return found;
}

static enum err
dir_readdir(struct inode *dir, struct dir_sink *sink)
{
	const struct proc_file *d = proc_inode_of(dir)->file, *f;

	if (!proc_emit_dots(sink, dir->ino, d->parent->ino))
		return OK;
	while (sink->pos < PROC_FIRST_PID && (f = nth_child(d, sink->pos - 2))) {
		if (!__atomic_load_n(&f->is_hidden, __ATOMIC_RELAXED) && !is_net(f) &&
		    !sink->emit(sink, f->name, f->len, f->ino, f->mode, sink->pos + 1))
			return OK;
		sink->pos++;
	}
	if (d == &root)
		proc_pid_readdir(dir->super, sink);
	return OK;
}

/* O_TRUNC and utimes on a file that can be written change nothing. */
enum err
proc_plain_setattr(struct inode *inode, const struct attr *attr)
{
	return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? ERR_PERM : OK;
}

static const struct inode_ops dir_ops = {
    .lookup = dir_lookup,
    .readdir = dir_readdir,
    .free = proc_inode_free,
};

const struct inode_ops proc_plain_ops = {
    .setattr = proc_plain_setattr,
    .free = proc_inode_free,
};

/* ---- reading and writing */

static bool
is_alive(const struct proc_id *id)
{
	struct process *p = proc_process(id);

	if (p)
		process_put(p);
	return p;
}

static enum err
make_piece(struct file *f, struct seq *s)
{
	const struct proc_inode *p = proc_inode_of(f->inode);

	s->base += s->len;
	s->len = 0;
	if (p->file)
		p->file->show(s);
	else
		p->show(s, &p->id);
	if (s->is_full) {
		seq_free(s);
		return ERR_NOMEM;
	}
	if (s->error)
		return s->error;
	/* A process that is gone is an error, not an empty text: readers trust the
	 * format. */
	return s->len == 0 && !p->file && !is_alive(&p->id) ? ERR_SRCH : OK;
}

static enum err
make_text(struct file *f, struct seq *s)
{
	const struct proc_inode *p = proc_inode_of(f->inode);

	seq_init(s);
	s->private = p->file ? p->file->private : NULL;
	return make_piece(f, s);
}

/* Goes on to the piece that has what is at `pos`, or to the last. */
static enum err
find_piece(struct file *f, struct seq *s, loff_t pos)
{
	enum err err = OK;

	while (err == OK && s->next && pos >= (loff_t)(s->base + s->len))
		err = make_piece(f, s);
	return err;
}

static ssize_t
copy_out(const struct seq *s, struct uio *uio, loff_t *pos)
{
	size_t n, done, at = (size_t)*pos - s->base;

	if (*pos < (loff_t)s->base || at >= s->len)
		return 0;
	n = MIN(s->len - at, uio->resid);
	done = uio_copy_to(uio, s->buf + at, n);
	*pos += done;
	return done < n && done == 0 ? ERR_FAULT : (ssize_t)done;
}

/* With the file's own position (pos_lock held then) the text is kept between reads. */
static ssize_t
text_read(struct file *f, struct uio *uio, loff_t *pos)
{
	struct seq *kept = f->private, once;
	ssize_t n;

	if (pos != &f->pos) {
		n = make_text(f, &once);
		if (!n)
			n = find_piece(f, &once, *pos);
		if (!n)
			n = copy_out(&once, uio, pos);
		seq_free(&once);
		return n;
	}
	if (!kept) {
		kept = kzalloc(sizeof(*kept));
		if (!kept)
			return ERR_NOMEM;
		f->private = kept;
	}
	if (*pos == 0 || !kept->buf || *pos < (loff_t)kept->base) {
		seq_free(kept);
		n = make_text(f, kept);
		if (n)
			return n;
	}
	n = find_piece(f, kept, *pos);
	if (n)
		return n;
	return copy_out(kept, uio, pos);
}

static bool
is_writable(const struct proc_inode *p)
{
	return p->file ? p->file->store || p->file->store_private : p->store != NULL;
}

static enum err
store_text(const struct proc_inode *p, const char *text)
{
	if (!p->file)
		return p->store(&p->id, text);
	return p->file->store ? p->file->store(text)
	                      : p->file->store_private(p->file->private, text);
}

static ssize_t
text_write(struct file *f, struct uio *uio, loff_t *pos)
{
	const struct proc_inode *p = proc_inode_of(f->inode);
	size_t n = uio->resid;
	char *text;
	enum err err;

	if (!is_writable(p))
		return ERR_IO;
	if (n > MAX_STORE - 1)
		return ERR_INVAL;
	text = kmalloc(n + 1);
	if (!text)
		return ERR_NOMEM;
	err = uio_copy_from(uio, text, n) < n ? ERR_FAULT : OK;
	if (!err) {
		text[n] = '\0';
		if (n > 0 && text[n - 1] == '\n')
			text[n - 1] = '\0';
		err = store_text(p, text);
	}
	kfree(text);
	if (err)
		return err;
	*pos += n;
	return n;
}

static loff_t
text_seek(struct file *f, loff_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return ERR_INVAL;
	if (whence == SEEK_CUR && __builtin_add_overflow(offset, f->pos, &offset))
		return ERR_INVAL;
	if (offset < 0)
		return ERR_INVAL;
	f->pos = offset;
	return offset;
}

static void
text_release(struct file *f)
{
	if (f->private)
		seq_free(f->private);
	kfree(f->private);
}

const struct file_ops proc_text_file_ops = {
    .read = text_read,
    .write = text_write,
    .seek = text_seek,
    .release = text_release,
};

/* ---- the one instance of each */

static void
free_super(struct super *super)
{
}

static const struct super_ops super_ops = {.free = free_super};
static struct super *proc_super, *sys_super;

static enum err
proc_mount(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	struct super *super;
	struct inode *inode;
	enum err err;

	if (!*data) {
		*out = super_get(proc_super);
		return OK;
	}
	super = super_create(type, &proc_super_ops, PROC_MAGIC);
	if (!super)
		return ERR_NOMEM;
	err = proc_options_add(super, data);
	if (!err)
		err = registered_inode(super, &root, &inode);
	if (!err)
		err = super_set_root(super, inode);
	if (err)
		super_put(super);
	else
		*out = super;
	return err;
}

static enum err
sysfs_mount(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	*out = super_get(sys_super);
	return OK;
}

static struct super_type proc_type = {
    .name = "proc", .flags = SUPER_NO_CACHE, .mount = proc_mount};
static struct super_type sysfs_type = {
    .name = "sysfs", .flags = SUPER_NO_CACHE, .mount = sysfs_mount};

static struct super *
make_super(struct super_type *type, const struct super_ops *ops, int64_t magic,
    const struct proc_file *top)
{
	struct super *super = super_create(type, ops, magic);
	struct inode *inode;

	if (!super || registered_inode(super, top, &inode) ||
	    super_set_root(super, inode))
		panic("no memory for %s", type->name);
	super_type_register(type);
	return super;
}

void
procfs_init(void)
{
	inode_cache = slab_cache_create("proc_inode", sizeof(struct proc_inode), 16);
	proc_super = make_super(&proc_type, &proc_super_ops, PROC_MAGIC, &root);
	(void)proc_options_add(proc_super, NULL);
	sys_super = make_super(&sysfs_type, &super_ops, SYSFS_MAGIC, &sys_root);
	proc_ns_init();
	proc_global_init();
	sysfs_init();
}
