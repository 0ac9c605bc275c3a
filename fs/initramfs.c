/*
 * The initial file system: archives that the loader left in memory are unpacked into the
 * root tmpfs. Each range may hold several archives one after the other, plain or as gzip
 * members, with zeros between them; what it is, is seen from the content.
 *
 * Damage ends the unpacking of its range with a message that says where; the files before
 * it stay, and the boot goes on: whether there is an init to run shows later.
 *
 * Nothing is held twice: file contents go from the decompressor's window straight to page
 * cache pages, and a range is freed as soon as it is unpacked.
 */
#define LOG_PREFIX "initramfs: "

#include "fs/vfs.h"
#include "kernel/boot.h"
#include "kernel/log.h"
#include "lib/cpio.h"
#include "lib/inflate.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"

/* A file with several names: the first one made, to link the others to. */
struct seen {
	struct seen *next;
	uint32_t ino, dev_major, dev_minor;
	char name[];
};

struct unpack {
	struct cpio cpio;
	struct file *file; /* being written, or NULL */
	loff_t pos;
	struct cpio_entry entry;
	char *link; /* target of a symlink so far, or NULL */
	uint64_t num_files, num_bytes;
	bool is_stale; /* the last archive has ended: the next bytes start another */
	struct seen *seen;
};

/* Makes the directories a name lies in: archives may leave them out. */
static void
make_parents(const char *name)
{
	char *path = kstrdup(name);

	if (!path)
		return;
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)fs_mknod(
		    AT_FDCWD, path, S_IFDIR | 0755, 0, WALK_KERNEL); /* may exist */
		*p = '/';
	}
	kfree(path);
}

static void
set_attributes(const char *name, const struct cpio_entry *e)
{
	struct path path;
	const struct attr attr = {
	    .valid = ATTR_UID | ATTR_GID | ATTR_MODE | ATTR_ATIME | ATTR_MTIME,
	    .uid = e->uid,
	    .gid = e->gid,
	    .mode = e->mode & S_IALLUGO,
	    .atime_ns = (int64_t)e->mtime * (int64_t)NSEC_PER_SEC,
	    .mtime_ns = (int64_t)e->mtime * (int64_t)NSEC_PER_SEC,
	};

	if (path_lookup(AT_FDCWD, name, WALK_KERNEL, &path))
		return;
	mutex_lock(&path.dentry->inode->lock);
	(void)path.dentry->inode->ops->setattr(
	    path.dentry->inode, &attr); /* tmpfs: always works */
	mutex_unlock(&path.dentry->inode->lock);
	path_put(&path);
}

/* The first name of a file with several, or NULL; then this one is remembered as the
 * first. */
static const char *
first_name(struct unpack *u, const struct cpio_entry *e)
{
	struct seen *s;
	size_t n = strlen(e->name) + 1;

	if (e->nlink < 2)
		return NULL;
	for (s = u->seen; s; s = s->next)
		if (s->ino == e->ino && s->dev_major == e->dev_major &&
		    s->dev_minor == e->dev_minor)
			return s->name;
	s = kmalloc(sizeof(*s) + n);
	if (s) {
		*s = (struct seen){u->seen, e->ino, e->dev_major, e->dev_minor};
		memcpy(s->name, e->name, n);
		u->seen = s;
	}
	return NULL;
}

static void
forget_names(struct unpack *u)
{
	while (u->seen) {
		struct seen *s = u->seen;

		u->seen = s->next;
		kfree(s);
	}
}

/* Makes or truncates the regular file of an entry and leaves it open in u->file. */
static enum err
begin_file(struct unpack *u, const struct cpio_entry *e)
{
	const char *first = first_name(u, e);
	enum err err;

	u->pos = 0;
	if (first && strcmp(first, e->name) != 0) {
		(void)fs_unlink(
		    AT_FDCWD, e->name, false, WALK_KERNEL); /* may not exist */
		err = fs_link(AT_FDCWD, first, AT_FDCWD, e->name, WALK_KERNEL);
		if (err || e->size == 0)
			return err;
		/* The contents come with the last name: they replace nothing. */
	}
	err =
	    file_open(e->name, O_CREAT | O_WRONLY | O_NOFOLLOW | (e->size ? O_TRUNC : 0),
	        e->mode & S_IALLUGO, &u->file);
	if (err == ERR_NOENT) {
		make_parents(e->name);
		err = file_open(
		    e->name, O_CREAT | O_WRONLY | O_TRUNC, e->mode & S_IALLUGO, &u->file);
	}
	return err;
}

static enum err
make_node(const struct cpio_entry *e)
{
	uint64_t rdev = dev_make(e->rdev_major, e->rdev_minor);
	enum err err = fs_mknod(AT_FDCWD, e->name, e->mode, rdev, WALK_KERNEL);

	if (err == ERR_NOENT) {
		make_parents(e->name);
		err = fs_mknod(AT_FDCWD, e->name, e->mode, rdev, WALK_KERNEL);
	}
	return err == ERR_EXIST ? OK : err;
}

static enum err
on_entry(void *arg, const struct cpio_entry *e)
{
	struct unpack *u = arg;
	enum err err = OK;

	u->entry = *e;
	u->file = NULL;
	u->link = NULL;
	switch (e->mode & S_IFMT) {
	case S_IFREG: err = begin_file(u, e); break;
	case S_IFLNK:
		if (e->size == 0 || e->size >= PATH_MAX) {
			err = ERR_NAMETOOLONG;
			break;
		}
		u->pos = 0;
		u->link = kzalloc(e->size + 1);
		err = u->link ? OK : ERR_NOMEM;
		break;
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK: err = make_node(e); break;
	default: err = ERR_INVAL; break;
	}
	if (err == ERR_NOMEM || err == ERR_NOSPC)
		return err;
	if (err)
		log_warn("%s: cannot be made (error %d), skipped", e->name, -err);
	return OK;
}

