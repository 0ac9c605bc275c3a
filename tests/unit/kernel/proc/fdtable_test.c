/*
 * kernel/proc/fdtable.c: lowest free descriptors, growth, limits, references.
 * LINK: kernel/proc/fdtable.c lib/string.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * LINK: tests/fakes/rcu.c tests/fakes/kmalloc.c tests/fakes/panic.c lib/fmt.c
 */
#include "kernel/proc/fdtable.h"

#include "kernel/proc/process.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

static struct process process;
static struct file files[8];
static unsigned closed_by_owner;

struct file *
file_get(struct file *f)
{
	f->refs++;
	return f;
}

void
file_put(struct file *f)
{
	f->refs--;
}

void
file_closed_by(struct file *f, struct fd_table *owner)
{
	closed_by_owner++;
}

static struct fd_table *
table_for_test(uint64_t limit)
{
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		files[i] = (struct file){.refs = 1};
	process = (struct process){.num_threads = 1};
	spin_init(&process.lock, "process", RANK_PROC);
	process.rlimits[RLIMIT_NOFILE].cur = limit;
	fake_thread.process = &process;
	fake_thread.fds = fd_table_create();
	return fake_thread.fds;
}

static bool
all_is_freed(void)
{
	fake_rcu_run();
	return fake_kmalloc_live == 0;
}

KTEST(fd_install_gives_the_lowest_free)
{
	struct fd_table *t = table_for_test(1024);

	for (int i = 0; i < 5; i++)
		CHECK_EQ(fd_install(file_get(&files[0]), 0, false), i);
	CHECK_EQ(fd_close(1), OK);
	CHECK_EQ(fd_close(3), OK);
	CHECK_EQ(fd_close(3), ERR_BADF);
	CHECK_EQ(fd_install(file_get(&files[0]), 2, false), 3);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 1);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 5);
	CHECK_EQ(files[0].refs, 7);
	fd_table_put(t);
	CHECK_EQ(files[0].refs, 1);
	CHECK(all_is_freed());
}

KTEST(fd_table_grows_and_keeps_what_is_open)
{
	struct fd_table *t = table_for_test(100000);

	for (int i = 0; i < 9000; i++)
		CHECK_EQ(fd_install(file_get(&files[i % 8]), 0, i % 3 == 0), i);
	for (int i = 0; i < 9000; i++) {
		struct file *f = fd_get(i);

		CHECK(f == &files[i % 8]);
		file_put(f);
		CHECK_EQ(fd_table_cloexec(t, i, -1), i % 3 == 0);
	}
	CHECK_EQ(fd_close(4160), OK);
	CHECK_EQ(fd_close(8999), OK);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 4160);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 8999);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 9000);
	CHECK_EQ(fd_install(file_get(&files[0]), 70000, false), 70000);
	fd_table_close_on_exec(t);
	CHECK(!fd_get(0) && !fd_get(3) && !fd_get(8997));
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 0);
	fd_table_put(t);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(files[i].refs, 1);
	CHECK(all_is_freed());
}

KTEST(fd_that_is_reserved_names_nothing)
{
	struct fd_table *t = table_for_test(4), *copy;
	int at = -1;

	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 0);
	CHECK_EQ(fd_reserve(true), 1);
	CHECK_EQ(fd_reserve(false), 2);
	CHECK(!fd_get(1));
	CHECK_EQ(fd_close(1), ERR_BADF);
	CHECK_EQ(fd_table_replace(t, &files[1], 1, false), ERR_BUSY);
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 3);
	CHECK_EQ(fd_reserve(false), ERR_MFILE);
	copy = fd_table_copy(t);
	at = 1;
	CHECK(fd_table_next(copy, &at) == &files[0] && at == 3);
	file_put(&files[0]);
	CHECK_EQ(fd_table_install(copy, file_get(&files[2]), 0, false), 1);
	fd_table_put(copy);
	CHECK_EQ(files[2].refs, 1);
	fd_table_close_range(t, 1, 3, false);
	CHECK_EQ(fd_close(3), ERR_BADF);
	fd_fill(1, file_get(&files[1]));
	fd_unreserve(2);
	CHECK_EQ(fd_table_cloexec(t, 1, -1), 1);
	CHECK_EQ(fd_install(file_get(&files[3]), 0, false), 2);
	fd_table_put(t);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(files[i].refs, 1);
	CHECK(all_is_freed());
}

