/*
 * Bad pointers in every argument of every system call: addresses of the kernel, not canonical,
 * at the end of user space, unmapped, without rights, read-only, and objects that end in such a
 * page. The calls and what their arguments are come from kernel/syscalls.def; badptr_calls.h has
 * the arguments with which each gets as far as its pointers, and Linux's answers.
 *
 * Each case is a child without privileges, so that what a call does when it does not fail is
 * harmless. -p prints the answers in the form of badptr_calls.h (run it on Linux).
 */
#define _GNU_SOURCE
#include "tests/guest/badcall_util.h"

struct recipe {
	const char *name;
	long args[6];
	/* Linux's answers: for each pointer argument a word with a letter for each bad value:
	 * F EFAULT, I EINVAL, 0 success, - not tried. NULL: EFAULT for all. */
	const char *answers;
};

#define NONE DEF, DEF, DEF, DEF, DEF, DEF

static const struct recipe recipes[] = {
#include "tests/guest/badptr_calls.h"
};

enum { NUM_RECIPES = sizeof(recipes) / sizeof(recipes[0]) };

/* ---- Bad pointers ---- */

enum bad {
	KERNEL_TEXT,
	KERNEL_HIGH,
	NOT_CANONICAL,
	LAST_PAGE,
	LAST_BYTE,
	WRAPPING,
	UNMAPPED,
	NO_RIGHTS,
	STRADDLING,
	READ_ONLY,
	VDSO,
	NULL_POINTER,
	NUM_BAD
};

static volatile uint8_t *answers; /* shared with the child */

static long
bad_pointer(enum bad bad, int arg, char kind)
{
	uint8_t *end = buffers[arg] + 2 * PAGE;

	switch (bad) {
	case KERNEL_TEXT: return (long)0xffffffff80200000;
	case KERNEL_HIGH: return (long)0xffff888000000000;
	case NOT_CANONICAL: return (long)0x8000000000000000;
	case LAST_PAGE: return 0x7ffffffff000;
	case LAST_BYTE: return 0x7fffffffffff;
	case WRAPPING: return -1;
	case UNMAPPED: return (long)unmapped;
	case NO_RIGHTS: return (long)no_rights;
	case STRADDLING: end[-1] = kind == 's' ? 'a' : 0; return (long)(end - 1);
	case READ_ONLY: return (long)read_only;
	case VDSO: return (long)vdso;
	default: return 0;
	}
}

/* ---- Trying ---- */

static long
good_value(long value, char kind, int arg)
{
	switch (value) {
	case DEF: return default_of(kind, arg);
	case SELF: return getpid();
	case FILEFD: return file_fd;
	case DIRFD: return dir_fd;
	case UDP: return udp_fd;
	case LISTENER: return listener_fd;
	case PEER: return peer_fd;
	case PIPE_IN: return pipe_fds[0];
	case PIPE_OUT: return pipe_fds[1];
	case EPOLL: return epoll_fd;
	case TIMERFD: return timer_fd;
	case INOTIFY: return inotify_fd;
	case PIDFD: return pid_fd;
	case MSGQ: return queue;
	case TIMER: return timer_id;
	case BUF:
	case PATH:
	case LINK:
	case LEN16:
	case ADDR:
	case IOV:
	case MSG:
	case CAPS:
	case SIGNALS:
	case XNAME: return buffer_of(arg, (enum special)value);
	default: return value;
	}
}

static const struct call *
call_named(const char *name)
{
	for (int i = 0; i < NUM_CALLS; i++)
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	printf("FAIL no call is named %s\n", name);
	exit(1);
}

static char
letter(long result)
{
	switch (result < 0 ? errno : 0) {
	case 0: return '0';
	case EFAULT: return 'F';
	case EINVAL: return 'I';
	case EPERM: return 'P';
	case ENOSYS: return 'N';
	case EACCES: return 'A';
	case ENOENT: return 'E';
	case EEXIST: return 'X';
	case EBADF: return 'B';
	case EAGAIN: return 'G';
	case EOPNOTSUPP: return 'O';
	case ENOMEM: return 'M';
	case ESRCH: return 'S';
	case EFBIG: return 'L';
	case ERANGE: return 'R';
	case EDESTADDRREQ: return 'D';
	case E2BIG: return '2';
	default: return '?';
	}
}

/* Some arguments are pointers only in some uses of a call. */
static bool
is_pointer(char kind, long value)
{
	return kind == 'u' ? value == BUF : strchr("rws", kind) && value != 0;
}

/* What stays as it was: below each buffer, and what only may be read. */
static void
check_canaries(void)
{
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < PAGE; j++)
			CHECK_EQ(buffers[i][j], 0xa5);
	for (int j = 0; j < PAGE; j++)
		CHECK_EQ(read_only[j], 0);
	CHECK(!memcmp(vdso, vdso_before, PAGE));
}

