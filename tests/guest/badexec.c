/*
 * Programs that are none, or hostile: each is made here, executed by a child, and must end as on
 * Linux: an error of execve, a signal once the old program is gone, or success for what is odd
 * but allowed. Nothing else may happen: a good program runs after all of them.
 */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <elf.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { PAGE = 4096, BASE = 0x400000, IMAGE_SIZE = 3 * PAGE, GOOD = 42, SEGMENTS = 8 };

/* Headers, then code at 0x800; a second segment of data with bss. */
static struct image {
	union {
		struct {
			Elf64_Ehdr h;
			Elf64_Phdr p[SEGMENTS];
		};
		uint8_t bytes[IMAGE_SIZE];
	};
	size_t size;
} im;

static char path[64], other[64];

/* mov $60, %eax; mov $42, %edi; syscall */
static const uint8_t code[] = {0xb8, 60, 0, 0, 0, 0xbf, GOOD, 0, 0, 0, 0x0f, 0x05};

static void
make_good(uint16_t type)
{
	uint64_t base = type == ET_DYN ? 0 : BASE;

	memset(&im, 0, sizeof(im));
	im.size = IMAGE_SIZE;
	im.h = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
	    .e_type = type,
	    .e_machine = EM_X86_64,
	    .e_version = 1,
	    .e_entry = base + 0x800,
	    .e_phoff = sizeof(im.h),
	    .e_ehsize = sizeof(im.h),
	    .e_phentsize = sizeof(im.p[0]),
	    .e_phnum = 3};
	im.p[0] = (Elf64_Phdr){.p_type = PT_LOAD,
	    .p_flags = PF_R | PF_X,
	    .p_vaddr = base,
	    .p_filesz = PAGE,
	    .p_memsz = PAGE,
	    .p_align = PAGE};
	im.p[1] = (Elf64_Phdr){.p_type = PT_LOAD,
	    .p_flags = PF_R | PF_W,
	    .p_offset = PAGE,
	    .p_vaddr = base + 0x10000,
	    .p_filesz = 0x700,
	    .p_memsz = 0x2700,
	    .p_align = PAGE};
	im.p[2] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
	memcpy(im.bytes + 0x800, code, sizeof(code));
}

/* The interpreter's path at the end of the first page. */
static void
add_interp(const char *name, size_t size)
{
	im.p[3] = (Elf64_Phdr){
	    .p_type = PT_INTERP, .p_offset = 0xe00, .p_filesz = size, .p_flags = PF_R};
	im.h.e_phnum = 4;
	strcpy((char *)im.bytes + 0xe00, name);
}

static void
write_file(const char *name, const void *data, size_t size)
{
	int fd;

	unlink(name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0755);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, size), size);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(chmod(name, 0755), 0);
}

static const char *
name_of(int error)
{
	static char text[16];

	switch (error) {
	case ENOEXEC: return "ENOEXEC";
	case EINVAL: return "EINVAL";
	case ENOMEM: return "ENOMEM";
	case EACCES: return "EACCES";
	case ENOENT: return "ENOENT";
	case ELOOP: return "ELOOP";
	case ETXTBSY: return "ETXTBSY";
	case E2BIG: return "E2BIG";
	case ELIBBAD: return "ELIBBAD";
	case EIO: return "EIO";
	case EFAULT: return "EFAULT";
	case EPERM: return "EPERM";
	case EISDIR: return "EISDIR";
	case ENOTDIR: return "ENOTDIR";
	case ENAMETOOLONG: return "ENAMETOOLONG";
	case EEXIST: return "EEXIST";
	default: snprintf(text, sizeof(text), "%d", error); return text;
	}
}

