/*
 * The DHCPv4 client's states.
 *
 * Messages without answer are repeated after 4, 8, 16, 32, 64 s, each give or take one (RFC 2131
 * 4.1); a REQUEST for an offer four times, then it all begins anew. Renewing and rebinding repeat
 * after half of the time that is left, at least a minute apart (4.4.5). The lease's times count from
 * when the REQUEST left. After a conflict 10 s pass before the next attempt (3.1 step 5); after NAKs
 * ever more, so that a server which takes back what it offers does not get a flood.
 */
#include "net/dhcp4_machine.h"

#include "kernel/random.h"
#include "lib/string.h"

enum {
	MAX_REQUESTS = 4,
	MAX_REBOOT_REQUESTS = 2,
	NOBODY_AFTER = 3, /* DISCOVERs */
	MAX_BACKOFF = 4,  /* 4 s << 4 */
};
static const nsec_t FIRST_WAIT = 4 * NSEC_PER_SEC;
static const nsec_t CONFLICT_WAIT = 10 * NSEC_PER_SEC;
static const nsec_t MIN_RENEW_WAIT = 60 * NSEC_PER_SEC;
static const nsec_t CHECK_LIMIT = 30 * NSEC_PER_SEC;

static nsec_t
backoff(unsigned tries)
{
	unsigned shift = tries < MAX_BACKOFF ? tries : MAX_BACKOFF;

	return (FIRST_WAIT << shift) - NSEC_PER_SEC + random_below(2 * NSEC_PER_SEC);
}

static void
say(struct dhcp4_machine *m, enum dhcp4_type type, nsec_t now, struct dhcp4_actions *a)
{
	nsec_t secs = (now - m->began_ns) / NSEC_PER_SEC;

	a->send = true;
	a->message.type = type;
	a->message.xid = m->xid;
	a->message.secs = (uint16_t)(secs < 0xffff ? secs : 0xffff);
}

/* ---- Without an address ------------------------------------------------------------------ */

static void
wait_to_begin(struct dhcp4_machine *m, nsec_t now, nsec_t wait)
{
	m->state = DHCP4_INIT;
	m->due_ns = now + wait;
}

static void
discover(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	m->state = DHCP4_SELECTING;
	say(m, DHCP4_DISCOVER, now, a);
	a->message.wants_broadcast = true;
	if (m->has_lease)
		a->message.requested = m->lease.addr; /* the one we had, if it may be */
	m->due_ns = now + backoff(m->tries++);
	if (m->tries > NOBODY_AFTER && !m->said_nobody) {
		m->said_nobody = true;
		a->nobody_answers = true;
	}
}

static void
begin(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	m->xid = (uint32_t)random_u64();
	m->began_ns = now;
	m->tries = 0;
	discover(m, now, a);
}

/* RFC 2131 4.3.2: SELECTING names server and address, INIT-REBOOT the address alone. */
static void
request(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	say(m, DHCP4_REQUEST, now, a);
	a->message.wants_broadcast = true;
	if (m->state == DHCP4_REQUESTING) {
		a->message.requested = m->offer.addr;
		a->message.server = m->offer.server;
	} else {
		a->message.requested = m->lease.addr;
	}
	m->due_ns = now + backoff(m->tries++);
}

/* ---- With one ---------------------------------------------------------------------------- */

static nsec_t
later(nsec_t base, uint32_t secs)
{
	return secs == DHCP4_FOREVER ? UINT64_MAX : base + secs * NSEC_PER_SEC;
}

/* T1 and T2 as given if they make sense, else by default (RFC 2131 4.4.5). */
static void
set_times(struct dhcp4_machine *m)
{
	const struct dhcp4_reply *l = &m->lease;
	uint32_t t1 = l->t1_s, t2 = l->t2_s;

	m->expires_ns = later(m->asked_ns, l->lease_s);
	if (l->lease_s == DHCP4_FOREVER) {
		m->t1_ns = m->t2_ns = UINT64_MAX;
		return;
	}
	if (!t2 || t2 >= l->lease_s)
		t2 = (uint32_t)((uint64_t)l->lease_s * 7 / 8);
	if (!t1 || t1 >= t2)
		t1 = l->lease_s / 2 < t2 ? l->lease_s / 2 : t2 / 2;
	m->t1_ns = later(m->asked_ns, t1);
	m->t2_ns = later(m->asked_ns, t2);
}

