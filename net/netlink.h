/*
 * Netlink (RFC 3549, netlink(7)): AF_NETLINK sockets of NETLINK_ROUTE and NETLINK_SOCK_DIAG.
 * net/netlink.c is the socket: requests in, answers, dumps and multicast out; net/netlink_msg.c makes
 * and takes apart messages; net/rtnl_*.c know links, addresses, routes, neighbours; net/sock_diag.c
 * tells ss of sockets.
 *
 * A request is handled in the sender's context with rtnl held. A dump is made piece by piece as
 * the reader takes it: `dump` is called again with the number of objects that are done, and
 * appends what fits.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"
#include "net/ip_addr.h"

struct netdev;

enum nl_proto { NETLINK_ROUTE = 0, NETLINK_SOCK_DIAG = 4 };

struct nl_header { /* Linux's struct nlmsghdr */
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};

struct nl_attr { /* struct nlattr; the payload follows */
	uint16_t len, type;
};

enum nl_type { NLMSG_NOOP = 1, NLMSG_ERROR = 2, NLMSG_DONE = 3, NLMSG_MIN_TYPE = 16 };

enum nl_flag {
	NLM_F_REQUEST = 0x1,
	NLM_F_MULTI = 0x2,
	NLM_F_ACK = 0x4,
	NLM_F_ROOT = 0x100,
	NLM_F_MATCH = 0x200,
	NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH,
	NLM_F_REPLACE = 0x100,
	NLM_F_EXCL = 0x200,
	NLM_F_CREATE = 0x400,
	NLM_F_APPEND = 0x800,
};

enum rtm_type {
	RTM_NEWLINK = 16,
	RTM_DELLINK,
	RTM_GETLINK,
	RTM_SETLINK,
	RTM_NEWADDR = 20,
	RTM_DELADDR,
	RTM_GETADDR,
	RTM_NEWROUTE = 24,
	RTM_DELROUTE,
	RTM_GETROUTE,
	RTM_NEWNEIGH = 28,
	RTM_DELNEIGH,
	RTM_GETNEIGH,
	RTM_NEWRULE = 32,
	RTM_DELRULE,
	RTM_GETRULE,
	RTM_MAX = 128,
};

enum rtnl_group {
	RTNLGRP_LINK = 1,
	RTNLGRP_NEIGH = 3,
	RTNLGRP_IPV4_IFADDR = 5,
	RTNLGRP_IPV4_ROUTE = 7,
	RTNLGRP_IPV6_IFADDR = 9,
	RTNLGRP_IPV6_ROUTE = 11,
	RTNLGRP_MAX = 64,
};

/* ---- Taking apart: strictly within bounds ------------------------------------------------ */

/*
 * Sets attrs[type] for each attribute of `data` whose type is below `num`; others are ignored,
 * of two the last counts. False: a length that is too short or beyond the end.
 */
bool nl_parse(const struct nl_attr **attrs, unsigned num, const void *data, size_t len);
static inline const void *
nl_data(const struct nl_attr *a)
{
	return a + 1;
}
static inline size_t
nl_len(const struct nl_attr *a)
{
	return a->len - sizeof(*a);
}
/* A number that must have exactly its size; absent: true, *out as it was. False: wrong size. */
bool nl_get_u16(const struct nl_attr *, uint16_t *out);
bool nl_get_u32(const struct nl_attr *, uint32_t *out);
/* A string of less than `size` bytes, terminated or not; false: longer. */
bool nl_get_string(const struct nl_attr *, char *out, size_t size);
/* An address of the family (AF_INET: 4 bytes, AF_INET6: 16); false: another size. */
bool nl_get_addr(const struct nl_attr *, int family, struct ip_addr *out);

/* ---- Making -------------------------------------------------------------------------------- */

struct nl_out {
	uint8_t *buf;
	size_t len, size;
	size_t msg;   /* where the current message begins */
	bool is_full; /* something did not fit: the current message is to be cancelled */
	uint16_t flags; /* put into each header: NLM_F_MULTI in dumps */
	uint32_t seq, pid;
};

/* A message with room for the type's own header, zeroed; NULL: full. */
void *nl_begin(struct nl_out *, uint16_t type, size_t header_len);
/* Ends it; false: it did not fit and is gone. */
bool nl_end(struct nl_out *);
void nl_put(struct nl_out *, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_out *, uint16_t type, uint8_t);
void nl_put_u16(struct nl_out *, uint16_t type, uint16_t);
void nl_put_u32(struct nl_out *, uint16_t type, uint32_t);
void nl_put_string(struct nl_out *, uint16_t type, const char *);
void nl_put_addr(struct nl_out *, uint16_t type, const struct ip_addr *);
size_t nl_nest(struct nl_out *, uint16_t type); /* for nl_nest_end */
void nl_nest_end(struct nl_out *, size_t nest);

/* ---- Requests -------------------------------------------------------------------------------- */

struct nl_request {
	const struct nl_header *header;
	const void *body; /* the type's own header: at least its size is there */
	const struct nl_attr *attrs_at;
	size_t attrs_len;
	struct nl_out *out; /* the answer, if there is one */
};

struct nl_dump {
	uint8_t request[64]; /* the beginning of the request's body, for filters */
	size_t request_len;
	uint16_t type;
	uint64_t done;  /* objects already given out */
	uint32_t place; /* the handler's: which part of a large table `done` counts in */
	uint64_t index; /* while it runs: of the object looked at */
};

struct rtnl_handler {
	size_t header_len; /* of the type's own header */
	bool is_admin;     /* needs CAP_NET_ADMIN */
	enum err (*handle)(struct nl_request *);
	/* Whether there is such a dump; NULL: yes. The request's body as it came. */
	enum err (*check)(const void *body, size_t len);
	/* Appends objects from d->done on; true: that was all, false: `out` is full. */
	bool (*dump)(struct nl_dump *d, struct nl_out *out);
};

void rtnl_register(uint16_t type, const struct rtnl_handler *);
/* The one type of request of NETLINK_SOCK_DIAG. */
void sock_diag_register(const struct rtnl_handler *);

/* For dump functions: whether this object is still to be given out. Then, with the message
 * made, nl_dump_put: false: it did not fit, stop. */
bool nl_dump_wants(struct nl_dump *);
bool nl_dump_put(struct nl_dump *, struct nl_out *);

/* Gives a notification to all who joined the group; `fill` makes one message. Thread context. */
void netlink_notify(
    unsigned group, void (*fill)(struct nl_out *, const void *arg), const void *arg);

/* The interface with this index; rtnl is held, so it stays. */
struct netdev *rtnl_dev(unsigned index);

void netlink_init(void);
void rtnl_link_init(void);
void rtnl_addr_init(void);
void rtnl_route_init(void);
void rtnl_neigh_init(void);
void sock_diag_init(void);
