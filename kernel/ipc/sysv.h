/*
 * What the three kinds of System V IPC share: numbers, keys, owners and permissions, the
 * limits and /proc/sysvipc. Linux's meaning and layouts (ipc/util.c there, svipc(7)).
 *
 * A table holds the objects of one kind. An id is a slot number and how often the slot
 * has been used. Finding is a read under RCU that takes a reference; what happens to the
 * object is under its own lock. Removal takes it out of the table first, then marks it
 * `is_removed` under its lock: who came before that and still waits sees ERR_IDRM.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "lib/err.h"
#include "lib/rbtree.h"
#include "lib/types.h"

struct seq;

enum {
	SYSV_SLOT_BITS = 15,
	SYSV_MAX_OBJECTS = 1 << SYSV_SLOT_BITS,
	SYSV_BLOCK = 256, /* slots are allocated in blocks */
};

enum {
	IPC_PRIVATE = 0,
	IPC_CREAT = 01000,
	IPC_EXCL = 02000,
	IPC_NOWAIT = 04000,

	IPC_RMID = 0,
	IPC_SET = 1,
	IPC_STAT = 2,
	IPC_INFO = 3,
};

enum { SYSV_READ = 0444, SYSV_WRITE = 0222 };

struct sysv_obj {
	uint32_t refs; /* [a] the table's while it is there, and the users' */
	int32_t id;    /* [I] */
	struct rcu_head rcu;
	struct rb_node key_node; /* [table] */
	struct spinlock lock;
	int32_t key;                   /* [table] IPC_PRIVATE: not found by key */
	bool is_removed;               /* [lock] */
	uint32_t uid, gid, cuid, cgid; /* [lock] cuid and cgid [I] */
	uint32_t mode;                 /* [lock] rights, and what the kind adds */
	int64_t ctime_s;               /* [lock] */
};

struct sysv_table {
	struct mutex *lock;       /* creation, removal, keys */
	struct sysv_obj ***slots; /* [lock, R] blocks of SYSV_BLOCK */
	uint16_t *uses;           /* [lock] of each slot */
	struct rb_root keys;      /* [lock] */
	uint32_t num;             /* [lock] objects; read without */
	uint32_t highest;         /* [lock] no slot above is in use; read without */
	const uint64_t *limit;    /* how many there may be */
	void (*free)(struct sysv_obj *); /* the last reference is gone; any context */
};

/* struct ipc64_perm of x86-64. */
struct user_ipc_perm {
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t seq, pad;
	uint64_t unused[2];
};

static_assert(sizeof(struct user_ipc_perm) == 48, "ipc64_perm");

/*
 * The get call: finds the object of `key` and lets `check` look at it, or makes one by
 * `create` (which fills in what is the kind's; OK, or an error that is passed on). The id
 * or an err.
 */
struct sysv_get {
	int32_t key;
	int flags;
	enum err (*check)(const struct sysv_obj *, const struct sysv_get *);
	enum err (*create)(const struct sysv_get *, struct sysv_obj **);
	uint64_t size;
	uint64_t count;
};
long sysv_get(struct sysv_table *, const struct sysv_get *);

/* A reference to the object, or NULL: no such id. By slot: for the *_STAT commands. */
struct sysv_obj *sysv_find(struct sysv_table *, int id);
struct sysv_obj *sysv_find_slot(struct sysv_table *, int slot);
void sysv_put(struct sysv_table *, struct sysv_obj *);

/* Whether the caller has the rights SYSV_READ, SYSV_WRITE: OK or ERR_ACCES. */
enum err sysv_may(const struct sysv_obj *, uint32_t rights);
/* Whether it may remove or change the object: OK or ERR_PERM. */
enum err sysv_may_control(const struct sysv_obj *);

/* Out of the table; false if it was out already. Then the caller marks it removed. */
bool sysv_take_out(struct sysv_table *, struct sysv_obj *);
/* It cannot be found by its key any more. */
void sysv_hide_key(struct sysv_table *, struct sysv_obj *);

void sysv_perm_fill(const struct sysv_obj *, struct user_ipc_perm *);
/* IPC_SET: takes owner and rights. ERR_INVAL. The object's lock is held. */
void sysv_perm_set(struct sysv_obj *, const struct user_ipc_perm *);

/* Highest slot in use, 0 when there is none: what IPC_INFO returns. */
int sysv_highest(const struct sysv_table *);

int64_t sysv_now_s(void);

/* Writes a line for each object, under its lock, in order of slots. */
void sysv_show(
    struct sysv_table *, struct seq *, void (*line)(struct sysv_obj *, struct seq *));

/* /proc/sys/kernel/NAME for a limit of at most `max`. */
struct sysv_limit {
	const char *name;
	uint64_t *value, max;
};
void sysv_limits_register(const struct sysv_limit *, unsigned num);

void sysv_init(void); /* kernel_main: /proc files of all kinds */
void sysv_shm_init(void);
void sysv_sem_init(void);
void sysv_msg_init(void);
