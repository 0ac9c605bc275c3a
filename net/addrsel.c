/*
 * Source address selection (RFC 6724 5) for both families, with the default policy table (2.1).
 *
 * Candidates are the usable addresses of the outgoing interface; for destinations beyond the link
 * also those of other interfaces, which rule 5 ranks below (4: a host may). The best is found by
 * comparing each with the best so far, rule by rule. For IPv4 the same rules do what RFC 1122
 * 3.3.4.3 asks: an address of the net the destination is in comes first, by its prefix.
 */
#include "net/addrsel.h"

#include "kernel/sync/rculist.h"
#include "net/ifaddr.h"
#include "net/ip6.h"

// clang-format off
static const struct addrsel_policy policies[] = { /* longest first */
    {{.b = {[15] = 1}},                       128, 50,  0},
    {{.b = {[10] = 0xff, [11] = 0xff}},        96, 35,  4},
    {{.b = {[0] = 0}},                         96,  1,  3},
    {{.b = {0x20, 0x01}},                      32,  5,  5},
    {{.b = {0x20, 0x02}},                      16, 30,  2},
    {{.b = {0x3f, 0xfe}},                      16,  1, 12},
    {{.b = {0xfe, 0xc0}},                      10,  1, 11},
    {{.b = {0xfc}},                             7,  3, 13},
    {{.b = {0}},                                0, 40,  1},
};
// clang-format on

/* Equal leading bits of the 16-byte forms. */
static unsigned
common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	for (unsigned i = 0; i < 16; i++)
		if (a->b[i] != b->b[i])
			return i * 8 + (unsigned)__builtin_clz(a->b[i] ^ b->b[i]) - 24;
	return 128;
}

const struct addrsel_policy *
addrsel_policy_of(const struct ip_addr *a)
{
	const struct addrsel_policy *p = policies;

	while (common_bits(a, &p->prefix) < p->bits)
		p++;
	return p;
}

unsigned
addrsel_scope_of(const struct ip_addr *a)
{
	if (ip_is_multicast(a) && !ip_is_v4(a))
		return a->b[1] & 0xf;
	if (ip_is_loopback(a) || ip_is_link_local(a))
		return ADDRSEL_LINK;
	if (!ip_is_v4(a) && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0)
		return ADDRSEL_SITE;
	return ADDRSEL_GLOBAL;
}

/* Rule 8 compares no further than the source's own prefix. */
static unsigned
match_len(const struct addrsel_candidate *c, const struct ip_addr *dst)
{
	return MIN(ip_common_prefix(&c->addr, dst), (unsigned)c->plen);
}

bool
addrsel_is_better(const struct ip_addr *dst, const struct addrsel_candidate *a,
    const struct addrsel_candidate *b, bool prefers_temporary)
{
	unsigned scope_a = addrsel_scope_of(&a->addr),
	         scope_b = addrsel_scope_of(&b->addr);
	unsigned scope = addrsel_scope_of(dst), label = addrsel_policy_of(dst)->label;
	bool label_a = addrsel_policy_of(&a->addr)->label == label;
	bool label_b = addrsel_policy_of(&b->addr)->label == label;

	if (ip_equal(&a->addr, dst) != ip_equal(&b->addr, dst)) /* 1: the same */
		return ip_equal(&a->addr, dst);
	if (scope_a != scope_b) /* 2: the smallest scope that reaches */
		return scope_a < scope_b ? scope_a >= scope : scope_b < scope;
	if (a->is_deprecated != b->is_deprecated) /* 3 */
		return b->is_deprecated;
	if (a->is_on_out != b->is_on_out) /* 5 */
		return a->is_on_out;
	if (label_a != label_b) /* 6 */
		return label_a;
	if (a->is_temporary != b->is_temporary) /* 7 */
		return a->is_temporary == prefers_temporary;
	if (match_len(a, dst) != match_len(b, dst)) /* 8 */
		return match_len(a, dst) > match_len(b, dst);
	return b->is_secondary && !a->is_secondary;
}

/* ---- Of this machine ------------------------------------------------------------------- */

struct search {
	const struct ip_addr *dst;
	struct addrsel_candidate best;
	bool has_best, prefers_temporary;
};

static void
consider(struct search *s, const struct ifaddr *ifa, bool is_on_out)
{
	bool is_v4 = ip_is_v4(&ifa->addr);
	struct addrsel_candidate c = {.addr = ifa->addr,
	    .plen = ifa->plen,
	    .is_deprecated = ifa->flags & IFA_DEPRECATED,
	    .is_temporary = !is_v4 && ifa->flags & IFA_TEMPORARY,
	    .is_secondary = is_v4 && ifa->flags & IFA_TEMPORARY,
	    .is_on_out = is_on_out};

	if (ifa->flags & IFA_DADFAILED ||
	    (ifa->flags & IFA_TENTATIVE && !(ifa->flags & IFA_OPTIMISTIC)))
		return;
	if (s->has_best && !addrsel_is_better(s->dst, &c, &s->best, s->prefers_temporary))
		return;
	s->best = c;
	s->has_best = true;
}

static bool
wants_temporary(const struct netdev *out, unsigned prefs)
{
	const struct ip6_dev *d = ip6_dev_of(out);

	if (prefs & (ADDRSEL_TEMPORARY | ADDRSEL_PUBLIC))
		return prefs & ADDRSEL_TEMPORARY;
	return d && d->conf.use_tempaddr > 1;
}

/* Of interface `dev`; what cannot leave its link is no candidate elsewhere. */
static void
consider_all(struct search *s, const struct netdev *dev, bool is_on_out)
{
	int family = ip_is_v4(s->dst) ? AF_INET : AF_INET6;
	const struct ifaddr *ifa;

	ifaddr_for_each(ifa, dev, family)
	{
		if (is_on_out || addrsel_scope_of(&ifa->addr) > ADDRSEL_LINK)
			consider(s, ifa, is_on_out);
	}
}

bool
addrsel_source(const struct netdev *out, const struct ip_addr *dst, unsigned prefs,
    struct ip_addr *src)
{
	struct search s = {.dst = dst, .prefers_temporary = wants_temporary(out, prefs)};
	bool is_of_link = ip_is_multicast(dst) || addrsel_scope_of(dst) <= ADDRSEL_LINK;
	const struct netdev *dev;

	consider_all(&s, out, true);
	if (!is_of_link &&
	    (!s.has_best || addrsel_scope_of(&s.best.addr) <= ADDRSEL_LINK)) {
		netdev_for_each(dev)
		{
			if (dev != out)
				consider_all(&s, dev, false);
		}
	}
	if (s.has_best)
		*src = s.best.addr;
	return s.has_best;
}
