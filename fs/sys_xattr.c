/* System calls on extended attributes: what the user gave is fetched here, the rest is fs/xattr.c. */
#include "fs/xattr.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

/* A call's arguments once they are in the kernel. */
struct request {
	char name[XATTR_NAME_MAX + 1];
	void *value; /* of setxattr: a copy; of getxattr and listxattr: room */
	size_t size;
	int flags;
};

typedef long (*action_fn)(const struct path *, struct request *);

static enum err
fetch_name(struct request *r, const char USER *user)
{
	long n = strncpy_from_user(r->name, user, sizeof(r->name));

	if (n == 0 || n == ERR_NAMETOOLONG)
		return ERR_RANGE;
	return n < 0 ? n : OK;
}

static long
by_path(const char USER *user, unsigned walk_flags, action_fn action, struct request *r)
{
	struct path path;
	char *text;
	long n = name_from_user(user, false, &text);

	if (n)
		return n;
	n = path_lookup(AT_FDCWD, text, walk_flags, &path);
	name_put(text);
	if (n)
		return n;
	n = action(&path, r);
	path_put(&path);
	return n;
}

/* What has no path, a pipe or the like, has no attributes either. */
static long
by_fd(int fd, long pathless, action_fn action, struct request *r)
{
	struct file *f = fd_get(fd);
	long n = pathless;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		n = ERR_BADF;
	else if (f->dentry)
		n = action(&(struct path){f->mount, f->dentry}, r);
	file_put(f);
	return n;
}

/* ---- set */

static long
do_set(const struct path *path, struct request *r)
{
	if (mount_is_readonly(path->mount))
		return ERR_ROFS;
	return xattr_set(path->dentry->inode, r->name, r->value, r->size, r->flags);
}

static long
set(const char USER *path, int fd, unsigned walk_flags, struct request *r,
    const void USER *value)
{
	long err = ERR_NOMEM;

	if (r->size > XATTR_SIZE_MAX)
		return ERR_2BIG;
	r->value = kmalloc(MAX(r->size, (size_t)1));
	if (r->value)
		err = copy_from_user(r->value, value, r->size);
	if (!err && fd >= 0)
		err = by_fd(fd, ERR_OPNOTSUPP, do_set, r);
	else if (!err)
		err = by_path(path, walk_flags, do_set, r);
	kfree(r->value);
	return err;
}

static long
set_by_path(const char USER *path, unsigned walk_flags, const char USER *name,
    const void USER *value, size_t size, int flags)
{
	struct request r = {.size = size, .flags = flags};
	long err = flags & ~3 ? ERR_INVAL : fetch_name(&r, name);

	return err ? err : set(path, -1, walk_flags, &r, value);
}

long
sys_setxattr(const char USER *path, const char USER *name, const void USER *value,
    size_t size, int flags)
{
	return set_by_path(path, WALK_FOLLOW, name, value, size, flags);
}

long
sys_lsetxattr(const char USER *path, const char USER *name, const void USER *value,
    size_t size, int flags)
{
	return set_by_path(path, 0, name, value, size, flags);
}

long
sys_fsetxattr(
    int fd, const char USER *name, const void USER *value, size_t size, int flags)
{
	struct request r = {.size = size, .flags = flags};
	long err = flags & ~3 ? ERR_INVAL : fetch_name(&r, name);

	if (fd < 0)
		return ERR_BADF;
	return err ? err : set(NULL, fd, 0, &r, value);
}

/* ---- get and list */

static long
do_get(const struct path *path, struct request *r)
{
	return xattr_get(path->dentry->inode, r->name, r->value, r->size);
}

static long
do_list(const struct path *path, struct request *r)
{
	return xattr_list(path->dentry->inode, r->value, r->size);
}

/* Both give bytes: into room of the kernel's first. fd -1: by path. */
static long
give(const char USER *path, int fd, unsigned walk_flags, action_fn action,
    struct request *r, void USER *user)
{
	long n, pathless = action == do_list ? 0 : ERR_OPNOTSUPP;

	r->size = MIN(r->size, (size_t)XATTR_SIZE_MAX);
	r->value = kmalloc(MAX(r->size, (size_t)1));
	if (!r->value)
		return ERR_NOMEM;
	n = fd >= 0 ? by_fd(fd, pathless, action, r)
	            : by_path(path, walk_flags, action, r);
	if (n > 0 && r->size && copy_to_user(user, r->value, (size_t)n) != OK)
		n = ERR_FAULT;
	kfree(r->value);
	return n;
}

static long
get_by_path(const char USER *path, unsigned walk_flags, const char USER *name,
    void USER *value, size_t size)
{
	struct request r = {.size = size};
	long err = fetch_name(&r, name);

	return err ? err : give(path, -1, walk_flags, do_get, &r, value);
}

long
sys_getxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return get_by_path(path, WALK_FOLLOW, name, value, size);
}

long
sys_lgetxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return get_by_path(path, 0, name, value, size);
}

long
sys_fgetxattr(int fd, const char USER *name, void USER *value, size_t size)
{
	struct request r = {.size = size};
	long err = fetch_name(&r, name);

	if (fd < 0)
		return ERR_BADF;
	return err ? err : give(NULL, fd, 0, do_get, &r, value);
}

long
sys_listxattr(const char USER *path, char USER *list, size_t size)
{
	struct request r = {.size = size};

	return give(path, -1, WALK_FOLLOW, do_list, &r, list);
}

long
sys_llistxattr(const char USER *path, char USER *list, size_t size)
{
	struct request r = {.size = size};

	return give(path, -1, 0, do_list, &r, list);
}

long
sys_flistxattr(int fd, char USER *list, size_t size)
{
	struct request r = {.size = size};

	return fd < 0 ? ERR_BADF : give(NULL, fd, 0, do_list, &r, list);
}

/* ---- remove */

static long
do_remove(const struct path *path, struct request *r)
{
	if (mount_is_readonly(path->mount))
		return ERR_ROFS;
	return xattr_remove(path->dentry->inode, r->name);
}

static long
remove_by_path(const char USER *path, unsigned walk_flags, const char USER *name)
{
	struct request r;
	long err = fetch_name(&r, name);

	return err ? err : by_path(path, walk_flags, do_remove, &r);
}

long
sys_removexattr(const char USER *path, const char USER *name)
{
	return remove_by_path(path, WALK_FOLLOW, name);
}

long
sys_lremovexattr(const char USER *path, const char USER *name)
{
	return remove_by_path(path, 0, name);
}

long
sys_fremovexattr(int fd, const char USER *name)
{
	struct request r;
	long err = fetch_name(&r, name);

	return err ? err : by_fd(fd, ERR_OPNOTSUPP, do_remove, &r);
}
