/*
 * How much TCP may hold: settings as in /proc/sys/net/ipv4/tcp_*, and the account of all memory in
 * send and receive queues. The account is kept per CPU and joined in steps, so that packets do not
 * meet at one cache line. Above tcp_mem[1] (pressure) receive windows stop growing and what came
 * out of order is given up first; above tcp_mem[2] nothing is taken but by who has nothing yet.
 */
#include "kernel/sync/spinlock.h"
#include "kernel/x86/percpu.h"
#include "mm/page.h"
#include "net/tcp_conn.h"

enum { STEP = 256 << 10 }; /* bytes a CPU keeps to itself */

struct tcp_settings tcp_set = {
    .rmem = {4096, 131072, 6291456},
    .wmem = {4096, 16384, 4194304},
    .syncookies = 1,
    .somaxconn = 4096,
    .fin_timeout_s = 60,
    .tw_reuse = 2,
    .timestamps = 1,
    .sack = 1,
    .window_scaling = 1,
    .ecn = 2,
    .keep_idle_s = 7200,
    .keep_intvl_s = 75,
    .keep_cnt = 9,
    .syn_retries = 6,
    .synack_retries = 5,
    .retries2 = 15,
    .notsent_lowat = UINT32_MAX,
    .mtu_probing = 1, /* Linux: 0; RFC 4821 7.7 wants black holes found */
    .base_mss = 1024,
    .mtu_probe_floor = 48,
    .probe_threshold = 8,
    .probe_interval_s = 600,
};

static int64_t mem_total;          /* [a] bytes */
static int32_t gauges[TCP_GAUGES]; /* [a] */
static PER_CPU(int64_t, mem_local);

void
tcp_settings_init(void)
{
	struct mem_stats mem;
	uint64_t pages;

	mem_stats_get(&mem);
	pages = MAX(mem.free_pages / 16, 128);
	tcp_set.mem[0] = pages * 3 / 2;
	tcp_set.mem[1] = pages * 2;
	tcp_set.mem[2] = pages * 3;
	tcp_set.max_syn_backlog = (uint32_t)MIN(MAX(mem.total_pages / 2048, 128), 4096);
	tcp_set.max_tw = (uint32_t)MIN(MAX(mem.total_pages / 8, 4096), 262144);
	tcp_set.max_orphans = (uint32_t)MIN(MAX(mem.total_pages / 16, 1024), 262144);
	/* A machine with little memory gives each connection less of it. */
	tcp_set.rmem[2] = (uint32_t)MIN(
	    MAX(mem.total_pages * PAGE_SIZE / 32, tcp_set.rmem[1]), tcp_set.rmem[2]);
	tcp_set.wmem[2] =
	    (uint32_t)MIN(MAX(mem.total_pages * PAGE_SIZE / 32, 65536), tcp_set.wmem[2]);
	tcp_set.cc = tcp_cc_find("cubic");
}

void
tcp_mem_add(int64_t bytes)
{
	int64_t *local, sum;

	preempt_disable();
	local = this_cpu_ptr(&mem_local);
	sum = __atomic_add_fetch(local, bytes, __ATOMIC_RELAXED);
	if (sum > STEP || sum < -STEP) {
		__atomic_sub_fetch(local, sum, __ATOMIC_RELAXED);
		__atomic_add_fetch(&mem_total, sum, __ATOMIC_RELAXED);
	}
	preempt_enable();
}

static bool
is_above(uint64_t pages)
{
	return __atomic_load_n(&mem_total, __ATOMIC_RELAXED) >
	       (int64_t)(pages << PAGE_SHIFT);
}

bool
tcp_mem_is_tight(void)
{
	return is_above(tcp_set.mem[1]);
}

bool
tcp_mem_is_out(void)
{
	return is_above(tcp_set.mem[2]);
}

void
tcp_mem_update(struct tcp_sock *ts)
{
	uint32_t holds = ts->snd.len + ts->inet.sock.rx.truesize + ts->reading.truesize +
	                 ts->ofo_truesize;

	if (holds == ts->charged)
		return;
	tcp_mem_add((int64_t)holds - ts->charged);
	ts->charged = holds;
}

void
tcp_gauge_add(enum tcp_gauge g, int32_t n)
{
	__atomic_add_fetch(&gauges[g], n, __ATOMIC_RELAXED);
}

int32_t
tcp_gauge(enum tcp_gauge g)
{
	return __atomic_load_n(&gauges[g], __ATOMIC_RELAXED);
}

void
tcp_get_stats(struct tcp_stats *st)
{
	int64_t total = __atomic_load_n(&mem_total, __ATOMIC_RELAXED);

	for (unsigned i = 0; i < num_cpus; i++)
		total +=
		    __atomic_load_n(per_cpu_ptr(&mem_local, cpus[i]), __ATOMIC_RELAXED);
	*st = (struct tcp_stats){.established = (uint32_t)tcp_gauge(TCP_NUM_ESTABLISHED),
	    .alive = (uint32_t)tcp_gauge(TCP_NUM_SOCKS),
	    .orphans = (uint32_t)tcp_gauge(TCP_NUM_ORPHANS),
	    .time_waits = (uint32_t)tcp_gauge(TCP_NUM_TW),
	    .mem_pages = total > 0 ? (uint64_t)total >> PAGE_SHIFT : 0};
}
