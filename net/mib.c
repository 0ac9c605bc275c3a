/*
 * The counters of net/mib.def: an array on each CPU, summed when shown. Messages of ICMP are also
 * counted by their type (RFC 4293, icmpMsgStatsTable), in one place for all CPUs: they are few.
 */
#include "kernel/x86/percpu.h"
#include "net/ip.h"
#include "net/pkt.h"

PER_CPU(uint64_t[NUM_MIBS], mib_counters);

static uint64_t icmp_types[NUM_MIB_ICMPS][MIB_ICMP_TYPES]; /* [a] */

uint64_t
mib_get(enum mib which)
{
	uint64_t sum = 0;
	struct cpu *c;

	for_each_online_cpu(c)
		sum += __atomic_load_n(
		    &(*per_cpu_ptr(&mib_counters, c))[which], __ATOMIC_RELAXED);
	return sum;
}

void
mib_icmp_inc(enum mib_icmp which, uint8_t type)
{
	__atomic_fetch_add(&icmp_types[which][type], 1, __ATOMIC_RELAXED);
}

uint64_t
mib_icmp_get(enum mib_icmp which, uint8_t type)
{
	return __atomic_load_n(&icmp_types[which][type], __ATOMIC_RELAXED);
}

void
mib_icmp_sent(const struct pkt *p, uint8_t proto)
{
	bool is_v4 = proto == IP_PROTO_ICMP;
	uint8_t type;

	if ((!is_v4 && proto != IP_PROTO_ICMP6) || !pkt_read(p, 0, &type, sizeof(type)))
		return;
	mib_inc(is_v4 ? MIB_Icmp_OutMsgs : MIB_Icmp6_OutMsgs);
	mib_icmp_inc(is_v4 ? MIB_ICMP4_OUT : MIB_ICMP6_OUT, type);
}
