/*
 * libFuzzer: frames to a host with IPv4. The input is a row of records: kind, length, bytes. Kinds: an
 * IP packet as it is; one whose checksum and length are put right, so that what is behind them is
 * reached; an ARP packet; time passes. Every packet must be freed in the end.
 * LINK: net/ip.c net/ip4.c net/ip4_options.c net/ip4_out.c net/ip4_frag.c net/ip4_fwd.c
 * net/icmp4.c net/icmp_limit.c net/arp.c net/igmp.c net/ip_mc.c net/ip_mc_report.c net/mc_filter.c net/neigh.c net/route.c net/dst.c net/fib.c
 * net/ifaddr.c net/ip_addr.c lib/siphash.c lib/inet_csum.c lib/string.c lib/fmt.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/ip4_env.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/mutex.c tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c
 * tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/inet_csum.h"
#include "lib/string.h"
#include "net/ip4.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/ip4_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PACKET = 2000 };

/* Makes the header sound: version, length, checksum; and the checksum of ICMP and IGMP. */
static void
mend(uint8_t *p, size_t n)
{
	struct ip4_header *h = (struct ip4_header *)p;
	unsigned hdr_len;

	if (n < sizeof(*h))
		return;
	hdr_len = (p[0] & 0xfu) * 4;
	hdr_len = hdr_len < 20 ? 20 : hdr_len;
	if (hdr_len > n)
		hdr_len = 20;
	p[0] = (uint8_t)(0x40 | hdr_len / 4);
	h->len = be16_of((uint16_t)n);
	ip4_set_csum(h, hdr_len);
	if ((h->proto == IP_PROTO_ICMP || h->proto == IP_PROTO_IGMP) &&
	    n >= hdr_len + 4) {
		be16 csum;

		memset(p + hdr_len + 2, 0, 2);
		csum = be16_of(csum_finish(csum_add(0, p + hdr_len, n - hdr_len)));
		memcpy(p + hdr_len + 2, &csum, 2);
	}
}

static void
feed(unsigned kind, const uint8_t *data, size_t n)
{
	uint8_t p[MAX_PACKET];

	memcpy(p, data, n);
	switch (kind % 4) {
	case 0: ip4_env_input_raw(p, n); break;
	case 1:
		mend(p, n);
		ip4_env_input_raw(p, n);
		break;
	case 2: ip4_env_input_arp(p, n); break;
	default:
		fake_net_timers_run(fake_now_ns + kind * (NSEC_PER_SEC / 4));
		fake_net_work_run();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ip4_env_setup();
	ip4_env_dev->is_forwarding4 = size & 1;
	while (size >= 2) {
		unsigned kind = data[0];
		size_t n = data[1] * 4u;

		data += 2;
		size -= 2;
		n = n < size ? n : size;
		feed(kind, data, n);
		data += n;
		size -= n;
	}
	fake_net_timers_run(fake_now_ns + 100 * NSEC_PER_SEC);
	fake_net_work_run();
	fake_wire_clear();
	fake_rcu_run();
	if (fake_pkts_live) {
		fprintf(stderr, "%ld packets are lost\n", fake_pkts_live);
		abort();
	}
	return 0;
}
