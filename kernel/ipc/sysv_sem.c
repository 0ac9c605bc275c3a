/*
 * System V semaphores (semget(2), semop(2), semctl(2)). A set's lock guards its values and
 * the queue of operations that wait. An operation is done as a whole or not at all; who
 * changes a value tries the waiting ones again, in order, until none goes on.
 *
 * SEM_UNDO: a process has one `struct sem_undo` for each set it used it on, which holds
 * what is to be added to the values when it ends. The set lists them too, for SETVAL and
 * SETALL, which forget them. That of a removed set stays with the process until it ends
 * or looks for another.
 */
#include "kernel/ipc/sysv_sem.h"

#include "kernel/ipc/sysv.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"
#include "kernel/time/clock.h"
#include "kernel/time/timespec.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	SEM_UNDO = 0x1000,

	GETPID = 11,
	GETVAL = 12,
	GETALL = 13,
	GETNCNT = 14,
	GETZCNT = 15,
	SETVAL = 16,
	SETALL = 17,
	SEM_STAT = 18,
	SEM_INFO = 19,
	SEM_STAT_ANY = 20,

	SEMVMX = 32767,
	SEMUSZ = 20,
	FEW_OPS = 16, /* room for these on the stack */
	WOULD_WAIT = 1,
};

struct sembuf {
	uint16_t num;
	int16_t op;
	int16_t flags;
};

struct sem {
	int32_t value;
	uint32_t pid; /* of the last operation */
};

struct semset {
	struct sysv_obj obj;
	uint32_t num;        /* [I] semaphores */
	int64_t otime_s;     /* [obj.lock] last operation */
	struct list waiting; /* [obj.lock] struct sem_waiter */
	struct list undos;   /* [obj.lock] struct sem_undo.set_link */
	struct sem *sems;    /* [obj.lock] */
};

struct sem_undo {
	struct list process_link; /* [process->lock] */
	struct list set_link;     /* [set->obj.lock] */
	struct semset *set;       /* [I] a reference */
	int16_t *adjust;          /* [set->obj.lock] of each semaphore */
};

/* One semop. */
struct sem_ops {
	const struct sembuf *ops;
	unsigned num;
	bool alters;
	unsigned blocking;     /* which one could not be done */
	struct sem_undo *undo; /* or NULL: none asks for it */
	uint32_t pid;
};

struct sem_waiter {
	struct list link; /* [set->obj.lock] */
	struct sem_ops *ops;
	long result; /* [a] WOULD_WAIT until it is done */
	struct wait_queue wait;
};

struct user_semid {
	struct user_ipc_perm perm;
	int64_t otime;
	uint64_t unused1;
	int64_t ctime;
	uint64_t unused2, num, unused3, unused4;
};

struct user_seminfo {
	int32_t map, mni, mns, mnu, msl, opm, ume, usz, vmx, aem;
};

static_assert(sizeof(struct user_semid) == 104, "semid64_ds");

/* /proc/sys/kernel/sem: semaphores in a set and in all, operations in a call, sets. */
static uint64_t semmsl = 32000, semmns = 1024000000, semopm = 500, semmni = 32000;
static uint64_t total_sems; /* [a] */

static struct mutex sem_lock = MUTEX_INIT(sem_lock, "sem", RANK_SYSV);

static struct semset *
set_of(struct sysv_obj *o)
{
	return container_of(o, struct semset, obj);
}

static void
set_free_late(struct rcu_head *h)
{
	struct semset *set = container_of(h, struct semset, obj.rcu);

	kfree(set->sems);
	kfree(set);
}

static void
set_free(struct sysv_obj *o)
{
	__atomic_sub_fetch(&total_sems, set_of(o)->num, __ATOMIC_RELAXED);
	rcu_call(&o->rcu, set_free_late);
}

static struct sysv_table sets = {.lock = &sem_lock, .limit = &semmni, .free = set_free};

static void
set_put(struct semset *set)
{
	sysv_put(&sets, &set->obj);
}

/* ---- semget ---- */

