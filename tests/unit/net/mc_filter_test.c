/*
 * Source filters of groups: the merge against its definition (RFC 3376 3.2), and what routers are told
 * against what a router makes of it (RFC 3376 6.4).
 * LINK: net/mc_filter.c net/ip_addr.c lib/string.c lib/fmt.c tests/fakes/kmalloc.c
 * tests/fakes/panic.c
 */
#include "net/mc_filter.h"

#include <stdlib.h>

#include "lib/string.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

enum { MEMBERS = 5, SOURCES = 12, TIMES = 2 };

/* One member's wish in the test: a set of sources as bits. */
struct member {
	bool is_in, is_include;
	unsigned set;
};
static struct member members[MEMBERS];
static struct mc_state *state;
static const struct ip_addr group = {.b = {0xff, 0x15, [15] = 9}};
static uint64_t seed;

static unsigned
draw(unsigned limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % limit;
}

static struct ip_addr
source(unsigned i)
{
	return (struct ip_addr){.b = {0xfd, [15] = (uint8_t)(i * 37 % 251)}};
}

/* In an order of its own: lists of members are not sorted. */
static struct mc_filter
filter_of(const struct member *m, struct ip_addr room[SOURCES])
{
	struct mc_filter f = {.is_include = m->is_include, .sources = room};
	unsigned first = draw(SOURCES);

	for (unsigned i = 0; i < SOURCES; i++) {
		unsigned s = (first + i) % SOURCES;

		if (m->set >> s & 1)
			room[f.num++] = source(s);
	}
	return f;
}

/* RFC 3376 3.2, word for word: the interface lets in what any member does. */
static bool
is_wanted(unsigned s)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		if (members[i].is_in &&
		    (members[i].set >> s & 1) == members[i].is_include)
			return true;
	return false;
}

static void
change_member(struct member *m, struct member to)
{
	struct ip_addr a[SOURCES], b[SOURCES];
	struct mc_filter from = filter_of(m, a), wish = filter_of(&to, b);

	if (to.is_in) {
		struct mc_state *next = mc_state_alloc(state->num + wish.num);

		mc_state_copy(next, state);
		mc_state_remember(next);
		CHECK_EQ(mc_state_add(next, &wish), OK);
		kfree(state);
		state = next;
	} else {
		mc_state_remember(state);
	}
	if (m->is_in)
		mc_state_take(state, &from);
	*m = to;
	(void)mc_state_settle(state, TIMES);
}

static void
begin(uint64_t with)
{
	seed = with;
	memset(members, 0, sizeof(members));
	kfree(state);
	state = mc_state_alloc(0);
}

/* ---- A router: RFC 3376 6.4.2, with timers that run out at once --------------------------------- */

struct router {
	bool is_exclude;
	unsigned set; /* let in, or blocked */
};

static unsigned
set_of(const struct mc_record *r)
{
	unsigned set = 0;

	for (uint32_t i = 0; i < r->num; i++)
		for (unsigned s = 0; s < SOURCES; s++)
			if (source(s).b[15] == r->sources[i].b[15])
				set |= 1u << s;
	return set;
}

static void
hear(struct router *router, const struct mc_record *r)
{
	unsigned set = set_of(r);

	switch (r->type) {
	case MC_IS_INCLUDE:
	case MC_TO_INCLUDE: *router = (struct router){false, set}; break;
	case MC_IS_EXCLUDE:
	case MC_TO_EXCLUDE: *router = (struct router){true, set}; break;
	case MC_ALLOW:
		router->set = router->is_exclude ? router->set & ~set : router->set | set;
		break;
	case MC_BLOCK:
		router->set = router->is_exclude ? router->set | set : router->set & ~set;
		break;
	default: CHECK(false);
	}
}

static bool
forwards(const struct router *r, unsigned s)
{
	return (r->set >> s & 1) != r->is_exclude;
}

static struct mc_records *
new_records(void)
{
	struct mc_records *rs = calloc(1, sizeof(*rs) + MC_RECORDS_ROOM);

	rs->room = MC_RECORDS_ROOM;
	return rs;
}

static void
report(struct router *router, bool is_lost)
{
	struct mc_records *rs = new_records();

	CHECK(mc_state_report_changes(state, &group, rs));
	for (const struct mc_record *r = mc_record_next(rs, NULL); r;
	     r = mc_record_next(rs, r)) {
		CHECK(ip_equal(&r->group, &group));
		if (!is_lost)
			hear(router, r);
	}
	free(rs);
}

static void
check_router(const struct router *router)
{
	for (unsigned s = 0; s < SOURCES; s++)
		CHECK_EQ(forwards(router, s), is_wanted(s));
}

/* ---- Cases --------------------------------------------------------------------------------------- */

KTEST(the_merge_lets_in_what_any_member_wants_rfc3376_3_2)
{
	for (unsigned round = 0; round < 200; round++) {
		begin(round);
		for (unsigned step = 0; step < 60; step++) {
			change_member(&members[draw(MEMBERS)],
			    (struct member){draw(3) != 0, draw(2), draw(1u << SOURCES)});
			for (unsigned s = 0; s < SOURCES; s++) {
				struct ip_addr a = source(s);

				CHECK_EQ(mc_state_allows(state, &a), is_wanted(s));
			}
		}
	}
	begin(0);
}

