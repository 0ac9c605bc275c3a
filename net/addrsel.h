/* Address selection (RFC 6724), the pure parts: labels, precedences, scopes, and the order of two
 * candidates. net/ifaddr.h declares addrsel_source. */
#pragma once

#include "net/ip_addr.h"

enum addrsel_prefs { /* IPV6_PREFER_SRC_*, RFC 5014 3 */
	ADDRSEL_TEMPORARY = 0x01,
	ADDRSEL_PUBLIC = 0x02,
};

/* RFC 6724 2.1, v4 as mapped. */
struct addrsel_policy {
	struct ip_addr prefix;
	uint8_t bits; /* of the 16-byte form */
	uint8_t precedence, label;
};
const struct addrsel_policy *addrsel_policy_of(const struct ip_addr *);

enum addrsel_scope { /* RFC 6724 3.1, as in multicast addresses */
	ADDRSEL_LINK = 2,
	ADDRSEL_SITE = 5,
	ADDRSEL_GLOBAL = 14,
};
unsigned addrsel_scope_of(const struct ip_addr *);

struct addrsel_candidate {
	struct ip_addr addr;
	uint8_t plen;
	bool is_deprecated, is_temporary, is_secondary,
	    is_on_out; /* of the interface sent by */
};
/* RFC 6724 5, rules 1 to 8: is `a` a better source than `b` for `dst`? */
bool addrsel_is_better(const struct ip_addr *dst, const struct addrsel_candidate *a,
    const struct addrsel_candidate *b, bool prefers_temporary);
