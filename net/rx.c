/*
 * The net threads: one a CPU, bound to it, where all of the stack's input runs. A thread
 * sleeps until it is kicked; then it makes passes, each in this order:
 *
 *	timers that are due, works, each scheduled device queue once (with a budget),
 *	packets that other contexts left in the CPU's backlog
 *
 * until a pass leaves nothing to do. It goes before ordinary threads, for they wait for what it
 * brings; but a flood that never leaves it without work must not take the CPU from those that read
 * (receive livelock: they would find their queues full and the packets' work done for nothing), so
 * after BUSY_PASSES it is an ordinary thread until it has slept. Interrupts and other CPUs only
 * push onto lock-free stacks (queues to poll, works) or onto the backlog, under its short lock,
 * and kick.
 *
 * Bursts. What a system call sends to this machine itself need not wait for the thread: at the
 * end of the burst (net_burst_end) the sender empties the backlog on its own stack, with
 * preemption off, unless the thread is in a pass, which then finds the packets before it sleeps.
 * So a message over loopback costs no switch of threads but the one to its reader, and input
 * still is one at a time on a CPU.
 *
 * Steering. While a thread has no rest, the packets of a device with fewer queues than there are
 * CPUs are handed on to the CPU that a keyed hash of the flow names: all packets of a connection
 * meet on one CPU, in order. They are collected for each target while a queue is polled, so that
 * the target's lock and wake-up are paid once for a poll. With less to do one CPU is quicker: no
 * other need be woken. It takes up its flows again when it has come to rest and all others have
 * nothing left of theirs, so that no packet overtakes another.
 */
#include "net/rx.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "lib/fmt.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "net/gro.h"
#include "net/ip.h"
#include "net/net_timer.h"
#include "net/netdev.h"

enum {
	POLL_BUDGET = 64,   /* packets from one queue in one pass */
	BACKLOG_MAX = 1000, /* packets that wait for one CPU */
	BURST_ROUNDS = 8,   /* answers to answers that a sender sees to */
	BURST_MAX = 64, /* packets that it takes in a round; more wait for the thread */
	NET_THREAD_NICE = -10,
	BUSY_PASSES = 16, /* without a rest, then the thread has no precedence any more */
};

struct net_cpu {
	/* What others write. */
	struct spinlock lock;
	struct pkt_queue backlog;   /* [lock] */
	struct netdev_queue *polls; /* [a] stack of queues to poll */
	struct net_work *works;     /* [a] stack */
	uint32_t is_kicked;         /* [a] */
	/* Of the threads of this CPU alone, not of interrupts. Who pushes here while one is set
	   need not kick: the backlog will be looked at. */
	bool is_running;       /* [a] somebody takes packets off the backlog */
	bool is_burst;         /* a sender will, at the end of its call */
	struct thread *thread; /* [I] */
	unsigned cpu;          /* [I] */
	/* The thread's own. */
	struct netdev_queue *active ALIGNED(64); /* queues to poll in the next pass */
	struct pkt_queue *out;                   /* [I] packets for other CPUs, by id */
	uint64_t out_used[MAX_CPUS / 64];
	unsigned num_passes; /* since it slept last */
	bool is_steering;    /* too much for one CPU: flows go to theirs */
};

static struct net_cpu *net_cpus[MAX_CPUS];
static unsigned online[MAX_CPUS], num_online; /* [I] ids of CPUs that run */
static struct siphash_key flow_key;

static struct {
	struct net_work *works; /* [a] stack */
	struct thread *thread;
	struct wait_queue wait;
} config = {.wait = WAIT_QUEUE_INIT(config.wait)};

void
net_kick(unsigned cpu)
{
	struct net_cpu *nc = net_cpus[cpu];

	if (!__atomic_exchange_n(&nc->is_kicked, 1, __ATOMIC_SEQ_CST))
		thread_wake(nc->thread);
}

unsigned
net_queue_cpu(unsigned n)
{
	return num_online ? online[n % num_online] : 0;
}

/* ---- Works and queues: lock-free stacks ------------------------------------------------ */

