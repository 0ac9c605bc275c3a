/*
 * Control data of AF_UNIX: open files (SCM_RIGHTS) and credentials (SCM_CREDENTIALS), unix(7).
 *
 * Closing a file that was under way may close a socket, whose queue may hold files again, and so
 * on: they are closed one after the other, not each within the one before.
 */
#include "kernel/file.h"
#include "kernel/proc/cred.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/unix.h"

enum { SOL_SOCKET = 1, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, OVERFLOW_ID = 65534 };

struct ucred {
	uint32_t pid, uid, gid;
};

/* A thread that closes files just now. */
struct dropper {
	struct list link;
	const struct thread *thread;
	struct list pending; /* struct unix_fds */
};

static struct spinlock drop_lock = SPINLOCK_INIT("unix files to close", RANK_OBJECT);
static struct list droppers = LIST_INIT(droppers); /* [drop_lock] */

/* ---- Closing ------------------------------------------------------------------------------- */

static void
put_files(struct unix_fds *fds)
{
	for (unsigned i = 0; i < fds->num; i++)
		if (fds->files[i])
			file_put(fds->files[i]);
	kfree(fds);
}

/* Leaves the files to the thread's own loop that runs already, or starts one. */
static bool
begin_drop(struct dropper *own, struct unix_fds *fds)
{
	struct dropper *d;

	spin_lock(&drop_lock);
	list_for_each(d, &droppers, link) {
		if (d->thread == own->thread) {
			list_push_back(&d->pending, &fds->link);
			spin_unlock(&drop_lock);
			return false;
		}
	}
	list_push_back(&droppers, &own->link);
	spin_unlock(&drop_lock);
	return true;
}

static struct unix_fds *
next_drop(struct dropper *own)
{
	struct list *link;

	spin_lock(&drop_lock);
	link = list_pop_front(&own->pending);
	if (!link)
		list_remove(&own->link);
	spin_unlock(&drop_lock);
	return link ? list_entry(link, struct unix_fds, link) : NULL;
}

void
unix_fds_drop(struct unix_fds *fds)
{
	struct dropper own = {.thread = current_thread()};

	list_init(&own.pending);
	if (begin_drop(&own, fds))
		for (; fds; fds = next_drop(&own))
			put_files(fds);
}

