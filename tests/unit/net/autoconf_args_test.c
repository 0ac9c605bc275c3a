/*
 * net/autoconf_args.c: ip=, ip6=, dns= of the command line. LINK: net/autoconf_args.c net/ip_addr.c
 * lib/string.c lib/fmt.c
 */
#include "net/autoconf_args.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

KTEST(ip_arg_words)
{
	struct ip_arg a;

	CHECK(ip_arg_parse("dhcp", &a) && a.mode == IP_AUTO_DHCP);
	CHECK(ip_arg_parse("on", &a) && a.mode == IP_AUTO_DHCP);
	CHECK(ip_arg_parse("off", &a) && a.mode == IP_AUTO_OFF);
	CHECK(ip_arg_parse("none", &a) && a.mode == IP_AUTO_OFF);
	CHECK(!ip_arg_parse("maybe", &a));
}

KTEST(ip_arg_in_linux_form_with_all_fields)
{
	struct ip_arg a;

	CHECK(ip_arg_parse(
	    "10.0.0.2:10.0.0.9:10.0.0.1:255.255.255.0:keel:eth1:off:1.1.1.1:8.8.8.8:"
	    "10.0.0.3",
	    &a));
	CHECK_EQ(be32_get(a.addr.v4), 0x0a000002);
	CHECK_EQ(be32_get(a.gateway.v4), 0x0a000001);
	CHECK_EQ(a.plen, 24);
	CHECK(!strcmp(a.host, "keel") && !strcmp(a.device, "eth1"));
	CHECK_EQ(a.mode, IP_AUTO_OFF);
	CHECK_EQ(be32_get(a.dns[1].v4), 0x08080808);
	CHECK_EQ(be32_get(a.ntp.v4), 0x0a000003);
}

KTEST(ip_arg_short_forms)
{
	struct ip_arg a;

	CHECK(ip_arg_parse("10.0.0.2/20::10.0.0.1", &a));
	CHECK_EQ(a.plen, 20);
	CHECK_EQ(a.mode, IP_AUTO_OFF);
	CHECK(ip_arg_parse("192.168.1.2::::", &a));
	CHECK_EQ(a.plen, 24);
	CHECK(ip_arg_parse("::::host:eth0:dhcp", &a));
	CHECK(a.mode == IP_AUTO_DHCP && !strcmp(a.host, "host"));
	CHECK(ip_arg_parse(":::::eth2", &a) && a.mode == IP_AUTO_DHCP);
}

KTEST(ip_arg_refuses_nonsense)
{
	static const char *const bad[] = {"10.0.0.256:", "10.0.0.2:::255.0.255.0",
	    "10.0.0.2/33:", "fe80--1:", "10.0.0.2::::::dhpc",
	    "10.0.0.2:::::a-name-far-too-long-for-it", "10.0.0.2::x:"};
	struct ip_arg a;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!ip_arg_parse(bad[i], &a));
}

KTEST(ip6_arg)
{
	struct ip6_arg a;

	CHECK(ip6_arg_parse("2001:db8::2/56,fe80::1,eth0", &a));
	CHECK_EQ(a.plen, 56);
	CHECK(!strcmp(a.device, "eth0") && a.gateway.b[0] == 0xfe);
	CHECK(ip6_arg_parse("2001:db8::2", &a) && a.plen == 64);
	CHECK(ip6_arg_parse("off", &a) && a.is_off);
	CHECK(!ip6_arg_parse("10.0.0.1/8", &a));
	CHECK(!ip6_arg_parse("2001:db8::2/129", &a));
}

KTEST(dns_list)
{
	struct ip_addr a[3];

	CHECK_EQ(addr_list_parse("1.1.1.1,2001:db8::53", a, 3), 2);
	CHECK_EQ(addr_list_parse("1.1.1.1,x", a, 3), 0);
	CHECK_EQ(addr_list_parse("", a, 3), 0);
}
