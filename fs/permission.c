/* Who may do what with an inode: mode bits and capabilities (path_resolution(7),
 * capabilities(7)). */
#include "fs/vfs.h"
#include "kernel/proc/cred.h"

bool
cred_capable(const struct cred *cred, unsigned capability)
{
	return cred->cap_effective >> capability & 1;
}

bool
inode_owner_or_capable(const struct cred *cred, const struct inode *inode)
{
	return cred->fsuid == inode->uid || cred_capable(cred, CAP_FOWNER);
}

enum err
inode_permission(const struct cred *cred, const struct inode *inode, unsigned may)
{
	uint32_t mode = inode->mode;
	unsigned granted = mode;

	if (cred->fsuid == inode->uid)
		granted = mode >> 6;
	else if ((mode >> 3 & 7) != (mode & 7) && cred_in_group(cred, inode->gid))
		granted = mode >> 3;
	if ((may & ~granted & 7) == 0)
		return OK;

	/* Override: execution needs at least one x bit, except on directories (search).
	 */
	if (cred_capable(cred, CAP_DAC_OVERRIDE) &&
	    (s_isdir(mode) || !(may & MAY_EXEC) || (mode & S_IXUGO)))
		return OK;
	if (cred_capable(cred, CAP_DAC_READ_SEARCH) &&
	    (s_isdir(mode) ? !(may & MAY_WRITE) : may == MAY_READ))
		return OK;
	if (inode->ops->grants && inode->ops->grants(inode, may))
		return OK;
	return ERR_ACCES;
}

/* The set-group-id bit of what the group may not execute is not one of a program: it stays with who
 * may set it. */
uint32_t
inode_set_id(const struct cred *cred, const struct inode *inode)
{
	uint32_t bits = inode->mode & (S_ISUID | S_ISGID);

	if ((bits & S_ISGID) && !(inode->mode & S_IXGRP) &&
	    (cred_in_group(cred, inode->gid) || cred_capable(cred, CAP_FSETID)))
		bits &= ~(uint32_t)S_ISGID;
	return bits;
}

uint32_t
inode_set_id_to_drop(const struct cred *cred, const struct inode *inode)
{
	if (!(inode->mode & (S_ISUID | S_ISGID)) || !s_isreg(inode->mode) ||
	    cred_capable(cred, CAP_FSETID))
		return 0;
	return inode_set_id(cred, inode);
}

struct cred *
cred_real_ids(const struct cred *cred)
{
	struct cred *c = cred_copy(cred);

	if (!c)
		return NULL;
	c->fsuid = c->uid;
	c->fsgid = c->gid;
	if (!(c->securebits & SECBIT_NO_SETUID_FIXUP))
		c->cap_effective = c->uid == 0 ? c->cap_permitted : 0;
	return c;
}
