/*
 * Extended attributes: no file system here has them, which is what the calls say once their
 * arguments are found good.
 */
#include "fs/vfs.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum { NAME_MAX_BYTES = 255, VALUE_MAX = 65536 };

/* What is wrong with a name, or it would have to be looked up. */
static long
name_error(const char USER *name)
{
	char text[NAME_MAX_BYTES + 1];
	long n = strncpy_from_user(text, name, sizeof(text));

	if (n == 0 || n == ERR_NAMETOOLONG)
		return ERR_RANGE;
	return n < 0 ? n : ERR_OPNOTSUPP;
}

/* Likewise, with a value and flags to set it by. */
static long
value_error(const char USER *name, const void USER *value, size_t size, int flags)
{
	enum { CREATE = 1, REPLACE = 2 };
	long err = flags & ~(CREATE | REPLACE) ? ERR_INVAL : name_error(name);
	char probe[64];

	if (err != ERR_OPNOTSUPP)
		return err;
	if (size > VALUE_MAX)
		return ERR_2BIG;
	for (size_t at = 0; at < size; at += sizeof(probe))
		if (copy_from_user(probe, (const char USER *)value + at,
		        MIN(size - at, sizeof(probe))) != OK)
			return ERR_FAULT;
	return ERR_OPNOTSUPP;
}

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
	return by_path(path, WALK_FOLLOW, value_error(name, value, size, flags));
}

long
sys_lsetxattr(const char USER *path, const char USER *name, const void USER *value,
    size_t size, int flags)
{
	return by_path(path, 0, value_error(name, value, size, flags));
}

long
sys_fsetxattr(
    int fd, const char USER *name, const void USER *value, size_t size, int flags)
{
	return by_fd(fd, value_error(name, value, size, flags));
}

long
sys_getxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return by_path(path, WALK_FOLLOW, name_error(name));
}

long
sys_lgetxattr(const char USER *path, const char USER *name, void USER *value, size_t size)
{
	return by_path(path, 0, name_error(name));
}

long
sys_fgetxattr(int fd, const char USER *name, void USER *value, size_t size)
{
	return by_fd(fd, name_error(name));
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
	return by_path(path, WALK_FOLLOW, name_error(name));
}

long
sys_lremovexattr(const char USER *path, const char USER *name)
{
	return by_path(path, 0, name_error(name));
}

long
sys_fremovexattr(int fd, const char USER *name)
{
	return by_fd(fd, name_error(name));
}
