/* System calls about mounts, the process's place in the tree, and writing back. */
#include "fs/vfs.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

static long
lookup(const char USER *user, unsigned walk_flags, struct path *out)
{
	char *text;
	long err = name_from_user(user, false, &text);

	if (err)
		return err;
	err = path_lookup(AT_FDCWD, text, walk_flags, out);
	name_put(text);
	return err;
}

/* A string of mount(2) that may be NULL: then "". Freed with kfree. */
static long
optional_text(const void USER *user, size_t size, char **out)
{
	long n = 0;

	*out = kzalloc(size);
	if (!*out)
		return ERR_NOMEM;
	if (user)
		n = strncpy_from_user(*out, user, size);
	if (n >= 0)
		return OK;
	kfree(*out);
	*out = NULL;
	return n == ERR_NAMETOOLONG ? ERR_INVAL : n;
}

struct mount_args {
	char *type, *source, *data;
	bool has_type;
};

static long
mount_at(const struct path *at, const struct mount_args *a, uint64_t flags)
{
	enum { PROPAGATION = MS_PRIVATE | MS_SLAVE | MS_SHARED | MS_UNBINDABLE };
	struct path from;
	long err;

	if (flags & MS_REMOUNT)
		return fs_remount(at, flags, a->data);
	if (flags & (MS_BIND | MS_MOVE)) {
		if (!*a->source)
			return ERR_INVAL;
		err = path_lookup(AT_FDCWD, a->source, WALK_FOLLOW, &from);
		if (err)
			return err;
		err = flags & MS_BIND ? fs_bind(&from, at, flags & MS_REC)
		                      : fs_move_mount(&from, at);
		path_put(&from);
		return err;
	}
	/* There is one name space: every mount is private as it is. */
	if (flags & PROPAGATION)
		return at->dentry == at->mount->root ? OK : ERR_INVAL;
	if (!a->has_type)
		return ERR_INVAL;
	return fs_mount(a->type, *a->source ? a->source : "none", at, flags, a->data);
}

long
sys_mount(const char USER *source, const char USER *target, const char USER *type,
    uint64_t flags, const void USER *data)
{
	enum { MAGIC_MASK = 0xffff0000u, MAGIC = 0xc0ed0000u };
	struct mount_args a = {.has_type = type != NULL};
	struct path at;
	long err;

	if ((flags & MAGIC_MASK) == MAGIC)
		flags &= ~(uint64_t)MAGIC_MASK;
	err = optional_text(type, 64, &a.type);
	if (!err)
		err = optional_text(source, PATH_MAX, &a.source);
	if (!err)
		err = optional_text(data, 4096, &a.data);
	if (!err)
		err = lookup(target, WALK_FOLLOW, &at);
	if (!err) {
		err = capable(CAP_SYS_ADMIN) ? mount_at(&at, &a, flags) : ERR_PERM;
		path_put(&at);
	}
	kfree(a.type);
	kfree(a.source);
	kfree(a.data);
	return err;
}

long
sys_umount2(const char USER *target, int flags)
{
	struct path at;
	long err;

	if (flags & ~(UMOUNT_FORCE | UMOUNT_DETACH | UMOUNT_EXPIRE | UMOUNT_NOFOLLOW))
		return ERR_INVAL;
	if ((flags & UMOUNT_EXPIRE) && (flags & (UMOUNT_FORCE | UMOUNT_DETACH)))
		return ERR_INVAL;
	err = lookup(target, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &at);
	if (err)
		return err;
	if (!capable(CAP_SYS_ADMIN)) {
		path_put(&at);
		return ERR_PERM;
	}
	/* The path holds mount and root; the mount's own reference to its root is apart. */
	return fs_umount(&at, flags);
}

long
sys_pivot_root(const char USER *new_root, const char USER *put_old)
{
	struct path new_path, old_path;
	long err;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	err = lookup(new_root, WALK_FOLLOW | WALK_DIRECTORY, &new_path);
	if (err)
		return err;
	err = lookup(put_old, WALK_FOLLOW | WALK_DIRECTORY, &old_path);
	if (!err) {
		err = fs_pivot_root(&new_path, &old_path);
		path_put(&old_path);
	}
	path_put(&new_path);
	return err;
}

/* ---- root and current directory */

static long
enter_dir(const struct path *path)
{
	long err = inode_permission(current_cred(), path->dentry->inode, MAY_EXEC);

	if (!err)
		fs_context_set_cwd(current_fs(), path);
	return err;
}

