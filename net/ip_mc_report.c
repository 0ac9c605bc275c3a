/*
 * What routers are told of an interface's groups, and when (RFC 3376 5, 7.2; RFC 3810 6, 8.2).
 *
 * Changes: the first report goes at once, the others at random times within UNSOLICITED of each
 * other, `robustness` in all; what each says is made from the state as it is then (mc_filter.c).
 * Answers to queries wait for a random time below what the query allows: one about all groups for
 * the interface's, one about a group, or sources of it, for the group's. One timer an interface goes
 * off at the earliest of all that, collects what is due under the lock, and sends it without.
 *
 * While a querier of an older version is here, its messages are spoken, which know no sources: a
 * group is told when its first member comes, when it was asked for, and when its last member goes.
 * A change of version drops what was pending in the other.
 */
#include "kernel/random.h"
#include "kernel/sync/rculist.h"
#include "kernel/time/clock.h"
#include "lib/string.h"
#include "mm/slab.h"
#include "net/ip_mc_priv.h"
#include "net/pkt.h"

enum {
	RECORDS_ROOM = 2 * MC_RECORDS_ROOM, /* of one pass of the timer */
	RECORD_HEADER = 4,
	QUERY_INTERVAL_S = 125, /* RFC 3376 8.2, RFC 3810 9.2 */
	ETHER_MTU = 1500,
	LEAST_MTU = 576, /* below, IPv4 cuts a report */
};
static const nsec_t UNSOLICITED = NSEC_PER_SEC; /* RFC 3376 8.11, RFC 3810 9.11 */

/* ---- Versions ---------------------------------------------------------------------------------- */

unsigned
mc_version(const struct mc_dev *d, nsec_t now)
{
	for (unsigned v = 1; v < d->family->newest; v++)
		if (d->old_until_ns[v - 1] > now)
			return v;
	return d->family->newest;
}

void
mc_forget_answer(struct mc_group *g)
{
	kfree(g->asked);
	g->asked = NULL;
	g->num_asked = 0;
	g->answer_due_ns = 0;
}

/* The version to speak; when it is another than the last, all that was pending is dropped (RFC 3376
 * 7.2.1, RFC 3810 8.2.1). */
static unsigned
sync_version(struct mc_dev *d, nsec_t now) MUST_HOLD(d->lock)
{
	unsigned version = mc_version(d, now);
	struct mc_group *g;

	if (version == d->version)
		return version;
	d->version = (uint8_t)version;
	d->general_due_ns = 0;
	list_for_each(g, &d->groups, link) {
		mc_state_quiet(g->state);
		mc_forget_answer(g);
	}
	return version;
}

/* ---- When --------------------------------------------------------------------------------------- */

/* Groups with nothing left to say after they were left go; the timer is set to the earliest of the
 * others. */
static void
rearm(struct mc_dev *d) MUST_HOLD(d->lock)
{
	nsec_t due = d->general_due_ns ? d->general_due_ns : UINT64_MAX;
	struct mc_group *g, *next;

	list_for_each_safe(g, next, &d->groups, link) {
		if (g->state->reports_left)
			due = MIN(due, g->change_due_ns);
		else if (!mc_state_has_members(g->state))
			mc_group_unlink(d, g);
		if (g->answer_due_ns)
			due = MIN(due, g->answer_due_ns);
	}
	if (due != UINT64_MAX)
		net_timer_arm(&d->timer, due);
}

static bool
is_told(const struct mc_dev *d, const struct mc_group *g)
{
	return !(d->dev->flags & NETDEV_LOOPBACK) && d->dev->flags & NETDEV_UP &&
	       d->family->is_reported(&g->addr);
}

