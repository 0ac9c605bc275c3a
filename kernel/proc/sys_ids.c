/* System calls about identity: pid and tid, user and group ids, capabilities. */
#include "syscalls.h"

#include "kernel/proc/coredump.h"
#include "kernel/proc/proc_priv.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"
#include "mm/usercopy.h"

enum { NGROUPS_MAX = 65536 };
#define NO_ID UINT32_MAX

long
sys_getpid(void)
{
	return (long)current_process()->pid;
}

long
sys_gettid(void)
{
	return (long)current_thread()->tid;
}

long
sys_getuid(void)
{
	return (long)current_cred()->uid;
}

long
sys_geteuid(void)
{
	return (long)current_cred()->euid;
}

long
sys_getgid(void)
{
	return (long)current_cred()->gid;
}

long
sys_getegid(void)
{
	return (long)current_cred()->egid;
}

/* ---- Changing ids
 * ---------------------------------------------------------------------- */

/*
 * What root's capabilities do when ids change (capabilities(7)): with no id 0 left all
 * go, with the effective id going from or to 0 the effective ones go or come.
 */
static void
cred_adjust_caps(struct cred *c, const struct cred *old)
{
	bool had_root = !old->uid || !old->euid || !old->suid;
	bool has_root = !c->uid || !c->euid || !c->suid;

	if (c->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && !has_root) {
		if (!(c->securebits & SECBIT_KEEP_CAPS)) {
			c->cap_permitted = 0;
			c->cap_effective = 0;
		}
		c->cap_ambient = 0;
	}
	if (!old->euid && c->euid)
		c->cap_effective = 0;
	else if (old->euid && !c->euid)
		c->cap_effective = c->cap_permitted;
}

/* setfsuid from or to 0: what is about files goes or comes. */
static void
cred_adjust_file_caps(struct cred *c, uint32_t old_fsuid)
{
	if (c->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (!old_fsuid && c->fsuid)
		c->cap_effective &= ~CAP_FILES;
	else if (old_fsuid && !c->fsuid)
		c->cap_effective |= c->cap_permitted & CAP_FILES;
}

static long
cred_commit(struct cred *c)
{
	struct process *p = current_process();

	cred_adjust_caps(c, p->cred);
	if (c->euid != p->cred->euid || c->egid != p->cred->egid ||
	    c->fsuid != p->cred->fsuid || c->fsgid != p->cred->fsgid ||
	    (c->cap_permitted & ~p->cred->cap_permitted)) {
		p->aspace->dumpable = (uint8_t)coredump_suid_dumpable();
		current_thread()->pdeath_signal = 0;
	}
	process_set_cred(p, c);
	return 0;
}

static bool
is_one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
	return id == a || id == b || id == c;
}

/*
 * A rule for changing ids: alters `ids` as wanted and returns true, or refuses. `has_cap`: the
 * caller may take any id.
 */
typedef bool id_rule(struct id_set *ids, const uint32_t want[3], bool has_cap);

static bool
set_id(struct id_set *ids, const uint32_t want[3], bool has_cap)
{
	uint32_t id = want[0];

	if (has_cap)
		ids->real = ids->saved = id;
	else if (id != ids->real && id != ids->saved)
		return false;
	ids->effective = ids->fs = id;
	return true;
}

static bool
set_real_effective(struct id_set *ids, const uint32_t want[3], bool has_cap)
{
	const struct id_set old = *ids;
	uint32_t real = want[0], effective = want[1];

	if (!has_cap && ((real != NO_ID &&
	                     !is_one_of(real, old.real, old.effective, old.effective)) ||
	                    (effective != NO_ID && !is_one_of(effective, old.real,
	                                               old.effective, old.saved))))
		return false;
	if (real != NO_ID)
		ids->real = real;
	if (effective != NO_ID)
		ids->effective = effective;
	if (real != NO_ID || (effective != NO_ID && effective != old.real))
		ids->saved = ids->effective;
	ids->fs = ids->effective;
	return true;
}

static bool
set_all_three(struct id_set *ids, const uint32_t want[3], bool has_cap)
{
	uint32_t *const own[3] = {&ids->real, &ids->effective, &ids->saved};
	const struct id_set old = *ids;

	for (unsigned i = 0; i < 3; i++) {
		if (want[i] == NO_ID)
			continue;
		if (!has_cap && !is_one_of(want[i], old.real, old.effective, old.saved))
			return false;
		*own[i] = want[i];
	}
	ids->fs = ids->effective;
	return true;
}

