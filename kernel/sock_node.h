/*
 * Names of sockets in the file system: what AF_UNIX needs of it. Implemented by fs/sock_node.c.
 * Calls act with the current credentials, root, current directory and umask; they may sleep.
 */
#pragma once

#include "lib/err.h"

struct dentry;
struct inode;
struct mount;

/* A name that exists, held: its file system stays mounted. dentry NULL: none. */
struct sock_node {
	struct mount *mount;
	struct dentry *dentry;
};

/* Makes a socket's inode at `path`: ERR_EXIST, and what mknod(2) says. */
enum err sock_node_make(const char *path, struct sock_node *out);
/* Whether `path` is there, be it a link that leads nowhere. */
bool sock_node_is_there(const char *path);
/* Where `path` leads, for one who may write to it. ERR_CONNREFUSED: that is not a socket. */
enum err sock_node_find(const char *path, struct sock_node *out);
/* What the node is, by whatever name it was found. */
const struct inode *sock_node_inode(const struct sock_node *);
void sock_node_put(struct sock_node *);
