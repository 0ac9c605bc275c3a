/*
 * Operations whose allocations fail one after the other. Each operation is run with the
 * first allocation failing (/proc/self/fail-nth of a debug kernel, as Linux has it), then
 * the second, and so on until it gets through without. It must fail with an error that
 * says so, or do its work without that memory; and once every round is over, no object
 * or frame may be left. Where the kernel cannot do this each operation is run once.
 */
#pragma once

#include "tests/guest/check.h"

#include <sys/mman.h>
#include <sys/syscall.h>

/* What else than ENOMEM an operation may say. */
enum { MAY_SAY = 3 };

struct op {
	const char *name;
	int (*run)(void); /* 0, or the errno of the call that failed; leaves nothing */
	int errors[MAY_SAY];
};

enum {
	ROUNDS = 8,           /* a leak in one error path of many is seen this often */
	MOST_FAILURES = 2000, /* more allocations than any operation has */
	SETTLE_TRIES = 20,
};

static int fail_fd = -1; /* of this process */

static inline int
error_of(long result)
{
	return result < 0 ? errno : 0;
}

static inline void
fail_open(void)
{
	if (fail_fd >= 0)
		close(fail_fd);
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

static inline void
fail_arm(unsigned nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (fail_fd >= 0 && pwrite(fail_fd, text, (size_t)len, 0) != len)
		_exit(90);
}

/* Allocations still to come before the one that fails; 0: it has failed. */
static inline unsigned
fail_left(void)
{
	char text[16] = "";

	if (fail_fd < 0)
		return 1;
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 1)
		_exit(91);
	return (unsigned)strtoul(text, NULL, 10);
}

/* ---- What is in use ---- */

struct usage {
	long other, tables, anon, cached, vmalloc, slab, stacks; /* pages */
	char sites[4096]; /* lines of /proc/slab_leaks with enough objects */
};

static inline long
meminfo_pages(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtol(at + strlen(name), NULL, 10) / 4 : 0;
}

static inline void
read_whole(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = 0, got;

	while (fd >= 0 && (got = read(fd, buf + n, size - 1 - (size_t)n)) > 0)
		n += got;
	buf[n] = '\0';
	close(fd);
}

/* Sites that have left an object in every round since "mark". */
static inline void
read_sites(struct usage *u)
{
	static char text[1 << 16];
	char *save = NULL;

	u->sites[0] = '\0';
	read_whole("/proc/slab_leaks", text, sizeof(text));
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strtol(l, NULL, 10) >= ROUNDS && !strstr(l, "in all") &&
		    strlen(u->sites) + strlen(l) + 2 < sizeof(u->sites))
			strcat(strcat(u->sites, l), "\n");
}

static inline void
read_usage(struct usage *u)
{
	static char text[4096];

	read_whole("/proc/meminfo", text, sizeof(text));
	u->tables = meminfo_pages(text, "PageTables:");
	u->anon = meminfo_pages(text, "AnonPages:");
	u->cached = meminfo_pages(text, "Cached:");
	u->vmalloc = meminfo_pages(text, "VmallocUsed:");
	u->slab = meminfo_pages(text, "Slab:");
	u->stacks = meminfo_pages(text, "KernelStack:");
	u->other = meminfo_pages(text, "MemTotal:") - meminfo_pages(text, "MemFree:") -
	           u->tables - u->anon - u->cached - u->vmalloc - u->slab - u->stacks;
}

/* Whether nothing has grown by a page or an object a round. */
static inline int
is_clean(const struct usage *before, struct usage *now)
{
	/* Stacks: each CPU keeps 8 of 4 pages, and 32 wait to be freed. */
	enum { SLACK = ROUNDS, SLAB_SLACK = 16 * ROUNDS, STACKS_SLACK = 256 };

	read_usage(now);
	read_sites(now);
	return !now->sites[0] && now->other < before->other + SLACK &&
	       now->tables < before->tables + SLACK && now->anon < before->anon + SLACK &&
	       now->cached < before->cached + SLACK &&
	       now->vmalloc < before->vmalloc + SLACK &&
	       now->stacks < before->stacks + STACKS_SLACK &&
	       now->slab < before->slab + SLAB_SLACK;
}

/* ---- One operation ---- */

static inline int
is_expected(const struct op *op, int error)
{
	for (unsigned i = 0; i < MAY_SAY; i++)
		if (error && op->errors[i] == error)
			return 1;
	return error == ENOMEM;
}

/* Fails each allocation of the operation in turn, `rounds` times. In a child. */
static inline void
sweep(const struct op *op, unsigned rounds)
{
	fail_open();
	for (unsigned round = 0; round < rounds; round++) {
		unsigned nth = 0, left = 0;

		while (!left) {
			int error;

			if (++nth == MOST_FAILURES) {
				printf("FAIL %s never gets through\n", op->name);
				fflush(stdout);
				_exit(1);
			}
			fail_arm(nth);
			error = op->run();
			left = fail_left();
			fail_arm(0);
			if (error && (left || !is_expected(op, error))) {
				printf("FAIL %s: allocation %u: error %d%s\n", op->name,
				    nth, error, left ? ", without a failure" : "");
				fflush(stdout);
				_exit(1);
			}
		}
	}
	_exit(0);
}

static inline int
sweep_in_child(const struct op *op, unsigned rounds)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(120);
		sweep(op, rounds);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return printf("FAIL cannot run\n");
	if (WIFSIGNALED(status))
		return printf(
		    "FAIL %s: killed by signal %d\n", op->name, WTERMSIG(status));
	return WEXITSTATUS(status);
}

static inline void
mark_leaks(void)
{
	int fd = open("/proc/slab_leaks", O_WRONLY);

	if (fd >= 0 && write(fd, "mark", 4) != 4)
		_exit(92);
	close(fd);
}

static inline int
run_op(const struct op *op)
{
	static struct usage before, now;
	int can_fail = access("/proc/thread-self/fail-nth", W_OK) == 0, clean = 0;

	printf("T %s\n", op->name);
	fflush(stdout);
	if (sweep_in_child(op, 1)) /* also fills the caches */
		return 1;
	if (can_fail) {
		read_usage(&before);
		mark_leaks();
		if (sweep_in_child(op, ROUNDS))
			return 1;
		for (int i = 0; i < SETTLE_TRIES && !clean; i++) {
			sleep_ms(100); /* what RCU frees, and the dying, need a moment */
			clean = is_clean(&before, &now);
		}
		if (!clean) {
			printf("FAIL %s leaves: other %+ld tables %+ld anon %+ld cached "
			       "%+ld vmalloc %+ld slab %+ld stacks %+ld\n%s",
			    op->name, now.other - before.other,
			    now.tables - before.tables, now.anon - before.anon,
			    now.cached - before.cached, now.vmalloc - before.vmalloc,
			    now.slab - before.slab, now.stacks - before.stacks,
			    now.sites);
			return 1;
		}
	}
	printf("OK\n");
	fflush(stdout);
	return 0;
}

/* What each CPU keeps in store would look like a leak as the work moves between them. */
static inline void
stay_on_one_cpu(void)
{
	uint64_t mask = 1;

	if (syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask))
		exit(97);
}

#define RUN_OPS(ops) \
	stay_on_one_cpu(); \
	for (unsigned i = 0; i < sizeof(ops) / sizeof((ops)[0]); i++) \
		if (argc < 2 || !strcmp(argv[1], (ops)[i].name)) \
			failed += run_op(&(ops)[i]);