static void
bind(struct dhcp4_machine *m, struct dhcp4_actions *a)
{
	m->state = DHCP4_BOUND;
	m->lease = m->offer;
	m->has_lease = true;
	m->naks = 0;
	m->said_nobody = false;
	set_times(m);
	m->due_ns = m->t1_ns;
	a->configure = true;
}

/* RENEWING asks the server, REBINDING anyone; both by the address we have. */
static void
renew(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	nsec_t end = m->state == DHCP4_RENEWING ? m->t2_ns : m->expires_ns;
	nsec_t wait = (end - now) / 2;

	say(m, DHCP4_REQUEST, now, a);
	a->message.client = m->lease.addr;
	a->message.server = (be32){{0}};
	a->is_unicast = m->state == DHCP4_RENEWING;
	m->due_ns = now + (wait > MIN_RENEW_WAIT ? wait : MIN_RENEW_WAIT);
	if (m->due_ns > end)
		m->due_ns = end;
}

static void
begin_renewing(
    struct dhcp4_machine *m, enum dhcp4_state state, nsec_t now, struct dhcp4_actions *a)
{
	if (m->state == DHCP4_BOUND) {
		m->xid = (uint32_t)random_u64();
		m->began_ns = now;
		m->asked_ns = now;
	}
	m->state = state;
	renew(m, now, a);
}

static void
lose_lease(struct dhcp4_machine *m, struct dhcp4_actions *a)
{
	m->has_lease = false;
	a->unconfigure = true;
}

/* ---- Events ------------------------------------------------------------------------------ */

void
dhcp4_start(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	*a = (struct dhcp4_actions){.send = false};
	m->said_nobody = false;
	m->naks = 0;
	if (m->has_lease && m->expires_ns <= now)
		lose_lease(m, a);
	if (!m->has_lease) {
		begin(m, now, a);
		return;
	}
	m->state = DHCP4_REBOOTING;
	m->xid = (uint32_t)random_u64();
	m->began_ns = m->asked_ns = now;
	m->tries = 0;
	request(m, now, a);
}

void
dhcp4_pause(struct dhcp4_machine *m, nsec_t now)
{
	m->state = DHCP4_STOPPED;
	m->due_ns = m->has_lease ? m->expires_ns : UINT64_MAX;
}

void
dhcp4_stop(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	*a = (struct dhcp4_actions){.send = false};
	if (m->has_lease && m->expires_ns > now) {
		m->xid = (uint32_t)random_u64();
		m->began_ns = now;
		say(m, DHCP4_RELEASE, now, a);
		a->message.client = m->lease.addr;
		a->message.server = m->lease.server;
		a->is_unicast = true;
	}
	if (m->has_lease || m->state == DHCP4_CHECKING)
		lose_lease(m, a);
	m->state = DHCP4_STOPPED;
	m->due_ns = UINT64_MAX;
}

/* No answer to INIT-REBOOT: the address serves on until its time is over (RFC 2131 3.2). */
static void
keep_on(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	m->state = DHCP4_BOUND;
	if (now < m->t1_ns)
		m->due_ns = m->t1_ns;
	else
		begin_renewing(
		    m, now < m->t2_ns ? DHCP4_RENEWING : DHCP4_REBINDING, now, a);
}

