/*
 * What keeps users from each other's traps in directories all may write to (proc(5),
 * /proc/sys/fs/protected_*): links there are followed only for their owner, files that are not
 * one's own are not linked to, and O_CREAT does not open what another has put there. Links are
 * guarded from the start, as on Debian.
 */
#include "fs/vfs.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"

static uint32_t protected_symlinks = 1, protected_hardlinks = 1, protected_fifos,
                protected_regular;

void
protect_init(void)
{
	static struct proc_number numbers[] = {
	    {"sys/fs/protected_fifos", &protected_fifos, 0, 2},
	    {"sys/fs/protected_hardlinks", &protected_hardlinks, 0, 1},
	    {"sys/fs/protected_regular", &protected_regular, 0, 2},
	    {"sys/fs/protected_symlinks", &protected_symlinks, 0, 1},
	};

	proc_register_numbers(numbers, ARRAY_SIZE(numbers));
}

enum err
may_follow_link(
    const struct cred *cred, const struct inode *dir, const struct inode *link)
{
	const uint32_t open_to_all = S_ISVTX | S_IWOTH;

	if (!protected_symlinks || cred->fsuid == link->uid ||
	    (dir->mode & open_to_all) != open_to_all || dir->uid == link->uid)
		return OK;
	return ERR_ACCES;
}

enum err
may_link_to(const struct cred *cred, const struct inode *inode)
{
	const uint32_t setgid_program = S_ISGID | S_IXGRP;

	if (!protected_hardlinks || inode_owner_or_capable(cred, inode))
		return OK;
	if (!s_isreg(inode->mode) || (inode->mode & S_ISUID) ||
	    (inode->mode & setgid_program) == setgid_program)
		return ERR_PERM;
	return inode_permission(cred, inode, MAY_READ | MAY_WRITE) == OK ? OK : ERR_PERM;
}

enum err
may_create_over(
    const struct cred *cred, const struct inode *dir, const struct inode *inode)
{
	uint32_t level = 0;

	if (s_isreg(inode->mode))
		level = protected_regular;
	else if ((inode->mode & S_IFMT) == S_IFIFO)
		level = protected_fifos;
	if (!level || !(dir->mode & S_ISVTX) || dir->uid == inode->uid ||
	    cred->fsuid == inode->uid)
		return OK;
	return (dir->mode & S_IWOTH) || (level > 1 && (dir->mode & S_IWGRP)) ? ERR_ACCES
	                                                                     : OK;
}