static enum err
set_check(const struct sysv_obj *o, const struct sysv_get *g)
{
	return g->count > container_of(o, struct semset, obj)->num ? ERR_INVAL : OK;
}

static enum err
set_create(const struct sysv_get *g, struct sysv_obj **out)
{
	struct semset *set;

	if (!g->count)
		return ERR_INVAL;
	if (total_sems + g->count > semmns)
		return ERR_NOSPC;
	set = kzalloc(sizeof(*set));
	if (!set)
		return ERR_NOMEM;
	set->sems = kzalloc(g->count * sizeof(set->sems[0]));
	if (!set->sems) {
		kfree(set);
		return ERR_NOMEM;
	}
	set->num = (uint32_t)g->count;
	list_init(&set->waiting);
	list_init(&set->undos);
	__atomic_add_fetch(&total_sems, g->count, __ATOMIC_RELAXED);
	*out = &set->obj;
	return OK;
}

long
sys_semget(int key, int nsems, int flags)
{
	const struct sysv_get g = {.key = key,
	    .flags = flags,
	    .count = (uint64_t)nsems,
	    .check = set_check,
	    .create = set_create};

	if (nsems < 0 || (uint64_t)nsems > semmsl)
		return ERR_INVAL;
	return sysv_get(&sets, &g);
}

/* ---- Operations; the set's lock is held ---- */

/* The values as before the first `n` of the operations. */
static void
take_back_locked(struct semset *set, const struct sem_ops *o, unsigned n)
{
	while (n--) {
		const struct sembuf *op = &o->ops[n];

		set->sems[op->num].value -= op->op;
		if (op->flags & SEM_UNDO)
			o->undo->adjust[op->num] += op->op;
	}
}

/* Does one operation: OK, WOULD_WAIT, or an error. */
static int
do_one_locked(struct semset *set, struct sem_ops *o, const struct sembuf *op)
{
	struct sem *s = &set->sems[op->num];
	int value = s->value + op->op;

	if ((!op->op && s->value) || value < 0)
		return op->flags & IPC_NOWAIT ? ERR_AGAIN : WOULD_WAIT;
	if (value > SEMVMX)
		return ERR_RANGE;
	if (op->flags & SEM_UNDO) {
		int adjust = o->undo->adjust[op->num] - op->op;

		if (adjust < -SEMVMX - 1 || adjust > SEMVMX)
			return ERR_RANGE;
		o->undo->adjust[op->num] = (int16_t)adjust;
	}
	s->value = value;
	return OK;
}

/* Does all or nothing. */
static int
do_all_locked(struct semset *set, struct sem_ops *o)
{
	for (unsigned i = 0; i < o->num; i++) {
		int result = do_one_locked(set, o, &o->ops[i]);

		if (result != OK) {
			take_back_locked(set, o, i);
			o->blocking = i;
			return result;
		}
	}
	for (unsigned i = 0; i < o->num; i++)
		set->sems[o->ops[i].num].pid = o->pid;
	set->otime_s = sysv_now_s();
	return OK;
}

/* The waiter is off the queue; its stack may be left once the lock is released. */
static void
finish_waiter_locked(struct sem_waiter *w, long result)
{
	list_remove(&w->link);
	__atomic_store_n(&w->result, result, __ATOMIC_RELEASE);
	wait_queue_wake_all(&w->wait);
}

/* Values have changed: does what waits and can be done now. */
static void
retry_waiting_locked(struct semset *set)
{
	struct list *l = set->waiting.next;

	while (l != &set->waiting) {
		struct sem_waiter *w = list_entry(l, struct sem_waiter, link);
		int result = do_all_locked(set, w->ops);

		l = l->next;
		if (result == WOULD_WAIT)
			continue;
		finish_waiter_locked(w, result);
		if (result == OK && w->ops->alters)
			l = set->waiting.next; /* others may go on now */
	}
}

/* ---- Undo ---- */

static void
undo_free(struct sem_undo *u)
{
	set_put(u->set);
	kfree(u->adjust);
	kfree(u);
}

/*
 * The process's undo for the set, or NULL. Those of removed sets go to `dead`. The
 * process's lock is held.
 */
