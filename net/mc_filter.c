/*
 * Source filters of multicast groups: see mc_filter.h.
 *
 * A change goes in steps: the state is copied with room for more (or kept, when a member only goes),
 * each source notes whether it was allowed, members are added and taken, and settling compares.
 * Sources nobody names any more stay until routers have been told that they are out.
 */
#include "net/mc_filter.h"

#include "lib/string.h"
#include "mm/slab.h"

const struct mc_filter mc_any_source = {.is_include = false};

/* ---- The state --------------------------------------------------------------------------------- */

struct mc_state *
mc_state_alloc(unsigned room)
{
	struct mc_state *st = kzalloc(sizeof(*st) + room * sizeof(st->sources[0]));

	if (st)
		st->room = (uint16_t)room;
	return st;
}

/* Where the source is, or would be. */
static unsigned
place_of(const struct mc_state *st, const struct ip_addr *addr)
{
	unsigned low = 0, high = st->num;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (memcmp(st->sources[mid].addr.b, addr->b, sizeof(addr->b)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
is_at(const struct mc_state *st, unsigned i, const struct ip_addr *addr)
{
	return i < st->num && ip_equal(&st->sources[i].addr, addr);
}

/* RFC 3376 3.2, by counts. Right in both modes: without excluders no source is excluded. */
static bool
is_allowed(const struct mc_state *st, const struct mc_source *s)
{
	return s->include || s->exclude != st->excluders;
}

bool
mc_state_allows(const struct mc_state *st, const struct ip_addr *src)
{
	unsigned i = place_of(st, src);

	return is_at(st, i, src) ? is_allowed(st, &st->sources[i]) : st->excluders != 0;
}

/* ---- Changes ----------------------------------------------------------------------------------- */

void
mc_state_copy(struct mc_state *to, const struct mc_state *from)
{
	/* More are to come than there may be: routers are not told again of those that went. */
	bool is_tight = to->room > MC_MAX_SOURCES;
	uint16_t room = to->room;

	*to = *from;
	to->room = room;
	to->num = 0;
	for (unsigned i = 0; i < from->num; i++) {
		const struct mc_source *s = &from->sources[i];

		if (s->include || s->exclude || (s->changes_left && !is_tight))
			to->sources[to->num++] = *s;
	}
}

void
mc_state_remember(struct mc_state *st)
{
	st->was_member = mc_state_has_members(st);
	st->was_exclude = st->excluders != 0;
	for (unsigned i = 0; i < st->num; i++)
		st->sources[i].was_allowed = is_allowed(st, &st->sources[i]);
}

static struct mc_source *
insert(struct mc_state *st, unsigned at, const struct ip_addr *addr)
{
	struct mc_source *s = &st->sources[at];

	if (st->num >= MC_MAX_SOURCES || st->num >= st->room)
		return NULL;
	memmove(s + 1, s, (st->num - at) * sizeof(*s));
	*s = (struct mc_source){.addr = *addr, .was_allowed = st->was_exclude};
	st->num++;
	return s;
}

enum err
mc_state_add(struct mc_state *st, const struct mc_filter *f)
{
	for (unsigned i = 0; i < f->num; i++) {
		unsigned at = place_of(st, &f->sources[i]);
		struct mc_source *s = is_at(st, at, &f->sources[i])
		                          ? &st->sources[at]
		                          : insert(st, at, &f->sources[i]);

		if (!s)
			return ERR_NOBUFS;
		(*(f->is_include ? &s->include : &s->exclude))++;
	}
	(*(f->is_include ? &st->includers : &st->excluders))++;
	return OK;
}

void
mc_state_take(struct mc_state *st, const struct mc_filter *f)
{
	(*(f->is_include ? &st->includers : &st->excluders))--;
	for (unsigned i = 0; i < f->num; i++) {
		unsigned at = place_of(st, &f->sources[i]);
		struct mc_source *s = &st->sources[at];

		if (is_at(st, at, &f->sources[i]))
			(*(f->is_include ? &s->include : &s->exclude))--;
	}
}

bool
mc_state_settle(struct mc_state *st, unsigned times)
{
	bool is_mode = st->was_exclude != (st->excluders != 0), is_changed = is_mode;

	/* RFC 3376 5.1: reports of the mode tell all, so earlier changes need none. */
	if (is_mode)
		st->mode_changes_left = (uint8_t)times;
	for (unsigned i = 0; i < st->num; i++) {
		struct mc_source *s = &st->sources[i];

		if (is_mode) {
			s->changes_left = 0;
		} else if (s->was_allowed != is_allowed(st, s)) {
			s->changes_left = (uint8_t)times;
			is_changed = true;
		}
	}
	if (is_changed)
		st->reports_left = (uint8_t)times;
	return is_changed;
}

bool
mc_state_announce(struct mc_state *st, unsigned times)
{
	if (!mc_state_has_members(st))
		return false;
	mc_state_quiet(st);
	st->reports_left = (uint8_t)times;
	if (st->excluders)
		st->mode_changes_left = (uint8_t)times;
	for (unsigned i = 0; !st->excluders && i < st->num; i++)
		if (st->sources[i].include)
			st->sources[i].changes_left = (uint8_t)times;
	return true;
}

void
mc_state_quiet(struct mc_state *st)
{
	st->reports_left = st->mode_changes_left = 0;
	for (unsigned i = 0; i < st->num; i++)
		st->sources[i].changes_left = 0;
}

/* ---- Records ----------------------------------------------------------------------------------- */

static bool
has_room(const struct mc_records *rs)
{
	return rs->room - rs->len >= MC_RECORDS_ROOM;
}

static struct mc_record *
begin(struct mc_records *rs, const struct ip_addr *group, unsigned type)
{
	struct mc_record *r = (struct mc_record *)(rs->bytes + rs->len);

	*r = (struct mc_record){.group = *group, .type = type};
	rs->len += sizeof(*r);
	return r;
}

struct mc_record *
mc_record_add(struct mc_records *rs, const struct ip_addr *group, unsigned type)
{
	return has_room(rs) ? begin(rs, group, type) : NULL;
}

const struct mc_record *
mc_record_next(const struct mc_records *rs, const struct mc_record *r)
{
	const uint8_t *at = r ? (const uint8_t *)&r->sources[r->num] : rs->bytes;

	return at < rs->bytes + rs->len ? (const struct mc_record *)at : NULL;
}

static void
name_source(struct mc_records *rs, struct mc_record *r, const struct ip_addr *addr)
{
	r->sources[r->num++] = *addr;
	rs->len += sizeof(*addr);
}

/* Does a record of this type name this source? RFC 3376 5.1, the table at its end. */
static bool
is_named(const struct mc_state *st, const struct mc_source *s, unsigned type)
{
	switch (type) {
	case MC_IS_INCLUDE:
	case MC_TO_INCLUDE: return s->include != 0;
	case MC_ALLOW: return s->changes_left && is_allowed(st, s);
	case MC_BLOCK: return s->changes_left && !is_allowed(st, s);
	default: return !is_allowed(st, s); /* IS_EXCLUDE, TO_EXCLUDE */
	}
}

/* The caller made sure of the room. */
static void
append(const struct mc_state *st, const struct ip_addr *group, unsigned type,
    struct mc_records *rs)
{
	struct mc_record *r = begin(rs, group, type);

	for (unsigned i = 0; i < st->num; i++)
		if (is_named(st, &st->sources[i], type))
			name_source(rs, r, &st->sources[i].addr);
	if (!r->num && (type == MC_IS_INCLUDE || type >= MC_ALLOW))
		rs->len -= sizeof(*r); /* says nothing */
}

bool
mc_state_report_changes(
    struct mc_state *st, const struct ip_addr *group, struct mc_records *rs)
{
	if (!has_room(rs))
		return false;
	if (st->mode_changes_left) {
		append(st, group, st->excluders ? MC_TO_EXCLUDE : MC_TO_INCLUDE, rs);
		st->mode_changes_left--;
	} else {
		append(st, group, MC_ALLOW, rs);
		append(st, group, MC_BLOCK, rs);
	}
	st->reports_left--;
	for (unsigned i = 0; i < st->num; i++)
		if (st->sources[i].changes_left)
			st->sources[i].changes_left--;
	return true;
}

bool
mc_state_report(const struct mc_state *st, const struct ip_addr *group,
    const struct ip_addr *asked, unsigned n, struct mc_records *rs)
{
	struct mc_record *r;

	if (!has_room(rs))
		return false;
	if (!asked) {
		append(st, group, st->excluders ? MC_IS_EXCLUDE : MC_IS_INCLUDE, rs);
		return true;
	}
	r = mc_record_add(rs, group, MC_IS_INCLUDE);
	for (unsigned i = 0; i < n; i++)
		if (mc_state_allows(st, &asked[i]))
			name_source(rs, r, &asked[i]);
	if (!r->num)
		rs->len -= sizeof(*r);
	return true;
}
