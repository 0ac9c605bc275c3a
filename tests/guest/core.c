/* Core files: when they are written, what they are called, what is in them. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>

enum { PAGE = 4096, HUGE = 2 << 20, PATH = 256, MAX_CORE = 12 << 20 };

static char dir[24];

/* ---- Help ---- */

static void
in_own_dir(void)
{
	strcpy(dir, "/tmp/core.XXXXXX");
	CHECK(mkdtemp(dir));
	CHECK_EQ(chmod(dir, 0777), 0);
	CHECK_EQ(chdir(dir), 0);
}

static void
limit_core(rlim_t cur)
{
	struct rlimit l;

	CHECK_EQ(getrlimit(RLIMIT_CORE, &l), 0);
	l.rlim_cur = cur;
	CHECK_EQ(setrlimit(RLIMIT_CORE, &l), 0);
}

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

static void
read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, buf, size - 1);
	CHECK(n >= 0);
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	close(fd);
}

/* Runs fn in a child; its wait status. */
static int
status_of(void (*fn)(void), pid_t *pid)
{
	int status;

	*pid = fork();
	CHECK(*pid >= 0);
	if (*pid == 0) {
		fn();
		_exit(99);
	}
	CHECK_EQ(waitpid(*pid, &status, 0), *pid);
	return status;
}

static void
die_by_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
}

static void
die_by_fault(void)
{
	*(volatile int *)16 = 1;
}

struct core {
	int fd;
	Elf64_Ehdr h;
	Elf64_Phdr *ph;
	char *notes;
	size_t notes_size;
};

static void
core_open(struct core *c, const char *path)
{
	c->fd = open(path, O_RDONLY);
	CHECK(c->fd >= 0);
	CHECK_EQ(pread(c->fd, &c->h, sizeof(c->h), 0), sizeof(c->h));
	CHECK(!memcmp(c->h.e_ident, ELFMAG, SELFMAG));
	CHECK_EQ(c->h.e_type, ET_CORE);
	CHECK_EQ(c->h.e_machine, EM_X86_64);
	CHECK_EQ(c->h.e_phentsize, sizeof(Elf64_Phdr));
	c->ph = calloc(c->h.e_phnum, sizeof(*c->ph));
	CHECK_EQ(pread(c->fd, c->ph, c->h.e_phnum * sizeof(*c->ph), (off_t)c->h.e_phoff),
	    c->h.e_phnum * sizeof(*c->ph));
	CHECK_EQ(c->ph[0].p_type, PT_NOTE);
	c->notes_size = c->ph[0].p_filesz;
	c->notes = malloc(c->notes_size);
	CHECK_EQ(pread(c->fd, c->notes, c->notes_size, (off_t)c->ph[0].p_offset),
	    c->notes_size);
}

