/*
 * Packets. A struct pkt is one frame on its way through the stack: a linear part with
 * room in front (headers always lie in it), and optionally bulk payload in page fragments
 * (sendfile, TSO, large receive buffers) and in further packets (`more`: receive
 * coalescing).
 *
 *	head <= data <= tail <= end;  length = tail - data + fragments + more
 *
 * One owner. Passing a packet gives it away, also when the call fails. Whoever owns it ends
 * it by pkt_free (it was used up) or pkt_drop (with a reason from net/drops.def; each has
 * a counter): there is no silent drop. No locks: a packet belongs to one context at a
 * time. Allocation works in any context but NMI and may fail.
 */
#pragma once

#include "lib/types.h"
#include "net/ip_addr.h"

struct netdev;
struct page;
struct uio;
struct dst;

enum {
	PKT_HEADROOM = 128,  /* for every header the stack may push */
	PKT_SMALL = 320,     /* room for data in a small one: acknowledgements, ARP */
	PKT_LINEAR = 2048,   /* room for data in a standard packet, tail room included */
	PKT_LONG = 7744,     /* in a long one: receive buffers for frames of 64 KiB */
	PKT_MAX_FRAGS = 18,  /* 64 KiB in pages, not aligned, and one more */
	PKT_MAX_LEN = 65535, /* coalesced and to be segmented ones too */
};

struct pkt_frag {
	struct page *page; /* a reference of its own; may lie inside a larger block */
	uint32_t off, len;
};

enum pkt_flag {
	PKT_CSUM_OK = 1 << 0, /* in: the device verified the transport checksum */
	PKT_CSUM_PARTIAL =
	    1 << 1, /* out, or in from a local peer: the transport's field holds the
	                              pseudo header's sum; the rest is at csum_start/offset */
	PKT_BROADCAST = 1 << 2, /* in: link-layer destination */
	PKT_MULTICAST = 1 << 3,
	PKT_OTHERHOST =
	    1 << 4, /* in: seen by promiscuous mode only: taps, not protocols */
	PKT_OUTGOING = 1 << 5, /* a tap's copy of something sent */
	PKT_LOOPBACK = 1 << 6, /* never was on a wire */
	PKT_FORWARDED = 1 << 7,
	PKT_HAS_VLAN = 1 << 8, /* `vlan_tci` is valid (taken off, or to be put on) */
	PKT_HAS_HASH = 1 << 9, /* `hash` is valid */
	PKT_REASSEMBLED = 1 << 10,
};

enum pkt_gso { PKT_GSO_NONE, PKT_GSO_TCP4, PKT_GSO_TCP6, PKT_GSO_UDP };

/* What the IP layers learnt of a received packet, for the transports; both families. */
struct pkt_ip {
	struct ip_addr src, dst;
	uint8_t proto; /* the transport's number */
	uint8_t ttl, tos;
	uint8_t hdr_len; /* v4 header with options; v6: 0 */
	uint32_t flow_label;
	uint16_t opt_off; /* v4 options or v6 extension headers, from head; 0: none */
	uint16_t payload_len;
};

struct pkt {
	struct pkt *next; /* for whoever queues it */
	struct netdev
	    *dev; /* in: came from; out: goes to. Valid under RCU or with a reference */
	uint8_t *head, *data, *tail, *end;
	struct pkt_buf
	    *buf;       /* the counted storage behind head..end; pkt_clone shares it */
	uint32_t flags; /* enum pkt_flag */
	uint32_t hash;  /* of the flow: steering, transmit queue choice */
	uint16_t l2_off, l3_off, l4_off; /* from head */
	uint16_t protocol;               /* EtherType, host order */
	uint16_t vlan_tci;
	uint16_t csum_start, csum_offset; /* from head; from csum_start */
	uint16_t gso_size; /* payload bytes of each segment; 0: not a large packet */
	uint8_t gso_type;  /* enum pkt_gso */
	uint8_t num_frags;
	uint16_t gso_segs;  /* in: how many were coalesced */
	uint32_t extra_len; /* bytes in fragments and in `more` */
	uint32_t truesize;  /* memory it holds, for socket limits */
	bool is_clone;      /* its descriptor is an object of its own */
	struct pkt_frag *frags;
	struct pkt *more, *more_tail; /* coalesced: payload that follows, in order */
	/* Out: called once, when the packet is freed or has reached its receiver, to take
	   `charge` bytes off the sender's memory account; any context, no allocation. Clones do
	   not have it. */
	void (*release)(void *arg, uint32_t charge);
	void *release_arg;
	uint32_t release_charge;
	nsec_t stamp_ns; /* in: wall clock at arrival when someone wants stamps, else 0 */
	struct pkt_ip ip; /* in */
	union {
		uint8_t cb[48]; /* the current owner's own */
		uint64_t cb_align_;
	};
};

