/*
 * libFuzzer: IPv6 input with all that hangs on it: extension headers, fragments, ICMPv6, neighbour
 * discovery, advertisements, MLD. The input is a row of packets: length, kind, bytes. Some kinds get
 * an IPv6 header and a right checksum, so that the parsers behind are reached.
 * LINK: net/ip6.c net/ip6_ext.c net/ip6_frag.c net/ip6_fwd.c net/ip6_out.c net/icmp6.c net/icmp_limit.c net/nd.c
 * net/nd_options.c net/nd_router.c net/inbox.c net/slaac.c net/mld.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/addrsel.c net/neigh.c net/ip_addr.c
 * lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c tests/fakes/net_env.c
 * tests/fakes/ip6_env.c tests/fakes/dhcp6_none.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "net/ip6.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip6_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
one_packet(unsigned kind, const uint8_t *data, size_t n)
{
	const char *src = kind & 0x40 ? "::" : kind & 0x80 ? "2001:db8::99" : "fe80::99";
	const char *dst = kind & 0x20 ? "2001:db8::1" : "ff02::1";

	switch (kind % 8) {
	case 0: ip6_env_input(data, n); break;
	case 1: ip6_env_send(src, dst, 44, 255, data, n); break;
	case 2: ip6_env_send(src, dst, 0, 1, data, n); break;
	case 3: ip6_env_send(src, dst, 60, 64, data, n); break;
	case 4: fake_net_timers_run(fake_now_ns + n * NSEC_PER_SEC); break;
	default: ip6_env_send(src, dst, 58, 255, data, n);
	}
	fake_net_work_run();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fake_log_is_quiet = true;
	ip6_env_setup();
	ip6_dev_of(ip6_env_dev)->conf.accept_ra = true;
	ip6_dev_of(ip6_env_dev)->conf.use_tempaddr = size % 3;
	ip6_env_dev->is_forwarding6 = size % 5 == 0;
	while (size > 2) {
		size_t n = data[0] * 4u;

		n = n < size - 2 ? n : size - 2;
		one_packet(data[1], data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	ip6_env_setup();
	if (fake_pkts_live)
		abort(); /* a packet was lost */
	return 0;
}