static bool
set_fs_id(struct id_set *ids, const uint32_t want[3], bool has_cap)
{
	uint32_t id = want[0];

	if (!has_cap && id != ids->fs &&
	    !is_one_of(id, ids->real, ids->effective, ids->saved))
		return false;
	ids->fs = id;
	return true;
}

static long
change_user(id_rule *rule, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t want[3] = {a, b, c};
	struct cred *cred = cred_copy(current_cred());

	if (!cred)
		return ERR_NOMEM;
	if (!rule(&cred->user, want, capable(CAP_SETUID))) {
		cred_put(cred);
		return ERR_PERM;
	}
	if (rule == set_fs_id)
		cred_adjust_file_caps(cred, current_cred()->fsuid);
	return cred_commit(cred);
}

static long
change_group(id_rule *rule, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t want[3] = {a, b, c};
	struct cred *cred = cred_copy(current_cred());

	if (!cred)
		return ERR_NOMEM;
	if (!rule(&cred->group, want, capable(CAP_SETGID))) {
		cred_put(cred);
		return ERR_PERM;
	}
	return cred_commit(cred);
}

long
sys_setuid(uint32_t uid)
{
	return uid == NO_ID ? ERR_INVAL : change_user(set_id, uid, NO_ID, NO_ID);
}

long
sys_setgid(uint32_t gid)
{
	return gid == NO_ID ? ERR_INVAL : change_group(set_id, gid, NO_ID, NO_ID);
}

long
sys_setreuid(uint32_t ruid, uint32_t euid)
{
	return change_user(set_real_effective, ruid, euid, NO_ID);
}

long
sys_setregid(uint32_t rgid, uint32_t egid)
{
	return change_group(set_real_effective, rgid, egid, NO_ID);
}

long
sys_setresuid(uint32_t ruid, uint32_t euid, uint32_t suid)
{
	return change_user(set_all_three, ruid, euid, suid);
}

long
sys_setresgid(uint32_t rgid, uint32_t egid, uint32_t sgid)
{
	return change_group(set_all_three, rgid, egid, sgid);
}

/* These two return the old id whether they changed it or not. */
long
sys_setfsuid(uint32_t uid)
{
	uint32_t old = current_cred()->fsuid;

	if (uid != NO_ID)
		(void)change_user(set_fs_id, uid, NO_ID, NO_ID);
	return (long)old;
}

long
sys_setfsgid(uint32_t gid)
{
	uint32_t old = current_cred()->fsgid;

	if (gid != NO_ID)
		(void)change_group(set_fs_id, gid, NO_ID, NO_ID);
	return (long)old;
}

static long
put_three(const uint32_t ids[3], uint32_t USER *a, uint32_t USER *b, uint32_t USER *c)
{
	if (put_user(ids[0], a) != OK || put_user(ids[1], b) != OK ||
	    put_user(ids[2], c) != OK)
		return ERR_FAULT;
	return 0;
}

long
sys_getresuid(uint32_t USER *ruid, uint32_t USER *euid, uint32_t USER *suid)
{
	const struct cred *c = current_cred();
	const uint32_t ids[3] = {c->uid, c->euid, c->suid};

	return put_three(ids, ruid, euid, suid);
}

long
sys_getresgid(uint32_t USER *rgid, uint32_t USER *egid, uint32_t USER *sgid)
{
	const struct cred *c = current_cred();
	const uint32_t ids[3] = {c->gid, c->egid, c->sgid};

	return put_three(ids, rgid, egid, sgid);
}

/* ---- Supplementary groups
 * ---------------------------------------------------------------- */

long
sys_getgroups(int size, uint32_t USER *list)
{
	const struct cred *c = current_cred();

	if (size < 0)
		return ERR_INVAL;
	if (size == 0)
		return (long)c->num_groups;
	if ((uint32_t)size < c->num_groups)
		return ERR_INVAL;
	if (copy_to_user(list, c->groups, c->num_groups * sizeof(*c->groups)) != OK)
		return ERR_FAULT;
	return (long)c->num_groups;
}

/* Shell sort: few elements as a rule, and no recursion. */
static void
sort_groups(uint32_t *g, uint32_t n)
{
	for (uint32_t gap = n / 2; gap; gap /= 2) {
		for (uint32_t i = gap; i < n; i++) {
			uint32_t v = g[i], j = i;

			for (; j >= gap && g[j - gap] > v; j -= gap)
				g[j] = g[j - gap];
			g[j] = v;
		}
	}
}

