/* The file name space on the host: see fs_env.c. */
#pragma once

#include <stdlib.h>

#include "fs/vfs.h"

struct cred;

extern struct file *fake_fds[8]; /* what fd_get finds */

void fake_fs_begin(void);        /* an empty root file system, acting as root; once */
void fake_become(struct cred *); /* whose credentials the process has */
