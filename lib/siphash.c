/*
 * SipHash-c-d: c rounds for each 8 input bytes, d at the end (Aumasson, Bernstein: "SipHash: a fast
 * short-input PRF", section 2).
 */
#include "lib/siphash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate_left(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static ALWAYS_INLINE void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 = rotate_left(s->v2, 32);
}

static ALWAYS_INLINE void
sip_word(struct sip *s, uint64_t m, unsigned rounds)
{
	s->v3 ^= m;
	for (unsigned i = 0; i < rounds; i++)
		sip_round(s);
	s->v0 ^= m;
}

/* Inline, so that in each variant the numbers of rounds are constants and the loops unrolled. */
static ALWAYS_INLINE uint64_t
sip_hash(
    const struct siphash_key *key, const void *data, size_t n, unsigned c, unsigned d)
{
	struct sip s = {
	    .v0 = key->k[0] ^ 0x736f6d6570736575,
	    .v1 = key->k[1] ^ 0x646f72616e646f6d,
	    .v2 = key->k[0] ^ 0x6c7967656e657261,
	    .v3 = key->k[1] ^ 0x7465646279746573,
	};
	const uint8_t *p = data;
	uint64_t last = (uint64_t)n << 56;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t m;

		__builtin_memcpy(&m, p, sizeof(m));
		sip_word(&s, m, c);
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_word(&s, last, c);
	s.v2 ^= 0xff;
	for (unsigned i = 0; i < d; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t
siphash24(const struct siphash_key *key, const void *data, size_t n)
{
	return sip_hash(key, data, n, 2, 4);
}

uint64_t
siphash13(const struct siphash_key *key, const void *data, size_t n)
{
	return sip_hash(key, data, n, 1, 3);
}
