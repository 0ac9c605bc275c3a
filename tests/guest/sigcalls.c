/* The calls on signals, one by one: actions, masks, waiting, sending, what siginfo says,
 * and descriptors of signals. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <ucontext.h>

enum { NOBODY = 0x7ffffff0, BLOCK = 0, UNBLOCK = 1, SETMASK = 2, RESTORER = 0x04000000 };

struct action { /* the kernel's sigaction */
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static uint64_t
bit(int sig)
{
	return 1ULL << (sig - 1);
}

static volatile siginfo_t seen;
static volatile int num_seen;

static void
note(int sig, siginfo_t *info, void *context)
{
	seen = *info;
	num_seen++;
}

static void catch (int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};

	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

/* proves: rt_sigaction rt_sigreturn */
static void
actions(void)
{
	struct action a = {.handler = SIG_IGN}, old;

	EXPECT_ERR(SYS(rt_sigaction, 0, NULL, &old, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigaction, 65, NULL, &old, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigaction, -1, NULL, &old, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigaction, SIGUSR1, NULL, &old, 4), EINVAL);
	EXPECT_ERR(SYS(rt_sigaction, SIGKILL, &a, NULL, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigaction, SIGSTOP, &a, NULL, 8), EINVAL);
	EXPECT_EQ(SYS(rt_sigaction, SIGKILL, NULL, &old, 8), 0);
	EXPECT_ERR(SYS(rt_sigaction, SIGUSR1, BAD_ADDR, NULL, 8), EFAULT);
	EXPECT_ERR(SYS(rt_sigaction, SIGUSR1, NULL, BAD_ADDR, 8), EFAULT);
	a.mask = ~0ULL;
	a.flags = SA_RESTART | 0x100; /* a bit nobody knows */
	EXPECT_EQ(SYS(rt_sigaction, 64, &a, NULL, 8), 0);
	EXPECT_EQ(SYS(rt_sigaction, 64, NULL, &old, 8), 0);
	EXPECT_EQ(old.handler == SIG_IGN, 1);
	EXPECT_EQ(old.mask, ~(bit(SIGKILL) | bit(SIGSTOP)));
	EXPECT_EQ(old.flags & (0x100 | SA_RESTART), SA_RESTART);
	/* Setting a signal to be ignored drops those that wait. */
	CHECK_EQ(SYS(rt_sigprocmask, BLOCK, &(uint64_t){bit(SIGUSR1)}, NULL, 8), 0);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	EXPECT_EQ(SYS(rt_sigpending, &old.mask, 8), 0);
	EXPECT_EQ(old.mask, 0);
	catch (SIGUSR2, SA_RESETHAND);
	raise(SIGUSR2);
	EXPECT_EQ(num_seen, 1);
	EXPECT_EQ(SYS(rt_sigaction, SIGUSR2, NULL, &old, 8), 0);
	EXPECT_EQ(old.handler == SIG_DFL, 1);
}

/* proves: rt_sigprocmask rt_sigpending */
static void
masks(void)
{
	uint64_t set = bit(SIGUSR1) | bit(SIGKILL) | bit(SIGSTOP), old = 1;

	EXPECT_ERR(SYS(rt_sigprocmask, 3, &set, NULL, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigprocmask, BLOCK, &set, NULL, 4), EINVAL);
	EXPECT_ERR(SYS(rt_sigprocmask, BLOCK, BAD_ADDR, NULL, 8), EFAULT);
	EXPECT_ERR(SYS(rt_sigprocmask, BLOCK, NULL, BAD_ADDR, 8), EFAULT);
	EXPECT_EQ(SYS(rt_sigprocmask, 99, NULL, &old, 8), 0); /* nothing to set */
	EXPECT_EQ(old, 0);
	EXPECT_EQ(SYS(rt_sigprocmask, BLOCK, &set, NULL, 8), 0);
	EXPECT_EQ(SYS(rt_sigprocmask, BLOCK, &(uint64_t){bit(SIGUSR2)}, &old, 8), 0);
	EXPECT_EQ(old, bit(SIGUSR1)); /* SIGKILL and SIGSTOP are never blocked */
	raise(SIGUSR1);
	raise(SIGUSR1);
	EXPECT_EQ(SYS(rt_sigpending, &set, 8), 0);
	EXPECT_EQ(set, bit(SIGUSR1));
	EXPECT_EQ(SYS(rt_sigpending, &set, 4), 0);
	EXPECT_ERR(SYS(rt_sigpending, &set, 9), EINVAL);
	EXPECT_ERR(SYS(rt_sigpending, BAD_ADDR, 8), EFAULT);
	catch (SIGUSR1, 0);
	EXPECT_EQ(SYS(rt_sigprocmask, UNBLOCK, &(uint64_t){bit(SIGUSR1)}, NULL, 8), 0);
	EXPECT_EQ(num_seen, 1);
	EXPECT_EQ(SYS(rt_sigprocmask, SETMASK, &(uint64_t){0}, &old, 8), 0);
	EXPECT_EQ(old, bit(SIGUSR2));
}