/* One report of each change may be lost: the other says enough. */
KTEST(routers_follow_every_change_though_one_report_is_lost_rfc3376_5_1)
{
	for (unsigned round = 0; round < 300; round++) {
		struct router router = {false, 0};

		begin(1000 + round);
		for (unsigned step = 0; step < 40; step++) {
			unsigned lost = draw(3);

			change_member(&members[draw(MEMBERS)],
			    (struct member){draw(3) != 0, draw(2), draw(1u << SOURCES)});
			for (unsigned n = 0; state->reports_left; n++)
				report(&router, n == lost);
			check_router(&router);
		}
	}
	begin(0);
}

/* Changes come faster than reports: each report says what holds when it goes. */
KTEST(changes_between_reports_are_merged_rfc3376_5_1)
{
	for (unsigned round = 0; round < 300; round++) {
		struct router router = {false, 0};

		begin(5000 + round);
		for (unsigned step = 0; step < 40; step++) {
			change_member(&members[draw(MEMBERS)],
			    (struct member){draw(3) != 0, draw(2), draw(1u << SOURCES)});
			if (state->reports_left && draw(2))
				report(&router, false);
		}
		while (state->reports_left)
			report(&router, false);
		check_router(&router);
	}
	begin(0);
}

/* What one change makes a report say. */
static void
expect(const struct mc_record *r, unsigned type, unsigned set)
{
	CHECK(r);
	CHECK_EQ(r->type, type);
	CHECK_EQ(set_of(r), set);
}

KTEST(each_change_has_its_records_rfc3376_5_1)
{
	static const struct {
		struct member from, to;
		unsigned type[2], set[2]; /* 0: no second record */
	} rows[] = {
	    {{0}, {1, 0, 0}, {MC_TO_EXCLUDE}, {0}},
	    {{0}, {1, 1, 3}, {MC_ALLOW}, {3}},
	    {{1, 1, 3}, {1, 1, 6}, {MC_ALLOW, MC_BLOCK}, {4, 1}},
	    {{1, 0, 3}, {1, 0, 6}, {MC_ALLOW, MC_BLOCK}, {1, 4}},
	    {{1, 1, 3}, {1, 0, 6}, {MC_TO_EXCLUDE}, {6}},
	    {{1, 0, 3}, {1, 1, 6}, {MC_TO_INCLUDE}, {6}},
	    {{1, 1, 3}, {0}, {MC_BLOCK}, {3}},
	    {{1, 0, 3}, {0}, {MC_TO_INCLUDE}, {0}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct mc_records *rs = new_records();
		const struct mc_record *r;

		begin(i);
		change_member(&members[0], rows[i].from);
		mc_state_quiet(state);
		change_member(&members[0], rows[i].to);
		CHECK_EQ(state->reports_left, TIMES);
		CHECK(mc_state_report_changes(state, &group, rs));
		r = mc_record_next(rs, NULL);
		expect(r, rows[i].type[0], rows[i].set[0]);
		r = mc_record_next(rs, r);
		CHECK_EQ(r != NULL, rows[i].type[1] != 0);
		if (r)
			expect(r, rows[i].type[1], rows[i].set[1]);
		free(rs);
	}
	begin(0);
}

static void
ask(unsigned set, unsigned type, unsigned answer)
{
	struct mc_records *rs = new_records();
	struct ip_addr asked[SOURCES];
	const struct mc_record *r;
	unsigned n = 0;

	for (unsigned s = 0; s < SOURCES; s++)
		if (set >> s & 1)
			asked[n++] = source(s);
	CHECK(mc_state_report(state, &group, set ? asked : NULL, n, rs));
	r = mc_record_next(rs, NULL);
	CHECK_EQ(r != NULL, type != 0);
	if (r)
		expect(r, type, answer);
	free(rs);
}

KTEST(queries_are_answered_by_what_is_let_in_rfc3376_5_2)
{
	begin(1);
	ask(0, 0, 0); /* no member: no answer */
	change_member(&members[0], (struct member){1, 1, 0x0f});
	ask(0, MC_IS_INCLUDE, 0x0f);
	ask(0x3c, MC_IS_INCLUDE, 0x0c);
	ask(0x30, 0, 0);
	change_member(&members[1], (struct member){1, 0, 0x13});
	ask(0, MC_IS_EXCLUDE, 0x10);
	ask(0x31, MC_IS_INCLUDE, 0x21);
	ask(0x10, 0, 0);
	begin(0);
}

KTEST(sources_of_a_group_have_a_limit)
{
	struct ip_addr many[MC_MAX_SOURCES + 1];
	struct mc_filter f = {true, 0, many};
	struct mc_state *st = mc_state_alloc(MC_MAX_SOURCES + 1);

	kfree(state);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ip_addr){
		    .b = {0xfd, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}};
	f.num = MC_MAX_SOURCES + 1;
	CHECK_EQ(mc_state_add(st, &f), ERR_NOBUFS);
	kfree(st);
	st = mc_state_alloc(MC_MAX_SOURCES);
	f.num = MC_MAX_SOURCES;
	CHECK_EQ(mc_state_add(st, &f), OK);
	/* All of them blocked and as many others asked for, in one: what went is forgotten. */
	mc_state_remember(st);
	mc_state_take(st, &f);
	CHECK(mc_state_settle(st, TIMES));
	CHECK_EQ(st->num, MC_MAX_SOURCES);
	for (unsigned i = 0; i < MC_MAX_SOURCES; i++)
		many[i].b[1] = 1;
	state = mc_state_alloc(2 * MC_MAX_SOURCES);
	mc_state_copy(state, st);
	CHECK_EQ(mc_state_add(state, &f), OK);
	CHECK_EQ(state->num, MC_MAX_SOURCES);
	kfree(st);
	begin(0);
	kfree(state);
	state = NULL;
	CHECK_EQ(fake_kmalloc_live, 0);
}
