/*
 * Decompression by tables. A code is looked up by its next INFLATE_LITLEN_BITS (or
 *_DIST_BITS) bits; longer codes go on in a second-level table. A table entry holds all
 *there is to know:
 *
 *	bits 0-7    bits to drop: of the code (at this level) and the extra bits after it
 *	bits 8-11   of these the code's; of a link: index bits of the second-level table
 *	bits 14-15  ENTRY_LINK, ENTRY_STOP (end of block or invalid)
 *	bits 16-30  literal, length base, distance base, or where the second level starts
 *	bit 31      ENTRY_LITERAL
 *
 * The hot loop is laid out for few instructions: x86 shifts look at six bits of their
 *count, so entries and the bit count may carry other things above (hence the casts to
 *uint8_t).
 *
 * Input passes through a 64-bit buffer that is refilled eight bytes at a time; past the
 *end it is fed zeros, which are counted, and using one of them is the error "truncated".
 *Output is built behind a window of the last 32 KiB; when INFLATE_CHUNK bytes are there
 *they go to the sink and the window moves to the front.
 */
#include "lib/inflate.h"

#include "lib/crc32.h"
#include "lib/string.h"

enum {
	ENTRY_LINK = 1 << 15,
	ENTRY_STOP = 1 << 14,
	STOP_INVALID = 0,
	STOP_END = 1,

	MAX_CODE_BITS = 15,
	END_OF_BLOCK = 256,
	NUM_LITLEN = 288,
	NUM_DIST = 32,
	MIN_REFILL = 56, /* bits at hand after a refill, at least */
	LITLEN_MASK = (1 << INFLATE_LITLEN_BITS) - 1,
	DIST_MASK = (1 << INFLATE_DIST_BITS) - 1,
};

#define ENTRY_LITERAL 0x80000000u
/* Without the code's length, which build_table adds. */
#define ENTRY(kind, value, extra) ((uint32_t)(value) << 16 | (kind) | (uint32_t)(extra))
#define ENTRY_LENGTH(len)         ((uint32_t)(len) | (uint32_t)(len) << 8)

static const uint16_t length_base[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23,
    27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3,
    3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t dist_base[] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
    24577};

/* What a symbol of each alphabet means, as a table entry without the code's length. */
static uint32_t
litlen_entry(unsigned sym)
{
	if (sym < END_OF_BLOCK)
		return ENTRY(ENTRY_LITERAL, sym, 0);
	if (sym == END_OF_BLOCK)
		return ENTRY(ENTRY_STOP, STOP_END, 0);
	sym -= END_OF_BLOCK + 1;
	if (sym >= ARRAY_SIZE(length_base))
		return ENTRY(ENTRY_STOP, STOP_INVALID, 0);
	return ENTRY(0, length_base[sym], length_extra[sym]);
}

static uint32_t
dist_entry(unsigned sym)
{
	if (sym >= ARRAY_SIZE(dist_base))
		return ENTRY(ENTRY_STOP, STOP_INVALID, 0);
	return ENTRY(0, dist_base[sym], sym < 2 ? 0 : sym / 2 - 1);
}

static uint32_t
precode_entry(unsigned sym)
{
	return ENTRY(0, sym, 0);
}

struct code {
	uint32_t *table;
	unsigned size;       /* entries there is room for */
	unsigned table_bits; /* of the first level */
	const uint8_t *lens;
	unsigned num_syms;
	uint32_t (*entry)(unsigned sym);
};

/* Counts the lengths; false if the code is over-subscribed or leaves gaps it must not
 * have. */
static bool
code_is_valid(const struct code *c, uint16_t count[MAX_CODE_BITS + 1])
{
	int left = 1;
	unsigned num_used;

	memset(count, 0, (MAX_CODE_BITS + 1) * sizeof(count[0]));
	for (unsigned i = 0; i < c->num_syms; i++)
		count[c->lens[i]]++;
	num_used = c->num_syms - count[0];
	count[0] = 0;
	for (unsigned len = 1; len <= MAX_CODE_BITS; len++) {
		left = 2 * left - count[len];
		if (left < 0)
			return false;
	}
	/* RFC 1951 3.2.7: one distance code of one bit, or none at all, is fine. */
	return left == 0 || num_used == 0 || (num_used == 1 && count[1] == 1);
}

/* The next code of the same length, bits reversed: an increment from the top. */
static unsigned
next_code(unsigned code, unsigned len)
{
	unsigned bit = 1u << (len - 1);

	while (code & bit)
		bit >>= 1;
	return bit ? (code & (bit - 1)) | bit : 0;
}

