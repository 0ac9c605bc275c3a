/* lib/inet_csum.c against the definition of RFC 1071. LINK: lib/inet_csum.c lib/string.c */
#include "lib/inet_csum.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

/* Word by word, in network order: section 1. */
static uint16_t
simple(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(p[i] << 8) | (i + 1 < n ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t seed = 1;

static uint8_t
next_byte(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

KTEST(csum_rfc1071_example)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	CHECK_EQ(csum_finish(csum_add(0, data, sizeof(data))), (uint16_t)~0xddf2);
}

KTEST(csum_equals_the_simple_sum_at_every_length_and_offset)
{
	uint8_t buf[200];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = next_byte();
	for (size_t off = 0; off < 8; off++)
		for (size_t n = 0; n + off <= sizeof(buf); n++)
			CHECK_EQ(
			    csum_finish(csum_add(0, buf + off, n)), simple(buf + off, n));
}

KTEST(csum_of_all_ones_carries_around)
{
	uint8_t buf[64];

	memset(buf, 0xff, sizeof(buf));
	for (size_t n = 0; n <= sizeof(buf); n++)
		CHECK_EQ(csum_finish(csum_add(0xffffffff, buf, n)),
		    n == 0 ? 0 : simple(buf, n));
}

KTEST(csum_of_pieces_adds_up)
{
	uint8_t buf[101], copy[101];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = next_byte();
	for (size_t cut = 0; cut <= sizeof(buf); cut++) {
		size_t rest = sizeof(buf) - cut;
		uint32_t sum = csum_add(0, buf, cut);

		if (cut % 2 == 0)
			sum = csum_copy(sum, copy + cut, buf + cut, rest);
		else
			sum = csum_add_odd(sum, csum_add(0, buf + cut, rest));
		CHECK_EQ(csum_finish(sum), simple(buf, sizeof(buf)));
	}
}

KTEST(csum_update_rfc1624)
{
	/* Section 4's example: 0xcdac with 0x5555 becoming 0x3285. */
	CHECK_EQ(csum_update16(0xdd2f, 0x5555, 0x3285), 0x0000);
	for (int i = 0; i < 1000; i++) {
		uint8_t h[20];
		uint16_t before, now;

		for (size_t k = 0; k < sizeof(h); k++)
			h[k] = next_byte();
		before = simple(h, sizeof(h));
		now = (uint16_t)(next_byte() << 8 | next_byte());
		before = csum_update16(before, (uint16_t)(h[8] << 8 | h[9]), now);
		h[8] = (uint8_t)(now >> 8);
		h[9] = (uint8_t)now;
		CHECK_EQ(before, simple(h, sizeof(h)));
	}
}
