/* Identifiers of System V IPC: see sysv.h. */
#include "kernel/ipc/sysv.h"

#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { BLOCKS = SYSV_MAX_OBJECTS / SYSV_BLOCK, SEQ_LIMIT = 0x10000 };

int64_t
sysv_now_s(void)
{
	return clock_wall_ns() / (int64_t)NSEC_PER_SEC;
}

/* ---- Rights ---- */

enum err
sysv_may(const struct sysv_obj *o, uint32_t rights)
{
	const struct cred *c = current_cred();
	uint32_t granted = o->mode;

	if (c->euid == o->cuid || c->euid == o->uid)
		granted >>= 6;
	else if (cred_in_group(c, o->cgid) || cred_in_group(c, o->gid))
		granted >>= 3;
	rights = (rights >> 6 | rights >> 3 | rights) & 7;
	return !(rights & ~granted) || capable(CAP_IPC_OWNER) ? OK : ERR_ACCES;
}

enum err
sysv_may_control(const struct sysv_obj *o)
{
	uint32_t euid = current_cred()->euid;

	return euid == o->cuid || euid == o->uid || capable(CAP_SYS_ADMIN) ? OK
	                                                                   : ERR_PERM;
}

/* ---- The table ---- */

static bool
key_less(const struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct sysv_obj, key_node)->key <
	       rb_entry(b, struct sysv_obj, key_node)->key;
}

static struct sysv_obj *
find_key_locked(const struct sysv_table *t, int32_t key)
{
	struct rb_node *n = t->keys.node;

	while (n) {
		struct sysv_obj *o = rb_entry(n, struct sysv_obj, key_node);

		if (o->key == key)
			return o;
		n = key < o->key ? n->left : n->right;
	}
	return NULL;
}

/* The blocks' array and the counts, made with the first object. */
static enum err
make_table_locked(struct sysv_table *t)
{
	struct sysv_obj ***slots;

	if (t->slots)
		return OK;
	slots = kzalloc(BLOCKS * sizeof(struct sysv_obj **));
	t->uses = kzalloc(SYSV_MAX_OBJECTS * sizeof(t->uses[0]));
	if (!slots || !t->uses) {
		kfree(slots);
		kfree(t->uses);
		t->uses = NULL;
		return ERR_NOMEM;
	}
	rcu_assign(t->slots, slots);
	return OK;
}

/* The first free slot, with its block. ERR_NOSPC, ERR_NOMEM. */
static long
free_slot_locked(struct sysv_table *t)
{
	enum err err = make_table_locked(t);

	if (err != OK)
		return err;
	for (unsigned b = 0; b < BLOCKS; b++) {
		if (!t->slots[b]) {
			struct sysv_obj **block =
			    kzalloc(SYSV_BLOCK * sizeof(struct sysv_obj *));

			if (!block)
				return ERR_NOMEM;
			rcu_assign(t->slots[b], block);
		}
		for (unsigned i = 0; i < SYSV_BLOCK; i++)
			if (!t->slots[b][i])
				return b * SYSV_BLOCK + i;
	}
	return ERR_NOSPC;
}

static void
enter_locked(
    struct sysv_table *t, struct sysv_obj *o, const struct sysv_get *g, long slot)
{
	const struct cred *c = current_cred();

	spin_init(&o->lock, "sysv", RANK_OBJECT);
	o->refs = 1;
	o->id = (int32_t)(t->uses[slot] << SYSV_SLOT_BITS | slot);
	t->uses[slot] = (t->uses[slot] + 1) % SEQ_LIMIT;
	o->key = g->key;
	o->uid = o->cuid = c->euid;
	o->gid = o->cgid = c->egid;
	o->mode |= g->flags & 0777;
	o->ctime_s = sysv_now_s();
	if (g->key != IPC_PRIVATE)
		rb_insert(&t->keys, &o->key_node, key_less);
	t->num++;
	t->highest = MAX(t->highest, (uint32_t)slot);
	rcu_assign(t->slots[slot / SYSV_BLOCK][slot % SYSV_BLOCK], o);
}

static long
create_locked(struct sysv_table *t, const struct sysv_get *g)
{
	struct sysv_obj *o;
	enum err err;
	long slot;

	if (t->num >= MIN(*t->limit, (uint64_t)SYSV_MAX_OBJECTS))
		return ERR_NOSPC;
	slot = free_slot_locked(t);
	if (slot < 0)
		return slot;
	err = g->create(g, &o);
	if (err != OK)
		return err;
	enter_locked(t, o, g, slot);
	return o->id;
}

long
sysv_get(struct sysv_table *t, const struct sysv_get *g)
{
	struct sysv_obj *o;
	long result;

	mutex_lock(t->lock);
	o = g->key == IPC_PRIVATE ? NULL : find_key_locked(t, g->key);
	if (o && g->flags & IPC_CREAT && g->flags & IPC_EXCL) {
		result = ERR_EXIST;
	} else if (o) {
		result = g->check(o, g);
		if (result == OK)
			result = sysv_may(o, (uint32_t)g->flags & 0777);
		if (result == OK)
			result = o->id;
	} else if (g->key != IPC_PRIVATE && !(g->flags & IPC_CREAT)) {
		result = ERR_NOENT;
	} else {
		result = create_locked(t, g);
	}
	mutex_unlock(t->lock);
	return result;
}

