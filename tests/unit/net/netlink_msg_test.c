/*
 * net/netlink_msg.c: nothing is read or written beyond bounds, what is made can be taken apart.
 * LINK: net/netlink_msg.c net/ip_addr.c lib/string.c lib/fmt.c
 */
#include "net/netlink.h"

#include <stdlib.h>

#include "lib/string.h"
#include "tests/unit/ktest.h"

KTEST(nl_parse_finds_the_attributes_made)
{
	uint8_t buf[256];
	struct nl_out o = {.buf = buf, .size = sizeof(buf), .seq = 5, .pid = 6};
	const struct nl_attr *a[8];
	const struct nl_header *h = (const struct nl_header *)buf;
	struct ip_addr v4 = {.b = {[10] = 255, 255, 10, 1, 2, 3}}, got;
	uint32_t n = 0;
	char name[8];
	size_t nest;

	CHECK(nl_begin(&o, 20, 8));
	nl_put_u32(&o, 1, 77);
	nl_put_string(&o, 2, "abc");
	nl_put_addr(&o, 3, &v4);
	nest = nl_nest(&o, 4);
	nl_put_u8(&o, 1, 9);
	nl_nest_end(&o, nest);
	CHECK(nl_end(&o));
	CHECK_EQ(h->len, o.len);
	CHECK(h->type == 20 && h->seq == 5 && h->pid == 6);
	CHECK(nl_parse(a, 8, buf + 24, o.len - 24));
	CHECK(nl_get_u32(a[1], &n) && n == 77);
	CHECK(nl_get_string(a[2], name, sizeof(name)) && !strcmp(name, "abc"));
	CHECK(nl_get_addr(a[3], AF_INET, &got) && ip_equal(&got, &v4));
	CHECK(!nl_get_addr(a[3], AF_INET6, &got));
	CHECK(nl_parse(a, 8, nl_data(a[4]), nl_len(a[4])));
	CHECK(a[1] && nl_len(a[1]) == 1 && !a[2]);
}

KTEST(nl_get_refuses_other_sizes_and_takes_absence)
{
	struct {
		struct nl_attr a;
		uint8_t data[8];
	} x = {{6, 1}, "abcdefg"};
	uint32_t n = 3;
	uint16_t s;
	char name[3];

	CHECK(!nl_get_u32(&x.a, &n));
	CHECK(nl_get_u32(NULL, &n) && n == 3);
	CHECK(nl_get_u16(&x.a, &s));
	CHECK(nl_get_string(&x.a, name, 3) && !strcmp(name, "ab"));
	CHECK(!nl_get_string(&x.a, name, 2));
}

KTEST(nl_out_that_is_full_leaves_nothing_half_made)
{
	for (size_t size = 0; size < 120; size++) {
		uint8_t *buf = malloc(size ? size : 1);
		struct nl_out o = {.buf = buf, .size = size};
		unsigned whole = 0;

		for (unsigned i = 0; i < 4; i++) {
			size_t before = o.len;

			(void)nl_begin(&o, 1, 4);
			nl_put_string(&o, 2, "hello");
			nl_nest_end(&o, nl_nest(&o, 3));
			if (nl_end(&o))
				whole++;
			else
				CHECK_EQ(o.len, before);
		}
		CHECK_EQ(o.len, whole * 36);
		free(buf);
	}
}

KTEST(nl_parse_stays_within_random_bytes)
{
	srandom(3);
	for (unsigned i = 0; i < 200000; i++) {
		size_t n = (size_t)random() % 40;
		uint8_t *buf = malloc(n ? n : 1);
		const struct nl_attr *a[16];
		struct ip_addr addr;
		uint32_t v;
		char name[16];

		for (size_t k = 0; k < n; k++)
			buf[k] = (uint8_t)(random() % 5 ? random() % 12 : random());
		if (nl_parse(a, 16, buf, n))
			for (unsigned k = 0; k < 16; k++) {
				(void)nl_get_u32(a[k], &v);
				(void)nl_get_addr(a[k], AF_INET6, &addr);
				(void)nl_get_string(a[k], name, sizeof(name));
			}
		free(buf);
	}
}