/* Index bits of the second-level table that starts with a code of `len`. */
static unsigned
sublevel_bits(const struct code *c, const uint16_t count[], unsigned len)
{
	unsigned bits = len - c->table_bits;
	int left = 1 << bits;

	for (; bits + c->table_bits < MAX_CODE_BITS; bits++, left <<= 1) {
		left -= count[bits + c->table_bits];
		if (left <= 0)
			break;
	}
	return bits;
}

static void
fill(uint32_t *table, unsigned size, unsigned first, unsigned step, uint32_t entry)
{
	for (unsigned i = first; i < size; i += step)
		table[i] = entry;
}

/*
 * Builds the tables of a canonical code (RFC 1951 3.2.2). `count` of each length goes
 * down to the codes not yet placed, which tells how large a second level must be.
 */
static bool
build_table(const struct code *c)
{
	uint16_t count[MAX_CODE_BITS + 1], next[MAX_CODE_BITS + 1], sorted[NUM_LITLEN];
	unsigned main_size = 1u << c->table_bits, main_mask = main_size - 1,
	         used = main_size;
	unsigned code = 0, num = 0, sub_start = 0, sub_bits = 0, sub_prefix = ~0u;

	if (!code_is_valid(c, count))
		return false;
	for (unsigned len = 1; len <= MAX_CODE_BITS; len++) {
		next[len] = num;
		num += count[len];
	}
	for (unsigned sym = 0; sym < c->num_syms; sym++)
		if (c->lens[sym])
			sorted[next[c->lens[sym]]++] = sym;
	if (num <= 1)
		fill(c->table, main_size, 0, 1,
		    ENTRY(ENTRY_STOP, STOP_INVALID, 0) | ENTRY_LENGTH(1));
	for (unsigned i = 0; i < num; i++) {
		unsigned len = c->lens[sorted[i]];
		uint32_t entry = c->entry(sorted[i]);

		if (len <= c->table_bits) {
			fill(c->table, main_size, code, 1u << len,
			    entry + ENTRY_LENGTH(len));
		} else {
			if ((code & main_mask) != sub_prefix) {
				sub_prefix = code & main_mask;
				sub_bits = sublevel_bits(c, count, len);
				sub_start = used;
				used += 1u << sub_bits;
				if (used > c->size)
					return false;
				c->table[sub_prefix] =
				    ENTRY(ENTRY_LINK, sub_start, c->table_bits) |
				    sub_bits << 8;
			}
			fill(c->table + sub_start, 1u << sub_bits, code >> c->table_bits,
			    1u << (len - c->table_bits),
			    entry + ENTRY_LENGTH(len - c->table_bits));
		}
		count[len]--;
		code = next_code(code, len);
	}
	return true;
}

static enum err
fail(struct inflate *z, const char *why)
{
	z->error = why;
	return ERR_INVAL;
}

/* Byte by byte near the end of the input, and made-up zeros after it. */
static __attribute__((noinline)) void
refill_slowly(struct bit_reader *b)
{
	uint32_t n = (uint8_t)b->num_bits;

	for (; n <= MIN_REFILL; n += 8) {
		if (b->in < b->in_end)
			b->buf |= (uint64_t)*b->in++ << n;
		else
			b->overrun++;
	}
	b->num_bits = n;
}

/* At least MIN_REFILL bits in the buffer. */
static inline __attribute__((always_inline)) void
refill(struct bit_reader *b)
{
	if (likely(b->in < b->fast_end)) {
		uint64_t word;

		__builtin_memcpy(&word, b->in, sizeof(word));
		b->buf |= word << (b->num_bits & 63);
		b->in += 7 - (b->num_bits >> 3 & 7);
		b->num_bits |= MIN_REFILL;
		return;
	}
	struct bit_reader slow = *b; /* so that the caller's copy stays in registers */

	refill_slowly(&slow);
	*b = slow;
}

/* Whether bits past the end of the input have been used. */
static inline bool
is_truncated(const struct bit_reader *b)
{
	return b->overrun > (uint8_t)b->num_bits / 8;
}

/* Drops what the low byte of `e` says. */
static inline __attribute__((always_inline)) void
drop(struct bit_reader *b, uint32_t e)
{
	b->buf >>= e & 63;
	b->num_bits -= e; /* above bit 7 it has no meaning */
}

static inline uint32_t
take(struct bit_reader *b, unsigned n)
{
	uint32_t v = b->buf & ((1u << n) - 1);

	drop(b, n);
	return v;
}

