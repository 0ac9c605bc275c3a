/*
 * mcast: groups and their source filters, as several sockets make them together; broadcasts.
 *
 *	mcast			its tests, over loopback
 *	mcast hold IFNAME GROUP in|ex [SOURCE...]
 *				a member until it is killed; prints who sent what comes in to port 7777
 */
#define _GNU_SOURCE
#include "tests/guest/net_util.h"

#include <net/if.h>

enum { LO = 1, PORT = 7777 };

/* An address of either family. */
static struct sockaddr_storage
addr(const char *text, int port)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	struct sockaddr_in a4 = in(text, port);
	struct sockaddr_in6 a6 = in6(text, port);

	if (strchr(text, ':'))
		memcpy(&ss, &a6, sizeof(a6));
	else
		memcpy(&ss, &a4, sizeof(a4));
	return ss;
}

static int
level_of(const char *text)
{
	return strchr(text, ':') ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int
source_option(int fd, int opt, const char *group, const char *source)
{
	struct group_source_req r = {.gsr_interface = LO,
	    .gsr_group = addr(group, 0),
	    .gsr_source = addr(source, 0)};

	return setsockopt(fd, level_of(group), opt, &r, sizeof(r));
}

static int
group_option(int fd, int opt, unsigned ifindex, const char *group)
{
	struct group_req r = {.gr_interface = ifindex, .gr_group = addr(group, 0)};

	return setsockopt(fd, level_of(group), opt, &r, sizeof(r));
}

/* MCAST_MSFILTER with `n` sources. */
static int
set_filter(int fd, unsigned ifindex, const char *group, int mode, int n, char **sources)
{
	struct group_filter *f = calloc(1, GROUP_FILTER_SIZE(n ? n : 1));
	int r;

	f->gf_interface = ifindex;
	f->gf_group = addr(group, 0);
	f->gf_fmode = (uint32_t)mode;
	f->gf_numsrc = (uint32_t)n;
	for (int i = 0; i < n; i++)
		f->gf_slist[i] = addr(sources[i], 0);
	r = setsockopt(
	    fd, level_of(group), MCAST_MSFILTER, f, (socklen_t)GROUP_FILTER_SIZE(n));
	free(f);
	return r;
}

/* A socket at `port` (0: any; then the others') that hears only groups of its own. */
static int
member(const char *any, int port)
{
	struct sockaddr_storage at = addr(any, port);
	int fd = socket(at.ss_family, SOCK_DGRAM, 0);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_EQ(bind(fd, (void *)&at, sizeof(at)), 0);
	if (at.ss_family == AF_INET)
		set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	return fd;
}

/* What follows `key` in each row of the file that has it, joined by ';'. */
static const char *
rows(const char *file, const char *key)
{
	static char all[512];
	char line[256];
	FILE *f = fopen(file, "r");

	all[0] = 0;
	CHECK(f);
	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, key);

		line[strcspn(line, "\n")] = 0;
		if (at) {
			strcat(all, at + strlen(key));
			strcat(all, ";");
		}
	}
	if (f)
		fclose(f);
	return all;
}

static void
check_text(const char *is, const char *want)
{
	if (strcmp(is, want))
		printf("# \"%s\", not \"%s\"\n", is, want);
	CHECK(!strcmp(is, want));
}

/* Sends from `source` to the group; bit i: member i got it. */
static unsigned
who_hears(const char *source, const char *group, int m[], int n)
{
	struct sockaddr_storage from = addr(source, 0), to = addr(group, port_of(m[0]));
	struct ip_mreqn r = {.imr_ifindex = LO};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned heard = 0;
	char c;

	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &r, sizeof(r)), 0);
	CHECK_EQ(bind(fd, (void *)&from, sizeof(from)), 0);
	CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)), 1);
	usleep(50000);
	for (int i = 0; i < n; i++)
		if (recv(m[i], &c, 1, MSG_DONTWAIT) == 1)
			heard |= 1u << i;
	close(fd);
	return heard;
}

