/* lib/siphash.c against the vectors of the paper. LINK: lib/siphash.c */
#include "lib/siphash.h"

#include "tests/unit/ktest.h"

static const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

KTEST(siphash24_paper_appendix_a)
{
	uint8_t in[15];

	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = i;
	CHECK_EQ(siphash24(&key, in, 15), 0xa129ca6149be45e5);
	CHECK_EQ(siphash24(&key, in, 0), 0x726fdb47dd0e0e31);
	CHECK_EQ(siphash24(&key, in, 8), 0x93f5f5799a932462);
}

KTEST(siphash13_depends_on_every_byte_and_on_the_key)
{
	struct siphash_key other = key;
	uint8_t in[20] = {0};
	uint64_t base = siphash13(&key, in, sizeof(in));

	other.k[1]++;
	CHECK(siphash13(&other, in, sizeof(in)) != base);
	for (size_t i = 0; i < sizeof(in); i++) {
		in[i] ^= 0x80;
		CHECK(siphash13(&key, in, sizeof(in)) != base);
		in[i] ^= 0x80;
	}
	CHECK(siphash13(&key, in, 19) != base);
}
