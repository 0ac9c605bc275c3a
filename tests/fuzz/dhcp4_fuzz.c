/*
 * libFuzzer: any bytes as a DHCP message; what is read obeys its bounds, and the client's machine
 * takes it in any state.
 * LINK: net/dhcp4_msg.c net/dhcp4_machine.c lib/string.c
 */
#include <stdlib.h>

#include "kernel/random.h"
#include "lib/string.h"
#include "net/dhcp4_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

uint64_t
random_u64(void)
{
	return 0;
}

uint64_t
random_below(uint64_t limit)
{
	return limit / 2;
}

static void
check(const struct dhcp4_reply *r)
{
	bool is_bad = r->num_dns > DHCP4_MAX_ADDRS || r->num_routers > DHCP4_MAX_ADDRS ||
	              r->num_ntp > DHCP4_MAX_ADDRS || r->num_routes > DHCP4_MAX_ROUTES ||
	              r->plen > 32 || strlen(r->search) >= DHCP4_SEARCH ||
	              strlen(r->domain) >= DHCP4_NAME;

	for (unsigned i = 0; i < r->num_routes; i++)
		is_bad |= r->routes[i].plen > 32;
	if (is_bad || strchr(r->search, '\n') || strchr(r->domain, '\n'))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp4_machine m = {.state = DHCP4_STOPPED};
	uint8_t msg[1500] = {2, 1, 6}, out[DHCP4_MAX_MESSAGE];
	struct dhcp4_actions a;
	nsec_t now = NSEC_PER_SEC;

	dhcp4_start(&m, now, &a);
	/* A row of messages: length in units of 8 bytes, then what follows the fixed part. */
	while (size > 1) {
		size_t n = data[0] * 8u;
		struct dhcp4_reply r;

		data++;
		size--;
		n = n < size ? n : size;
		n = n < sizeof(msg) - 240 ? n : sizeof(msg) - 240;
		memcpy(msg + 16, "\x0a\0\0\x32", 4);
		memcpy(msg + 236, "\x63\x82\x53\x63", 4);
		memcpy(
		    msg + 44, data, n < 192 ? n : 192); /* sname and file, for overload */
		memcpy(msg + 240, data, n);
		if (dhcp4_parse(msg, 240 + n, (const uint8_t[6]){0}, &r)) {
			check(&r);
			dhcp4_received(&m, &r, now, &a);
		} else if (n & 1) {
			dhcp4_checked(&m, n & 2, now, &a);
		} else if (m.due_ns != UINT64_MAX) {
			now = m.due_ns > now ? m.due_ns : now;
			dhcp4_timer(&m, now, &a);
		}
		if (a.send && dhcp4_build(&a.message, out) > sizeof(out))
			abort();
		data += n;
		size -= n;
	}
	return 0;
}