/* All counters and caches ready; before the first packet. */
void pkt_init(void);

/*
 * A packet with PKT_HEADROOM in front of an empty data part and at least `room` bytes
 * behind; up to PKT_LINEAR it comes from per-CPU caches. All is zero but `cb`, which is
 * undefined. NULL: no memory.
 */
struct pkt *pkt_alloc(size_t room);
/*
 * Shares the storage (read-only for both from now on: pkt_writable before changing
 * headers).
 */
struct pkt *pkt_clone(struct pkt *);
struct pkt *pkt_copy(const struct pkt *, size_t headroom); /* own linear storage */
void pkt_free(struct pkt *);                               /* NULL is fine */
void pkt_release(struct pkt *); /* calls `release` now, if there is one */
void pkt_move_release(struct pkt *to, struct pkt *from);
void pkt_free_list(struct pkt *); /* linked by next */

/* Drop reasons: X-macro table, counter names as shown by /proc/net/drops. */
enum drop_reason {
#define DROP(name, text) DROP_##name,
#include "net/drops.def"
#undef DROP
	NUM_DROPS,
};
void pkt_drop(struct pkt *, enum drop_reason); /* counts, then frees */
void drop_count(enum drop_reason);             /* when there is no packet to free */
uint64_t drop_total(enum drop_reason);         /* sum over CPUs */
void drops_init(void);                         /* /proc/net/drops */

static inline size_t
pkt_linear(const struct pkt *p)
{
	return (size_t)(p->tail - p->data);
}

static inline size_t
pkt_len(const struct pkt *p)
{
	return pkt_linear(p) + p->extra_len;
}

/* Header room, or NULL when there is not enough. */
void *pkt_push(struct pkt *, size_t n);
/* Takes n bytes off the front; NULL if the linear part is shorter (see pkt_need). */
void *pkt_pull(struct pkt *, size_t n);
/* Tail room of the linear part (no fragments yet), or NULL. */
void *pkt_put(struct pkt *, size_t n);
/* Cuts to `len` bytes in all (fragments too); nothing if it is shorter. */
void pkt_trim(struct pkt *, size_t len);
/* The first n bytes in the linear part, moved there if need be; NULL: shorter, or no memory.
 */
void *pkt_need(struct pkt *, size_t n);
/* Unshares the linear part and makes `headroom` room: false: no memory (still yours). */
bool pkt_writable(struct pkt *, size_t headroom);
/* Adds a fragment (takes the page reference); false: no room, the reference is still yours. */
bool pkt_add_frag(struct pkt *, struct page *, uint32_t off, uint32_t len);

/* Appends a packet without `more` of its own to p->more; its payload is p's from now on. */
void pkt_chain(struct pkt *p, struct pkt *more);
/* Makes room for n bytes behind tail in storage of its own; false: no memory. */
bool pkt_tailroom(struct pkt *, size_t n);
/* The head moved: every offset that counts from it. For those who replace the storage. */
void pkt_shift_offsets(struct pkt *, ptrdiff_t by);

/* Copies out of (into) the whole packet from `off` after data; false: beyond its end. */
bool pkt_read(const struct pkt *, size_t off, void *buf, size_t n);
bool pkt_write(struct pkt *, size_t off, const void *buf, size_t n);
/* To user or kernel memory: bytes copied, less on a fault. May sleep. */
size_t pkt_copy_to_uio(const struct pkt *, size_t off, size_t n, struct uio *);
/* Fills a packet's payload from user memory: linear part, then pages. 0 or an err. */
long pkt_fill_from_uio(struct pkt *, struct uio *, size_t n);
/* Partial Internet checksum over [off, off+n). */
uint32_t pkt_csum(const struct pkt *, size_t off, size_t n, uint32_t sum);

/* A queue of packets linked by next; its user locks it. */
struct pkt_queue {
	struct pkt *first, *last;
	uint32_t count;
	uint32_t truesize;
};
void pkt_queue_push(struct pkt_queue *, struct pkt *);
void pkt_queue_push_front(struct pkt_queue *, struct pkt *);
void pkt_queue_splice(struct pkt_queue *to, struct pkt_queue *from); /* all, to the end */
struct pkt *pkt_queue_pop(struct pkt_queue *);                       /* NULL: empty */
void pkt_queue_free(struct pkt_queue *);
