/*
 * POSIX message queues (mq_overview(7)): messages in order of priority, then of arrival. Their names and
 * descriptors are fs/mqueue.c's.
 */
#pragma once

#include "kernel/sync/wait.h"
#include "lib/rbtree.h"

struct file;
struct process;
struct seq;

/* Linux's struct mq_attr. */
struct mq_attr {
	int64_t flags, max_messages, message_size, num_messages, reserved[4];
};

/* mq_notify: who is to be told, and how. */
struct mq_notice {
	struct process *process; /* a reference, or NULL: nobody */
	int32_t notify, signo;   /* SIGEV_* */
	uint64_t value;
	struct file *socket; /* SIGEV_THREAD: a reference, and what it is given */
	uint8_t cookie[32];
};

struct mqueue {
	struct list link;    /* [mq_lock] all of them */
	uint32_t uid;        /* [I] on whose account */
	uint64_t cost;       /* [I] bytes of RLIMIT_MSGQUEUE */
	struct mq_attr attr; /* [I] but num_messages: [lock], read without */
	struct spinlock lock;
	struct rb_root messages;              /* [lock] */
	uint64_t num_bytes;                   /* [lock] */
	uint32_t num_receivers;               /* [lock] that wait */
	struct wait_queue senders, receivers; /* polls too */
	struct mq_notice notice;              /* [lock] */
};

/* On the current user's account; `attr` NULL: as usual. ERR_INVAL, ERR_NOSPC (queues_max), ERR_MFILE
 * (RLIMIT_MSGQUEUE), ERR_NOMEM. */
enum err mqueue_create(const struct mq_attr *attr, struct mqueue **out);
void mqueue_free(struct mqueue *); /* nobody has it */

/* deadline_ns as wait_event's; is_nowait: ERR_AGAIN instead of waiting. */
enum err mqueue_send(struct mqueue *, const char USER *text, size_t len,
    uint32_t priority, bool is_nowait, nsec_t deadline_ns);
/* Bytes, or an error. */
long mqueue_receive(struct mqueue *, char USER *text, size_t len, uint32_t USER *priority,
    bool is_nowait, nsec_t deadline_ns);

/* mq_notify of the current process; NULL ends what it has asked for. */
enum err mqueue_notify(struct mqueue *, const void USER *event);
void mqueue_notify_end(struct mqueue *); /* the current process has closed it */

/* The line that reading its file gives. */
size_t mqueue_status(struct mqueue *, char *buf, size_t size);

void mqueue_init(void); /* /proc/sys/fs/mqueue */