/* The value of a length or distance: its base and the extra bits behind its code, all
 * dropped. */
static inline __attribute__((always_inline)) uint32_t
take_value(struct bit_reader *b, uint32_t e)
{
	static const uint32_t masks[32] = {0, 1, 3, 7, 0xf, 0x1f, 0x3f, 0x7f, 0xff, 0x1ff,
	    0x3ff, 0x7ff, 0xfff, 0x1fff, 0x3fff, 0x7fff, 0xffff, 0x1ffff, 0x3ffff,
	    0x7ffff, 0xfffff, 0x1fffff, 0x3fffff, 0x7fffff, 0xffffff, 0x1ffffff,
	    0x3ffffff, 0x7ffffff, 0xfffffff, 0x1fffffff, 0x3fffffff, 0x7fffffff};
	uint32_t extra = ((uint32_t)b->buf & masks[(uint8_t)e]) >> (e >> 8 & 31);

	drop(b, e);
	return (e >> 16) + extra;
}

/* The entry of a longer code, its first-level bits dropped. */
static inline uint32_t
follow(struct bit_reader *b, const uint32_t *table, uint32_t e)
{
	drop(b, e);
	return table[(e >> 16) + (b->buf & ((1u << (e >> 8 & 15)) - 1))];
}

/* Sends what is there to the sink and keeps the window. */
static enum err
flush(struct inflate *z)
{
	size_t n = z->out - z->out_sent;
	size_t keep = MIN((size_t)(z->out - z->buf), (size_t)INFLATE_WINDOW);
	enum err err;

	if (n == 0)
		return OK;
	z->crc = crc32(z->crc, z->out_sent, n);
	z->total_out += n;
	err = z->sink(z->sink_arg, z->out_sent, n);
	memmove(z->buf, z->out - keep, keep);
	z->out = z->buf + keep;
	z->out_sent = z->out;
	return err;
}

/* Copies a match; may write up to 15 bytes too much, which INFLATE_SLACK covers. */
static inline uint8_t *
copy_match(uint8_t *out, unsigned len, unsigned dist)
{
	const uint8_t *from = out - dist;
	uint8_t *end = out + len;
	uint64_t word;

	if (likely(dist >= 8)) {
		do {
			__builtin_memcpy(&word, from, 8);
			__builtin_memcpy(out, &word, 8);
			from += 8;
			out += 8;
		} while (out < end);
	} else if (dist == 1) {
		word = *from * 0x0101010101010101ull;
		do {
			__builtin_memcpy(out, &word, 8);
			out += 8;
		} while (out < end);
	} else {
		do
			*out++ = *from++;
		while (out < end);
	}
	return end;
}

/*
 * The hot loop: symbols of one block until its end. The bit reader is a local copy that
 * lives in registers. A refill gives 56 bits: three literals of the first level (33) and
 * the next look up, or a length and a distance (15 + 5 + 15 + 13 = 48; with a distance of
 * the first level 41).
 */
static enum err
inflate_codes(struct inflate *z)
{
	enum { ENOUGH_FOR_MATCH = 41 };
	uint8_t *const limit = z->buf + INFLATE_WINDOW + INFLATE_CHUNK;
	const uint32_t *const litlen = z->litlen;
	struct bit_reader b = z->bits;
	uint8_t *out = z->out;
	const char *why;

	for (;;) {
		uint32_t e, len, dist;

		if (unlikely(out >= limit)) {
			enum err err;

			z->out = out;
			if (is_truncated(&b))
				return fail(z, "truncated");
			err = flush(z);
			if (err)
				return err;
			out = z->out;
		}
		refill(&b);
		e = litlen[b.buf & LITLEN_MASK];
		if (e & ENTRY_LITERAL) {
			drop(&b, e);
			*out++ = e >> 16;
			e = litlen[b.buf & LITLEN_MASK];
			if (e & ENTRY_LITERAL) {
				drop(&b, e);
				*out++ = e >> 16;
				e = litlen[b.buf & LITLEN_MASK];
				if (e & ENTRY_LITERAL) {
					drop(&b, e);
					*out++ = e >> 16;
					continue;
				}
			}
		}
		if (unlikely(e & (ENTRY_LINK | ENTRY_STOP))) {
			if (e & ENTRY_LINK)
				e = follow(&b, litlen, e);
			if (e & ENTRY_LITERAL) {
				drop(&b, e);
				*out++ = e >> 16;
				continue;
			}
			if (e & ENTRY_STOP) {
				drop(&b, e);
				why = (uint16_t)(e >> 16) == STOP_END
				          ? NULL
				          : "invalid literal or length";
				break;
			}
		}
		if ((uint8_t)b.num_bits < ENOUGH_FOR_MATCH)
			refill(&b);
		len = take_value(&b, e);

		e = z->dist[b.buf & DIST_MASK];
		if (unlikely(e & (ENTRY_LINK | ENTRY_STOP))) {
			refill(&b);
			if (e & ENTRY_LINK)
				e = follow(&b, z->dist, e);
			if (e & ENTRY_STOP) {
				why = "invalid distance";
				break;
			}
		}
		dist = take_value(&b, e);
		if (unlikely(dist > (size_t)(out - z->buf))) {
			why = "invalid distance";
			break;
		}
		out = copy_match(out, len, dist);
	}
	z->bits = b;
	z->out = out;
	if (is_truncated(&b))
		return fail(z, "truncated");
	return why ? fail(z, why) : OK;
}

