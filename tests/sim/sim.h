/*
 * A network of two hosts that run Keel's TCP core, in simulated time: links of any rate,
 * delay, loss, reordering, duplication, corruption, MTU and queue. One seed gives one
 * run, bit for bit. Bytes are real: each side sends a known sequence and checks every
 * byte that it reads; options go through the wire's form. The shell here does what
 * net/tcp_core.h asks of a shell.
 */
#pragma once

#include "net/tcp_core.h"

enum { PPM = 1000000 };

/* One direction. Zero means: none of it. */
struct sim_link {
	uint64_t rate; /* bits a second; 0: infinite */
	nsec_t delay;
	uint32_t queue; /* bytes that wait before the wire; 0: no limit */
	uint32_t mark;  /* ECN: mark above this many waiting bytes */
	uint32_t loss, dup, corrupt, reorder; /* parts per million */
	nsec_t reorder_delay;
	uint32_t jump; /* ppm that arrive without the delay, before those under way */
	uint32_t burst,
	    burst_len;  /* chance that a burst of losses begins, its mean length */
	uint16_t mtu;   /* IP packets above are dropped... */
	bool tells_mtu; /* ... and ICMP says so */
	uint64_t drop_first, drop_count; /* drop data segments number first.. (from 1) */

	nsec_t busy_until;
	nsec_t burst_until;
	uint64_t packets, lost, data_segs;
};

struct sim_app {
	uint64_t to_send;
	uint32_t sndbuf;    /* 0: as tcp_core_sndbuf_hint() says, at most 16 MiB */
	uint32_t chunk;     /* bytes given at once; 0: what fits */
	nsec_t chunk_gap;   /* pause between chunks */
	uint64_t read_rate; /* bytes a second; 0: at once */
	nsec_t read_from;   /* no reading before */
	bool no_close;      /* does not close after sending */
	bool no_memory;     /* refuses all arrays */
};

struct sim_piece {
	struct sim_piece *next;
	uint64_t off;
	uint32_t len;
	uint8_t bytes[];
};

struct sim_host {
	struct tcb t;
	struct tcp_config cfg;
	struct sim_app app;
	struct sim_link link; /* towards the other */
	uint64_t given, acked, received, read;
	bool is_shut, saw_fin, is_connected, is_closed, is_open;
	int error;
	struct sim_piece *pieces;
	uint32_t held, max_held; /* bytes out of order */
	nsec_t next_chunk, next_read;
	nsec_t timer_at; /* earliest event queued for the timer */
	nsec_t done_at;  /* when all was read and the FIN seen */
	uint64_t events_seen;
	unsigned retrans, timeouts, segs;
};

struct sim {
	nsec_t now;
	uint64_t seed, random;
	struct sim_host host[2];
	struct sim_event *heap;
	uint32_t nevents, cap;
	uint64_t order, steps;
	const char *broken; /* first thing that was wrong */
	bool trace;
};

void sim_init(struct sim *, uint64_t seed);
/*
 * Host 0 connects, host 1 accepts; or both connect at the same time. Runs until done or
 * `limit`.
 */
void sim_run(struct sim *, bool simultaneous, nsec_t limit);
void sim_fini(struct sim *);
uint64_t sim_random(struct sim *);

/* Bits a second of payload that arrived at `host`. */
double sim_goodput(const struct sim *, int host);

/* Byte number `off` of what `host` sends. */
static inline uint8_t
sim_byte(int host, uint64_t off)
{
	uint64_t x = (off >> 3) * 0x9e3779b97f4a7c15ull + (uint64_t)host * 77;

	return (uint8_t)(x >> (8 * (off & 7)) ^ off);
}
