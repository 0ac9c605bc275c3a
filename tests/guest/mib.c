/*
 * The counters of /proc/net/snmp, snmp6 and netstat: their lines and columns, and what makes them
 * grow. On Linux too: in a network namespace of its own, or with others' counts in between.
 */
#define _GNU_SOURCE
#include "tests/guest/net_util.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>

/* 0 while the column is not there. */
static long
column(const char *path, const char *group, const char *name)
{
	long n = column_of(path, group, name);

	return n < 0 ? 0 : n;
}

static long
line6(const char *name)
{
	FILE *f = fopen("/proc/net/snmp6", "r");
	char text[128], got[64];
	long value, found = 0;

	CHECK(f != NULL);
	while (fgets(text, sizeof(text), f)) {
		CHECK_EQ(sscanf(text, "%63s %ld", got, &value), 2);
		CHECK_EQ(text[32], '\t');
		if (!strcmp(got, name))
			found = value;
	}
	fclose(f);
	return found;
}

static long
snmp(const char *group, const char *name)
{
	return column("/proc/net/snmp", group, name);
}

static void
lines_have_linux_columns(void)
{
	static const char *const heads[] = {
	    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams "
	    "InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes "
	    "ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates",
	    "Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs "
	    "InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps "
	    "InAddrMasks InAddrMaskReps OutMsgs OutErrors",
	    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens "
	    "AttemptFails "
	    "EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts "
	    "InCsumErrors",
	    "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors "
	    "InCsumErrors IgnoredMulti MemErrors",
	    "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors "
	    "SndbufErrors "
	    "InCsumErrors IgnoredMulti MemErrors"};
	FILE *f = fopen("/proc/net/snmp", "r");
	char line[4096];
	unsigned n = 0;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		if (n < 5 && !strncmp(line, heads[n], strlen(heads[n])))
			n++;
	}
	CHECK_EQ(n, 5);
	fclose(f);
	CHECK_EQ(column("/proc/net/netstat", "IpExt", "no such column"), 0);
}

/* An echo by a raw socket; its answer is waited for. */
static void
echo(int family)
{
	struct sockaddr_in a4 = in("127.0.0.1", 0);
	struct sockaddr_in6 a6 = in6("::1", 0);
	bool is_v4 = family == AF_INET;
	int fd = socket(family, SOCK_RAW, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	uint8_t data[64] = {is_v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0, 0, 1, 2, 0, 3};
	struct timeval limit = {.tv_sec = 2};

	CHECK(fd >= 0);
	if (is_v4)
		data[2] = 0xf6, data[3] = 0xfa; /* ~(0800 + 0102 + 0003) */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	CHECK_EQ(sendto(fd, data, sizeof(data), 0, is_v4 ? (void *)&a4 : (void *)&a6,
	             is_v4 ? sizeof(a4) : sizeof(a6)),
	    (long)sizeof(data));
	for (unsigned i = 0; i < 2; i++) /* the request, the answer */
		CHECK(recv(fd, data, sizeof(data), 0) > 0);
	close(fd);
}

static void
icmp_is_counted_by_type(void)
{
	static const char *const types[] = {"InType8", "OutType8", "InType0", "OutType0"};
	static const char *const names[] = {
	    "InEchos", "OutEchos", "InEchoReps", "OutEchoReps", "InMsgs", "OutMsgs"};
	long before[10];

	for (unsigned i = 0; i < 10; i++)
		before[i] =
		    i < 4 ? snmp("IcmpMsg", types[i]) : snmp("Icmp", names[i - 4]);
	echo(AF_INET);
	for (unsigned i = 0; i < 10; i++)
		CHECK((i < 4 ? snmp("IcmpMsg", types[i]) : snmp("Icmp", names[i - 4])) >=
		      before[i] + (i < 8 ? 1 : 2));
}

static void
an_unknown_icmp_type_is_counted_by_its_number(void)
{
	struct sockaddr_in to = in("127.0.0.1", 0);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	long in200 = snmp("IcmpMsg", "InType200"), out200 = snmp("IcmpMsg", "OutType200");
	long errors = snmp("Icmp", "InErrors");
	uint8_t data[8] = {200, 0, 0x37, 0xff};

	CHECK(fd >= 0);
	CHECK_EQ(sendto(fd, data, sizeof(data), 0, (void *)&to, sizeof(to)), 8);
	usleep(50000);
	CHECK(snmp("IcmpMsg", "InType200") >= in200 + 1);
	CHECK(snmp("IcmpMsg", "OutType200") >= out200 + 1);
	CHECK(snmp("Icmp", "InErrors") >= errors + 1);
	close(fd);
}

static void
icmp6_is_counted_by_type(void)
{
	static const char *const names[] = {"Icmp6InEchos", "Icmp6OutEchos",
	    "Icmp6InEchoReplies", "Icmp6OutEchoReplies", "Icmp6InType128",
	    "Icmp6OutType128", "Icmp6InType129", "Icmp6OutType129"};
	long before[8];

	for (unsigned i = 0; i < 8; i++)
		before[i] = line6(names[i]);
	echo(AF_INET6);
	for (unsigned i = 0; i < 8; i++)
		CHECK(line6(names[i]) >= before[i] + 1);
}

static void
a_port_that_nobody_has_counts_as_unreachable(void)
{
	struct sockaddr_in to = in("127.0.0.1", 9);
	struct sockaddr_in6 to6 = in6("::1", 9);
	long out = snmp("Icmp", "OutDestUnreachs"), type = snmp("IcmpMsg", "OutType3");
	long out6 = line6("Icmp6OutDestUnreachs"), in6 = line6("Icmp6InType1");
	int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);

	CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	CHECK_EQ(sendto(fd6, "x", 1, 0, (void *)&to6, sizeof(to6)), 1);
	usleep(50000);
	CHECK(snmp("Icmp", "OutDestUnreachs") >= out + 1);
	CHECK(snmp("IcmpMsg", "OutType3") >= type + 1);
	CHECK(line6("Icmp6OutDestUnreachs") >= out6 + 1);
	CHECK(line6("Icmp6InType1") >= in6 + 1);
	close(fd);
	close(fd6);
}

/* Joining tells the link's routers and neighbours: a message to a group by no route. */
static void
messages_of_the_link_count_as_octets_to_groups(void)
{
	long requests = line6("Ip6OutRequests"), pkts = line6("Ip6OutMcastPkts");
	long octets = line6("Ip6OutMcastOctets"), all = line6("Ip6OutOctets");

	/* Solicitations of an address that is nobody's, and reports of groups, go out at boot:
	   whatever was sent to groups has a length. */
	CHECK(requests >= pkts);
	CHECK(all >= octets);
	CHECK(octets >= pkts * 40);
	if (line6("Icmp6OutMLDv2Reports"))
		CHECK(pkts >= line6("Icmp6OutMLDv2Reports"));
}

static const struct test tests[] = {
    TEST(lines_have_linux_columns),
    TEST(icmp_is_counted_by_type),
    TEST(an_unknown_icmp_type_is_counted_by_its_number),
    TEST(icmp6_is_counted_by_type),
    TEST(a_port_that_nobody_has_counts_as_unreachable),
    TEST(messages_of_the_link_count_as_octets_to_groups),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
