/*
 * devpts: the file system in which the slaves of pseudo terminals have names. Each mount is an instance of
 * its own, with a ptmx node and numbers of its own (Linux's filesystems/devpts.txt). A ptmx node elsewhere,
 * /dev/ptmx, stands for the instance mounted on "pts" beside it.
 *
 * A node exists from the opening of its master to the closing. Names are never cached. The table of an
 * instance, by number, is under a mutex: it grows by doubling, and the lowest free number is given out.
 */
#include "drivers/char/pty.h"
#include "kernel/device.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"

enum {
	DEVPTS_MAGIC = 0x1cd1,
	MAX_NUMBERS = 1 << 20, /* as many minors are the slaves' */
	BLOCK_SIZE = 1024,
	ROOT_INO = 1,
	PTMX_INO = 2,
	FIRST_INO = 3, /* of number 0 */
	START_SLOTS = 16,
};

struct options {
	bool has_uid, has_gid;
	uint32_t uid, gid, mode, ptmx_mode, max;
};

struct devpts {
	struct options options; /* [I] */
	struct inode *ptmx;     /* [I] a reference */
	struct mutex lock;
	struct pty **slots; /* [lock] by number */
	unsigned num_slots; /* [lock] */
	unsigned lowest;    /* [lock] no number below is free */
};

/* /proc/sys/kernel/pty: `reserve` is kept for instances of other mount name spaces on Linux, and only
 * shown here. */
static uint32_t pty_max = 4096;
enum { PTY_RESERVE = 1024 };
static uint32_t num_ptys; /* [a] */

static struct super_type devpts_type;
static const struct inode_ops root_ops, node_ops;

/* ---- Inodes ------------------------------------------------------------------------------ */

static void
free_inode(struct inode *inode)
{
	kfree(inode);
}

static void
get_attributes(struct inode *inode, struct stat *st)
{
	st->st_blksize = BLOCK_SIZE;
}

static enum err
set_attributes(struct inode *inode, const struct attr *attr)
{
	simple_setattr(inode, attr);
	return OK;
}

static struct inode *
make_inode(struct super *super, const struct inode_ops *ops, uint32_t mode, uint64_t ino)
{
	struct inode *inode = kmalloc(sizeof(*inode));

	if (!inode)
		return NULL;
	inode_init(inode, super, ops, mode);
	inode->ino = ino;
	return inode;
}

static struct inode *
make_slave_node(struct super *super, unsigned index)
{
	const struct devpts *fs = super->private;
	const struct options *o = &fs->options;
	struct inode *inode =
	    make_inode(super, &node_ops, S_IFCHR | o->mode, FIRST_INO + index);

	if (!inode)
		return NULL;
	inode->rdev = dev_make(DEV_MAJOR_PTS, index);
	inode->uid = o->has_uid ? o->uid : current_cred()->fsuid;
	inode->gid = o->has_gid ? o->gid : current_cred()->fsgid;
	return inode;
}

/* ---- The directory ----------------------------------------------------------------------- */

/* A decimal number without zeros in front, below the limit. */
static bool
parse_index(const struct name *name, unsigned *index)
{
	unsigned n = 0;

	if (name->len == 0 || (name->len > 1 && name->text[0] == '0'))
		return false;
	for (uint32_t i = 0; i < name->len; i++) {
		if (name->text[i] < '0' || name->text[i] > '9' || n >= MAX_NUMBERS)
			return false;
		n = n * 10 + (unsigned)(name->text[i] - '0');
	}
	*index = n;
	return true;
}

static enum err
look_up(struct inode *dir, const struct name *name, struct inode **out)
{
	struct devpts *fs = dir->super->private;
	unsigned i;

	*out = NULL;
	if (name->len == 4 && !memcmp(name->text, "ptmx", 4)) {
		*out = inode_get(fs->ptmx);
		return OK;
	}
	if (!parse_index(name, &i))
		return ERR_NOENT;
	mutex_lock(&fs->lock);
	if (i < fs->num_slots && fs->slots[i] && fs->slots[i]->inode)
		*out = inode_get(fs->slots[i]->inode);
	mutex_unlock(&fs->lock);
	return *out ? OK : ERR_NOENT;
}

