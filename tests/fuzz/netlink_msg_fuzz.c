/*
 * Attributes of netlink requests: whatever the bytes, nothing is read beyond them, and what is read is
 * what the lengths say. LINK: net/netlink_msg.c net/ip_addr.c lib/string.c lib/fmt.c
 */
#include "net/netlink.h"

#include <stdlib.h>

#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NUM = 64, DEPTH = 3 };

static void
take_apart(const uint8_t *data, size_t size, unsigned depth)
{
	const struct nl_attr *a[NUM];
	struct ip_addr addr;
	char text[16];
	uint32_t u32;
	uint16_t u16;

	if (!nl_parse(a, NUM, data, size))
		return;
	for (unsigned i = 0; i < NUM; i++) {
		if (!a[i])
			continue;
		if ((const uint8_t *)nl_data(a[i]) + nl_len(a[i]) > data + size)
			abort();
		if (nl_get_u16(a[i], &u16) && nl_len(a[i]) != 2)
			abort();
		if (nl_get_u32(a[i], &u32) && nl_len(a[i]) != 4)
			abort();
		if (nl_get_string(a[i], text, sizeof(text)) &&
		    strlen(text) >= sizeof(text))
			abort();
		(void)nl_get_addr(a[i], AF_INET, &addr);
		(void)nl_get_addr(a[i], AF_INET6, &addr);
		if (depth)
			take_apart(nl_data(a[i]), nl_len(a[i]), depth - 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy, so that the sanitizer sees the end. */
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	take_apart(copy, size, DEPTH);
	free(copy);
	return 0;
}
