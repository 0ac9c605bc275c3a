/* Sockets' names in the file system, for AF_UNIX: kernel/sock_node.h. */
#include "kernel/sock_node.h"

#include "fs/vfs.h"
#include "kernel/proc/cred.h"

enum err
sock_node_make(const char *path, struct sock_node *out)
{
	struct path made;
	enum err err = fs_mknod_path(AT_FDCWD, path, S_IFSOCK | S_IRWXUGO, 0, 0, &made);

	if (err == OK)
		*out = (struct sock_node){.mount = made.mount, .dentry = made.dentry};
	return err;
}

bool
sock_node_is_there(const char *path)
{
	struct path found;

	if (path_lookup(AT_FDCWD, path, 0, &found) != OK)
		return false;
	path_put(&found);
	return true;
}

enum err
sock_node_find(const char *path, struct sock_node *out)
{
	struct path found;
	enum err err = path_lookup(AT_FDCWD, path, WALK_FOLLOW, &found);

	if (err != OK)
		return err;
	err = inode_permission(current_cred(), found.dentry->inode, MAY_WRITE);
	if (err == OK && (found.dentry->inode->mode & S_IFMT) != S_IFSOCK)
		err = ERR_CONNREFUSED;
	if (err != OK)
		path_put(&found);
	else
		*out = (struct sock_node){.mount = found.mount, .dentry = found.dentry};
	return err;
}

const struct inode *
sock_node_inode(const struct sock_node *n)
{
	return n->dentry->inode;
}

void
sock_node_put(struct sock_node *n)
{
	struct path p = {.mount = n->mount, .dentry = n->dentry};

	if (n->dentry)
		path_put(&p);
	n->dentry = NULL;
}
