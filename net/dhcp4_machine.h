/*
 * The client side of DHCPv4 as a machine (RFC 2131 4.4, figure 5): events and time in, things to do
 * out. Pure but for random_below: no I/O, no clock, no lock.
 */
#pragma once

#include "net/dhcp4_msg.h"

enum dhcp4_state {
	DHCP4_STOPPED,
	DHCP4_INIT,       /* waits before it begins (again) */
	DHCP4_SELECTING,  /* DISCOVER is out */
	DHCP4_REQUESTING, /* REQUEST for an offer is out */
	DHCP4_REBOOTING,  /* REQUEST for the address we had is out */
	DHCP4_CHECKING,   /* got it; is it in use by another? */
	DHCP4_BOUND,
	DHCP4_RENEWING,
	DHCP4_REBINDING,
};

struct dhcp4_machine {
	enum dhcp4_state state;
	uint32_t xid;
	unsigned tries;  /* of the message that is out */
	nsec_t began_ns; /* for `secs` */
	nsec_t due_ns;   /* when dhcp4_timer has to be called; UINT64_MAX: never */
	nsec_t asked_ns; /* when the REQUEST that may be acknowledged first left */
	nsec_t t1_ns, t2_ns, expires_ns; /* of the lease; UINT64_MAX: never */
	struct dhcp4_reply offer;        /* while REQUESTING, CHECKING */
	struct dhcp4_reply lease;        /* what is configured */
	bool has_lease;                  /* `lease` is good: its time is not over */
	unsigned naks;                   /* in a row */
	bool said_nobody;
};

/* What an event asks of the shell, in this order. */
struct dhcp4_actions {
	bool unconfigure;    /* the address goes */
	bool check;          /* configure `offer` tentatively: dhcp4_checked tells */
	bool configure;      /* the lease is new or renewed: `lease` */
	bool nobody_answers; /* once: time for a link-local address */
	bool send;
	bool is_unicast; /* to the server, from our address; else broadcast */
	struct dhcp4_request message; /* mac, host and max_size are the shell's */
};

/* The link is there. With a lease that still holds: INIT-REBOOT. */
void dhcp4_start(struct dhcp4_machine *, nsec_t now, struct dhcp4_actions *);
/* The link went: what is configured stays while the lease holds. */
void dhcp4_pause(struct dhcp4_machine *, nsec_t now);
/* The interface goes down, or the user wants no DHCP: RELEASE. */
void dhcp4_stop(struct dhcp4_machine *, nsec_t now, struct dhcp4_actions *);
/* It is due_ns, or later. */
void dhcp4_timer(struct dhcp4_machine *, nsec_t now, struct dhcp4_actions *);
void dhcp4_received(struct dhcp4_machine *, const struct dhcp4_reply *, nsec_t now,
    struct dhcp4_actions *);
/* Conflict detection of the address in `offer`, or later of the one in use, has ended. */
void dhcp4_checked(
    struct dhcp4_machine *, bool is_conflict, nsec_t now, struct dhcp4_actions *);
