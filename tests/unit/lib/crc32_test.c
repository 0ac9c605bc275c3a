/* lib/crc32.c. LINK: lib/crc32.c lib/string.c */
#include "lib/crc32.h"
#include "tests/unit/ktest.h"

static uint32_t
bitwise(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

KTEST(crc32_has_the_standard_check_value)
{
	CHECK_EQ(crc32(0, "123456789", 9), 0xcbf43926);
	CHECK_EQ(crc32(0, "", 0), 0);
}

KTEST(crc32_equals_the_definition_at_every_length_and_split)
{
	uint8_t data[300];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = i * 167 + (i >> 3);
	for (unsigned n = 0; n <= sizeof(data); n++) {
		uint32_t want = bitwise(data, n);

		CHECK_EQ(crc32(0, data, n), want);
		CHECK_EQ(crc32(crc32(0, data, n / 3), data + n / 3, n - n / 3), want);
	}
}