/* The nth note of a type, NULL: there is none. */
static void *
core_note(const struct core *c, unsigned type, unsigned n, size_t *size)
{
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= c->notes_size;) {
		const Elf64_Nhdr *h = (void *)(c->notes + at);
		size_t name = at + sizeof(*h), desc = name + ((h->n_namesz + 3) & ~3u);

		CHECK(desc + h->n_descsz <= c->notes_size);
		CHECK(
		    !strcmp(c->notes + name, type == NT_X86_XSTATE ? "LINUX" : "CORE") ||
		    h->n_type != type);
		if (h->n_type == type && n-- == 0) {
			if (size)
				*size = h->n_descsz;
			return c->notes + desc;
		}
		at = desc + ((h->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static const Elf64_Phdr *
core_segment(const struct core *c, const volatile void *p)
{
	for (unsigned i = 1; i < c->h.e_phnum; i++)
		if ((uint64_t)p >= c->ph[i].p_vaddr &&
		    (uint64_t)p < c->ph[i].p_vaddr + c->ph[i].p_memsz)
			return &c->ph[i];
	return NULL;
}

/* Whether the file has the bytes at p, and then their value. */
static bool
core_read(const struct core *c, const volatile void *p, void *buf, size_t n)
{
	const Elf64_Phdr *s = core_segment(c, p);
	uint64_t off = s ? (uint64_t)p - s->p_vaddr : 0;

	if (!s || off + n > s->p_filesz)
		return false;
	return pread(c->fd, buf, n, (off_t)(s->p_offset + off)) == (ssize_t)n;
}

/* ---- When, and where to ---- */

static void
written_by_limit_and_signal(void)
{
	struct stat st;
	siginfo_t si;
	pid_t pid;
	int status;

	in_own_dir();
	limit_core(0);
	status = status_of(die_by_abort, &pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && !WCOREDUMP(status));
	CHECK_ERR(stat("core", &st), ENOENT);
	limit_core(PAGE - 1);
	CHECK(!WCOREDUMP(status_of(die_by_abort, &pid)));
	CHECK_ERR(stat("core", &st), ENOENT);
	limit_core(RLIM_INFINITY);
	status = status_of(die_by_fault, &pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && WCOREDUMP(status));
	CHECK_EQ(stat("core", &st), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(unlink("core"), 0);
	/* Signals that only end a process leave none; waitid tells too. */
	pid = fork();
	if (pid == 0) {
		raise(SIGTERM);
		_exit(1);
	}
	CHECK_EQ(waitid(P_PID, (id_t)pid, &si, WEXITED), 0);
	CHECK_EQ(si.si_code, CLD_KILLED);
	CHECK_ERR(stat("core", &st), ENOENT);
	pid = fork();
	if (pid == 0) {
		raise(SIGQUIT);
		_exit(1);
	}
	CHECK_EQ(waitid(P_PID, (id_t)pid, &si, WEXITED), 0);
	CHECK_EQ(si.si_code, CLD_DUMPED);
	CHECK_EQ(si.si_status, SIGQUIT);
	CHECK_EQ(stat("core", &st), 0);
}

static volatile sig_atomic_t child_code;

static void
note_child(int sig, siginfo_t *si, void *ctx)
{
	child_code = si->si_code;
}

static void
told_by_sigchld(void)
{
	const struct sigaction sa = {.sa_sigaction = note_child, .sa_flags = SA_SIGINFO};
	pid_t pid;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	CHECK_EQ(sigaction(SIGCHLD, &sa, NULL), 0);
	(void)status_of(die_by_abort, &pid);
	CHECK_EQ(child_code, CLD_DUMPED);
}

static void
undumpable_dies(void)
{
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	die_by_abort();
}

static void
only_of_dumpable_processes(void)
{
	struct stat st;
	pid_t pid;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 3), EINVAL);
	CHECK(!WCOREDUMP(status_of(undumpable_dies, &pid)));
	CHECK_ERR(stat("core", &st), ENOENT);
}

static void
drop_root_and_abort(void)
{
	CHECK_EQ(setgid(1234), 0);
	CHECK_EQ(setuid(1234), 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	die_by_abort();
}

/* What stands there already: an own file goes, anybody else's stays and there is no core. */
static void
not_over_what_is_others(void)
{
	struct stat st;
	pid_t pid;
	int fd;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	fd = open("core", O_CREAT | O_WRONLY, 0644);
	CHECK_EQ(write(fd, "old", 3), 3);
	CHECK(WCOREDUMP(status_of(die_by_abort, &pid)));
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 3); /* not written over: removed, and made anew */
	CHECK_EQ(unlink("core"), 0);
	/* A link goes, what it leads to stays. */
	CHECK_EQ(close(open("precious", O_CREAT | O_WRONLY, 0600)), 0);
	CHECK_EQ(symlink("precious", "core"), 0);
	CHECK(WCOREDUMP(status_of(die_by_abort, &pid)));
	CHECK_EQ(stat("precious", &st), 0);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(lstat("core", &st), 0);
	CHECK(S_ISREG(st.st_mode));
	/* A directory cannot be unlinked. */
	CHECK_EQ(unlink("core"), 0);
	CHECK_EQ(mkdir("core", 0777), 0);
	CHECK(!WCOREDUMP(status_of(die_by_abort, &pid)));
	CHECK_EQ(rmdir("core"), 0);
	/* In a sticky directory another's file cannot be removed. */
	CHECK_EQ(chmod(".", 01777), 0);
	CHECK_EQ(close(open("core", O_CREAT | O_WRONLY, 0666)), 0);
	CHECK(!WCOREDUMP(status_of(drop_root_and_abort, &pid)));
	CHECK_EQ(stat("core", &st), 0);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(unlink("core"), 0);
	CHECK(WCOREDUMP(status_of(drop_root_and_abort, &pid)));
	CHECK_EQ(stat("core", &st), 0);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(unlink("core"), 0);
	/* Where the user may not write there is none. */
	CHECK_EQ(chmod(".", 0755), 0);
	CHECK(!WCOREDUMP(status_of(drop_root_and_abort, &pid)));
	/* A umask that takes the owner's rights leaves a file nobody wants. */
	umask(0700);
	CHECK(!WCOREDUMP(status_of(die_by_abort, &pid)));
}

/* ---- What is in it ---- */

static void *
wait_for_ever(void *arg)
{
	((volatile pid_t *)arg)[0] = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static volatile pid_t *tids;
static char *big, *huge, *hidden, *shared;

static void
threads_die(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t, NULL, wait_for_ever, (void *)&tids[i]), 0);
	while (!tids[0] || !tids[1] || !tids[2])
		sched_yield();
	strcpy(big + 5 * PAGE, "here");
	strcpy(huge + HUGE - PAGE, "in a large page");
	strcpy(hidden, "hidden");
	strcpy(shared, "shared");
	CHECK_EQ(madvise(hidden, PAGE, MADV_DONTDUMP), 0);
	__asm__ volatile("mov $0x1122334455667788, %%r12\n\t"
	                 "movq %%r12, %%xmm7\n\t"
	                 "mov %%rax, (%%rbx)" ::"a"(0),
	                 "b"(16)
	                 : "r12", "xmm7", "memory");
}

static void
check_threads(const struct core *c, pid_t pid)
{
	bool seen[3] = {false};
	struct elf_prstatus *st;
	size_t size;

	for (unsigned i = 0; (st = core_note(c, NT_PRSTATUS, i, &size)); i++) {
		const struct user_regs_struct *regs = (void *)st->pr_reg;

		CHECK_EQ(size, sizeof(*st));
		CHECK_EQ(st->pr_cursig, SIGSEGV);
		CHECK_EQ(st->pr_ppid, getpid());
		CHECK_EQ(st->pr_pgrp, getpgrp());
		CHECK_EQ(st->pr_sid, getsid(0));
		if (i == 0) {
			CHECK_EQ(st->pr_pid, pid);
			CHECK_EQ(regs->r12, 0x1122334455667788);
			CHECK_EQ(regs->rbx, 16);
		} else {
			CHECK_EQ(regs->orig_rax, SYS_pause);
			for (int k = 0; k < 3; k++)
				seen[k] |= st->pr_pid == tids[k];
		}
	}
	CHECK(seen[0] && seen[1] && seen[2]);
	CHECK(core_note(c, NT_PRFPREG, 3, &size));
	CHECK_EQ(size, 512);
	CHECK(!core_note(c, NT_PRFPREG, 4, NULL));
}

static void
check_process_notes(const struct core *c, pid_t pid)
{
	const struct elf_prpsinfo *ps;
	const uint64_t *files, *auxv;
	const siginfo_t *si;
	const char *xmm7;
	size_t size;
	uint64_t value;

	ps = core_note(c, NT_PRPSINFO, 0, &size);
	CHECK(ps && size == sizeof(*ps));
	CHECK_EQ(ps->pr_pid, pid);
	CHECK_EQ(ps->pr_ppid, getpid());
	CHECK(!strcmp(ps->pr_fname, "core"));
	CHECK(strstr(ps->pr_psargs, "core"));
	si = core_note(c, NT_SIGINFO, 0, &size);
	CHECK(si && size == 128);
	CHECK_EQ(si->si_signo, SIGSEGV);
	CHECK_EQ(si->si_code, SEGV_MAPERR);
	CHECK_EQ(si->si_addr, 16);
	auxv = core_note(c, NT_AUXV, 0, &size);
	CHECK(auxv);
	while (size >= 16 && auxv[0] != AT_PAGESZ)
		auxv += 2, size -= 16;
	CHECK(size >= 16 && auxv[1] == PAGE);
	files = core_note(c, NT_FILE, 0, &size);
	CHECK(files && files[0] >= 2 && files[1] == PAGE);
	CHECK(memmem(files, size, "/core", 6));
	xmm7 = core_note(c, NT_PRFPREG, 0, NULL);
	memcpy(&value, xmm7 + 160 + 7 * 16, sizeof(value));
	CHECK_EQ(value, 0x1122334455667788);
}

static void
check_memory(const struct core *c)
{
	const Elf64_Phdr *s = core_segment(c, big);
	struct stat st;
	char text[16];

	CHECK(s && s->p_memsz >= 64 << 20 && s->p_filesz == s->p_memsz);
	CHECK_EQ(s->p_flags, PF_R | PF_W);
	CHECK(core_read(c, big + 5 * PAGE, text, 5) && !strcmp(text, "here"));
	CHECK(core_read(c, big + 9 * PAGE, text, 1) && !text[0]);
	CHECK(core_read(c, shared, text, 7) && !strcmp(text, "shared"));
	CHECK(core_segment(c, hidden) && !core_read(c, hidden, text, 1));
	CHECK_EQ(fstat(c->fd, &st), 0);
	CHECK(st.st_size > 64 << 20);
	CHECK(st.st_blocks < MAX_CORE / 512);
	CHECK(core_read(c, huge + HUGE - PAGE, text, 16) &&
	      !strcmp(text, "in a large page"));
	/* The vDSO, which no file has; code of files is not there, but the first page of the program is. */
	CHECK(core_read(c, (void *)getauxval(AT_SYSINFO_EHDR), text, 4) &&
	      !memcmp(text, ELFMAG, 4));
	s = core_segment(c, (void *)threads_die);
	CHECK(s && s->p_filesz == 0 && s->p_flags == (PF_R | PF_X));
}

static char *
map(size_t size, int flags)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void
holds_threads_notes_and_memory(void)
{
	struct core c;
	pid_t pid;
	int status;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	tids = (void *)map(PAGE, MAP_SHARED);
	big = map(64 << 20, MAP_PRIVATE | MAP_NORESERVE);
	huge = map(2 * HUGE, MAP_PRIVATE);
	huge += -(uintptr_t)huge % HUGE;
	CHECK_EQ(madvise(huge, HUGE, MADV_HUGEPAGE), 0);
	hidden = map(PAGE, MAP_PRIVATE | MAP_STACK);
	shared = map(PAGE, MAP_SHARED);
	status = status_of(threads_die, &pid);
	CHECK(WCOREDUMP(status));
	core_open(&c, "core");
	check_threads(&c, pid);
	check_process_notes(&c, pid);
	check_memory(&c);
}

static int filter_case;

static void
filtered_dies(void)
{
	static const char *const values[] = {"0x10", "0x1", "0xff\n", "0"};

	CHECK(write_file("/proc/self/coredump_filter", values[filter_case]));
	big[0] = 'x';
	shared[0] = 'x';
	die_by_abort();
}

static void
filter_is_obeyed_and_inherited(void)
{
	char text[32], byte;
	struct core c;
	pid_t pid;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	big = map(PAGE, MAP_PRIVATE);
	shared = map(PAGE, MAP_SHARED);
	read_line("/proc/self/coredump_filter", text, sizeof(text));
	CHECK(!strcmp(text, "00000033"));
	for (filter_case = 0; filter_case < 4; filter_case++) {
		CHECK(WCOREDUMP(status_of(filtered_dies, &pid)));
		core_open(&c, "core");
		CHECK_EQ(
		    core_read(&c, big, &byte, 1), filter_case == 1 || filter_case == 2);
		CHECK_EQ(core_read(&c, shared, &byte, 1), filter_case == 2);
		CHECK_EQ(
		    core_read(&c, (void *)filtered_dies, &byte, 1), filter_case == 2);
		close(c.fd);
	}
	CHECK(!write_file("/proc/self/coredump_filter", "nonsense"));
	CHECK(write_file("/proc/self/coredump_filter", "0xffffff21"));
	pid = fork();
	if (pid == 0) { /* a child has it, and the program it runs */
		read_line("/proc/self/coredump_filter", text, sizeof(text));
		CHECK(!strcmp(text, "00000121"));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &filter_case, 0), pid);
	CHECK_EQ(filter_case, 0);
}

