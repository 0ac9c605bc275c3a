/* The descriptors of a process: /proc/PID/fd/N, links to what is open, and fdinfo/N. */
#include "fs/procfs.h"

#include "fs/anon.h"
#include "kernel/proc/process.h"
#include "lib/fmt.h"
#include "lib/string.h"

enum { INO_FD = 128, INO_FDINFO = 1 << 19 };

static const struct inode_ops fd_link_ops;

/* With a reference, or NULL: the thread has ended. */
static struct fd_table *
table_of(const struct proc_id *id)
{
	struct thread *t = proc_thread(id);
	struct fd_table *fds = t ? thread_fds(t) : NULL;

	if (t)
		thread_put(t);
	return fds;
}

/* The open file with a reference, or NULL. */
static struct file *
file_of(const struct proc_id *id, int fd)
{
	struct fd_table *t = table_of(id);
	int found = fd;
	struct file *f = t ? fd_table_next(t, &found) : NULL;

	if (f && found != fd) {
		file_put(f);
		f = NULL;
	}
	if (t)
		fd_table_put(t);
	return f;
}

static enum err
fd_follow(struct inode *inode, struct path *out)
{
	const struct proc_id *id = &proc_inode_of(inode)->id;
	enum err err = proc_may_look(id);
	struct file *f;

	if (err)
		return err;
	f = file_of(id, id->fd);
	if (!f)
		return ERR_NOENT;
	if (f->dentry) {
		*out = (struct path){f->mount, f->dentry};
		path_get(out);
	} else {
		err = anon_path(f, out);
	}
	file_put(f);
	return err;
}

/* "pipe:[123]", or "anon_inode:..." for what has no type of file. */
static long
anon_text(const struct file *f, char *buf, size_t size)
{
	const char *name = f->ops->anon_name ? f->ops->anon_name : "file";

	if (strchr(name, ':') || name[0] == '/')
		return scnprintf(buf, size, "%s", name);
	if (f->ops->anon_mode & S_IFMT)
		return scnprintf(buf, size, "%s:[%lu]", name, file_anon_ino(f));
	return scnprintf(buf, size, "anon_inode:[%s]", name);
}

static long
fd_readlink(struct inode *inode, char *buf, size_t size)
{
	const struct proc_id *id = &proc_inode_of(inode)->id;
	struct file *f;
	long n = proc_may_look(id);

	if (n)
		return n;
	f = file_of(id, id->fd);
	if (!f)
		return ERR_NOENT;
	n = f->inode ? proc_ns_text(f->inode, buf, size) : 0;
	if (n == 0 && f->dentry)
		n = proc_magic_readlink(inode, buf, size);
	else if (n == 0)
		n = anon_text(f, buf, size);
	file_put(f);
	return n;
}

static const struct inode_ops fd_link_ops = {
    .follow = fd_follow, .readlink = fd_readlink, .free = proc_inode_free};

static void
show_fdinfo(struct seq *s, const struct proc_id *id)
{
	struct file *f = file_of(id, id->fd);

	if (!f)
		return;
	seq_printf(s, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", f->pos,
	    f->flags, f->mount ? f->mount->id : 0, f->inode ? f->inode->ino : 0);
	file_put(f);
}

/* The modes of the folder of what descriptors are at, and of what is in it, let anybody. */
static enum err
may_look_at_info(const struct proc_id *id)
{
	return proc_may_look(id) == ERR_ACCES ? ERR_ACCES : OK;
}

static enum err
lookup(struct inode *dir, const struct name *name, bool is_info, struct inode **out)
{
	struct proc_id id = proc_inode_of(dir)->id;
	struct proc_inode *p;
	struct file *f;
	uint32_t fd, mode = S_IFREG | 0444;

	if (is_info && may_look_at_info(&id))
		return ERR_ACCES;
	if (!proc_parse_number(name, &fd))
		return ERR_NOENT;
	id.fd = fd;
	f = file_of(&id, fd);
	if (!f)
		return ERR_NOENT;
	/* The rights of the link show how the file is open. */
	if (!is_info)
		mode = S_IFLNK | (f->mode & FILE_READ ? 0500 : 0) |
		       (f->mode & FILE_WRITE ? 0300 : 0);
	file_put(f);
	p = proc_inode_create(dir->super, is_info ? &proc_plain_ops : &fd_link_ops, mode,
	    proc_pid_ino(id.pid, (is_info ? INO_FDINFO : INO_FD) + fd), &id);
	if (!p)
		return ERR_NOMEM;
	if (is_info) {
		p->show = show_fdinfo;
		p->inode.file_ops = &proc_text_file_ops;
	}
	p->inode.uid = dir->uid;
	p->inode.gid = dir->gid;
	*out = &p->inode;
	return OK;
}

/* Position 2 + fd. */
static enum err
readdir(struct inode *dir, struct dir_sink *sink, bool is_info)
{
	const struct proc_id *id = &proc_inode_of(dir)->id;
	struct fd_table *t = table_of(id);
	struct file *f;
	char text[12];
	int fd;

	if (t && proc_emit_dots(sink, dir->ino, proc_pid_ino(id->pid, 0))) {
		for (fd = sink->pos - 2; (f = fd_table_next(t, &fd)); fd++) {
			size_t n = scnprintf(text, sizeof(text), "%d", fd);

			file_put(f);
			if (!sink->emit(sink, text, n, proc_pid_ino(id->pid, INO_FD + fd),
			        is_info ? S_IFREG : S_IFLNK, (loff_t)fd + 3))
				break;
			sink->pos = (loff_t)fd + 3;
		}
	}
	if (t)
		fd_table_put(t);
	return OK;
}

static enum err
fd_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	return lookup(dir, name, false, out);
}

static enum err
fd_readdir(struct inode *dir, struct dir_sink *sink)
{
	return readdir(dir, sink, false);
}

static enum err
fdinfo_lookup(struct inode *dir, const struct name *name, struct inode **out)
{
	return lookup(dir, name, true, out);
}

static enum err
fdinfo_readdir(struct inode *dir, struct dir_sink *sink)
{
	if (may_look_at_info(&proc_inode_of(dir)->id))
		return ERR_ACCES;
	return readdir(dir, sink, true);
}

static enum err
fdinfo_open(struct inode *dir, struct file *f)
{
	return may_look_at_info(&proc_inode_of(dir)->id);
}

const struct inode_ops proc_fd_dir_ops = {.lookup = fd_lookup,
    .readdir = fd_readdir,
    .grants = proc_grants_self,
    .free = proc_inode_free};
const struct inode_ops proc_fdinfo_dir_ops = {.lookup = fdinfo_lookup,
    .readdir = fdinfo_readdir,
    .open = fdinfo_open,
    .free = proc_inode_free};
