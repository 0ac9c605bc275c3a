/*
 * The file name space. A super is one file system instance, an inode one file of it, a
 * dentry one name in the cache (negative: known not to exist), a mount a super at a place
 * in the tree, a path a dentry seen through a mount.
 *
 * References: a dentry holds its inode and its parent; a path holds mount and dentry; a
 * mount holds its super. File systems hold inodes for as long as they have links.
 *
 * Locks, outermost first: super->rename_lock, inode->lock (two only by mutex_lock_pair;
 * an operation that has to look into a third, the victim of rmdir or rename, uses a lock
 * of the file system's own), then spinlocks: bucket of the dentry hash, dentry->lock,
 * mount lock.
 */
#pragma once

#include "kernel/fcntl.h"
#include "kernel/file.h"
#include "kernel/stat.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "lib/list.h"
#include "mm/pagecache.h"

struct cred;
struct inode;
struct dentry;
struct mount;
struct super;
struct pipe;
struct seq;

/* One component of a path: not terminated. */
struct name {
	const char *text;
	uint32_t len;
	uint32_t hash; /* of text, without the parent */
};

struct path {
	struct mount *mount;
	struct dentry *dentry;
};

/* Where readdir puts what it finds: returns false when it has no more room. */
struct dir_sink {
	bool (*emit)(struct dir_sink *, const char *name, size_t len, uint64_t ino,
	    uint32_t mode, loff_t next_pos);
	loff_t pos; /* where to go on: 0 at first; readdir continues from here and moves
	               it */
};

enum attr_valid {
	ATTR_MODE = 1 << 0,
	ATTR_UID = 1 << 1,
	ATTR_GID = 1 << 2,
	ATTR_SIZE = 1 << 3,
	ATTR_ATIME = 1 << 4,
	ATTR_MTIME = 1 << 5,
};

struct attr {
	uint32_t valid; /* ATTR_* */
	uint32_t mode, uid, gid;
	loff_t size;
	int64_t atime_ns, mtime_ns; /* since 1970 */
};

struct rename {
	struct inode *old_dir, *new_dir;
	struct name old_name, new_name;
	struct inode *old_inode;
	struct inode *new_inode; /* what it replaces (exchange: swaps with), or NULL */
	bool is_exchange;
	bool is_whiteout; /* a character device 0:0 takes the old name */
};

/*
 * What a file system does. Directory operations run with dir->lock (rename: both) held,
 * after all permission and type checks; names are at most NAME_MAX bytes, never "." or
 * "..". NULL operations fail with ERR_PERM. `*out` gets a reference.
 */
struct inode_ops {
	enum err (*lookup)(struct inode *dir, const struct name *, struct inode **out);
	/* Any type but symlink by `mode`; rdev for devices; dir's times and link count
	 * too. */
	enum err (*create)(struct inode *dir, const struct name *, uint32_t mode,
	    uint64_t rdev, struct inode **out);
	enum err (*symlink)(struct inode *dir, const struct name *, const char *target,
	    struct inode **out);
	enum err (*link)(struct inode *dir, const struct name *, struct inode *);
	/* File or empty directory (else ERR_NOTEMPTY); marks a directory dead in the same
	 * step. */
	enum err (*unlink)(struct inode *dir, const struct name *, struct inode *);
	enum err (*rename)(const struct rename *);
	enum err (*tmpfile)(struct inode *dir, uint32_t mode, struct inode **out);
	enum err (*readdir)(struct inode *dir, struct dir_sink *);

	/* The target, not terminated, at most `size` bytes; its length. */
	long (*readlink)(struct inode *, char *buf, size_t size);
	/* Magic links of procfs: where the link leads, with references. Else ERR_INVAL:
	 * use readlink. */
	enum err (*follow)(struct inode *, struct path *out);

