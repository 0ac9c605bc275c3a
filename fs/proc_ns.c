/*
 * Name spaces as programs see them (namespaces(7)): /proc/PID/ns, the files its links lead to, and
 * setns(2). There is one of each kind, with the number that Linux gives to the first, and everybody is in
 * it; entering it changes nothing but what Linux changes then.
 */
#include "fs/procfs.h"

#include "kernel/panic.h"
#include "kernel/proc/access.h"
#include "kernel/proc/clone.h"
#include "kernel/proc/pidfd.h"
#include "kernel/proc/process.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	NSFS_MAGIC = 0x6e736673,
	INO_NS = 64, /* and the next */

	NS_GET_USERNS = 0xb701,
	NS_GET_PARENT = 0xb702,
	NS_GET_NSTYPE = 0xb703,
	NS_GET_OWNER_UID = 0xb704,
};

static const struct kind {
	const char *name, *type;
	uint32_t flag, number;
} kinds[] = {
    {"cgroup", "cgroup", CLONE_NEWCGROUP, 4026531835},
    {"ipc", "ipc", CLONE_NEWIPC, 4026531839},
    {"mnt", "mnt", CLONE_NEWNS, 4026531832},
    {"net", "net", CLONE_NEWNET, 4026531833},
    {"pid", "pid", CLONE_NEWPID, 4026531836},
    {"pid_for_children", "pid", CLONE_NEWPID, 4026531836},
    {"time", "time", CLONE_NEWTIME, 4026531834},
    {"time_for_children", "time", CLONE_NEWTIME, 4026531834},
    {"user", "user", CLONE_NEWUSER, 4026531837},
    {"uts", "uts", CLONE_NEWUTS, 4026531838},
};
static const struct kind *const user_kind = &kinds[8];

/* Of a file that stands for a name space. */
struct ns_inode {
	struct inode inode;
	const struct kind *kind; /* [I] NULL: the root of their file system */
};

static struct super *ns_super;
static struct mount *ns_mount;

/* ---- the files */

static void
free_ns(struct inode *inode)
{
	kfree(container_of(inode, struct ns_inode, inode));
}

/* Nothing can be written to it. */
static enum err
refuse_writers(struct inode *inode, struct file *f)
{
	return f->mode & FILE_WRITE ? ERR_PERM : OK;
}

static const struct inode_ops ns_ops = {.open = refuse_writers, .free = free_ns};

static const struct kind *
kind_of(const struct inode *inode)
{
	if (!inode || inode->ops != &ns_ops)
		return NULL;
	return container_of(inode, struct ns_inode, inode)->kind;
}

static long open_ns(const struct kind *kind);

static long
ns_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	static const uint32_t root;
	const struct kind *kind = kind_of(f->inode);

	switch (cmd) {
	case NS_GET_USERNS: /* the first one's is out of sight */
		return kind == user_kind ? ERR_PERM : open_ns(user_kind);
	case NS_GET_PARENT:
		return kind->flag & (CLONE_NEWPID | CLONE_NEWUSER) ? ERR_PERM : ERR_INVAL;
	case NS_GET_NSTYPE: return kind->flag;
	case NS_GET_OWNER_UID:
		return kind == user_kind ? put_user(root, (uint32_t USER *)arg)
		                         : ERR_INVAL;
	default: return ERR_NOTTY;
	}
}

static const struct file_ops ns_file_ops = {.ioctl = ns_ioctl};

static struct inode *
make_inode(const struct kind *kind)
{
	struct ns_inode *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	inode_init(&n->inode, ns_super, &ns_ops, kind ? S_IFREG | 0444 : S_IFDIR);
	n->kind = kind;
	if (kind) {
		n->inode.ino = kind->number;
		n->inode.file_ops = &ns_file_ops;
	}
	return &n->inode;
}

static enum err
ns_path(const struct kind *kind, struct path *out)
{
	struct inode *inode = make_inode(kind);
	struct dentry *d = inode ? dentry_make_root(ns_super, inode) : NULL;

	if (!d)
		return ERR_NOMEM;
	*out = (struct path){mount_get(ns_mount), d};
	return OK;
}

static long
open_ns(const struct kind *kind)
{
	struct path path;
	struct file *f;
	enum err err = ns_path(kind, &path);
	long fd;

	if (err != OK)
		return err;
	err = path_open(&path, O_RDONLY, &f);
	path_put(&path);
	if (err != OK)
		return err;
	fd = fd_install(f, 0, true);
	if (fd < 0)
		file_put(f);
	return fd;
}

static long
kind_text(const struct kind *kind, char *buf, size_t size)
{
	return scnprintf(buf, size, "%s:[%u]", kind->type, kind->number);
}

long
proc_ns_text(const struct inode *inode, char *buf, size_t size)
{
	const struct kind *kind = kind_of(inode);

	return kind ? kind_text(kind, buf, size) : 0;
}

/* ---- the folder of a process */

static const struct kind *
link_kind(const struct inode *inode)
{
	return &kinds[proc_inode_of(inode)->id.fd];
}

static enum err
link_follow(struct inode *inode, struct path *out)
{
	enum err err = proc_may_look(&proc_inode_of(inode)->id);

	return err ? err : ns_path(link_kind(inode), out);
}