static struct sem_undo *
undo_find_locked(struct process *p, const struct semset *set, struct list *dead)
{
	struct sem_undo *found = NULL;
	struct list *l = p->sem_undos.next;

	while (l != &p->sem_undos) {
		struct sem_undo *u = list_entry(l, struct sem_undo, process_link);

		l = l->next;
		if (u->set == set) {
			found = u;
		} else if (__atomic_load_n(&u->set->obj.is_removed, __ATOMIC_RELAXED)) {
			list_remove(&u->process_link);
			list_push_back(dead, &u->process_link);
		}
	}
	return found;
}

/* Takes an undo out of its set's list, unless the set has done so when it was removed. */
static void
undo_unlink(struct sem_undo *u)
{
	spin_lock(&u->set->obj.lock);
	list_remove(&u->set_link);
	spin_unlock(&u->set->obj.lock);
}

static struct sem_undo *
undo_alloc(struct semset *set)
{
	struct sem_undo *u = kzalloc(sizeof(*u));

	if (!u)
		return NULL;
	u->adjust = kzalloc(set->num * sizeof(u->adjust[0]));
	if (!u->adjust) {
		kfree(u);
		return NULL;
	}
	__atomic_add_fetch(&set->obj.refs, 1, __ATOMIC_RELAXED);
	u->set = set;
	list_init(&u->process_link);
	list_init(&u->set_link);
	return u;
}

/* The current process's undo for the set, made if need be. NULL: no memory. */
static struct sem_undo *
undo_get(struct semset *set)
{
	struct process *p = current_process();
	struct sem_undo *fresh = undo_alloc(set), *u;
	struct list dead, *l;

	if (!fresh)
		return NULL;
	list_init(&dead);
	spin_lock(&p->lock);
	u = undo_find_locked(p, set, &dead);
	if (!u) {
		u = fresh;
		list_push_front(&p->sem_undos, &u->process_link);
		spin_lock(&set->obj.lock);
		list_push_back(&set->undos, &u->set_link);
		spin_unlock(&set->obj.lock);
	}
	spin_unlock(&p->lock);
	if (u != fresh)
		undo_free(fresh);
	while ((l = list_pop_front(&dead))) {
		struct sem_undo *d = list_entry(l, struct sem_undo, process_link);

		undo_unlink(d);
		undo_free(d);
	}
	return u;
}

static void
undo_apply(struct sem_undo *u, uint32_t pid)
{
	struct semset *set = u->set;

	spin_lock(&set->obj.lock);
	for (unsigned i = 0; i < set->num && !set->obj.is_removed; i++) {
		int value = set->sems[i].value + u->adjust[i];

		if (!u->adjust[i])
			continue;
		set->sems[i].value = value < 0 ? 0 : MIN(value, (int)SEMVMX);
		set->sems[i].pid = pid;
	}
	list_remove(&u->set_link);
	retry_waiting_locked(set);
	spin_unlock(&set->obj.lock);
}

void
sysv_sem_exit(struct process *p)
{
	struct list *l;

	/* Its threads have ended: the list is ours. */
	while ((l = list_pop_front(&p->sem_undos))) {
		struct sem_undo *u = list_entry(l, struct sem_undo, process_link);

		undo_apply(u, p->pid);
		undo_free(u);
	}
}

/* ---- semop ---- */

/* Sleeps until the waiter is done, the deadline (0: none) passes or a signal comes. */
static long
wait_for_turn(struct semset *set, struct sem_waiter *w, nsec_t deadline)
{
	enum err err = wait_event(&w->wait,
	    __atomic_load_n(&w->result, __ATOMIC_ACQUIRE) != WOULD_WAIT,
	    WAIT_INTERRUPTIBLE, deadline);

	spin_lock(&set->obj.lock);
	if (w->result == WOULD_WAIT) {
		list_remove(&w->link);
		w->result = err == ERR_TIMEDOUT ? ERR_AGAIN : ERR_INTR;
	}
	spin_unlock(&set->obj.lock);
	return w->result;
}