	/* Under inode->lock. The caller has checked everything; size changes drop pages
	 * here. */
	enum err (*setattr)(struct inode *, const struct attr *);
	void (*getattr)(
	    struct inode *, struct stat *); /* after the generic part; may be NULL */
	enum err (*open)(
	    struct inode *, struct file *); /* after ops are set; may be NULL */
	/* Whether the caller may what mode bits and capabilities refuse; may be NULL. */
	bool (*grants)(const struct inode *, unsigned may);
	enum err (*fallocate)(struct inode *, int mode, loff_t offset, loff_t len);
	void (*dirty)(struct inode *); /* times or size changed in memory; may be NULL */
	void (*free)(
	    struct inode *); /* last reference gone: drop data, free the memory */
};

struct inode {
	const struct inode_ops *ops;     /* [I] */
	const struct file_ops *file_ops; /* [I] regular files and directories */
	struct super *super;             /* [I] */
	uint64_t ino;                    /* [I] */
	uint32_t refs;                   /* [a] */
	uint32_t mode;                   /* [lock] type is [I] */
	uint32_t uid, gid;               /* [lock] */
	uint32_t nlink;                  /* [a] */
	uint32_t flags;                  /* [a] INODE_* */
	uint64_t rdev;                   /* [I] */
	loff_t size;                     /* [lock] to change; read atomically */
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns; /* [a] */
	uint8_t write_hint;                             /* [a] F_SET_RW_HINT */
	int32_t num_writers; /* [a] open for writing; < 0: that many run it (ETXTBSY) */
	struct mutex lock;
	struct page_cache cache;
	struct spinlock aux_lock;
	struct list watches; /* [inotify] fs/inotify.c */
	struct list locks;   /* [aux_lock] struct file_lock: fs/locks.c */
	struct wait_queue locks_wait;
	struct pipe *pipe;    /* [aux_lock] of an open FIFO */
	struct xattr *xattrs; /* [lock] fs/xattr.c */
};

enum inode_flags {
	INODE_DEAD =
	    1 << 0, /* a directory that has been removed: nothing can be made in it */
	INODE_TMPFILE = 1 << 1,  /* O_TMPFILE: may be linked though it has no links */
	INODE_NO_ATTRS = 1 << 3, /* [I] nothing of it can be changed: ERR_OPNOTSUPP */
	INODE_XATTRS = 1 << 2,   /* [I] its file system keeps extended attributes */
};

struct super_type {
	const char *name;
	uint32_t flags; /* SUPER_* */
	/* Makes or finds an instance; `data` are the mount options text, never NULL. */
	enum err (*mount)(const struct super_type *, const char *source, const char *data,
	    struct super **out);
	struct list link; /* the list of types */
};

enum super_flags {
	SUPER_NO_CACHE =
	    1 << 0, /* names change by themselves: never cache dentries (procfs) */
	SUPER_NEEDS_DEV = 1 << 1, /* "nodev" in /proc/filesystems is for those without */
};

/* What statfs tells. */
struct statfs {
	int64_t type, bsize, blocks, bfree, bavail, files, ffree;
	int32_t fsid[2];
	int64_t namelen, frsize, flags, spare[4];
};

struct super_ops {
	void (*statfs)(
	    struct super *, struct statfs *); /* fills the numbers of blocks and files */
	void (*show_options)(struct super *, struct seq *); /* ",size=1k"; may be NULL */
	enum err (*sync)(struct super *);                   /* may be NULL */
	/* Other options for it; NULL: they change nothing. */
	enum err (*remount)(struct super *, const char *data);
	void (*free)(struct super *);
};

struct super {
	const struct super_type *type; /* [I] */
	const struct super_ops *ops;   /* [I] */
	uint32_t refs;                 /* [a] mounts */
	uint32_t flags;                /* [I] SUPER_* */
	uint64_t dev;                  /* [I] st_dev */
	int64_t magic;                 /* [I] f_type */
	bool is_readonly;              /* [a] */
	struct dentry *root_dentry;    /* [I] a reference */
	void *private;                 /* [I] the file system's */
	struct mutex rename_lock;
};

