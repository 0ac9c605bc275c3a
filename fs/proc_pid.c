/*
 * The directories of processes in /proc: PID/, PID/task/TID/, and what is in them by one
 * table. An inode holds no process, only its number: a file of a process that is gone
 * reads as empty, a link of it leads nowhere.
 */
#include "fs/procfs.h"

#include "kernel/proc/access.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/process.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/slab.h"

static const struct inode_ops pid_dir_ops, task_dir_ops, tid_dir_ops, self_ops,
    thread_self_ops, mounts_ops, net_ops, exe_ops, cwd_ops, root_ops, private_ops,
    setgroups_ops, comm_ops;

/* One name in the directory of a process or thread. */
struct member {
	const char *name;
	uint32_t mode;
	const struct inode_ops *ops;
	void (*show)(struct seq *, const struct proc_id *);
	enum err (*store)(const struct proc_id *, const char *text); /* NULL: read only */
};

struct process *
proc_process(const struct proc_id *id)
{
	return process_find(id->pid);
}

struct thread *
proc_thread(const struct proc_id *id)
{
	struct process *p;
	struct thread *t;

	if (id->tid && id->tid != id->pid) /* a leader that has ended is still there */
		return thread_find(id->tid);
	p = process_find(id->pid);
	if (!p)
		return NULL;
	t = process_leader(p);
	process_put(p);
	return t;
}

/* A thread that has ended, the leader too, has no memory though others of its process have. */
static bool
has_memory(const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	bool has = t && __atomic_load_n(&t->aspace, __ATOMIC_RELAXED);

	if (t)
		thread_put(t);
	return has;
}

struct aspace *
proc_aspace(const struct proc_id *id)
{
	struct process *p = has_memory(id) ? proc_process(id) : NULL;
	struct aspace *as;

	if (!p)
		return NULL;
	as = process_aspace(p);
	process_put(p);
	return as;
}

enum err
proc_may_look(const struct proc_id *id)
{
	struct process *p = proc_process(id);
	enum err err;

	if (!p)
		return ERR_NOENT;
	err = process_may_access(p, ACCESS_FS_IDS);
	process_put(p);
	return err ? ERR_ACCES : OK;
}

struct aspace *
proc_aspace_look(const struct proc_id *id)
{
	struct process *p = has_memory(id) ? proc_process(id) : NULL;
	struct aspace *as = NULL;

	if (!p)
		return NULL;
	if (process_access_aspace(p, ACCESS_FS_IDS, &as) != OK)
		as = NULL;
	process_put(p);
	return as;
}

/* A file with something that is the process's own: who may not see it may not open it. It is asked
 * for again when it is read, since the process may be another program by then. */
static enum err
private_open(struct inode *inode, struct file *f)
{
	return proc_may_look(&proc_inode_of(inode)->id);
}

static enum err
setgroups_open(struct inode *inode, struct file *f)
{
	return (f->mode & FILE_WRITE) && !capable(CAP_SYS_ADMIN) ? ERR_ACCES : OK;
}

bool
proc_grants_self(const struct inode *inode, unsigned may)
{
	const struct process *p = current_process();

	return p && p->pid == proc_inode_of(inode)->id.pid;
}

static struct fs_context *
fs_of(const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	struct fs_context *fs;

	if (!t)
		return NULL;
	fs = thread_fs(t);
	thread_put(t);
	return fs;
}

/* ---- texts */

static void
show_comm(struct seq *s, const struct proc_id *id)
{
	struct thread *t = proc_thread(id);

	if (!t)
		return;
	seq_printf(s, "%s\n", t->name);
	thread_put(t);
}

/* Threads of a process name each other: pthread_setname_np. */
static enum err
store_comm(const struct proc_id *id, const char *text)
{
	struct thread *t = proc_thread(id);
	enum err err = t && t->process == current_process() ? OK : ERR_INVAL;

	if (err == OK)
		strlcpy(t->name, text, sizeof(t->name));
	if (t)
		thread_put(t);
	return err;
}

/* [start, end) of the process's own memory. */
static void
show_memory(struct seq *s, struct aspace *as, vaddr_t start, vaddr_t end)
{
	enum { PIECE = 512, MOST = 1 << 20 };
	char buf[PIECE];

	end = MIN(end, start + MOST);
	while (start < end) {
		size_t want = MIN((size_t)(end - start), sizeof(buf));
		size_t n = aspace_read(as, start, buf, want);

		seq_write(s, buf, n);
		start += n;
		if (n < want)
			break;
	}
}

