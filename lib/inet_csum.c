/*
 * The Internet checksum. Words are added in host order, eight bytes at a time with the carry
 * kept in 64 bits: RFC 1071 section 2 (B) shows that only the result needs to be swapped.
 */
#include "lib/inet_csum.h"

#include "lib/string.h"

/* 64 bits of carries into 32 that stand for the same number modulo 0xffff. */
static uint32_t
fold_to_32(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

static uint64_t
add_carry(uint64_t sum, uint64_t v)
{
	sum += v;
	return sum + (sum < v);
}

static uint32_t
load32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

/* One chain of additions with carry, an instruction for each word. */
static uint64_t
add_64_bytes(uint64_t sum, const uint8_t *p)
{
	unsigned long long carry = 0;

	for (unsigned i = 0; i < 64; i += 8)
		sum = __builtin_addcll(sum, load64(p + i), carry, &carry);
	return add_carry(sum, carry);
}

/* The last 1 to 7 bytes, as if zeros followed. */
static uint64_t
load_tail(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* Four words or five: IPv4's header and its pseudo header, which nearly every packet has. */
static uint32_t
add_short(uint64_t s, const uint8_t *p, size_t n)
{
	s += (uint64_t)load32(p) + load32(p + 4) + load32(p + 8) + load32(p + 12);
	return fold_to_32(n == 20 ? s + load32(p + 16) : s);
}

uint32_t
csum_add(uint32_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t s = sum;

	if (n == 20 || n == 16)
		return add_short(s, p, n);
	for (; n >= 64; n -= 64, p += 64)
		s = add_64_bytes(s, p);
	for (; n >= 8; n -= 8, p += 8)
		s = add_carry(s, load64(p));
	if (n >= 4) {
		s = add_carry(s, load32(p));
		n -= 4;
		p += 4;
	}
	if (n > 0)
		s = add_carry(s, load_tail(p, n));
	return fold_to_32(s);
}

uint32_t
csum_add_odd(uint32_t sum, uint32_t piece)
{
	uint64_t swapped =
	    (uint64_t)(piece & 0x00ff00ff) << 8 | (piece & 0xff00ff00) >> 8;

	return fold_to_32(sum + swapped);
}

static uint16_t
fold_to_16(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t
csum_finish(uint32_t sum)
{
	uint16_t s = (uint16_t)~fold_to_16(sum);

	return (uint16_t)(s << 8 | s >> 8);
}

uint32_t
csum_copy(uint32_t sum, void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
	return csum_add(sum, dst, n);
}

uint16_t
csum_update16(uint16_t csum, uint16_t was, uint16_t now)
{
	uint32_t sum = (uint16_t)~csum + (uint32_t)(uint16_t)~was + now;

	return (uint16_t)~fold_to_16(sum);
}