/* proves: kill tkill tgkill */
static void
sending(void)
{
	pid_t pid, self = getpid();

	catch (SIGUSR1, 0);
	EXPECT_ERR(SYS(kill, self, 65), EINVAL);
	EXPECT_ERR(SYS(kill, self, -1), EINVAL);
	EXPECT_ERR(SYS(kill, NOBODY, 0), ESRCH);
	EXPECT_ERR(SYS(kill, -NOBODY, SIGTERM), ESRCH);
	EXPECT_ERR(SYS(kill, 0x80000000, SIGTERM), ESRCH);
	EXPECT_EQ(SYS(kill, self, 0), 0);
	EXPECT_EQ(SYS(kill, self, SIGUSR1), 0);
	EXPECT_EQ(seen.si_code, SI_USER);
	EXPECT_EQ(seen.si_pid, self);
	EXPECT_EQ(seen.si_uid, 0);
	EXPECT_ERR(SYS(tkill, 0, SIGUSR1), EINVAL);
	EXPECT_ERR(SYS(tkill, -1, SIGUSR1), EINVAL);
	EXPECT_ERR(SYS(tkill, NOBODY, SIGUSR1), ESRCH);
	EXPECT_ERR(SYS(tkill, self, 65), EINVAL);
	EXPECT_EQ(SYS(tkill, self, SIGUSR1), 0);
	EXPECT_EQ(seen.si_code, SI_TKILL);
	EXPECT_ERR(SYS(tgkill, 0, self, SIGUSR1), EINVAL);
	EXPECT_ERR(SYS(tgkill, self, 0, SIGUSR1), EINVAL);
	EXPECT_ERR(SYS(tgkill, getppid(), self, SIGUSR1), ESRCH);
	EXPECT_ERR(SYS(tgkill, self, self, 65), EINVAL);
	EXPECT_EQ(SYS(tgkill, self, self, 0), 0);
	EXPECT_EQ(SYS(tgkill, self, self, SIGUSR1), 0);
	EXPECT_EQ(num_seen, 3);
	pid = fork();
	if (pid == 0) {
		alarm(20); /* when nobody else ends it */
		for (;;)
			pause();
	}
	CHECK_EQ(SYS(setresuid, 1000, 1000, 1000), 0);
	EXPECT_ERR(SYS(kill, pid, SIGUSR1), EPERM);
	EXPECT_ERR(SYS(kill, pid, 0), EPERM);
	EXPECT_ERR(SYS(kill, pid, 65), EINVAL);
	EXPECT_ERR(SYS(tkill, pid, SIGUSR1), EPERM);
	/* A session may continue its own. */
	EXPECT_EQ(SYS(kill, pid, SIGCONT), 0);
}

static void *
queue_to_others(void *unused)
{
	pid_t self = getpid(), me = (pid_t)SYS(gettid);
	siginfo_t i = {.si_signo = SIGRTMIN, .si_code = SI_USER};

	EXPECT_ERR(SYS(rt_tgsigqueueinfo, self, self, SIGRTMIN, &i), EPERM);
	EXPECT_ERR(SYS(rt_sigqueueinfo, self, SIGRTMIN, &i), EPERM);
	EXPECT_EQ(SYS(rt_tgsigqueueinfo, self, me, SIGRTMIN, &i), 0);
	i.si_code = SI_QUEUE;
	EXPECT_EQ(SYS(rt_tgsigqueueinfo, self, self, SIGRTMIN, &i), 0);
	return NULL;
}

/* A thread may say of itself what kill would, not to the other threads of its process. */
static void
queueing_between_threads(void)
{
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, queue_to_others, NULL), 0);
	pthread_join(thread, NULL);
}

