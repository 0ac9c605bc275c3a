/*
 * The stack's counters in Linux's formats: /proc/net/snmp, snmp6 and netstat. netstat -s and nstat
 * find them by name.
 */
#include "kernel/panic.h"
#include "kernel/procfs.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "net/inet_priv.h"
#include "net/ip4.h"
#include "net/ip6.h"
#include "net/sysctl.h"
#include "net/tcp.h"

static const struct {
	const char *group, *name;
} mib_names[NUM_MIBS] = {
#define MIB_COUNTER(g, n) {#g, #n},
#include "net/mib.def"
#undef MIB_COUNTER
};

/* Two lines: names, values. Of a group that lies together in the table. */
static void
show_group(struct seq *q, const char *group)
{
	seq_printf(q, "%s:", group);
	for (unsigned i = 0; i < NUM_MIBS; i++)
		if (strcmp(mib_names[i].group, group) == 0)
			seq_printf(q, " %s", mib_names[i].name);
	seq_printf(q, "\n%s:", group);
	for (unsigned i = 0; i < NUM_MIBS; i++)
		if (strcmp(mib_names[i].group, group) == 0)
			seq_printf(q, " %lu", mib_get((enum mib)i));
	seq_putc(q, '\n');
}

/* ---- snmp --------------------------------------------------------------------------------- */

/* Two columns are settings. */
static void
show_ip(struct seq *q)
{
	seq_puts(q, "Ip: Forwarding DefaultTTL");
	for (unsigned i = MIB_Ip_InReceives; i <= MIB_Ip_FragCreates; i++)
		seq_printf(q, " %s", mib_names[i].name);
	seq_printf(q, "\nIp: %u %u", sysctl_is_forwarding4() ? 1u : 2u,
	    (unsigned)ip4_default_ttl);
	for (unsigned i = MIB_Ip_InReceives; i <= MIB_Ip_FragCreates; i++)
		seq_printf(q, " %lu", mib_get((enum mib)i));
	seq_putc(q, '\n');
}

/* The types with a column of their own. */
static const struct {
	const char *name;
	uint8_t type;
} icmp4_names[] = {
    {"DestUnreachs", ICMP4_UNREACH},
    {"TimeExcds", ICMP4_TIME_EXCEEDED},
    {"ParmProbs", ICMP4_PARAM},
    {"SrcQuenchs", ICMP4_QUENCH},
    {"Redirects", ICMP4_REDIRECT},
    {"Echos", ICMP4_ECHO},
    {"EchoReps", ICMP4_ECHO_REPLY},
    {"Timestamps", ICMP4_TIMESTAMP},
    {"TimestampReps", ICMP4_TIMESTAMP_REPLY},
    {"AddrMasks", ICMP4_MASK},
    {"AddrMaskReps", ICMP4_MASK_REPLY},
};

static void
show_icmp(struct seq *q)
{
	seq_puts(q, "Icmp: InMsgs InErrors InCsumErrors");
	for (size_t i = 0; i < ARRAY_SIZE(icmp4_names); i++)
		seq_printf(q, " In%s", icmp4_names[i].name);
	seq_puts(q, " OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost");
	for (size_t i = 0; i < ARRAY_SIZE(icmp4_names); i++)
		seq_printf(q, " Out%s", icmp4_names[i].name);
	seq_printf(q, "\nIcmp: %lu %lu %lu", mib_get(MIB_Icmp_InMsgs),
	    mib_get(MIB_Icmp_InErrors), mib_get(MIB_Icmp_InCsumErrors));
	for (size_t i = 0; i < ARRAY_SIZE(icmp4_names); i++)
		seq_printf(q, " %lu", mib_icmp_get(MIB_ICMP4_IN, icmp4_names[i].type));
	seq_printf(q, " %lu %lu %lu %lu", mib_get(MIB_Icmp_OutMsgs),
	    mib_get(MIB_Icmp_OutErrors), mib_get(MIB_Icmp_OutRateLimitGlobal),
	    mib_get(MIB_Icmp_OutRateLimitHost));
	for (size_t i = 0; i < ARRAY_SIZE(icmp4_names); i++)
		seq_printf(q, " %lu", mib_icmp_get(MIB_ICMP4_OUT, icmp4_names[i].type));
	seq_putc(q, '\n');
}

/* A type that was seen, either way. */
struct seen {
	uint8_t type;
	bool is_out;
	uint64_t count;
};

static void
show_seen(struct seq *q, const struct seen *seen, unsigned n)
{
	if (!n)
		return;
	seq_puts(q, "IcmpMsg:");
	for (unsigned i = 0; i < n; i++)
		seq_printf(q, " %sType%u", seen[i].is_out ? "Out" : "In", seen[i].type);
	seq_puts(q, "\nIcmpMsg:");
	for (unsigned i = 0; i < n; i++)
		seq_printf(q, " %lu", seen[i].count);
	seq_putc(q, '\n');
}

/* Those types that were seen, at most 16 to a pair of lines. */
static void
show_icmp_types(struct seq *q)
{
	struct seen seen[16];
	unsigned n = 0;

	for (unsigned i = 0; i < 2 * MIB_ICMP_TYPES; i++) {
		bool is_out = i >= MIB_ICMP_TYPES;
		uint64_t count =
		    mib_icmp_get(is_out ? MIB_ICMP4_OUT : MIB_ICMP4_IN, (uint8_t)i);

		if (!count)
			continue;
		seen[n++] = (struct seen){(uint8_t)i, is_out, count};
		if (n == ARRAY_SIZE(seen)) {
			show_seen(q, seen, n);
			n = 0;
		}
	}
	show_seen(q, seen, n);
}

