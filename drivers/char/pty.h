/*
 * Pseudo terminals (pty(7), ioctl_tty(2)): a slave that programs use as their terminal, and a master that
 * plays the person in front of it. pty.c has the pair, devpts.c the file system in which slaves have names.
 */
#pragma once

#include "drivers/char/tty.h"
#include "fs/vfs.h"

/* Major, minor and name of slaves, and the node that makes pairs. */
void pty_init(void);

/* ---- Within: pty.c and devpts.c */

enum { PTY_BUFFER = 8192 }; /* what a slave may write before its master reads */

struct pty {
	struct tty slave;    /* its references are the pair's: one is the master's */
	char name[16];       /* [I] of its lock: "pts/3" */
	struct super *super; /* [I] a reference: the instance it is named in */
	unsigned index;      /* [I] */
	struct inode
	    *inode; /* [devpts table] its node, a reference; NULL: no longer named */
	struct mutex write_lock; /* one write to the master at a time */
	uint8_t
	    *out; /* [slave.lock] ring of [tail, head): written, not read by the master */
	uint32_t tail, head;  /* [slave.lock] */
	bool is_locked;       /* [slave.lock] TIOCSPTLCK: the slave cannot be opened */
	bool is_packet;       /* [slave.lock] TIOCPKT */
	bool is_slave_closed; /* [slave.lock] it was open, and is not */
	bool has_flow;        /* [slave.lock] ^S and ^Q are flow control */
	uint8_t status;       /* [slave.lock] TIOCPKT_* not told yet */
	struct wait_queue readers, writers; /* on the master */
	struct async_list async;            /* the master's file */
	bool has_news; /* [a] for it: told once the slave's lock is free */
	struct rcu_head rcu;
};

void devpts_init(void);

/* The root of the instance that a file of a ptmx node stands for; *root gets references. ERR_NODEV. */
enum err devpts_find(const struct file *ptmx, struct path *root);

/*
 * Gives the pair a number and a node in the instance, owned by the current process: sets super, index,
 * inode. ERR_NOSPC: no number is left. Thread context, as the others.
 */
enum err devpts_add(struct super *, struct pty *);
void devpts_hide(struct pty *);   /* the name goes */
void devpts_remove(struct pty *); /* the number is free again; drops `super` */

/* The pair of a slave's node, with a reference to its slave; NULL: it is none, or has gone. */
struct pty *devpts_pty_of(const struct inode *);