void
dhcp4_timer(struct dhcp4_machine *m, nsec_t now, struct dhcp4_actions *a)
{
	*a = (struct dhcp4_actions){.send = false};
	if (now < m->due_ns)
		return;
	if (m->has_lease && now >= m->expires_ns) {
		lose_lease(m, a);
		if (m->state == DHCP4_STOPPED)
			m->due_ns = UINT64_MAX;
		else
			begin(m, now, a);
		return;
	}
	switch (m->state) {
	case DHCP4_INIT: begin(m, now, a); break;
	case DHCP4_SELECTING: discover(m, now, a); break;
	case DHCP4_REQUESTING:
		if (m->tries >= MAX_REQUESTS)
			begin(m, now, a);
		else
			request(m, now, a);
		break;
	case DHCP4_REBOOTING:
		if (m->tries >= MAX_REBOOT_REQUESTS)
			keep_on(m, now, a);
		else
			request(m, now, a);
		break;
	case DHCP4_CHECKING: /* nobody told us how it ended */
		a->unconfigure = true;
		begin(m, now, a);
		break;
	case DHCP4_BOUND:
		begin_renewing(
		    m, now < m->t2_ns ? DHCP4_RENEWING : DHCP4_REBINDING, now, a);
		break;
	case DHCP4_RENEWING:
		begin_renewing(
		    m, now < m->t2_ns ? DHCP4_RENEWING : DHCP4_REBINDING, now, a);
		break;
	case DHCP4_REBINDING: renew(m, now, a); break;
	default: m->due_ns = UINT64_MAX;
	}
}

static void
take_offer(struct dhcp4_machine *m, const struct dhcp4_reply *r, nsec_t now,
    struct dhcp4_actions *a)
{
	if (m->state != DHCP4_SELECTING || !be32_get(r->server))
		return;
	m->offer = *r;
	m->state = DHCP4_REQUESTING;
	m->tries = 0;
	m->asked_ns = now;
	request(m, now, a);
}

/* The address we have: new times. Another: it is checked first, and replaces the old one then. */
static void
take_ack(struct dhcp4_machine *m, const struct dhcp4_reply *r, nsec_t now,
    struct dhcp4_actions *a)
{
	be32 server = m->state == DHCP4_REQUESTING ? m->offer.server : m->lease.server;
	bool is_same = m->has_lease && !memcmp(&r->addr, &m->lease.addr, 4);

	if (m->state == DHCP4_REQUESTING && memcmp(&r->addr, &m->offer.addr, 4) != 0)
		return;
	m->offer = *r;
	if (!be32_get(r->server))
		m->offer.server = server;
	if (is_same) {
		bind(m, a);
		return;
	}
	if (m->has_lease)
		lose_lease(m, a);
	m->state = DHCP4_CHECKING;
	m->due_ns = now + CHECK_LIMIT;
	a->check = true;
}

static void
take_nak(struct dhcp4_machine *m, const struct dhcp4_reply *r, nsec_t now,
    struct dhcp4_actions *a)
{
	if (m->state == DHCP4_REQUESTING && be32_get(r->server) &&
	    memcmp(&r->server, &m->offer.server, 4) != 0)
		return; /* another server's opinion of an offer that is not its own */
	if (m->has_lease)
		lose_lease(m, a);
	wait_to_begin(m, now, m->naks ? backoff(m->naks) : NSEC_PER_SEC);
	m->naks++;
}

void
dhcp4_received(struct dhcp4_machine *m, const struct dhcp4_reply *r, nsec_t now,
    struct dhcp4_actions *a)
{
	bool is_asking = m->state == DHCP4_REQUESTING || m->state == DHCP4_REBOOTING ||
	                 m->state == DHCP4_RENEWING || m->state == DHCP4_REBINDING;

	*a = (struct dhcp4_actions){.send = false};
	if (r->xid != m->xid)
		return;
	if (r->type == DHCP4_OFFER)
		take_offer(m, r, now, a);
	else if (r->type == DHCP4_ACK && is_asking)
		take_ack(m, r, now, a);
	else if (r->type == DHCP4_NAK && is_asking)
		take_nak(m, r, now, a);
}

void
dhcp4_checked(
    struct dhcp4_machine *m, bool is_conflict, nsec_t now, struct dhcp4_actions *a)
{
	*a = (struct dhcp4_actions){.send = false};
	if (m->state == DHCP4_CHECKING && !is_conflict) {
		bind(m, a);
		return;
	}
	if (!is_conflict || (m->state != DHCP4_CHECKING && !m->has_lease))
		return;
	if (m->state != DHCP4_CHECKING)
		m->offer = m->lease;
	say(m, DHCP4_DECLINE, now, a);
	a->message.requested = m->offer.addr;
	a->message.server = m->offer.server;
	lose_lease(m, a);
	wait_to_begin(m, now, CONFLICT_WAIT);
}