static long
do_ops(struct semset *set, struct sem_ops *o, nsec_t deadline)
{
	struct sem_waiter w = {.ops = o, .result = ERR_IDRM};

	wait_queue_init(&w.wait);
	list_init(&w.link);
	spin_lock(&set->obj.lock);
	if (!set->obj.is_removed)
		w.result = do_all_locked(set, o);
	if (w.result == OK && o->alters)
		retry_waiting_locked(set);
	else if (w.result == WOULD_WAIT)
		list_push_back(&set->waiting, &w.link);
	spin_unlock(&set->obj.lock);
	return w.result == WOULD_WAIT ? wait_for_turn(set, &w, deadline) : w.result;
}

/* Checks the operations against set and rights, finds the undo, does them. */
static long
semop_on(struct semset *set, struct sem_ops *o, nsec_t deadline)
{
	enum err err;

	for (unsigned i = 0; i < o->num; i++) {
		if (o->ops[i].num >= set->num)
			return ERR_FBIG;
		o->alters |= o->ops[i].op != 0;
	}
	err = sysv_may(&set->obj, o->alters ? SYSV_WRITE : SYSV_READ);
	if (err != OK)
		return err;
	for (unsigned i = 0; i < o->num && !o->undo; i++) {
		if (!(o->ops[i].flags & SEM_UNDO))
			continue;
		o->undo = undo_get(set);
		if (!o->undo)
			return ERR_NOMEM;
	}
	return do_ops(set, o, deadline);
}

static long
semop_until(int id, const struct sembuf USER *uops, unsigned nops, nsec_t deadline)
{
	struct sembuf few[FEW_OPS], *ops = few;
	struct sem_ops o = {.num = nops, .pid = current_process()->pid};
	struct sysv_obj *set;
	long result;

	if (nops > semopm)
		return ERR_2BIG;
	if (nops < 1)
		return ERR_INVAL;
	if (nops > FEW_OPS && !(ops = kmalloc(nops * sizeof(*ops))))
		return ERR_NOMEM;
	o.ops = ops;
	result = copy_from_user(ops, uops, nops * sizeof(*ops));
	set = result == OK ? sysv_find(&sets, id) : NULL;
	if (set) {
		result = semop_on(set_of(set), &o, deadline);
		sysv_put(&sets, set);
	} else if (result == OK) {
		result = ERR_INVAL;
	}
	if (ops != few)
		kfree(ops);
	return result;
}

long
sys_semop(int id, const struct sembuf USER *ops, unsigned nops)
{
	return semop_until(id, ops, nops, NO_TIMEOUT);
}

long
sys_semtimedop(int id, const struct sembuf USER *ops, unsigned nops,
    const struct timespec USER *timeout)
{
	struct timespec ts;

	if (!timeout)
		return semop_until(id, ops, nops, NO_TIMEOUT);
	if (get_user(ts, timeout) != OK)
		return ERR_FAULT;
	if (!timespec_is_valid(&ts))
		return ERR_INVAL;
	return semop_until(
	    id, ops, nops, MIN(clock_now_ns() + timespec_to_ns(&ts), (nsec_t)INT64_MAX));
}

/* ---- semctl ---- */

static long
set_stat(struct semset *set, struct user_semid USER *buf, bool any)
{
	struct user_semid u = {.num = set->num};
	enum err err = any ? OK : sysv_may(&set->obj, SYSV_READ);

	if (err != OK)
		return err;
	spin_lock(&set->obj.lock);
	sysv_perm_fill(&set->obj, &u.perm);
	u.otime = set->otime_s;
	u.ctime = set->obj.ctime_s;
	spin_unlock(&set->obj.lock);
	return put_user(u, buf);
}

static long
sem_info(int cmd, void USER *buf)
{
	struct user_seminfo u = {.map = (int32_t)semmns,
	    .mni = (int32_t)semmni,
	    .mns = (int32_t)semmns,
	    .mnu = (int32_t)semmns,
	    .msl = (int32_t)semmsl,
	    .opm = (int32_t)semopm,
	    .ume = (int32_t)semopm,
	    .usz = SEMUSZ,
	    .vmx = SEMVMX,
	    .aem = SEMVMX};
	enum err err;

	if (cmd == SEM_INFO) {
		u.usz = (int32_t)sets.num;
		u.aem = (int32_t)total_sems;
	}
	err = copy_to_user(buf, &u, sizeof(u));
	return err == OK ? sysv_highest(&sets) : err;
}