void
mc_changed(struct mc_dev *d, struct mc_group *g)
{
	nsec_t now = clock_now_ns();
	bool is_newest = sync_version(d, now) == d->family->newest;
	bool is_member = mc_state_has_members(g->state);
	bool is_due;

	is_due =
	    mc_state_settle(g->state, is_told(d, g) && is_newest ? d->robustness : 0);
	if (is_told(d, g) && !is_newest && g->state->was_member != is_member) {
		/* RFC 2236 3: a leave is said once, by the last who reported. */
		g->state->reports_left = is_member ? d->robustness : g->was_last_reporter;
		is_due = true;
	}
	if (is_due)
		g->change_due_ns = now;
	if (!is_member)
		mc_forget_answer(g);
	rearm(d);
}

void
mc_dev_up(struct mc_dev *d)
{
	nsec_t now = clock_now_ns();
	struct mc_group *g;

	spin_lock(&d->lock);
	memset(d->old_until_ns, 0, sizeof(d->old_until_ns));
	(void)sync_version(d, now);
	list_for_each(g, &d->groups, link) {
		if (is_told(d, g) && mc_state_announce(g->state, d->robustness))
			g->change_due_ns = now;
	}
	rearm(d);
	spin_unlock(&d->lock);
}

/* ---- Queries ------------------------------------------------------------------------------------ */

static struct ip_addr
source_of(const struct mc_dev *d, const struct mc_query *q, unsigned i)
{
	const uint8_t *b = q->sources + (size_t)i * d->family->addr_size;
	struct ip_addr a;

	if (d->family->addr_size == sizeof(be32))
		return ip_from_v4((be32){{b[0], b[1], b[2], b[3]}});
	memcpy(a.b, b, sizeof(a.b));
	return a;
}

/* The sources of a query; NULL: it has none, or so many that the whole group is told instead. */
static struct ip_addr *
copy_sources(const struct mc_dev *d, const struct mc_query *q)
{
	struct ip_addr *asked;

	if (!q->num_sources || q->num_sources > MC_MAX_ASKED)
		return NULL;
	asked = kcalloc(MC_MAX_ASKED, sizeof(*asked));
	for (unsigned i = 0; asked && i < q->num_sources; i++)
		asked[i] = source_of(d, q, i);
	return asked;
}

static bool
is_asked(const struct mc_group *g, const struct ip_addr *src)
{
	for (unsigned i = 0; i < g->num_asked; i++)
		if (ip_equal(&g->asked[i], src))
			return true;
	return false;
}

/* RFC 3376 5.2, rules 3 to 5: a later query adds to an answer that waits. Takes `*asked`. */
static void
ask_group(struct mc_group *g, nsec_t at, struct ip_addr **asked, unsigned n)
{
	if (!g->answer_due_ns) {
		g->answer_due_ns = at;
		g->asked = *asked;
		g->num_asked = *asked ? n : 0;
		*asked = NULL;
		return;
	}
	at = MIN(at, g->answer_due_ns);
	if (!*asked || !g->asked || g->num_asked + n > MC_MAX_ASKED) {
		mc_forget_answer(g);
	} else {
		for (unsigned i = 0; i < n; i++)
			if (!is_asked(g, &(*asked)[i]))
				g->asked[g->num_asked++] = (*asked)[i];
	}
	g->answer_due_ns = at;
}

/* RFC 3376 7.2.1, 8.12: an older querier counts until it was silent for so long. */
static void
note_querier(struct mc_dev *d, const struct mc_query *q, nsec_t now) MUST_HOLD(d->lock)
{
	nsec_t interval =
	    d->query_interval_ns ? d->query_interval_ns : QUERY_INTERVAL_S * NSEC_PER_SEC;

	if (q->version < d->family->newest) {
		d->old_until_ns[q->version - 1] =
		    now + d->robustness * interval + q->max_ns;
	} else {
		d->robustness = q->robustness ? q->robustness : MC_ROBUSTNESS;
		d->query_interval_ns = q->interval_ns;
	}
	(void)sync_version(d, now);
}

static nsec_t
earlier(nsec_t due, nsec_t at)
{
	return due && due < at ? due : at;
}