struct dentry {
	struct spinlock lock;
	uint32_t refs;         /* [a]; 0 only in the cache's unused list */
	uint32_t flags;        /* [a] DENTRY_* */
	struct dentry *parent; /* [lock] a reference; itself for a root */
	struct inode *inode;   /* [lock] to change; NULL: negative */
	struct super *super;   /* [I] */
	uint32_t hash, len;    /* of the name; [lock] and [bucket] to change */
	char *text;            /* [lock] [bucket]; `small` or allocated */
	char small[32];
	struct dentry *chain;    /* [bucket] */
	struct list unused_link; /* [unused lock] */
};

enum dentry_flags {
	DENTRY_HASHED = 1 << 0,  /* [bucket] */
	DENTRY_MOUNTED = 1 << 1, /* something is mounted here, in some mount */
	DENTRY_UNUSED = 1 << 2,  /* [unused lock] on the unused list */
};

/* ---- supers and inodes (fs/inode.c) */

void super_type_register(struct super_type *);
struct super_type *super_type_find(const char *name);
void super_types_for_each(void (*fn)(const struct super_type *, void *), void *arg);
struct super *super_create(
    const struct super_type *, const struct super_ops *, int64_t magic);
enum err super_set_root(struct super *, struct inode *root); /* takes the reference */
struct super *super_get(struct super *);
void super_put(struct super *);

/* Prepares an inode the file system allocated: one reference, one link, times now. */
void inode_init(struct inode *, struct super *, const struct inode_ops *, uint32_t mode);
struct inode *inode_get(struct inode *);
void inode_put(struct inode *);
int64_t fs_now_ns(void); /* for time stamps */
/* uid, gid and set-group-id of a new file in `dir` by the current credentials. */
void inode_init_owner(struct inode *, const struct inode *dir);
void inode_touch(struct inode *, uint32_t which); /* INODE_ATIME... to now */
enum { INODE_ATIME = 1, INODE_MTIME = 2, INODE_CTIME = 4 };
void simple_setattr(struct inode *, const struct attr *); /* all but the size */
void inode_stat(struct inode *, struct stat *);
/* Seconds and nanoseconds of a time that may lie before 1970. */
void time_split(int64_t ns, int64_t *sec, int64_t *nsec);

/* ---- permissions (fs/permission.c) */

enum may { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };
enum err inode_permission(const struct cred *, const struct inode *, unsigned may);
bool inode_owner_or_capable(const struct cred *, const struct inode *);
bool cred_capable(const struct cred *, unsigned capability);
/* The set-id bits that a change of owner takes away; inode->lock held. */
uint32_t inode_set_id(const struct cred *, const struct inode *);
/* Those that a change of a file's content takes away: none from who may give them. */
uint32_t inode_set_id_to_drop(const struct cred *, const struct inode *);
/* A copy that acts as the real user and group, for access(). NULL: no memory. */
struct cred *cred_real_ids(const struct cred *);

/* ---- dentries (fs/dcache.c) */

void dcache_init(void);
uint32_t name_hash(const char *text, size_t len);
struct dentry *dentry_get(struct dentry *);
void dentry_put(struct dentry *);
struct dentry *dentry_make_root(
    struct super *, struct inode *); /* takes the inode's reference */
/* The cached name under `dir`, positive or negative, with a reference; NULL: not cached.
 */
struct dentry *dentry_find(struct dentry *dir, const struct name *);
/* A new one; takes the reference of `inode` (NULL: negative). Under dir's inode->lock.
 * NULL: no memory. */
