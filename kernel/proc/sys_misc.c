/* System calls that fit nowhere else: prctl, arch_prctl, uname, sysinfo, reboot and their
 * like. */
#include "syscalls.h"

#include "kernel/log.h"
#include "kernel/power.h"
#include "kernel/proc/coredump.h"
#include "kernel/proc/proc_priv.h"
#include "kernel/proc/seccomp.h"
#include "kernel/proc/utsname.h"
#include "kernel/random.h"
#include "kernel/sched/sched.h"
#include "kernel/time/clock.h"
#include "kernel/x86/context.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "mm/usercopy.h"

/* ---- Names
 * ----------------------------------------------------------------------------- */

struct utsname kernel_utsname = {
    .sysname = "Linux", /* programs ask for the ABI */
    .nodename = "keel",
    .release = "6.1.0-keel",
    .version = "Keel " KEEL_VERSION,
    .machine = "x86_64",
    .domainname = "(none)",
};

static struct spinlock utsname_lock = SPINLOCK_INIT("utsname", RANK_OBJECT);

long
sys_uname(struct utsname USER *buf)
{
	struct utsname copy;

	spin_lock(&utsname_lock);
	copy = kernel_utsname;
	spin_unlock(&utsname_lock);
	return put_user(copy, buf);
}

static long
utsname_set(char *field, const char USER *name, int len)
{
	char text[UTSNAME_LEN] = "";

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PERM;
	if (len < 0 || len >= UTSNAME_LEN)
		return ERR_INVAL;
	if (copy_from_user(text, name, (size_t)len) != OK)
		return ERR_FAULT;
	spin_lock(&utsname_lock);
	memcpy(field, text, UTSNAME_LEN);
	spin_unlock(&utsname_lock);
	return 0;
}

long
sys_sethostname(const char USER *name, int len)
{
	return utsname_set(kernel_utsname.nodename, name, len);
}

long
sys_setdomainname(const char USER *name, int len)
{
	return utsname_set(kernel_utsname.domainname, name, len);
}

/* ---- prctl
 * ----------------------------------------------------------------------------- */

enum {
	PR_SET_PDEATHSIG = 1,
	PR_GET_PDEATHSIG = 2,
	PR_GET_DUMPABLE = 3,
	PR_SET_DUMPABLE = 4,
	PR_SET_NAME = 15,
	PR_GET_NAME = 16,
	PR_GET_SECCOMP = 21,
	PR_SET_SECCOMP = 22,
	PR_GET_TIMERSLACK = 30,
	PR_GET_TIMING = 13,
	PR_SET_TIMING = 14,
	PR_GET_TSC = 25,
	PR_SET_TSC = 26,
	PR_TIMING_STATISTICAL = 0,
	PR_TSC_ENABLE = 1,
	PR_SET_TIMERSLACK = 29,
	PR_SET_CHILD_SUBREAPER = 36,
	PR_GET_CHILD_SUBREAPER = 37,
	PR_SET_NO_NEW_PRIVS = 38,
	PR_GET_NO_NEW_PRIVS = 39,
	PR_SET_THP_DISABLE = 41,
	PR_GET_THP_DISABLE = 42,
};

static long
prctl_set_name(const char USER *uname)
{
	char name[THREAD_NAME_LEN] = "";
	long len = strncpy_from_user(name, uname, sizeof(name));

	if (len < 0 && len != ERR_NAMETOOLONG)
		return len;
	name[sizeof(name) - 1] = 0;
	memcpy(current_thread()->name, name, sizeof(name));
	return 0;
}

static long
prctl_flag(bool *flag, uint64_t value)
{
	*flag = value != 0;
	return 0;
}

static long
prctl_put_int(int value, uint64_t addr)
{
	return put_user(value, (int USER *)addr);
}

