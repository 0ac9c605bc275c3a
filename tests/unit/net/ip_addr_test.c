/* net/ip_addr.c. LINK: net/ip_addr.c lib/fmt.c lib/string.c */
#include "net/ip_addr.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

static struct ip_addr
addr(const char *text)
{
	struct ip_addr a = ip_any;

	if (!ip_parse(text, &a))
		ktest_fail(__FILE__, __LINE__, text, 0, 0);
	return a;
}

static void
same_text(const char *in, const char *out)
{
	struct ip_addr a = addr(in);
	char buf[IP_TEXT];

	if (strcmp(ip_format(buf, &a), out) != 0)
		ktest_fail(__FILE__, __LINE__, buf, 0, 0);
}

KTEST(ip_text_rfc5952)
{
	same_text("2001:db8::1", "2001:db8::1");
	same_text("2001:0DB8:0:0:0:0:0:1", "2001:db8::1");
	same_text("::", "::");
	same_text("::1", "::1");
	same_text("1::", "1::");
	same_text("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");       /* 4.2.3: the longest */
	same_text("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"); /* the first of equals */
	same_text(
	    "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"); /* 4.2.2: not for one */
	same_text("fe80::ffff:ffff:ffff:ffff", "fe80::ffff:ffff:ffff:ffff");
	same_text("64:ff9b::192.0.2.33", "64:ff9b::c000:221");
	same_text("192.0.2.1", "192.0.2.1");
	same_text("::ffff:192.0.2.1", "192.0.2.1");
	same_text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

KTEST(ip_text_that_is_none_is_refused)
{
	static const char *const bad[] = {"", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1",
	    "01.2.3.4", "1.2.3.4 ", "a.b.c.d", ":", ":::", "1:::2", "1::2::3",
	    "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
	    "1:2:3:4:5:6:7:8::", "g::", "1:", ":1", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4",
	    "::1.2.3.4.5", "::1.2.3.4:5", "fe80::1%eth0"};
	struct ip_addr a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (ip_parse(bad[i], &a))
			ktest_fail(__FILE__, __LINE__, bad[i], 0, 0);
}

KTEST(ip_classes)
{
	struct ip_addr a;

#define IS(fn, text) (a = addr(text), fn(&a))
	CHECK(IS(ip_is_v4, "10.0.0.1") && !IS(ip_is_v4, "2001:db8::1"));
	CHECK(IS(ip_is_unspecified, "::") && IS(ip_is_unspecified, "0.0.0.0"));
	CHECK(IS(ip_is_loopback, "127.9.9.9") && IS(ip_is_loopback, "::1"));
	CHECK(!IS(ip_is_loopback, "::2") && !IS(ip_is_loopback, "128.0.0.1"));
	CHECK(IS(ip_is_multicast, "224.0.0.1") && IS(ip_is_multicast, "239.255.255.255"));
	CHECK(IS(ip_is_multicast, "ff02::1") && !IS(ip_is_multicast, "240.0.0.1"));
	CHECK(IS(ip_is_link_local, "169.254.1.1") && IS(ip_is_link_local, "febf::1"));
	CHECK(!IS(ip_is_link_local, "fec0::1") && !IS(ip_is_link_local, "169.253.1.1"));
	CHECK(IS(ip_is_broadcast, "255.255.255.255") && !IS(ip_is_broadcast, "ff02::1"));
	CHECK(IS(ip_is_link_multicast, "224.0.0.251") &&
	      !IS(ip_is_link_multicast, "224.0.1.1"));
	CHECK(
	    IS(ip_is_link_multicast, "ff12::1") && !IS(ip_is_link_multicast, "ff05::1"));
}

KTEST(ip_prefixes_count_in_the_familys_bits)
{
	struct ip_addr a = addr("10.1.2.3"), b = addr("10.1.3.3"),
	               c = addr("2001:db8::1"), d = addr("2001:db8:8000::1"), m;

	CHECK_EQ(ip_common_prefix(&a, &b), 23);
	CHECK_EQ(ip_common_prefix(&a, &a), 32);
	CHECK_EQ(ip_common_prefix(&c, &d), 32);
	CHECK_EQ(ip_common_prefix(&a, &c), 0);
	CHECK(ip_prefix_match(&a, &b, 23) && !ip_prefix_match(&a, &b, 24));
	CHECK(!ip_prefix_match(&a, &c, 0)); /* another family */
	m = ip_mask(&a, 23);
	b = addr("10.1.2.0");
	CHECK(ip_equal(&m, &b));
	m = ip_mask(&a, 0);
	CHECK(ip_equal(&m, &ip4_any));
	m = ip_mask(&d, 33);
	b = addr("2001:db8:8000::");
	CHECK(ip_equal(&m, &b));
	m = ip_mask(&d, 128);
	CHECK(ip_equal(&m, &d));
}
