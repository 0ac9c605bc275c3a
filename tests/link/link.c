/*
 * link A B [options]: carries Ethernet frames between two ends and treats them badly on the way: a
 * rate, a delay, and by chance loss (single or in bursts), reordering, duplication, corruption. Each
 * direction draws from a generator of its own, so a seed repeats its decisions frame by frame.
 *
 * An end is `fd:N` (an inherited tap or packet socket: one frame a read) or `unix:MINE,PEER`
 * (datagram sockets, QEMU's -netdev dgram). Frames wait in a heap by the time at which they come
 * out. A line "NAME VALUE" on standard input sets an option again, for frames to come; a seed starts
 * both generators anew. Ends on SIGTERM or when standard input closes, and then prints what it did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FRAME = 70000, NSEC = 1000000000, RETRY_NS = 50000 };

struct settings {
	double loss, reorder, duplicate, corrupt; /* probabilities */
	double burst; /* mean length of a run of losses; 1: single */
	uint64_t delay_ns, jitter_ns, rate_bps;
	size_t queue_bytes;
};

struct frame {
	uint64_t out_ns, order;
	size_t len;
	uint8_t *data;
};

struct end {
	int fd;
	struct sockaddr_un peer;
	int has_peer;
};

/* One way. */
struct way {
	struct end *from, *to;
	struct frame *heap;
	size_t num, room, bytes;
	uint64_t random, order, busy_until_ns, last_out_ns;
	int is_in_burst;
	uint64_t passed, lost, overflowed, duplicated, reordered, corrupted;
};

static struct settings set = {.burst = 1, .queue_bytes = 4 << 20};
static volatile sig_atomic_t must_end;

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

/* In [0, 1): splitmix64. */
static double
chance(struct way *w)
{
	uint64_t z = (w->random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (double)((z ^ (z >> 31)) >> 11) / (double)(1ull << 53);
}

static int
is_before(const struct frame *a, const struct frame *b)
{
	return a->out_ns != b->out_ns ? a->out_ns < b->out_ns : a->order < b->order;
}

static void
heap_push(struct way *w, struct frame f)
{
	size_t i = w->num++;

	if (w->num > w->room) {
		w->room = w->room ? w->room * 2 : 256;
		w->heap = realloc(w->heap, w->room * sizeof(*w->heap));
		if (!w->heap)
			abort();
	}
	for (; i > 0 && is_before(&f, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = f;
}

static struct frame
heap_pop(struct way *w)
{
	struct frame top = w->heap[0], last = w->heap[--w->num];
	size_t i = 0;

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= w->num)
			break;
		if (c + 1 < w->num && is_before(&w->heap[c + 1], &w->heap[c]))
			c++;
		if (!is_before(&w->heap[c], &last))
			break;
		w->heap[i] = w->heap[c];
		i = c;
	}
	w->heap[i] = last;
	return top;
}

/*
 * Two states (Gilbert): in a burst everything is lost; it ends with 1/burst a frame, and begins so
 * often that `loss` is lost in all.
 */
static int
is_lost(struct way *w)
{
	double begin =
	    set.loss / (set.burst * (1 - set.loss) + (set.burst > 1 ? 0 : set.loss));

	if (set.burst <= 1)
		return chance(w) < set.loss;
	w->is_in_burst = w->is_in_burst ? chance(w) >= 1 / set.burst : chance(w) < begin;
	return w->is_in_burst;
}

static void
queue_frame(struct way *w, const uint8_t *data, size_t len, uint64_t now)
{
	struct frame f = {.len = len, .order = w->order++};
	uint64_t start = now > w->busy_until_ns ? now : w->busy_until_ns;

	if (w->bytes + len > set.queue_bytes) {
		w->overflowed++;
		return;
	}
	if (set.rate_bps) {
		start += len * 8 * (uint64_t)NSEC / set.rate_bps;
		w->busy_until_ns = start;
	}
	f.out_ns = start + set.delay_ns + (uint64_t)((double)set.jitter_ns * chance(w));
	if (set.reorder > 0 && chance(w) < set.reorder) {
		/* Ahead of those that wait, or behind the next ones where nothing waits. */
		f.out_ns = set.delay_ns ? start : start + 2000000;
		w->reordered++;
	} else if (f.out_ns < w->last_out_ns) {
		f.out_ns = w->last_out_ns; /* jitter alone does not reorder */
	} else {
		w->last_out_ns = f.out_ns;
	}
	f.data = malloc(len);
	if (!f.data)
		abort();
	memcpy(f.data, data, len);
	if (set.corrupt > 0 && chance(w) < set.corrupt && len > 14) {
		f.data[14 + (size_t)(chance(w) * (double)(len - 14))] ^=
		    (uint8_t)(1 << (int)(chance(w) * 8));
		w->corrupted++;
	}
	w->bytes += len;
	heap_push(w, f);
}

static void
take_frames(struct way *w)
{
	static uint8_t buf[MAX_FRAME];

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(w->from->fd, buf, sizeof(buf));
		uint64_t now = now_ns();

		if (n <= 0)
			return;
		if (is_lost(w)) {
			w->lost++;
			continue;
		}
		queue_frame(w, buf, (size_t)n, now);
		if (set.duplicate > 0 && chance(w) < set.duplicate) {
			queue_frame(w, buf, (size_t)n, now);
			w->duplicated++;
		}
	}
}

