/* Capabilities beside user ids: what prctl keeps, lends and locks. Needs root. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT           47
#define PR_CAP_AMBIENT_IS_SET    1
#define PR_CAP_AMBIENT_RAISE     2
#define PR_CAP_AMBIENT_LOWER     3
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

enum {
	CAP_KILL = 5,
	CAP_SETPCAP = 8,
	CAP_NET_RAW = 13,
	KEEP_CAPS = 16,
	KEEP_CAPS_LOCKED = 32
};

struct caps {
	uint64_t effective, permitted, inheritable;
};

static struct caps
get_caps(void)
{
	uint32_t header[2] = {0x20080522, 0}, d[6];

	CHECK_EQ(syscall(SYS_capget, header, d), 0);
	return (struct caps){(uint64_t)d[3] << 32 | d[0], (uint64_t)d[4] << 32 | d[1],
	    (uint64_t)d[5] << 32 | d[2]};
}

static int
try_caps(struct caps c)
{
	uint32_t header[2] = {0x20080522, 0};
	uint32_t d[6] = {(uint32_t)c.effective, (uint32_t)c.permitted,
	    (uint32_t)c.inheritable, (uint32_t)(c.effective >> 32),
	    (uint32_t)(c.permitted >> 32), (uint32_t)(c.inheritable >> 32)};

	return (int)syscall(SYS_capset, header, d);
}

static void
set_caps(struct caps c)
{
	CHECK_EQ(try_caps(c), 0);
}

static void
leaving_root_drops_them(void)
{
	CHECK_EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 0);
	CHECK(get_caps().permitted != 0);
	CHECK_EQ(setresuid(1, 1, 1), 0);
	CHECK_EQ(get_caps().permitted, 0);
	CHECK_EQ(get_caps().effective, 0);
}

static void
keepcaps_keeps_the_permitted(void)
{
	struct caps before = get_caps(), c;

	CHECK_ERR(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
	CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), KEEP_CAPS);
	CHECK_EQ(setresuid(1, 1, 1), 0);
	c = get_caps();
	CHECK_EQ(c.permitted, before.permitted);
	CHECK_EQ(c.effective, 0);
	c.effective = c.permitted;
	set_caps(c);
	CHECK_EQ(setresuid(0, 0, 0), 0);
}

static void
securebits_lock(void)
{
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 0x10000, 0, 0, 0), EPERM);
	CHECK_EQ(prctl(PR_SET_SECUREBITS, KEEP_CAPS_LOCKED, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), KEEP_CAPS_LOCKED);
	CHECK_ERR(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), EPERM);
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM);
	CHECK_ERR(prctl(PR_SET_SECUREBITS, KEEP_CAPS | KEEP_CAPS_LOCKED, 0, 0, 0), EPERM);
}

static void
without_setpcap_nothing_changes(void)
{
	struct caps c = get_caps();

	c.effective &= ~(1ull << CAP_SETPCAP);
	set_caps(c);
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM);
	CHECK_ERR(prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0), EPERM);
	CHECK_ERR(prctl(PR_CAPBSET_DROP, 63, 0, 0, 0), EPERM);
	CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
}

static int
ambient(int what, unsigned long cap)
{
	return prctl(PR_CAP_AMBIENT, what, cap, 0, 0);
}

static void
ambient_needs_permitted_and_inheritable(void)
{
	struct caps c = get_caps();

	CHECK_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 0);
	c.inheritable = 0;
	set_caps(c);
	CHECK_ERR(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), EPERM);
	c.inheritable = 1ull << CAP_KILL | 1ull << CAP_NET_RAW;
	set_caps(c);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), 0);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_RAISE, CAP_NET_RAW), 0);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 1);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_LOWER, CAP_NET_RAW), 0);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW), 0);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0), 0);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 0);
	CHECK_ERR(ambient(PR_CAP_AMBIENT_CLEAR_ALL, 1), EINVAL);
	CHECK_ERR(ambient(PR_CAP_AMBIENT_IS_SET, 63), EINVAL);
	CHECK_ERR(ambient(9, CAP_KILL), EINVAL);
	CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 1, 0), EINVAL);
	/* Losing it elsewhere loses it here. */
	CHECK_EQ(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), 0);
	c.inheritable = 0;
	set_caps(c);
	CHECK_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 0);
}