static void
filters_of_three_sockets_are_merged(void)
{
	static const char g[] = "239.7.7.7", row[] = "lo 0xef070707";
	static const char five[] = "127.0.0.5", six[] = "127.0.0.6",
	                  seven[] = "127.0.0.7";
	int m[3] = {member("0.0.0.0", 0)};

	m[1] = member("0.0.0.0", port_of(m[0]));
	m[2] = member("0.0.0.0", port_of(m[0]));
	CHECK_EQ(source_option(m[0], MCAST_JOIN_SOURCE_GROUP, g, five), 0);
	check_text(rows("/proc/net/mcfilter", row), " 0x7f000005      1      0;");
	CHECK_EQ(who_hears(five, g, m, 3), 1);
	CHECK_EQ(who_hears(six, g, m, 3), 0);
	CHECK_EQ(group_option(m[1], MCAST_JOIN_GROUP, LO, g), 0);
	CHECK_EQ(source_option(m[1], MCAST_BLOCK_SOURCE, g, six), 0);
	check_text(rows("/proc/net/mcfilter", row),
	    " 0x7f000005      1      0; 0x7f000006      0      1;");
	CHECK_EQ(who_hears(five, g, m, 3), 3);
	CHECK_EQ(who_hears(six, g, m, 3), 0);
	CHECK_EQ(who_hears(seven, g, m, 3), 2);
	CHECK_EQ(source_option(m[2], MCAST_JOIN_SOURCE_GROUP, g, six), 0);
	CHECK_EQ(who_hears(six, g, m, 3), 4);
	CHECK(strstr(rows("/proc/net/igmp", "070707EF"), "     3 0:00000000"));
	CHECK_EQ(close(m[1]), 0);
	usleep(50000);
	check_text(rows("/proc/net/mcfilter", row),
	    " 0x7f000005      1      0; 0x7f000006      1      0;");
	m[1] = m[2];
	CHECK_EQ(who_hears(seven, g, m, 2), 0);
	CHECK_EQ(source_option(m[0], MCAST_LEAVE_SOURCE_GROUP, g, five), 0);
	CHECK_ERR(group_option(m[0], MCAST_LEAVE_GROUP, LO, g), EADDRNOTAVAIL);
	CHECK_EQ(group_option(m[2], MCAST_LEAVE_GROUP, LO, g), 0);
	check_text(rows("/proc/net/mcfilter", row), "");
	check_text(rows("/proc/net/igmp", "070707EF"), "");
}

static void
filters_over_v6_are_merged(void)
{
	static const char g[] = "ff15::7:7",
	                  group_row[] = "ff150000000000000000000000070007";
	char *sources[] = {"::1", "fd00::9"};
	int m[2] = {member("::", 0)};

	m[1] = member("::", port_of(m[0]));
	CHECK_ERR(set_filter(m[0], LO, g, MCAST_INCLUDE, 2, sources), EINVAL);
	CHECK_EQ(group_option(m[0], MCAST_JOIN_GROUP, LO, g), 0);
	CHECK_EQ(set_filter(m[0], LO, g, MCAST_INCLUDE, 1, sources + 1), 0);
	check_text(rows("/proc/net/mcfilter6", group_row),
	    " fd000000000000000000000000000009      1      0;");
	CHECK_EQ(group_option(m[1], MCAST_JOIN_GROUP, LO, g), 0);
	CHECK_EQ(set_filter(m[1], LO, g, MCAST_EXCLUDE, 2, sources), 0);
	CHECK(strstr(rows("/proc/net/igmp6", group_row), "     2 "));
	CHECK_EQ(set_filter(m[0], LO, g, MCAST_INCLUDE, 2, sources), 0);
	CHECK_EQ(set_filter(m[0], LO, g, MCAST_INCLUDE, 0, sources), 0); /* leaves */
	CHECK_ERR(group_option(m[0], MCAST_LEAVE_GROUP, LO, g), EADDRNOTAVAIL);
	CHECK_EQ(set_filter(m[1], LO, g, MCAST_EXCLUDE, 0, sources), 0);
	check_text(rows("/proc/net/mcfilter6", group_row), "");
	CHECK_EQ(group_option(m[1], MCAST_LEAVE_GROUP, LO, g), 0);
	check_text(rows("/proc/net/mcfilter6", group_row), "");
}