static enum err
set_set(struct semset *set, const struct user_semid USER *buf)
{
	struct user_semid u;
	enum err err = get_user(u, buf);

	if (err == OK)
		err = sysv_may_control(&set->obj);
	if (err != OK)
		return err;
	spin_lock(&set->obj.lock);
	sysv_perm_set(&set->obj, &u.perm);
	spin_unlock(&set->obj.lock);
	return OK;
}

static enum err
set_remove(struct semset *set)
{
	enum err err = sysv_may_control(&set->obj);
	struct list *l;

	if (err != OK)
		return err;
	if (!sysv_take_out(&sets, &set->obj))
		return ERR_IDRM;
	spin_lock(&set->obj.lock);
	set->obj.is_removed = true;
	while (!list_is_empty(&set->waiting)) {
		l = set->waiting.next;
		finish_waiter_locked(list_entry(l, struct sem_waiter, link), ERR_IDRM);
	}
	spin_unlock(&set->obj.lock);
	return OK;
}

/* How many wait for semaphore `num` to grow, or (is_zero) to become 0. */
static long
count_waiting(struct semset *set, unsigned num, bool is_zero)
{
	struct sem_waiter *w;
	long n = 0;

	list_for_each(w, &set->waiting, link) {
		const struct sembuf *op = &w->ops->ops[w->ops->blocking];

		n += op->num == num && (is_zero ? op->op == 0 : op->op < 0);
	}
	return n;
}

static void
forget_undo_locked(struct semset *set, unsigned num)
{
	struct sem_undo *u;

	list_for_each(u, &set->undos, set_link)
		u->adjust[num] = 0;
}

/* The commands about one semaphore. */
static long
sem_control(struct semset *set, int num, int cmd, int value)
{
	uint32_t rights = cmd == SETVAL ? SYSV_WRITE : SYSV_READ;
	long result = sysv_may(&set->obj, rights);
	struct sem *s;

	if (cmd == SETVAL && (value < 0 || value > SEMVMX))
		return ERR_RANGE;
	if (result != OK)
		return result;
	if (num < 0 || (unsigned)num >= set->num)
		return ERR_INVAL;
	s = &set->sems[num];
	spin_lock(&set->obj.lock);
	if (set->obj.is_removed) {
		result = ERR_IDRM;
	} else if (cmd == SETVAL) {
		s->value = value;
		s->pid = current_process()->pid;
		set->obj.ctime_s = sysv_now_s();
		forget_undo_locked(set, (unsigned)num);
		retry_waiting_locked(set);
	} else if (cmd == GETVAL) {
		result = s->value;
	} else if (cmd == GETPID) {
		result = (long)s->pid;
	} else {
		result = count_waiting(set, (unsigned)num, cmd == GETZCNT);
	}
	spin_unlock(&set->obj.lock);
	return result;
}

static enum err
set_all_locked(struct semset *set, const uint16_t *values)
{
	if (set->obj.is_removed)
		return ERR_IDRM;
	for (unsigned i = 0; i < set->num; i++) {
		set->sems[i].value = values[i];
		set->sems[i].pid = current_process()->pid;
		forget_undo_locked(set, i);
	}
	set->obj.ctime_s = sysv_now_s();
	retry_waiting_locked(set);
	return OK;
}

/* GETALL and SETALL, by way of `values`, which has room for the set. */
static enum err
all_by_way_of(struct semset *set, int cmd, uint16_t USER *array, uint16_t *values)
{
	size_t size = set->num * sizeof(values[0]);
	enum err err = OK;

	if (cmd == SETALL) {
		err = copy_from_user(values, array, size);
		for (unsigned i = 0; i < set->num && err == OK; i++)
			err = values[i] > SEMVMX ? ERR_RANGE : OK;
		if (err != OK)
			return err;
		spin_lock(&set->obj.lock);
		err = set_all_locked(set, values);
		spin_unlock(&set->obj.lock);
		return err;
	}
	spin_lock(&set->obj.lock);
	for (unsigned i = 0; i < set->num; i++)
		values[i] = (uint16_t)set->sems[i].value;
	err = set->obj.is_removed ? ERR_IDRM : OK;
	spin_unlock(&set->obj.lock);
	return err == OK ? copy_to_user(array, values, size) : err;
}

