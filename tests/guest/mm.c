/* Memory of programs: mmap and its kin, faults, copy-on-write, the stack, what exec
 * leaves there. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <elf.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

/* ---- What a fault brings ---- */

static sigjmp_buf fault_jump;
static volatile siginfo_t fault_info;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	fault_info = *info;
	siglongjmp(fault_jump, sig);
}

/* The signal that `stmt` gets, 0: none. */
#define SIGNAL_OF(stmt) \
	({ \
		int sig_ = sigsetjmp(fault_jump, 1); \
		if (!sig_) { \
			stmt; \
		} \
		sig_; \
	})

static void
catch_faults(void)
{
	static char stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {
	    .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	CHECK_EQ(sigaltstack(&ss, NULL), 0);
	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
	CHECK_EQ(sigaction(SIGBUS, &sa, NULL), 0);
}

static volatile char *
map(size_t pages, int prot)
{
	void *p = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int
temp_file(size_t size)
{
	char name[] = "/tmp/mm.XXXXXX";
	int fd = mkstemp(name);

	CHECK(fd >= 0);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void
faults_tell_address_and_reason(void)
{
	volatile char *p = map(3, PROT_READ);

	catch_faults();
	CHECK_EQ(SIGNAL_OF(p[PAGE + 5] = 1), SIGSEGV);
	CHECK(fault_info.si_addr == (void *)(p + PAGE + 5));
	CHECK_EQ(fault_info.si_code, SEGV_ACCERR);
	CHECK_EQ(munmap((void *)(p + PAGE), PAGE), 0);
	CHECK_EQ(SIGNAL_OF((void)p[PAGE + 7]), SIGSEGV);
	CHECK(fault_info.si_addr == (void *)(p + PAGE + 7));
	CHECK_EQ(fault_info.si_code, SEGV_MAPERR);
	CHECK_EQ(SIGNAL_OF((void)p[0]), 0);
	CHECK_EQ(SIGNAL_OF((void)*(volatile char *)0), SIGSEGV);
	CHECK_EQ(SIGNAL_OF((void)*(volatile char *)0xffffffff80000000), SIGSEGV);
	CHECK_EQ(mprotect((void *)p, PAGE, PROT_NONE), 0);
	CHECK_EQ(SIGNAL_OF((void)p[0]), SIGSEGV);
	CHECK_EQ(fault_info.si_code, SEGV_ACCERR);
}

static void
data_is_not_code(void)
{
	static const unsigned char ret[] = {
	    0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
	volatile char *p = map(1, RW);

	catch_faults();
	memcpy((void *)p, ret, sizeof(ret));
	CHECK_EQ(SIGNAL_OF(((void (*)(void))p)()), SIGSEGV);
	CHECK_EQ(fault_info.si_code, SEGV_ACCERR);
	CHECK_EQ(mprotect((void *)p, PAGE, PROT_READ | PROT_EXEC), 0);
	CHECK_EQ(((int (*)(void))p)(), 42);
}

static void
mapped_file_beyond_its_end_is_sigbus(void)
{
	int fd = temp_file(PAGE + 100);
	volatile char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

	catch_faults();
	CHECK(p != MAP_FAILED);
	CHECK_EQ(SIGNAL_OF(p[PAGE + 4000] = 1), 0);
	CHECK_EQ(SIGNAL_OF((void)p[2 * PAGE]), SIGBUS);
	CHECK_EQ(fault_info.si_code, BUS_ADRERR);
	CHECK(fault_info.si_addr == (void *)(p + 2 * PAGE));
	CHECK_EQ(ftruncate(fd, PAGE), 0);
	CHECK_EQ(SIGNAL_OF((void)p[PAGE]), SIGBUS);
	CHECK_EQ(ftruncate(fd, 3 * PAGE), 0);
	CHECK_EQ(p[PAGE + 4000], 0);
	CHECK_EQ(SIGNAL_OF((void)p[2 * PAGE]), 0);
}

/* ---- Mappings ---- */

static void
mmap_refuses_nonsense(void)
{
	int fd = temp_file(PAGE), ro = open("/proc/self/exe", O_RDONLY);
	int wo = open("/dev/null", O_WRONLY), fds[2];
	void *p = (void *)map(4, RW);

	CHECK_EQ(pipe(fds), 0);
#define MMAP(...) (long)mmap(__VA_ARGS__)
	CHECK_ERR(MMAP(NULL, 0, RW, ANON, -1, 0), EINVAL);
	CHECK_ERR(MMAP(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(MMAP(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
	CHECK_ERR(MMAP(NULL, PAGE, RW, MAP_PRIVATE, fd, 17), EINVAL);
	CHECK_ERR(MMAP(NULL, PAGE, RW, MAP_SHARED, ro, 0), EACCES);
	CHECK_ERR(MMAP(NULL, PAGE, PROT_READ, MAP_SHARED, wo, 0), EACCES);
	CHECK_ERR(MMAP(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
	CHECK_ERR(MMAP(NULL, -1ul, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERR(MMAP(NULL, 1ul << 47, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERR(MMAP((char *)p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	CHECK_ERR(MMAP(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_ERR(munmap((char *)p + 1, PAGE), EINVAL);
	CHECK_ERR(munmap(p, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mprotect, (char *)p + 1, PAGE, RW), EINVAL);
	CHECK_EQ(munmap((char *)p + PAGE, PAGE), 0);
	CHECK_ERR(mprotect(p, 3 * PAGE, PROT_READ), ENOMEM);
	CHECK_EQ(munmap((char *)p + PAGE, PAGE), 0); /* what is not there is no error */
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ERR(mprotect(p, PAGE, RW), EACCES);
}

static void
private_file_pages_stay_private(void)
{
	int fd = temp_file(2 * PAGE);
	char *p, buf[4] = "";

	CHECK_EQ(pwrite(fd, "abc", 3, 10), 3);
	p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(!memcmp(p + 10, "abc", 3));
	p[10] = 'X';
	CHECK_EQ(pread(fd, buf, 3, 10), 3);
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_EQ(pwrite(fd, "zzz", 3, PAGE), 3);
	CHECK(!memcmp(p + PAGE, "zzz", 3));
	CHECK(p[10] == 'X');
}

static void
shared_file_pages_are_the_file(void)
{
	int fd = temp_file(2 * PAGE);
	char *a = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), buf[6];
	char *b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);

	CHECK(a != MAP_FAILED && b != MAP_FAILED);
	CHECK_EQ(b[100], 0);
	strcpy(a + PAGE + 100, "hello");
	CHECK(!strcmp(b + 100, "hello"));
	CHECK_EQ(pread(fd, buf, 6, PAGE + 100), 6);
	CHECK(!strcmp(buf, "hello"));
	CHECK_EQ(pwrite(fd, "J", 1, PAGE + 100), 1);
	CHECK(!strcmp(b + 100, "Jello"));
	CHECK_EQ(msync(a, 2 * PAGE, MS_SYNC), 0);
	CHECK_ERR(msync(a, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
}

static void
fork_shares_shared_and_copies_private(void)
{
	int *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), status;
	volatile int *private = (volatile int *)map(1, RW);
	pid_t pid;

	*shared = 1;
	*private = 1;
	pid = fork();
	if (!pid) {
		*private = 2;
		*shared = 2;
		_exit(*private);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 2);
	CHECK_EQ(*private, 1);
	CHECK_EQ(*shared, 2);
}

static void
many_areas_come_and_go(void)
{
	enum { NUM = 600 };
	volatile char *p = map(2 * NUM, RW);

	for (int i = 0; i < 2 * NUM; i++)
		p[i * PAGE] = (char)i;
	for (int i = 0; i < 2 * NUM; i += 2)
		CHECK_EQ(mprotect((void *)(p + i * PAGE), PAGE, PROT_READ), 0);
	for (int i = 1; i < 2 * NUM; i += 4)
		CHECK_EQ(munmap((void *)(p + i * PAGE), PAGE), 0);
	for (int i = 0; i < 2 * NUM; i++)
		if (i % 4 != 1)
			CHECK_EQ(p[i * PAGE], (char)i);
	CHECK_EQ(munmap((void *)p, 2 * NUM * PAGE), 0);
}

static void
mremap_moves_and_grows(void)
{
	char *p = (char *)map(4, RW), *q;

	strcpy(p + PAGE, "moved");
	CHECK_EQ(munmap(p + 2 * PAGE, 2 * PAGE), 0);
	CHECK(mremap(p, 2 * PAGE, 3 * PAGE, 0) == p);
	CHECK(
	    mmap(p + 3 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 3 * PAGE);
	CHECK_ERR((long)mremap(p, 3 * PAGE, 8 * PAGE, 0), ENOMEM);
	q = mremap(p, 3 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	CHECK(!strcmp(q + PAGE, "moved"));
	q[99 * PAGE] = 1;
	CHECK_ERR((long)mremap(p, PAGE, PAGE, 0), EFAULT);
	p = (char *)map(10, PROT_NONE);
	CHECK(mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE) ==
	      p + PAGE);
	CHECK(!strcmp(p + 2 * PAGE, "moved"));
	CHECK_ERR((long)mremap(p, PAGE, PAGE, MREMAP_FIXED, q), EINVAL);
}

static void
brk_moves_the_heap(void)
{
	char *start = sbrk(0);

	CHECK(start != (void *)-1);
	/* musl's sbrk only tells; the call itself is tested. */
	CHECK_EQ(syscall(SYS_brk, start + 10 * PAGE), start + 10 * PAGE);
	start[10 * PAGE - 1] = 'x';
	CHECK_EQ(syscall(SYS_brk, start + PAGE), start + PAGE);
	CHECK_EQ(syscall(SYS_brk, start + 10 * PAGE), start + 10 * PAGE);
	CHECK_EQ(start[10 * PAGE - 1], 0);
	CHECK_EQ(syscall(SYS_brk, 0), start + 10 * PAGE);
	CHECK_EQ(syscall(SYS_brk, start), start);
}

static void
madvise_forgets_and_mincore_sees(void)
{
	volatile char *p = map(8, RW);
	unsigned char vec[8];

	p[0] = p[3 * PAGE] = 1;
	CHECK_EQ(mincore((void *)p, 8 * PAGE, vec), 0);
	CHECK(vec[0] == 1 && vec[1] == 0 && vec[3] == 1 && vec[4] == 0);
	CHECK_EQ(madvise((void *)p, 8 * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(madvise((void *)p, 8 * PAGE, MADV_WILLNEED), 0);
	CHECK_ERR(madvise((void *)p, PAGE, 999), EINVAL);
	CHECK_ERR(madvise((void *)(p + 1), PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(munmap((void *)(p + PAGE), PAGE), 0);
	CHECK_ERR(madvise((void *)p, 8 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_ERR(mincore((void *)p, 8 * PAGE, vec), ENOMEM);
	CHECK_EQ(mlock((void *)p, PAGE), 0);
	CHECK_EQ(munlock((void *)p, PAGE), 0);
	CHECK_ERR(mlock((void *)(p + PAGE), PAGE), ENOMEM);
}

static void
address_space_limit_holds(void)
{
	struct rlimit lim = {64 << 20, 64 << 20};

	CHECK_EQ(setrlimit(RLIMIT_AS, &lim), 0);
	CHECK(mmap(NULL, 32 << 20, RW, ANON, -1, 0) != MAP_FAILED);
	CHECK_ERR((long)mmap(NULL, 48 << 20, RW, ANON, -1, 0), ENOMEM);
}

/* ---- The kernel's own accesses ---- */

static void
system_calls_fail_on_bad_pointers(void)
{
	char *p = (char *)map(2, RW);
	int fds[2];

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(mprotect(p + PAGE, PAGE, PROT_NONE), 0);
	CHECK_ERR(write(fds[1], p + PAGE, 1), EFAULT);
	CHECK_ERR(write(fds[1], (void *)16, 1), EFAULT);
	CHECK_ERR(write(fds[1], (void *)0xffff800000000000, 1), EFAULT);
	CHECK_ERR(write(fds[1], (void *)0x8000000000000000, 1), EFAULT);
	CHECK_ERR(open(p + PAGE, O_RDONLY), EFAULT);
	CHECK_EQ(write(fds[1], "0123456789", 10), 10);
	CHECK_ERR(read(fds[0], p + PAGE, 1), EFAULT);
	CHECK_EQ(mprotect(p, PAGE, PROT_READ), 0);
	CHECK_ERR(read(fds[0], p, 1), EFAULT);
	CHECK_EQ(mprotect(p, PAGE, RW), 0);
	CHECK_EQ(read(fds[0], p + PAGE - 4, 4), 4);
	CHECK(!memcmp(p + PAGE - 4, "0123", 4));
	memset(p, 'n', PAGE);
	CHECK_ERR(open(p + PAGE - 20, O_RDONLY), EFAULT);
}

static void
system_calls_break_copy_on_write(void)
{
	char *p = (char *)map(1, RW);
	int fds[2], status;
	pid_t pid;

	strcpy(p, "parent");
	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], "child!", 7), 7);
	pid = fork();
	if (!pid) {
		CHECK_EQ(read(fds[0], p, 7), 7);
		_exit(strcmp(p, "child!"));
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 0);
	CHECK(!strcmp(p, "parent"));
}

/* ---- The stack ---- */

static int __attribute__((noinline)) recurse(int depth)
{
	volatile char frame[4096];

	frame[0] = (char)depth;
	return depth ? recurse(depth - 1) + frame[0] : 0;
}

static void
stack_grows_to_its_limit(void)
{
	struct rlimit lim;
	int status;
	pid_t pid;

	CHECK_EQ(getrlimit(RLIMIT_STACK, &lim), 0);
	CHECK_EQ(lim.rlim_cur, 8 << 20);
	(void)recurse(1500);
	pid = fork();
	if (!pid) {
		catch_faults();
		_exit(SIGNAL_OF((void)recurse(4000)) == SIGSEGV ? 7 : 8);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 7);
}

static void
exec_leaves_an_auxiliary_vector(void)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	unsigned loads = 0, sum = 0;

	CHECK(ph != NULL && random != NULL);
	CHECK_EQ(getauxval(AT_PHENT), sizeof(*ph));
	CHECK_EQ(getauxval(AT_PAGESZ), PAGE);
	CHECK_EQ(getauxval(AT_CLKTCK), 100);
	CHECK_EQ(getauxval(AT_SECURE), 0);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_EGID), getegid());
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(!strcmp((const char *)getauxval(AT_PLATFORM), "x86_64"));
	CHECK(strlen((const char *)getauxval(AT_EXECFN)) > 0);
	for (unsigned i = 0; i < getauxval(AT_PHNUM); i++)
		loads += ph[i].p_type == PT_LOAD;
	for (int i = 0; i < 16; i++)
		sum |= random[i];
	CHECK(loads >= 2 && sum != 0);
}

static void
maps_tell_what_is_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	void *p = (void *)map(3, PROT_READ);
	char line[300], want[40];
	int found = 0, stack = 0, heap_or_text = 0;

	CHECK(f != NULL);
	snprintf(want, sizeof(want), "%lx-%lx r--p", (long)p, (long)p + 3 * PAGE);
	while (fgets(line, sizeof(line), f)) {
		found += !strncmp(line, want, strlen(want));
		stack += strstr(line, "[stack]") != NULL;
		heap_or_text += strstr(line, "/mm") != NULL;
	}
	fclose(f);
	CHECK_EQ(found, 1);
	CHECK_EQ(stack, 1);
	CHECK(heap_or_text >= 2);
}

/* ---- The vDSO ---- */

/* The address of a function of the object the kernel maps; NULL: it has none such. */
static void *
vdso_symbol(const char *name)
{
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR), *strings = NULL;
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
	const Elf64_Sym *symbols = NULL;
	const uint32_t *hash = NULL;
	const Elf64_Dyn *d = NULL;

	for (int i = 0; base && i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff) + i;

		if (ph->p_type == PT_DYNAMIC)
			d = (const Elf64_Dyn *)(base + ph->p_offset);
	}
	for (; d && d->d_tag; d++) {
		if (d->d_tag == DT_STRTAB)
			strings = base + d->d_un.d_ptr;
		if (d->d_tag == DT_SYMTAB)
			symbols = (const Elf64_Sym *)(base + d->d_un.d_ptr);
		if (d->d_tag == DT_HASH)
			hash = (const uint32_t *)(base + d->d_un.d_ptr);
	}
	for (uint32_t i = 0; hash && i < hash[1]; i++)
		if (!strcmp(strings + symbols[i].st_name, name))
			return (void *)(base + symbols[i].st_value);
	return NULL;
}

static long
ns_of(struct timespec ts)
{
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
vdso_tells_the_kernels_time(void)
{
	static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
	int (*gettime)(int, struct timespec *) = vdso_symbol("__vdso_clock_gettime");
	time_t (*get_time)(time_t *) = vdso_symbol("__vdso_time");

	CHECK(gettime != NULL && get_time != NULL);
	for (unsigned i = 0; i < 3000; i++) {
		struct timespec before, between, after;
		int clock = clocks[i % 3];

		CHECK_EQ(syscall(SYS_clock_gettime, clock, &before), 0);
		CHECK_EQ(gettime(clock, &between), 0);
		CHECK_EQ(syscall(SYS_clock_gettime, clock, &after), 0);
		CHECK(ns_of(before) <= ns_of(between) && ns_of(between) <= ns_of(after));
	}
	CHECK_EQ(gettime(12345, &(struct timespec){0}), -EINVAL);
	CHECK(labs(get_time(NULL) - time(NULL)) <= 1);
}

static void
vdso_tells_the_cpu(void)
{
	int (*getcpu)(unsigned *, unsigned *, void *) = vdso_symbol("__vdso_getcpu");
	unsigned cpu = 999, node = 999, kernel_cpu = 998;

	CHECK(getcpu != NULL);
	/* The thread may move between the two calls, but not every time. */
	for (int i = 0; i < 1000 && cpu != kernel_cpu; i++) {
		CHECK_EQ(getcpu(&cpu, &node, NULL), 0);
		CHECK_EQ(syscall(SYS_getcpu, &kernel_cpu, NULL, NULL), 0);
	}
	CHECK_EQ(cpu, kernel_cpu);
	CHECK_EQ(node, 0);
}

/* ---- Threads ---- */

enum { THREADS = 4, SHARED_PAGES = 256 };

static volatile char *arena;
static volatile int go;

/* All threads touch all pages at once; each adds one to its own word of each. */
static void *
touch_all(void *arg)
{
	long me = (long)arg;

	while (!go)
		;
	for (int i = 0; i < SHARED_PAGES; i++)
		((volatile int *)(arena + i * PAGE))[me]++;
	return NULL;
}

static void
threads_fault_on_the_same_pages(void)
{
	pthread_t threads[THREADS];

	for (int round = 0; round < 5; round++) {
		arena = map(SHARED_PAGES, RW);
		go = 0;
		for (long t = 0; t < THREADS; t++)
			CHECK_EQ(
			    pthread_create(&threads[t], NULL, touch_all, (void *)t), 0);
		go = 1;
		for (int t = 0; t < THREADS; t++)
			pthread_join(threads[t], NULL);
		for (int i = 0; i < SHARED_PAGES; i++)
			for (int t = 0; t < THREADS; t++)
				CHECK_EQ(((volatile int *)(arena + i * PAGE))[t], 1);
		CHECK_EQ(munmap((void *)arena, SHARED_PAGES * PAGE), 0);
	}
}

static volatile long counters[THREADS];
static volatile int stop;

static void *
count_up(void *arg)
{
	volatile long *c = &counters[(long)arg];

	while (!stop)
		++*c;
	return NULL;
}

/* The child must see a standing picture: no write of the parent's threads after the fork.
 */
static void
fork_among_writing_threads_is_a_snapshot(void)
{
	pthread_t threads[THREADS];

	for (long t = 0; t < THREADS; t++)
		CHECK_EQ(pthread_create(&threads[t], NULL, count_up, (void *)t), 0);
	for (int round = 0; round < 30; round++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			long before[THREADS];

			memcpy(before, (void *)counters, sizeof(before));
			sleep_ms(2);
			_exit(memcmp(before, (void *)counters, sizeof(before)) != 0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WEXITSTATUS(status), 0);
	}
	stop = 1;
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
}

/* Maps, fills, checks and unmaps again and again beside the others. */
static void *
map_and_unmap(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (int i = 0; i < 60;
	     i++) { /* each a round of all CPUs, which may be emulated */
		size_t pages = 1 + rand_r(&seed) % 20;
		volatile char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);

		if (p == MAP_FAILED)
			return (void *)1;
		for (size_t k = 0; k < pages; k++)
			p[k * PAGE] = (char)(k + seed);
		for (size_t k = 0; k < pages; k++)
			if (p[k * PAGE] != (char)(k + seed))
				return (void *)2;
		if (i % 3 == 0)
			mprotect((void *)p, PAGE, PROT_READ);
		if (munmap((void *)p, pages * PAGE))
			return (void *)3;
	}
	return NULL;
}

static void
threads_map_and_unmap_at_once(void)
{
	pthread_t threads[THREADS];
	void *result;

	for (long t = 0; t < THREADS; t++)
		CHECK_EQ(
		    pthread_create(&threads[t], NULL, map_and_unmap, (void *)(t + 1)), 0);
	for (int t = 0; t < THREADS; t++) {
		pthread_join(threads[t], &result);
		CHECK_EQ(result, NULL);
	}
}

static void *
read_mapped(void *arg)
{
	volatile char *p = arg;
	long sum = 0;

	while (!stop)
		for (int i = 0; i < 8; i++)
			sum += p[i * PAGE];
	return (void *)sum;
}

/* A page that is truncated while others read it is the file's or gone, never stale. */
static void
truncation_races_with_readers(void)
{
	int fd = temp_file(8 * PAGE);
	char *p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	pthread_t thread;

	CHECK(p != MAP_FAILED);
	signal(SIGBUS, SIG_DFL);
	CHECK_EQ(pthread_create(&thread, NULL, read_mapped, p), 0);
	for (int i = 0; i < 200; i++) {
		/* Only the contents change: the end stays, so nobody gets SIGBUS. */
		CHECK_EQ(pwrite(fd, "x", 1, 3 * PAGE), 1);
		CHECK_EQ(p[3 * PAGE], 'x');
		CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		             3 * PAGE, PAGE),
		    0);
		CHECK_EQ(p[3 * PAGE], 0);
	}
	stop = 1;
	pthread_join(thread, NULL);
}

/* The pages go, the mapping stays; or both stay and see the same. */
static void
mremap_keeps_the_source(void)
{
	enum { DONTUNMAP = 4, LEN = 3 * 4096 };
	char *p =
	    mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q, *at = mmap(NULL, 2 * LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p[0] = 1;
	p[LEN - 1] = 2;
	q = mremap(p, LEN, LEN, MREMAP_MAYMOVE | DONTUNMAP);
	CHECK(q != MAP_FAILED && q != p);
	CHECK(q[0] == 1 && q[LEN - 1] == 2);
	CHECK(p[0] == 0 && p[LEN - 1] == 0);
	p[0] = 9;
	CHECK(mremap(q, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, at) == at);
	CHECK(at[0] == 1 && q[0] == 0 && p[0] == 9);
	CHECK(mremap(p, LEN, LEN, DONTUNMAP) == MAP_FAILED && errno == EINVAL);
	CHECK(mremap(p, LEN, 2 * LEN, MREMAP_MAYMOVE | DONTUNMAP) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mremap(p, 0, LEN, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);

	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[4096] = 5;
	q = mremap(p + 4096, 0, 4096, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[0] == 5);
	q[1] = 6;
	CHECK_EQ(p[4097], 6);
	CHECK(mremap(p, 0, LEN, 0) == MAP_FAILED && errno == ENOMEM);
}

static void
free_advice_is_for_anonymous_memory(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0),
	     *q = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED && q != MAP_FAILED);
	p[0] = q[0] = 1;
	CHECK_EQ(madvise(p, 2 * PAGE, MADV_FREE), 0);
	CHECK(p[0] == 0 || p[0] == 1); /* gone or not yet */
	p[0] = 2;
	CHECK_EQ(p[0], 2);
	CHECK_ERR(madvise(q, PAGE, MADV_FREE), EINVAL);
	CHECK_EQ(q[0], 1);
	CHECK_EQ(mlock(p, PAGE), 0);
	CHECK_ERR(madvise(p, PAGE, MADV_FREE), EINVAL);
}

/* The sum of a line of /proc/self/smaps, in KiB. */
static long
smaps_sum(const char *name)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kib = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kib = strtol(line + strlen(name), NULL, 10);
	fclose(f);
	return kib;
}

/* Memory is plentiful: what was given up is still there, and shown so until it is written. */
static void
memory_given_up_stays_while_there_is_room(void)
{
	char *p = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 'x', 16 * PAGE);
	CHECK_EQ(smaps_sum("LazyFree:"), 0);
	CHECK_EQ(madvise(p, 12 * PAGE, MADV_FREE), 0);
	CHECK(smaps_sum("LazyFree:") <= 48); /* Linux counts them some time later */
	CHECK(p[0] == 'x' && p[11 * PAGE] == 'x');
	memset(p, 'y', 4 * PAGE);
	CHECK(smaps_sum("LazyFree:") <= 32);
	CHECK_EQ(mlock(p, PAGE), 0);
	CHECK_ERR(madvise(p, PAGE, 20 /* MADV_COLD */), EINVAL);
	CHECK_ERR(madvise(p, PAGE, 21 /* MADV_PAGEOUT */), EINVAL);
	CHECK_EQ(madvise(p + PAGE, 15 * PAGE, 20), 0);
	CHECK(p[PAGE] == 'y' && p[15 * PAGE] == 'x');
}

/* One number of /proc/vmstat. */
static long
vmstat(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char word[64];
	long value;

	CHECK(f);
	while (fscanf(f, "%63s %ld", word, &value) == 2) {
		if (!strcmp(word, name)) {
			fclose(f);
			return value;
		}
	}
	fclose(f);
	return -1;
}

static void
faults_are_counted(void)
{
	enum { PAGES = 200 };
	long before = vmstat("pgfault"), reads = vmstat("pgmajfault");
	char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(before > 0 && reads >= 0);
	CHECK(vmstat("pgscan_direct") >= 0 && vmstat("pgsteal_kswapd") >= 0);
	CHECK_EQ(madvise(p, PAGES * 4096, MADV_NOHUGEPAGE), 0);
	for (int i = 0; i < PAGES; i++)
		p[i * 4096] = 1;
	CHECK(vmstat("pgfault") >= before + PAGES);
}

static const struct test tests[] = {
    TEST(faults_are_counted),
    TEST(free_advice_is_for_anonymous_memory),
    TEST(memory_given_up_stays_while_there_is_room),
    TEST(mremap_keeps_the_source),
    TEST(faults_tell_address_and_reason),
    TEST(data_is_not_code),
    TEST(mapped_file_beyond_its_end_is_sigbus),
    TEST(mmap_refuses_nonsense),
    TEST(private_file_pages_stay_private),
    TEST(shared_file_pages_are_the_file),
    TEST(fork_shares_shared_and_copies_private),
    TEST(many_areas_come_and_go),
    TEST(mremap_moves_and_grows),
    TEST(brk_moves_the_heap),
    TEST(madvise_forgets_and_mincore_sees),
    TEST(address_space_limit_holds),
    TEST(system_calls_fail_on_bad_pointers),
    TEST(system_calls_break_copy_on_write),
    TEST(stack_grows_to_its_limit),
    TEST(exec_leaves_an_auxiliary_vector),
    TEST(maps_tell_what_is_mapped),
    TEST(vdso_tells_the_kernels_time),
    TEST(vdso_tells_the_cpu),
    TEST(threads_fault_on_the_same_pages),
    TEST(fork_among_writing_threads_is_a_snapshot),
    TEST(threads_map_and_unmap_at_once),
    TEST(truncation_races_with_readers),
};

RUN_TESTS(tests)
