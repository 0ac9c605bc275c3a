/* lib/string.c: block calls at all small lengths, alignments and overlaps. LINK:
 * lib/string.c */
#include "lib/string.h"

#include "tests/unit/ktest.h"

enum { SPAN = 64 };

static uint8_t buf[SPAN], want[SPAN];

static void
fill(void)
{
	for (unsigned i = 0; i < SPAN; i++)
		buf[i] = want[i] = (uint8_t)(i * 7 + 1);
}

static bool
is_as_wanted(void)
{
	for (unsigned i = 0; i < SPAN; i++)
		if (buf[i] != want[i])
			return false;
	return true;
}

KTEST(memset_writes_exactly_its_bytes)
{
	for (unsigned off = 0; off < 9; off++)
		for (unsigned n = 0; n < 40; n++) {
			fill();
			for (unsigned i = 0; i < n; i++)
				want[off + i] = 0x9c;
			CHECK(memset(buf + off, 0x19c, n) == buf + off);
			CHECK(is_as_wanted());
		}
}

KTEST(memmove_copies_between_any_two_places)
{
	for (unsigned from = 0; from < 24; from++)
		for (unsigned to = 0; to < 24; to++)
			for (unsigned n = 0; n < 40; n++) {
				fill();
				for (unsigned i = 0; i < n; i++)
					want[to + i] = (uint8_t)((from + i) * 7 + 1);
				CHECK(memmove(buf + to, buf + from, n) == buf + to);
				CHECK(is_as_wanted());
			}
}

KTEST(memcpy_copies_exactly_its_bytes)
{
	static const uint8_t src[40] = "0123456789abcdefghijklmnopqrstuvwxyzABC";

	for (unsigned off = 0; off < 9; off++)
		for (unsigned n = 0; n + off <= 40; n++) {
			fill();
			for (unsigned i = 0; i < n; i++)
				want[3 + i] = src[off + i];
			memcpy(buf + 3, src + off, n);
			CHECK(is_as_wanted());
		}
}

KTEST(memcmp_finds_the_first_difference)
{
	for (unsigned n = 1; n < 40; n++)
		for (unsigned at = 0; at < n; at++) {
			fill();
			CHECK_EQ(memcmp(buf, want, n), 0);
			want[at]++;
			CHECK(memcmp(buf, want, n) < 0);
			CHECK(memcmp(want, buf, n) > 0);
			CHECK_EQ(memcmp(buf, want, at), 0);
			if (at + 1 < n)
				want[n - 1]--; /* a later one the other way */
			CHECK(memcmp(buf, want, n) < 0);
		}
}
