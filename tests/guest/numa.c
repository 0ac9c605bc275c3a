/* Memory policies on a machine of one node: mbind(2), set_mempolicy(2) and their kin. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };
enum { HOME_NODE = 450 };
enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY, NO_MODE = 100 };
enum { BALANCING = 1 << 13, RELATIVE = 1 << 14, STATIC = 1 << 15 };
enum { F_NODE = 1, F_ADDR = 2, F_ALLOWED = 4 };
enum { MF_STRICT = 1, MF_MOVE = 2, MF_MOVE_ALL = 4 };

static unsigned long none, node0 = 1, node1 = 2, both = 3;

static char *
map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static long
set(int mode, unsigned long *mask)
{
	return syscall(SYS_set_mempolicy, mode, mask, 64 + 1);
}

static long
bind_range(void *p, size_t len, int mode, unsigned long *mask, unsigned flags)
{
	return syscall(SYS_mbind, p, len, mode, mask, 64 + 1, flags);
}

/* The mode, and the nodes in `nodes`; -1: errno. */
static unsigned long nodes;

static long
get(void *addr, unsigned long flags)
{
	int mode = -1;
	unsigned long mask[16] = {
	    0}; /* a kernel made for many nodes wants room for them */
	long err = syscall(SYS_get_mempolicy, &mode, mask, 1024 + 1, addr, flags);

	nodes = mask[0];
	return err ? err : mode;
}

/* proves: set_mempolicy get_mempolicy */
static void
thread_policies_are_checked_and_told(void)
{
	CHECK_EQ(get(NULL, 0), DEFAULT);
	CHECK_EQ(nodes, 0);
	CHECK_EQ(set(BIND, &node0), 0);
	CHECK_EQ(get(NULL, 0), BIND);
	CHECK_EQ(nodes, 1);
	CHECK_EQ(set(INTERLEAVE, &both), 0);
	CHECK_EQ(get(NULL, 0), INTERLEAVE);
	CHECK_EQ(nodes, 1);
	CHECK_EQ(get(NULL, F_NODE), 0);
	CHECK_EQ(set(PREFERRED, &none), 0);
	CHECK_EQ(get(NULL, 0), LOCAL);
	CHECK_EQ(set(PREFERRED | STATIC, &both), 0);
	CHECK_EQ(get(NULL, 0), PREFERRED | STATIC);
	CHECK_EQ(nodes, 3); /* as given */
	CHECK_EQ(set(LOCAL, NULL), 0);
	CHECK_EQ(set(BIND | BALANCING, &node0), 0);
	CHECK_ERR(get(NULL, F_NODE), EINVAL);
	CHECK_ERR(set(BIND, &none), EINVAL);
	CHECK_ERR(set(BIND, &node1), EINVAL);
	CHECK_ERR(set(INTERLEAVE, NULL), EINVAL);
	CHECK_ERR(set(DEFAULT, &node0), EINVAL);
	CHECK_ERR(set(LOCAL, &node0), EINVAL);
	CHECK_ERR(set(NO_MODE, &node0), EINVAL);
	CHECK_ERR(set(BIND | STATIC | RELATIVE, &node0), EINVAL);
	CHECK_ERR(set(INTERLEAVE | BALANCING, &node0), EINVAL);
	CHECK_ERR(set(PREFERRED | STATIC, &none), EINVAL);
	CHECK_ERR(set(BIND, (unsigned long *)8), EFAULT);
	CHECK_ERR(syscall(SYS_set_mempolicy, BIND, &node0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_set_mempolicy, BIND, &node0, 1 << 20), EINVAL);
	CHECK_EQ(set(DEFAULT, NULL), 0);
	CHECK_EQ(get(NULL, 0), DEFAULT);
}

static void
children_inherit_the_policy(void)
{
	int status;
	pid_t pid;

	CHECK_EQ(set(BIND, &node0), 0);
	pid = fork();
	if (!pid)
		_exit((int)get(NULL, 0));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), BIND);
}

static void
areas_have_policies_of_their_own(void)
{
	char *p = map(8);

	CHECK_EQ(set(INTERLEAVE, &node0), 0);
	CHECK_EQ(get(p, F_ADDR), DEFAULT);
	CHECK_EQ(
	    bind_range(p + 2 * PAGE, 3 * PAGE, BIND, &node0, MF_STRICT | MF_MOVE), 0);
	CHECK_EQ(get(p + 2 * PAGE, F_ADDR), BIND);
	CHECK_EQ(nodes, 1);
	CHECK_EQ(get(p + 4 * PAGE, F_ADDR), BIND);
	CHECK_EQ(get(p + 5 * PAGE, F_ADDR), DEFAULT);
	CHECK_EQ(get(p + PAGE, F_ADDR), DEFAULT);
	CHECK_EQ(get(p, F_ADDR | F_NODE), 0);
	CHECK_EQ(bind_range(p, 8 * PAGE, DEFAULT, NULL, 0), 0);
	CHECK_EQ(get(p + 2 * PAGE, F_ADDR), DEFAULT);
	CHECK_EQ(get(NULL, F_ALLOWED), 0);
	CHECK_EQ(nodes, 1);
	CHECK_ERR(get((void *)8, F_ADDR), EFAULT);
	CHECK_ERR(get(p, 0), EINVAL);
	CHECK_ERR(get(NULL, F_ALLOWED | F_NODE), EINVAL);
	CHECK_ERR(get(NULL, 8), EINVAL);
}

