/*
 * A host with IPv4 for unit tests: the real stack from Ethernet up to where transports begin, on
 * the fake wire of net_env.h. Interfaces lo, eth2 (10.0.0.1/24, router 10.0.0.254) and eth3
 * (192.168.5.1/24); what reaches UDP is noted here.
 */
#pragma once

#include "net/ip4.h"
#include "tests/fakes/net_env.h"

struct ip4_env_notes {
	unsigned udp_packets, errors, pings;
	size_t udp_len;
	uint8_t udp[65535];
	bool is_udp_refused; /* set by the test: no socket at that port */
	struct ip_error error;
	uint8_t error_transport[8];
};
extern struct ip4_env_notes ip4_notes;
extern struct netdev *ip4_env_dev, *ip4_env_dev2;

void ip4_env_setup(void); /* at the start of every test */
be32 ip4_of(const char *text);
struct ip_addr ip4_addr(const char *text);

/* A datagram as it comes in on eth2. Fields that are 0 get what an ordinary one has. */
struct ip4_in {
	const char *src, *dst;
	uint8_t proto, ttl;
	uint16_t id, frag;
	const void *options;
	unsigned options_len;
	const void *data;
	size_t len;
	uint32_t flags; /* of the packet */
	int bad_csum, len_off,
	    pad; /* spoil: checksum, add to the length field, trailing bytes */
	unsigned ver_ihl;
	struct netdev *dev;
};
void ip4_env_input(const struct ip4_in *);
/* Whole frames without link header, as they are. */
void ip4_env_input_raw(const void *data, size_t n);
void ip4_env_input_arp(const void *data, size_t n);
/* ARP as it comes in. */
void ip4_env_arp(
    unsigned op, const uint8_t mac[6], const char *sender, const char *target);

/* The next IP packet on the wire, parsed; false: none. ARP packets are skipped. */
struct ip4_out {
	struct ether_header eth;
	struct ip4_header h;
	uint8_t options[40];
	unsigned options_len;
	uint8_t data[65535];
	size_t len;
	struct netdev *dev;
};
bool ip4_env_output(struct ip4_out *);
/* The next ARP packet on the wire: 28 bytes; false: none. */
bool ip4_env_arp_output(uint8_t arp[28], struct ether_header *);
