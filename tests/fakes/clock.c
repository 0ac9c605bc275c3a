/* The clocks are variables; waiting moves them. */
#include "kernel/time/clock.h"

#include "tests/fakes/fakes.h"

nsec_t fake_now_ns;
int64_t fake_wall_ns;

nsec_t
clock_now_ns(void)
{
	return fake_now_ns;
}

int64_t
clock_wall_ns(void)
{
	return fake_wall_ns;
}

void
clock_set_wall_ns(int64_t ns)
{
	fake_wall_ns = ns;
}

void
delay_ns(nsec_t ns)
{
	fake_now_ns += ns;
}