static long
link_readlink(struct inode *inode, char *buf, size_t size)
{
	enum err err = proc_may_look(&proc_inode_of(inode)->id);

	return err ? err : kind_text(link_kind(inode), buf, size);
}

static const struct inode_ops link_ops = {
    .follow = link_follow, .readlink = link_readlink, .free = proc_inode_free};

static uint64_t
link_ino(const struct proc_id *id, unsigned i)
{
	return proc_pid_ino(id->tid ? id->tid : id->pid, INO_NS + i);
}

static enum err
dir_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	struct proc_id id = proc_inode_of(dir)->id;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct proc_inode *p;

		if (strlen(kinds[i].name) != name->len ||
		    memcmp(kinds[i].name, name->text, name->len) != 0)
			continue;
		id.fd = (int)i;
		p = proc_inode_create(
		    dir->super, &link_ops, S_IFLNK | 0777, link_ino(&id, i), &id);
		if (!p)
			return ERR_NOMEM;
		p->inode.uid = dir->uid;
		p->inode.gid = dir->gid;
		*out = &p->inode;
		return OK;
	}
	return ERR_NOENT;
}

static enum err
dir_readdir(struct inode *dir, struct dir_sink *sink)
{
	const struct proc_id *id = &proc_inode_of(dir)->id;

	if (!proc_emit_dots(sink, dir->ino, proc_pid_ino(id->tid ? id->tid : id->pid, 0)))
		return OK;
	for (unsigned i; (i = (unsigned)sink->pos - 2) < ARRAY_SIZE(kinds); sink->pos++)
		if (!sink->emit(sink, kinds[i].name, strlen(kinds[i].name),
		        link_ino(id, i), S_IFLNK, sink->pos + 1))
			break;
	return OK;
}

const struct inode_ops proc_ns_dir_ops = {
    .lookup = dir_lookup, .readdir = dir_readdir, .free = proc_inode_free};

/* ---- setns */

/* Entering name spaces where the caller is already. */
static enum err
enter(uint64_t flags)
{
	struct fs_context *fs = current_thread()->fs;

	if (flags & CLONE_NEWUSER) /* nobody gains rights by entering his own again */
		return ERR_INVAL;
	if (!capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	if (flags & CLONE_NEWNS) {
		if (!capable(CAP_SYS_CHROOT))
			return ERR_PERM;
		if (fs_context_is_shared(fs, 1))
			return ERR_INVAL;
	}
	if ((flags & CLONE_NEWTIME) && current_process()->num_threads > 1)
		return ERR_USERS;
	if (flags & CLONE_NEWNS) { /* at its root */
		struct path root;

		fs_context_root(fs_init_context, &root);
		fs_context_set_root(fs, &root);
		fs_context_set_cwd(fs, &root);
		path_put(&root);
	}
	return OK;
}

/* By the descriptor of a process: all that `flags` say. */
static enum err
enter_those_of(struct process *p, uint64_t flags)
{
	enum err err = ERR_SRCH;

	if (flags && !(flags & ~(uint64_t)CLONE_NAMESPACES) && !process_is_reaped(p))
		err = process_may_access(p, ACCESS_REAL_IDS);
	else if (!flags || (flags & ~(uint64_t)CLONE_NAMESPACES))
		err = ERR_INVAL;
	return err == OK ? enter(flags) : err;
}

long
sys_setns(int fd, int type)
{
	struct file *f = fd_get(fd);
	const struct kind *kind = f ? kind_of(f->inode) : NULL;
	uint32_t flags = (uint32_t)type;
	struct process *p;
	bool is_nonblock;
	enum err err;

	if (!f)
		return ERR_BADF;
	file_put(f);
	if (kind)
		return flags && flags != kind->flag ? ERR_INVAL : enter(kind->flag);
	p = pidfd_process(fd, &is_nonblock);
	if (!p)
		return ERR_INVAL;
	err = enter_those_of(p, flags);
	process_put(p);
	return err;
}

/* ---- of users: the ids that mean something in their one name space are all of them */

void
proc_show_id_map(struct seq *s, const struct proc_id *id)
{
	seq_printf(s, "%10u %10u %10u\n", 0, 0, UINT32_MAX);
}

/* It was written when the name space was made. */
enum err
proc_store_id_map(const struct proc_id *id, const char *text)
{
	return ERR_PERM;
}

void
proc_show_setgroups(struct seq *s, const struct proc_id *id)
{
	seq_puts(s, "allow\n");
}

/* Allowed for good. */
enum err
proc_store_setgroups(const struct proc_id *id, const char *text)
{
	if (strncmp(text, "allow", 5) == 0)
		return !text[5] || text[5] == '\n' || text[5] == ' ' ? OK : ERR_INVAL;
	return strcmp(text, "deny") == 0 ? ERR_PERM : ERR_INVAL;
}

static void
free_super(struct super *super)
{
}

void
proc_ns_init(void)
{
	static const struct super_ops super_ops = {.free = free_super};
	static struct super_type type = {.name = "nsfs"};
	struct inode *root;

	ns_super = super_create(&type, &super_ops, NSFS_MAGIC);
	root = ns_super ? make_inode(NULL) : NULL;
	if (!root || super_set_root(ns_super, root))
		panic("no memory for the files of name spaces");
	ns_mount = fs_mount_nowhere(ns_super);
	if (!ns_mount)
		panic("no memory for the files of name spaces");
}
