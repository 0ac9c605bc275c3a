/* ChaCha20: see the header. Little-endian machines only, as words are stored as they are.
 */
#include "lib/chacha20.h"

#include "lib/string.h"

static inline uint32_t
rotl(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static inline void
quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b, *d = rotl(*d ^ *a, 16);
	*c += *d, *b = rotl(*b ^ *c, 12);
	*a += *b, *d = rotl(*d ^ *a, 8);
	*c += *d, *b = rotl(*b ^ *c, 7);
}

void
chacha20_block(const uint32_t key[CHACHA20_KEY_SIZE / 4], uint64_t counter,
    uint8_t out[CHACHA20_BLOCK_SIZE])
{
	uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0],
	    key[1], key[2], key[3], key[4], key[5], key[6], key[7], (uint32_t)counter,
	    (uint32_t)(counter >> 32), 0, 0};
	uint32_t x[16];

	memcpy(x, start, sizeof(x));
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 4; i++)
			quarter_round(&x[i], &x[i + 4], &x[i + 8], &x[i + 12]);
		for (unsigned i = 0; i < 4; i++)
			quarter_round(&x[i], &x[(i + 1) % 4 + 4], &x[(i + 2) % 4 + 8],
			    &x[(i + 3) % 4 + 12]);
	}
	for (unsigned i = 0; i < 16; i++)
		x[i] += start[i];
	memcpy(out, x, sizeof(x));
}
