/*
 * Signals of files (fcntl(2), O_ASYNC): whoever owns an open file is told by SIGIO, or another signal, when
 * it can be read or written, and by SIGURG of urgent data. kernel/proc/async.c
 */
#pragma once

#include "lib/err.h"
#include "lib/list.h"
#include "lib/types.h"

struct file;

/* si_code of such a signal: what goes on. */
enum poll_code { POLL_IN = 1, POLL_OUT, POLL_MSG, POLL_ERR, POLL_PRI, POLL_HUP };
enum { SI_SIGIO = -5 };

/* F_SETOWN_EX's kinds. */
enum owner_kind { OWNER_THREAD, OWNER_PROCESS, OWNER_GROUP };

/* In an object: the files on it that ever had O_ASYNC. file_ops.async returns it. */
struct async_list {
	struct list owners; /* [owner lock, R] struct file_owner */
};

void async_list_init(struct async_list *);
void async_tell_all(struct async_list *, enum poll_code);

/*
 * The object of the list can be read (POLL_IN) or written (POLL_OUT), or the like. Any context,
 * no lock of RANK_PROC_TREE or above held; the object stays while it runs.
 */
static inline void
async_tell(struct async_list *l, enum poll_code code)
{
	if (unlikely(!list_is_empty(&l->owners)))
		async_tell_all(l, code);
}

/* Urgent data: SIGURG, whether the file has O_ASYNC or not. The same context; the file stays by a
 * reference or RCU. */
void file_tell_urgent(const struct file *);

/* F_SETFL and FIOASYNC by descriptor `fd`, for a file with file_ops.async. ERR_NOMEM. */
enum err file_set_async(struct file *, int fd, bool on);
/* The owner if none was set. ERR_NOMEM. */
enum err file_own_by_default(struct file *, enum owner_kind, uint32_t id);

/* F_SETOWN's form: a process, a group as its negative, 0: nobody. ERR_SRCH: nobody has the number. */
enum err file_set_owner(struct file *, int32_t owner);
int32_t file_get_owner(const struct file *);

/* F_SETOWN, F_GETOWN, F_SETOWN_EX, F_GETOWN_EX, F_SETSIG, F_GETSIG, F_GETOWNER_UIDS. */
long file_fcntl_owner(struct file *, unsigned cmd, uintptr_t arg);

/* The file, which has an owner, goes away. */
void file_owner_leave(struct file *);