static void
ambient_can_be_forbidden(void)
{
	struct caps c = get_caps();

	c.inheritable = 1ull << CAP_KILL;
	set_caps(c);
	CHECK_EQ(prctl(PR_SET_SECUREBITS, 64, 0, 0, 0), 0);
	CHECK_ERR(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), EPERM);
}

/* Who may set what goes into the inheritable set beyond the permitted one. */
static void
inheritable_beyond_permitted(void)
{
	struct caps c = get_caps();

	c.permitted &= ~(1ull << CAP_KILL);
	c.effective = c.permitted;
	set_caps(c);
	c.inheritable = 1ull << CAP_KILL;
	set_caps(c);
	CHECK_EQ(get_caps().inheritable, 1ull << CAP_KILL);
	c.inheritable = 0;
	c.effective &= ~(1ull << CAP_SETPCAP);
	set_caps(c);
	c.inheritable = 1ull << CAP_KILL;
	CHECK_ERR(try_caps(c), EPERM);
	c.inheritable = 1ull << CAP_NET_RAW;
	set_caps(c);
	/* Out of bounds it can be had no more. */
	c.inheritable = 0;
	c.effective = c.permitted;
	set_caps(c);
	CHECK_EQ(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0), 0);
	c.inheritable = 1ull << CAP_NET_RAW;
	CHECK_ERR(try_caps(c), EPERM);
}

static void
new_ids_forget_the_parents_death(void)
{
	int sig = 0;

	CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
	CHECK_EQ(setresuid(0, 0, 1), 0);
	CHECK_EQ(prctl(PR_GET_PDEATHSIG, &sig), 0);
	CHECK_EQ(sig, SIGUSR1);
	CHECK_EQ(setresuid(-1, 1, -1), 0);
	CHECK_EQ(prctl(PR_GET_PDEATHSIG, &sig), 0);
	CHECK_EQ(sig, 0);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
}

enum { FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9 | 1 << 27 };
#define FILES_ALL (FILES | 1ull << 32)

/* proves: setfsuid */
static void
file_ids_take_the_rights_to_files(void)
{
	struct caps before = get_caps(), c;

	CHECK_EQ(setfsuid(1000), 0);
	CHECK_EQ(get_caps().effective, before.effective & ~FILES_ALL);
	CHECK_EQ(get_caps().permitted, before.permitted);
	CHECK_EQ(open("/etc/caps.test", O_CREAT | O_RDWR, 0600), -1);
	CHECK_EQ(setfsuid(2000), 1000);
	CHECK_EQ(setfsuid(0), 2000);
	CHECK_EQ(get_caps().effective, before.effective);
	/* Only what is permitted comes back. */
	c = before;
	c.permitted &= ~2ull;
	c.effective = 0;
	CHECK_EQ(setfsuid(1000), 0);
	set_caps(c);
	CHECK_EQ(setfsuid(0), 1000);
	CHECK_EQ(get_caps().effective, before.effective & FILES_ALL & ~2ull);
}

static void
file_ids_alone(void)
{
	struct caps before = get_caps();

	CHECK_EQ(prctl(PR_SET_SECUREBITS, 4 /* NO_SETUID_FIXUP */, 0, 0, 0), 0);
	CHECK_EQ(setfsuid(1000), 0);
	CHECK_EQ(get_caps().effective, before.effective);
	/* Nor does access() ask by fewer then. */
	CHECK_EQ(chmod("/tmp", 01777), 0);
	unlink("/tmp/caps.test");
	close(open("/tmp/caps.test", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(setresuid(1000, 1000, 1000), 0);
	CHECK_EQ(chown("/tmp/caps.test", 0, 0), 0);
	CHECK_EQ(access("/tmp/caps.test", R_OK | W_OK), 0);
	unlink("/tmp/caps.test");
}

static const struct test tests[] = {
    TEST(leaving_root_drops_them),
    TEST(keepcaps_keeps_the_permitted),
    TEST(securebits_lock),
    TEST(without_setpcap_nothing_changes),
    TEST(ambient_needs_permitted_and_inheritable),
    TEST(ambient_can_be_forbidden),
    TEST(inheritable_beyond_permitted),
    TEST(file_ids_take_the_rights_to_files),
    TEST(file_ids_alone),
    TEST(new_ids_forget_the_parents_death),
};

RUN_TESTS(tests)
