/*
 * Character devices: the table of drivers by number, and devtmpfs, the one file system
 * instance in which each registered device has its node. It is a tmpfs: nodes may be
 * made, moved and removed in it as anywhere, and opening any node goes by its number.
 */
#include "fs/device.h"

#include "kernel/device.h"
#include "kernel/panic.h"
#include "lib/string.h"
#include "mm/slab.h"

struct chardev {
	struct list link;
	uint64_t dev;
	bool is_whole_major; /* all minors of dev's major */
	const struct file_ops *ops;
	void *private;
};

static struct spinlock table_lock = SPINLOCK_INIT("devices", RANK_OBJECT);
static struct list table = LIST_INIT(table); /* [table_lock] */
static struct super *dev_super;

static struct chardev *
find_locked(uint64_t dev)
{
	struct chardev *c;

	list_for_each(c, &table, link)
		if (c->dev == dev ||
		    (c->is_whole_major && dev_major(c->dev) == dev_major(dev)))
			return c;
	return NULL;
}

enum err
device_open(struct file *f, uint64_t rdev)
{
	struct chardev *c;

	spin_lock(&table_lock);
	c = find_locked(rdev);
	if (c) {
		f->ops = c->ops;
		f->private = c->private;
	}
	spin_unlock(&table_lock);
	if (!c)
		return ERR_NXIO;
	if (f->ops->seek)
		f->mode |= FILE_SEEKABLE;
	return f->ops->open ? f->ops->open(f) : OK;
}

/* Makes /dev/NAME, with the folders in it. */
static enum err
make_node(const char *name, uint32_t mode, uint64_t rdev)
{
	struct dentry *dir = dentry_get(dev_super->root_dentry), *d;
	enum err err = OK;

	for (;;) {
		const char *slash = strchr(name, '/');
		size_t len = slash ? (size_t)(slash - name) : strlen(name);
		struct name part = {name, len, name_hash(name, len)};

		err = dentry_make(dir, &part, slash ? S_IFDIR | 0755 : mode, rdev, &d);
		if (err && !(slash && err == ERR_EXIST))
			break;
		err = OK;
		dentry_put(dir);
		dir = d;
		if (!slash)
			break;
		name = slash + 1;
	}
	dentry_put(dir);
	return err;
}

/* Puts a copy of `wanted` into the table. */
static enum err
enter(const struct chardev *wanted)
{
	struct chardev *c = kmalloc(sizeof(*c));
	bool is_taken;

	if (!c)
		return ERR_NOMEM;
	*c = *wanted;
	spin_lock(&table_lock);
	is_taken = find_locked(c->dev) != NULL;
	if (!is_taken)
		list_push_back(&table, &c->link);
	spin_unlock(&table_lock);
	if (is_taken)
		kfree(c);
	return is_taken ? ERR_EXIST : OK;
}

enum err
dev_register_char(const char *name, uint32_t mode, unsigned major, unsigned minor,
    const struct file_ops *ops, void *private)
{
	const struct chardev c = {
	    .dev = dev_make(major, minor), .ops = ops, .private = private};
	enum err err = enter(&c);

	if (!err) {
		err = make_node(name, S_IFCHR | mode, c.dev);
		if (err)
			dev_unregister_char(major, minor);
	}
	return err;
}

enum err
dev_register_char_major(unsigned major, const struct file_ops *ops)
{
	return enter(&(const struct chardev){
	    .dev = dev_make(major, 0), .is_whole_major = true, .ops = ops});
}

void
dev_unregister_char(unsigned major, unsigned minor)
{
	struct chardev *c;

	spin_lock(&table_lock);
	c = find_locked(dev_make(major, minor));
	if (c)
		list_remove(&c->link);
	spin_unlock(&table_lock);
	kfree(c);
}

static enum err
devtmpfs_mount(const struct super_type *type, const char *source, const char *data,
    struct super **out)
{
	*out = super_get(dev_super);
	return OK;
}

static struct super_type devtmpfs_type = {.name = "devtmpfs", .mount = devtmpfs_mount};

void
device_init(void)
{
	const struct super_type *tmpfs = super_type_find("tmpfs");

	if (tmpfs->mount(&devtmpfs_type, "devtmpfs", "mode=755", &dev_super))
		panic("no memory for /dev");
	super_type_register(&devtmpfs_type);
}