static void
show_cmdline(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace(id);

	if (!as)
		return;
	show_memory(s, as, as->arg_start, as->arg_end);
	aspace_put(as);
}

static void
show_environ(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace_look(id);

	if (!as)
		return;
	show_memory(s, as, as->env_start, as->env_end);
	aspace_put(as);
}

static void
show_mounts_as(struct seq *s, const struct proc_id *id, enum mounts_style style)
{
	struct fs_context *fs = fs_of(id);
	struct path root;

	if (!fs)
		return;
	fs_context_root(fs, &root);
	mounts_show(s, &root, style);
	path_put(&root);
	fs_context_put(fs);
}

static void
show_mounts(struct seq *s, const struct proc_id *id)
{
	show_mounts_as(s, id, MOUNTS_FSTAB);
}

static void
show_mountinfo(struct seq *s, const struct proc_id *id)
{
	show_mounts_as(s, id, MOUNTS_INFO);
}

static void
show_mountstats(struct seq *s, const struct proc_id *id)
{
	show_mounts_as(s, id, MOUNTS_STATS);
}

static void
show_cgroup(struct seq *s, const struct proc_id *id)
{
	seq_puts(s, "0::/\n");
}

static void
show_personality(struct seq *s, const struct proc_id *id)
{
	struct process *p = proc_process(id);

	if (!p)
		return;
	s->error = process_may_access(p, ACCESS_FS_IDS);
	seq_printf(s, "%08x\n", p->personality);
	process_put(p);
}

/* Of another thread only with CAP_SYS_NICE: NULL then. */
static struct thread *
slack_thread(const struct proc_id *id)
{
	struct thread *t = proc_thread(id);

	if (!t || t == current_thread() || capable(CAP_SYS_NICE))
		return t;
	thread_put(t);
	return NULL;
}

static void
show_timer_slack(struct seq *s, const struct proc_id *id)
{
	struct thread *t = slack_thread(id);

	if (!t) {
		s->error = ERR_PERM;
		return;
	}
	seq_printf(s, "%lu\n", t->timer_slack_ns);
	thread_put(t);
}

static enum err
store_timer_slack(const struct proc_id *id, const char *text)
{
	struct thread *t;
	const char *end;
	uint64_t ns;

	if (!parse_u64(text, &end, 10, &ns) || *end)
		return ERR_INVAL;
	t = slack_thread(id);
	if (!t)
		return ERR_PERM;
	t->timer_slack_ns = ns ? ns : t->default_slack_ns;
	thread_put(t);
	return OK;
}

static void
show_timers(struct seq *s, const struct proc_id *id)
{
	struct process *p = proc_process(id);

	if (!p)
		return;
	posix_timers_show(s, p);
	process_put(p);
}

static bool
has_thread(struct process *p, uint32_t tid)
{
	const struct thread *t;
	bool has = false;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, process_link)
		has |= t->tid == tid;
	spin_unlock(&p->lock);
	return has;
}

/* The children that a thread has made; the leader's are also those of threads that have ended. */
static void
show_children(struct seq *s, const struct proc_id *id)
{
	enum { MOST = 1024 };
	struct process *p = proc_process(id);
	uint32_t *pids = p ? kmalloc(MOST * sizeof(*pids)) : NULL;
	const struct process *child;
	unsigned n = 0;

	if (pids) {
		spin_lock(&proc_tree_lock);
		list_for_each(child, &p->children, sibling_link) {
			bool is_orphan = !has_thread(p, child->creator_tid);

			if (n < MOST && (child->creator_tid == id->tid ||
			                    (is_orphan && id->tid == p->pid)))
				pids[n++] = child->pid;
		}
		spin_unlock(&proc_tree_lock);
	}
	for (unsigned i = 0; i < n; i++)
		seq_printf(s, "%u ", pids[i]);
	kfree(pids);
	if (p)
		process_put(p);
}

/* Which memory core files have (core(5)): enum core_filter. */
static void
show_core_filter(struct seq *s, const struct proc_id *id)
{
	struct aspace *as = proc_aspace(id);

	if (!as)
		return;
	seq_printf(s, "%08x\n", as->core_filter);
	aspace_put(as);
}

static enum err
store_core_filter(const struct proc_id *id, const char *text)
{
	struct aspace *as;
	const char *end;
	uint64_t value;

	if (!parse_u64(text, &end, 0, &value) || *end || value > UINT32_MAX)
		return ERR_INVAL;
	as = proc_aspace(id);
	if (!as)
		return ERR_SRCH;
	as->core_filter = value & CORE_FILTER_ALL;
	aspace_put(as);
	return OK;
}

