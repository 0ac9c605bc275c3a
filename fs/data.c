/*
 * Contents of regular files in the page cache, the same for every file system: read,
 * write, seek, mmap. Readers take no lock but the cache's own; writers hold inode->lock.
 */
#include "fs/vfs.h"
#include "fs/xattr.h"

#include "kernel/proc/process.h"
#include "mm/aspace.h"
#include "mm/filemap.h"
#include "mm/slab.h"
#include "mm/uio.h"

static loff_t
size_of(const struct inode *inode)
{
	return __atomic_load_n(&inode->size, __ATOMIC_ACQUIRE);
}

/*
 * relatime: the access time moves only when it is not after the last change, or a day
 * old.
 */
void
file_accessed(struct file *f)
{
	struct inode *inode = f->inode;
	uint32_t flags = f->mount ? f->mount->flags : MS_NOATIME;
	int64_t now;

	if ((f->flags & O_NOATIME) || (flags & (MS_NOATIME | MS_RDONLY)) ||
	    ((flags & MS_NODIRATIME) && s_isdir(inode->mode)))
		return;
	now = fs_now_ns();
	if ((flags & MS_RELATIME) && inode->atime_ns > inode->mtime_ns &&
	    inode->atime_ns > inode->ctime_ns &&
	    now - inode->atime_ns < 86400 * (int64_t)NSEC_PER_SEC)
		return;
	inode_touch(inode, INODE_ATIME);
}

/* One page's worth. Returns bytes done, fewer than n on a fault, or an err. */
static ssize_t
read_page(struct page_cache *cache, struct uio *uio, loff_t pos, size_t n)
{
	size_t offset = pos % PAGE_SIZE;
	struct page *page = page_cache_find(cache, pos / PAGE_SIZE);
	ssize_t done;

	if (!page && cache->is_shmem)
		return uio_fill_zero(uio, n);
	if (!page) {
		enum err err = page_cache_get(cache, pos / PAGE_SIZE, &page);

		if (err)
			return err;
	}
	page_mark_used(page);
	done = uio_copy_to(uio, (char *)page_to_virt(page) + offset, n);
	page_put(page);
	return done;
}

ssize_t
data_read(struct file *f, struct uio *uio, loff_t *pos)
{
	struct inode *inode = f->inode;
	ssize_t total = 0, done = 0;
	loff_t size = size_of(inode);

	while (uio->resid > 0 && *pos < size) {
		size_t n = MIN((loff_t)(PAGE_SIZE - *pos % PAGE_SIZE), size - *pos);

		n = MIN(n, uio->resid);
		done = read_page(&inode->cache, uio, *pos, n);
		if (done > 0) {
			*pos += done;
			total += done;
		}
		if (done < (ssize_t)n) {
			if (done >= 0)
				done = ERR_FAULT;
			break;
		}
	}
	file_accessed(f);
	return total > 0 ? total : MIN(done, (ssize_t)0);
}

/* Part of one page of `in` into `out`. */
static ssize_t
send_page(struct file *in, loff_t pos, size_t n, struct file *out, bool has_more)
{
	struct page *page;
	ssize_t done;
	enum err err = page_cache_get(&in->inode->cache, pos / PAGE_SIZE, &page);

	if (err)
		return err;
	done = out->ops->send_page(out, page, pos % PAGE_SIZE, (uint32_t)n, has_more);
	page_put(page);
	return done;
}

ssize_t
data_send_pages(struct file *in, loff_t *pos, size_t n, struct file *out)
{
	ssize_t total = 0, done = 0;
	loff_t size;

	if (in->ops->read != data_read || !out->ops->send_page)
		return ERR_OPNOTSUPP;
	size = size_of(in->inode);
	while ((size_t)total < n && *pos < size && !signal_is_pending(current_thread())) {
		size_t left = MIN(n - total, (size_t)(size - *pos));
		size_t piece = MIN(left, (size_t)(PAGE_SIZE - *pos % PAGE_SIZE));

		done = send_page(in, *pos, piece, out, left > piece);
		if (done <= 0)
			break;
		*pos += done;
		total += done;
	}
	file_accessed(in);
	return total > 0 ? total : MIN(done, (ssize_t)0);
}

/* How many of `n` bytes at `pos` may be written: largest file and RLIMIT_FSIZE. */
static ssize_t
writable(loff_t pos, size_t n)
{
	struct process *p = current_process();
	uint64_t limit = p ? p->rlimits[RLIMIT_FSIZE].cur : UINT64_MAX;

	if ((uint64_t)pos >= limit) {
		(void)signal_send_thread(current_thread(), SIGXFSZ, NULL);
		return ERR_FBIG;
	}
	limit = MIN(limit, (uint64_t)INT64_MAX);
	if ((uint64_t)pos >= limit)
		return ERR_FBIG;
	return MIN((uint64_t)n, limit - pos);
}

/* Writing takes away what a program gives who runs it: set-id bits, unless the writer may give them,
 * and capabilities. */
static void
drop_privileges(struct inode *inode)
{
	if (inode->mode & (S_ISUID | S_ISGID))
		inode->mode &= ~inode_set_id_to_drop(current_cred(), inode);
	if (inode->xattrs)
		inode_drop_file_caps_locked(inode);
}

