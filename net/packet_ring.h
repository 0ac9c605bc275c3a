/*
 * Receive rings of AF_PACKET sockets that programs map (PACKET_RX_RING, TPACKET_V2): libpcap
 * reads packets without a system call each.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct area;
struct packet_ring;
struct pkt;

struct tpacket_req {
	uint32_t block_size, block_nr, frame_size, frame_nr;
};

/* What a frame's header says besides the packet itself. */
struct ring_frame {
	uint32_t len, snaplen; /* as it was, as much as is kept */
	uint32_t status;       /* TP_STATUS_* but USER */
	uint16_t vlan_tci, vlan_tpid;
	uint32_t maclen;  /* of the link header in front of the data, 0 for SOCK_DGRAM */
	const void *name; /* struct sockaddr_ll, 20 bytes */
	int64_t wall_ns;
};

enum { TPACKET2_HEADER = 32 };

/* ERR_INVAL: sizes that do not fit each other. May sleep. */
enum err packet_ring_create(
    const struct tpacket_req *, uint32_t reserve, struct packet_ring **out);
void packet_ring_free(struct packet_ring *); /* NULL is fine; nobody uses it any more */
/* Copies a packet (from data on) into the next frame; false: the reader has not freed it. */
bool packet_ring_put(struct packet_ring *, const struct pkt *, const struct ring_frame *);
/* Whether the frame that was written last waits for the reader. */
bool packet_ring_has_data(struct packet_ring *);
enum err packet_ring_mmap(struct packet_ring *, struct area *);