static void
answer_later(struct mc_dev *d, const struct mc_query *q, nsec_t now,
    struct ip_addr **asked) MUST_HOLD(d->lock)
{
	bool is_general = ip_is_unspecified(&q->group);
	struct mc_group *g;

	if (is_general && d->version == d->family->newest) {
		d->general_due_ns =
		    earlier(d->general_due_ns, now + 1 + random_below(q->max_ns + 1));
		return;
	}
	list_for_each(g, &d->groups, link) {
		nsec_t at = now + 1 + random_below(q->max_ns + 1);

		if (!is_told(d, g) || !mc_state_has_members(g->state) ||
		    (!is_general && !ip_equal(&q->group, &g->addr)) ||
		    (d->general_due_ns && d->general_due_ns <= at))
			continue;
		ask_group(g, at, asked, q->num_sources);
	}
}

void
mc_query(struct mc_dev *d, const struct mc_query *q)
{
	struct ip_addr *asked = copy_sources(d, q);
	nsec_t now = clock_now_ns();

	spin_lock(&d->lock);
	note_querier(d, q, now);
	answer_later(d, q, now, &asked);
	rearm(d);
	spin_unlock(&d->lock);
	kfree(asked);
}

/* RFC 2236 3, RFC 2710 4: another member's report spares ours. */
void
mc_heard_report(struct mc_dev *d, const struct ip_addr *group)
{
	struct mc_group *g;

	spin_lock(&d->lock);
	g = mc_group_find(d, group);
	if (g && mc_state_has_members(g->state) &&
	    sync_version(d, clock_now_ns()) < d->family->newest) {
		mc_forget_answer(g);
		mc_state_quiet(g->state);
		g->was_last_reporter = false;
	}
	spin_unlock(&d->lock);
}

/* ---- Messages ------------------------------------------------------------------------------------ */

/* A report being filled. */
struct report {
	struct mc_dev *d;
	struct pkt *p; /* NULL: none begun */
	unsigned num_records;
	size_t room; /* bytes of records that one may have */
};

static void
flush(struct report *r)
{
	if (r->p)
		r->d->family->send_report(r->d->dev, r->p, r->num_records);
	r->p = NULL;
	r->num_records = 0;
}

static void
put_addr(struct report *r, const struct ip_addr *addr)
{
	unsigned size = r->d->family->addr_size;

	memcpy(pkt_put(r->p, size), addr->b + sizeof(addr->b) - size, size);
}

/* As many of the record's sources from `done` on as fit; how many those were, or 0 and no packet:
 * no memory. */
static unsigned
put_record(struct report *r, const struct mc_record *rec, unsigned done)
{
	unsigned size = r->d->family->addr_size, n = rec->num - done;
	size_t header = RECORD_HEADER + size;

	/* Into another message rather than in two pieces. */
	if (r->p && pkt_len(r->p) + header + (size_t)n * size > r->room)
		flush(r);
	if (!r->p)
		r->p = pkt_alloc(r->room);
	if (!r->p) {
		drop_count(DROP_NO_MEMORY);
		return 0;
	}
	n = MIN(n, (unsigned)((r->room - header - pkt_len(r->p)) / size));
	memcpy(pkt_put(r->p, RECORD_HEADER),
	    (uint8_t[]){(uint8_t)rec->type, 0, (uint8_t)(n >> 8), (uint8_t)n},
	    RECORD_HEADER);
	put_addr(r, &rec->group);
	for (unsigned i = 0; i < n; i++)
		put_addr(r, &rec->sources[done + i]);
	r->num_records++;
	return n;
}

/* RFC 3376 4.2.16: what is excluded beyond one message is not told, all else goes in pieces. */
static void
send_newest(struct mc_dev *d, const struct mc_records *records)
{
	uint32_t mtu = MAX(MIN(d->dev->mtu, ETHER_MTU), (uint32_t)LEAST_MTU);
	struct report r = {.d = d, .room = mtu - d->family->overhead};

	for (const struct mc_record *rec = mc_record_next(records, NULL); rec;
	     rec = mc_record_next(records, rec)) {
		bool is_whole = rec->type == MC_IS_EXCLUDE || rec->type == MC_TO_EXCLUDE;
		unsigned done = 0;

		do {
			done += put_record(&r, rec, done);
		} while (r.p && !is_whole && done < rec->num);
	}
	flush(&r);
}

