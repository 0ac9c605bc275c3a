/* System V shared memory, semaphores and message queues. */
#define _GNU_SOURCE
#include "tests/guest/check.h"

#include <limits.h>
#include <stdbool.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>

enum { PAGE = 4096, MSG_COPY = 040000 };

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *info;
};

struct message {
	long type;
	char text[64];
};

static void
drop_root(void)
{
	CHECK_EQ(setgid(1234), 0);
	CHECK_EQ(setuid(1234), 0);
}

static int
wait_for(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- Shared memory ---- */

static struct shmid_ds
shm_stat(int id)
{
	struct shmid_ds ds;

	CHECK_EQ(shmctl(id, IPC_STAT, &ds), 0);
	return ds;
}

/* proves: shmget shmat shmdt */
static void
shm_is_shared_and_counted(void)
{
	int id = shmget(IPC_PRIVATE, 3 * PAGE - 100, 0600);
	struct shmid_ds ds;
	char *a, *b;
	pid_t pid;

	CHECK(id >= 0);
	a = shmat(id, NULL, 0);
	b = shmat(id, NULL, SHM_RDONLY);
	CHECK(a != (void *)-1 && b != (void *)-1 && a != b);
	CHECK_EQ(a[2 * PAGE], 0);
	strcpy(a + PAGE, "hello");
	CHECK(!strcmp(b + PAGE, "hello"));
	ds = shm_stat(id);
	CHECK_EQ(ds.shm_segsz, 3 * PAGE - 100);
	CHECK_EQ(ds.shm_nattch, 2);
	CHECK_EQ(ds.shm_cpid, getpid());
	CHECK_EQ(ds.shm_lpid, getpid());
	CHECK_EQ(ds.shm_perm.mode, 0600);
	CHECK_EQ(ds.shm_perm.__key, IPC_PRIVATE);
	CHECK(ds.shm_atime && !ds.shm_dtime && ds.shm_ctime);
	pid = fork();
	if (!pid) {
		CHECK_EQ(shm_stat(id).shm_nattch, 4);
		strcpy(a, "child");
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK(!strcmp(b, "child"));
	CHECK_EQ(shm_stat(id).shm_nattch, 2);
	CHECK_EQ(shm_stat(id).shm_lpid, pid);
	CHECK_ERR(mprotect(b, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_EQ(shmdt(b), 0);
	CHECK_ERR(shmdt(b), EINVAL);
	CHECK_ERR(shmdt(a + PAGE), EINVAL);
	CHECK_ERR(shmdt(a + 1), EINVAL);
	CHECK_EQ(shm_stat(id).shm_nattch, 1);
	CHECK(shm_stat(id).shm_dtime);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shm_stat(id).shm_perm.mode, 01600);
	strcpy(a, "still here");
	CHECK_EQ(shmdt(a), 0);
	CHECK_ERR(shmctl(id, IPC_STAT, &ds), EINVAL);
	CHECK_ERR(shmat(id, NULL, 0), EINVAL);
}

/* proves: shmget shmat shmdt shmctl */
static void
shm_keys_and_errors(void)
{
	key_t key = 0x4b65656c;
	int id = shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0640);

	CHECK(id >= 0);
	CHECK_EQ(shmget(key, 0, 0), id);
	CHECK_EQ(shmget(key, 100, IPC_CREAT | 0600), id);
	CHECK_ERR(shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_ERR(shmget(key, 2 * PAGE, 0), EINVAL);
	CHECK_ERR(shmget(key + 1, PAGE, 0600), ENOENT);
	CHECK_ERR(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, ~0ul, 0600), EINVAL);
	CHECK_ERR(shmctl(id, 99, NULL), EINVAL);
	CHECK_ERR(shmctl(-1, IPC_STAT, NULL), EINVAL);
	CHECK_ERR(shmctl(id, IPC_STAT, (void *)8), EFAULT);
	CHECK_EQ((long)shmat(id, (void *)0x10001, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ((long)shmat(id, NULL, SHM_REMAP), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_ERR(shmctl(id, IPC_RMID, NULL), EINVAL);
	CHECK_ERR(shmget(key, 0, 0), ENOENT);
}

static void
shm_goes_where_it_is_told(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
	char *at = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	CHECK_EQ((long)shmat(id, at, 0), -1);
	CHECK_EQ(errno, EINVAL); /* something is there */
	CHECK(shmat(id, at + 2 * PAGE, SHM_REMAP) == at + 2 * PAGE);
	at[2 * PAGE] = 'x';
	CHECK_EQ(munmap(at, 2 * PAGE), 0);
	CHECK(shmat(id, at + 100, SHM_RND) == at);
	CHECK_EQ(at[0], 'x');
	/* Parts count, and detaching takes all of them. */
	CHECK_EQ(shm_stat(id).shm_nattch, 2);
	CHECK_EQ(mprotect(at, PAGE, PROT_READ), 0);
	CHECK_EQ(shm_stat(id).shm_nattch, 3);
	CHECK_EQ(shmdt(at), 0);
	CHECK_EQ(shm_stat(id).shm_nattch, 1);
	CHECK_ERR(madvise(at, PAGE, MADV_NORMAL), ENOMEM);
	CHECK_EQ(munmap(at + 2 * PAGE, PAGE), 0);
	CHECK_EQ(shm_stat(id).shm_nattch, 1);
	CHECK_EQ(shmdt(at + 2 * PAGE), 0);
	CHECK_EQ(shm_stat(id).shm_nattch, 0);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

/* proves: shmctl */
static void
shm_rights(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0640),
	    open_id = shmget(IPC_PRIVATE, PAGE, 0604);
	struct shmid_ds ds = shm_stat(id);
	pid_t pid;

	CHECK(id >= 0 && open_id >= 0 && id != open_id);
	ds.shm_perm.gid = 77;
	ds.shm_perm.mode = 0642;
	CHECK_EQ(shmctl(id, IPC_SET, &ds), 0);
	CHECK_EQ(shm_stat(id).shm_perm.gid, 77);
	CHECK_EQ(shm_stat(id).shm_perm.mode, 0642);
	CHECK_EQ(shm_stat(id).shm_perm.cgid, getegid());
	pid = fork();
	if (!pid) {
		drop_root();
		CHECK_EQ((long)shmat(id, NULL, 0), -1);
		CHECK_EQ(errno, EACCES);
		CHECK_ERR(shmctl(id, IPC_STAT, &ds), EACCES);
		CHECK_ERR(shmctl(id, IPC_RMID, NULL), EPERM);
		CHECK_ERR(shmctl(id, IPC_SET, &ds), EPERM);
		CHECK_ERR(shmctl(id, SHM_LOCK, NULL), EPERM);
		CHECK_EQ((long)shmat(open_id, NULL, 0), -1);
		CHECK_EQ(errno, EACCES);
		CHECK(shmat(open_id, NULL, SHM_RDONLY) != (void *)-1);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(shmctl(id, SHM_LOCK, NULL), 0);
	CHECK_EQ(shm_stat(id).shm_perm.mode, 02642);
	CHECK_EQ(shmctl(id, SHM_UNLOCK, NULL), 0);
	CHECK_EQ(shm_stat(id).shm_perm.mode, 0642);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(shmctl(open_id, IPC_RMID, NULL), 0);
}

static void
shm_infos(void)
{
	int id = shmget(IPC_PRIVATE, 5 * PAGE, 0600), highest;
	struct shminfo limits;
	struct shm_info used;
	struct shmid_ds ds;
	bool found = false;

	CHECK(shmctl(0, IPC_INFO, (void *)&limits) >= 0);
	CHECK_EQ(limits.shmmin, 1);
	CHECK_EQ(limits.shmmni, 4096);
	CHECK_EQ(limits.shmmax, ULONG_MAX - (1 << 24));
	highest = shmctl(0, SHM_INFO, (void *)&used);
	CHECK(highest >= 0);
	CHECK(used.used_ids >= 1 && used.shm_tot >= 5);
	for (int i = 0; i <= highest; i++)
		found |= shmctl(i, SHM_STAT, &ds) == id;
	CHECK(found);
	CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
}

/* ---- Semaphores ---- */

static int
sem_op(int id, int num, int op, int flags)
{
	struct sembuf b = {
	    .sem_num = (unsigned short)num, .sem_op = (short)op, .sem_flg = (short)flags};

	return semop(id, &b, 1);
}

/* proves: semget semctl */
static void
sem_values(void)
{
	unsigned short values[3] = {1, 2, 3}, got[3];
	int id = semget(IPC_PRIVATE, 3, 0600);
	struct semid_ds ds;

	CHECK(id >= 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 1, SETVAL, 7), 0);
	CHECK_EQ(semctl(id, 1, GETVAL), 7);
	CHECK_EQ(semctl(id, 1, GETPID), getpid());
	CHECK_EQ(semctl(id, 0, SETALL, values), 0);
	CHECK_EQ(semctl(id, 0, GETALL, got), 0);
	CHECK(!memcmp(values, got, sizeof(got)));
	CHECK_EQ(semctl(id, 0, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.sem_nsems, 3);
	CHECK_EQ(ds.sem_otime, 0);
	CHECK(ds.sem_ctime != 0);
	CHECK_EQ(sem_op(id, 2, -3, 0), 0);
	CHECK_EQ(semctl(id, 2, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, IPC_STAT, &ds), 0);
	CHECK(ds.sem_otime != 0);
	CHECK_EQ(sem_op(id, 2, 0, 0), 0);
	CHECK_ERR(sem_op(id, 2, -1, IPC_NOWAIT), EAGAIN);
	CHECK_ERR(sem_op(id, 0, 0, IPC_NOWAIT), EAGAIN);
	CHECK_ERR(sem_op(id, 3, 1, 0), EFBIG);
	CHECK_ERR(sem_op(id, 0, 32767, 0), ERANGE);
	CHECK_ERR(semctl(id, 0, SETVAL, 32768), ERANGE);
	CHECK_ERR(semctl(id, 0, SETVAL, -1), ERANGE);
	CHECK_ERR(semctl(id, 3, GETVAL), EINVAL);
	CHECK_ERR(semctl(id, -1, SETVAL, 0), EINVAL);
	CHECK_ERR(semctl(id, 0, 99), EINVAL);
	CHECK_ERR(semop(id, NULL, 0), EINVAL);
	CHECK_ERR(semop(id, NULL, 1), EFAULT);
	CHECK_ERR(semop(id, NULL, 501), E2BIG);
	CHECK_ERR(sem_op(-1, 0, 1, 0), EINVAL);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
	CHECK_ERR(semctl(id, 0, IPC_RMID), EINVAL);
	CHECK_ERR(sem_op(id, 0, 1, 0), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, -1, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 32001, 0600), EINVAL);
	CHECK_ERR(semget(0x6b656c31, 1, 0600), ENOENT);
}

/* proves: semop */
static void
sem_operations_are_all_or_nothing(void)
{
	struct sembuf ops[3] = {
	    {0, -1, 0}, {1, 1, 0}, {2, -1, IPC_NOWAIT}}; /* the last cannot be done */
	int id = semget(IPC_PRIVATE, 3, 0600);

	CHECK_EQ(semctl(id, 0, SETVAL, 1), 0);
	CHECK_ERR(semop(id, ops, 3), EAGAIN);
	CHECK_EQ(semctl(id, 0, GETVAL), 1);
	CHECK_EQ(semctl(id, 1, GETVAL), 0);
	CHECK_EQ(sem_op(id, 2, 1, 0), 0);
	CHECK_EQ(semop(id, ops, 3), 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 1, GETVAL), 1);
	CHECK_EQ(semctl(id, 2, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

static void
sem_waiters_are_counted_and_woken(void)
{
	int id = semget(IPC_PRIVATE, 2, 0600);
	pid_t down, zero;

	CHECK_EQ(semctl(id, 1, SETVAL, 1), 0);
	down = fork();
	if (!down) {
		CHECK_EQ(sem_op(id, 0, -2, 0), 0);
		_exit(3);
	}
	zero = fork();
	if (!zero) {
		CHECK_EQ(sem_op(id, 1, 0, 0), 0);
		_exit(4);
	}
	while (semctl(id, 0, GETNCNT) != 1 || semctl(id, 1, GETZCNT) != 1)
		sleep_ms(1);
	CHECK_EQ(semctl(id, 0, GETZCNT), 0);
	CHECK_EQ(sem_op(id, 0, 1, 0), 0);
	CHECK_EQ(semctl(id, 0, GETNCNT), 1);
	CHECK_EQ(sem_op(id, 0, 1, 0), 0);
	CHECK_EQ(WEXITSTATUS(wait_for(down)), 3);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, GETPID), down);
	CHECK_EQ(semctl(id, 1, SETVAL, 0), 0);
	CHECK_EQ(WEXITSTATUS(wait_for(zero)), 4);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

static void
nothing(int sig)
{
}

/* proves: semtimedop semop */
static void
sem_waits_end(void)
{
	struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	struct sembuf down = {0, -1, 0};
	struct timespec ts = {0, 20000000}, bad = {0, 1000000000};
	int id = semget(IPC_PRIVATE, 1, 0600);
	pid_t pid;

	CHECK_ERR(semtimedop(id, &down, 1, &ts), EAGAIN);
	CHECK_ERR(semtimedop(id, &down, 1, &bad), EINVAL);
	CHECK_EQ(semctl(id, 0, GETNCNT), 0);
	sigaction(SIGUSR1, &act, NULL);
	pid = fork();
	if (!pid) {
		CHECK_ERR(semop(id, &down, 1), EINTR);
		CHECK_ERR(semop(id, &down, 1), EIDRM);
		_exit(0);
	}
	while (semctl(id, 0, GETNCNT) != 1)
		sleep_ms(1);
	kill(pid, SIGUSR1);
	sleep_ms(30);
	while (semctl(id, 0, GETNCNT) != 1)
		sleep_ms(1);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
	CHECK_EQ(wait_for(pid), 0);
}

static void
sem_undo(void)
{
	int id = semget(IPC_PRIVATE, 2, 0600), other;
	pid_t pid;

	CHECK_EQ(semctl(id, 0, SETVAL, 5), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(sem_op(id, 0, -3, SEM_UNDO), 0);
		CHECK_EQ(sem_op(id, 1, 2, SEM_UNDO), 0);
		CHECK_EQ(semctl(id, 0, GETVAL), 2);
		/* A child has none of this. */
		if (!fork())
			_exit(0);
		CHECK_EQ(wait(NULL) > 0, 1);
		CHECK_EQ(semctl(id, 0, GETVAL), 2);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 5);
	CHECK_EQ(semctl(id, 1, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, GETPID), pid);

	/* SETVAL forgets; the end of who holds it lets the other go on. */
	pid = fork();
	if (!pid) {
		CHECK_EQ(sem_op(id, 0, -1, SEM_UNDO), 0);
		CHECK_EQ(semctl(id, 0, SETVAL, 0), 0);
		CHECK_EQ(sem_op(id, 1, 1, SEM_UNDO), 0);
		CHECK_EQ(sem_op(id, 1, -1, SEM_UNDO | IPC_NOWAIT), 0);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_EQ(semctl(id, 0, SETVAL, 1), 0);
	pid = fork();
	if (!pid) {
		CHECK_EQ(sem_op(id, 0, -1, SEM_UNDO), 0);
		pause();
	}
	while (semctl(id, 0, GETVAL))
		sleep_ms(1);
	other = fork();
	if (!other) {
		CHECK_EQ(sem_op(id, 0, -1, 0), 0);
		_exit(0);
	}
	while (semctl(id, 0, GETNCNT) != 1)
		sleep_ms(1);
	kill(pid, SIGKILL);
	CHECK_EQ(wait_for(other), 0);
	wait_for(pid);
	/* Removed while an undo of ours is there. */
	CHECK_EQ(sem_op(id, 0, 1, SEM_UNDO), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
	id = semget(IPC_PRIVATE, 1, 0600);
	CHECK_EQ(sem_op(id, 0, 1, SEM_UNDO), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

/* proves: semctl semget */
static void
sem_rights_and_infos(void)
{
	int id = semget(IPC_PRIVATE, 4, 0604), highest;
	struct seminfo info;
	struct semid_ds ds;
	bool found = false;
	pid_t pid = fork();

	if (!pid) {
		drop_root();
		CHECK_EQ(semctl(id, 0, GETVAL), 0);
		CHECK_EQ(sem_op(id, 0, 0, 0), 0);
		CHECK_ERR(sem_op(id, 0, 1, 0), EACCES);
		CHECK_ERR(semctl(id, 0, SETVAL, 1), EACCES);
		CHECK_ERR(semctl(id, 0, IPC_RMID), EPERM);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK(semctl(0, 0, IPC_INFO, &info) >= 0);
	CHECK_EQ(info.semmni, 32000);
	CHECK_EQ(info.semmsl, 32000);
	CHECK_EQ(info.semopm, 500);
	CHECK_EQ(info.semvmx, 32767);
	highest = semctl(0, 0, SEM_INFO, &info);
	CHECK(highest >= 0 && info.semusz >= 1 && info.semaem >= 4);
	for (int i = 0; i <= highest; i++)
		found |= semctl(i, 0, SEM_STAT, &ds) == id;
	CHECK(found);
	CHECK_EQ(semctl(id, 0, IPC_STAT, &ds), 0);
	ds.sem_perm.mode = 0666;
	ds.sem_perm.uid = 1234;
	CHECK_EQ(semctl(id, 0, IPC_SET, &ds), 0);
	pid = fork();
	if (!pid) {
		drop_root();
		CHECK_EQ(sem_op(id, 0, 1, 0), 0);
		CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
}

/* Two processes hand a turn to and fro: no wake-up may be lost. */
static void
sem_ping_pong(void)
{
	int id = semget(IPC_PRIVATE, 2, 0600);
	pid_t pid = fork();

	for (int i = 0; i < 500; i++) {
		CHECK_EQ(sem_op(id, !pid, 1, 0), 0);
		CHECK_EQ(sem_op(id, !!pid, -1, 0), 0);
	}
	if (!pid)
		_exit(0);
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
}

/* ---- Message queues ---- */

static void
msg_put(int id, long type, const char *text)
{
	struct message m = {.type = type};

	strcpy(m.text, text);
	CHECK_EQ(msgsnd(id, &m, strlen(text) + 1, 0), 0);
}

#define CHECK_GETS(id, want, flags, text_) \
	do { \
		struct message m_ = {0}; \
		CHECK_EQ( \
		    msgrcv(id, &m_, sizeof(m_.text), want, flags), strlen(text_) + 1); \
		CHECK(!strcmp(m_.text, text_)); \
	} while (0)

/* proves: msgget msgsnd msgrcv */
static void
msg_types(void)
{
	int id = msgget(IPC_PRIVATE, 0600);
	struct msqid_ds ds;
	struct message m;

	msg_put(id, 3, "three");
	msg_put(id, 1, "one");
	msg_put(id, 2, "two");
	msg_put(id, 1, "uno");
	CHECK_EQ(msgctl(id, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.msg_qnum, 4);
	CHECK_EQ(ds.__msg_cbytes, 18);
	CHECK_EQ(ds.msg_qbytes, 16384);
	CHECK_EQ(ds.msg_lspid, getpid());
	CHECK(ds.msg_stime && !ds.msg_rtime);
	CHECK_EQ(msgrcv(id, &m, sizeof(m.text), 1, MSG_COPY | IPC_NOWAIT), 4);
	CHECK(m.type == 1 && !strcmp(m.text, "one"));
	CHECK_ERR(msgrcv(id, &m, sizeof(m.text), 4, MSG_COPY | IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &m, sizeof(m.text), 0, MSG_COPY), EINVAL);
	CHECK_GETS(id, 2, 0, "two");
	CHECK_GETS(id, 1, MSG_EXCEPT, "three");
	CHECK_ERR(msgrcv(id, &m, sizeof(m.text), 2, IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &m, 2, 0, 0), E2BIG);
	CHECK_EQ(msgrcv(id, &m, 2, 0, MSG_NOERROR), 2);
	CHECK(m.type == 1 && !memcmp(m.text, "on", 2));
	msg_put(id, 9, "nine");
	msg_put(id, 5, "five");
	CHECK_GETS(id, -9, 0, "uno");
	CHECK_GETS(id, -9, 0, "five");
	CHECK_ERR(msgrcv(id, &m, sizeof(m.text), -8, IPC_NOWAIT), ENOMSG);
	CHECK_GETS(id, 0, 0, "nine");
	CHECK_EQ(msgctl(id, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.msg_qnum, 0);
	CHECK_EQ(ds.msg_lrpid, getpid());
	CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
}

/* proves: msgget msgsnd msgrcv msgctl */
static void
msg_errors(void)
{
	key_t key = 0x6d736731;
	int id = msgget(key, IPC_CREAT | IPC_EXCL | 0604);
	struct message m = {.type = 1};
	static char big[9000];
	struct msqid_ds ds;
	struct msginfo info;
	pid_t pid;

	CHECK(id >= 0);
	CHECK_EQ(msgget(key, 0), id);
	CHECK_ERR(msgget(key, IPC_CREAT | IPC_EXCL), EEXIST);
	CHECK_ERR(msgget(key + 1, 0), ENOENT);
	*(long *)big = 1;
	CHECK_ERR(msgsnd(id, big, 8193, 0), EINVAL);
	CHECK_EQ(msgsnd(id, big, 8192, 0), 0);
	CHECK_EQ(msgsnd(id, big, 8192, 0), 0);
	CHECK_ERR(msgsnd(id, &m, 1, IPC_NOWAIT), EAGAIN);
	CHECK_EQ(msgsnd(id, &m, 0, 0), 0); /* of no bytes: there is room */
	m.type = 0;
	CHECK_ERR(msgsnd(id, &m, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_msgsnd, id, NULL, 1, 0), EFAULT);
	CHECK_ERR(msgrcv(id, &m, (size_t)-1, 0, 0), EINVAL);
	CHECK_ERR(msgrcv(-1, &m, 1, 0, 0), EINVAL);
	CHECK_ERR(msgctl(id, 99, NULL), EINVAL);
	pid = fork();
	if (!pid) {
		drop_root();
		m.type = 1;
		CHECK_ERR(msgsnd(id, &m, 1, IPC_NOWAIT), EACCES);
		CHECK_ERR(msgctl(id, IPC_RMID, NULL), EPERM);
		CHECK_EQ(msgctl(id, IPC_STAT, &ds), 0);
		CHECK_EQ(msgrcv(id, &m, 1, 0, MSG_NOERROR), 1);
		_exit(0);
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(msgctl(id, IPC_STAT, &ds), 0);
	ds.msg_qbytes = 100;
	CHECK_EQ(msgctl(id, IPC_SET, &ds), 0);
	CHECK(msgctl(0, IPC_INFO, (void *)&info) >= 0);
	CHECK_EQ(info.msgmax, 8192);
	CHECK_EQ(info.msgmnb, 16384);
	CHECK_EQ(info.msgmni, 32000);
	CHECK_EQ(info.msgpool, 512000);
	CHECK_EQ(info.msgssz, 16);
	CHECK(msgctl(0, MSG_INFO, (void *)&info) >= 0);
	CHECK(info.msgpool >= 1 && info.msgmap >= 2 && info.msgtql >= 8192);
	CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
	CHECK_ERR(msgsnd(id, big, 1, 0), EINVAL);
}

static void
msg_waits(void)
{
	struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	int id = msgget(IPC_PRIVATE, 0600);
	static struct {
		long type;
		char text[8192];
	} big = {.type = 7};
	struct message m;
	pid_t pid;

	sigaction(SIGUSR1, &act, NULL);
	pid = fork();
	if (!pid) {
		CHECK_GETS(id, 5, 0, "for you");
		CHECK_ERR(msgrcv(id, &m, sizeof(m.text), 5, 0), EINTR);
		CHECK_ERR(msgrcv(id, &m, sizeof(m.text), 5, 0), EIDRM);
		_exit(0);
	}
	sleep_ms(20);
	msg_put(id, 4, "not for you");
	msg_put(id, 5, "for you");
	sleep_ms(50);
	kill(pid, SIGUSR1);
	sleep_ms(50);
	CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
	CHECK_EQ(wait_for(pid), 0);

	/* A sender waits for room. */
	id = msgget(IPC_PRIVATE, 0600);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 50; i++)
			CHECK_EQ(msgsnd(id, &big, sizeof(big.text), 0), 0);
		_exit(0);
	}
	for (int i = 0; i < 50; i++)
		CHECK_EQ(msgrcv(id, &big, sizeof(big.text), 0, 0), 8192);
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
}

/* ---- /proc, races ---- */

static bool
proc_has(const char *path, const char *start)
{
	FILE *f = fopen(path, "r");
	char line[300];
	bool found = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		found |= !strncmp(line, start, strlen(start));
	fclose(f);
	return found;
}

static void
proc_shows_all(void)
{
	int shm = shmget(0x1001, PAGE, IPC_CREAT | 0611),
	    sem = semget(0x1002, 2, IPC_CREAT | 0622),
	    msg = msgget(0x1003, IPC_CREAT | 0633);
	char line[100];

	msg_put(msg, 1, "12345678");
	sprintf(line, "%10d %10d  %4o %21d %5u %5u  %5u ", 0x1001, shm, 0611, PAGE,
	    getpid(), 0, 0);
	CHECK(proc_has("/proc/sysvipc/shm", line));
	sprintf(line, "%10d %10d  %4o %10u %5u %5u ", 0x1002, sem, 0622, 2, getuid(),
	    getgid());
	CHECK(proc_has("/proc/sysvipc/sem", line));
	sprintf(line, "%10d %10d  %4o  %10u %10u %5u %5u ", 0x1003, msg, 0633, 9, 1,
	    getpid(), 0);
	CHECK(proc_has("/proc/sysvipc/msg", line));
	CHECK(proc_has(
	    "/proc/sysvipc/shm", "       key      shmid perms                  size"));
	CHECK(proc_has("/proc/sys/kernel/sem", "32000\t1024000000\t500\t32000\n"));
	CHECK(proc_has("/proc/sys/kernel/msgmax", "8192\n"));
	CHECK(proc_has("/proc/sys/kernel/msgmnb", "16384\n"));
	CHECK(proc_has("/proc/sys/kernel/msgmni", "32000\n"));
	CHECK(proc_has("/proc/sys/kernel/shmmni", "4096\n"));
	CHECK(proc_has("/proc/sys/kernel/shmmax", "18446744073692774399\n"));
	CHECK_EQ(shmctl(shm, IPC_RMID, NULL), 0);
	CHECK_EQ(semctl(sem, 0, IPC_RMID), 0);
	CHECK_EQ(msgctl(msg, IPC_RMID, NULL), 0);
}

static void *
make_and_remove(void *arg)
{
	key_t key = 0x7001;

	for (int i = 0; i < 60; i++) {
		int shm = shmget(key, PAGE, IPC_CREAT | 0600);
		int sem = semget(key, 1, IPC_CREAT | 0600),
		    msg = msgget(key, IPC_CREAT | 0600);
		char *p = shm < 0 ? (void *)-1 : shmat(shm, NULL, 0);

		if (p != (void *)-1)
			p[0] = 1;
		sem_op(sem, 0, 1, SEM_UNDO);
		sem_op(sem, 0, -1, SEM_UNDO | IPC_NOWAIT);
		shmctl(shm, IPC_RMID, NULL);
		semctl(sem, 0, IPC_RMID);
		msgctl(msg, IPC_RMID, NULL);
		if (p != (void *)-1)
			shmdt(p);
	}
	return NULL;
}

static void
objects_may_go_while_used(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, make_and_remove, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_ERR(shmget(0x7001, 0, 0), ENOENT);
	CHECK_ERR(msgget(0x7001, 0), ENOENT);
}

static const struct test tests[] = {
    TEST(shm_is_shared_and_counted),
    TEST(shm_keys_and_errors),
    TEST(shm_goes_where_it_is_told),
    TEST(shm_rights),
    TEST(shm_infos),
    TEST(sem_values),
    TEST(sem_operations_are_all_or_nothing),
    TEST(sem_waiters_are_counted_and_woken),
    TEST(sem_waits_end),
    TEST(sem_undo),
    TEST(sem_rights_and_infos),
    TEST(sem_ping_pong),
    TEST(msg_types),
    TEST(msg_errors),
    TEST(msg_waits),
    TEST(proc_shows_all),
    TEST(objects_may_go_while_used),
};

RUN_TESTS(tests)
