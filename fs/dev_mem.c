/* The devices that need no hardware: null, zero, full, random, urandom, kmsg. */
#include "fs/device.h"
#include "kernel/device.h"
#include "kernel/log.h"
#include "kernel/poll.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/proc/signal.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "kernel/time/clock.h"
#include "mm/area.h"
#include "mm/filemap.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "mm/usercopy.h"

static ssize_t
null_read(struct file *f, struct uio *uio, loff_t *pos)
{
	return 0;
}

/* Takes everything without looking at it. */
static ssize_t
null_write(struct file *f, struct uio *uio, loff_t *pos)
{
	ssize_t n = uio->resid;

	uio->resid = 0;
	return n;
}

/* Position has no meaning; seeking works and stays at 0, as on Linux. */
static loff_t
null_seek(struct file *f, loff_t offset, int whence)
{
	return 0;
}

static ssize_t
zero_read(struct file *f, struct uio *uio, loff_t *pos)
{
	ssize_t total = 0;

	while (uio->resid > 0) {
		size_t want = MIN(uio->resid, (size_t)65536);
		size_t n = uio_fill_zero(uio, want);

		total += n;
		if (n < want)
			return total > 0 ? total : ERR_FAULT;
		if (signal_is_pending(current_thread()))
			break;
	}
	return total;
}

static ssize_t
full_write(struct file *f, struct uio *uio, loff_t *pos)
{
	return ERR_NOSPC;
}

/* A mapping of zero is memory of its own: of a file nobody else has. */
static enum err
zero_mmap(struct file *f, struct area *area)
{
	struct file *memory =
	    shmem_file_create(area->end - area->start, area->flags & AREA_NORESERVE);

	if (!memory)
		return ERR_NOMEM;
	file_put(area->file);
	area->file = memory;
	area->file_page = 0;
	area->ops = &filemap_area_ops;
	return OK;
}

static ssize_t
random_read(struct file *f, struct uio *uio, loff_t *pos)
{
	uint8_t buf[256];
	ssize_t total = 0;

	while (uio->resid > 0) {
		size_t n = MIN(uio->resid, sizeof(buf)), done;

		random_bytes(buf, n);
		done = uio_copy_to(uio, buf, n);
		total += done;
		if (done < n)
			return total > 0 ? total : ERR_FAULT;
		if (signal_is_pending(current_thread()))
			break;
	}
	memset(buf, 0, sizeof(buf));
	return total;
}

static ssize_t
random_write(struct file *f, struct uio *uio, loff_t *pos)
{
	uint8_t buf[256];
	ssize_t total = 0;

	while (uio->resid > 0) {
		size_t n = MIN(uio->resid, sizeof(buf));
		size_t done = uio_copy_from(uio, buf, n);

		random_mix(buf, done);
		total += done;
		if (done < n)
			return total > 0 ? total : ERR_FAULT;
	}
	return total;
}

static long
random_ioctl(struct file *f, unsigned cmd, uintptr_t arg)
{
	enum { RNDGETENTCNT = 0x80045200 };
	int32_t bits = 256;

	if (cmd != RNDGETENTCNT)
		return ERR_INVAL;
	return put_user(bits, (int32_t USER *)arg);
}

static const struct file_ops null_ops = {
    .read = null_read, .write = null_write, .seek = null_seek};
static const struct file_ops zero_ops = {
    .read = zero_read, .write = null_write, .seek = null_seek, .mmap = zero_mmap};
static const struct file_ops full_ops = {
    .read = zero_read, .write = full_write, .seek = null_seek};
static const struct file_ops random_ops = {
    .read = random_read, .write = random_write, .seek = null_seek, .ioctl = random_ioctl};

/* ---- /dev/kmsg: one record a read, as Linux formats it; writes are logged */

enum { KMSG_TEXT = 1024 };

/* The position of the next record is per open file; it lies in `private`. */
static enum err
kmsg_open(struct file *f)
{
	uint64_t first, next, *seq = kmalloc(sizeof(*seq));

	if (!seq)
		return ERR_NOMEM;
	log_range(&first, &next);
	*seq = first;
	f->private = seq;
	return OK;
}

static void
kmsg_release(struct file *f)
{
	kfree(f->private);
}

static bool
kmsg_has_more(const uint64_t *seq)
{
	uint64_t first, next;

	log_range(&first, &next);
	return *seq < next;
}

