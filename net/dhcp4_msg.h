/*
 * DHCPv4 messages (RFC 2131, options by RFC 2132, 3396, 3397, 3442): reading and writing. Pure.
 */
#pragma once

#include "lib/be.h"
#include "lib/types.h"

enum dhcp4_type {
	DHCP4_DISCOVER = 1,
	DHCP4_OFFER = 2,
	DHCP4_REQUEST = 3,
	DHCP4_DECLINE = 4,
	DHCP4_ACK = 5,
	DHCP4_NAK = 6,
	DHCP4_RELEASE = 7,
};

enum { DHCP4_SERVER_PORT = 67, DHCP4_CLIENT_PORT = 68 };
enum {
	DHCP4_MAX_ADDRS = 4, /* of one kind that are kept */
	DHCP4_MAX_ROUTES = 16,
	DHCP4_NAME = 64,
	DHCP4_SEARCH = 256,
	DHCP4_MAX_MESSAGE = 576, /* what we send at most; padded to 300 (RFC 1542 2.1) */
};
#define DHCP4_FOREVER UINT32_MAX

struct dhcp4_route {
	be32 dst, gateway; /* gateway 0.0.0.0: on link */
	uint8_t plen;
};

/* What a server says. */
struct dhcp4_reply {
	uint8_t type; /* OFFER, ACK, NAK */
	uint32_t xid;
	be32 addr, server; /* server 0.0.0.0: did not say */
	uint8_t plen;
	uint32_t lease_s, t1_s, t2_s; /* 0: not given; DHCP4_FOREVER */
	uint32_t mtu;                 /* 0: not given */
	be32 broadcast;               /* 0.0.0.0: not given */
	be32 routers[DHCP4_MAX_ADDRS], dns[DHCP4_MAX_ADDRS], ntp[DHCP4_MAX_ADDRS];
	uint8_t num_routers, num_dns, num_ntp;
	struct dhcp4_route routes[DHCP4_MAX_ROUTES]; /* RFC 3442: instead of routers */
	uint8_t num_routes;
	char host[DHCP4_NAME], domain[DHCP4_NAME], search[DHCP4_SEARCH]; /* "" : none */
};

/*
 * Reads a BOOTP reply of n bytes (what UDP carried) for the station `mac`. False: malformed, not a
 * DHCP reply, or for another station. Options that are malformed alone are left out.
 */
bool dhcp4_parse(
    const uint8_t *msg, size_t n, const uint8_t mac[6], struct dhcp4_reply *);

/* What to say. Addresses 0.0.0.0: the option or field is left out. */
struct dhcp4_request {
	enum dhcp4_type type;
	uint32_t xid;
	uint16_t secs;
	bool wants_broadcast;
	be32 client;    /* ciaddr: only an address that we can answer ARP for */
	be32 requested; /* option 50 */
	be32 server;    /* option 54 */
	uint8_t mac[6];
	uint16_t max_size;
	const char *host; /* option 12, or NULL */
};

/* Writes the message; its length. */
size_t dhcp4_build(const struct dhcp4_request *, uint8_t msg[DHCP4_MAX_MESSAGE]);
