/* The ChaCha20 block function, RFC 8439 section 2.3, with the 64-bit counter of the
 * original. */
#pragma once

#include "lib/types.h"

enum { CHACHA20_KEY_SIZE = 32, CHACHA20_BLOCK_SIZE = 64 };

/* One block of key stream; the nonce is 0. */
void chacha20_block(const uint32_t key[CHACHA20_KEY_SIZE / 4], uint64_t counter,
    uint8_t out[CHACHA20_BLOCK_SIZE]);
