/*
 * Decompression: DEFLATE (RFC 1951) in the gzip format (RFC 1952). The input is one
 * buffer; the output goes to a sink in pieces of up to INFLATE_CHUNK bytes, so no more
 * than the state below is held in memory. Any input is safe; what is wrong with it is
 * said in ->error.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum {
	INFLATE_WINDOW = 32768,
	INFLATE_CHUNK = 65536,
	INFLATE_SLACK =
	    320, /* a match (258) and what word-wise copying writes too much */
	INFLATE_LITLEN_BITS = 11,
	INFLATE_DIST_BITS = 8,
	/* Largest tables any code makes with these first-level sizes (zlib's
	   examples/enough.c). */
	INFLATE_LITLEN_TABLE = 2342,
	INFLATE_DIST_TABLE = 402,
};

/* Takes output; anything but OK ends the decompression, which returns it. */
typedef enum err (*inflate_sink)(void *arg, const void *data, size_t n);

/* Some 110 KiB, contents of no interest: the caller allocates it, need not clear it. */
struct inflate {
	const char *error;
	struct bit_reader {
		const uint8_t *in, *in_end;
		const uint8_t *fast_end; /* before it eight bytes can be read */
		uint64_t buf;
		uint32_t num_bits; /* in the low byte */
		uint32_t overrun;  /* zero bytes made up past in_end */
	} bits;
	uint8_t *out, *out_sent;
	inflate_sink sink;
	void *sink_arg;
	uint32_t crc;
	uint32_t total_out; /* modulo 2^32, as gzip counts it */
	uint8_t lens[288 + 32];
	uint32_t litlen[INFLATE_LITLEN_TABLE];
	uint32_t dist[INFLATE_DIST_TABLE];
	uint32_t precode[128];
	uint8_t buf[INFLATE_WINDOW + INFLATE_CHUNK + INFLATE_SLACK];
};

/* Whether in[n] starts like a gzip member. */
bool gzip_is(const uint8_t *in, size_t n);

/*
 * Decompresses one gzip member at in[n]; *used gets its length. ERR_INVAL: damaged input
 * (see
 * ->error), some output may have gone to the sink already. What follows is the caller's:
 * members may be concatenated.
 */
enum err gzip_member(
    struct inflate *, const uint8_t *in, size_t n, size_t *used, inflate_sink, void *arg);
