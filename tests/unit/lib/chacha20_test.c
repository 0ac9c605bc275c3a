/* lib/chacha20.c against the vectors of RFC 8439 appendix A.1. LINK: lib/chacha20.c
 * lib/string.c lib/fmt.c */
#include "lib/chacha20.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static bool
block_is(uint8_t last_key_byte, uint64_t counter, const char *hex)
{
	uint32_t key[8] = {0};
	uint8_t out[CHACHA20_BLOCK_SIZE];
	char text[2 * CHACHA20_BLOCK_SIZE + 1];

	key[7] = (uint32_t)last_key_byte << 24;
	chacha20_block(key, counter, out);
	for (unsigned i = 0; i < sizeof(out); i++)
		snprintf(text + 2 * i, 3, "%02x", out[i]);
	return !strcmp(text, hex);
}

KTEST(chacha20_gives_the_rfc_key_stream)
{
	CHECK(block_is(0, 0,
	    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
	    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"));
	CHECK(block_is(0, 1,
	    "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
	    "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"));
	CHECK(block_is(1, 1,
	    "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
	    "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"));
}
