/*
 * libFuzzer: DHCPv6 messages and names of any bytes; what a server says can be asked for again.
 * LINK: net/dhcp6_msg.c net/ip_addr.c lib/string.c lib/fmt.c
 */
#include <stdlib.h>

#include "lib/string.h"
#include "net/dhcp6_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dhcp6_msg m, again;
	static uint8_t buf[DHCP6_MAX_MSG];
	uint32_t iaid = 0;
	char name[64];
	size_t n;

	n = dns_name_decode(data, size, name, sizeof(name));
	if (n > size || (n && strlen(name) + 2 > n + 1))
		abort();
	if (size >= 20)
		memcpy(&iaid, data + 16, 4);
	if (!dhcp6_decode(data, size, iaid, &m))
		return 0;
	if (m.num_addrs > DHCP6_MAX_ADDRS || m.num_dns > DHCP6_MAX_SERVERS)
		abort();
	n = dhcp6_encode(&m, buf, sizeof(buf));
	if (m.client.len && (!n || !dhcp6_decode(buf, n, m.iaid, &again) ||
	                        again.num_addrs > m.num_addrs))
		abort();
	return 0;
}