long
sys_chdir(const char USER *user)
{
	struct path path;
	long err = lookup(user, WALK_FOLLOW | WALK_DIRECTORY, &path);

	if (err)
		return err;
	err = enter_dir(&path);
	path_put(&path);
	return err;
}

long
sys_fchdir(int fd)
{
	struct file *f = fd_get(fd);
	long err = ERR_NOTDIR;

	if (!f)
		return ERR_BADF;
	if (f->inode && f->dentry && s_isdir(f->inode->mode))
		err = enter_dir(&(struct path){f->mount, f->dentry});
	file_put(f);
	return err;
}

long
sys_chroot(const char USER *user)
{
	struct path path;
	long err = lookup(user, WALK_FOLLOW | WALK_DIRECTORY, &path);

	if (err)
		return err;
	err = inode_permission(current_cred(), path.dentry->inode, MAY_EXEC);
	if (!err && !capable(CAP_SYS_CHROOT))
		err = ERR_PERM;
	if (!err)
		fs_context_set_root(current_fs(), &path);
	path_put(&path);
	return err;
}

long
sys_getcwd(char USER *user, size_t size)
{
	static const char unreachable[] = "(unreachable)";
	struct path cwd, root;
	bool is_reachable;
	char *buf = kmalloc(PATH_MAX), *text = NULL;
	long n = ERR_NOMEM;

	if (!buf)
		return n;
	fs_context_cwd(current_fs(), &cwd);
	fs_context_root(current_fs(), &root);
	n = ERR_NAMETOOLONG;
	if (cwd.dentry->inode->flags & INODE_DEAD)
		n = ERR_NOENT;
	else
		text = path_text(&cwd, &root, buf, PATH_MAX, &is_reachable);
	if (text && !is_reachable && (size_t)(text - buf) >= sizeof(unreachable) - 1) {
		text -= sizeof(unreachable) - 1;
		memcpy(text, unreachable, sizeof(unreachable) - 1);
	}
	if (text) {
		n = strlen(text) + 1;
		if ((size_t)n > size)
			n = ERR_RANGE;
		else if (copy_to_user(user, text, n))
			n = ERR_FAULT;
	}
	path_put(&cwd);
	path_put(&root);
	kfree(buf);
	return n;
}

/* ---- writing back */

static long
sync_fd(int fd, bool data_only)
{
	struct file *f = fd_get(fd);
	long err = ERR_INVAL;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		err = ERR_BADF;
	else if (f->ops->fsync)
		err = f->ops->fsync(f, data_only);
	file_put(f);
	return err;
}

long
sys_fsync(int fd)
{
	return sync_fd(fd, false);
}

long
sys_fdatasync(int fd)
{
	return sync_fd(fd, true);
}

/* Every file system there is so far lives in memory: there is nothing to write back. */
long
sys_sync(void)
{
	return OK;
}

static long
check_fd(int fd)
{
	struct file *f = fd_get(fd);
	long err = OK;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		err = ERR_BADF;
	file_put(f);
	return err;
}

long
sys_syncfs(int fd)
{
	return check_fd(fd);
}

/* A descriptor of something with pages; ERR_SPIPE for pipes and the like. */
static long
check_data_fd(int fd)
{
	struct file *f = fd_get(fd);
	long err = OK;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		err = ERR_BADF;
	else if (!f->inode || (f->inode->mode & S_IFMT) == S_IFIFO)
		err = ERR_SPIPE;
	file_put(f);
	return err;
}

long
sys_sync_file_range(int fd, loff_t offset, loff_t nbytes, unsigned flags)
{
	if (offset < 0 || nbytes < 0 || nbytes > INT64_MAX - offset || flags > 7)
		return ERR_INVAL;
	return check_data_fd(fd);
}

/* Advice about pages that are all in memory changes nothing. */
long
sys_fadvise64(int fd, loff_t offset, size_t len, int advice)
{
	long err = check_data_fd(fd);

	return err ? err : (loff_t)len < 0 || advice < 0 || advice > 5 ? ERR_INVAL : OK;
}

long
sys_readahead(int fd, loff_t offset, size_t count)
{
	struct file *f = fd_get(fd);
	long err = ERR_BADF;

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_READ)
		err = f->cache ? OK : ERR_INVAL;
	file_put(f);
	return err;
}
