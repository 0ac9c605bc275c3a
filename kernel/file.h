/*
 * What a descriptor is. The kernel room knows files only by this: fs, net, drivers and
 * ipc implement it. A struct file is an open file description: shared by dup and fork,
 * counted.
 */
#pragma once

#include "kernel/sync/mutex.h"
#include "kernel/sync/rcu.h"
#include "lib/err.h"
#include "lib/types.h"

struct file;
struct file_caps;
struct uio;
struct area;
struct async_list;
struct file_owner;
struct page;
struct page_cache;
struct poll_table;
struct stat;
struct dir_sink;
struct fd_table;

/* Attributes of a file without inode; its object keeps them. */
struct anon_attr {
	uint32_t mode, uid, gid;              /* [a] */
	int64_t atime_ns, mtime_ns, ctime_ns; /* [a] since 1970 */
};

struct file_ops {
	/*
	 * Transfer at *pos (which they advance); count or err. Files without position
	 * (pipes, ttys) ignore pos. NULL: ERR_INVAL.
	 */
	ssize_t (*read)(struct file *, struct uio *, loff_t *pos);
	ssize_t (*write)(struct file *, struct uio *, loff_t *pos);
	loff_t (*seek)(struct file *, loff_t offset, int whence); /* NULL: ERR_SPIPE */
	/* The POLL* bits that hold now; registers with `pt` (may be NULL) for later ones.
	 */
	uint32_t (*poll)(struct file *, struct poll_table *pt); /* NULL: always ready */
	long (*ioctl)(struct file *, unsigned cmd, uintptr_t arg); /* NULL: ERR_NOTTY */
	/*
	 * Writes [off, off + len) of a page without copying, taking references of its own
	 * where it keeps it: bytes taken or err, ERR_OPNOTSUPP: not this file. has_more:
	 * there will be another at once. NULL: data is copied.
	 */
	ssize_t (*send_page)(
	    struct file *, struct page *, uint32_t off, uint32_t len, bool has_more);
	/* Where it keeps the files on it that are told by signals (O_ASYNC), kernel/proc/async.h.
	 * NULL: it tells nobody. */
	struct async_list *(*async)(struct file *);
	/* Sets area->ops and ->private as the file wants to be mapped. NULL: ERR_NODEV.
	 */
	enum err (*mmap)(struct file *, struct area *);
	enum err (*readdir)(struct file *, struct dir_sink *); /* NULL: ERR_NOTDIR */
	enum err (*fsync)(struct file *, bool data_only);
	void (*release)(struct file *); /* last reference gone; may sleep */
	/*
	 * Opening a device node, after `private` is set to the driver's: may change ops,
	 * private, mode. NULL: nothing to do. On an error release is not called.
	 */
	enum err (*open)(struct file *);
	/* What fstat and /proc/PID/fd show of a file without inode: S_IFIFO | 0600,
	 * "pipe". */
	uint32_t anon_mode;
	const char *anon_name;
	/* Device and inode number in fstat of such a file; NULL: with a number made of
	 * `private`. */
	void (*anon_stat)(const struct file *, struct stat *);
	/* Those that fchmod, fchown and futimens change. NULL: they change nothing, whoever asks. */
	struct anon_attr *(*anon_attr)(const struct file *);
};

struct file {
	const struct file_ops *ops; /* [I] */
	uint32_t refs;              /* [a] */
	uint32_t flags;             /* O_* status flags; [a] changed by F_SETFL */
	uint32_t mode;              /* FILE_* */
	uint8_t write_hint;         /* [a] F_SET_RW_HINT of a file without inode */
	struct mutex pos_lock;
	loff_t pos;          /* [pos_lock] */
	struct inode *inode; /* [I] NULL for files without one; fs/vfs.h */
	struct dentry
	    *dentry; /* [I] where it was opened, for /proc and *at calls; or NULL */
	struct mount *mount;      /* [I] goes with dentry */
	struct page_cache *cache; /* [I] pages for mmap and exec, or NULL */
	void *private;            /* the implementation's */
	struct file_owner
	    *owner; /* [a] set once, or NULL: F_SETOWN, kernel/proc/async.c */
	struct list epoll_items; /* [epoll] watches of this file: kernel/ipc/epoll.c */
	struct rcu_head rcu;     /* freed late: fd_get looks at files without a lock */
};

enum file_mode {
	FILE_READ = 1 << 0,
	FILE_WRITE = 1 << 1,
	FILE_SEEKABLE = 1 << 2,
	FILE_PATH = 1 << 3,
	FILE_DENIES_WRITE =
	    1 << 4, /* a program that runs: opening it for writing is ERR_TXTBSY */
	FILE_IS_NO_WRITER = 1 << 5, /* open for writing, yet programs may run from it */
};

/*
 * A new description with one reference, its mode by the access mode in `flags`. NULL: no
 * memory. Inode fields are the caller's to set.
 */
struct file *file_alloc(const struct file_ops *, uint32_t flags, void *private);
struct file *file_get(struct file *);
void file_put(struct file *); /* the last one calls ops->release: may sleep */

void file_init(void); /* before the first file_alloc */

/*
 * Implemented by fs/: file_put calls it after ops->release on a file with an inode, to
 * drop locks and the references to dentry and mount.
 */