/* Gives whole bytes in the bit buffer back; bits up to the next byte boundary are
 * dropped. */
static void
align_to_byte(struct bit_reader *b)
{
	unsigned unused = (uint8_t)b->num_bits / 8;

	if (!is_truncated(b)) {
		b->in -= unused - b->overrun;
		b->overrun = 0;
	}
	b->buf = 0;
	b->num_bits = 0;
}

/* RFC 1951 3.2.4: a block that is not compressed. */
static enum err
inflate_stored(struct inflate *z)
{
	struct bit_reader *b = &z->bits;
	uint32_t len, check;

	align_to_byte(b);
	if (b->overrun || b->in_end - b->in < 4)
		return fail(z, "truncated");
	len = b->in[0] | b->in[1] << 8;
	check = b->in[2] | b->in[3] << 8;
	b->in += 4;
	if (len != (~check & 0xffff))
		return fail(z, "invalid stored block length");
	if (b->in_end - b->in < len)
		return fail(z, "truncated");
	while (len > 0) {
		size_t room = z->buf + INFLATE_WINDOW + INFLATE_CHUNK - z->out;
		size_t n = MIN((size_t)len, room);
		enum err err;

		memcpy(z->out, b->in, n);
		z->out += n;
		b->in += n;
		len -= n;
		if (n < room)
			continue;
		err = flush(z);
		if (err)
			return err;
	}
	return OK;
}

static bool
build_litlen(struct inflate *z, unsigned num)
{
	return build_table(&(struct code){z->litlen, ARRAY_SIZE(z->litlen),
	    INFLATE_LITLEN_BITS, z->lens, num, litlen_entry});
}

static bool
build_dist(struct inflate *z, const uint8_t *lens, unsigned num)
{
	return build_table(&(struct code){
	    z->dist, ARRAY_SIZE(z->dist), INFLATE_DIST_BITS, lens, num, dist_entry});
}

/* RFC 1951 3.2.6: the fixed codes. */
static enum err
inflate_fixed(struct inflate *z)
{
	memset(z->lens, 8, 144);
	memset(z->lens + 144, 9, 112);
	memset(z->lens + 256, 7, 24);
	memset(z->lens + 280, 8, 8);
	memset(z->lens + NUM_LITLEN, 5, NUM_DIST);
	if (!build_litlen(z, NUM_LITLEN) ||
	    !build_dist(z, z->lens + NUM_LITLEN, NUM_DIST))
		return fail(z, "fixed code");
	return inflate_codes(z);
}

/* The code lengths of the two alphabets, themselves compressed (RFC 1951 3.2.7). */
static enum err
read_lengths(struct inflate *z, unsigned total)
{
	struct bit_reader *b = &z->bits;
	unsigned n = 0;

	while (n < total) {
		uint32_t e, sym;
		unsigned repeat = 1;
		uint8_t len;

		refill(b);
		e = z->precode[b->buf & 127];
		drop(b, e);
		sym = e >> 16;
		len = sym;
		if ((e & ENTRY_STOP) || (sym == 16 && n == 0))
			return fail(z, "invalid code lengths");
		if (sym == 16) {
			len = z->lens[n - 1];
			repeat = 3 + take(b, 2);
		} else if (sym == 17) {
			len = 0;
			repeat = 3 + take(b, 3);
		} else if (sym == 18) {
			len = 0;
			repeat = 11 + take(b, 7);
		}
		if (is_truncated(b))
			return fail(z, "truncated");
		if (repeat > total - n)
			return fail(z, "invalid code lengths");
		memset(z->lens + n, len, repeat);
		n += repeat;
	}
	return OK;
}

