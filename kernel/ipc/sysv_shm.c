/*
 * System V shared memory (shmget(2), shmop(2), shmctl(2)). A segment is a shared file of
 * zeros without a name (mm/shmem.c); attaching maps it. Each attach has a file of its own
 * with the rights of that attach. The areas that map a segment are counted (`nattch`):
 * area_ops open and close tell. A segment that was removed goes with its last area.
 */
#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/ipc/sysv.h"
#include "kernel/proc/process.h"
#include "kernel/procfs.h"
#include "kernel/sync/mutex.h"
#include "mm/area.h"
#include "mm/commit.h"
#include "mm/filemap.h"
#include "mm/mman.h"
#include "mm/page.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	SHM_RDONLY = 010000,
	SHM_RND = 020000,
	SHM_REMAP = 040000,
	SHM_EXEC = 0100000,
	SHM_HUGETLB = 04000, /* shmget */
	SHM_NORESERVE = 010000,
	SHM_DEST = 01000, /* mode: removed, goes with the last area */
	SHM_LOCKED = 02000,

	SHM_LOCK = 11,
	SHM_UNLOCK = 12,
	SHM_STAT = 13,
	SHM_INFO = 14,
	SHM_STAT_ANY = 15,
};

struct shm {
	struct sysv_obj obj;
	struct file *file;        /* [I] its pages */
	uint64_t size;            /* [I] as asked for */
	uint64_t nattch;          /* [obj.lock] areas */
	int64_t atime_s, dtime_s; /* [obj.lock] */
	uint32_t creator, last;   /* pids; last: [obj.lock] */
};

struct user_shmid {
	struct user_ipc_perm perm;
	uint64_t size;
	int64_t atime, dtime, ctime;
	int32_t creator, last;
	uint64_t nattch, unused[2];
};

struct user_shminfo {
	uint64_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};

struct user_shm_info {
	int32_t used_ids;
	uint64_t total, resident, swapped, swap_attempts, swap_successes;
};

static_assert(sizeof(struct user_shmid) == 112, "shmid64_ds");
static_assert(sizeof(struct user_shm_info) == 48, "shm_info");

static uint64_t shmmax = UINT64_MAX - (1u << 24);
static uint64_t shmall = UINT64_MAX - (1u << 24);
static uint64_t shmmni = 4096;
static uint64_t total_pages; /* [a] */

static struct mutex shm_lock = MUTEX_INIT(shm_lock, "shm", RANK_SYSV);

static struct shm *
shm_of(struct sysv_obj *o)
{
	return container_of(o, struct shm, obj);
}

static uint64_t
shm_pages(const struct shm *s)
{
	return ALIGN_UP(s->size, PAGE_SIZE) >> PAGE_SHIFT;
}

static void
shm_free_late(struct rcu_head *h)
{
	kfree(container_of(h, struct shm, obj.rcu));
}

static void
shm_free(struct sysv_obj *o)
{
	struct shm *s = shm_of(o);

	__atomic_sub_fetch(&total_pages, shm_pages(s), __ATOMIC_RELAXED);
	file_put(s->file);
	rcu_call(&o->rcu, shm_free_late);
}

static struct sysv_table shms = {.lock = &shm_lock, .limit = &shmmni, .free = shm_free};

/* ---- shmget ---- */

static enum err
shm_check(const struct sysv_obj *o, const struct sysv_get *g)
{
	return g->size > container_of(o, struct shm, obj)->size ? ERR_INVAL : OK;
}

/* The flag means nothing where every promise is to be kept. */
static bool
is_noreserve(int flags)
{
	return flags & SHM_NORESERVE &&
	       __atomic_load_n(&overcommit_memory, __ATOMIC_RELAXED) != OVERCOMMIT_NEVER;
}

