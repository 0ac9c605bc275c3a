/*
 * Numbers a stranger must not guess: initial sequence numbers (RFC 6528), local ports
 * (RFC 6056), SYN cookies (RFC 4987 3.6). All are SipHash of the connection's addresses
 * under a secret key.
 *
 * A cookie is the ISN of a SYN-ACK: 8 bits of a minute counter, 3 bits that choose an
 * MSS, 21 bits of a hash over the tuple, the peer's ISN and both. It is good for the
 * minute it was made in and the next.
 */
#include "lib/siphash.h"
#include "net/tcp_core.h"

enum {
	ISN_TICK_NS = 4000, /* RFC 9293 3.4.1: about every 4 microseconds */
	COOKIE_MINUTES = 2,
	COOKIE_HASH_BITS = 21,
	COOKIE_HASH_MASK = (1 << COOKIE_HASH_BITS) - 1,
	TS_WSCALE_MASK = 15, /* 15: no window scaling */
	TS_SACK = 16,
	TS_ECN = 32,
	TS_BITS = 6,
	TS_MASK = (1 << TS_BITS) - 1,
};

static const uint16_t cookie_mss[8] = {88, 536, 1024, 1220, 1300, 1440, 1460, 8940};

uint32_t
tcp_isn(const struct siphash_key *key, const struct tcp_tuple *tuple, nsec_t now)
{
	return (uint32_t)(siphash24(key, tuple, sizeof(*tuple)) + now / ISN_TICK_NS);
}

uint32_t
tcp_port_offset(const struct siphash_key *key, const struct tcp_tuple *tuple)
{
	struct tcp_tuple t = *tuple;

	t.local_port = 0; /* it is what is asked for */
	return (uint32_t)siphash24(key, &t, sizeof(t));
}

static uint32_t
cookie_hash(const struct siphash_key *key, const struct tcp_tuple *tuple,
    uint32_t peer_isn, uint32_t minute, uint32_t mss_index)
{
	struct {
		struct tcp_tuple tuple;
		uint32_t isn, minute, mss_index;
	} in = {*tuple, peer_isn, minute, mss_index};

	static_assert(
	    sizeof(in) == sizeof(struct tcp_tuple) + 12, "hashed without holes");
	return (uint32_t)siphash24(key, &in, sizeof(in)) & COOKIE_HASH_MASK;
}

uint32_t
tcp_cookie_make(const struct siphash_key *key, const struct tcp_tuple *tuple,
    const struct tcp_seg *syn, nsec_t now)
{
	uint32_t minute = (uint32_t)(now / (60 * NSEC_PER_SEC)) & 0xff;
	uint16_t mss = syn->opts.has & TCP_OPT_MSS ? syn->opts.mss : 536;
	uint32_t i = ARRAY_SIZE(cookie_mss) - 1;

	while (i && cookie_mss[i] > mss)
		i--;
	return minute << 24 | i << COOKIE_HASH_BITS |
	       cookie_hash(key, tuple, syn->seq, minute, i);
}

uint32_t
tcp_cookie_tsval(const struct tcp_seg *syn, bool use_ecn, nsec_t now)
{
	uint32_t ts = (uint32_t)(now / NSEC_PER_MSEC), bits;

	bits = syn->opts.has & TCP_OPT_WSCALE ? syn->opts.wscale : TS_WSCALE_MASK;
	if (syn->opts.has & TCP_OPT_SACK_OK)
		bits |= TS_SACK;
	if (use_ecn)
		bits |= TS_ECN;
	/* Not ahead of the clock: later timestamps must not be older. */
	ts = (ts & ~(uint32_t)TS_MASK) | bits;
	return (int32_t)(ts - (uint32_t)(now / NSEC_PER_MSEC)) > 0 ? ts - (1u << TS_BITS)
	                                                           : ts;
}

bool
tcp_cookie_check(const struct siphash_key *key, const struct tcp_tuple *tuple,
    const struct tcp_seg *ack, nsec_t now, struct tcp_opts *opts, bool *use_ecn)
{
	uint32_t cookie = ack->ack - 1, minute = cookie >> 24;
	uint32_t i = cookie >> COOKIE_HASH_BITS & 7;
	uint32_t age = ((uint32_t)(now / (60 * NSEC_PER_SEC)) - minute) & 0xff;

	if (age >= COOKIE_MINUTES || (cookie & COOKIE_HASH_MASK) !=
	                                 cookie_hash(key, tuple, ack->seq - 1, minute, i))
		return false;
	*opts = (struct tcp_opts){.has = TCP_OPT_MSS, .mss = cookie_mss[i]};
	*use_ecn = false;
	if (ack->opts.has & TCP_OPT_TS) {
		uint32_t bits = ack->opts.tsecr & TS_MASK;

		opts->has |= TCP_OPT_TS;
		opts->tsval = ack->opts.tsval;
		if ((bits & TS_WSCALE_MASK) != TS_WSCALE_MASK) {
			opts->has |= TCP_OPT_WSCALE;
			opts->wscale = bits & TS_WSCALE_MASK;
		}
		if (bits & TS_SACK)
			opts->has |= TCP_OPT_SACK_OK;
		*use_ecn = bits & TS_ECN;
	}
	return true;
}