struct sysv_obj *
sysv_find_slot(struct sysv_table *t, int slot)
{
	struct sysv_obj ***slots, **block, *o = NULL;

	if (slot < 0 || slot >= SYSV_MAX_OBJECTS)
		return NULL;
	rcu_read_lock();
	slots = rcu_dereference(t->slots);
	block = slots ? rcu_dereference(slots[slot / SYSV_BLOCK]) : NULL;
	if (block)
		o = rcu_dereference(block[slot % SYSV_BLOCK]);
	if (o) {
		uint32_t refs = __atomic_load_n(&o->refs, __ATOMIC_RELAXED);

		while (refs && !__atomic_compare_exchange_n(&o->refs, &refs, refs + 1,
		                   false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			;
		if (!refs)
			o = NULL;
	}
	rcu_read_unlock();
	return o;
}

struct sysv_obj *
sysv_find(struct sysv_table *t, int id)
{
	struct sysv_obj *o = id < 0 ? NULL : sysv_find_slot(t, id % SYSV_MAX_OBJECTS);

	if (o && o->id != id) {
		sysv_put(t, o);
		return NULL;
	}
	return o;
}

void
sysv_put(struct sysv_table *t, struct sysv_obj *o)
{
	if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0)
		t->free(o);
}

static void
hide_key_locked(struct sysv_table *t, struct sysv_obj *o)
{
	if (o->key != IPC_PRIVATE)
		rb_erase(&t->keys, &o->key_node);
	o->key = IPC_PRIVATE;
}

void
sysv_hide_key(struct sysv_table *t, struct sysv_obj *o)
{
	mutex_lock(t->lock);
	hide_key_locked(t, o);
	mutex_unlock(t->lock);
}

bool
sysv_take_out(struct sysv_table *t, struct sysv_obj *o)
{
	unsigned slot = (unsigned)o->id % SYSV_MAX_OBJECTS;
	struct sysv_obj **at;
	bool is_there;

	mutex_lock(t->lock);
	at = &t->slots[slot / SYSV_BLOCK][slot % SYSV_BLOCK];
	is_there = *at == o;
	if (is_there) {
		rcu_assign(*at, NULL);
		hide_key_locked(t, o);
		t->num--;
		while (t->highest &&
		       (!t->slots[t->highest / SYSV_BLOCK] ||
		           !t->slots[t->highest / SYSV_BLOCK][t->highest % SYSV_BLOCK]))
			t->highest--;
	}
	mutex_unlock(t->lock);
	if (is_there)
		sysv_put(t, o);
	return is_there;
}

int
sysv_highest(const struct sysv_table *t)
{
	return (int)__atomic_load_n(&t->highest, __ATOMIC_RELAXED);
}

/* ---- What user space sees ---- */

void
sysv_perm_fill(const struct sysv_obj *o, struct user_ipc_perm *p)
{
	*p = (struct user_ipc_perm){.key = o->key,
	    .uid = o->uid,
	    .gid = o->gid,
	    .cuid = o->cuid,
	    .cgid = o->cgid,
	    .mode = o->mode,
	    .seq = (uint16_t)((uint32_t)o->id >> SYSV_SLOT_BITS)};
}

void
sysv_perm_set(struct sysv_obj *o, const struct user_ipc_perm *p)
{
	o->uid = p->uid;
	o->gid = p->gid;
	o->mode = (o->mode & ~0777u) | (p->mode & 0777);
	o->ctime_s = sysv_now_s();
}

void
sysv_show(
    struct sysv_table *t, struct seq *s, void (*line)(struct sysv_obj *, struct seq *))
{
	for (int slot = 0; t->num && slot <= sysv_highest(t); slot++) {
		struct sysv_obj *o = sysv_find_slot(t, slot);

		if (!o)
			continue;
		line(o, s);
		sysv_put(t, o);
	}
}

static void
show_limit(struct seq *s)
{
	const struct sysv_limit *l = s->private;

	seq_printf(s, "%llu\n", (unsigned long long)*l->value);
}

static enum err
store_limit(void *private, const char *text)
{
	const struct sysv_limit *l = private;
	const char *end;
	uint64_t value;

	if (!parse_u64(text, &end, 10, &value) || *end || value > l->max)
		return ERR_INVAL;
	__atomic_store_n(l->value, value, __ATOMIC_RELAXED);
	return OK;
}

void
sysv_limits_register(const struct sysv_limit *limits, unsigned num)
{
	/* A missing file is no reason not to boot: the registry says so itself. */
	for (unsigned i = 0; i < num; i++)
		(void)proc_register_private(
		    limits[i].name, show_limit, store_limit, (void *)&limits[i]);
}

void
sysv_init(void)
{
	sysv_shm_init();
	sysv_sem_init();
	sysv_msg_init();
}
