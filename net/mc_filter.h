/*
 * Source filters of multicast groups, pure: what all members of one group at one interface want
 * together, and the records that tell routers so (RFC 3376 3.2, 4.2.12, 5.1, 5.2; RFC 3810 4.2, 5.2,
 * 6.1, 6.2; the same rules for both families). net/ip_mc.h has the interfaces and the messages.
 *
 * A member either wants all sources but some (EXCLUDE) or only some (INCLUDE). The merged filter is
 * kept as counts: how many members are of each kind, and for each source that any names, how many
 * ask for it and how many do not want it. It excludes if any member does, and then blocks what all
 * of those exclude and nobody includes. So members come and go without the others being asked again.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "lib/err.h"
#include "net/ip_addr.h"

enum {
	MC_MAX_SOURCES = 256, /* of a group at an interface, all members' together */
	MC_MAX_ASKED = 64,    /* sources of a query kept until it is answered */
};

/* What one member wants. */
struct mc_filter {
	bool is_include;
	unsigned num;
	const struct ip_addr *sources; /* no two alike */
};
extern const struct mc_filter mc_any_source; /* EXCLUDE nothing */

struct mc_source {
	struct ip_addr addr;
	uint32_t include, exclude; /* members that ask for it, that do not want it */
	uint8_t changes_left;      /* reports of changes that still name it */
	bool was_allowed;          /* see mc_state_remember */
};

struct mc_state {
	struct rcu_head rcu;
	uint32_t includers, excluders; /* members of each kind */
	uint8_t reports_left;          /* of changes */
	uint8_t mode_changes_left; /* how many of them tell the mode with all sources */
	bool was_exclude, was_member; /* see mc_state_remember */
	uint16_t num, room;
	struct mc_source sources[]; /* by address */
};

/* Nobody is a member; NULL: no memory. kfree frees it. */
struct mc_state *mc_state_alloc(unsigned room);
static inline bool
mc_state_has_members(const struct mc_state *st)
{
	return st->includers || st->excluders;
}
/* Is what this source sends wanted? Under RCU. */
bool mc_state_allows(const struct mc_state *, const struct ip_addr *src);

/* ---- Changes: copy and remember, add, take, settle ------------------------------------------ */

/* `to` becomes what `from` is, without sources nobody names; room for from->num. */
void mc_state_copy(struct mc_state *to, const struct mc_state *from);
/* Notes what holds now, for mc_state_settle to compare with. */
void mc_state_remember(struct mc_state *);
/* A member more; there is room for its sources. ERR_NOBUFS: too many, the state is not to be used. */
enum err mc_state_add(struct mc_state *, const struct mc_filter *);
/* A member less. In place, also while others read. */
void mc_state_take(struct mc_state *, const struct mc_filter *);
/* What is different from what was remembered is to be reported `times` times. True: something is. */
bool mc_state_settle(struct mc_state *, unsigned times);
/* The whole is to be reported as new. True: there is something. */
bool mc_state_announce(struct mc_state *, unsigned times);
/* Nothing is to be reported any more. */
void mc_state_quiet(struct mc_state *);

/* ---- Records ----------------------------------------------------------------------------------- */

enum mc_record_type { /* RFC 3376 4.2.12, RFC 3810 5.2.12 */
	MC_IS_INCLUDE = 1,
	MC_IS_EXCLUDE = 2,
	MC_TO_INCLUDE = 3,
	MC_TO_EXCLUDE = 4,
	MC_ALLOW = 5,
	MC_BLOCK = 6,
};

struct mc_record {
	struct ip_addr group;
	uint32_t type; /* enum mc_record_type */
	uint32_t num;
	struct ip_addr sources[];
};

/* Records one after the other. */
struct mc_records {
	size_t len, room; /* bytes */
	_Alignas(8) uint8_t bytes[];
};
enum {
	/* The most that one call below appends. */
	MC_RECORDS_ROOM = 2 * sizeof(struct mc_record) +
	                  (MC_MAX_SOURCES + MC_MAX_ASKED) * sizeof(struct ip_addr),
};
/* An empty record of this type; NULL: MC_RECORDS_ROOM bytes are not left. */
struct mc_record *mc_record_add(
    struct mc_records *, const struct ip_addr *group, unsigned type);
/* The record after `r`, the first after NULL; NULL: none. */
const struct mc_record *mc_record_next(
    const struct mc_records *, const struct mc_record *r);

/* The next report of changes. False: no room, nothing is appended or counted. */
bool mc_state_report_changes(
    struct mc_state *, const struct ip_addr *group, struct mc_records *);
/* The answer to a query about the group, or about `n` sources if asked is not NULL. False: no room. */
bool mc_state_report(const struct mc_state *, const struct ip_addr *group,
    const struct ip_addr *asked, unsigned n, struct mc_records *);
