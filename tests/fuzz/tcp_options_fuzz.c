/*
 * libFuzzer: the TCP options parser takes any bytes, and what it read can be written and
 * read again.
 * LINK: net/tcp_options.c lib/string.c
 */
#include <stdlib.h>

#include "net/tcp_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_opts o = {0}, again = {0};
	uint8_t buf[TCP_MAX_OPTIONS];
	size_t n;

	if (size > TCP_MAX_OPTIONS)
		size = TCP_MAX_OPTIONS;
	(void)tcp_parse_options(data, size, &o);
	if (o.nsack > TCP_MAX_SACK || o.wscale > 14)
		abort();
	n = tcp_options_len(&o);
	if (n > sizeof(buf))
		return 0; /* more than a sender would put together */
	if (tcp_write_options(&o, buf) != n || n % 4)
		abort();
	if (!tcp_parse_options(buf, n, &again) || again.has != o.has ||
	    again.nsack != o.nsack)
		abort();
	return 0;
}
