/* The one description of the machine, and what is assumed when no table describes it. */
#include "kernel/platform.h"

#include "lib/string.h"

struct platform_info platform;

void
platform_set_defaults(struct platform_info *p)
{
	memset(p, 0, sizeof(*p));
	p->lapic_base = 0xfee00000;
	p->has_pic = true;
	p->has_pit = true;
	p->has_rtc = true;
	p->has_i8042 = true;
	p->num_nodes = 1;
}