long
sys_prctl(int option, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
	struct thread *t = current_thread();
	struct process *p = t->process;

	switch (option) {
	case PR_SET_PDEATHSIG:
		if (arg2 > NSIG)
			return ERR_INVAL;
		t->pdeath_signal = (uint8_t)arg2;
		return 0;
	case PR_GET_PDEATHSIG: return prctl_put_int(t->pdeath_signal, arg2);
	case PR_SET_DUMPABLE:
		if (arg2 > DUMPABLE_USER)
			return ERR_INVAL;
		p->aspace->dumpable = (uint8_t)arg2;
		return 0;
	case PR_GET_DUMPABLE: return p->aspace->dumpable;
	case PR_SET_NAME: return prctl_set_name((const char USER *)arg2);
	case PR_GET_NAME:
		return copy_to_user((char USER *)arg2, t->name, THREAD_NAME_LEN);
	case PR_SET_CHILD_SUBREAPER: process_set_subreaper(arg2); return 0;
	case PR_GET_CHILD_SUBREAPER: return prctl_put_int(p->is_subreaper, arg2);
	case PR_SET_NO_NEW_PRIVS:
		if (arg2 != 1 || arg3 || arg4 || arg5)
			return ERR_INVAL;
		return prctl_flag(&p->no_new_privs, 1);
	case PR_GET_SECCOMP: return seccomp_mode_of(t);
	case PR_SET_SECCOMP: return seccomp_set_mode(arg2, (const void USER *)arg3);
	case PR_GET_NO_NEW_PRIVS:
		return arg2 || arg3 || arg4 || arg5 ? ERR_INVAL : p->no_new_privs;
	case PR_SET_TIMERSLACK: /* kept to be told: timers are exact */
		t->timer_slack_ns = (int64_t)arg2 > 0 ? arg2 : t->default_slack_ns;
		return 0;
	case PR_GET_TIMERSLACK: return (long)t->timer_slack_ns;
	case PR_GET_TSC: return prctl_put_int(PR_TSC_ENABLE, arg2);
	case PR_SET_TSC: return arg2 == PR_TSC_ENABLE ? 0 : ERR_INVAL;
	case PR_GET_TIMING: return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING: return arg2 == PR_TIMING_STATISTICAL ? 0 : ERR_INVAL;
	case PR_SET_THP_DISABLE:
		return arg3 || arg4 || arg5 ? ERR_INVAL
		                            : prctl_flag(&p->aspace->no_huge_pages, arg2);
	case PR_GET_THP_DISABLE:
		return arg2 || arg3 || arg4 || arg5 ? ERR_INVAL
		                                    : p->aspace->no_huge_pages;
	default: return prctl_values(option, arg2, arg3, arg4, arg5);
	}
}

enum {
	ARCH_SET_GS = 0x1001,
	ARCH_SET_FS,
	ARCH_GET_FS,
	ARCH_GET_GS,
	ARCH_GET_CPUID = 0x1011
};

long
sys_arch_prctl(int code, uint64_t addr)
{
	uint64_t value;

	switch (code) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (addr >= USER_SPACE_END)
			return ERR_PERM;
		if (code == ARCH_SET_FS)
			arch_set_fs_base(addr);
		else
			arch_set_gs_base(addr);
		return 0;
	case ARCH_GET_FS:
	case ARCH_GET_GS:
		value = code == ARCH_GET_FS ? arch_get_fs_base() : arch_get_gs_base();
		return put_user(value, (uint64_t USER *)addr);
	case ARCH_GET_CPUID: return 1; /* never refused to programs */
	default: return ERR_INVAL;
	}
}

enum { PERSONALITY_QUERY = 0xffffffff };

long
sys_personality(unsigned persona)
{
	struct process *p = current_process();
	uint32_t old = p->personality;

	if (persona != PERSONALITY_QUERY)
		p->personality = persona;
	return (long)old;
}

/* ---- The machine
 * ------------------------------------------------------------------------- */

struct sysinfo {
	int64_t uptime;
	uint64_t loads[3]; /* in 1/65536 */
	uint64_t total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
	uint16_t procs, pad;
	uint64_t total_high, free_high;
	uint32_t mem_unit;
};