/* What comes of executing a file: the error's name, the signal's, or the exit status. */
static const char *
outcome_of(const char *name, void (*prepare)(void))
{
	static char text[32];
	int fds[2], error = 0, status;
	pid_t pid;

	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)name, NULL}, *envp[] = {NULL};
		static const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		if (prepare)
			prepare();
		execve(name, argv, envp);
		error = errno;
		CHECK_EQ(write(fds[1], &error, sizeof(error)), sizeof(error));
		_exit(0);
	}
	close(fds[1]);
	(void)!read(fds[0], &error, sizeof(error));
	close(fds[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (error)
		return name_of(error);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(status));
	return text;
}

static const char *
outcome(void)
{
	write_file(path, im.bytes, im.size);
	return outcome_of(path, NULL);
}

static bool is_printing;

/*
 * `wanted` lists what is right: Linux's answer first. Keel looks at everything before it gives
 * the old program up, so what Linux ends with a signal it may refuse with an error.
 */
static void
expect(const char *what, const char *wanted, const char *got)
{
	char list[128], *word, *rest = list;

	strcpy(list, wanted);
	if (is_printing)
		printf("%s: %s (%s)\n", what, got, wanted);
	while ((word = strtok_r(rest, "|", &rest)))
		if (!strcmp(word, got))
			return;
	printf("FAIL %s: %s, not %s\n", what, got, wanted);
	fflush(stdout);
	if (!is_printing)
		_exit(1);
}

#define CASE(wanted, type, change) \
	do { \
		make_good(type); \
		change; \
		expect(#change, wanted, outcome()); \
	} while (0)

static void
good_programs_run(void)
{
	CASE("exit 42", ET_EXEC, (void)0);
	CASE("exit 42", ET_DYN, (void)0);
	CASE("exit 42", ET_EXEC, im.h.e_version = 77);
	CASE("exit 42", ET_EXEC, im.h.e_ehsize = 1);
	CASE("exit 42", ET_EXEC, im.h.e_shoff = UINT64_MAX);
	CASE("exit 42", ET_EXEC, im.h.e_flags = 0xffffffff);
	CASE("exit 42", ET_EXEC, im.p[2].p_flags = 7);
	CASE("exit 42", ET_EXEC, im.p[2].p_flags = 0xffffffff);
	CASE("exit 42", ET_EXEC, im.p[1].p_paddr = UINT64_MAX);
}

static void
headers_are_checked(void)
{
	CASE("ENOEXEC", ET_EXEC, im.size = 0);
	CASE("ENOEXEC", ET_EXEC, im.size = 1);
	CASE("ENOEXEC", ET_EXEC, im.size = 4);
	CASE("ENOEXEC", ET_EXEC, im.size = 63);
	CASE("ENOEXEC", ET_EXEC, im.size = 64);
	CASE("ENOEXEC", ET_EXEC, im.size = 64 + 56);
	CASE("ENOEXEC", ET_EXEC, im.h.e_ident[0] = 0);
	CASE("ENOEXEC", ET_EXEC, im.h.e_type = ET_REL);
	CASE("ENOEXEC", ET_EXEC, im.h.e_type = ET_CORE);
	CASE("ENOEXEC", ET_EXEC, im.h.e_type = ET_NONE);
	CASE("ENOEXEC", ET_EXEC, im.h.e_type = 0xffff);
	CASE("ENOEXEC", ET_EXEC, im.h.e_machine = EM_AARCH64);
	CASE("ENOEXEC", ET_EXEC, im.h.e_machine = EM_RISCV);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phnum = 0);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phnum = 0xffff);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phnum = 65536 / 56 + 1);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phentsize = 0);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phentsize = 55);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phentsize = 32);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phoff = IMAGE_SIZE - 8);
	CASE("ENOEXEC", ET_EXEC, im.h.e_phoff = INT64_MAX);
	CASE("EINVAL|ENOEXEC", ET_EXEC, im.h.e_phoff = UINT64_MAX);
	CASE("EINVAL|ENOEXEC", ET_EXEC, im.h.e_phoff = UINT64_MAX - 55);
	CASE("EINVAL|ENOEXEC", ET_EXEC, im.h.e_phoff = 1ull << 63);
}