static void
wrong_changes_are_refused(void)
{
	static const char g[] = "239.7.7.8", a[] = "10.0.0.1", b[] = "10.0.0.2";
	int fd = member("0.0.0.0", 0);

	CHECK_ERR(source_option(fd, MCAST_BLOCK_SOURCE, g, a), EINVAL);
	CHECK_ERR(source_option(fd, MCAST_LEAVE_SOURCE_GROUP, g, a), EINVAL);
	CHECK_EQ(source_option(fd, MCAST_JOIN_SOURCE_GROUP, g, a), 0);
	CHECK_ERR(source_option(fd, MCAST_JOIN_SOURCE_GROUP, g, a), EADDRNOTAVAIL);
	CHECK_ERR(source_option(fd, MCAST_BLOCK_SOURCE, g, b), EINVAL);
	CHECK_ERR(source_option(fd, MCAST_LEAVE_SOURCE_GROUP, g, b), EADDRNOTAVAIL);
	CHECK_ERR(group_option(fd, MCAST_JOIN_GROUP, LO, g), EADDRINUSE);
	CHECK_ERR(source_option(fd, MCAST_JOIN_SOURCE_GROUP, "10.1.1.1", a), EINVAL);
	CHECK_EQ(group_option(fd, MCAST_LEAVE_GROUP, LO, g), 0);
}

/* The rows that every interface has. */
static void
groups_of_all_nodes_are_listed(void)
{
	check_text(
	    rows("/proc/net/igmp6", "lo              ff020000000000000000000000000001"),
	    "     1 0000000C 0;");
	check_text(
	    rows("/proc/net/igmp6", "lo              ff010000000000000000000000000001"),
	    "     1 00000008 0;");
}

static void
multicast_reaches_every_member(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), m[3];
	struct sockaddr_in any = in("0.0.0.0", 0), group, from;
	socklen_t len = sizeof(from);
	struct ip_mreqn r = {.imr_ifindex = 1};
	struct ip_mreq_source block;
	char buf[8];

	inet_pton(AF_INET, "239.1.2.3", &r.imr_multiaddr);
	for (int i = 0; i < 3; i++) {
		m[i] = socket(AF_INET, SOCK_DGRAM, 0);
		set(m[i], SOL_SOCKET, SO_REUSEADDR, 1);
		CHECK_EQ(bind(m[i], (void *)&any, sizeof(any)), 0);
		any.sin_port = htons(port_of(m[0]));
		set(m[i], IPPROTO_IP, IP_MULTICAST_ALL, 0);
		if (i < 2)
			CHECK_EQ(setsockopt(
			             m[i], IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)),
			    0);
	}
	CHECK_ERR(
	    setsockopt(m[0], IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), EADDRINUSE);
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &r, sizeof(r)), 0);
	group = in("239.1.2.3", port_of(m[0]));
	CHECK_EQ(sendto(a, "all", 3, 0, (void *)&group, sizeof(group)), 3);
	CHECK_EQ(recvfrom(m[0], buf, 8, 0, (void *)&from, &len), 3);
	CHECK_EQ(recv(m[1], buf, 8, 0), 3);
	usleep(50000);
	CHECK_ERR(recv(m[2], buf, 8, MSG_DONTWAIT), EAGAIN);
	block.imr_multiaddr = r.imr_multiaddr;
	block.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
	block.imr_sourceaddr = from.sin_addr;
	CHECK_EQ(setsockopt(m[1], IPPROTO_IP, IP_BLOCK_SOURCE, &block, sizeof(block)), 0);
	CHECK_EQ(sendto(a, "all", 3, 0, (void *)&group, sizeof(group)), 3);
	CHECK_EQ(recv(m[0], buf, 8, 0), 3);
	usleep(50000);
	CHECK_ERR(recv(m[1], buf, 8, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(setsockopt(m[0], IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof(r)), 0);
	CHECK_ERR(setsockopt(m[0], IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof(r)),
	    EADDRNOTAVAIL);
	inet_pton(AF_INET, "10.0.0.1", &r.imr_multiaddr);
	CHECK_ERR(setsockopt(m[0], IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), EINVAL);
}

static void
whole_source_filters_read_back(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0);
	struct ip_mreqn r = {.imr_ifindex = 1};
	union {
		struct ip_msfilter f;
		char room[IP_MSFILTER_SIZE(4)];
	} u = {.f = {.imsf_fmode = MCAST_INCLUDE, .imsf_numsrc = 2}}, v;
	struct group_source_req g = {.gsr_interface = 1};
	struct sockaddr_in group = in("239.1.2.4", 0), source = in("10.9.9.3", 0);
	socklen_t len = sizeof(v);

	r.imr_multiaddr = u.f.imsf_multiaddr = group.sin_addr;
	u.f.imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
	u.f.imsf_slist[0] = in("10.9.9.1", 0).sin_addr;
	((struct in_addr *)u.f.imsf_slist)[1] = in("10.9.9.2", 0).sin_addr;
	CHECK_ERR(
	    setsockopt(a, IPPROTO_IP, IP_MSFILTER, &u, IP_MSFILTER_SIZE(2)), EINVAL);
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), 0);
	CHECK_ERR(
	    setsockopt(a, IPPROTO_IP, IP_MSFILTER, &u, IP_MSFILTER_SIZE(1)), EINVAL);
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_MSFILTER, &u, IP_MSFILTER_SIZE(2)), 0);
	memcpy(&g.gsr_group, &group, sizeof(group));
	memcpy(&g.gsr_source, &source, sizeof(source));
	CHECK_EQ(setsockopt(a, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &g, sizeof(g)), 0);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, MCAST_BLOCK_SOURCE, &g, sizeof(g)), EINVAL);
	v = u;
	v.f.imsf_numsrc = 4;
	CHECK_EQ(getsockopt(a, IPPROTO_IP, IP_MSFILTER, &v, &len), 0);
	CHECK_EQ(v.f.imsf_fmode, MCAST_INCLUDE);
	CHECK_EQ(v.f.imsf_numsrc, 3);
	CHECK_EQ(len, IP_MSFILTER_SIZE(3));
	u.f.imsf_numsrc = 0; /* includes nobody: leaves */
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_MSFILTER, &u, IP_MSFILTER_SIZE(0)), 0);
	CHECK_ERR(
	    setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof(r)), EADDRNOTAVAIL);
}