static_assert(sizeof(struct sysinfo) == 112, "Linux's struct sysinfo");

long
sys_sysinfo(struct sysinfo USER *info)
{
	struct sysinfo si = {
	    .uptime = (int64_t)(clock_now_ns() / NSEC_PER_SEC), .mem_unit = 1};
	struct mem_stats mem;
	struct sched_stats sched;

	mem_stats_get(&mem);
	sched_get_stats(&sched);
	sched_loadavg(si.loads);
	si.total_ram = mem.total_pages * PAGE_SIZE;
	si.free_ram = mem.free_pages * PAGE_SIZE;
	si.shared_ram = mem.shmem_pages * PAGE_SIZE;
	si.procs = (uint16_t)sched.num_threads;
	return put_user(si, info);
}

enum { GRND_NONBLOCK = 1, GRND_RANDOM = 2, GRND_INSECURE = 4, RANDOM_CHUNK = 256 };

/* The generators are always seeded when programs run, so no flag changes anything. */
long
sys_getrandom(char USER *buf, size_t count, unsigned flags)
{
	uint8_t chunk[RANDOM_CHUNK];
	size_t done = 0, got;

	if ((flags & ~(unsigned)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return ERR_INVAL;
	count = MIN(count, (size_t)INT32_MAX);
	while (done < count) {
		size_t n = MIN(count - done, sizeof(chunk));

		random_bytes(chunk, n);
		got = copy_to_user_partial(buf + done, chunk, n);
		done += got;
		if (got < n)
			return done ? (long)done : ERR_FAULT;
		if (done < count && signal_is_pending(current_thread()))
			break;
	}
	return (long)done;
}

long
sys_getcpu(unsigned USER *cpu, unsigned USER *node, void USER *unused)
{
	const struct cpu *c = this_cpu();
	unsigned id = c->id, n = c->node;

	if (cpu && put_user(id, cpu) != OK)
		return ERR_FAULT;
	return node ? put_user(n, node) : OK;
}

/* ---- The end
 * ----------------------------------------------------------------------------- */

enum {
	REBOOT_MAGIC1 = (int)0xfee1dead,
	REBOOT_MAGIC2 = 672274793,
	REBOOT_MAGIC2A = 85072278,
	REBOOT_MAGIC2B = 369367448,
	REBOOT_MAGIC2C = 537993216,
};
#define REBOOT_CMD_RESTART   0x01234567u
#define REBOOT_CMD_HALT      0xcdef0123u
#define REBOOT_CMD_POWER_OFF 0x4321fedcu
#define REBOOT_CMD_RESTART2  0xa1b2c3d4u
#define REBOOT_CMD_CAD_ON    0x89abcdefu
#define REBOOT_CMD_CAD_OFF   0u

long
sys_reboot(int magic1, int magic2, unsigned cmd, void USER *arg)
{
	if (!capable(CAP_SYS_BOOT))
		return ERR_PERM;
	if (magic1 != REBOOT_MAGIC1 ||
	    (magic2 != REBOOT_MAGIC2 && magic2 != REBOOT_MAGIC2A &&
	        magic2 != REBOOT_MAGIC2B && magic2 != REBOOT_MAGIC2C))
		return ERR_INVAL;
	if (cmd != REBOOT_CMD_CAD_ON && cmd != REBOOT_CMD_CAD_OFF)
		power_quiesce();
	switch (cmd) {
	case REBOOT_CMD_RESTART:
	case REBOOT_CMD_RESTART2:
		log_notice("reboot: restarting the system");
		power_restart();
	case REBOOT_CMD_HALT: log_notice("reboot: system halted"); power_halt();
	case REBOOT_CMD_POWER_OFF: log_notice("reboot: power down"); power_off();
	case REBOOT_CMD_CAD_ON:
	case REBOOT_CMD_CAD_OFF: return 0; /* Ctrl-Alt-Del is just a key */
	default: return ERR_INVAL;
	}
}
