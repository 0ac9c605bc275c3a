/*
 * Defaults for calls of rooms that are not linked yet, so that every step of bring-up has a
 * kernel that boots. A room's own definition wins over the weak one here; the file goes away
 * when none is left.
 */
#include "kernel/file.h"
#include "mm/aspace.h"
#include "mm/kva.h"

__attribute__((weak)) bool
stack_guard_hit(vaddr_t addr)
{
	return false;
}

__attribute__((weak)) void
file_drop_path(struct file *f)
{
}

__attribute__((weak)) void
file_closed_by(struct file *f, struct fd_table *owner)
{
}

__attribute__((weak)) long
file_fcntl_lock(struct file *f, unsigned cmd, uintptr_t arg)
{
	return ERR_INVAL;
}

__attribute__((weak)) enum err
file_open(const char *path, int flags, uint32_t mode, struct file **out)
{
	return ERR_NOENT;
}

__attribute__((weak)) enum err
file_open_exec(const char *path, struct file **out)
{
	return ERR_NOENT;
}

__attribute__((weak)) enum err
file_open_exec_at(int dirfd, const char *path, int flags, struct file **out)
{
	return ERR_NOENT;
}

__attribute__((weak)) void
file_exec_ids(const struct file *f, uint32_t *euid, uint32_t *egid)
{
}

__attribute__((weak)) struct fs_context *fs_init_context;

__attribute__((weak)) struct fs_context *
fs_context_copy(struct fs_context *c)
{
	return NULL;
}

__attribute__((weak)) struct fs_context *
fs_context_get(struct fs_context *c)
{
	return c;
}

__attribute__((weak)) void
fs_context_put(struct fs_context *c)
{
}