static enum err
shm_create(const struct sysv_get *g, struct sysv_obj **out)
{
	struct shm *s;

	if (!g->size || g->size > shmmax)
		return ERR_INVAL;
	if (ALIGN_UP(g->size, PAGE_SIZE) < g->size ||
	    total_pages + (ALIGN_UP(g->size, PAGE_SIZE) >> PAGE_SHIFT) > shmall)
		return ERR_NOSPC;
	if (g->flags & SHM_HUGETLB)
		return capable(CAP_IPC_LOCK) ? ERR_NOMEM : ERR_PERM;
	s = kzalloc(sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	s->file = shmem_file_create(ALIGN_UP(g->size, PAGE_SIZE), is_noreserve(g->flags));
	if (!s->file) {
		kfree(s);
		return ERR_NOMEM;
	}
	s->size = g->size;
	s->creator = current_process()->pid;
	__atomic_add_fetch(&total_pages, shm_pages(s), __ATOMIC_RELAXED);
	*out = &s->obj;
	return OK;
}

long
sys_shmget(int key, size_t size, int flags)
{
	const struct sysv_get g = {.key = key,
	    .flags = flags,
	    .size = size,
	    .check = shm_check,
	    .create = shm_create};

	return sysv_get(&shms, &g);
}

/* ---- Areas ---- */

static void
shm_area_open(struct area *a)
{
	struct shm *s = a->private;

	spin_lock(&s->obj.lock);
	s->nattch++;
	s->last = current_process() ? current_process()->pid : 0;
	spin_unlock(&s->obj.lock);
}

/* The file of the area still holds a reference. */
static void
shm_area_close(struct area *a)
{
	struct shm *s = a->private;
	bool goes;

	spin_lock(&s->obj.lock);
	s->nattch--;
	s->dtime_s = sysv_now_s();
	s->last = current_process() ? current_process()->pid : 0;
	goes = !s->nattch && s->obj.mode & SHM_DEST;
	s->obj.is_removed |= goes;
	spin_unlock(&s->obj.lock);
	if (goes)
		(void)sysv_take_out(&shms, &s->obj);
}

static enum err
shm_fault(struct area *a, vaddr_t va, unsigned access)
{
	return filemap_area_ops.fault(a, va, access);
}

static const struct area_ops shm_area_ops = {
    .name = "shm", .fault = shm_fault, .open = shm_area_open, .close = shm_area_close};

static enum err
shm_mmap(struct file *f, struct area *a)
{
	struct shm *s = f->private;
	enum err err = OK;

	spin_lock(&s->obj.lock);
	if (s->obj.is_removed) {
		err = ERR_IDRM;
	} else {
		s->nattch++;
		s->atime_s = sysv_now_s();
		s->last = current_process()->pid;
	}
	spin_unlock(&s->obj.lock);
	if (err == OK) {
		a->ops = &shm_area_ops;
		a->private = s;
	}
	return err;
}

static void
shm_release(struct file *f)
{
	sysv_put(&shms, &((struct shm *)f->private)->obj);
}

static const struct file_ops shm_file_ops = {
    .mmap = shm_mmap,
    .release = shm_release,
    .anon_mode = 0100600,
    .anon_name = "/SYSV00000000 (deleted)",
};

/* ---- shmat, shmdt ---- */

/* mmap's flags for the address that shmat was given, or an err. */
static long
attach_place(vaddr_t *addr, int flags)
{
	if (!*addr)
		return flags & SHM_REMAP ? ERR_INVAL : MAP_SHARED;
	if (!IS_ALIGNED(*addr, PAGE_SIZE)) {
		if (!(flags & SHM_RND))
			return ERR_INVAL;
		*addr = ALIGN_DOWN(*addr, (vaddr_t)PAGE_SIZE);
		if (!*addr && flags & SHM_REMAP)
			return ERR_INVAL;
	}
	return MAP_SHARED | (flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE);
}

/* A file for one attach, which takes over the reference to the segment. NULL: no memory.
 */
static struct file *
attach_file(struct shm *s, bool is_read_only)
{
	struct file *f = file_alloc(&shm_file_ops, is_read_only ? O_RDONLY : O_RDWR, s);

	if (!f) {
		sysv_put(&shms, &s->obj);
		return NULL;
	}
	f->cache = s->file->cache;
	return f;
}

long
sys_shmat(int id, vaddr_t addr, int flags)
{
	bool is_read_only = flags & SHM_RDONLY;
	int prot = PROT_READ | (is_read_only ? 0 : PROT_WRITE) |
	           (flags & SHM_EXEC ? PROT_EXEC : 0);
	long place = attach_place(&addr, flags), result;
	struct sysv_obj *o;
	struct file *f;
	enum err err;

	if (place < 0)
		return place;
	o = sysv_find(&shms, id);
	if (!o)
		return ERR_INVAL;
	err = sysv_may(o, (is_read_only ? SYSV_READ : SYSV_READ | SYSV_WRITE) |
	                      (flags & SHM_EXEC ? 0111u : 0));
	if (err != OK) {
		sysv_put(&shms, o);
		return err;
	}
	f = attach_file(shm_of(o), is_read_only);
	if (!f)
		return ERR_NOMEM;
	result = aspace_map(current_process()->aspace, addr,
	    shm_pages(shm_of(o)) << PAGE_SHIFT, prot, (int)place, f, 0);
	file_put(f);
	return result == ERR_EXIST ? ERR_INVAL : result;
}

/*
 * The next piece, from *at on, of the attach that began at `addr` (*f, NULL until it is
 * found): its range. False: none left.
 */
static bool
next_piece(
    struct aspace *as, vaddr_t addr, vaddr_t *at, const struct file **f, vaddr_t *end)
{
	struct area *a;
	bool found = false;

	rwsem_lock_shared(&as->lock);
	for (a = area_find_from(as, *at); a && !found; a = area_next(a)) {
		if (a->ops != &shm_area_ops || (*f && a->file != *f) ||
		    a->start - (a->file_page << PAGE_SHIFT) != addr)
			continue;
		*f = a->file;
		*at = a->start;
		*end = a->end;
		found = true;
	}
	rwsem_unlock_shared(&as->lock);
	return found;
}

long
sys_shmdt(vaddr_t addr)
{
	struct aspace *as = current_process()->aspace;
	const struct file *f = NULL; /* only compared */
	vaddr_t at = addr, end;
	long result = ERR_INVAL;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return ERR_INVAL;
	while (next_piece(as, addr, &at, &f, &end)) {
		result = aspace_unmap(as, at, end - at);
		if (result != OK)
			break;
		at = end;
	}
	return result;
}

/* ---- shmctl ---- */

static long
shm_stat(struct shm *s, struct user_shmid USER *buf, bool any)
{
	struct user_shmid u = {.size = s->size, .creator = (int32_t)s->creator};
	enum err err = any ? OK : sysv_may(&s->obj, SYSV_READ);

	if (err != OK)
		return err;
	spin_lock(&s->obj.lock);
	sysv_perm_fill(&s->obj, &u.perm);
	u.atime = s->atime_s;
	u.dtime = s->dtime_s;
	u.ctime = s->obj.ctime_s;
	u.last = (int32_t)s->last;
	u.nattch = s->nattch;
	spin_unlock(&s->obj.lock);
	return put_user(u, buf);
}

static uint64_t
resident_pages(void)
{
	uint64_t pages = 0;

	for (int slot = 0; shms.num && slot <= sysv_highest(&shms); slot++) {
		struct sysv_obj *o = sysv_find_slot(&shms, slot);

		if (!o)
			continue;
		pages += shm_of(o)->file->cache->num_pages;
		sysv_put(&shms, o);
	}
	return pages;
}

static long
shm_info(int cmd, void USER *buf)
{
	struct user_shminfo limits = {.shmmax = shmmax,
	    .shmmin = 1,
	    .shmmni = shmmni,
	    .shmseg = shmmni,
	    .shmall = shmall};
	struct user_shm_info used = {.used_ids = (int32_t)shms.num, .total = total_pages};
	enum err err;

	used.resident = cmd == SHM_INFO ? resident_pages() : 0;
	err = cmd == IPC_INFO ? copy_to_user(buf, &limits, sizeof(limits))
	                      : copy_to_user(buf, &used, sizeof(used));
	return err == OK ? sysv_highest(&shms) : err;
}

static enum err
shm_set(struct shm *s, const struct user_shmid USER *buf)
{
	struct user_shmid u;
	enum err err = get_user(u, buf);

	if (err == OK)
		err = sysv_may_control(&s->obj);
	if (err != OK)
		return err;
	spin_lock(&s->obj.lock);
	sysv_perm_set(&s->obj, &u.perm);
	spin_unlock(&s->obj.lock);
	return OK;
}

static enum err
shm_remove(struct shm *s)
{
	enum err err = sysv_may_control(&s->obj);
	bool goes;

	if (err != OK)
		return err;
	spin_lock(&s->obj.lock);
	goes = !s->nattch;
	s->obj.mode |= SHM_DEST;
	s->obj.is_removed |= goes;
	spin_unlock(&s->obj.lock);
	if (goes)
		(void)sysv_take_out(&shms, &s->obj);
	else
		sysv_hide_key(&shms, &s->obj);
	return OK;
}

/* Its pages stay in memory anyway; the flag is seen by others. */
static enum err
shm_lock_pages(struct shm *s, bool is_locked)
{
	uint32_t euid = current_cred()->euid;

	if (!capable(CAP_IPC_LOCK)) {
		if (euid != s->obj.uid && euid != s->obj.cuid)
			return ERR_PERM;
		if (is_locked && !current_limit(RLIMIT_MEMLOCK))
			return ERR_PERM;
	}
	spin_lock(&s->obj.lock);
	s->obj.mode = is_locked ? s->obj.mode | SHM_LOCKED : s->obj.mode & ~SHM_LOCKED;
	spin_unlock(&s->obj.lock);
	return OK;
}

static long
shm_control(struct shm *s, int cmd, void USER *buf)
{
	long result;

	switch (cmd) {
	case IPC_RMID: return shm_remove(s);
	case IPC_SET: return shm_set(s, buf);
	case IPC_STAT: return shm_stat(s, buf, false);
	case SHM_STAT:
	case SHM_STAT_ANY:
		result = shm_stat(s, buf, cmd == SHM_STAT_ANY);
		return result == OK ? s->obj.id : result;
	default: return shm_lock_pages(s, cmd == SHM_LOCK);
	}
}

long
sys_shmctl(int id, int cmd, void USER *buf)
{
	bool by_slot = cmd == SHM_STAT || cmd == SHM_STAT_ANY;
	struct sysv_obj *o;
	long result;

	if (cmd < 0 || id < 0)
		return ERR_INVAL;
	if (cmd == IPC_INFO || cmd == SHM_INFO)
		return shm_info(cmd, buf);
	if (cmd != IPC_RMID && cmd != IPC_SET && cmd != IPC_STAT &&
	    (cmd < SHM_LOCK || cmd > SHM_STAT_ANY))
		return ERR_INVAL;
	o = by_slot ? sysv_find_slot(&shms, id) : sysv_find(&shms, id);
	if (!o)
		return ERR_INVAL;
	result = shm_control(shm_of(o), cmd, buf);
	sysv_put(&shms, o);
	return result;
}

/* ---- /proc ---- */

static void
shm_line(struct sysv_obj *o, struct seq *seq)
{
	struct shm *s = shm_of(o);

	seq_printf(seq,
	    "%10d %10d  %4o %21llu %5u %5u  %5llu %5u %5u %5u %5u %10lld %10lld %10lld "
	    "%21llu %21u\n",
	    o->key, o->id, o->mode, (unsigned long long)s->size, s->creator, s->last,
	    (unsigned long long)s->nattch, o->uid, o->gid, o->cuid, o->cgid,
	    (long long)s->atime_s, (long long)s->dtime_s, (long long)o->ctime_s,
	    (unsigned long long)s->file->cache->num_pages * PAGE_SIZE, 0u);
}

static void
show_shm(struct seq *seq)
{
	seq_puts(seq, "       key      shmid perms                  size  cpid  lpid "
	              "nattch   uid   gid"
	              "  cuid  cgid      atime      dtime      ctime                   "
	              "rss          "
	              "        swap\n");
	sysv_show(&shms, seq, shm_line);
}

void
sysv_shm_init(void)
{
	static const struct sysv_limit limits[] = {
	    {"sys/kernel/shmmax", &shmmax, UINT64_MAX},
	    {"sys/kernel/shmall", &shmall, UINT64_MAX},
	    {"sys/kernel/shmmni", &shmmni, SYSV_MAX_OBJECTS},
	};

	sysv_limits_register(limits, ARRAY_SIZE(limits));
	(void)proc_register("sysvipc/shm", show_shm); /* or boot without */
}