static void
send_all(struct mc_dev *d, unsigned version, const struct mc_records *records)
{
	const struct mc_record *rec;

	if (!records->len || !(d->dev->flags & NETDEV_UP))
		return;
	rcu_read_lock();
	if (version == d->family->newest)
		send_newest(d, records);
	else
		for (rec = mc_record_next(records, NULL); rec;
		     rec = mc_record_next(records, rec))
			d->family->send_old(
			    d->dev, version, &rec->group, rec->type == MC_TO_INCLUDE);
	rcu_read_unlock();
}

/* ---- The timer ------------------------------------------------------------------------------------ */

static bool
collect_change(struct mc_dev *d, struct mc_group *g, nsec_t now, struct mc_records *rs)
    MUST_HOLD(d->lock)
{
	bool is_newest = d->version == d->family->newest;
	nsec_t within = is_newest ? UNSOLICITED : d->family->old_report_s * NSEC_PER_SEC;

	if (!g->state->reports_left || g->change_due_ns > now)
		return true;
	if (is_newest) {
		if (!mc_state_report_changes(g->state, &g->addr, rs))
			return false;
	} else {
		if (!mc_record_add(rs, &g->addr,
		        mc_state_has_members(g->state) ? MC_TO_EXCLUDE : MC_TO_INCLUDE))
			return false;
		g->state->reports_left--;
	}
	g->change_due_ns = now + random_below(within);
	g->was_last_reporter = true;
	return true;
}

static bool
collect_answer(struct mc_dev *d, struct mc_group *g, nsec_t now, struct mc_records *rs)
    MUST_HOLD(d->lock)
{
	bool is_newest = d->version == d->family->newest;

	if (!g->answer_due_ns || g->answer_due_ns > now)
		return true;
	if (is_newest ? !mc_state_report(g->state, &g->addr, g->asked, g->num_asked, rs)
	              : !mc_record_add(rs, &g->addr, MC_TO_EXCLUDE))
		return false;
	mc_forget_answer(g);
	g->was_last_reporter = true;
	return true;
}

/* What is due now, as far as there is room; the rest stays due. */
static void
collect(struct mc_dev *d, nsec_t now, struct mc_records *rs) MUST_HOLD(d->lock)
{
	bool is_general = d->general_due_ns && d->general_due_ns <= now;
	struct mc_group *g;

	if (is_general)
		d->general_due_ns = 0;
	list_for_each(g, &d->groups, link) {
		if (is_general && is_told(d, g) && mc_state_has_members(g->state)) {
			mc_forget_answer(g);
			g->answer_due_ns = now;
		}
	}
	list_for_each(g, &d->groups, link) {
		if (!collect_change(d, g, now, rs) || !collect_answer(d, g, now, rs))
			return;
	}
}

static void
on_timer(struct net_timer *t)
{
	struct mc_dev *d = container_of(t, struct mc_dev, timer);
	struct mc_records *records = kmalloc(sizeof(*records) + RECORDS_ROOM);
	nsec_t now = clock_now_ns();
	unsigned version;

	if (!records) {
		net_timer_arm(t, now + UNSOLICITED);
		return;
	}
	records->len = 0;
	records->room = RECORDS_ROOM;
	spin_lock(&d->lock);
	version = sync_version(d, now);
	collect(d, now, records);
	rearm(d);
	spin_unlock(&d->lock);
	send_all(d, version, records);
	kfree(records);
}

void
mc_report_init(struct mc_dev *d)
{
	d->version = d->family->newest;
	net_timer_init(&d->timer, on_timer);
}