static enum err
on_data(void *arg, const void *data, size_t n)
{
	struct unpack *u = arg;

	if (u->link) {
		memcpy(u->link + u->pos, data, n);
	} else if (u->file) {
		ssize_t done = file_write_at(u->file, data, n, u->pos);

		if (done < (ssize_t)n)
			return done < 0 ? (enum err)done : ERR_NOSPC;
	}
	u->pos += n;
	u->num_bytes += n;
	return OK;
}

static enum err
make_symlink(struct unpack *u)
{
	enum err err = fs_symlink(u->link, AT_FDCWD, u->entry.name, WALK_KERNEL);

	if (err == ERR_NOENT) {
		make_parents(u->entry.name);
		err = fs_symlink(u->link, AT_FDCWD, u->entry.name, WALK_KERNEL);
	} else if (err == ERR_EXIST) {
		(void)fs_unlink(AT_FDCWD, u->entry.name, false,
		    WALK_KERNEL); /* then the next fails too, and says it */
		err = fs_symlink(u->link, AT_FDCWD, u->entry.name, WALK_KERNEL);
	}
	return err;
}

/* Ends the member: closes its file, makes its link, sets what all have. */
static enum err
on_end(void *arg)
{
	struct unpack *u = arg;
	enum err err = OK;

	if (u->link)
		err = make_symlink(u);
	kfree(u->link);
	u->link = NULL;
	if (u->file)
		file_put(u->file);
	u->file = NULL;
	if (err)
		log_warn("%s: no symlink (error %d)", u->entry.name, -err);
	else
		set_attributes(u->entry.name, &u->entry);
	u->num_files++;
	return OK;
}

/* What a broken archive left open. */
static void
abandon_member(struct unpack *u)
{
	kfree(u->link);
	u->link = NULL;
	if (u->file)
		file_put(u->file);
	u->file = NULL;
}

static const struct cpio_ops cpio_ops = {on_entry, on_data, on_end};

/* Feeds text to the parser; after a trailer skips zeros and starts over. Sink of
 * gzip_member. */
static enum err
feed(void *arg, const void *data, size_t n)
{
	struct unpack *u = arg;
	const uint8_t *p = data, *end = p + n;

	while (p < end) {
		size_t used;
		enum err err;

		if (u->is_stale) {
			while (p < end && *p == 0)
				p++;
			if (p == end)
				break;
			cpio_init(&u->cpio, &cpio_ops, u);
			u->is_stale = false;
		}
		err = cpio_feed(&u->cpio, p, end - p, &used);
		if (err)
			return err;
		p += used;
		if (cpio_is_done(&u->cpio)) {
			u->is_stale = true;
			forget_names(u);
		}
	}
	return OK;
}

/* One archive or gzip member at p[n]: *used gets its length. */
static enum err
unpack_one(struct unpack *u, struct inflate **z, const uint8_t *p, size_t n, size_t *used)
{
	enum err err;

	if (gzip_is(p, n)) {
		if (!*z)
			*z = kmalloc(sizeof(**z));
		if (!*z)
			return ERR_NOMEM;
		(*z)->error = NULL;
		err = gzip_member(*z, p, n, used, feed, u);
		if (err && (*z)->error)
			log_err("damaged gzip data: %s", (*z)->error);
		return err;
	}
	cpio_init(&u->cpio, &cpio_ops, u);
	err = cpio_feed(&u->cpio, p, n, used);
	u->is_stale = cpio_is_done(&u->cpio);
	if (u->is_stale)
		forget_names(u);
	return err;
}

static bool
unpack_range(struct unpack *u, const uint8_t *p, size_t n)
{
	struct inflate *z = NULL;
	const uint8_t *start = p, *end = p + n;
	enum err err = OK;

	u->is_stale = true;
	while (!err) {
		size_t used = 0;

		while (p < end && *p == 0)
			p++;
		if (p == end)
			break;
		if (!gzip_is(p, end - p) && !cpio_is(p, end - p)) {
			log_err("byte %lu: neither gzip nor cpio", (size_t)(p - start));
			err = ERR_INVAL;
			break;
		}
		err = unpack_one(u, &z, p, end - p, &used);
		if (err && u->cpio.error)
			log_err("broken cpio archive: %s", u->cpio.error);
		p += used;
	}
	if (!err && !u->is_stale && cpio_is_inside(&u->cpio)) {
		log_err("the archive ends in the middle of a member");
		err = ERR_INVAL;
	}
	if (err == ERR_NOMEM || err == ERR_NOSPC)
		log_err("no memory for the files of the initrd");
	abandon_member(u);
	forget_names(u);
	kfree(z);
	return !err;
}

void
initramfs_unpack(const struct boot_info *boot)
{
	struct unpack *u = kzalloc(sizeof(*u));

	if (!u) {
		log_err("no memory to unpack");
		return;
	}
	for (unsigned i = 0; i < boot->num_initrds; i++) {
		const struct boot_range *r = &boot->initrd[i];

		if (!unpack_range(u, phys_to_virt(r->base), r->size))
			log_err("initrd %u (%lu bytes) is damaged; going on with what "
			        "was unpacked",
			    i, r->size);
		frames_free_range(r->base, ALIGN_UP(r->size, PAGE_SIZE));
	}
	if (boot->num_initrds)
		log_info("%lu files, %lu KiB", u->num_files, u->num_bytes / 1024);
	else
		log_notice("no initrd");
	kfree(u);
}