static void
push_work(struct net_work **stack, struct net_work *w)
{
	w->next = __atomic_load_n(stack, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
	    stack, &w->next, w, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Runs what is there, in the order in which it came. */
static void
run_works(struct net_work **stack)
{
	struct net_work *w, *next, *list = NULL;

	if (!__atomic_load_n(stack, __ATOMIC_RELAXED))
		return;
	for (w = __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE); w; w = next) {
		next = w->next;
		w->next = list;
		list = w;
	}
	for (w = list; w; w = next) {
		next = w->next;
		__atomic_store_n(&w->is_queued, 0, __ATOMIC_SEQ_CST);
		w->fn(w); /* may free or queue it */
	}
}

void
net_work_queue(struct net_work *w, unsigned cpu)
{
	if (__atomic_exchange_n(&w->is_queued, 1, __ATOMIC_SEQ_CST))
		return;
	push_work(&net_cpus[cpu]->works, w);
	net_kick(cpu);
}

void
net_config_queue(struct net_work *w)
{
	if (__atomic_exchange_n(&w->is_queued, 1, __ATOMIC_SEQ_CST))
		return;
	push_work(&config.works, w);
	wait_queue_wake_all(&config.wait);
}

static void
config_main(void *arg)
{
	for (;;) {
		(void)wait_event(&config.wait,
		    __atomic_load_n(&config.works, __ATOMIC_ACQUIRE), WAIT_INTERRUPTIBLE,
		    NO_TIMEOUT); /* a kernel thread has no signals */
		run_works(&config.works);
	}
}

static void
push_poll(struct net_cpu *nc, struct netdev_queue *q)
{
	q->poll_next = __atomic_load_n(&nc->polls, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
	    &nc->polls, &q->poll_next, q, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void
netdev_schedule(struct netdev_queue *q)
{
	if (__atomic_exchange_n(&q->is_scheduled, 1, __ATOMIC_SEQ_CST))
		return;
	push_poll(net_cpus[q->cpu], q);
	net_kick(q->cpu);
}

/* ---- Steering and backlog ---------------------------------------------------------------- */

static bool
backlog_push(struct net_cpu *nc, struct pkt_queue *list)
{
	bool has_room, is_seen;

	spin_lock(&nc->lock);
	has_room = nc->backlog.count < BACKLOG_MAX;
	if (has_room)
		pkt_queue_splice(&nc->backlog, list);
	is_seen = nc->cpu == cpu_id() && (nc->is_running || nc->is_burst);
	spin_unlock(&nc->lock);
	if (has_room && !is_seen)
		net_kick(nc->cpu);
	return has_room;
}

static enum err
backlog_push_one(struct net_cpu *nc, struct pkt *p)
{
	struct pkt_queue one = {0};

	pkt_queue_push(&one, p);
	if (backlog_push(nc, &one))
		return OK;
	pkt_drop(p, DROP_RX_BACKLOG_FULL);
	return ERR_NOBUFS;
}

/* What makes a flow: addresses, protocol, ports. As bytes of the packet; false: no IP. */
struct flow_words {
	uint8_t addrs[32];
	uint8_t ports[4];
	uint8_t proto, pad[3];
};

static bool
flow_words_get(struct pkt *p, struct flow_words *f)
{
	const struct ip4_header *h4;
	const struct ip6_header *h6;
	size_t ports_at;

	memset(f, 0, sizeof(*f));
	if (p->protocol == ETHERTYPE_IP4 && (h4 = pkt_need(p, sizeof(*h4)))) {
		memcpy(f->addrs, &h4->src, 8);
		f->proto = h4->proto;
		if (be16_get(h4->frag) & 0x3fff) /* fragments: by address alone */
			return true;
		ports_at = (size_t)(h4->ver_ihl & 15) * 4;
	} else if (p->protocol == ETHERTYPE_IP6 && (h6 = pkt_need(p, sizeof(*h6)))) {
		memcpy(f->addrs, h6->src, 32);
		f->proto = h6->next;
		ports_at = sizeof(*h6);
	} else {
		return false;
	}
	if (f->proto == IP_PROTO_TCP || f->proto == IP_PROTO_UDP)
		(void)pkt_read(p, ports_at, f->ports, 4); /* cut off: without ports */
	return true;
}

/* The CPU of its flow; this one when it belongs to none. */
static unsigned
steer(struct pkt *p)
{
	struct flow_words f;

	if (!(p->flags & PKT_HAS_HASH)) {
		if (!flow_words_get(p, &f))
			return cpu_id();
		p->hash = (uint32_t)siphash13(&flow_key, &f, sizeof(f));
		p->flags |= PKT_HAS_HASH;
	}
	return online[(uint64_t)p->hash * num_online >> 32];
}

void
net_input_later(struct pkt *p)
{
	(void)backlog_push_one(net_cpus[cpu_id()], p); /* counted there */
}

void
net_input_steered(struct pkt *p)
{
	unsigned here = cpu_id(), cpu;
	struct net_cpu *nc = net_cpus[here];

	if (!nc->is_steering || p->dev->num_queues >= num_online ||
	    (cpu = steer(p)) == here) {
		net_input(p);
		return;
	}
	pkt_queue_push(&nc->out[cpu], p);
	nc->out_used[cpu / 64] |= 1ull << cpu % 64;
}

static void
send_steered(struct net_cpu *nc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(nc->out_used); i++) {
		for (uint64_t word = nc->out_used[i]; word; word &= word - 1) {
			unsigned cpu = i * 64 + (unsigned)__builtin_ctzll(word);
			struct pkt *p;

			if (backlog_push(net_cpus[cpu], &nc->out[cpu]))
				continue;
			while ((p = pkt_queue_pop(&nc->out[cpu])))
				pkt_drop(p, DROP_RX_BACKLOG_FULL);
		}
		nc->out_used[i] = 0;
	}
}

static bool
has_backlog(const struct net_cpu *nc)
{
	return __atomic_load_n(&nc->backlog.first, __ATOMIC_RELAXED);
}

static void
set_running(struct net_cpu *nc, bool is_running)
{
	__atomic_store_n(&nc->is_running, is_running, __ATOMIC_RELAXED);
}

static void
run_backlog(struct net_cpu *nc)
{
	struct pkt_queue list;
	struct pkt *p;

	if (!has_backlog(nc))
		return;
	spin_lock(&nc->lock);
	list = nc->backlog;
	nc->backlog = (struct pkt_queue){0};
	spin_unlock(&nc->lock);
	while ((p = pkt_queue_pop(&list)))
		net_input(p);
}

void
net_burst_begin(void)
{
	preempt_disable();
	net_cpus[cpu_id()]->is_burst = true;
}

/* Under a lock, or inside of another section without preemption, input cannot run. What other
   CPUs left here in great number is not for the sender to see to. */
static bool
may_run_here(const struct net_cpu *nc)
{
	return this_cpu_is(preempt_count, 1) && this_cpu_is(irq_off_depth, 0) &&
	       __atomic_load_n(&nc->backlog.count, __ATOMIC_RELAXED) <= BURST_MAX;
}

void
net_burst_end(void)
{
	struct net_cpu *nc = net_cpus[cpu_id()];

	nc->is_burst = false;
	/* In a pass, which input may send from, the pass itself looks again. */
	if (has_backlog(nc) && !nc->is_running) {
		set_running(nc, true);
		for (unsigned i = 0;
		     i < BURST_ROUNDS && has_backlog(nc) && may_run_here(nc); i++)
			run_backlog(nc);
		set_running(nc, false);
		if (has_backlog(nc))
			net_kick(nc->cpu);
	}
	preempt_enable();
}

/* ---- The threads -------------------------------------------------------------------------- */

/* Polls each queue that was scheduled once. Those with more to do stay active. */
static void
run_polls(struct net_cpu *nc)
{
	struct netdev_queue *q, *next, *list = nc->active;

	nc->active = NULL;
	if (__atomic_load_n(&nc->polls, __ATOMIC_RELAXED)) {
		q = __atomic_exchange_n(&nc->polls, NULL, __ATOMIC_ACQUIRE);
		for (; q; q = next) {
			next = q->poll_next;
			q->poll_next = list;
			list = q;
		}
	}
	for (q = list; q; q = next) {
		unsigned n;

		next = q->poll_next;
		/* Before the poll: an interrupt that it unmasks may schedule anew. */
		__atomic_store_n(&q->is_scheduled, 0, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q->is_off, __ATOMIC_ACQUIRE))
			continue;
		n = q->dev->ops->poll(q, POLL_BUDGET);
		gro_flush();
		send_steered(nc);
		if (n >= POLL_BUDGET &&
		    !__atomic_exchange_n(&q->is_scheduled, 1, __ATOMIC_SEQ_CST)) {
			q->poll_next = nc->active;
			nc->active = q;
		}
	}
}

/* No CPU has or looks at packets that were handed on. A thread says that it looks before it takes
 * any under this lock. */
static bool
nobody_has_any(void)
{
	bool is_found = false;

	for (unsigned i = 0; i < num_online && !is_found; i++) {
		struct net_cpu *nc = net_cpus[online[i]];

		spin_lock(&nc->lock);
		is_found = nc->backlog.first ||
		           __atomic_load_n(&nc->is_running, __ATOMIC_RELAXED);
		spin_unlock(&nc->lock);
	}
	return !is_found;
}

/* Counts passes without a rest; 0, when this CPU looks at none any more, begins anew. */
static void
set_busy(struct net_cpu *nc, unsigned passes)
{
	bool was_busy = nc->num_passes >= BUSY_PASSES, is_busy = passes >= BUSY_PASSES;

	nc->num_passes = passes;
	if (is_busy)
		nc->is_steering = num_online > 1;
	else if (unlikely(nc->is_steering) && !passes)
		nc->is_steering = !nobody_has_any();
	if (unlikely(is_busy != was_busy))
		(void)thread_set_policy(
		    nc->thread, SCHED_NORMAL, is_busy ? 0 : NET_THREAD_NICE, 0);
}

static void
net_main(void *arg)
{
	struct net_cpu *nc = arg;

	for (;;) {
		bool has_more;

		set_running(nc, true);
		__atomic_store_n(&nc->is_kicked, 0, __ATOMIC_SEQ_CST);
		has_more = net_timers_run(nc->cpu);
		run_works(&nc->works);
		run_polls(nc);
		run_backlog(nc);
		if (has_more || nc->active || has_backlog(nc)) {
			set_busy(nc, nc->num_passes + 1);
			continue;
		}
		/* From here on others kick again; what they left until now is seen below. */
		set_running(nc, false);
		set_busy(nc, 0);
		thread_set_state(THREAD_SLEEPING);
		if (__atomic_load_n(&nc->is_kicked, __ATOMIC_SEQ_CST) || has_backlog(nc))
			thread_set_state(THREAD_RUNNABLE);
		else
			schedule();
	}
}

struct sync_work {
	struct net_work work;
	uint32_t is_done; /* [a] */
};

static void
sync_ran(struct net_work *w)
{
	struct sync_work *s = container_of(w, struct sync_work, work);

	__atomic_store_n(&s->is_done, 1, __ATOMIC_RELEASE); /* it may be gone now */
}

/* Works come between the timers and the packets of a pass: what ran before has ended. */
void
net_sync(void)
{
	assert_may_sleep();
	for (unsigned i = 0; i < num_online; i++) {
		struct sync_work s = {.work.fn = sync_ran};

		net_work_queue(&s.work, online[i]);
		while (!__atomic_load_n(&s.is_done, __ATOMIC_ACQUIRE))
			thread_sleep_ns(20 * NSEC_PER_USEC);
	}
}

void
net_backlog_purge(const struct netdev *dev)
{
	for (unsigned i = 0; i < num_online; i++) {
		struct net_cpu *nc = net_cpus[online[i]];
		struct pkt_queue all, keep = {0}, gone = {0};
		struct pkt *p;

		spin_lock(&nc->lock);
		all = nc->backlog;
		while ((p = pkt_queue_pop(&all)))
			pkt_queue_push(p->dev == dev ? &gone : &keep, p);
		nc->backlog = keep;
		spin_unlock(&nc->lock);
		while ((p = pkt_queue_pop(&gone)))
			pkt_drop(p, DROP_DEV_DOWN);
	}
	net_sync();
}

static struct net_cpu *
net_cpu_create(unsigned cpu)
{
	struct net_cpu *nc = kzalloc(sizeof(*nc));
	struct cpumask mask = {0};
	char name[THREAD_NAME_LEN];

	if (!nc || !(nc->out = kcalloc(num_cpus, sizeof(*nc->out))))
		panic("no memory for a net thread");
	spin_init(&nc->lock, "net backlog", RANK_NET_QUEUE);
	nc->cpu = cpu;
	scnprintf(name, sizeof(name), "net/%u", cpu);
	nc->thread = thread_create_kernel(name, net_main, nc);
	if (!nc->thread)
		panic("no memory for a net thread");
	cpumask_set(&mask, cpu);
	if (thread_set_affinity(nc->thread, &mask) != OK ||
	    thread_set_policy(nc->thread, SCHED_NORMAL, NET_THREAD_NICE, 0) != OK)
		log_warn("net: thread %u is not bound", cpu);
	return nc;
}

void
net_threads_init(void)
{
	struct cpu *c;

	random_bytes(&flow_key, sizeof(flow_key));
	for_each_online_cpu(c) {
		net_cpus[c->id] = net_cpu_create(c->id);
		online[num_online++] = c->id;
	}
	for (unsigned i = 0; i < num_online; i++)
		thread_start(net_cpus[online[i]]->thread);
	config.thread = thread_create_kernel("netconfig", config_main, NULL);
	if (!config.thread)
		panic("no memory for the network's configuration thread");
	thread_start(config.thread);
}