/* False: the end takes no more just now (a Unix socket queues 10 datagrams): again in a moment. */
static int
send_frame(struct way *w, const struct frame *f)
{
	ssize_t n;

	if (w->to->has_peer)
		n = sendto(w->to->fd, f->data, f->len, 0, (struct sockaddr *)&w->to->peer,
		    sizeof(w->to->peer));
	else
		n = write(w->to->fd, f->data, f->len);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	if (n >= 0)
		w->passed++;
	else
		w->overflowed++; /* the end is not there (yet) */
	return 1;
}

/* Sends what is due; when the next is, or 0 for never. */
static uint64_t
release_frames(struct way *w, uint64_t now)
{
	while (w->num > 0 && w->heap[0].out_ns <= now) {
		struct frame f;

		if (!send_frame(w, &w->heap[0]))
			return now + RETRY_NS;
		f = heap_pop(w);
		w->bytes -= f.len;
		free(f.data);
	}
	return w->num > 0 ? w->heap[0].out_ns : 0;
}

static void
die(const char *what)
{
	fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct end
open_end(char *text)
{
	struct end e = {.fd = -1};
	struct sockaddr_un mine = {.sun_family = AF_UNIX};
	int size = 8 << 20;

	if (!strncmp(text, "fd:", 3)) {
		e.fd = atoi(text + 3);
	} else if (!strncmp(text, "unix:", 5) && strchr(text, ',')) {
		char *peer = strchr(text, ',');

		*peer++ = '\0';
		snprintf(mine.sun_path, sizeof(mine.sun_path), "%s", text + 5);
		e.peer.sun_family = AF_UNIX;
		snprintf(e.peer.sun_path, sizeof(e.peer.sun_path), "%s", peer);
		e.has_peer = 1;
		e.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		unlink(mine.sun_path);
		if (e.fd < 0 || bind(e.fd, (struct sockaddr *)&mine, sizeof(mine)) < 0)
			die(text);
		setsockopt(e.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(e.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	} else {
		fprintf(stderr, "link: an end is fd:N or unix:MINE,PEER\n");
		exit(2);
	}
	if (fcntl(e.fd, F_SETFL, O_NONBLOCK) < 0)
		die(text);
	return e;
}

static void
end_soon(int sig)
{
	(void)sig;
	must_end = 1;
}

static const struct option options[] = {{"loss", 1, 0, 'l'}, {"burst", 1, 0, 'b'},
    {"reorder", 1, 0, 'r'}, {"duplicate", 1, 0, 'd'}, {"corrupt", 1, 0, 'c'},
    {"delay-ms", 1, 0, 'D'}, {"jitter-ms", 1, 0, 'j'}, {"rate-mbps", 1, 0, 'R'},
    {"queue-kb", 1, 0, 'q'}, {"seed", 1, 0, 's'}, {0}};

static int
set_option(int which, const char *value, struct way ways[2])
{
	double v = value ? atof(value) : 0;

	switch (which) {
	case 'l': set.loss = v / 100; break;
	case 'b': set.burst = v; break;
	case 'r': set.reorder = v / 100; break;
	case 'd': set.duplicate = v / 100; break;
	case 'c': set.corrupt = v / 100; break;
	case 'D': set.delay_ns = (uint64_t)(v * 1e6); break;
	case 'j': set.jitter_ns = (uint64_t)(v * 1e6); break;
	case 'R': set.rate_bps = (uint64_t)(v * 1e6); break;
	case 'q': set.queue_bytes = (size_t)(v * 1024); break;
	case 's':
		ways[0].random = (uint64_t)v * 2;
		ways[1].random = (uint64_t)v * 2 + 1;
		break;
	default: return 0;
	}
	return 1;
}

/* A line "NAME VALUE" from standard input; false at its end. */
static int
read_option(struct way ways[2])
{
	static char line[128];
	static size_t len;
	char name[32], value[32], *end;
	ssize_t n = read(0, line + len, sizeof(line) - 1 - len);

	if (n <= 0)
		return 0;
	len += (size_t)n;
	line[len] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (sscanf(line, "%31s %31s", name, value) == 2)
			for (const struct option *o = options; o->name; o++)
				if (!strcmp(o->name, name))
					set_option(o->val, value, ways);
		len -= (size_t)(end + 1 - line);
		memmove(line, end + 1, len + 1);
	}
	if (len == sizeof(line) - 1)
		len = 0;
	return 1;
}

static void
run(struct way ways[2])
{
	while (!must_end) {
		struct pollfd p[3] = {{.fd = ways[0].from->fd, .events = POLLIN},
		    {.fd = ways[1].from->fd, .events = POLLIN},
		    {.fd = 0, .events = POLLIN}};
		uint64_t now = now_ns(), a = release_frames(&ways[0], now),
		         b = release_frames(&ways[1], now);
		uint64_t next = !a || (b && b < a) ? b : a;
		struct timespec t = {.tv_sec = 1};

		if (next) {
			now = now_ns();
			t.tv_sec = next > now ? (time_t)((next - now) / NSEC) : 0;
			t.tv_nsec = next > now ? (long)((next - now) % NSEC) : 0;
		}
		if (ppoll(p, 3, &t, NULL) < 0 && errno != EINTR)
			die("poll");
		if (p[2].revents && !read_option(ways))
			return;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				take_frames(&ways[i]);
	}
}

int
main(int argc, char **argv)
{
	struct end a, b;
	struct way ways[2] = {
	    {.from = &a, .to = &b, .random = 2}, {.from = &b, .to = &a, .random = 3}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!set_option(c, optarg, ways))
			return 2;
	if (argc - optind != 2) {
		fprintf(stderr, "usage: link END END [--loss %%] [--burst N] [--reorder "
		                "%%] [--duplicate %%] "
		                "[--corrupt %%] [--delay-ms N] [--jitter-ms N] "
		                "[--rate-mbps N] [--queue-kb N] "
		                "[--seed N]\n");
		return 2;
	}
	a = open_end(argv[optind]);
	b = open_end(argv[optind + 1]);
	signal(SIGTERM, end_soon);
	signal(SIGINT, end_soon);
	run(ways);
	for (int i = 0; i < 2; i++)
		printf("%s passed %lu lost %lu overflowed %lu duplicated %lu reordered "
		       "%lu corrupted %lu\n",
		    i ? "back" : "forth", ways[i].passed, ways[i].lost,
		    ways[i].overflowed, ways[i].duplicated, ways[i].reordered,
		    ways[i].corrupted);
	return 0;
}