/* The first number from *index that has a node. */
static bool
next_index(struct devpts *fs, unsigned *index)
{
	mutex_lock(&fs->lock);
	while (*index < fs->num_slots && !(fs->slots[*index] && fs->slots[*index]->inode))
		++*index;
	mutex_unlock(&fs->lock);
	return *index < fs->num_slots;
}

/* A position is that of the fixed entries, or 3 and the number. */
static enum err
read_dir(struct inode *dir, struct dir_sink *sink)
{
	static const struct {
		const char *name;
		uint64_t ino;
		uint32_t mode;
	} fixed[] = {{".", ROOT_INO, S_IFDIR}, {"..", ROOT_INO, S_IFDIR},
	    {"ptmx", PTMX_INO, S_IFCHR}};
	struct devpts *fs = dir->super->private;
	unsigned i;

	for (; sink->pos < (loff_t)ARRAY_SIZE(fixed); sink->pos++)
		if (!sink->emit(sink, fixed[sink->pos].name,
		        strlen(fixed[sink->pos].name), fixed[sink->pos].ino,
		        fixed[sink->pos].mode, sink->pos + 1))
			return OK;
	for (i = (unsigned)(sink->pos - ARRAY_SIZE(fixed)); next_index(fs, &i); i++) {
		char text[16];
		size_t n = (size_t)snprintf(text, sizeof(text), "%u", i);

		if (!sink->emit(sink, text, n, FIRST_INO + i, S_IFCHR,
		        (loff_t)(ARRAY_SIZE(fixed) + i + 1)))
			return OK;
		sink->pos = (loff_t)(ARRAY_SIZE(fixed) + i + 1);
	}
	return OK;
}

static const struct inode_ops root_ops = {
    .lookup = look_up,
    .readdir = read_dir,
    .setattr = set_attributes,
    .getattr = get_attributes,
    .free = free_inode,
};
static const struct inode_ops node_ops = {
    .setattr = set_attributes,
    .getattr = get_attributes,
    .free = free_inode,
};

/* ---- Pairs in an instance ---------------------------------------------------------------- */

/* The lowest free number, its slot made; or ERR_NOSPC. */
static enum err
find_number_locked(struct devpts *fs, unsigned *index)
{
	unsigned i = fs->lowest, wanted;
	struct pty **grown;

	while (i < fs->num_slots && fs->slots[i])
		i++;
	if (i >= fs->options.max)
		return ERR_NOSPC;
	if (i == fs->num_slots) {
		wanted = MAX(fs->num_slots * 2, START_SLOTS);
		grown = krealloc(fs->slots, wanted * sizeof(struct pty *));
		if (!grown)
			return ERR_NOMEM;
		memset(grown + i, 0, (wanted - i) * sizeof(struct pty *));
		fs->slots = grown;
		fs->num_slots = wanted;
	}
	*index = i;
	return OK;
}

static enum err
enter_locked(struct devpts *fs, struct super *super, struct pty *p)
{
	unsigned i;
	enum err err = find_number_locked(fs, &i);

	if (err)
		return err;
	p->inode = make_slave_node(super, i);
	if (!p->inode)
		return ERR_NOMEM;
	p->index = i;
	p->super = super_get(super);
	fs->slots[i] = p;
	fs->lowest = i + 1;
	return OK;
}

enum err
devpts_add(struct super *super, struct pty *p)
{
	struct devpts *fs = super->private;
	enum err err;

	if (__atomic_add_fetch(&num_ptys, 1, __ATOMIC_RELAXED) >= pty_max) {
		__atomic_sub_fetch(&num_ptys, 1, __ATOMIC_RELAXED);
		return ERR_NOSPC;
	}
	mutex_lock(&fs->lock);
	err = enter_locked(fs, super, p);
	mutex_unlock(&fs->lock);
	if (err)
		__atomic_sub_fetch(&num_ptys, 1, __ATOMIC_RELAXED);
	return err;
}

