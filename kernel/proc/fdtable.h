/* Inside of descriptor tables, for the calls on descriptors (kernel/proc/sys_fd.c). */
#pragma once

#include "kernel/file.h"

/* The free descriptor >= min_fd and below RLIMIT_NOFILE that is lowest gets `f`; as
 * fd_install. */
int fd_table_install(struct fd_table *t, struct file *f, unsigned min_fd, bool cloexec);

/*
 * Puts a reference of its own to `f` at exactly `fd`; what was there is closed. ERR_BADF:
 * beyond the limit. ERR_BUSY: it is reserved. ERR_NOMEM.
 */
enum err fd_table_replace(struct fd_table *t, struct file *f, unsigned fd, bool cloexec);

/* Reads (want < 0) or sets the close-on-exec flag: 0, 1 or ERR_BADF. */
int fd_table_cloexec(struct fd_table *t, unsigned fd, int want);

/* Closes, or marks close-on-exec, all of [first, last]. */
void fd_table_close_range(
    struct fd_table *t, unsigned first, unsigned last, bool only_mark);

/* The current thread gets a table of its own if it shares one. ERR_NOMEM. */
enum err fd_table_unshare(void);
