/*
 * Pipes and FIFOs: a ring of pages between writers and readers. Writes of up to PIPE_BUF
 * bytes are atomic. A FIFO's inode keeps one struct pipe while it is open; fs calls the
 * fifo_ functions.
 */
#pragma once

#include "kernel/file.h"
#include "lib/err.h"

enum {
	PIPE_BUF = 4096,
	PIPE_MAX_SIZE = 1 << 20, /* what F_SETPIPE_SZ allows without CAP_SYS_RESOURCE */
};

struct pipe;

/*
 * Opens one end of a FIFO into `file`, whose flags say how (O_NONBLOCK, access mode):
 * sets ops and private. *slot is the inode's, NULL while nobody has it open, and set
 * under `lock`, which is held here only for short. Sleeps until the other end is open, as
 * POSIX open() says: ERR_NXIO, ERR_RESTARTSYS. The file's release puts the pipe and
 * clears *slot with the last user.
 */
enum err fifo_open(struct file *file, struct pipe **slot, struct spinlock *lock);

/*
 * Opens an anonymous pipe once more into `file`, whose mode tells the ends; `from` is a file on it. Never
 * waits. ERR_NXIO: `from` is no pipe.
 */
enum err pipe_open_again(struct file *file, const struct file *from);

/* Bytes that splice may put into the pipe at once, waiting until a page of it is free; ERR_AGAIN,
 * ERR_RESTARTSYS, and ERR_PIPE with its signal. */
ssize_t pipe_splice_room(struct file *file, bool is_nowait);

/* Two files on a new pipe, to read and to write; `flags`: O_NONBLOCK or 0. ERR_NOMEM leaves nothing. */
enum err pipe_create(struct file *ends[2], uint32_t flags);

/* The caller, who alone has `file`, has written all to its pipe: sleeps until nobody has the other end
 * any more, or a fatal signal comes. */
void pipe_wait_unread(struct file *file);

/* F_SETPIPE_SZ and F_GETPIPE_SZ; ERR_BADF when `file` is no pipe. */
long pipe_fcntl(struct file *file, unsigned cmd, uintptr_t arg);