void
devpts_hide(struct pty *p)
{
	struct devpts *fs = p->super->private;
	struct inode *inode;

	mutex_lock(&fs->lock);
	inode = p->inode;
	p->inode = NULL;
	mutex_unlock(&fs->lock);
	inode_put(inode);
}

void
devpts_remove(struct pty *p)
{
	struct devpts *fs = p->super->private;

	mutex_lock(&fs->lock);
	fs->slots[p->index] = NULL;
	fs->lowest = MIN(fs->lowest, p->index);
	mutex_unlock(&fs->lock);
	__atomic_sub_fetch(&num_ptys, 1, __ATOMIC_RELAXED);
	super_put(p->super);
}

struct pty *
devpts_pty_of(const struct inode *inode)
{
	struct devpts *fs = inode->super->private;
	struct pty *p = NULL;

	if (inode->super->type != &devpts_type)
		return NULL;
	mutex_lock(&fs->lock);
	if (inode->ino >= FIRST_INO && inode->ino - FIRST_INO < fs->num_slots)
		p = fs->slots[inode->ino - FIRST_INO];
	if (p && (p->inode != inode || !tty_try_get(&p->slave)))
		p = NULL;
	mutex_unlock(&fs->lock);
	return p;
}

/* The mount on "pts" in the directory of `at`. */
static enum err
find_beside(const struct file *ptmx, struct path *out)
{
	const struct name name = {.text = "pts", .len = 3, .hash = name_hash("pts", 3)};
	struct dentry *dir = dentry_parent(ptmx->dentry), *d;
	enum err err;

	mutex_lock(&dir->inode->lock);
	err = dir_lookup_locked(dir, &name, &d);
	mutex_unlock(&dir->inode->lock);
	dentry_put(dir);
	if (err)
		return err;
	if (!d->inode) {
		dentry_put(d);
		return ERR_NOENT;
	}
	*out = (struct path){mount_get(ptmx->mount), d};
	mount_cross_down(out);
	return OK;
}

enum err
devpts_find(const struct file *ptmx, struct path *root)
{
	enum err err;

	if (ptmx->inode->super->type == &devpts_type) {
		*root = (struct path){
		    mount_get(ptmx->mount), dentry_get(ptmx->inode->super->root_dentry)};
		return OK;
	}
	err = find_beside(ptmx, root);
	if (err)
		return err;
	if (root->dentry->super->type == &devpts_type &&
	    root->dentry == root->dentry->super->root_dentry)
		return OK;
	path_put(root);
	return ERR_NODEV;
}

/* ---- Mounting ---------------------------------------------------------------------------- */

/* One option, "name" or "name=value", that ends at a comma or the end of the text. */
static bool
parse_option(struct options *o, const char *text)
{
	static const struct {
		const char *name;
		unsigned base;
	} known[] = {{"uid=", 10}, {"gid=", 10}, {"mode=", 8}, {"ptmxmode=", 8},
	    {"max=", 10}, {"newinstance", 0}};
	const char *end = text;
	uint64_t v = 0;
	unsigned i = 0;

	while (i < ARRAY_SIZE(known) &&
	       strncmp(text, known[i].name, strlen(known[i].name)) != 0)
		i++;
	if (i == ARRAY_SIZE(known))
		return false;
	end = text + strlen(known[i].name);
	if (known[i].base && !parse_u64(end, &end, known[i].base, &v))
		return false;
	if ((*end && *end != ',') || v > UINT32_MAX)
		return false;
	switch (i) {
	case 0:
		o->uid = (uint32_t)v;
		o->has_uid = true;
		break;
	case 1:
		o->gid = (uint32_t)v;
		o->has_gid = true;
		break;
	case 2: o->mode = v & S_IALLUGO; break;
	case 3: o->ptmx_mode = v & S_IALLUGO; break;
	case 4: o->max = (uint32_t)v; return v <= MAX_NUMBERS;
	default: break; /* every mount is one */
	}
	return true;
}