static const struct member members[] = {
    /* only of processes, only of threads: is_in */
    {"task", S_IFDIR | 0555, &task_dir_ops, NULL, NULL},
    {"children", S_IFREG | 0444, &proc_plain_ops, show_children, NULL},
    {"auxv", S_IFREG | 0400, &private_ops, proc_show_auxv, NULL},
    {"cgroup", S_IFREG | 0444, &proc_plain_ops, show_cgroup, NULL},
    {"cmdline", S_IFREG | 0444, &proc_plain_ops, show_cmdline, NULL},
    {"comm", S_IFREG | 0644, &comm_ops, show_comm, store_comm},
    {"coredump_filter", S_IFREG | 0644, &proc_plain_ops, show_core_filter,
        store_core_filter},
    {"cwd", S_IFLNK | 0777, &cwd_ops, NULL, NULL},
    {"environ", S_IFREG | 0400, &private_ops, show_environ, NULL},
    {"exe", S_IFLNK | 0777, &exe_ops, NULL, NULL},
    {"fd", S_IFDIR | 0500, &proc_fd_dir_ops, NULL, NULL},
    {"fdinfo", S_IFDIR | 0555, &proc_fdinfo_dir_ops, NULL, NULL},
    {"gid_map", S_IFREG | 0644, &proc_plain_ops, proc_show_id_map, proc_store_id_map},
    {"io", S_IFREG | 0400, &proc_plain_ops, proc_show_io, NULL},
    {"limits", S_IFREG | 0444, &proc_plain_ops, proc_show_limits, NULL},
    {"maps", S_IFREG | 0444, &private_ops, proc_show_maps, NULL},
    {"mem", S_IFREG | 0600, &proc_mem_ops, NULL, NULL},
    {"mountinfo", S_IFREG | 0444, &proc_plain_ops, show_mountinfo, NULL},
    {"mounts", S_IFREG | 0444, &proc_plain_ops, show_mounts, NULL},
    {"mountstats", S_IFREG | 0444, &proc_plain_ops, show_mountstats, NULL},
    {"net", S_IFDIR | 0555, NULL, NULL, NULL},
    {"ns", S_IFDIR | 0511, &proc_ns_dir_ops, NULL, NULL},
    {"oom_adj", S_IFREG | 0644, &proc_plain_ops, proc_show_oom_adj, proc_store_oom_adj},
    {"oom_score", S_IFREG | 0444, &proc_plain_ops, proc_show_oom_score, NULL},
    {"oom_score_adj", S_IFREG | 0644, &proc_plain_ops, proc_show_oom_score_adj,
        proc_store_oom_score_adj},
    {"personality", S_IFREG | 0400, &proc_plain_ops, show_personality, NULL},
    {"projid_map", S_IFREG | 0644, &proc_plain_ops, proc_show_id_map, proc_store_id_map},
    {"root", S_IFLNK | 0777, &root_ops, NULL, NULL},
    {"sched", S_IFREG | 0444, &proc_plain_ops, proc_show_sched, NULL},
    {"schedstat", S_IFREG | 0444, &proc_plain_ops, proc_show_schedstat, NULL},
    {"setgroups", S_IFREG | 0644, &setgroups_ops, proc_show_setgroups,
        proc_store_setgroups},
    {"smaps", S_IFREG | 0444, &private_ops, proc_show_smaps, NULL},
    {"smaps_rollup", S_IFREG | 0444, &private_ops, proc_show_smaps_rollup, NULL},
    {"stack", S_IFREG | 0400, &proc_plain_ops, proc_show_stack, NULL},
    {"stat", S_IFREG | 0444, &proc_plain_ops, proc_show_stat, NULL},
    {"statm", S_IFREG | 0444, &proc_plain_ops, proc_show_statm, NULL},
    {"status", S_IFREG | 0444, &proc_plain_ops, proc_show_status, NULL},
    {"syscall", S_IFREG | 0400, &proc_plain_ops, proc_show_syscall, NULL},
    {"timers", S_IFREG | 0444, &proc_plain_ops, show_timers, NULL},
    {"timerslack_ns", S_IFREG | 0666, &proc_plain_ops, show_timer_slack,
        store_timer_slack},
    {"uid_map", S_IFREG | 0644, &proc_plain_ops, proc_show_id_map, proc_store_id_map},
    {"wchan", S_IFREG | 0444, &proc_plain_ops, proc_show_wchan, NULL},
    /* last: only in debug kernels */
    {"fail-nth", S_IFREG | 0644, &proc_fail_ops, NULL, NULL},
};

