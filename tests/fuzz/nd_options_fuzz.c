/*
 * libFuzzer: options of neighbour discovery. Whatever is said to be there lies within the message.
 * LINK: net/nd_options.c net/ip_addr.c lib/string.c lib/fmt.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "net/nd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nd_options o;

	if (!nd_options_parse(data, size, &o))
		return 0;
	for (unsigned i = 0; i < o.num_prefixes; i++) {
		struct nd_prefix p;

		nd_prefix_decode(o.prefixes[i], &p);
		if (p.plen > 128)
			abort();
	}
	for (unsigned i = 0; i < o.num_routes; i++) {
		struct nd_route r;

		if (nd_route_decode(o.routes[i], &r) &&
		    (r.plen > 128 || r.preference > 1))
			abort();
	}
	if (o.redirected && o.redirected + o.redirected_len > data + size)
		abort();
	return 0;
}