/* proves: rt_sigqueueinfo rt_tgsigqueueinfo */
static void
queueing(void)
{
	siginfo_t i = {.si_signo = 1, .si_code = SI_QUEUE};
	pid_t self = getpid();

	catch (SIGRTMIN, 0);
	i.si_pid = 77;
	i.si_value.sival_int = 1234;
	EXPECT_EQ(SYS(rt_sigqueueinfo, self, SIGRTMIN, &i), 0);
	EXPECT_EQ(seen.si_signo, SIGRTMIN);
	EXPECT_EQ(seen.si_code, SI_QUEUE);
	EXPECT_EQ(seen.si_pid, 77);
	EXPECT_EQ(seen.si_value.sival_int, 1234);
	EXPECT_ERR(SYS(rt_sigqueueinfo, self, 65, &i), EINVAL);
	EXPECT_ERR(SYS(rt_sigqueueinfo, self, SIGRTMIN, BAD_ADDR), EFAULT);
	EXPECT_ERR(SYS(rt_sigqueueinfo, NOBODY, SIGRTMIN, &i), ESRCH);
	/* What the kernel or kill would say is nobody else's to say to others. */
	i.si_code = SI_USER;
	EXPECT_ERR(SYS(rt_sigqueueinfo, getppid(), SIGRTMIN, &i), EPERM);
	i.si_code = SI_TKILL;
	EXPECT_ERR(SYS(rt_sigqueueinfo, getppid(), SIGRTMIN, &i), EPERM);
	i.si_code = 5;
	EXPECT_ERR(SYS(rt_sigqueueinfo, getppid(), SIGRTMIN, &i), EPERM);
	EXPECT_EQ(SYS(rt_sigqueueinfo, self, SIGRTMIN, &i), 0); /* to oneself all goes */
	EXPECT_EQ(seen.si_code, 5);
	i.si_code = SI_QUEUE;
	EXPECT_EQ(SYS(rt_tgsigqueueinfo, self, self, SIGRTMIN, &i), 0);
	EXPECT_EQ(num_seen, 3);
	EXPECT_ERR(SYS(rt_tgsigqueueinfo, 0, self, SIGRTMIN, &i), EINVAL);
	EXPECT_ERR(SYS(rt_tgsigqueueinfo, self, -1, SIGRTMIN, &i), EINVAL);
	EXPECT_ERR(SYS(rt_tgsigqueueinfo, getppid(), self, SIGRTMIN, &i), ESRCH);
	EXPECT_ERR(SYS(rt_tgsigqueueinfo, self, self, 65, &i), EINVAL);
	EXPECT_ERR(SYS(rt_tgsigqueueinfo, self, self, SIGRTMIN, BAD_ADDR), EFAULT);
}

/* proves: rt_sigtimedwait */
static void
waiting_with_a_limit(void)
{
	struct timespec none = {0, 0}, soon = {0, 20000000}, bad = {0, 1000000000};
	uint64_t set = bit(SIGUSR1) | bit(SIGRTMIN);
	siginfo_t i;

	CHECK_EQ(SYS(rt_sigprocmask, BLOCK, &set, NULL, 8), 0);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, &none, 8), EAGAIN);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, &soon, 8), EAGAIN);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, &bad, 8), EINVAL);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, &none, 4), EINVAL);
	EXPECT_ERR(SYS(rt_sigtimedwait, BAD_ADDR, &i, &none, 8), EFAULT);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, BAD_ADDR, 8), EFAULT);
	CHECK_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}), 0);
	CHECK_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2}), 0);
	raise(SIGUSR1);
	EXPECT_EQ(SYS(rt_sigtimedwait, &set, &i, &none, 8), SIGUSR1); /* lowest first */
	EXPECT_EQ(SYS(rt_sigtimedwait, &set, &i, &none, 8), SIGRTMIN);
	EXPECT_EQ(i.si_value.sival_int, 1);
	EXPECT_EQ(SYS(rt_sigtimedwait, &set, NULL, NULL, 8), SIGRTMIN);
	raise(SIGUSR1);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, BAD_ADDR, &none, 8), EFAULT);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, &none, 8), EAGAIN); /* it is taken */
	catch (SIGALRM, SA_RESTART);
	alarm(1);
	EXPECT_ERR(SYS(rt_sigtimedwait, &set, &i, NULL, 8), EINTR);
}