enum { NUM_MEMBERS = ARRAY_SIZE(members) - !CONFIG_DEBUG };

enum {
	INO_DIR = 0,
	INO_SELF = 1,
	INO_THREAD_SELF = 2,
	INO_MOUNTS = 3,
	INO_NET = 4,
	INO_MEMBERS = 5
};

/* ---- inodes */

uint64_t
proc_pid_ino(uint32_t pid, unsigned number)
{
	return (uint64_t)1 << 52 | (uint64_t)pid << 20 | number;
}

/* An inode of a process, owned by its effective user; what is in the directory of one that may not be
 * looked into is root's. ERR_NOENT: it is gone. */
static enum err
create(struct super *super, const struct inode_ops *ops, uint32_t mode, unsigned number,
    const struct proc_id *id, struct proc_inode **out)
{
	struct process *p = proc_process(id);
	struct aspace *as;
	struct cred *cred;
	bool is_dumpable;

	if (!p)
		return ERR_NOENT;
	*out = proc_inode_create(
	    super, ops, mode, proc_pid_ino(id->tid ? id->tid : id->pid, number), id);
	cred = *out ? process_cred(p) : NULL;
	as = process_aspace(p);
	is_dumpable = !as || as->dumpable == DUMPABLE_USER;
	if (as)
		aspace_put(as);
	process_put(p);
	if (!*out)
		return ERR_NOMEM;
	if (cred && (is_dumpable || mode == (S_IFDIR | 0555))) {
		(*out)->inode.uid = cred->euid;
		(*out)->inode.gid = cred->egid;
	}
	if (cred)
		cred_put(cred);
	return OK;
}

static const struct file_ops *
file_ops_of(const struct member *m)
{
	if (m->show)
		return &proc_text_file_ops;
	return m->ops == &proc_mem_ops ? &proc_mem_file_ops : &proc_fail_file_ops;
}

static bool
is_in(unsigned member, const struct proc_id *id)
{
	enum { TASK, CHILDREN };

	return id->tid ? member != TASK : member != CHILDREN;
}

static enum err
member_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	const struct proc_id *id = &proc_inode_of(dir)->id;

	if (proc_may_enter(dir))
		return ERR_PERM;
	for (unsigned i = 0; i < NUM_MEMBERS; i++) {
		const struct member *m = &members[i];
		struct proc_inode *p;
		enum err err;

		if (strlen(m->name) != name->len ||
		    memcmp(m->name, name->text, name->len) != 0 || !is_in(i, id))
			continue;
		if (!m->ops)
			return proc_net_inode(dir->super, out);
		err = create(dir->super, m->ops, m->mode, INO_MEMBERS + i, id, &p);
		if (err)
			return err;
		p->show = m->show;
		p->store = m->store;
		if (s_isreg(m->mode))
			p->inode.file_ops = file_ops_of(m);
		*out = &p->inode;
		return OK;
	}
	return ERR_NOENT;
}

static enum err
member_readdir(struct inode *dir, struct dir_sink *sink)
{
	const struct proc_id *id = &proc_inode_of(dir)->id;

	if (!proc_emit_dots(sink, dir->ino, 1))
		return OK;
	while (sink->pos - 2 < (loff_t)NUM_MEMBERS) {
		unsigned i = sink->pos - 2;

		if (is_in(i, id) &&
		    !sink->emit(sink, members[i].name, strlen(members[i].name),
		        proc_pid_ino(id->tid ? id->tid : id->pid, INO_MEMBERS + i),
		        members[i].mode, sink->pos + 1))
			return OK;
		sink->pos++;
	}
	return OK;
}

static enum err
pid_dir(struct super *super, const struct proc_id *id, struct inode **out)
{
	struct proc_inode *p;
	enum err err = create(super, id->tid ? &tid_dir_ops : &pid_dir_ops,
	    S_IFDIR | 0555, INO_DIR, id, &p);

	if (!err)
		*out = &p->inode;
	return err;
}

/* ---- task/ */

static enum err
task_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	struct proc_id id = proc_inode_of(dir)->id;
	struct thread *t;
	bool is_ours;

	if (!proc_parse_number(name, &id.tid) || id.tid == 0)
		return ERR_NOENT;
	t = proc_thread(&id);
	if (!t)
		return ERR_NOENT;
	is_ours = t->process && t->process->pid == id.pid;
	thread_put(t);
	return is_ours ? pid_dir(dir->super, &id, out) : ERR_NOENT;
}