/* Columns stand where Linux has them: programs find them by name, people by habit. */
static void
show_tcp(struct seq *q)
{
	static const enum mib ours[] = {MIB_Tcp_ActiveOpens, MIB_Tcp_PassiveOpens,
	    MIB_Tcp_AttemptFails, MIB_Tcp_EstabResets};
	static const enum mib rest[] = {MIB_Tcp_InSegs, MIB_Tcp_OutSegs,
	    MIB_Tcp_RetransSegs, MIB_Tcp_InErrs, MIB_Tcp_OutRsts, MIB_Tcp_InCsumErrors};
	struct tcp_stats tcp;

	tcp_get_stats(&tcp);
	seq_puts(q,
	    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens "
	    "AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs "
	    "OutRsts InCsumErrors\nTcp: 1 200 120000 -1");
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		seq_printf(q, " %lu", mib_get(ours[i]));
	seq_printf(q, " %u", tcp.established);
	for (size_t i = 0; i < ARRAY_SIZE(rest); i++)
		seq_printf(q, " %lu", mib_get(rest[i]));
	seq_putc(q, '\n');
}

static void
show_snmp(struct seq *q)
{
	show_ip(q);
	show_icmp(q);
	show_icmp_types(q);
	show_tcp(q);
	show_group(q, "Udp");
	seq_puts(q, "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors "
	            "SndbufErrors InCsumErrors IgnoredMulti MemErrors\nUdpLite: 0 0 0 0 "
	            "0 0 0 0 0\n");
}

/* ---- snmp6 -------------------------------------------------------------------------------- */

static void
show_line6(struct seq *q, const char *group, const char *name, uint64_t value)
{
	char both[40];

	(void)scnprintf(both, sizeof(both), "%s%s", group, name);
	seq_printf(q, "%-32s\t%lu\n", both, value);
}

static void
show_group6(struct seq *q, const char *group)
{
	for (unsigned i = 0; i < NUM_MIBS; i++)
		if (strcmp(mib_names[i].group, group) == 0)
			show_line6(q, group, mib_names[i].name, mib_get((enum mib)i));
}

static const struct {
	const char *name;
	uint8_t type;
} icmp6_names[] = {
    {"DestUnreachs", ICMP6_UNREACHABLE},
    {"PktTooBigs", ICMP6_TOO_BIG},
    {"TimeExcds", ICMP6_TIME_EXCEEDED},
    {"ParmProblems", ICMP6_PARAM_PROBLEM},
    {"Echos", ICMP6_ECHO_REQUEST},
    {"EchoReplies", ICMP6_ECHO_REPLY},
    {"GroupMembQueries", ICMP6_MLD_QUERY},
    {"GroupMembResponses", ICMP6_MLD_REPORT},
    {"GroupMembReductions", ICMP6_MLD_DONE},
    {"RouterSolicits", ICMP6_ROUTER_SOLICIT},
    {"RouterAdvertisements", ICMP6_ROUTER_ADVERT},
    {"NeighborSolicits", ICMP6_NEIGHBOUR_SOLICIT},
    {"NeighborAdvertisements", ICMP6_NEIGHBOUR_ADVERT},
    {"Redirects", ICMP6_REDIRECT},
    {"MLDv2Reports", ICMP6_MLD2_REPORT},
};

static void
show_icmp6_way(struct seq *q, const char *way, enum mib_icmp which)
{
	for (size_t i = 0; i < ARRAY_SIZE(icmp6_names); i++)
		show_line6(q, way, icmp6_names[i].name,
		    mib_icmp_get(which, icmp6_names[i].type));
}

/* Those that were seen. */
static void
show_icmp6_types(struct seq *q, const char *way, enum mib_icmp which)
{
	char name[16];

	for (unsigned i = 0; i < MIB_ICMP_TYPES; i++) {
		uint64_t count = mib_icmp_get(which, (uint8_t)i);

		(void)scnprintf(name, sizeof(name), "Type%u", i);
		if (count)
			show_line6(q, way, name, count);
	}
}

static void
show_snmp6(struct seq *q)
{
	static const char *const lite[] = {"InDatagrams", "NoPorts", "InErrors",
	    "OutDatagrams", "RcvbufErrors", "SndbufErrors", "InCsumErrors", "MemErrors"};

	show_group6(q, "Ip6");
	show_group6(q, "Icmp6");
	show_icmp6_way(q, "Icmp6In", MIB_ICMP6_IN);
	show_icmp6_way(q, "Icmp6Out", MIB_ICMP6_OUT);
	show_icmp6_types(q, "Icmp6In", MIB_ICMP6_IN);
	show_icmp6_types(q, "Icmp6Out", MIB_ICMP6_OUT);
	show_group6(q, "Udp6");
	for (size_t i = 0; i < ARRAY_SIZE(lite); i++)
		show_line6(q, "UdpLite6", lite[i], 0);
}

/* ---- netstat ------------------------------------------------------------------------------ */

static void
show_netstat(struct seq *q)
{
	show_group(q, "TcpExt");
	show_group(q, "IpExt");
}

void
mib_proc_init(void)
{
	if (proc_register("net/snmp", show_snmp) != OK ||
	    proc_register("net/snmp6", show_snmp6) != OK ||
	    proc_register("net/netstat", show_netstat) != OK)
		panic("inet: no memory for counters in /proc");
}
