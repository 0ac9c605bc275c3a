/* What the scheduler counts, and the load average. */
#include "kernel/log.h"
#include "kernel/sched/sched_priv.h"
#include "kernel/sync/mutex.h"
#include "kernel/time/clock.h"

enum {
	LOAD_SHIFT = 16,
	/* 2^16 * exp(-5 / 60), exp(-5 / 300), exp(-5 / 900): decay of an average in 5 s
	 */
	DECAY_1 = 60296,
	DECAY_5 = 64453,
	DECAY_15 = 65173,
};

static const nsec_t LOAD_PERIOD = 5 * NSEC_PER_SEC;

static uint64_t loads[3]; /* [a] */
static struct timer load_timer;

void
sched_get_cpu_stats(const struct cpu *cpu, struct sched_stats *s)
{
	const struct runqueue *rq = cpu_rq(cpu);
	nsec_t now = clock_now_ns(), since;

	*s = (struct sched_stats){
	    .switches = rq->num_switches,
	    .num_running = rq->num_running,
	    .idle_ns = rq->idle_ns,
	    .user_ns = rq->user_ns,
	    .system_ns = rq->system_ns,
	};
	/* A CPU that has slept for long has not said so yet. */
	since = rq->idle->sched.run_start_ns;
	if (rq->current == rq->idle && now > since)
		s->idle_ns += now - since;
}

void
sched_get_stats(struct sched_stats *sum)
{
	struct cpu *cpu;

	*sum =
	    (struct sched_stats){.forks = thread_forks(), .num_threads = thread_count()};
	for_each_online_cpu(cpu) {
		struct sched_stats s;

		sched_get_cpu_stats(cpu, &s);
		sum->switches += s.switches;
		sum->num_running += s.num_running;
		sum->idle_ns += s.idle_ns;
		sum->user_ns += s.user_ns;
		sum->system_ns += s.system_ns;
	}
}

void
thread_times(struct thread *t, nsec_t *utime_ns, nsec_t *stime_ns)
{
	struct runqueue *rq = thread_rq_lock(t);
	nsec_t now = clock_now_ns(), start = t->sched.run_start_ns;

	*utime_ns = t->utime_ns;
	*stime_ns = t->stime_ns;
	if (rq->current == t)
		*(t->process ? utime_ns : stime_ns) +=
		    (now > start ? now - start : 0) + rq->unaccounted_ns;
	thread_rq_unlock(rq);
}

/* ---- Load average ---- */

static void
load_sample(struct timer *timer)
{
	static const uint32_t decay[3] = {DECAY_1, DECAY_5, DECAY_15};
	int64_t active = 0;
	struct cpu *cpu;

	for_each_online_cpu(cpu)
		active += (int64_t)cpu_rq(cpu)->num_running + cpu_rq(cpu)->num_blocked;
	active = MAX(active, 0) << LOAD_SHIFT;
	for (unsigned i = 0; i < 3; i++)
		loads[i] = (loads[i] * decay[i] +
		               (uint64_t)active * ((1u << LOAD_SHIFT) - decay[i])) >>
		           LOAD_SHIFT;
	timer_arm(timer, timer->expires_ns + LOAD_PERIOD);
}

void
sched_loadavg(uint64_t out[3])
{
	for (unsigned i = 0; i < 3; i++)
		out[i] = __atomic_load_n(&loads[i], __ATOMIC_RELAXED);
}

void
sched_start_loadavg(void)
{
	timer_init(&load_timer, load_sample);
	timer_arm(&load_timer, clock_now_ns() + LOAD_PERIOD);
}

/* ---- For people ---- */

static bool
print_thread(struct thread *t, void *arg)
{
	static const char letters[] = "RSDTX";
	nsec_t utime, stime;

	thread_times(t, &utime, &stime);
	log_printf(LOG_INFO, "%5u %c cpu %u nice %d %6llu.%03llu s  %s\n", t->tid,
	    t->state < sizeof(letters) - 1 ? letters[t->state] : '?', t->sched.cpu->id,
	    t->sched.nice, (utime + stime) / NSEC_PER_SEC,
	    (utime + stime) % NSEC_PER_SEC / NSEC_PER_MSEC, t->name);
	if (CONFIG_DEBUG)
		mutex_print_held(t);
	return true;
}

void
sched_print_state(void)
{
	struct cpu *cpu;

	for_each_online_cpu(cpu) {
		const struct runqueue *rq = cpu_rq(cpu);

		if (!rq->current)
			continue;
		log_printf(LOG_INFO, "CPU %u: runs %s (%u), %u waiting, %lu switches\n",
		    cpu->id, rq->current->name, rq->current->tid, rq->num_queued,
		    rq->num_switches);
		if (CONFIG_DEBUG)
			spin_print_held(cpu);
	}
	thread_for_each(print_thread, NULL);
}
