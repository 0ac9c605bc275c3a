/*
 * net/dhcp4_machine.c: the client's states (RFC 2131 4.4, figure 5) with a clock of our own.
 * LINK: net/dhcp4_machine.c lib/string.c
 */
#include "net/dhcp4_machine.h"

#include "kernel/random.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static uint64_t next_random = 1;

uint64_t
random_u64(void)
{
	return next_random++ * 0x9e3779b97f4a7c15ull;
}

uint64_t
random_below(uint64_t limit)
{
	return limit / 2;
}

enum { SEC = 1000000000 };
static const be32 server = {{10, 0, 0, 1}}, other_server = {{10, 0, 0, 2}},
                  ours = {{10, 0, 0, 50}};

struct client {
	struct dhcp4_machine m;
	struct dhcp4_actions a;
	nsec_t now;
};

static struct dhcp4_reply
reply(const struct client *c, enum dhcp4_type type)
{
	return (struct dhcp4_reply){.type = (uint8_t)type,
	    .xid = c->m.xid,
	    .addr = ours,
	    .server = server,
	    .plen = 24,
	    .lease_s = 1000};
}

static void
receive(struct client *c, enum dhcp4_type type)
{
	struct dhcp4_reply r = reply(c, type);

	dhcp4_received(&c->m, &r, c->now, &c->a);
}

static void
tick(struct client *c)
{
	c->now = c->m.due_ns;
	dhcp4_timer(&c->m, c->now, &c->a);
}

static struct client
started(void)
{
	struct client c = {.now = 5ull * SEC};

	dhcp4_start(&c.m, c.now, &c.a);
	return c;
}

static struct client
bound(void)
{
	struct client c = started();

	receive(&c, DHCP4_OFFER);
	receive(&c, DHCP4_ACK);
	dhcp4_checked(&c.m, false, c.now, &c.a);
	return c;
}

static bool
says(const struct client *c, enum dhcp4_type type)
{
	return c->a.send && c->a.message.type == type;
}

KTEST(init_broadcasts_discover_rfc2131_4_4_1)
{
	struct client c = started();

	CHECK(says(&c, DHCP4_DISCOVER) && !c.a.is_unicast && c.a.message.wants_broadcast);
	CHECK_EQ(be32_get(c.a.message.client), 0);
	CHECK_EQ(c.m.state, DHCP4_SELECTING);
}

KTEST(discover_is_repeated_after_4_8_16_32_64_seconds_rfc2131_4_1)
{
	static const unsigned waits[] = {4, 8, 16, 32, 64, 64};
	struct client c = started();

	for (unsigned i = 0; i < ARRAY_SIZE(waits); i++) {
		CHECK_EQ(c.m.due_ns - c.now, waits[i] * (nsec_t)SEC);
		tick(&c);
		CHECK(says(&c, DHCP4_DISCOVER));
	}
	CHECK(c.a.message.secs > 60);
}

KTEST(nobody_answers_is_said_once)
{
	struct client c = started();
	unsigned said = 0;

	for (unsigned i = 0; i < 10; i++) {
		tick(&c);
		said += c.a.nobody_answers;
	}
	CHECK_EQ(said, 1);
}

KTEST(offer_is_requested_by_server_and_address_rfc2131_4_3_2)
{
	struct client c = started();

	receive(&c, DHCP4_OFFER);
	CHECK(says(&c, DHCP4_REQUEST) && !c.a.is_unicast);
	CHECK_EQ(be32_get(c.a.message.requested), be32_get(ours));
	CHECK_EQ(be32_get(c.a.message.server), be32_get(server));
	CHECK_EQ(be32_get(c.a.message.client), 0);
}

KTEST(another_transaction_is_ignored)
{
	struct client c = started();
	struct dhcp4_reply r = reply(&c, DHCP4_OFFER);

	r.xid++;
	dhcp4_received(&c.m, &r, c.now, &c.a);
	CHECK(!c.a.send);
	CHECK_EQ(c.m.state, DHCP4_SELECTING);
}

KTEST(offer_without_server_is_ignored)
{
	struct client c = started();
	struct dhcp4_reply r = reply(&c, DHCP4_OFFER);

	r.server = be32_of(0);
	dhcp4_received(&c.m, &r, c.now, &c.a);
	CHECK_EQ(c.m.state, DHCP4_SELECTING);
}

KTEST(request_without_answer_ends_after_four_and_begins_anew)
{
	struct client c = started();

	receive(&c, DHCP4_OFFER);
	for (unsigned i = 0; i < 3; i++) {
		tick(&c);
		CHECK(says(&c, DHCP4_REQUEST));
	}
	tick(&c);
	CHECK(says(&c, DHCP4_DISCOVER));
}

KTEST(ack_is_checked_before_it_is_used_rfc2131_4_4_1)
{
	struct client c = started();

	receive(&c, DHCP4_OFFER);
	receive(&c, DHCP4_ACK);
	CHECK(c.a.check && !c.a.configure && !c.m.has_lease);
	dhcp4_checked(&c.m, false, c.now + SEC, &c.a);
	CHECK(c.a.configure && c.m.has_lease);
	CHECK_EQ(c.m.state, DHCP4_BOUND);
}

