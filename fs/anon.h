/* Files without a name, pipes and sockets and the like, where a path leads to them: /proc/PID/fd/N. */
#pragma once

#include "fs/vfs.h"

void anon_init(void);
void memfd_init(void); /* fs/memfd.c */

/* A path to an inode made for `f`, which tells what fstat would; holds the file. */
enum err anon_path(struct file *f, struct path *out);

/* Whether an inode is such a one, and opening it again: only pipes can be (else ERR_NXIO). */
bool anon_is(const struct inode *);
enum err anon_open(struct file *);

/* What fstat says of a file, with an inode or without. */
void file_stat(struct file *, struct stat *);