/* proves: rt_sigsuspend */
static void
suspending(void)
{
	uint64_t set = bit(SIGUSR1), none = 0, now;

	catch (SIGUSR1, SA_RESTART);
	CHECK_EQ(SYS(rt_sigprocmask, BLOCK, &set, NULL, 8), 0);
	raise(SIGUSR1);
	EXPECT_EQ(num_seen, 0);
	EXPECT_ERR(SYS(rt_sigsuspend, &none, 8), EINTR);
	EXPECT_EQ(num_seen, 1);
	EXPECT_EQ(SYS(rt_sigprocmask, BLOCK, NULL, &now, 8), 0);
	EXPECT_EQ(now, set);
	EXPECT_ERR(SYS(rt_sigsuspend, &none, 4), EINVAL);
	EXPECT_ERR(SYS(rt_sigsuspend, BAD_ADDR, 8), EFAULT);
}

static sigjmp_buf jump;
static char other_stack[65536];
static volatile int was_on_other;
static volatile long change_error;

static void
on_other_stack(int sig, siginfo_t *info, void *context)
{
	char here;
	stack_t ss = {.ss_flags = SS_DISABLE}, now;

	was_on_other = &here > other_stack && &here < other_stack + sizeof(other_stack);
	change_error = SYS(sigaltstack, &ss, NULL) ? errno : 0;
	SYS(sigaltstack, NULL, &now);
	was_on_other += now.ss_flags == SS_ONSTACK ? 2 : 0;
}

