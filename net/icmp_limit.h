/*
 * How many ICMP errors leave, both families (RFC 1812 4.3.2.8, RFC 4443 2.4 f): a token bucket for
 * each destination and one for all. O(1), no lock, no memory for peers.
 */
#pragma once

#include "lib/types.h"
#include "net/ip_addr.h"

/* Takes a token, or says no (and counts why). Any context. */
bool icmp_may_send(const struct ip_addr *to);
void icmp_limit_init(void);

/*
 * A token bucket as one word: the time at which it would be full again (the generic cell rate
 * algorithm). Each token moves it on by `interval_ns`; at most `burst` may be taken at once.
 */
bool token_take(
    uint64_t *bucket /* [a] */, nsec_t now, nsec_t interval_ns, unsigned burst);
