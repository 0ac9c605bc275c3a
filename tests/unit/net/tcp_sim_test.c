/*
 * The TCP core against itself over simulated links (tests/sim/): data exact, no stall, memory bounded,
 * throughput near what the link allows.
 * LINK: tests/sim/sim.c net/tcp_core.c net/tcp_input.c net/tcp_input_ack.c net/tcp_input_data.c
 * net/tcp_output.c net/tcp_timer.c net/tcp_rtt.c net/tcp_tx.c net/tcp_sack.c net/tcp_rack.c
 * net/tcp_recover.c net/tcp_cc.c net/tcp_cc_cubic.c net/tcp_cc_reno.c net/tcp_options.c lib/string.c
 */
#include <stdio.h>

#include "tests/sim/sim.h"
#include "tests/unit/ktest.h"

static struct sim sim;

/* Runs to the end and complains of what the simulator saw. */
static bool
run(nsec_t limit)
{
	bool is_ok;

	sim_run(&sim, false, limit);
	is_ok = !sim.broken;
	if (sim.broken)
		printf("# seed %llu at %.6f s: %s (states %u %u, got %llu of %llu, %llu "
		       "of %llu)\n",
		    (unsigned long long)sim.seed, (double)sim.now / 1e9, sim.broken,
		    sim.host[0].t.state, sim.host[1].t.state,
		    (unsigned long long)sim.host[1].received,
		    (unsigned long long)sim.host[0].app.to_send,
		    (unsigned long long)sim.host[0].received,
		    (unsigned long long)sim.host[1].app.to_send);
	return is_ok && !sim.host[0].error && !sim.host[1].error;
}

KTEST(connection_opens_and_closes_without_data)
{
	sim_init(&sim, 1);
	CHECK(run(10 * NSEC_PER_SEC));
	CHECK_EQ(sim.host[0].retrans + sim.host[1].retrans, 0);
	sim_fini(&sim);
}

KTEST(a_megabyte_one_way_arrives_without_retransmission)
{
	sim_init(&sim, 2);
	sim.host[0].app.to_send = 1 << 20;
	CHECK(run(60 * NSEC_PER_SEC));
	CHECK_EQ(sim.host[1].received, 1 << 20);
	CHECK_EQ(sim.host[0].retrans, 0);
	sim_fini(&sim);
}