static void
the_loopback_net_has_a_broadcast(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), m[2];
	struct sockaddr_in any = in("0.0.0.0", 0), to;
	char buf[8];

	for (int i = 0; i < 2; i++) {
		m[i] = socket(AF_INET, SOCK_DGRAM, 0);
		set(m[i], SOL_SOCKET, SO_REUSEADDR, 1);
		CHECK_EQ(bind(m[i], (void *)&any, sizeof(any)), 0);
		any.sin_port = htons(port_of(m[0]));
	}
	to = in("127.255.255.255", port_of(m[0]));
	CHECK_ERR(sendto(a, "all", 3, 0, (void *)&to, sizeof(to)), EACCES);
	set(a, SOL_SOCKET, SO_BROADCAST, 1);
	CHECK_EQ(sendto(a, "all", 3, 0, (void *)&to, sizeof(to)), 3);
	CHECK_EQ(recv(m[0], buf, 8, 0), 3);
	CHECK_EQ(recv(m[1], buf, 8, 0), 3);
	to = in("127.255.255.254", port_of(m[0])); /* a host of that net */
	CHECK_EQ(sendto(a, "one", 3, 0, (void *)&to, sizeof(to)), 3);
	usleep(50000);
	CHECK_EQ((recv(m[0], buf, 8, MSG_DONTWAIT) == 3) +
	             (recv(m[1], buf, 8, MSG_DONTWAIT) == 3),
	    1);
}

static int
hold(char **args, int n)
{
	const char *group = args[1];
	int fd = member(level_of(group) == IPPROTO_IP ? "0.0.0.0" : "::", PORT);
	unsigned ifindex = if_nametoindex(args[0]);
	int mode = strcmp(args[2], "in") ? MCAST_EXCLUDE : MCAST_INCLUDE;

	if (group_option(fd, MCAST_JOIN_GROUP, ifindex, group) ||
	    (n > 3 && set_filter(fd, ifindex, group, mode, n - 3, args + 3)))
		return 1;
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		char c, text[64];

		if (recvfrom(fd, &c, 1, 0, (void *)&from, &len) < 0)
			return 1;
		inet_ntop(from.ss_family,
		    from.ss_family == AF_INET
		        ? (void *)&((struct sockaddr_in *)&from)->sin_addr
		        : (void *)&((struct sockaddr_in6 *)&from)->sin6_addr,
		    text, sizeof(text));
		printf("heard %s\n", text);
		fflush(stdout);
	}
}

static const struct test tests[] = {
    TEST(filters_of_three_sockets_are_merged),
    TEST(filters_over_v6_are_merged),
    TEST(wrong_changes_are_refused),
    TEST(groups_of_all_nodes_are_listed),
    TEST(multicast_reaches_every_member),
    TEST(whole_source_filters_read_back),
    TEST(the_loopback_net_has_a_broadcast),
};

int
main(int argc, char **argv)
{
	int failed = 0;

	if (argc > 4 && !strcmp(argv[1], "hold"))
		return hold(argv + 2, argc - 2);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (argc < 2 || !strcmp(argv[1], tests[i].name))
			failed += run_test(&tests[i]);
	return failed;
}