/* proves: sigaltstack */
static void
another_stack(void)
{
	stack_t ss = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)}, old;
	struct sigaction sa = {
	    .sa_sigaction = on_other_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	EXPECT_EQ(SYS(sigaltstack, NULL, &old), 0);
	EXPECT_EQ(old.ss_flags, SS_DISABLE);
	ss.ss_flags = 4;
	EXPECT_ERR(SYS(sigaltstack, &ss, NULL), EINVAL);
	ss.ss_flags = 0;
	ss.ss_size = 2047;
	EXPECT_ERR(SYS(sigaltstack, &ss, NULL), ENOMEM);
	EXPECT_ERR(SYS(sigaltstack, BAD_ADDR, NULL), EFAULT);
	EXPECT_ERR(SYS(sigaltstack, NULL, BAD_ADDR), EFAULT);
	ss.ss_size = sizeof(other_stack);
	EXPECT_EQ(SYS(sigaltstack, &ss, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	raise(SIGUSR1);
	EXPECT_EQ(was_on_other, 3);
	EXPECT_EQ(change_error, EPERM);
	EXPECT_EQ(SYS(sigaltstack, NULL, &old), 0);
	EXPECT_EQ(old.ss_sp == other_stack, 1);
	EXPECT_EQ(old.ss_flags, 0);
	/* SS_AUTODISARM: off while the handler runs, so it may be changed there. */
	ss.ss_flags = (int)(1U << 31);
	EXPECT_EQ(SYS(sigaltstack, &ss, NULL), 0);
	raise(SIGUSR1);
	EXPECT_EQ(was_on_other, 1);
	EXPECT_EQ(change_error, 0);
	EXPECT_EQ(SYS(sigaltstack, NULL, &old), 0);
	EXPECT_EQ(old.ss_flags, (int)(1U << 31));
	ss.ss_flags = SS_DISABLE;
	EXPECT_EQ(SYS(sigaltstack, &ss, NULL), 0);
	EXPECT_EQ(SYS(sigaltstack, NULL, &old), 0);
	EXPECT_EQ(old.ss_flags, SS_DISABLE);
}

static void
leave(int sig, siginfo_t *info, void *context)
{
	seen = *info;
	siglongjmp(jump, sig);
}

/* What `code` gives: the signal, and `seen`. */
#define FAULT_OF(code) \
	({ \
		int sig_ = sigsetjmp(jump, 1); \
		if (!sig_) { \
			code; \
		} \
		sig_; \
	})

static void
divide_by_zero(void)
{
	__asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx" ::
	                     : "eax", "ecx", "edx");
}

/* proves: rt_sigaction */
static void
faults_tell_where_and_why(void)
{
	struct sigaction sa = {
	    .sa_sigaction = leave, .sa_flags = SA_SIGINFO | SA_NODEFER};
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	volatile char *p =
	    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *f;
	int fd = open("/tmp/fault", O_CREAT | O_RDWR, 0600);

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		CHECK_EQ(sigaction(signals[i], &sa, NULL), 0);
	f = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_EQ(FAULT_OF(*(volatile char *)BAD_ADDR = 1), SIGSEGV);
	EXPECT_EQ(seen.si_code, SEGV_MAPERR);
	EXPECT_EQ(seen.si_addr == BAD_ADDR, 1);
	EXPECT_EQ(FAULT_OF(*p = 1), SIGSEGV);
	EXPECT_EQ(seen.si_code, SEGV_ACCERR);
	EXPECT_EQ(seen.si_addr == p, 1);
	EXPECT_EQ(FAULT_OF(*(volatile char *)KERNEL_ADDR), SIGSEGV);
	EXPECT_EQ(seen.si_code, SEGV_MAPERR);
	EXPECT_EQ(FAULT_OF(*(volatile char *)0x8000000000000000UL), SIGSEGV);
	EXPECT_EQ(seen.si_code, SI_KERNEL); /* not canonical: no address */
	EXPECT_EQ(seen.si_addr == NULL, 1);
	EXPECT_EQ(FAULT_OF(f[5000]), SIGBUS);
	EXPECT_EQ(seen.si_code, BUS_ADRERR);
	EXPECT_EQ(seen.si_addr == f + 5000, 1);
	EXPECT_EQ(FAULT_OF(divide_by_zero()), SIGFPE);
	EXPECT_EQ(seen.si_code, FPE_INTDIV);
	EXPECT_EQ(FAULT_OF(__asm__ volatile("ud2")), SIGILL);
	EXPECT_EQ(seen.si_code, ILL_ILLOPN);
	EXPECT_EQ(FAULT_OF(__asm__ volatile("int3")), SIGTRAP);
	EXPECT_EQ(seen.si_code, SI_KERNEL);
	EXPECT_EQ(FAULT_OF(__asm__ volatile("hlt")), SIGSEGV);
	EXPECT_EQ(seen.si_code, SI_KERNEL);
	EXPECT_EQ(FAULT_OF(__asm__ volatile("int $0x42")), SIGSEGV);
}

/* proves: signalfd signalfd4 */
static void
descriptors_of_signals(void)
{
	uint64_t set = bit(SIGUSR1) | bit(SIGKILL), other = bit(SIGUSR2);
	struct signalfd_siginfo i[2];
	int fd, plain = open("/dev/null", O_RDWR);

	EXPECT_ERR(SYS(signalfd4, -1, &set, 4, 0), EINVAL);
	EXPECT_ERR(SYS(signalfd4, -1, &set, 8, 1), EINVAL);
	EXPECT_ERR(SYS(signalfd4, -1, BAD_ADDR, 8, 0), EFAULT);
	EXPECT_ERR(SYS(signalfd4, 99, &set, 8, 0), EBADF);
	EXPECT_ERR(SYS(signalfd4, plain, &set, 8, 0), EINVAL);
	fd = (int)SYS(signalfd4, -1, &set, 8, SFD_NONBLOCK | SFD_CLOEXEC);
	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(SYS(rt_sigprocmask, BLOCK, &(uint64_t){set | other}, NULL, 8), 0);
	EXPECT_ERR(read(fd, i, sizeof(i)), EAGAIN);
	raise(SIGUSR1);
	EXPECT_ERR(read(fd, i, sizeof(i[0]) - 1), EINVAL);
	EXPECT_EQ(read(fd, i, sizeof(i)), sizeof(i[0]));
	EXPECT_EQ(i[0].ssi_signo, SIGUSR1);
	EXPECT_EQ(i[0].ssi_code, SI_TKILL);
	EXPECT_EQ(i[0].ssi_pid, getpid());
	EXPECT_ERR(write(fd, i, sizeof(i)), EINVAL);
	EXPECT_EQ(SYS(signalfd4, fd, &other, 8, 0), fd); /* another set */
	raise(SIGUSR2);
	raise(SIGUSR1);
	EXPECT_EQ(read(fd, i, sizeof(i)), sizeof(i[0]));
	EXPECT_EQ(i[0].ssi_signo, SIGUSR2);
	EXPECT_ERR(read(fd, i, sizeof(i)), EAGAIN);
	fd = (int)SYS(signalfd, -1, &set, 8);
	CHECK(fd >= 0);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	EXPECT_EQ(read(fd, i, sizeof(i)), sizeof(i[0]));
	EXPECT_EQ(i[0].ssi_signo, SIGUSR1);
}

static const struct test tests[] = {
    TEST(actions),
    TEST(masks),
    TEST(sending),
    TEST(queueing),
    TEST(queueing_between_threads),
    TEST(waiting_with_a_limit),
    TEST(suspending),
    TEST(another_stack),
    TEST(faults_tell_where_and_why),
    TEST(descriptors_of_signals),
};

RUN_TESTS(tests)