struct dentry *dentry_add(struct dentry *dir, const struct name *, struct inode *inode);
void dentry_fill(struct dentry *, struct inode *); /* negative becomes positive */
void dentry_drop(struct dentry *); /* out of the hash: not found any more */
enum err dentry_move(struct dentry *, struct dentry *new_dir, const struct name *);
void dentry_swap(struct dentry *, struct dentry *);
struct dentry *dentry_parent(struct dentry *); /* with a reference */
/* [a] A text of several names read while both were equal and stayed so is consistent. */
extern uint32_t dentry_moves_begun, dentry_moves_ended;
/* Or the same. Under the super's rename_lock. */
bool dentry_is_below(struct dentry *, struct dentry *ancestor);
size_t dcache_shrink(size_t max);       /* frees unused ones; returns how many */
void dcache_drop_super(struct super *); /* all unused ones of a super that goes away */

/* ---- mounts (fs/mount.c) */

enum mount_flags {
	MS_RDONLY = 1,
	MS_NOSUID = 2,
	MS_NODEV = 4,
	MS_NOEXEC = 8,
	MS_SYNCHRONOUS = 16,
	MS_REMOUNT = 32,
	MS_DIRSYNC = 128,
	MS_NOSYMFOLLOW = 256,
	MS_NOATIME = 1024,
	MS_NODIRATIME = 2048,
	MS_BIND = 4096,
	MS_MOVE = 8192,
	MS_REC = 16384,
	MS_SILENT = 32768,
	MS_UNBINDABLE = 1 << 17,
	MS_PRIVATE = 1 << 18,
	MS_SLAVE = 1 << 19,
	MS_SHARED = 1 << 20,
	MS_RELATIME = 1 << 21,
	MS_STRICTATIME = 1 << 24,
	MS_LAZYTIME = 1 << 25,
};

struct mount {
	struct super *super; /* [I] a reference */
	struct dentry *root; /* [I] a reference */
	struct mount
	    *parent; /* [mount] a reference; NULL for the first or when detached */
	struct dentry *mountpoint; /* [mount] a reference */
	uint32_t refs;             /* [a] */
	uint32_t flags;            /* [a] MS_RDONLY, NOSUID, NODEV, NOEXEC, NOATIME... */
	uint32_t id;               /* [I] */
	uint32_t num_writers;      /* [a] regular files open for writing through it */
	bool is_expiring;          /* [a] umount2(MNT_EXPIRE) came, and no use since */
	char *source;              /* [I] what /proc/mounts shows first */
	struct mount *chain;       /* [mount, RCU] hash by (parent, mountpoint) */
	struct list all_link;      /* [mount] in order of mounting */
	struct rcu_head rcu;
};

struct mount *mount_get(struct mount *);
void mount_put(struct mount *);
void mount_put_unused(struct mount *); /* does not count as a use, for MNT_EXPIRE */
/* A regular file is opened for writing, and closed. false: it is read-only. */
bool mount_write_begin(struct mount *);
void mount_write_end(struct mount *);
/* Steps from a mount point to what is mounted there, as often as needed; moves the
 * references. */
void mount_cross_down(struct path *);
/* From the root of a mount to its mount point; false at the top. Moves the references. */
bool mount_cross_up(struct path *);
bool mount_is_readonly(const struct mount *);
/* Whether something is mounted on this very name, seen through any mount. */
bool dentry_is_mountpoint(struct dentry *);

extern struct path fs_root; /* of the first mount: what fs_init made */
/* Mounts a new instance of file system `type` on `at` (NULL: as the first root). */
enum err fs_mount(const char *type, const char *source, const struct path *at,
    uint32_t flags, const char *data);
/* A mount of the super's root in no place: for paths that no walk leads to. NULL: no memory. */
struct mount *fs_mount_nowhere(struct super *);
enum err fs_bind(const struct path *from, const struct path *at, bool is_recursive);
enum err fs_move_mount(const struct path *from, const struct path *at);
enum err fs_remount(const struct path *, uint32_t flags, const char *data);
/* Takes the references, and does not count as a use of the mount. */
enum err fs_umount(const struct path *, int flags);
enum err fs_pivot_root(const struct path *new_root, const struct path *put_old);
enum mounts_style { MOUNTS_FSTAB, MOUNTS_INFO, MOUNTS_STATS };
void mounts_show(struct seq *, const struct path *root, enum mounts_style);
enum { UMOUNT_FORCE = 1, UMOUNT_DETACH = 2, UMOUNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8 };