KTEST(fd_limit_is_kept)
{
	struct fd_table *t = table_for_test(3);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(fd_install(file_get(&files[0]), 0, false), i);
	CHECK_EQ(fd_install(&files[0], 0, false), ERR_MFILE);
	CHECK_EQ(fd_table_replace(t, &files[1], 3, false), ERR_BADF);
	CHECK_EQ(fd_table_replace(t, &files[1], 2, true), OK);
	CHECK_EQ(files[0].refs, 3);
	CHECK_EQ(files[1].refs, 2);
	CHECK_EQ(fd_table_cloexec(t, 2, 0), 1);
	CHECK_EQ(fd_table_cloexec(t, 2, -1), 0);
	CHECK_EQ(fd_table_cloexec(t, 3, -1), ERR_BADF);
	fd_table_put(t);
	CHECK(all_is_freed());
}

KTEST(fd_get_refuses_what_is_not_open)
{
	struct fd_table *t = table_for_test(1024);

	CHECK(!fd_get(0) && !fd_get(-1) && !fd_get(1 << 30));
	process.num_threads = 2; /* the way through RCU */
	CHECK(!fd_get(0) && !fd_get(-1) && !fd_get(1 << 30));
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 0);
	CHECK(fd_get(0) == &files[0]);
	CHECK_EQ(files[0].refs, 3);
	file_put(&files[0]);
	fd_table_put(t);
	CHECK(all_is_freed());
}

KTEST(fd_table_copy_has_references_of_its_own)
{
	struct fd_table *t = table_for_test(1024), *copy;

	for (int i = 0; i < 100; i++)
		CHECK_EQ(fd_install(file_get(&files[0]), 0, false), i);
	copy = fd_table_copy(t);
	CHECK(copy && files[0].refs == 201);
	fd_table_put(t);
	CHECK_EQ(files[0].refs, 101);
	fake_thread.fds = copy;
	CHECK_EQ(fd_install(file_get(&files[0]), 0, false), 100);
	fd_table_put(copy);
	CHECK_EQ(files[0].refs, 1);
	CHECK(all_is_freed());
}

KTEST(fd_close_range_closes_or_marks)
{
	struct fd_table *t = table_for_test(1024);
	int fd = 60;
	struct file *f;

	for (int i = 0; i < 200; i++)
		CHECK_EQ(fd_install(file_get(&files[0]), 0, false), i);
	fd_table_close_range(t, 100, 150, true);
	CHECK_EQ(fd_table_cloexec(t, 99, -1), 0);
	CHECK_EQ(fd_table_cloexec(t, 100, -1), 1);
	CHECK_EQ(fd_table_cloexec(t, 150, -1), 1);
	CHECK_EQ(fd_table_cloexec(t, 151, -1), 0);
	fd_table_close_range(t, 60, 130, false);
	CHECK_EQ(files[0].refs, 201 - 71);
	f = fd_table_next(t, &fd);
	CHECK(f == &files[0] && fd == 131);
	file_put(f);
	fd_table_close_range(t, 190, UINT32_MAX, false);
	CHECK(!fd_get(199) && fd_get(189));
	fd_table_put(t);
	CHECK(all_is_freed());
}

KTEST(fd_calls_survive_every_failed_allocation)
{
	for (unsigned n = 1; n < 8; n++) {
		struct fd_table *t = table_for_test(1024), *copy;
		int fd;

		fake_kmalloc_fail_nth(n);
		copy = fd_table_copy(t);
		fd = fd_install(file_get(&files[0]), 500, false);
		CHECK(fd == 500 || fd == ERR_NOMEM);
		if (fd < 0)
			file_put(&files[0]);
		fake_kmalloc_fail_nth(0);
		if (copy)
			fd_table_put(copy);
		fd_table_put(t);
		CHECK_EQ(files[0].refs, 1);
		CHECK(all_is_freed());
	}
}
