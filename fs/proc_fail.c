/*
 * /proc/PID/fail-nth of debug kernels: N written to it makes the Nth allocation of the
 * thread fail from then on; read, it says how many are still to come, 0: it has failed.
 * Reading and writing allocate nothing. As on Linux (fault-injection.rst).
 */
#include "fs/procfs.h"

#include "kernel/sched/thread.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/uio.h"

enum { NUMBER_LEN = 24 };

static ssize_t
fail_read(struct file *f, struct uio *uio, loff_t *pos)
{
	struct thread *t = proc_thread(&proc_inode_of(f->inode)->id);
	char text[NUMBER_LEN];
	size_t len, n;

	if (!t)
		return ERR_SRCH;
	len = scnprintf(text, sizeof(text), "%u\n", t->fail_nth);
	thread_put(t);
	if (*pos >= (loff_t)len)
		return 0;
	n = MIN(len - (size_t)*pos, uio->resid);
	if (uio_copy_to(uio, text + *pos, n) < n)
		return ERR_FAULT;
	*pos += (loff_t)n;
	return (ssize_t)n;
}

static ssize_t
fail_write(struct file *f, struct uio *uio, loff_t *pos)
{
	size_t n = MIN(uio->resid, (size_t)NUMBER_LEN - 1);
	char text[NUMBER_LEN] = "";
	const char *end;
	struct thread *t;
	uint64_t value;

	if (uio_copy_from(uio, text, n) < n)
		return ERR_FAULT;
	if (!parse_u64(text, &end, 10, &value) || (*end && *end != '\n') ||
	    value > INT32_MAX)
		return ERR_INVAL;
	t = proc_thread(&proc_inode_of(f->inode)->id);
	if (!t)
		return ERR_SRCH;
	t->fail_nth = (uint32_t)value;
	thread_put(t);
	*pos += (loff_t)n;
	return (ssize_t)n;
}

static loff_t
fail_seek(struct file *f, loff_t offset, int whence)
{
	if (whence != SEEK_SET || offset < 0)
		return ERR_INVAL;
	f->pos = offset;
	return offset;
}

const struct inode_ops proc_fail_ops = {.free = proc_inode_free};
const struct file_ops proc_fail_file_ops = {
    .read = fail_read,
    .write = fail_write,
    .seek = fail_seek,
};
