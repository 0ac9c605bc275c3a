/*
 * memfd_create and seals: files of memory that have no name, and what can no longer be
 * done to a file of memory (memfd_create(2), fcntl(2) F_ADD_SEALS). They lie in a tmpfs of
 * their own that is mounted nowhere, so that they are ordinary files to all else; the name
 * is only for /proc. Seals are in the page cache, where mmap sees them; read and write
 * look at them with inode->lock held.
 */
#include "fs/anon.h"

#include "kernel/panic.h"
#include "kernel/proc/process.h"
#include "lib/string.h"
#include "mm/filemap.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum {
	MFD_CLOEXEC = 1 << 0,
	MFD_ALLOW_SEALING = 1 << 1,
	MFD_HUGETLB = 1 << 2,
	MFD_NOEXEC_SEAL = 1 << 3,
	MFD_EXEC = 1 << 4,
	MFD_FLAGS = (1 << 5) - 1,
	MFD_HUGE_SHIFT = 26,
	MFD_HUGE_MASK = 0x3f,
};

enum {
	SEALS_WRITE = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE,
	SEALS_ALL = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | SEALS_WRITE | F_SEAL_EXEC,
};

static const char prefix[] = "memfd:";

enum { PREFIX_LEN = sizeof(prefix) - 1, MAX_LEN = NAME_MAX - PREFIX_LEN };

static struct mount *memfd_mount;

void
memfd_init(void)
{
	const struct super_type *type = super_type_find("tmpfs");
	struct super *super;

	if (type->mount(type, "tmpfs", "size=0,nr_inodes=0", &super) == OK)
		memfd_mount = fs_mount_nowhere(super);
	if (!memfd_mount)
		panic("no memory for files without name");
}

/* ---- Seals ---- */

static enum err
add_seals_locked(struct inode *inode, uint32_t seals)
{
	struct page_cache *c = &inode->cache;
	uint32_t old = c->seals;

	if (old & F_SEAL_SEAL)
		return ERR_PERM;
	/* Who may execute it shall know what he executes. */
	if (seals & F_SEAL_EXEC && inode->mode & 0111)
		seals |= F_SEAL_SHRINK | F_SEAL_GROW | SEALS_WRITE;
	__atomic_store_n(&c->seals, old | seals, __ATOMIC_SEQ_CST);
	if (seals & ~old & F_SEAL_WRITE && filemap_has_writers(c)) {
		__atomic_store_n(&c->seals, old, __ATOMIC_SEQ_CST);
		return ERR_BUSY;
	}
	return OK;
}

long
file_fcntl_seals(struct file *f, unsigned cmd, uintptr_t arg)
{
	bool has_seals = f->inode && s_isreg(f->inode->mode) && f->inode->cache.is_shmem;
	enum err err;

	if (cmd == F_GET_SEALS)
		return has_seals ? (long)f->inode->cache.seals : ERR_INVAL;
	if (!(f->mode & FILE_WRITE))
		return ERR_PERM;
	if ((uint32_t)arg & ~(uint32_t)SEALS_ALL || !has_seals)
		return ERR_INVAL;
	mutex_lock(&f->inode->lock);
	err = add_seals_locked(f->inode, (uint32_t)arg);
	mutex_unlock(&f->inode->lock);
	return err;
}

/* ---- Files of huge pages, of which there are none ---- */

static enum err
hugetlb_mmap(struct file *f, struct area *a)
{
	return ERR_NOMEM;
}

static const struct file_ops hugetlb_file_ops = {
    .read = data_read,
    .seek = data_seek,
    .mmap = hugetlb_mmap,
};

static bool
is_huge_page_size(unsigned shift)
{
	return shift == 0 || shift == 21 || shift == 30;
}

/* ---- memfd_create ---- */

static enum err
check_flags(unsigned flags)
{
	unsigned sizes =
	    flags & MFD_HUGETLB ? (unsigned)MFD_HUGE_MASK << MFD_HUGE_SHIFT : 0;

	if (flags & ~(MFD_FLAGS | sizes) || (flags & MFD_EXEC && flags & MFD_NOEXEC_SEAL))
		return ERR_INVAL;
	return OK;
}

/* A name that nothing finds, in the directory of all of them. */
static struct dentry *
make_dentry(struct dentry *root, const struct name *name, uint32_t mode)
{
	struct dentry *d = NULL;
	struct inode *inode;

	mutex_lock(&root->inode->lock);
	if (root->inode->ops->tmpfile(root->inode, mode, &inode) == OK)
		d = dentry_add(root, name, inode);
	if (d)
		dentry_drop(d);
	mutex_unlock(&root->inode->lock);
	return d;
}

static enum err
make_file(const struct name *name, unsigned flags, struct file **out)
{
	struct path path = {.mount = memfd_mount};
	enum err err;

	path.dentry = make_dentry(
	    memfd_mount->root, name, S_IFREG | (flags & MFD_NOEXEC_SEAL ? 0666 : 0777));
	if (!path.dentry)
		return ERR_NOMEM;
	if (flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL))
		path.dentry->inode->cache.seals =
		    flags & MFD_NOEXEC_SEAL ? F_SEAL_EXEC : 0;
	err = path_open(&path, O_RDWR | O_LARGEFILE, out);
	dentry_put(path.dentry);
	if (err != OK)
		return err;
	file_ignore_writer(*out);
	if (flags & MFD_HUGETLB)
		(*out)->ops = &hugetlb_file_ops;
	return OK;
}

/* "memfd:NAME" into text[NAME_MAX + 1]. */
static enum err
take_name(const char USER *user, char *text, struct name *name)
{
	long len;

	memcpy(text, prefix, PREFIX_LEN);
	len = strncpy_from_user(text + PREFIX_LEN, user, MAX_LEN + 1);
	if (len == ERR_NAMETOOLONG)
		return ERR_INVAL;
	if (len < 0)
		return (enum err)len;
	name->text = text;
	name->len = (uint32_t)(PREFIX_LEN + len);
	name->hash = name_hash(text, name->len);
	return OK;
}

long
sys_memfd_create(const char USER *user, unsigned flags)
{
	enum err err = check_flags(flags);
	char text[NAME_MAX + 1];
	struct name name;
	struct file *f = NULL; /* path_open makes it */
	int fd;

	if (err == OK)
		err = take_name(user, text, &name);
	if (err == OK && flags & MFD_HUGETLB &&
	    !is_huge_page_size(flags >> MFD_HUGE_SHIFT))
		err = ERR_NODEV;
	if (err == OK)
		err = make_file(&name, flags, &f);
	if (err != OK)
		return err;
	fd = fd_install(f, 0, flags & MFD_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}
