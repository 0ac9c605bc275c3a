/*
 * syslog(2): the log ring for dmesg and klogd (Linux's actions 0 to 10). Reading all shows the last
 * records that fit; action 2 reads on from where the last one stopped. "Clear" moves a mark; the
 * ring keeps its records.
 */
#include "kernel/log.h"
#include "kernel/proc/cred.h"
#include "kernel/sync/mutex.h"
#include "kernel/sync/wait.h"
#include "kernel/time/clock.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "syscalls.h"

enum syslog_action {
	SYSLOG_CLOSE,
	SYSLOG_OPEN,
	SYSLOG_READ,
	SYSLOG_READ_ALL,
	SYSLOG_READ_CLEAR,
	SYSLOG_CLEAR,
	SYSLOG_CONSOLE_OFF,
	SYSLOG_CONSOLE_ON,
	SYSLOG_CONSOLE_LEVEL,
	SYSLOG_SIZE_UNREAD,
	SYSLOG_SIZE_BUFFER,
};

enum { LINE_MAX = 1024, BUFFER_SIZE = 256 * 1024 };

#define LOOK_AGAIN \
	(200 * NSEC_PER_MSEC) /* a record logged under a spinlock wakes no one */

static struct mutex lock = MUTEX_INIT(lock, "syslog", RANK_SETUP);
/* SYSLOG_READ sleeps, so it has a lock of its own. */
static struct mutex read_lock = MUTEX_INIT(read_lock, "syslog read", RANK_SETUP);
static uint64_t read_seq;    /* [read_lock] next record of SYSLOG_READ */
static uint64_t clear_seq;   /* [lock] first record after the last clear */
static int saved_level = -1; /* [lock] console level before SYSLOG_CONSOLE_OFF */

/* Record *seq (or the oldest) as dmesg expects it: "<level>[time] text\n". 0: there is none. */
static size_t
format_record(uint64_t *seq, char *out)
{
	struct log_record r;
	size_t head;
	long n;

	n = log_read(seq, &r, out + 40, LINE_MAX - 41);
	if (n < 0)
		return 0;
	head = (size_t)scnprintf(out, 40, "<%u>[%5llu.%06llu] ", r.level,
	    r.time_ns / NSEC_PER_SEC, r.time_ns % NSEC_PER_SEC / NSEC_PER_USEC);
	memmove(out + head, out + 40, (size_t)n);
	out[head + (size_t)n] = '\n';
	return head + (size_t)n + 1;
}

static bool
has_unread(void)
{
	uint64_t first, next;

	log_range(&first, &next);
	return next > read_seq;
}

/* Waits for a record, then gives as many whole ones as fit, at least part of one. */
static long
read_next(char USER *buf, size_t size, char *line)
{
	size_t done = 0;

	for (;;) {
		enum err err = wait_event(&log_readers, has_unread(), WAIT_INTERRUPTIBLE,
		    clock_now_ns() + LOOK_AGAIN);

		if (err == OK)
			break;
		if (err != ERR_TIMEDOUT)
			return err;
	}
	while (done < size) {
		uint64_t seq = read_seq;
		size_t n = format_record(&seq, line);

		if (n == 0 || (done > 0 && done + n > size))
			break;
		n = MIN(n, size - done);
		if (copy_to_user(buf + done, line, n) != OK)
			return done ? (long)done : ERR_FAULT;
		done += n;
		read_seq = seq + 1;
	}
	return (long)done;
}

/* The newest records since the last clear that fit into size bytes. */
static long
read_all(char USER *buf, size_t size, char *line)
{
	uint64_t first, next, seq;
	size_t total = 0, done = 0, n;

	log_range(&first, &next);
	first = MAX(first, clear_seq);
	for (seq = first; seq < next && (n = format_record(&seq, line)) > 0; seq++)
		total += n;
	for (seq = first; seq < next && (n = format_record(&seq, line)) > 0; seq++) {
		if (total > size) {
			total -= n;
			continue;
		}
		if (done + n > size)
			break;
		if (copy_to_user(buf + done, line, n) != OK)
			return ERR_FAULT;
		done += n;
	}
	return (long)done;
}

static long
read_records(int action, char USER *buf, int len)
{
	char *line;
	long result;

	if (!buf || len < 0)
		return ERR_INVAL;
	if (len == 0)
		return 0;
	line = kmalloc(LINE_MAX);
	if (!line)
		return ERR_NOMEM;
	result = action == SYSLOG_READ ? read_next(buf, (size_t)len, line)
	                               : read_all(buf, (size_t)len, line);
	kfree(line);
	return result;
}

static void
clear(void)
{
	uint64_t first;

	log_range(&first, &clear_seq);
}

static long
set_console_level(int action, int len)
{
	if (action == SYSLOG_CONSOLE_OFF) {
		if (saved_level < 0)
			saved_level = log_console_level;
		log_console_level = LOG_ALERT;
	} else if (action == SYSLOG_CONSOLE_ON) {
		if (saved_level >= 0)
			log_console_level = saved_level;
		saved_level = -1;
	} else {
		if (len < 1 || len > 8)
			return ERR_INVAL;
		log_console_level = len;
		saved_level = -1;
	}
	return OK;
}

static long
count_unread(void)
{
	uint64_t first, next, seq = read_seq;
	struct log_record r;
	char none;
	long total = 0;

	log_range(&first, &next);
	for (seq = MAX(seq, first); seq < next && log_read(&seq, &r, &none, 0) >= 0;
	     seq++)
		total += r.len + 1;
	return total;
}

static long
act(int action, char USER *buf, int len)
{
	long result;

	switch (action) {
	case SYSLOG_CLOSE:
	case SYSLOG_OPEN: return OK;
	case SYSLOG_READ:
	case SYSLOG_READ_ALL:
	case SYSLOG_READ_CLEAR:
		result = read_records(action, buf, len);
		if (action == SYSLOG_READ_CLEAR && result >= 0)
			clear();
		return result;
	case SYSLOG_CLEAR: clear(); return OK;
	case SYSLOG_CONSOLE_OFF:
	case SYSLOG_CONSOLE_ON:
	case SYSLOG_CONSOLE_LEVEL: return set_console_level(action, len);
	case SYSLOG_SIZE_UNREAD: return count_unread();
	case SYSLOG_SIZE_BUFFER: return BUFFER_SIZE;
	default: return ERR_INVAL;
	}
}

/* As Linux with dmesg_restrict off: reading all and its size are for everyone. */
long
sys_syslog(int action, char USER *buf, int len) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex *m = action == SYSLOG_READ ? &read_lock : &lock;
	long result;

	if (action != SYSLOG_READ_ALL && action != SYSLOG_SIZE_BUFFER &&
	    !capable(CAP_SYSLOG) && !capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	if (mutex_lock_interruptible(m) != OK)
		return ERR_RESTARTSYS;
	result = act(action, buf, len);
	mutex_unlock(m);
	return result;
}
