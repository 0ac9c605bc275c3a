/*
 * DHCPv6 messages (RFC 8415 8, 21), pure: to and from bytes. What a client needs: one IA_NA, options
 * of DNS and time servers.
 */
#pragma once

#include "lib/types.h"
#include "net/ip_addr.h"

enum dhcp6_type {
	DHCP6_SOLICIT = 1,
	DHCP6_ADVERTISE = 2,
	DHCP6_REQUEST = 3,
	DHCP6_CONFIRM = 4,
	DHCP6_RENEW = 5,
	DHCP6_REBIND = 6,
	DHCP6_REPLY = 7,
	DHCP6_RELEASE = 8,
	DHCP6_DECLINE = 9,
	DHCP6_INFORMATION_REQUEST = 11,
};

enum dhcp6_status {
	DHCP6_SUCCESS = 0,
	DHCP6_UNSPEC_FAIL = 1,
	DHCP6_NO_ADDRS = 2,
	DHCP6_NO_BINDING = 3,
	DHCP6_NOT_ON_LINK = 4,
	DHCP6_USE_MULTICAST = 5,
};

enum {
	DHCP6_MAX_DUID = 130,
	DHCP6_MAX_ADDRS = 8,
	DHCP6_MAX_SERVERS = 4,
	DHCP6_MAX_MSG = 640, /* longest one that we send */
};

struct dhcp6_duid {
	uint8_t len; /* 0: none */
	uint8_t bytes[DHCP6_MAX_DUID];
};

struct dhcp6_addr {
	struct ip_addr addr;
	uint32_t preferred_s, valid_s;
	uint16_t status;
};

struct dhcp6_msg {
	uint8_t type;
	uint32_t xid; /* 24 bits */
	struct dhcp6_duid client, server;
	uint8_t preference;
	uint16_t status;
	bool has_rapid_commit;
	bool has_ia; /* ours, by its IAID */
	uint32_t iaid, t1_s, t2_s;
	uint16_t ia_status;
	unsigned num_addrs;
	struct dhcp6_addr addrs[DHCP6_MAX_ADDRS];
	unsigned num_dns, num_ntp;
	struct ip_addr dns[DHCP6_MAX_SERVERS], ntp[DHCP6_MAX_SERVERS];
	const uint8_t *search; /* names in wire format, in the message; NULL: none */
	size_t search_len;
	uint32_t refresh_s, sol_max_rt_s, inf_max_rt_s; /* 0: not said */
	uint16_t elapsed_cs;                            /* out: hundredths of a second */
};

/* False: malformed, or twice what may be once. `iaid` is ours: other associations are skipped. */
bool dhcp6_decode(const uint8_t *data, size_t len, uint32_t iaid, struct dhcp6_msg *);

/*
 * Writes a client's message: its type, xid, client, server (if it has one), rapid commit, elapsed
 * time, IA with addresses (if has_ia), and the options asked for. Returns its length; `room` is at
 * least DHCP6_MAX_MSG.
 */
size_t dhcp6_encode(const struct dhcp6_msg *, uint8_t *data, size_t room);

/* The next retransmission time (RFC 8415 15) from the last one (0: the first); `chance` is
 * 0..1000 for RAND from -0.1 to 0.1. */
uint64_t dhcp6_next_rt_ms(
    uint64_t last_ms, uint32_t irt_ms, uint32_t mrt_ms, unsigned chance);
/* One name of a list (RFC 1035 3.1) as text; the bytes it took, 0: malformed. */
size_t dns_name_decode(const uint8_t *data, size_t len, char *out, size_t room);