static inline void
path_get(struct path *p)
{
	mount_get(p->mount);
	dentry_get(p->dentry);
}

static inline void
path_put(struct path *p)
{
	dentry_put(p->dentry);
	mount_put(p->mount);
}

/* ---- path walk (fs/namei.c; step by step: fs/namei.h) */

enum walk_flags {
	WALK_FOLLOW = 1 << 0,      /* a symlink as the last component is followed */
	WALK_DIRECTORY = 1 << 1,   /* the result must be a directory */
	WALK_EMPTY = 1 << 2,       /* "" is the start itself (AT_EMPTY_PATH) */
	WALK_NO_SYMLINKS = 1 << 3, /* openat2 RESOLVE_* */
	WALK_NO_MAGIC = 1 << 4,
	WALK_NO_XDEV = 1 << 5,
	WALK_BENEATH = 1 << 6,
	WALK_IN_ROOT = 1 << 7,
	WALK_REAL_IDS = 1 << 8, /* access(): by real user and group */
	WALK_KERNEL = 1 << 9,   /* as root, from fs_root */
};

void namei_init(void);
/* Where `text` leads; `dirfd` as for openat. *out gets references. */
enum err path_lookup(int dirfd, const char *text, unsigned walk_flags, struct path *out);

/* Looks `name` up in the cache, then in the file system. dir's inode->lock held. */
enum err dir_lookup_locked(struct dentry *dir, const struct name *, struct dentry **out);

/*
 * Text of a path as seen from `root`, into buf[size]; returns the start within buf, or
 * NULL when it does not fit. *is_reachable false: not below root (getcwd says
 * "(unreachable)").
 */
char *path_text(const struct path *, const struct path *root, char *buf, size_t size,
    bool *is_reachable);

/* The same within one file system, from its root. */
char *dentry_text(struct dentry *, char *buf, size_t size);

/* A path from user memory, PATH_MAX; free with name_put. ERR_NOENT for "" unless
 * may_be_empty. */
enum err name_from_user(const char USER *user, bool may_be_empty, char **out);
void name_put(char *name);

/* ---- opening (fs/open.c) */

struct open_how {
	uint64_t flags, mode, resolve;
};
enum err file_openat(int dirfd, const char *text, const struct open_how *,
    unsigned walk_flags, struct file **out);
/* Opens the very inode of `path` (permissions checked by the caller). */
enum err path_open(const struct path *, uint32_t flags, struct file **out);
/* A file just opened for writing is not in the way of executing it. */
void file_ignore_writer(struct file *);

/* ---- message queues (fs/mqueue.c) */

void mqueue_fs_init(void);
/* The current process has closed a descriptor: of a queue it is told no more. */
void mqueue_closed_by(struct file *);

/* ---- guards of directories that all may write to (fs/protect.c); OK, ERR_ACCES, ERR_PERM */

/* The symlink, last in a path and found in `dir`, is followed. */
enum err may_follow_link(
    const struct cred *, const struct inode *dir, const struct inode *link);
/* It gets another name. */
enum err may_link_to(const struct cred *, const struct inode *);
/* O_CREAT has found it in `dir`. */
enum err may_create_over(
    const struct cred *, const struct inode *dir, const struct inode *);
void protect_init(void); /* /proc/sys/fs */

/* ---- changing the name space (fs/change.c) */

/* `walk_flags`: WALK_KERNEL or 0; of fs_link, for `old`, also WALK_FOLLOW and WALK_EMPTY.
 */
enum err fs_mknod(
    int dirfd, const char *text, uint32_t mode, uint64_t rdev, unsigned walk_flags);
/* The same; *out gets references to what was made. */
enum err fs_mknod_path(int dirfd, const char *text, uint32_t mode, uint64_t rdev,
    unsigned walk_flags, struct path *out);
