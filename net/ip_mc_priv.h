/* Between the files of multicast groups: ip_mc.c, ip_mc_report.c, ip_mc_proc.c, igmp.c, mld.c. */
#pragma once

#include "kernel/sync/spinlock.h"
#include "lib/list.h"
#include "net/ip_mc.h"
#include "net/net_timer.h"

enum {
	MC_MAX_GROUPS = 256, /* of an interface and family */
	MC_BUCKETS = 32,
	MC_ROBUSTNESS = 2, /* RFC 3376 8.1, RFC 3810 9.1: until a querier says another */
	MC_OLD_VERSIONS = 2,
};

struct mc_group {
	struct list link, hash_link; /* RCU, changed under lock */
	struct rcu_head rcu;
	struct ip_addr addr;
	struct mc_state *state; /* RCU; changed under lock */
	nsec_t change_due_ns;   /* [lock] if state->reports_left */
	nsec_t answer_due_ns;   /* [lock] to a query about it; 0: none */
	struct ip_addr *asked;  /* [lock] by that query, MC_MAX_ASKED; NULL: all */
	unsigned num_asked;
	bool was_last_reporter; /* [lock] older versions: who has to say when it leaves */
};

/* What IGMP and MLD differ in. [I] */
struct mc_family {
	uint8_t newest;    /* the version with source lists; older ones are below it */
	uint8_t addr_size; /* in messages */
	uint8_t overhead;  /* bytes in front of a report's records: IP, options, header */
	uint8_t old_report_s; /* older versions: reports of a join come within this */
	struct mc_dev *(*dev_of)(const struct netdev *);
	/* Are routers told of it (RFC 3376 6, RFC 3810 6)? */
	bool (*is_reported)(const struct ip_addr *group);
	/* A message of the newest version: data at its first record, `n` records. Takes it. */
	void (*send_report)(struct netdev *, struct pkt *, unsigned n);
	/* One of an older version. */
	void (*send_old)(struct netdev *, unsigned version, const struct ip_addr *group,
	    bool is_leave);
};
extern const struct mc_family igmp_mc, mld_mc;

/* An interface's groups of one family. Under RCU. */
struct mc_dev {
	struct netdev *dev;
	const struct mc_family *family;
	struct rcu_head rcu;
	struct spinlock lock;
	struct list groups;              /* [lock] RCU, the newest first */
	struct list buckets[MC_BUCKETS]; /* [lock] RCU, by address */
	unsigned count;                  /* [lock] */
	uint8_t robustness;              /* [lock] */
	uint8_t version;                 /* [lock] spoken last */
	nsec_t query_interval_ns;        /* [lock] */
	nsec_t
	    old_until_ns[MC_OLD_VERSIONS]; /* [lock] queriers of version 1, 2 are here */
	nsec_t general_due_ns; /* [lock] answer to a query about all; 0: none */
	struct net_timer timer;
};

/* A query, decoded by the family. */
struct mc_query {
	unsigned version;
	struct ip_addr group; /* unspecified: all */
	nsec_t max_ns;        /* answer within this */
	uint8_t robustness;   /* 0: not told */
	nsec_t interval_ns;   /* 0: not told */
	unsigned num_sources;
	const uint8_t *sources; /* of the family's addr_size */
};

/* An interface comes (the caller publishes it), goes (nobody finds it any more), came up or has a
 * link again. [rtnl] */
struct mc_dev *mc_dev_alloc(struct netdev *, const struct mc_family *);
void mc_dev_free(struct mc_dev *);
void mc_dev_up(struct mc_dev *);

/* Net thread, under RCU. */
void mc_query(struct mc_dev *, const struct mc_query *);
/* Another member reported, in an older version. */
void mc_heard_report(struct mc_dev *, const struct ip_addr *group);

/* ---- ip_mc.c */

struct mc_group *mc_group_find(const struct mc_dev *, const struct ip_addr *);
void mc_group_unlink(struct mc_dev *d, struct mc_group *) MUST_HOLD(d->lock);

/* ---- ip_mc_report.c */

unsigned mc_version(const struct mc_dev *, nsec_t now); /* to speak */
void mc_report_init(struct mc_dev *);
/* The group's state changed since mc_state_remember; it may go. */
void mc_changed(struct mc_dev *d, struct mc_group *) MUST_HOLD(d->lock);
void mc_forget_answer(struct mc_group *);