void
unix_scm_drop(struct unix_scm *scm)
{
	if (scm->fds)
		unix_fds_drop(scm->fds);
	scm->fds = NULL;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static struct unix_fds *
fds_alloc(unsigned num)
{
	struct unix_fds *fds = kmalloc(sizeof(*fds) + num * sizeof(struct file *));

	if (fds)
		*fds = (struct unix_fds){.num = 0};
	return fds;
}

/* Room for `num` more. */
static bool
make_room(struct unix_scm *scm, unsigned num)
{
	struct unix_fds *more;

	if (!scm->fds) {
		scm->fds = fds_alloc(num);
		return scm->fds;
	}
	more = krealloc(
	    scm->fds, sizeof(*more) + (scm->fds->num + num) * sizeof(struct file *));
	if (more)
		scm->fds = more;
	return more;
}

static enum err
parse_fds(struct unix_scm *scm, const struct cmsg *c)
{
	const int32_t *fd = (const int32_t *)(c + 1);
	size_t num = (c->len - sizeof(*c)) / sizeof(*fd);

	if (!num)
		return OK;
	if (num + (scm->fds ? scm->fds->num : 0) > UNIX_MAX_FDS)
		return ERR_INVAL;
	if (!make_room(scm, (unsigned)num))
		return ERR_NOMEM;
	for (size_t i = 0; i < num; i++) {
		struct file *f = fd_get(fd[i]);

		if (!f)
			return ERR_BADF;
		scm->fds->files[scm->fds->num++] = f;
	}
	return OK;
}

static bool
is_one_of(const struct id_set *ids, uint32_t id)
{
	return id == ids->real || id == ids->effective || id == ids->saved;
}

/* Only with a capability may somebody say that he is somebody else. */
static enum err
parse_creds(struct unix_scm *scm, const struct cmsg *c)
{
	const struct cred *cred = current_cred();
	struct process *p;
	struct ucred u;

	if (c->len != sizeof(*c) + sizeof(u))
		return ERR_INVAL;
	memcpy(&u, c + 1, sizeof(u));
	if (u.uid == UINT32_MAX || u.gid == UINT32_MAX)
		return ERR_INVAL;
	if ((u.pid != current_process()->pid && !capable(CAP_SYS_ADMIN)) ||
	    (!is_one_of(&cred->user, u.uid) && !capable(CAP_SETUID)) ||
	    (!is_one_of(&cred->group, u.gid) && !capable(CAP_SETGID)))
		return ERR_PERM;
	if (u.pid != current_process()->pid) {
		p = process_find(u.pid);
		if (!p)
			return ERR_SRCH;
		process_put(p);
	}
	scm->has_creds = true;
	scm->pid = u.pid;
	scm->uid = u.uid;
	scm->gid = u.gid;
	return OK;
}

enum err
unix_scm_parse(struct unix_scm *scm, const struct sock_msg *msg)
{
	const struct cmsg *c = NULL;
	enum err err = OK;

	*scm = (struct unix_scm){.fds = NULL};
	if (!msg->control)
		return OK;
	while (err == OK && (c = cmsg_next(msg, c, &err))) {
		if (c->level != SOL_SOCKET)
			continue;
		if (c->type == SCM_RIGHTS)
			err = parse_fds(scm, c);
		else if (c->type == SCM_CREDENTIALS)
			err = parse_creds(scm, c);
		else
			err = ERR_INVAL;
	}
	if (err != OK)
		unix_scm_drop(scm);
	return err;
}

enum err
unix_scm_attach(struct unix_scm *scm, struct unix_msg *m, bool with_fds)
{
	m->has_creds = scm->has_creds;
	m->pid = scm->pid;
	m->uid = scm->uid;
	m->gid = scm->gid;
	if (with_fds && scm->fds) {
		enum err err = unix_fds_take_off(scm->fds);

		if (err != OK)
			return err;
		m->fds = scm->fds;
		scm->fds = NULL;
	}
	return OK;
}

void
unix_add_creds(struct unix_msg *m, const struct sock *from, const struct sock *to)
{
	const struct cred *cred;

	if (m->has_creds || (!from->is_passcred && !to->is_passcred && to->file))
		return;
	cred = current_cred();
	m->has_creds = true;
	m->pid = current_process()->pid;
	m->uid = cred->uid;
	m->gid = cred->gid;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

void
unix_scm_note(struct unix_scm *scm, const struct unix_msg *m)
{
	scm->has_creds = m->has_creds;
	scm->pid = m->pid;
	scm->uid = m->uid;
	scm->gid = m->gid;
}

void
unix_scm_take_fds(struct unix_scm *scm, struct sock *sk, struct unix_msg *m)
{
	struct unix_fds *fds;

	spin_lock(&sk->lock);
	fds = m->fds;
	m->fds = NULL;
	spin_unlock(&sk->lock);
	if (!fds)
		return;
	unix_fds_land(fds);
	scm->fds = fds;
}

enum err
unix_scm_copy_fds(struct unix_scm *scm, struct sock *sk, struct unix_msg *m)
{
	struct unix_fds *copy = fds_alloc(UNIX_MAX_FDS);

	if (!copy)
		return ERR_NOMEM;
	spin_lock(&sk->lock);
	for (unsigned i = 0; m->fds && i < m->fds->num; i++)
		copy->files[copy->num++] = file_get(m->fds->files[i]);
	spin_unlock(&sk->lock);
	scm->fds = copy;
	return OK;
}

/* Descriptors for as many files as there is room for. */
static void
put_fds(struct unix_fds *fds, struct sock_msg *msg)
{
	size_t room = msg->control_len - msg->control_used;
	size_t max = room > sizeof(struct cmsg)
	                 ? (room - sizeof(struct cmsg)) / sizeof(int32_t)
	                 : 0;
	uint8_t *to = msg->control + msg->control_used;
	int32_t *numbers = (int32_t *)(to + sizeof(struct cmsg));
	struct cmsg c = {.level = SOL_SOCKET, .type = SCM_RIGHTS};
	unsigned n = 0;

	while (n < fds->num && n < max) {
		int fd = fd_install(fds->files[n], 0, msg->flags & MSG_CMSG_CLOEXEC);

		if (fd < 0)
			break;
		fds->files[n] = NULL;
		numbers[n++] = fd;
	}
	if (n < fds->num)
		msg->out_flags |= MSG_CTRUNC;
	if (!n)
		return;
	c.len = sizeof(c) + n * sizeof(int32_t);
	memcpy(to, &c, sizeof(c));
	msg->control_used += MIN(ALIGN_UP(c.len, sizeof(uint64_t)), room);
}

void
unix_scm_put(struct unix_scm *scm, struct sock *sk, struct sock_msg *msg)
{
	const struct ucred nobody = {0, OVERFLOW_ID, OVERFLOW_ID},
	                   sender = {scm->pid, scm->uid, scm->gid};

	if (sk->is_passcred)
		put_cmsg(msg, SOL_SOCKET, SCM_CREDENTIALS,
		    scm->has_creds ? &sender : &nobody, sizeof(sender));
	if (!scm->fds)
		return;
	if (msg->control)
		put_fds(scm->fds, msg);
	else
		msg->out_flags |= MSG_CTRUNC;
	unix_scm_drop(scm);
}
