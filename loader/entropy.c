/*
 * A sponge over the ChaCha20 permutation (RFC 8439, 2.3, without the feed-forward): words
 * go into the first 8 of 16 state words, output comes from them; the other 8 never leave.
 */
#include "loader/entropy.h"

#include "lib/string.h"
#include "loader/arch.h"

static void
quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b, *d ^= *a, *d = *d << 16 | *d >> 16;
	*c += *d, *b ^= *c, *b = *b << 12 | *b >> 20;
	*a += *b, *d ^= *a, *d = *d << 8 | *d >> 24;
	*c += *d, *b ^= *c, *b = *b << 7 | *b >> 25;
}

static void
permute(uint32_t s[16])
{
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned c = 0; c < 4; c++)
			quarter(&s[c], &s[4 + c], &s[8 + c], &s[12 + c]);
		for (unsigned c = 0; c < 4; c++)
			quarter(&s[c], &s[4 + (c + 1) % 4], &s[8 + (c + 2) % 4],
			    &s[12 + (c + 3) % 4]);
	}
}

void
entropy_add(struct entropy *e, uint64_t word, unsigned bits)
{
	e->state[0] ^= (uint32_t)word;
	e->state[1] ^= (uint32_t)(word >> 32);
	e->state[2] += 1; /* so that a run of zeros still moves an all-zero state */
	permute(e->state);
	e->bits += bits;
}

uint64_t
entropy_draw(struct entropy *e)
{
	uint64_t v;

	e->state[3] += 1;
	permute(e->state);
	v = (uint64_t)e->state[1] << 32 | e->state[0];
	/* What was given out is forgotten: the state cannot be run backwards. */
	e->state[0] = e->state[1] = 0;
	permute(e->state);
	return v;
}

void
entropy_fill(struct entropy *e, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n) {
		uint64_t v = entropy_draw(e);
		size_t step = MIN(n, sizeof(v));

		memcpy(p, &v, step);
		p += step;
		n -= step;
	}
}

void
entropy_add_cpu(struct entropy *e)
{
	uint64_t v, last = arch_rdtsc();

	if (arch_has_rdrand()) {
		for (unsigned i = 0; i < 8; i++) {
			if (arch_rdrand(&v))
				entropy_add(e, v, 32);
		}
	}
	/* CPUID serialises and, under a hypervisor, traps: its time wavers. A bit for
	 * each 4. */
	for (unsigned i = 0; i < 64; i++) {
		(void)arch_cpuid(0);
		v = arch_rdtsc();
		entropy_add(e, v ^ (v - last) << 40, i % 4 == 0);
		last = v;
	}
}