/* RFC 1951 3.2.7: a block that brings its own codes. */
static enum err
inflate_dynamic(struct inflate *z)
{
	static const uint8_t order[19] = {
	    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
	struct bit_reader *b = &z->bits;
	uint8_t pre_lens[19] = {0};
	unsigned num_litlen, num_dist, num_pre;
	enum err err;

	refill(b);
	num_litlen = 257 + take(b, 5);
	num_dist = 1 + take(b, 5);
	num_pre = 4 + take(b, 4);
	if (num_litlen > 286 || num_dist > 30)
		return fail(z, "too many codes");
	for (unsigned i = 0; i < num_pre; i++) {
		refill(b);
		pre_lens[order[i]] = take(b, 3);
	}
	if (!build_table(&(struct code){z->precode, 128, 7, pre_lens, 19, precode_entry}))
		return fail(z, "invalid code of code lengths");
	err = read_lengths(z, num_litlen + num_dist);
	if (err)
		return err;
	if (z->lens[END_OF_BLOCK] == 0)
		return fail(z, "no end of block");
	if (!build_dist(z, z->lens + num_litlen, num_dist) ||
	    !build_litlen(z, num_litlen))
		return fail(z, "invalid code");
	return inflate_codes(z);
}

static enum err
inflate_blocks(struct inflate *z)
{
	bool is_last;

	do {
		enum err err = OK;
		unsigned type;

		refill(&z->bits);
		is_last = take(&z->bits, 1);
		type = take(&z->bits, 2);
		if (is_truncated(&z->bits))
			return fail(z, "truncated");
		if (type == 0)
			err = inflate_stored(z);
		else if (type == 1)
			err = inflate_fixed(z);
		else if (type == 2)
			err = inflate_dynamic(z);
		else
			err = fail(z, "invalid block type");
		if (err)
			return err;
	} while (!is_last);
	align_to_byte(&z->bits);
	return flush(z);
}

bool
gzip_is(const uint8_t *in, size_t n)
{
	return n >= 2 && in[0] == 0x1f && in[1] == 0x8b;
}

/* Length of the gzip header at in[n] (RFC 1952 2.3), or 0 when it is damaged. */
static size_t
gzip_header(struct inflate *z, const uint8_t *in, size_t n)
{
	enum { FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16, RESERVED = 0xe0 };
	unsigned flags;
	size_t pos = 10;

	z->error = "damaged gzip header";
	if (n < pos || !gzip_is(in, n) || in[2] != 8 || (in[3] & RESERVED))
		return 0;
	flags = in[3];
	if (flags & FEXTRA) {
		if (n - pos < 2)
			return 0;
		pos += 2 + (in[pos] | in[pos + 1] << 8);
	}
	for (unsigned field = FNAME; field <= FCOMMENT; field <<= 1) {
		const uint8_t *end;

		if (!(flags & field))
			continue;
		end = pos < n ? memchr(in + pos, 0, n - pos) : NULL;
		if (!end)
			return 0;
		pos = end + 1 - in;
	}
	if (flags & FHCRC) {
		if (pos > n || n - pos < 2 ||
		    (crc32(0, in, pos) & 0xffff) != (in[pos] | in[pos + 1] << 8))
			return 0;
		pos += 2;
	}
	return pos <= n ? pos : 0;
}

static uint32_t
load_le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

enum err
gzip_member(struct inflate *z, const uint8_t *in, size_t n, size_t *used,
    inflate_sink sink, void *arg)
{
	size_t header = gzip_header(z, in, n);
	enum err err;

	if (header == 0)
		return ERR_INVAL;
	z->error = NULL;
	z->bits = (struct bit_reader){
	    .in = in + header,
	    .in_end = in + n,
	    .fast_end = n >= header + 8 ? in + n - 7 : in,
	};
	z->out = z->out_sent = z->buf;
	z->sink = sink;
	z->sink_arg = arg;
	z->crc = 0;
	z->total_out = 0;
	err = inflate_blocks(z);
	if (err)
		return err;
	if (z->bits.in_end - z->bits.in < 8)
		return fail(z, "truncated");
	if (load_le32(z->bits.in) != z->crc)
		return fail(z, "wrong checksum");
	if (load_le32(z->bits.in + 4) != z->total_out)
		return fail(z, "wrong length");
	*used = z->bits.in + 8 - in;
	return OK;
}