static bool
parse_options(struct options *o, const char *text)
{
	while (text && *text) {
		if (*text != ',' && !parse_option(o, text))
			return false;
		text = strchr(text, ',');
		text = text ? text + 1 : NULL;
	}
	return true;
}

static void
tell_statfs(struct super *super, struct statfs *st)
{
	st->bsize = st->frsize = PAGE_SIZE;
}

static void
show_options(struct super *super, struct seq *s)
{
	const struct devpts *fs = super->private;
	const struct options *o = &fs->options;

	if (o->has_uid)
		seq_printf(s, ",uid=%u", o->uid);
	if (o->has_gid)
		seq_printf(s, ",gid=%u", o->gid);
	seq_printf(s, ",mode=%03o,ptmxmode=%03o", o->mode, o->ptmx_mode);
	if (o->max < MAX_NUMBERS)
		seq_printf(s, ",max=%u", o->max);
}

static void
free_super(struct super *super)
{
	struct devpts *fs = super->private;

	if (!fs)
		return;
	inode_put(fs->ptmx);
	kfree(fs->slots);
	kfree(fs);
}

static const struct super_ops devpts_super_ops = {
    .statfs = tell_statfs,
    .show_options = show_options,
    .free = free_super,
};

/* Fills a super that was just made; what is missing on an error is missing in free_super too. */
static enum err
fill_super(struct super *super, const struct options *o)
{
	struct devpts *fs = kzalloc(sizeof(*fs));
	struct inode *root;

	if (!fs)
		return ERR_NOMEM;
	super->private = fs;
	fs->options = *o;
	mutex_init(&fs->lock, "devpts", RANK_DEVPTS);
	fs->ptmx = make_inode(super, &node_ops, S_IFCHR | o->ptmx_mode, PTMX_INO);
	if (!fs->ptmx)
		return ERR_NOMEM;
	fs->ptmx->rdev = dev_make(DEV_MAJOR_TTYAUX, 2);
	root = make_inode(super, &root_ops, S_IFDIR | 0755, ROOT_INO);
	if (!root)
		return ERR_NOMEM;
	root->nlink = 2;
	return super_set_root(super, root);
}

static enum err
mount_devpts(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	struct options o = {.mode = 0600, .max = MAX_NUMBERS};
	struct super *super;
	enum err err;

	if (!parse_options(&o, data))
		return ERR_INVAL;
	super = super_create(type, &devpts_super_ops, DEVPTS_MAGIC);
	if (!super)
		return ERR_NOMEM;
	err = fill_super(super, &o);
	if (err)
		super_put(super);
	else
		*out = super;
	return err;
}

static struct super_type devpts_type = {
    .name = "devpts", .flags = SUPER_NO_CACHE, .mount = mount_devpts};

/* ---- /proc/sys/kernel/pty ------------------------------------------------------------------ */

static void
show_max(struct seq *s)
{
	seq_printf(s, "%u\n", pty_max);
}

static enum err
store_max(const char *text)
{
	const char *end;
	uint64_t v;

	if (!parse_u64(text, &end, 10, &v) || *end || v > MAX_NUMBERS)
		return ERR_INVAL;
	pty_max = (uint32_t)v;
	return OK;
}

static void
show_reserve(struct seq *s)
{
	seq_printf(s, "%u\n", (unsigned)PTY_RESERVE);
}

static void
show_nr(struct seq *s)
{
	seq_printf(s, "%u\n", __atomic_load_n(&num_ptys, __ATOMIC_RELAXED));
}

void
devpts_init(void)
{
	super_type_register(&devpts_type);
	/* Only memory can fail: no such file then. */
	(void)proc_register_rw("sys/kernel/pty/max", show_max, store_max);
	(void)proc_register("sys/kernel/pty/reserve", show_reserve);
	(void)proc_register("sys/kernel/pty/nr", show_nr);
}
