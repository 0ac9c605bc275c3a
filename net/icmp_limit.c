/*
 * Rate limits of ICMP errors (net/icmp_limit.h). Buckets of destinations are found by a keyed hash
 * and shared by those that collide: a peer cannot pick whom to starve. The bucket for all gives a
 * little more or less at random, so that nobody outside can count with it how many errors went to
 * others (the side channel of "SAD DNS", CVE-2020-25705).
 */
#include "net/icmp_limit.h"

#include "kernel/log.h"
#include "kernel/procfs.h"
#include "kernel/random.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "net/ip.h"

enum { NUM_HOSTS = 1024, HOST_BURST = 6, ALL_BURST = 50, ALL_PER_SECOND = 1000 };
static const nsec_t ALL_INTERVAL = NSEC_PER_SEC / ALL_PER_SECOND;

/* [a] Milliseconds between errors to one host; 0: neither limit holds. Linux's names and units. */
static uint32_t interval4_ms = 1000, interval6_ms = 1000;

static uint64_t hosts[NUM_HOSTS], all; /* [a] */
static struct siphash_key key;

static enum err
store_interval(const char *text, uint32_t *interval)
{
	const char *end;
	uint64_t v;

	if (!parse_u64(text, &end, 10, &v) || *end || v > INT32_MAX)
		return ERR_INVAL;
	__atomic_store_n(interval, (uint32_t)v, __ATOMIC_RELAXED);
	return OK;
}

static void
show_interval4(struct seq *s)
{
	seq_printf(s, "%u\n", interval4_ms);
}

static enum err
store_interval4(const char *text)
{
	return store_interval(text, &interval4_ms);
}

static void
show_interval6(struct seq *s)
{
	seq_printf(s, "%u\n", interval6_ms);
}

static enum err
store_interval6(const char *text)
{
	return store_interval(text, &interval6_ms);
}

void
icmp_limit_init(void)
{
	random_bytes(&key, sizeof(key));
	if (proc_register_rw(
	        "sys/net/ipv4/icmp_ratelimit", show_interval4, store_interval4) != OK ||
	    proc_register_rw(
	        "sys/net/ipv6/icmp/ratelimit", show_interval6, store_interval6) != OK)
		log_warn("icmp: no memory for the switches in /proc/sys/net");
}

bool
token_take(uint64_t *bucket, nsec_t now, nsec_t interval_ns, unsigned burst)
{
	uint64_t was = __atomic_load_n(bucket, __ATOMIC_RELAXED), next;

	do {
		next = (was > now ? was : now) + interval_ns;
		if (next - now > interval_ns * burst)
			return false;
	} while (!__atomic_compare_exchange_n(
	    bucket, &was, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

bool
icmp_may_send(const struct ip_addr *to)
{
	uint64_t *host = &hosts[siphash13(&key, to, sizeof(*to)) % NUM_HOSTS];
	nsec_t now = clock_now_ns(), interval = NSEC_PER_MSEC;

	interval *= __atomic_load_n(
	    ip_is_v4(to) ? &interval4_ms : &interval6_ms, __ATOMIC_RELAXED);
	if (interval == 0 || ip_is_loopback(to))
		return true;
	if (!token_take(host, now, interval, HOST_BURST)) {
		mib_inc(ip_is_v4(to) ? MIB_Icmp_OutRateLimitHost
		                     : MIB_Icmp6_OutRateLimitHost);
		drop_count(DROP_ICMP_RATE);
		return false;
	}
	if (!token_take(&all, now, ALL_INTERVAL, ALL_BURST - (unsigned)random_below(4))) {
		mib_inc(MIB_Icmp_OutRateLimitGlobal);
		drop_count(DROP_ICMP_RATE);
		return false;
	}
	return true;
}
