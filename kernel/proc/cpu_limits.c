/*
 * Limits of CPU time: of a process in all (RLIMIT_CPU, seconds), and of a RealTime thread
 * between two sleeps (RLIMIT_RTTIME, us). Looked at when the scheduler's timer comes, at
 * least ten times a second where a thread runs. Beyond the soft limit SIGXCPU is sent, and
 * again each second, for which the soft limit is raised, as on Linux; at the hard one
 * SIGKILL.
 */
#include "kernel/proc/cpu_limits.h"

#include "kernel/proc/itimers.h"
#include "kernel/proc/proc_priv.h"

/* `used` and `second` in the limit's unit. Sends what is due. */
static void
check_limit(struct process *p, unsigned which, uint64_t used, uint64_t second)
{
	struct rlimit *limit = &p->rlimits[which];
	int sig = 0;

	spin_lock(&p->lock);
	if (limit->max != RLIM_INFINITY && used >= limit->max) {
		sig = SIGKILL;
	} else if (limit->cur != RLIM_INFINITY && used >= limit->cur) {
		sig = SIGXCPU;
		limit->cur += second;
	}
	spin_unlock(&p->lock);
	if (sig)
		(void)signal_send_process(p, sig, NULL); /* it exists: it runs */
}

void
cpu_limits_check(struct thread *t)
{
	struct process *p = t->process;

	if (unlikely(p->rlimits[RLIMIT_CPU].cur != RLIM_INFINITY))
		check_limit(p, RLIMIT_CPU, process_cpu_time(p, false) / NSEC_PER_SEC, 1);
	if (unlikely(
	        p->rlimits[RLIMIT_RTTIME].cur != RLIM_INFINITY && t->sched.rt_priority))
		check_limit(p, RLIMIT_RTTIME, t->sched.rt_run_ns / NSEC_PER_USEC,
		    NSEC_PER_SEC / NSEC_PER_USEC);
}