static void
segments_are_checked(void)
{
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_filesz = 0x2701);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[0].p_filesz = UINT64_MAX);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_filesz = UINT64_MAX);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_memsz = UINT64_MAX);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_memsz = INT64_MAX);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_memsz = 0x7fffffbf0000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_offset = UINT64_MAX & ~0xfffull);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_offset = INT64_MAX & ~0xfffull);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = 0xffffffff80000000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[0].p_vaddr = 0xffff800000000000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = UINT64_MAX & ~0xfffull);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = 0x7ffffffff000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = 0x800000000000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr += 1);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = BASE);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[1].p_vaddr = BASE - 0x2000);
	CASE("exit 42", ET_EXEC, im.p[1].p_align = 3);
	CASE("exit 42", ET_EXEC, im.p[1].p_align = 1ull << 63);
	CASE("exit 42", ET_DYN, im.p[0].p_align = 3);
	CASE("exit 42", ET_DYN, im.p[0].p_align = 1ull << 21);
	CASE("exit 42", ET_DYN, im.p[0].p_align = 1ull << 63);
	CASE("exit 42", ET_DYN, im.p[0].p_align = 1ull << 46);
	CASE("signal 11|ENOEXEC", ET_DYN, im.p[1].p_memsz = 0x7fffffff0000);
	CASE("signal 11|ENOMEM", ET_DYN, im.p[1].p_vaddr = 0x7fffffff0000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.p[0].p_type = im.p[1].p_type = PT_NULL);
	CASE("exit 42", ET_EXEC, im.p[1].p_memsz = im.p[1].p_filesz = 0);
}

static void
entries_may_be_anywhere(void)
{
	CASE("signal 11|ENOEXEC", ET_EXEC, im.h.e_entry = 0);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.h.e_entry = 0x7000000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.h.e_entry = UINT64_MAX);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.h.e_entry = 0xffffffff80200000);
	CASE("signal 11|ENOEXEC", ET_EXEC, im.h.e_entry = 0x800000000000);
	CASE("signal 11", ET_EXEC, im.h.e_entry = BASE + 0x10000);
	CASE("signal 11", ET_EXEC, im.p[0].p_flags = PF_R);
	CASE("signal 11", ET_EXEC, im.p[0].p_flags = 0);
	CASE("exit 42", ET_EXEC, im.p[0].p_flags = PF_R | PF_W | PF_X);
}