KTEST(ack_of_another_address_than_requested_is_ignored)
{
	struct client c = started();
	struct dhcp4_reply r;

	receive(&c, DHCP4_OFFER);
	r = reply(&c, DHCP4_ACK);
	r.addr.b[3]++;
	dhcp4_received(&c.m, &r, c.now, &c.a);
	CHECK_EQ(c.m.state, DHCP4_REQUESTING);
}

KTEST(conflict_is_declined_and_ten_seconds_waited_rfc2131_3_1_5)
{
	struct client c = started();

	receive(&c, DHCP4_OFFER);
	receive(&c, DHCP4_ACK);
	dhcp4_checked(&c.m, true, c.now, &c.a);
	CHECK(says(&c, DHCP4_DECLINE) && !c.a.is_unicast && c.a.unconfigure);
	CHECK_EQ(be32_get(c.a.message.requested), be32_get(ours));
	CHECK_EQ(be32_get(c.a.message.server), be32_get(server));
	CHECK(c.m.due_ns - c.now >= 10ull * SEC);
	tick(&c);
	CHECK(says(&c, DHCP4_DISCOVER));
}

KTEST(times_are_half_and_seven_eighths_by_default_rfc2131_4_4_5)
{
	struct client c = bound();

	CHECK_EQ(c.m.t1_ns - 5ull * SEC, 500ull * SEC);
	CHECK_EQ(c.m.t2_ns - 5ull * SEC, 875ull * SEC);
	CHECK_EQ(c.m.expires_ns - 5ull * SEC, 1000ull * SEC);
	CHECK_EQ(c.m.due_ns, c.m.t1_ns);
}

KTEST(renewing_asks_the_server_from_the_address_rfc2131_4_3_2)
{
	struct client c = bound();

	tick(&c);
	CHECK_EQ(c.m.state, DHCP4_RENEWING);
	CHECK(says(&c, DHCP4_REQUEST) && c.a.is_unicast);
	CHECK_EQ(be32_get(c.a.message.client), be32_get(ours));
	CHECK_EQ(be32_get(c.a.message.requested), 0);
	CHECK_EQ(be32_get(c.a.message.server), 0);
}

KTEST(renewal_keeps_the_address_and_counts_from_the_request)
{
	struct client c = bound();
	nsec_t asked;

	tick(&c);
	asked = c.now;
	c.now += 3ull * SEC;
	receive(&c, DHCP4_ACK);
	CHECK(c.a.configure && !c.a.unconfigure && !c.a.check);
	CHECK_EQ(c.m.state, DHCP4_BOUND);
	CHECK_EQ(c.m.expires_ns, asked + 1000ull * SEC);
}

KTEST(rebinding_broadcasts_from_t2_rfc2131_4_4_5)
{
	struct client c = bound();

	for (unsigned i = 0; i < 20 && c.m.state != DHCP4_REBINDING; i++)
		tick(&c);
	CHECK_EQ(c.now, c.m.t2_ns);
	CHECK(says(&c, DHCP4_REQUEST) && !c.a.is_unicast);
	CHECK_EQ(be32_get(c.a.message.client), be32_get(ours));
}

KTEST(renewing_repeats_no_more_than_once_a_minute)
{
	struct client c = bound();
	nsec_t last = 0;

	tick(&c);
	while (c.m.state == DHCP4_RENEWING) {
		CHECK(!last || c.now - last >= 60ull * SEC);
		last = c.now;
		tick(&c);
	}
}

KTEST(lease_that_nobody_renews_ends_and_the_address_goes)
{
	struct client c = bound();
	nsec_t end = c.m.expires_ns;

	for (unsigned i = 0; i < 40 && c.m.has_lease; i++)
		tick(&c);
	CHECK_EQ(c.now, end);
	CHECK(c.a.unconfigure && says(&c, DHCP4_DISCOVER));
}

KTEST(another_server_may_extend_while_rebinding)
{
	struct client c = bound();
	struct dhcp4_reply r;

	for (unsigned i = 0; i < 20 && c.m.state != DHCP4_REBINDING; i++)
		tick(&c);
	r = reply(&c, DHCP4_ACK);
	r.server = other_server;
	dhcp4_received(&c.m, &r, c.now, &c.a);
	CHECK(c.a.configure && !c.a.unconfigure);
	CHECK_EQ(be32_get(c.m.lease.server), be32_get(other_server));
}

KTEST(nak_while_renewing_takes_the_address_away)
{
	struct client c = bound();

	tick(&c);
	receive(&c, DHCP4_NAK);
	CHECK(c.a.unconfigure && !c.m.has_lease);
	CHECK_EQ(c.m.state, DHCP4_INIT);
	tick(&c);
	CHECK(says(&c, DHCP4_DISCOVER));
}