static void
try_in_child(const struct recipe *r, const struct call *c, int arg, const char *wanted)
{
	char kind = c->kinds[arg];
	pid_t pid;

	for (int i = 0; i < 6; i++)
		memset(buffers[i], 0xa5, PAGE);
	become_user();
	make_descriptors();
	make_queues();
	make_zombies();
	pid = getpid();
	for (int bad = 0; bad < NUM_BAD; bad++) {
		long a[6] = {0}, result;

		answers[bad] = '-';
		if (wanted[bad] == '-')
			continue;
		for (int i = 0; c->kinds[i]; i++)
			a[i] = good_value(r->args[i], c->kinds[i], i);
		a[arg] = bad_pointer((enum bad)bad, arg, kind);
		answers[bad] = 'x';
		result = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (getpid() != pid)
			_exit(0); /* a clone */
		answers[bad] = (uint8_t)letter(result);
	}
	check_canaries();
	fflush(stdout);
	(void)msgctl(queue, IPC_RMID, NULL);
	_exit(0);
}

/* The answers for one argument as a string of letters, where they are wanted. */
static void
try_argument(
    const struct recipe *r, const struct call *c, int arg, const char *wanted, char *out)
{
	pid_t pid;
	int status;

	for (int i = 0; i < NUM_BAD; i++)
		answers[i] = '-';
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(10);
		try_in_child(r, c, arg, wanted);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : true);
	for (int i = 0; i < NUM_BAD; i++)
		out[i] = (char)answers[i];
	out[NUM_BAD] = '\0';
}

/* What Linux answers when the recipe says nothing. What may only be read is good to read. */
static void
default_answer(char kind, char *out)
{
	for (int i = 0; i < NUM_BAD; i++)
		out[i] = (i == READ_ONLY || i == VDSO) && kind != 'w' ? '-' : 'F';
	out[NUM_BAD] = '\0';
}

/* A call that does not exist is right with every pointer. */
static bool
is_as_expected(const char *expected, const char *got)
{
	if (got[0] == 'N' && strspn(got, "N-") == NUM_BAD)
		return true;
	for (int i = 0; i < NUM_BAD; i++)
		if (expected[i] != got[i] && expected[i] != '*')
			return false;
	return true;
}

static int
try_recipe(const struct recipe *r, bool is_printing)
{
	const struct call *c = call_named(r->name);
	const char *expected = r->answers;
	char got[NUM_BAD + 1], wanted[NUM_BAD + 1];
	int failed = 0;

	if (is_printing)
		printf("%s", r->name);
	for (int arg = 0; c->kinds[arg]; arg++) {
		if (!is_pointer(c->kinds[arg], r->args[arg]))
			continue;
		default_answer(c->kinds[arg], wanted);
		if (expected && strlen(expected) >= NUM_BAD) {
			memcpy(wanted, expected, NUM_BAD);
			expected += NUM_BAD + (expected[NUM_BAD] == ' ');
		}
		try_argument(r, c, arg, wanted, got);
		if (is_printing) {
			printf(" %s", got);
		} else if (!is_as_expected(wanted, got)) {
			printf("FAIL %s argument %d: %s, not %s\n", r->name, arg, got,
			    wanted);
			failed++;
		}
	}
	if (is_printing)
		printf("\n");
	return failed;
}

/* Calls that nobody has written arguments for: whatever they say, the kernel stands. */
static int
try_others(void)
{
	static const char *const skipped[] = {
	    "ioctl", "ptrace", "rseq"}; /* no plain pointers */
	int failed = 0;

	for (int i = 0; i < NUM_CALLS; i++) {
		struct recipe r = {calls[i].name, {NONE},
		    "************ ************ "
		    "************ ************"};
		bool is_known = false;

		for (int j = 0; j < NUM_RECIPES; j++)
			is_known |= !strcmp(recipes[j].name, calls[i].name);
		for (int j = 0; j < 3; j++)
			is_known |= !strcmp(skipped[j], calls[i].name);
		if (!is_known)
			failed += try_recipe(&r, false);
	}
	return failed;
}

int
main(int argc, char **argv)
{
	bool is_printing = argc > 1 && !strcmp(argv[1], "-p");
	int failed = 0;

	if (argc < 1 || !argv[0] || !argv[0][0])
		return 0; /* execve with a bad pointer went through */
	make_memory();
	answers = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	snprintf(path, sizeof(path), "/tmp/badptr.%d", getpid());
	snprintf(link_path, sizeof(link_path), "/tmp/badptr.%d.link", getpid());
	make_file();
	printf("T bad_pointers_give_errors\n");
	for (int i = 0; i < NUM_RECIPES; i++)
		if (argc <= 1 + is_printing ||
		    !strcmp(argv[1 + is_printing], recipes[i].name))
			failed += try_recipe(&recipes[i], is_printing);
	if (argc == 1)
		failed += try_others();
	if (!failed)
		printf("OK\n");
	unlink(path);
	unlink(link_path);
	return failed != 0;
}
