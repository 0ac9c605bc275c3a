/* Extended attributes: no file system here has them, which is what the calls say. */
#include "fs/vfs.h"
#include "syscalls.h"

/* The error after the path has been found good. */
static long
by_path(const char USER *user, unsigned walk_flags, long result)
{
	struct path path;
	char *text;
	long err = name_from_user(user, false, &text);

	if (err)
		return err;
	err = path_lookup(AT_FDCWD, text, walk_flags, &path);
	name_put(text);
	if (err)
		return err;
	path_put(&path);
	return result;
}

static long
by_fd(int fd, long result)
{
	struct file *f = fd_get(fd);

	if (!f)
		return ERR_BADF;
	if (f->mode & FILE_PATH)
		result = ERR_BADF;
	file_put(f);
	return result;
}

long
sys_setxattr(const char USER *path, const char USER *name, const void USER *value,
    size_t size, int flags)
{
	return by_path(path, WALK_FOLLOW, ERR_OPNOTSUPP);
}

long
sys_lsetxattr(const char USER *path, const char USER *name, const void USER *value,
    size_t size, int flags)
{
	return by_path(path, 0, ERR_OPNOTSUPP);
}

long
sys_fsetxattr(
    int fd, const char USER *name, const void USER *value, size_t size, int flags)
{
	return by_fd(fd, ERR_OPNOTSUPP);
}

long
sys_getxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return by_path(path, WALK_FOLLOW, ERR_OPNOTSUPP);
}

long
sys_lgetxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return by_path(path, 0, ERR_OPNOTSUPP);
}

long
sys_fgetxattr(int fd, const char USER *name, void USER *value, size_t size)
{
	return by_fd(fd, ERR_OPNOTSUPP);
}

long
sys_listxattr(const char USER *path, char USER *list, size_t size)
{
	return by_path(path, WALK_FOLLOW, 0);
}

long
sys_llistxattr(const char USER *path, char USER *list, size_t size)
{
	return by_path(path, 0, 0);
}

long
sys_flistxattr(int fd, char USER *list, size_t size)
{
	return by_fd(fd, 0);
}

long
sys_removexattr(const char USER *path, const char USER *name)
{
	return by_path(path, WALK_FOLLOW, ERR_OPNOTSUPP);
}

long
sys_lremovexattr(const char USER *path, const char USER *name)
{
	return by_path(path, 0, ERR_OPNOTSUPP);
}

long
sys_fremovexattr(int fd, const char USER *name)
{
	return by_fd(fd, ERR_OPNOTSUPP);
}