enum err fs_symlink(const char *target, int dirfd, const char *text, unsigned walk_flags);
enum err fs_link(
    int old_fd, const char *old, int new_fd, const char *text, unsigned walk_flags);
enum err fs_unlink(int dirfd, const char *text, bool is_rmdir, unsigned walk_flags);
enum rename_flags { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2, RENAME_WHITEOUT = 4 };
enum err fs_rename(
    int old_fd, const char *old, int new_fd, const char *text, unsigned flags);
/* A node without permission checks; *out gets the dentry, also with ERR_EXIST. */
enum err dentry_make(struct dentry *dir, const struct name *, uint32_t mode,
    uint64_t rdev, struct dentry **out);
/* Whether a name may be made in `dir`. */
enum err dir_may_create(const struct cred *, const struct inode *dir);

/* ---- attributes (fs/attr.c): checked by the current credentials but for truncate */

enum { KEEP_ID = 0xffffffff }; /* chown: leave it */
enum err path_chmod(const struct path *, uint32_t mode);
enum err path_chown(const struct path *, uint32_t uid, uint32_t gid);
enum err path_truncate(const struct path *, loff_t size);
/* Whether the current process may make a file so large; else ERR_FBIG, with its signal. */
enum err file_size_limit(loff_t size);
enum { FALLOC_KEEP_SIZE = 1, FALLOC_PUNCH_HOLE = 2 };
/* fallocate of a regular file that is open for writing. */
enum err file_allocate(struct file *, int mode, loff_t offset, loff_t len);
enum err path_utimes(const struct path *, const struct attr *, bool is_now);

/* ---- locks on files (fs/locks.c) */

void locks_drop_file(struct file *); /* the description goes away: flock and OFD locks */

/* ---- contents of files in the page cache (fs/data.c) */

ssize_t data_read(struct file *, struct uio *, loff_t *pos);
ssize_t data_write(struct file *, struct uio *, loff_t *pos);
/* sendfile: up to n bytes from *pos (which moves) into a file that takes pages whole.
 * ERR_OPNOTSUPP: this pair of files cannot; nothing has moved. */
ssize_t data_send_pages(struct file *in, loff_t *pos, size_t n, struct file *out);
loff_t data_seek(struct file *, loff_t offset, int whence);
enum err data_mmap(struct file *, struct area *);
/* Directories: any position that readdir gave, or 0. */
loff_t dir_seek(struct file *, loff_t offset, int whence);
void file_accessed(struct file *); /* atime, by the mount's rules */
extern const struct file_ops
    dir_file_ops; /* of every directory: inode_ops.readdir does the work */

/* ---- per process (fs/context.c) */

struct fs_context {
	uint32_t refs;    /* [a] */
	struct list link; /* [contexts lock] all of them */
	struct spinlock lock;
	struct path root;   /* [lock] references */
	struct path cwd;    /* [lock] */
	uint32_t umask;     /* [a] */
	uint32_t num_users; /* [a] threads that have it */
};
struct fs_context *fs_context_create_first(void); /* at fs_root */
struct fs_context *current_fs(void);
void fs_context_root(struct fs_context *, struct path *out); /* with references */
void fs_context_cwd(struct fs_context *, struct path *out);
void fs_context_set_root(
    struct fs_context *, const struct path *); /* takes references of its own */
void fs_context_set_cwd(struct fs_context *, const struct path *);
/* Every process whose root or current directory is `from` gets `to` (pivot_root). */
void fs_contexts_change_root(const struct path *from, const struct path *to);

/* ---- bring-up */

void tmpfs_init(void);
void fs_init(void); /* caches, file system types, root tmpfs; after slab, sched, proc */
struct boot_info;
void initramfs_unpack(const struct boot_info *); /* then frees the ranges */
void fs_mount_standard(
    void); /* /dev, /proc, /sys, if the initramfs has such folders or not */