void file_drop_path(struct file *);
/* Implemented by fs/: the process closes a descriptor of `f`: its POSIX locks go (fcntl
 * F_SETLK). */
void file_closed_by(struct file *f, struct fd_table *owner);
/* Implemented by fs/: the lock commands of fcntl (F_GETLK, F_SETLK, F_SETLKW and
 * F_OFD_*). */
long file_fcntl_lock(struct file *f, unsigned cmd, uintptr_t arg);
/* Implemented by fs/: from the position to the end, of a regular file. */
loff_t file_bytes_left(struct file *f);
/* Implemented by fs/: makes [offset, offset + len) of a file with pages a hole; ERR_OPNOTSUPP: it
 * has none, ERR_PERM: it is sealed. */
enum err file_punch_hole(struct file *f, loff_t offset, loff_t len);
/* Implemented by fs/: whether the caller may give it O_NOATIME. */
bool file_may_skip_atime(const struct file *f);
/* Implemented by fs/: F_GET_RW_HINT and F_SET_RW_HINT. */
long file_fcntl_hint(struct file *f, unsigned cmd, uintptr_t arg);
/* Implemented by fs/: F_ADD_SEALS and F_GET_SEALS. */
long file_fcntl_seals(struct file *f, unsigned cmd, uintptr_t arg);
/* Implemented by fs/: the number of the process whose folder in /proc it is, or 0. */
uint32_t file_proc_pid(const struct file *f);

/* The current process's, and now. */
void anon_attr_init(struct anon_attr *, uint32_t mode);

/* The inode number of a file without inode, as fstat and /proc/PID/fd show it. */
uint64_t file_anon_ino(const struct file *);

/* Transfers with kernel memory at an explicit position: exec, initramfs, coredumps. */
ssize_t file_read_at(struct file *, void *buf, size_t n, loff_t pos);
ssize_t file_write_at(struct file *, const void *buf, size_t n, loff_t pos);

/* Descriptor tables, which threads share (CLONE_FILES) or have of their own. kernel/proc/fdtable.c */
struct fd_table *fd_table_create(void);
struct fd_table *fd_table_copy(struct fd_table *); /* fork */
struct fd_table *fd_table_get(struct fd_table *);
void fd_table_put(struct fd_table *);
void fd_table_close_on_exec(struct fd_table *);
unsigned fd_table_size(struct fd_table *); /* descriptors there is room for now */

/* In the current thread's. fd_get: a reference, or NULL (EBADF). */
struct file *fd_get(int fd);
int fd_install(struct file *, int min_fd,
    bool cloexec); /* takes the reference; fd or err, then the caller keeps it */
/*
 * A descriptor held for a file that is still to be opened, for calls that must not begin in vain: it
 * names nothing until it is filled. Each is filled, or dropped. fd_reserve: ERR_MFILE, ERR_NOMEM.
 */
int fd_reserve(bool cloexec);
void fd_fill(int fd, struct file *); /* takes the reference */
void fd_unreserve(int fd);
enum err fd_close(int fd);

/*
 * For /proc/PID/fd, with any thread's table: the file at the first descriptor >= *fd,
 * with a reference, and *fd set to it; NULL when there is none.
 */
struct file *fd_table_next(struct fd_table *, int *fd);

/* What processes need of the file name space; implemented by fs/. */
struct fs_context; /* root, current directory, umask */
extern struct fs_context
    *fs_init_context; /* of kernel threads and PID 1, once fs_init has run */
struct fs_context *fs_context_copy(struct fs_context *);
struct fs_context *fs_context_get(struct fs_context *);
void fs_context_put(struct fs_context *);
/* Another thread has it too (CLONE_FS), and has it no more, with its reference. */
struct fs_context *fs_context_share(struct fs_context *);
void fs_context_leave(struct fs_context *);
/* Whether more than `n` threads have it. */
bool fs_context_is_shared(const struct fs_context *, unsigned n);
/* Opens a program for execution (execute permission checked); *out gets a reference. */
enum err file_open_exec(const char *path, struct file **out);
/* The same for execveat: relative to `dirfd`; flags AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
 */
enum err file_open_exec_at(int dirfd, const char *path, int flags, struct file **out);
/* The program's set-user-id and set-group-id bits: *euid, *egid change where one holds.
 */
void file_exec_ids(const struct file *, uint32_t *euid, uint32_t *egid);
/* The program's capabilities; all zero without any. ERR_INVAL: what is kept of it is damaged. */
enum err file_exec_caps(const struct file *, struct file_caps *out);
/* Opens by path with kernel privileges, O_* flags; mode for O_CREAT. */
enum err file_open(const char *path, int flags, uint32_t mode, struct file **out);
/* Whether the current process may read the file, which it need not have opened for that. */
bool file_is_readable(const struct file *);
/* A new file for memory of the current process alone, in place of one that stands there, with its
 * rights, root, directory and umask. is_roots: from the first root, in place of nothing. */
enum err file_create_core(const char *path, bool is_roots, struct file **out);
/* Its path as the current process sees it, or what stands for one, within buf[size]; NULL: it has
 * none, or that does not fit. */
const char *file_path_text(struct file *, char *buf, size_t size);
bool file_has_name(const struct file *); /* in a directory: not removed, not anonymous */
/* rename(2) by path with kernel privileges: in place of what stands there. */
enum err file_rename(const char *from, const char *to);
