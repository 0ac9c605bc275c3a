/*
 * Within fs/: the parts of procfs. fs/procfs.c has the tree of registered files and what
 * all files share; fs/proc_pid.c the directories of processes; fs/proc_fd.c their
 * descriptors; fs/proc_stat.c what stat and status say; fs/proc_global.c the files about
 * the system.
 */
#pragma once

#include "fs/vfs.h"
#include "kernel/procfs.h"

struct area;
struct aspace;
struct process;
struct thread;

/* Whose file it is: a process, and one thread of it where tid is set. */
struct proc_id {
	uint32_t pid, tid;
	int fd; /* of fd/N and fdinfo/N; which one of ns/ */
};

/*
 * An inode of procfs. It is made anew by each lookup; `ino` is computed, so it stays the
 * same.
 */
struct proc_inode {
	struct inode inode;
	void (*show)(struct seq *, const struct proc_id *); /* of files of processes */
	enum err (*store)(
	    const struct proc_id *, const char *text); /* of some of these */
	const struct proc_file *file;                  /* of registered files */
	struct proc_id id;
};

struct proc_file; /* a registered file or folder */

static inline struct proc_inode *
proc_inode_of(const struct inode *inode)
{
	return container_of(inode, struct proc_inode, inode);
}

/* A new inode with one reference; numbers, owner root. NULL: no memory. */
struct proc_inode *proc_inode_create(struct super *, const struct inode_ops *,
    uint32_t mode, uint64_t ino, const struct proc_id *);
void proc_inode_free(struct inode *);
enum err proc_plain_setattr(struct inode *, const struct attr *);
extern const struct inode_ops proc_plain_ops;    /* files: nothing but reading */
extern const struct file_ops proc_text_file_ops; /* files whose show is in the inode */

/* inode_ops.grants: a process may look at what is its own, whoever owns the file. */
bool proc_grants_self(const struct inode *, unsigned may);

/* Inode numbers: registered files from 1 on, those of processes by pid and a small number: up to 63 of
 * fs/proc_pid.c, then fs/proc_ns.c and fs/proc_fd.c. */
uint64_t proc_pid_ino(uint32_t pid, unsigned number);

/* Decimal without sign or leading zeros; false if it is not one below 2^31. */
bool proc_parse_number(const struct name *, uint32_t *value);

/* Directory entries "." and "..", positions 0 and 1. False: no more room. */
bool proc_emit_dots(struct dir_sink *, uint64_t ino, uint64_t parent_ino);

/* "123" and "self" in /proc, and readdir's part of the processes, from position
 * PROC_FIRST_PID on. */
enum { PROC_FIRST_PID = 1 << 16 };
enum err proc_pid_lookup(struct super *, const struct name *, struct inode **out);
void proc_pid_readdir(const struct super *, struct dir_sink *);

/* net/ of a process: the registered folder. */
enum err proc_net_inode(struct super *, struct inode **out);

/* Options of a mount; fs/proc_options.c. */
extern const struct super_ops proc_super_ops;
/* NULL: those of /proc, which has none at first. ERR_INVAL, ERR_NOMEM. */
enum err proc_options_add(struct super *, const char *data);
/* Whether the current process may know of another, and look into its folder (ERR_PERM). */
bool proc_is_visible(const struct super *, uint32_t pid);
enum err proc_may_enter(const struct inode *pid_folder);

/* readlink of links that have `follow`. */
long proc_magic_readlink(struct inode *, char *buf, size_t size);

/* fd/ and fdinfo/ of a process; fs/proc_fd.c */
extern const struct inode_ops proc_fd_dir_ops, proc_fdinfo_dir_ops;

/* Texts of processes; fs/proc_stat.c */
void proc_show_stat(struct seq *, const struct proc_id *);
void proc_show_statm(struct seq *, const struct proc_id *);
void proc_show_status(struct seq *, const struct proc_id *);
void proc_show_io(struct seq *, const struct proc_id *);
void proc_show_sched(struct seq *, const struct proc_id *);
void proc_show_schedstat(struct seq *, const struct proc_id *);
void proc_show_limits(struct seq *, const struct proc_id *);
void proc_show_maps(struct seq *, const struct proc_id *);
/* One line of maps. `buf` has PATH_MAX bytes; the space's lock is held. */
void proc_show_area(
    struct seq *, const struct area *, const struct path *root, char *buf);
/* fs/proc_smaps.c */
void proc_show_smaps(struct seq *, const struct proc_id *);
void proc_show_smaps_rollup(struct seq *, const struct proc_id *);

/* Of debuggers; fs/proc_mem.c */
extern const struct inode_ops proc_mem_ops;
extern const struct file_ops proc_mem_file_ops;
void proc_show_auxv(struct seq *, const struct proc_id *);
void proc_show_syscall(struct seq *, const struct proc_id *);

void proc_show_stack(struct seq *, const struct proc_id *);
void proc_show_wchan(struct seq *, const struct proc_id *);

/* fs/proc_ns.c */
extern const struct inode_ops proc_ns_dir_ops;
void proc_ns_init(void);
/* What a link to the file of a name space reads as; 0: it is none. */
long proc_ns_text(const struct inode *, char *buf, size_t size);
void proc_show_id_map(struct seq *, const struct proc_id *);
enum err proc_store_id_map(const struct proc_id *, const char *text);
void proc_show_setgroups(struct seq *, const struct proc_id *);
enum err proc_store_setgroups(const struct proc_id *, const char *text);

/* fs/proc_oom.c */
void proc_show_oom_score(struct seq *, const struct proc_id *);
void proc_show_oom_score_adj(struct seq *, const struct proc_id *);
void proc_show_oom_adj(struct seq *, const struct proc_id *);
enum err proc_store_oom_score_adj(const struct proc_id *, const char *text);
enum err proc_store_oom_adj(const struct proc_id *, const char *text);

/* fs/proc_fail.c */
extern const struct inode_ops proc_fail_ops;
extern const struct file_ops proc_fail_file_ops;

/* The process, with a reference, or NULL when it is gone; its memory is none when the thread has ended. */
struct process *proc_process(const struct proc_id *);
struct aspace *proc_aspace(const struct proc_id *); /* its memory, the same */
/* The same if the current process may look into it, else NULL; and just that: ERR_ACCES, ERR_NOENT. */
struct aspace *proc_aspace_look(const struct proc_id *);
enum err proc_may_look(const struct proc_id *);
struct thread *proc_thread(const struct proc_id *); /* the one named, or the leader */

/* As proc_register, for /sys; `show` NULL makes an empty folder. */
enum err sysfs_register(const char *name, void (*show)(struct seq *));
/* The CPUs of which `has` is true, as a list of ranges ("0-3,5") and a newline.
 * fs/sysfs.c */
void proc_show_ranges(
    struct seq *, bool (*has)(unsigned cpu, const void *arg), const void *arg);
/* The same as hexadecimal words of 32, the last CPUs first. fs/sysfs.c */
void proc_show_mask(
    struct seq *, bool (*has)(unsigned cpu, const void *arg), const void *arg);
void sysfs_init(void);
void proc_global_init(void); /* registers the files about the system */
void procfs_init(void);