/* The smallest thread number of `p` that is >= tid, or 0. */
static uint32_t
next_tid(struct process *p, uint32_t tid)
{
	struct thread *t;
	uint32_t found = 0;

	spin_lock(&p->lock);
	if (p->leader && p->pid >= tid)
		found = p->pid;
	list_for_each(t, &p->threads, process_link)
		if (t->tid >= tid && (!found || t->tid < found))
			found = t->tid;
	spin_unlock(&p->lock);
	return found;
}

static bool
emit_number(
    struct dir_sink *sink, uint32_t number, uint64_t ino, uint32_t mode, loff_t next_pos)
{
	char text[12];
	size_t n = scnprintf(text, sizeof(text), "%u", number);

	return sink->emit(sink, text, n, ino, mode, next_pos);
}

static enum err
task_readdir(struct inode *dir, struct dir_sink *sink)
{
	const struct proc_id *id = &proc_inode_of(dir)->id;
	struct process *p = proc_process(id);
	uint32_t tid;

	if (!p)
		return ERR_NOENT;
	if (proc_emit_dots(sink, dir->ino, proc_pid_ino(id->pid, INO_DIR))) {
		while ((tid = next_tid(p, sink->pos - 1))) {
			if (!emit_number(
			        sink, tid, proc_pid_ino(tid, INO_DIR), S_IFDIR, tid + 2))
				break;
			sink->pos = (loff_t)tid + 2;
		}
	}
	process_put(p);
	return OK;
}

/* ---- links */

static enum err
context_follow(struct inode *inode, struct path *out,
    void (*get)(struct fs_context *, struct path *))
{
	const struct proc_id *id = &proc_inode_of(inode)->id;
	enum err err = proc_may_look(id);
	struct fs_context *fs;

	if (err)
		return err;
	fs = fs_of(id);
	if (!fs)
		return ERR_NOENT;
	get(fs, out);
	fs_context_put(fs);
	return OK;
}

static enum err
cwd_follow(struct inode *inode, struct path *out)
{
	return context_follow(inode, out, fs_context_cwd);
}

static enum err
root_follow(struct inode *inode, struct path *out)
{
	return context_follow(inode, out, fs_context_root);
}

static enum err
exe_follow(struct inode *inode, struct path *out)
{
	const struct proc_id *id = &proc_inode_of(inode)->id;
	struct aspace *as;
	enum err err = proc_may_look(id);

	if (err)
		return err;
	err = ERR_NOENT;
	as = proc_aspace_look(id);
	if (!as)
		return err;
	if (as->exe && as->exe->dentry) {
		*out = (struct path){as->exe->mount, as->exe->dentry};
		path_get(out);
		err = OK;
	}
	aspace_put(as);
	return err;
}

/* The text of a magic link is the path it leads to, as the caller sees it. */
long
proc_magic_readlink(struct inode *inode, char *buf, size_t size)
{
	struct path target, root;
	bool is_reachable;
	char *text;
	size_t n = 0;
	enum err err = inode->ops->follow(inode, &target);

	if (err)
		return err;
	fs_context_root(current_fs(), &root);
	text = path_text(&target, &root, buf, size, &is_reachable);
	path_put(&root);
	path_put(&target);
	if (!text)
		return ERR_NAMETOOLONG;
	n = strlen(text);
	memmove(buf, text, n);
	return n;
}

static long
self_readlink(struct inode *inode, char *buf, size_t size)
{
	struct process *p = current_process();

	return p ? scnprintf(buf, size, "%u", p->pid) : ERR_NOENT;
}

static long
thread_self_readlink(struct inode *inode, char *buf, size_t size)
{
	struct process *p = current_process();

	return p ? scnprintf(buf, size, "%u/task/%u", p->pid, current_thread()->tid)
	         : ERR_NOENT;
}

static long
mounts_readlink(struct inode *inode, char *buf, size_t size)
{
	return scnprintf(buf, size, "self/mounts");
}

static long
net_readlink(struct inode *inode, char *buf, size_t size)
{
	return scnprintf(buf, size, "self/net");
}

uint32_t
file_proc_pid(const struct file *f)
{
	if (!f->inode || f->inode->ops != &pid_dir_ops || (f->mode & FILE_PATH))
		return 0;
	return proc_inode_of(f->inode)->id.pid;
}