KTEST(nak_of_a_server_that_did_not_offer_is_ignored)
{
	struct client c = started();
	struct dhcp4_reply r;

	receive(&c, DHCP4_OFFER);
	r = reply(&c, DHCP4_NAK);
	r.server = other_server;
	dhcp4_received(&c.m, &r, c.now, &c.a);
	CHECK_EQ(c.m.state, DHCP4_REQUESTING);
}

KTEST(naks_in_a_row_slow_us_down)
{
	struct client c = started();
	nsec_t wait = 0;

	for (unsigned i = 0; i < 4; i++) {
		receive(&c, DHCP4_OFFER);
		receive(&c, DHCP4_NAK);
		CHECK(c.m.due_ns - c.now > wait);
		wait = c.m.due_ns - c.now;
		tick(&c);
	}
}

KTEST(link_that_comes_back_asks_for_the_same_address_rfc2131_3_2)
{
	struct client c = bound();

	dhcp4_pause(&c.m, c.now);
	c.now += 10ull * SEC;
	dhcp4_start(&c.m, c.now, &c.a);
	CHECK(says(&c, DHCP4_REQUEST) && !c.a.is_unicast && !c.a.unconfigure);
	CHECK_EQ(c.m.state, DHCP4_REBOOTING);
	CHECK_EQ(be32_get(c.a.message.requested), be32_get(ours));
	CHECK_EQ(be32_get(c.a.message.server), 0);
	CHECK_EQ(be32_get(c.a.message.client), 0);
	receive(&c, DHCP4_ACK);
	CHECK(c.a.configure && c.m.state == DHCP4_BOUND);
}

KTEST(init_reboot_without_answer_keeps_the_address_while_the_lease_holds)
{
	struct client c = bound();

	dhcp4_pause(&c.m, c.now);
	dhcp4_start(&c.m, c.now, &c.a);
	tick(&c);
	CHECK(says(&c, DHCP4_REQUEST));
	tick(&c);
	CHECK(c.m.has_lease && c.m.state == DHCP4_BOUND && !c.a.unconfigure);
}

KTEST(init_reboot_that_is_refused_begins_anew)
{
	struct client c = bound();

	dhcp4_pause(&c.m, c.now);
	dhcp4_start(&c.m, c.now, &c.a);
	receive(&c, DHCP4_NAK);
	CHECK(c.a.unconfigure && c.m.state == DHCP4_INIT);
}

KTEST(lease_that_ends_while_the_link_is_away_takes_the_address)
{
	struct client c = bound();

	dhcp4_pause(&c.m, c.now);
	tick(&c);
	CHECK(c.a.unconfigure && !c.a.send);
	CHECK(c.m.due_ns == UINT64_MAX);
}

KTEST(stop_releases_to_the_server_rfc2131_4_4_6)
{
	struct client c = bound();

	dhcp4_stop(&c.m, c.now, &c.a);
	CHECK(says(&c, DHCP4_RELEASE) && c.a.is_unicast && c.a.unconfigure);
	CHECK_EQ(be32_get(c.a.message.client), be32_get(ours));
	CHECK_EQ(be32_get(c.a.message.server), be32_get(server));
	CHECK_EQ(be32_get(c.a.message.requested), 0);
}

KTEST(endless_lease_is_never_renewed)
{
	struct client c = started();
	struct dhcp4_reply r;

	receive(&c, DHCP4_OFFER);
	r = reply(&c, DHCP4_ACK);
	r.lease_s = DHCP4_FOREVER;
	dhcp4_received(&c.m, &r, c.now, &c.a);
	dhcp4_checked(&c.m, false, c.now, &c.a);
	CHECK(c.m.due_ns == UINT64_MAX);
}

KTEST(random_events_never_leave_the_machine_without_a_timer)
{
	uint32_t seed = 7;
	struct client c = started();

	for (unsigned i = 0; i < 200000; i++) {
		struct dhcp4_reply r;

		seed = seed * 1664525 + 1013904223;
		switch (seed >> 28) {
		case 0:
			dhcp4_pause(&c.m, c.now);
			dhcp4_start(&c.m, c.now, &c.a);
			break;
		case 1:
		case 2: dhcp4_checked(&c.m, seed >> 27 & 1, c.now, &c.a); break;
		case 3:
		case 4:
		case 5:
		case 6:
		case 7:
			r = reply(&c, 1 + (seed >> 20) % 7);
			r.addr.b[3] = (uint8_t)(50 + (seed >> 16) % 2);
			r.lease_s = 1 + (seed >> 8) % 2000;
			r.t1_s = seed % 3000;
			dhcp4_received(&c.m, &r, c.now, &c.a);
			break;
		default:
			if (c.m.due_ns != UINT64_MAX)
				tick(&c);
		}
		CHECK(c.m.state != DHCP4_STOPPED);
		CHECK(c.m.due_ns != UINT64_MAX && c.m.due_ns + 1 > c.now);
		CHECK(!c.a.check || !c.m.has_lease);
	}
}