static enum err
all_control(struct semset *set, int cmd, uint16_t USER *array)
{
	enum err err = sysv_may(&set->obj, cmd == SETALL ? SYSV_WRITE : SYSV_READ);
	uint16_t *values;

	if (err != OK)
		return err;
	values = kmalloc(set->num * sizeof(values[0]));
	if (!values)
		return ERR_NOMEM;
	err = all_by_way_of(set, cmd, array, values);
	kfree(values);
	return err;
}

static long
set_control(struct semset *set, int num, int cmd, uint64_t arg)
{
	void USER *buf = (void USER *)arg;
	long result;

	switch (cmd) {
	case IPC_RMID: return set_remove(set);
	case IPC_SET: return set_set(set, buf);
	case IPC_STAT: return set_stat(set, buf, false);
	case SEM_STAT:
	case SEM_STAT_ANY:
		result = set_stat(set, buf, cmd == SEM_STAT_ANY);
		return result == OK ? set->obj.id : result;
	case GETALL:
	case SETALL: return all_control(set, cmd, buf);
	default: return sem_control(set, num, cmd, (int)arg);
	}
}

long
sys_semctl(int id, int semnum, int cmd, uint64_t arg)
{
	bool by_slot = cmd == SEM_STAT || cmd == SEM_STAT_ANY;
	struct sysv_obj *o;
	long result;

	if (id < 0)
		return ERR_INVAL;
	if (cmd == IPC_INFO || cmd == SEM_INFO)
		return sem_info(cmd, (void USER *)arg);
	if (cmd != IPC_RMID && cmd != IPC_SET && cmd != IPC_STAT &&
	    (cmd < GETPID || cmd > SEM_STAT_ANY))
		return ERR_INVAL;
	o = by_slot ? sysv_find_slot(&sets, id) : sysv_find(&sets, id);
	if (!o)
		return ERR_INVAL;
	result = set_control(set_of(o), semnum, cmd, arg);
	sysv_put(&sets, o);
	return result;
}

/* ---- /proc ---- */

static void
set_line(struct sysv_obj *o, struct seq *seq)
{
	const struct semset *set = set_of(o);

	seq_printf(seq, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lld %10lld\n", o->key,
	    o->id, o->mode, set->num, o->uid, o->gid, o->cuid, o->cgid,
	    (long long)set->otime_s, (long long)o->ctime_s);
}

static void
show_sets(struct seq *seq)
{
	seq_puts(seq,
	    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime"
	    "      ctime\n");
	sysv_show(&sets, seq, set_line);
}

static void
show_limits(struct seq *seq)
{
	seq_printf(seq, "%llu\t%llu\t%llu\t%llu\n", (unsigned long long)semmsl,
	    (unsigned long long)semmns, (unsigned long long)semopm,
	    (unsigned long long)semmni);
}

static enum err
store_limits(const char *text)
{
	static const uint64_t max[4] = {65536, INT32_MAX, 65536, SYSV_MAX_OBJECTS};
	uint64_t *const limits[4] = {&semmsl, &semmns, &semopm, &semmni}, values[4];

	for (unsigned i = 0; i < 4; i++) {
		while (*text == ' ' || *text == '\t')
			text++;
		if (!parse_u64(text, &text, 10, &values[i]) || values[i] > max[i])
			return ERR_INVAL;
	}
	for (unsigned i = 0; i < 4; i++)
		*limits[i] = values[i];
	return OK;
}

void
sysv_sem_init(void)
{
	/* Without the files where there is no memory. */
	(void)proc_register_rw("sys/kernel/sem", show_limits, store_limits);
	(void)proc_register("sysvipc/sem", show_sets);
}