/* Text with what is not printable as \xNN; a newline starts a continuation line (" "). */
static int
escape_record(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 < size; i++) {
		uint8_t c = text[i];

		if (c == '\n')
			n += scnprintf(out + n, size - n, "\n ");
		else if (c < ' ' || c == '\\' || c == 127)
			n += scnprintf(out + n, size - n, "\\x%02x", c);
		else
			out[n++] = c;
	}
	out[n++] = '\n';
	return n;
}

static ssize_t
kmsg_read(struct file *f, struct uio *uio, loff_t *pos)
{
	uint64_t *seq = f->private, number = *seq;
	struct log_record rec;
	char *text = kmalloc(2 * KMSG_TEXT);
	char *line = text + KMSG_TEXT;
	ssize_t n;
	long len;

	if (!text)
		return ERR_NOMEM;
	while ((len = log_read(&number, &rec, text, KMSG_TEXT / 2)) < 0) {
		const nsec_t poll_interval = 200 * NSEC_PER_MSEC;

		n = ERR_AGAIN;
		if (f->flags & O_NONBLOCK)
			goto out;
		/* Lines logged under a spinlock wake nobody: look again now and then. */
		n = wait_event(&log_readers, kmsg_has_more(seq), WAIT_INTERRUPTIBLE,
		    clock_now_ns() + poll_interval);
		if (n && n != ERR_TIMEDOUT)
			goto out;
	}
	n = ERR_PIPE; /* records were lost: says so once, then goes on with the oldest */
	if (number != *seq) {
		*seq = number;
		goto out;
	}
	n = scnprintf(line, KMSG_TEXT, "%u,%lu,%lu,-;", rec.level, rec.seq,
	    (uint64_t)(rec.time_ns / NSEC_PER_USEC));
	n += escape_record(line + n, KMSG_TEXT - n, text, len);
	if ((size_t)n > uio->resid) {
		n = ERR_INVAL;
	} else {
		*seq = number + 1;
		n = uio_copy_to(uio, line, n) < (size_t)n ? ERR_FAULT : n;
	}
out:
	kfree(text);
	return n;
}

static ssize_t
kmsg_write(struct file *f, struct uio *uio, loff_t *pos)
{
	char text[256];
	size_t total = uio->resid, n = MIN(total, sizeof(text) - 1);
	const char *p = text, *end;
	uint64_t level = LOG_NOTICE;

	if (uio_copy_from(uio, text, n) < n)
		return ERR_FAULT;
	uio->resid = 0;
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	if (text[0] == '<' && parse_u64(text + 1, &end, 10, &level) && *end == '>')
		p = end + 1;
	log_printf(level & 7, "%s", p);
	return total;
}

static loff_t
kmsg_seek(struct file *f, loff_t offset, int whence)
{
	uint64_t first, next, *seq = f->private;

	log_range(&first, &next);
	if (offset != 0)
		return ERR_SPIPE;
	if (whence == SEEK_SET || whence == SEEK_DATA)
		*seq = first;
	else if (whence == SEEK_END)
		*seq = next;
	else
		return ERR_INVAL;
	return 0;
}

static uint32_t
kmsg_poll(struct file *f, struct poll_table *pt)
{
	poll_wait(f, &log_readers, pt);
	return POLLOUT | POLLWRNORM |
	       (kmsg_has_more(f->private) ? POLLIN | POLLRDNORM : 0);
}

static const struct file_ops kmsg_ops = {
    .open = kmsg_open,
    .read = kmsg_read,
    .write = kmsg_write,
    .seek = kmsg_seek,
    .poll = kmsg_poll,
    .release = kmsg_release,
};

void
dev_mem_init(void)
{
	static const struct {
		const char *name;
		const struct file_ops *ops;
		uint16_t mode, minor;
	} devices[] = {
	    {"null", &null_ops, 0666, 3},
	    {"zero", &zero_ops, 0666, 5},
	    {"full", &full_ops, 0666, 7},
	    {"random", &random_ops, 0666, 8},
	    {"urandom", &random_ops, 0666, 9},
	    {"kmsg", &kmsg_ops, 0644, 11},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		if (dev_register_char(devices[i].name, devices[i].mode, DEV_MAJOR_MEM,
		        devices[i].minor, devices[i].ops, NULL))
			log_err("no /dev/%s", devices[i].name);
}
