/*
 * The log ring. Records lie one after another in a byte ring, each a header and its text, padded
 * to 16 bytes; a record never wraps: when it does not fit before the end, a filler header sends
 * the reader to the start. New records push out the oldest. Positions are counted in bytes
 * since boot and taken modulo the ring's size, so they never go back.
 *
 * One spinlock, the last but one in the lock order, covers ring and consoles, so lines come
 * out whole and in order. log_printf formats before it takes the lock. A panic breaks it.
 */
#include "kernel/log.h"

#include "kernel/cmdline.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "kernel/time/clock.h"
#include "kernel/x86/percpu.h"
#include "lib/fmt.h"
#include "lib/string.h"

enum {
	RING_SIZE = 256 * 1024,
	MAX_TEXT = 800, /* a longer line is cut, as in Linux */
	FILLER = ~0u,   /* level of a filler record */
};

struct record_head {
	uint64_t time_ns;
	uint32_t len; /* of the text; a filler's reaches the end of the ring */
	uint32_t level;
};

static struct spinlock lock = SPINLOCK_INIT("log", RANK_LOG);
static char ring[RING_SIZE] ALIGNED(16);
static uint64_t tail_pos, head_pos; /* oldest record, where the next one goes */
static uint64_t tail_seq, head_seq;
/* Where the last log_read stopped, so that reading on is O(1). */
static uint64_t cursor_seq, cursor_pos;
static struct list consoles = LIST_INIT(consoles);
static bool is_panicking;

int log_console_level = LOG_DEBUG;
struct wait_queue log_readers = WAIT_QUEUE_INIT(log_readers);

static void
log_lock(void) NO_THREAD_SAFETY_ANALYSIS
{
	if (!is_panicking)
		spin_lock(&lock);
}

static void
log_unlock(void) NO_THREAD_SAFETY_ANALYSIS
{
	if (!is_panicking)
		spin_unlock(&lock);
}

static struct record_head *
record_at(uint64_t pos)
{
	return (struct record_head *)(ring + pos % RING_SIZE);
}

static uint64_t
record_next(uint64_t pos)
{
	return pos + sizeof(struct record_head) + ALIGN_UP(record_at(pos)->len, 16);
}

/* Drops oldest records until `n` more bytes fit. */
static void
make_room(size_t n)
{
	while (head_pos + n - tail_pos > RING_SIZE) {
		if (record_at(tail_pos)->level != FILLER)
			tail_seq++;
		tail_pos = record_next(tail_pos);
	}
}

static void
append(enum log_level level, nsec_t now, const char *text, size_t len)
{
	size_t need = sizeof(struct record_head) + ALIGN_UP(len, 16);
	size_t to_end = RING_SIZE - head_pos % RING_SIZE;

	if (need > to_end) {
		make_room(to_end);
		*record_at(head_pos) = (struct record_head){
		    .len = (uint32_t)(to_end - sizeof(struct record_head)),
		    .level = FILLER,
		};
		head_pos += to_end;
	}
	make_room(need);
	*record_at(head_pos) = (struct record_head){
	    .time_ns = now,
	    .len = (uint32_t)len,
	    .level = level,
	};
	memcpy(record_at(head_pos) + 1, text, len);
	head_pos += need;
	head_seq++;
}

static void
console_line(struct console *c, nsec_t time_ns, const char *text, size_t len)
{
	char stamp[32];
	int n = scnprintf(stamp, sizeof(stamp), "[%5llu.%06llu] ",
	    (unsigned long long)(time_ns / NSEC_PER_SEC),
	    (unsigned long long)(time_ns % NSEC_PER_SEC / NSEC_PER_USEC));

	c->write(c, stamp, (size_t)n);
	c->write(c, text, len);
	c->write(c, "\n", 1);
}

static void
emit(enum log_level level, const char *text, size_t len)
{
	nsec_t now = clock_now_ns();
	struct console *c;

	log_lock();
	append(level, now, text, len);
	if ((int)level < log_console_level || is_panicking)
		list_for_each(c, &consoles, link)
			console_line(c, now, text, len);
	log_unlock();
}

void
log_vprintf(enum log_level level, const char *fmt, va_list args)
{
	char text[MAX_TEXT];
	const char *p = text;
	int n = vscnprintf(text, sizeof(text), fmt, args);
	const char *end = text + n;

	if (n > 0 && end[-1] == '\n')
		end--;
	for (;;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		emit(level, p, (size_t)((nl ? nl : end) - p));
		if (!nl)
			break;
		p = nl + 1;
	}
	if (!is_panicking && this_cpu()->preempt_count == 0 &&
	    this_cpu()->irq_off_depth == 0 && !list_is_empty(&log_readers.waiters))
		wait_queue_wake_all(&log_readers);
}

void
log_printf(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vprintf(level, fmt, args);
	va_end(args);
}

/* The position of record `seq`, which is in [tail_seq, head_seq). */
static uint64_t
find_record(uint64_t seq)
{
	uint64_t s = tail_seq, pos = tail_pos;

	if (cursor_seq >= tail_seq && cursor_seq <= seq && cursor_pos >= tail_pos) {
		s = cursor_seq;
		pos = cursor_pos;
	}
	for (;; pos = record_next(pos)) {
		if (record_at(pos)->level == FILLER)
			continue;
		if (s++ == seq)
			return pos;
	}
}

long
log_read(uint64_t *seq, struct log_record *rec, char *text, size_t size)
{
	struct record_head *r;
	uint64_t pos;
	size_t n;

	log_lock();
	if (*seq < tail_seq)
		*seq = tail_seq;
	if (*seq >= head_seq) {
		log_unlock();
		return -1;
	}
	pos = find_record(*seq);
	r = record_at(pos);
	*rec = (struct log_record){
	    .seq = *seq,
	    .time_ns = r->time_ns,
	    .level = r->level,
	    .len = r->len,
	};
	n = MIN(size, r->len);
	memcpy(text, r + 1, n);
	cursor_seq = *seq;
	cursor_pos = pos;
	log_unlock();
	return (long)n;
}

void
log_range(uint64_t *first, uint64_t *next)
{
	log_lock();
	*first = tail_seq;
	*next = head_seq;
	log_unlock();
}

void
console_register(struct console *c)
{
	log_lock();
	list_push_back(&consoles, &c->link);
	for (uint64_t pos = tail_pos; pos != head_pos; pos = record_next(pos)) {
		struct record_head *r = record_at(pos);

		if (r->level != FILLER && (int)r->level < log_console_level)
			console_line(c, r->time_ns, (const char *)(r + 1), r->len);
	}
	log_unlock();
}

void
console_unregister(struct console *c)
{
	log_lock();
	list_remove(&c->link);
	log_unlock();
}

void
log_enter_panic(void)
{
	is_panicking = true;
}

bool
log_is_panicking(void)
{
	return is_panicking;
}

void
log_init(void)
{
	if (cmdline_has("quiet"))
		log_console_level = LOG_WARNING;
	if (cmdline_has("debug"))
		log_console_level = LOG_DEBUG + 1;
	log_console_level = (int)cmdline_u64("loglevel", (uint64_t)log_console_level);
}
