/*
 * Rate limits of ICMP errors (net/icmp_limit.h). Buckets of destinations are found by a keyed hash
 * and shared by those that collide: a peer cannot pick whom to starve. The bucket for all gives a
 * little more or less at random, so that nobody outside can count with it how many errors went to
 * others (the side channel of "SAD DNS", CVE-2020-25705).
 */
#include "net/icmp_limit.h"

#include "kernel/random.h"
#include "kernel/time/clock.h"
#include "lib/siphash.h"
#include "net/ip.h"

enum { NUM_HOSTS = 1024, HOST_BURST = 6, ALL_BURST = 50, ALL_PER_SECOND = 1000 };
static const nsec_t HOST_INTERVAL = NSEC_PER_SEC;
static const nsec_t ALL_INTERVAL = NSEC_PER_SEC / ALL_PER_SECOND;

static uint64_t hosts[NUM_HOSTS], all; /* [a] */
static struct siphash_key key;

void
icmp_limit_init(void)
{
	random_bytes(&key, sizeof(key));
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
	nsec_t now = clock_now_ns();

	if (ip_is_loopback(to))
		return true;
	if (!token_take(host, now, HOST_INTERVAL, HOST_BURST)) {
		mib_inc(MIB_Icmp_OutRateLimitHost);
		return false;
	}
	if (!token_take(&all, now, ALL_INTERVAL, ALL_BURST - (unsigned)random_below(4))) {
		mib_inc(MIB_Icmp_OutRateLimitGlobal);
		return false;
	}
	return true;
}