long
sys_setgroups(int size, const uint32_t USER *list)
{
	uint32_t *groups = NULL;
	struct cred *c;

	if (!capable(CAP_SETGID))
		return ERR_PERM;
	if (size < 0 || size > NGROUPS_MAX)
		return ERR_INVAL;
	if (size) {
		groups = kcalloc((size_t)size, sizeof(*groups));
		if (!groups)
			return ERR_NOMEM;
		if (copy_from_user(groups, list, (size_t)size * sizeof(*groups)) != OK) {
			kfree(groups);
			return ERR_FAULT;
		}
		sort_groups(groups, (uint32_t)size);
	}
	c = cred_copy(current_cred());
	if (!c) {
		kfree(groups);
		return ERR_NOMEM;
	}
	kfree(c->groups);
	c->groups = groups;
	c->num_groups = (uint32_t)size;
	return cred_commit(c);
}

/* ---- Capabilities
 * -------------------------------------------------------------------------- */

struct cap_header {
	uint32_t version;
	int32_t pid;
};

struct cap_data {
	uint32_t effective, permitted, inheritable;
};

/* Versions 2 and 3 have two words of each set, version 1 has one (linux/capability.h). */
enum {
	CAP_VERSION_1 = 0x19980330,
	CAP_VERSION_2 = 0x20071026,
	CAP_VERSION_3 = 0x20080522
};

/* The header and how many words follow; an unknown version is answered with the newest.
 */
static long
cap_header_get(struct cap_header USER *uheader, struct cap_header *h)
{
	static const uint32_t newest = CAP_VERSION_3;

	if (get_user(*h, uheader) != OK)
		return ERR_FAULT;
	if (h->version == CAP_VERSION_1)
		return 1;
	if (h->version == CAP_VERSION_2 || h->version == CAP_VERSION_3)
		return 2;
	return copy_to_user(uheader, &newest, sizeof(newest)) == OK ? ERR_INVAL
	                                                            : ERR_FAULT;
}

long
sys_capget(struct cap_header USER *uheader, struct cap_data USER *data)
{
	struct cap_header h;
	struct cap_data d[2];
	struct process *p;
	struct cred *c;
	long words = cap_header_get(uheader, &h);

	if (words < 0 || !data) /* without data a question for the version */
		return words == ERR_INVAL && !data ? 0 : MIN(words, 0L);
	if (h.pid < 0)
		return ERR_INVAL;
	p = h.pid ? process_find((uint32_t)h.pid) : process_get(current_process());
	if (!p)
		return ERR_SRCH;
	c = process_cred(p);
	process_put(p);
	for (unsigned i = 0; i < 2; i++)
		d[i] = (struct cap_data){(uint32_t)(c->cap_effective >> 32 * i),
		    (uint32_t)(c->cap_permitted >> 32 * i),
		    (uint32_t)(c->cap_inheritable >> 32 * i)};
	cred_put(c);
	return copy_to_user(data, d, (size_t)words * sizeof(*d));
}

long
sys_capset(struct cap_header USER *uheader, const struct cap_data USER *data)
{
	struct cap_header h;
	struct cap_data d[2] = {0};
	uint64_t effective, permitted, inheritable;
	struct cred *c;
	long words = cap_header_get(uheader, &h);

	if (words < 0)
		return words;
	if (h.pid && (uint32_t)h.pid != current_process()->pid)
		return ERR_PERM;
	if (copy_from_user(d, data, (size_t)words * sizeof(*d)) != OK)
		return ERR_FAULT;
	effective = (uint64_t)d[1].effective << 32 | d[0].effective;
	permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
	inheritable = (uint64_t)d[1].inheritable << 32 | d[0].inheritable;
	c = cred_copy(current_cred());
	if (!c)
		return ERR_NOMEM;
	/* capset's rules, capabilities(7) "Programmatically adjusting capability sets".
	 */
	if ((permitted & ~c->cap_permitted) || (effective & ~permitted) ||
	    ((inheritable & ~(c->cap_inheritable | c->cap_permitted)) &&
	        !capable(CAP_SETPCAP)) ||
	    (inheritable & ~(c->cap_inheritable | c->cap_bounding))) {
		cred_put(c);
		return ERR_PERM;
	}
	c->cap_effective = effective & CAP_ALL;
	c->cap_permitted = permitted & CAP_ALL;
	c->cap_inheritable = inheritable & CAP_ALL;
	c->cap_ambient &= c->cap_permitted & c->cap_inheritable;
	process_set_cred(current_process(), c);
	return 0;
}