static ssize_t
write_page(struct page_cache *cache, struct uio *uio, loff_t pos, size_t n)
{
	struct page *page;
	enum err err = page_cache_get(cache, pos / PAGE_SIZE, &page);
	ssize_t done;

	if (err)
		return err;
	done = uio_copy_from(uio, (char *)page_to_virt(page) + pos % PAGE_SIZE, n);
	__atomic_or_fetch(&page->flags, PAGE_DIRTY, __ATOMIC_RELAXED);
	page_put(page);
	return done;
}

/* Whether the seals allow a write that ends at `end`. */
static enum err
may_write(const struct inode *inode, loff_t end)
{
	uint32_t seals = inode->cache.seals;

	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ||
	    (seals & F_SEAL_GROW && end > inode->size))
		return ERR_PERM;
	return OK;
}

static ssize_t
write_locked(struct file *f, struct uio *uio, loff_t *pos)
{
	struct inode *inode = f->inode;
	ssize_t total = 0, done = 0, left;

	if ((f->flags & O_APPEND) || uio->is_append)
		*pos = inode->size;
	left = uio->resid > 0 ? writable(*pos, uio->resid) : 0;
	if (left <= 0)
		return left;
	drop_privileges(inode);
	while (left > 0) {
		size_t n = MIN((ssize_t)(PAGE_SIZE - *pos % PAGE_SIZE), left);

		done = may_write(inode, *pos + (loff_t)n);
		if (done == OK)
			done = write_page(&inode->cache, uio, *pos, n);
		if (done > 0) {
			*pos += done;
			total += done;
			left -= done;
			if (*pos > inode->size) {
				inode->cache.file_size = *pos;
				__atomic_store_n(&inode->size, *pos, __ATOMIC_RELEASE);
			}
		}
		if (done < (ssize_t)n) {
			if (done >= 0)
				done = ERR_FAULT;
			break;
		}
	}
	if (total > 0)
		inode_touch(inode, INODE_MTIME | INODE_CTIME);
	return total > 0 ? total : done;
}

ssize_t
data_write(struct file *f, struct uio *uio, loff_t *pos)
{
	ssize_t n;

	mutex_lock(&f->inode->lock);
	n = write_locked(f, uio, pos);
	mutex_unlock(&f->inode->lock);
	return n;
}

/* SEEK_DATA and SEEK_HOLE by the pages that are there; the end of the file is a hole. */
static loff_t
seek_data(struct inode *inode, loff_t offset, bool want_data)
{
	loff_t size = size_of(inode);
	uint64_t index = (uint64_t)offset / PAGE_SIZE, next;

	if (offset < 0 || offset >= size)
		return ERR_NXIO;
	next = page_cache_next(&inode->cache, index);
	if (want_data) {
		if (next == UINT64_MAX || (loff_t)(next * PAGE_SIZE) >= size)
			return ERR_NXIO;
		return MAX(offset, (loff_t)(next * PAGE_SIZE));
	}
	if (next != index)
		return offset;
	while (next == index && (loff_t)(index * PAGE_SIZE) < size)
		next = page_cache_next(&inode->cache, ++index);
	return MIN((loff_t)(index * PAGE_SIZE), size);
}

loff_t
data_seek(struct file *f, loff_t offset, int whence)
{
	loff_t pos;

	switch (whence) {
	case SEEK_SET: pos = offset; break;
	case SEEK_CUR:
		if (__builtin_add_overflow(f->pos, offset, &pos))
			return ERR_INVAL;
		break;
	case SEEK_END:
		if (__builtin_add_overflow(size_of(f->inode), offset, &pos))
			return ERR_INVAL;
		break;
	case SEEK_DATA: pos = seek_data(f->inode, offset, true); break;
	case SEEK_HOLE: pos = seek_data(f->inode, offset, false); break;
	default: return ERR_INVAL;
	}
	if (pos < 0)
		return whence >= SEEK_DATA ? pos : ERR_INVAL;
	f->pos = pos;
	return pos;
}

loff_t
file_bytes_left(struct file *f)
{
	return size_of(f->inode) - f->pos;
}

enum err
data_mmap(struct file *f, struct area *area)
{
	uint32_t seals = __atomic_load_n(&f->cache->seals, __ATOMIC_SEQ_CST);

	if (area->flags & AREA_SHARED && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) {
		if (area->flags & AREA_WRITE)
			return ERR_PERM;
		area->flags &= ~(uint32_t)AREA_MAY_WRITE;
	}
	area->ops = &filemap_area_ops;
	file_accessed(f);
	return OK;
}

loff_t
dir_seek(struct file *f, loff_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return ERR_INVAL;
	if (whence == SEEK_CUR && __builtin_add_overflow(offset, f->pos, &offset))
		return ERR_INVAL;
	if (offset < 0)
		return ERR_INVAL;
	f->pos = offset;
	return offset;
}

static ssize_t
dir_read(struct file *f, struct uio *uio, loff_t *pos)
{
	return ERR_ISDIR;
}

static enum err
dir_readdir(struct file *f, struct dir_sink *sink)
{
	struct inode *dir = f->inode;
	enum err err = ERR_NOENT;

	if (!dir->ops->readdir)
		return ERR_NOTDIR;
	mutex_lock(&dir->lock);
	if (!(dir->flags & INODE_DEAD))
		err = dir->ops->readdir(dir, sink);
	mutex_unlock(&dir->lock);
	file_accessed(f);
	return err;
}

static enum err
dir_fsync(struct file *f, bool data_only)
{
	return OK;
}

const struct file_ops dir_file_ops = {
    .read = dir_read,
    .seek = dir_seek,
    .readdir = dir_readdir,
    .fsync = dir_fsync,
};