/* proves: mbind */
static void
mbind_checks_its_arguments(void)
{
	char *p = map(8);

	CHECK_ERR(bind_range(p + 1, PAGE, BIND, &node0, 0), EINVAL);
	CHECK_ERR(bind_range(p, PAGE, BIND, &node0, 8), EINVAL);
	CHECK_ERR(bind_range(p, PAGE, BIND, &node1, 0), EINVAL);
	CHECK_ERR(bind_range(p, -2ul * PAGE, BIND, &node0, 0), EINVAL);
	CHECK_EQ(bind_range(p, -1ul, BIND, &node0, 0), 0);
	CHECK_EQ(bind_range(p, 0, BIND, &node0, 0), 0);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK_ERR(bind_range(p, 8 * PAGE, BIND, &node0, 0), EFAULT);
	CHECK_EQ(bind_range(p, 8 * PAGE, DEFAULT, NULL, 0), 0);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(bind_range(p, PAGE, BIND, &node0, MF_MOVE_ALL), EPERM);
}

/* proves: move_pages */
static void
pages_are_on_the_node(void)
{
	char *p = map(4);
	void *pages[] = {p, p + PAGE, (void *)8};
	int status[3], wanted[3] = {0, 0, 0}, wrong = 1;

	p[0] = 1;
#define MOVE(n, nodes_, flags) \
	syscall(SYS_move_pages, 0, (long)(n), pages, nodes_, status, flags)
	CHECK_EQ(MOVE(3, NULL, 0), 0);
	CHECK_EQ(status[0], 0);
	CHECK(status[1] == -ENOENT || status[1] == -EFAULT); /* so Linux 6.1 */
	CHECK_EQ(status[2], -EFAULT);
	CHECK_EQ(MOVE(3, wanted, MF_MOVE), 0);
	CHECK_EQ(status[0], 0);
	CHECK(status[1] == -ENOENT || status[1] == -EFAULT);
	CHECK_EQ(status[2], -EFAULT);
	CHECK_ERR(MOVE(1, &wrong, MF_MOVE), ENODEV);
	CHECK_ERR(MOVE(1, NULL, 1), EINVAL);
	CHECK_ERR(syscall(SYS_move_pages, 999999, 1l, pages, NULL, status, 0), ESRCH);
	CHECK_ERR(syscall(SYS_move_pages, 0, 1l, (void *)8, NULL, status, 0), EFAULT);
	CHECK_ERR(syscall(SYS_move_pages, 0, 1l, pages, NULL, (void *)8, 0), EFAULT);
}

/* proves: migrate_pages */
static void
migration_has_nowhere_to_go(void)
{
#define MIGRATE(pid, from, to) syscall(SYS_migrate_pages, pid, 65, from, to)
	CHECK_EQ(MIGRATE(0, &node0, &node0), 0);
	CHECK_EQ(MIGRATE(getpid(), &node0, &both), 0);
	CHECK_ERR(MIGRATE(0, &node0, &node1), EINVAL);
	CHECK_ERR(MIGRATE(0, &node0, &none), EINVAL);
	CHECK_ERR(MIGRATE(999999, &node0, &node0), ESRCH);
	CHECK_ERR(MIGRATE(0, (void *)8, &node0), EFAULT);
	CHECK_EQ(setuid(1), 0);
	CHECK_ERR(MIGRATE(0, &node0, &node1), EPERM);
	CHECK_ERR(MIGRATE(1, &node0, &node0), EPERM);
}

/* proves: set_mempolicy_home_node */
static void
home_nodes_go_with_a_policy(void)
{
	char *p = map(4);

#define HOME(addr, len, node, flags) \
	syscall(HOME_NODE, addr, (long)(len), (long)(node), (long)(flags))
	CHECK_ERR(HOME(p, PAGE, 0, 0), ENOENT);
	CHECK_EQ(bind_range(p, PAGE, BIND, &node0, 0), 0);
	CHECK_EQ(HOME(p, PAGE, 0, 0), 0);
	CHECK_EQ(bind_range(p, PAGE, INTERLEAVE, &node0, 0), 0);
	CHECK_ERR(HOME(p, PAGE, 0, 0), EOPNOTSUPP);
	CHECK_ERR(HOME(p, PAGE, 1, 0), EINVAL);
	CHECK_ERR(HOME(p, PAGE, 0, 1), EINVAL);
	CHECK_ERR(HOME(p + 1, PAGE, 0, 0), EINVAL);
	CHECK_EQ(HOME(p, 0, 0, 0), 0);
}

static const struct test tests[] = {
    TEST(thread_policies_are_checked_and_told),
    TEST(children_inherit_the_policy),
    TEST(areas_have_policies_of_their_own),
    TEST(mbind_checks_its_arguments),
    TEST(pages_are_on_the_node),
    TEST(migration_has_nowhere_to_go),
    TEST(home_nodes_go_with_a_policy),
};

RUN_TESTS(tests)
