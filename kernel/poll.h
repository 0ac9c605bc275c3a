/*
 * poll, select and epoll: a file's poll operation tells what is ready and, given a table,
 * puts an entry on each wait queue that will be woken when that changes.
 */
#pragma once

#include "kernel/sync/wait.h"

struct file;

enum {
	POLLIN = 0x1,
	POLLPRI = 0x2,
	POLLOUT = 0x4,
	POLLERR = 0x8,
	POLLHUP = 0x10,
	POLLNVAL = 0x20,
	POLLRDNORM = 0x40,
	POLLRDBAND = 0x80,
	POLLWRNORM = 0x100,
	POLLWRBAND = 0x200,
	POLLMSG = 0x400,
	POLLRDHUP = 0x2000,
};

struct poll_table {
	void (*add)(struct poll_table *, struct file *, struct wait_queue *);
};

/* Called by a file's poll operation for each queue that matters; pt may be NULL. */
static inline void
poll_wait(struct file *f, struct wait_queue *q, struct poll_table *pt)
{
	if (pt)
		pt->add(pt, f, q);
}

uint32_t file_poll(struct file *, struct poll_table *);