static void
limit_cuts_it_short(void)
{
	struct stat st;
	pid_t pid;

	in_own_dir();
	limit_core(3 * PAGE);
	CHECK(WCOREDUMP(status_of(die_by_abort, &pid)));
	CHECK_EQ(stat("core", &st), 0);
	CHECK(st.st_size > 0 && st.st_blocks <= 4 * PAGE / 512);
}

/* A process that writes a core file of much memory dies at once by SIGKILL. */
static void
busy_dies(void)
{
	for (size_t i = 0; i < 48 << 20; i += PAGE)
		big[i] = 1;
	die_by_abort();
}

static void
killed_while_it_is_written(void)
{
	int status;
	pid_t pid;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	big = map(48 << 20, MAP_PRIVATE);
	pid = fork();
	if (pid == 0) {
		busy_dies();
		_exit(1);
	}
	while (access("core", F_OK) && !waitpid(pid, &status, WNOHANG))
		;
	kill(pid, SIGTERM); /* changes nothing */
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && !WCOREDUMP(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

/* ---- Patterns: they are the machine's, so only one test may run at a time ---- */

static const char pattern_file[] = "/proc/sys/kernel/core_pattern";

static void
set_pattern(const char *pattern)
{
	char text[256];

	CHECK(write_file(pattern_file, pattern));
	read_line(pattern_file, text, sizeof(text));
	CHECK(!strcmp(text, pattern));
}

static void
reset_pattern(void)
{
	set_pattern("core");
	CHECK(write_file("/proc/sys/kernel/core_uses_pid", "0"));
	CHECK(write_file("/proc/sys/kernel/core_pipe_limit", "0"));
	CHECK(write_file("/proc/sys/fs/suid_dumpable", "0"));
}

static void
check_named(const char *pattern, const char *format)
{
	char name[PATH];
	struct stat st;
	pid_t pid;

	set_pattern(pattern);
	CHECK(WCOREDUMP(status_of(die_by_abort, &pid)));
	snprintf(name, sizeof(name), format, pid, pid, pid);
	if (stat(name, &st)) {
		printf("no %s for %s\n", name, pattern);
		CHECK(false);
	}
	CHECK_EQ(unlink(name), 0);
}

static void
names_follow_the_pattern(void)
{
	char host[65], text[PATH];

	in_own_dir();
	limit_core(RLIM_INFINITY);
	CHECK_EQ(gethostname(host, sizeof(host)), 0);
	CHECK_EQ(prctl(PR_SET_NAME, "a/b"), 0);
	check_named("c.%p.%P.%i", "c.%d.%d.%d");
	check_named("%e-%s-%u-%g-%%-%d-%x", "a!b-6-0-0-%%-1-");
	snprintf(text, sizeof(text), "%s.h", host);
	check_named("%h.h%", text);
	check_named("%c", "18446744073709551615");
	snprintf(text, sizeof(text), "%s/abs.%%p", dir);
	check_named(text, "abs.%d");
	CHECK_EQ(mkdir("sub", 0755), 0);
	check_named("sub/c", "sub/c");
	check_named("%f", "core");
	CHECK_EQ(prctl(PR_SET_NAME, ".."), 0);
	check_named("%e", "!.");
	CHECK(write_file("/proc/sys/kernel/core_uses_pid", "1"));
	check_named("x", "x.%d");
	check_named("x.%p", "x.%d");
	CHECK(!write_file("/proc/sys/kernel/core_uses_pid", "x"));
	reset_pattern();
}

/* This program again, as the one that a pipe leads to: "core --take FILE ARGS...". */
static int
take_core(int argc, char **argv)
{
	int fd = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY, 0600);
	FILE *f = fopen(argv[3], "w");
	static char buf[1 << 16];
	char exe[64], name[64];
	ssize_t n;

	if (fd < 0 || !f)
		return 1;
	for (int i = 4; i < argc; i++)
		fprintf(f, "[%s]", argv[i]);
	/* The process is still there. */
	snprintf(name, sizeof(name), "/proc/%s/status", argv[4]);
	snprintf(exe, sizeof(exe), "/proc/%s/exe", argv[4]);
	fprintf(f, " %d %d %d", geteuid(), access(name, R_OK),
	    readlink(exe, buf, sizeof(buf)) > 0);
	while ((n = read(0, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return 1;
	fclose(f);
	close(fd);
	return 0;
}

static void
pipe_to_a_program(void)
{
	char pattern[256], self[64], text[PATH], wanted[PATH], core[PATH], info[PATH];
	struct core c;
	pid_t pid;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	CHECK(n > 0);
	self[n] = 0;
	in_own_dir();
	limit_core(0); /* does not matter to a pipe */
	snprintf(core, sizeof(core), "%s/c", dir);
	snprintf(info, sizeof(info), "%s/i", dir);
	CHECK(write_file("/proc/sys/kernel/core_pipe_limit", "4"));
	CHECK_EQ(prctl(PR_SET_NAME, "two words"), 0);
	snprintf(pattern, sizeof(pattern), "|%s --take %s/c %s/i %%P %%s  %%e", self, dir,
	    dir);
	set_pattern(pattern);
	CHECK(WCOREDUMP(status_of(die_by_abort, &pid)));
	/* With a limit the process has waited until its reader was done. */
	read_line(info, text, sizeof(text));
	snprintf(wanted, sizeof(wanted), "[%d][6][two words] 0 0 1", pid);
	if (strcmp(text, wanted))
		printf("%s, not %s\n", text, wanted);
	CHECK(!strcmp(text, wanted));
	core_open(&c, core);
	CHECK(core_note(&c, NT_PRSTATUS, 0, NULL));
	set_pattern("|/nowhere/to/be/found");
	CHECK(!WCOREDUMP(status_of(die_by_abort, &pid)));
	limit_core(1); /* a limit of 1 is what such programs have themselves */
	set_pattern(pattern);
	CHECK(!WCOREDUMP(status_of(die_by_abort, &pid)));
	reset_pattern();
}

static void
change_ids_and_abort(void)
{
	CHECK_EQ(setgid(1234), 0);
	CHECK_EQ(setuid(1234), 0);
	die_by_abort();
}

/* Who has changed its ids is not its user's to look into. */
static void
suid_dumpable_decides(void)
{
	char pattern[PATH];
	struct stat st;
	pid_t pid;

	in_own_dir();
	limit_core(RLIM_INFINITY);
	CHECK(!WCOREDUMP(status_of(change_ids_and_abort, &pid)));
	CHECK(write_file("/proc/sys/fs/suid_dumpable", "1"));
	CHECK(WCOREDUMP(status_of(change_ids_and_abort, &pid)));
	CHECK_EQ(stat("core", &st), 0);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(unlink("core"), 0);
	CHECK(write_file("/proc/sys/fs/suid_dumpable", "2"));
	CHECK(!WCOREDUMP(status_of(change_ids_and_abort, &pid))); /* not relative */
	snprintf(pattern, sizeof(pattern), "%s/roots", dir);
	set_pattern(pattern);
	CHECK_EQ(chmod(dir, 0755), 0);
	CHECK_EQ(chown(dir, 0, 0), 0);
	CHECK(WCOREDUMP(status_of(change_ids_and_abort, &pid)));
	CHECK_EQ(stat("roots", &st), 0);
	CHECK_EQ(st.st_uid, 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK(!WCOREDUMP(status_of(change_ids_and_abort, &pid))); /* not over another */
	CHECK(!write_file("/proc/sys/fs/suid_dumpable", "3"));
	reset_pattern();
}

static const struct test tests[] = {
    TEST(written_by_limit_and_signal),
    TEST(told_by_sigchld),
    TEST(only_of_dumpable_processes),
    TEST(not_over_what_is_others),
    TEST(holds_threads_notes_and_memory),
    TEST(filter_is_obeyed_and_inherited),
    TEST(limit_cuts_it_short),
    TEST(killed_while_it_is_written),
    TEST(names_follow_the_pattern),
    TEST(pipe_to_a_program),
    TEST(suid_dumpable_decides),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 4 && !strcmp(argv[1], "--take"))
		return take_core(argc, argv);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