static void
interpreters_are_checked(void)
{
	static char long_name[PAGE + 10];

	memset(long_name, 'x', sizeof(long_name) - 1);
	CASE("ENOENT", ET_EXEC, add_interp("/none", 6));
	CASE("EACCES|ENOENT", ET_EXEC, add_interp("", 2));
	CASE("ENOEXEC", ET_EXEC, add_interp("", 1));
	CASE("ENOEXEC", ET_EXEC, add_interp("", 0));
	CASE("ENOEXEC", ET_EXEC, add_interp("/none", 5));
	CASE("ENOEXEC", ET_EXEC, add_interp("/none", 4097));
	CASE("ENOEXEC", ET_EXEC, add_interp("/none", UINT64_MAX));
	CASE("EACCES", ET_EXEC, add_interp("/tmp", 5));
	CASE("EACCES", ET_EXEC, add_interp("/dev/null", 10));
	CASE("EACCES", ET_EXEC, add_interp("/proc/self/status", 18));
	CASE("EIO|ENOEXEC", ET_EXEC,
	    (add_interp("/none", 6), im.p[3].p_offset = IMAGE_SIZE));
	CASE("EINVAL|ENOEXEC", ET_EXEC,
	    (add_interp("/none", 6), im.p[3].p_offset = UINT64_MAX));
	/* Itself: a program that lies fixed cannot be beside itself, one that does not can. */
	CASE("exit 42", ET_DYN, add_interp(path, strlen(path) + 1));

	make_good(ET_DYN);
	write_file(other, im.bytes, im.size);
	CASE("exit 42", ET_EXEC, add_interp(other, strlen(other) + 1));
	chmod(other, 0644);
	CASE("EACCES", ET_EXEC, add_interp(other, strlen(other) + 1));
	write_file(other, im.bytes, 20);
	CASE("EIO|ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	im.h.e_machine = EM_AARCH64;
	write_file(other, im.bytes, im.size);
	CASE("ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	write_file(other, "#!/bin/sh\n", 100);
	CASE("ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	unlink(other);
	CHECK_EQ(mkfifo(other, 0755), 0);
	CASE("EACCES", ET_EXEC, add_interp(other, strlen(other) + 1));
	unlink(other);
	CHECK_EQ(symlink(other, other), 0);
	CASE("ELOOP", ET_EXEC, add_interp(other, strlen(other) + 1));
	unlink(other);
}

static void
damaged_interpreters_are_refused(void)
{
	make_good(ET_DYN);
	im.p[1].p_filesz = UINT64_MAX;
	write_file(other, im.bytes, im.size);
	CASE("signal 11|ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	make_good(ET_DYN);
	im.p[1].p_memsz = 1ull << 46;
	write_file(other, im.bytes, im.size);
	CASE("signal 11|ENOMEM", ET_EXEC, add_interp(other, strlen(other) + 1));
	make_good(ET_DYN);
	im.h.e_phnum = 0;
	write_file(other, im.bytes, im.size);
	CASE("ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	make_good(ET_DYN);
	im.h.e_entry = 0x7000000;
	write_file(other, im.bytes, im.size);
	CASE("signal 11|ELIBBAD", ET_EXEC, add_interp(other, strlen(other) + 1));
	unlink(other);
}

static void
limit_memory(void)
{
	static const struct rlimit r = {64 << 20, 64 << 20};

	CHECK_EQ(setrlimit(RLIMIT_AS, &r), 0);
}

static void
limits_bound_programs(void)
{
	make_good(ET_EXEC);
	im.p[1].p_memsz = 100 << 20;
	write_file(path, im.bytes, im.size);
	expect("bss of 100 MiB", "exit 42", outcome_of(path, NULL));
	expect("the same in 64 MiB", "signal 11|ENOMEM", outcome_of(path, limit_memory));
}

static void
scripts_are_followed_five_deep(void)
{
	char text[256], name[80], before[80] = "/bin/true";

	make_good(ET_EXEC);
	write_file(path, im.bytes, im.size);
	strcpy(before, path);
	for (int depth = 1; depth <= 7; depth++) {
		snprintf(name, sizeof(name), "%s.%d", path, depth);
		snprintf(text, sizeof(text), "#!%s\n", before);
		write_file(name, text, strlen(text));
		expect("scripts of scripts", depth <= 5 ? "exit 42" : "ELOOP",
		    outcome_of(name, NULL));
		strcpy(before, name);
	}
	for (int depth = 1; depth <= 7; depth++) {
		snprintf(name, sizeof(name), "%s.%d", path, depth);
		unlink(name);
	}
}

#define SCRIPT(wanted, ...) \
	do { \
		snprintf(text, sizeof(text), __VA_ARGS__); \
		write_file(path, text, strlen(text)); \
		expect(text, wanted, outcome_of(path, NULL)); \
	} while (0)

static void
bad_scripts(void)
{
	static char text[1024], long_line[600];

	memset(long_line, 'x', sizeof(long_line) - 1);
	SCRIPT("ELOOP", "#!%s\n", path);
	SCRIPT("ENOENT", "#!/none\n");
	SCRIPT("ENOENT", "#!/none");
	SCRIPT("EACCES|ENOEXEC", "#!");
	SCRIPT("ENOEXEC", "#!\n");
	SCRIPT("ENOEXEC", "#! \t \n");
	SCRIPT("ENOEXEC", "#");
	SCRIPT("ENOEXEC", "plain text\n");
	SCRIPT("ENOEXEC", "#!/%s\n", long_line);
	SCRIPT("EACCES", "#!/tmp\n");
	SCRIPT("EACCES", "#!/dev/null\n");
	SCRIPT("ENOENT", "#!none\n");
}

static void
what_is_not_executable(void)
{
	int fd;

	make_good(ET_EXEC);
	write_file(path, im.bytes, im.size);
	fd = open(path, O_RDWR);
	expect("open for writing", "ETXTBSY", outcome_of(path, NULL));
	close(fd);
	expect("closed again", "exit 42", outcome_of(path, NULL));
	chmod(path, 0644);
	expect("mode 644", "EACCES", outcome_of(path, NULL));
	expect("a directory", "EACCES", outcome_of("/tmp", NULL));
	expect("a device", "EACCES", outcome_of("/dev/null", NULL));
	expect("nothing", "ENOENT", outcome_of("", NULL));
	expect("no directory", "ENOTDIR", outcome_of("/dev/null/x", NULL));
	unlink(path);
	CHECK_EQ(mkfifo(path, 0755), 0);
	expect("a pipe", "EACCES", outcome_of(path, NULL));
}

/* A program that runs may not be written to; its memory is its own. */
static void
running_programs_are_not_written(void)
{
	pid_t pid;
	int status;
	static const uint8_t loop[] = {0xeb, 0xfe};

	make_good(ET_EXEC);
	memcpy(im.bytes + 0x800, loop, sizeof(loop));
	write_file(path, im.bytes, im.size);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, NULL);
		_exit(1);
	}
	for (int i = 0; i < 200; i++) {
		int fd = open(path, O_WRONLY);

		if (fd < 0)
			break;
		close(fd);
		sleep_ms(5);
	}
	CHECK_ERR(open(path, O_WRONLY), ETXTBSY);
	CHECK_ERR(truncate(path, 0), ETXTBSY);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(truncate(path, 0), 0);
	good_programs_run();
}

static void
arguments_are_limited(void)
{
	static char big[131072 + 2];
	char *argv[] = {path, big, NULL}, *envp[] = {NULL}, **volatile bad = (char **)1;

	make_good(ET_EXEC);
	write_file(path, im.bytes, im.size);
	memset(big, 'a', 131072);
	CHECK_ERR(execve(path, argv, envp), E2BIG);
	CHECK_ERR(execve(path, bad, envp), EFAULT);
	bad = (char **)0xffffffff80200000;
	CHECK_ERR(execve(path, bad, envp), EFAULT);
	argv[1] = (char *)0x8000000000000000;
	CHECK_ERR(execve(path, argv, envp), EFAULT);
	argv[1] = NULL;
	envp[0] = (char *)-1;
	CHECK_ERR(execve(path, argv, (char *[]){(char *)-1, NULL}), EFAULT);
}

static const struct test tests[] = {
    TEST(good_programs_run),
    TEST(headers_are_checked),
    TEST(segments_are_checked),
    TEST(entries_may_be_anywhere),
    TEST(interpreters_are_checked),
    TEST(damaged_interpreters_are_refused),
    TEST(limits_bound_programs),
    TEST(scripts_are_followed_five_deep),
    TEST(bad_scripts),
    TEST(what_is_not_executable),
    TEST(running_programs_are_not_written),
    TEST(arguments_are_limited),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	is_printing = argc > 1 && !strcmp(argv[1], "-p");
	snprintf(path, sizeof(path), "/tmp/badexec.%d", getpid());
	snprintf(other, sizeof(other), "/tmp/badexec.%d.ld", getpid());
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || is_printing || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	unlink(path);
	unlink(other);
	return failed;
}