static enum err
folder_open(struct inode *inode, struct file *f)
{
	return f->mode & FILE_PATH ? OK : proc_may_enter(inode);
}

static const struct inode_ops pid_dir_ops = {.lookup = member_lookup,
    .readdir = member_readdir,
    .open = folder_open,
    .free = proc_inode_free};
static const struct inode_ops tid_dir_ops = {
    .lookup = member_lookup, .readdir = member_readdir, .free = proc_inode_free};
static const struct inode_ops task_dir_ops = {
    .lookup = task_lookup, .readdir = task_readdir, .free = proc_inode_free};
static const struct inode_ops self_ops = {
    .readlink = self_readlink, .free = proc_inode_free};
static const struct inode_ops thread_self_ops = {
    .readlink = thread_self_readlink, .free = proc_inode_free};
static const struct inode_ops mounts_ops = {
    .readlink = mounts_readlink, .free = proc_inode_free};
static const struct inode_ops net_ops = {
    .readlink = net_readlink, .free = proc_inode_free};
static const struct inode_ops comm_ops = {
    .setattr = proc_plain_setattr, .grants = proc_grants_self, .free = proc_inode_free};
static const struct inode_ops setgroups_ops = {
    .setattr = proc_plain_setattr, .open = setgroups_open, .free = proc_inode_free};
static const struct inode_ops private_ops = {
    .setattr = proc_plain_setattr, .open = private_open, .free = proc_inode_free};
static const struct inode_ops exe_ops = {
    .follow = exe_follow, .readlink = proc_magic_readlink, .free = proc_inode_free};
static const struct inode_ops cwd_ops = {
    .follow = cwd_follow, .readlink = proc_magic_readlink, .free = proc_inode_free};
static const struct inode_ops root_ops = {
    .follow = root_follow, .readlink = proc_magic_readlink, .free = proc_inode_free};

/* ---- in the root directory */

static bool
is_name(const struct name *name, const char *text)
{
	return name->len == strlen(text) && !memcmp(name->text, text, name->len);
}

enum err
proc_pid_lookup(struct super *super, const struct name *name, struct inode **out)
{
	struct proc_id id = {.pid = 0};
	struct proc_inode *p = NULL;

	if (is_name(name, "self"))
		p = proc_inode_create(
		    super, &self_ops, S_IFLNK | 0777, proc_pid_ino(0, INO_SELF), &id);
	else if (is_name(name, "thread-self"))
		p = proc_inode_create(super, &thread_self_ops, S_IFLNK | 0777,
		    proc_pid_ino(0, INO_THREAD_SELF), &id);
	else if (is_name(name, "mounts"))
		p = proc_inode_create(
		    super, &mounts_ops, S_IFLNK | 0777, proc_pid_ino(0, INO_MOUNTS), &id);
	else if (is_name(name, "net"))
		p = proc_inode_create(
		    super, &net_ops, S_IFLNK | 0777, proc_pid_ino(0, INO_NET), &id);
	else if (proc_parse_number(name, &id.pid) && id.pid)
		return proc_is_visible(super, id.pid) ? pid_dir(super, &id, out)
		                                      : ERR_NOENT;
	else
		return ERR_NOENT;
	if (!p)
		return ERR_NOMEM;
	*out = &p->inode;
	return OK;
}

/* Positions from PROC_FIRST_PID: self, thread-self, mounts, net, then 4 + pid. */
void
proc_pid_readdir(const struct super *super, struct dir_sink *sink)
{
	static const char *const links[] = {"self", "thread-self", "mounts", "net"};
	uint32_t pid;

	if (sink->pos < PROC_FIRST_PID)
		sink->pos = PROC_FIRST_PID;
	while (sink->pos < PROC_FIRST_PID + (loff_t)ARRAY_SIZE(links)) {
		unsigned i = sink->pos - PROC_FIRST_PID;

		if (!sink->emit(sink, links[i], strlen(links[i]), proc_pid_ino(0, i + 1),
		        S_IFLNK, sink->pos + 1))
			return;
		sink->pos++;
	}
	while ((pid = process_next_pid(sink->pos - PROC_FIRST_PID - ARRAY_SIZE(links)))) {
		if (proc_is_visible(super, pid) &&
		    !emit_number(sink, pid, proc_pid_ino(pid, INO_DIR), S_IFDIR,
		        PROC_FIRST_PID + ARRAY_SIZE(links) + pid + 1))
			return;
		sink->pos = PROC_FIRST_PID + ARRAY_SIZE(links) + pid + 1;
	}
}
