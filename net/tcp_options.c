/*
 * TCP options on the wire: RFC 9293 3.2 (MSS), RFC 7323 (window scale, timestamps), RFC
 * 2018 (SACK), RFC 5482 (user time-out). Unknown ones are skipped by their length.
 */
#include "net/tcp_core.h"

#include "lib/string.h"

enum {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_OK = 4,
	KIND_SACK = 5,
	KIND_TS = 8,
	KIND_UTO = 28,
	MAX_WSCALE = 14, /* RFC 7323 2.3: a larger one is used as 14 */
};

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint8_t *
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v);
}

/*
 * One option, `len` bytes with kind and length. An option of a wrong length is as if not
 * there.
 */
static void
parse_one(const uint8_t *p, size_t len, struct tcp_opts *o)
{
	switch (p[0]) {
	case KIND_MSS:
		if (len == 4) {
			o->has |= TCP_OPT_MSS;
			o->mss = get16(p + 2);
		}
		break;
	case KIND_WSCALE:
		if (len == 3) {
			o->has |= TCP_OPT_WSCALE;
			o->wscale = MIN(p[2], MAX_WSCALE);
		}
		break;
	case KIND_SACK_OK:
		if (len == 2)
			o->has |= TCP_OPT_SACK_OK;
		break;
	case KIND_SACK:
		if (len < 10 || (len - 2) % 8)
			break;
		o->nsack = (uint8_t)MIN((len - 2) / 8, TCP_MAX_SACK);
		for (unsigned i = 0; i < o->nsack; i++) {
			o->sack[i].start = get32(p + 2 + 8 * i);
			o->sack[i].end = get32(p + 6 + 8 * i);
		}
		break;
	case KIND_TS:
		if (len == 10) {
			o->has |= TCP_OPT_TS;
			o->tsval = get32(p + 2);
			o->tsecr = get32(p + 6);
		}
		break;
	case KIND_UTO:
		if (len == 4) {
			o->has |= TCP_OPT_UTO;
			o->uto = get16(p + 2);
		}
		break;
	}
}

bool
tcp_parse_options(const uint8_t *p, size_t len, struct tcp_opts *opts)
{
	size_t n;

	opts->has = 0;
	opts->nsack = 0;
	for (size_t i = 0; i < len; i += n) {
		if (p[i] == KIND_END)
			break;
		if (p[i] == KIND_NOP) {
			n = 1;
			continue;
		}
		if (len - i < 2 || p[i + 1] < 2 || p[i + 1] > len - i)
			return false;
		n = p[i + 1];
		parse_one(p + i, n, opts);
	}
	return true;
}

size_t
tcp_options_len(const struct tcp_opts *o)
{
	size_t n = 0;

	if (o->has & TCP_OPT_MSS)
		n += 4;
	if (o->has & TCP_OPT_TS)
		n += o->has & TCP_OPT_SACK_OK ? 10 : 12;
	if (o->has & TCP_OPT_SACK_OK)
		n += o->has & TCP_OPT_TS ? 2 : 4;
	if (o->has & TCP_OPT_WSCALE)
		n += 4;
	if (o->has & TCP_OPT_UTO)
		n += 4;
	if (o->nsack)
		n += 4 + 8 * (size_t)o->nsack;
	return n;
}

/*
 * Each is preceded by the no-operations that keep the 32-bit fields aligned, as everybody
 * has them.
 */
size_t
tcp_write_options(const struct tcp_opts *o, uint8_t *buf)
{
	uint8_t *p = buf;
	bool sack_ok = o->has & TCP_OPT_SACK_OK;

	if (o->has & TCP_OPT_MSS) {
		p = put16(p, KIND_MSS << 8 | 4);
		p = put16(p, o->mss);
	}
	if (sack_ok) {
		p = put16(p, KIND_SACK_OK << 8 | 2);
		if (!(o->has & TCP_OPT_TS))
			p = put16(p, KIND_NOP << 8 | KIND_NOP);
	}
	if (o->has & TCP_OPT_TS) {
		if (!sack_ok)
			p = put16(p, KIND_NOP << 8 | KIND_NOP);
		p = put16(p, KIND_TS << 8 | 10);
		p = put32(p, o->tsval);
		p = put32(p, o->tsecr);
	}
	if (o->has & TCP_OPT_WSCALE)
		p = put32(p, KIND_NOP << 24 | KIND_WSCALE << 16 | 3 << 8 | o->wscale);
	if (o->has & TCP_OPT_UTO) {
		p = put16(p, KIND_UTO << 8 | 4);
		p = put16(p, o->uto);
	}
	if (o->nsack) {
		p = put16(p, KIND_NOP << 8 | KIND_NOP);
		p = put16(p, KIND_SACK << 8 | (2u + 8u * o->nsack));
		for (unsigned i = 0; i < o->nsack; i++) {
			p = put32(p, o->sack[i].start);
			p = put32(p, o->sack[i].end);
		}
	}
	return (size_t)(p - buf);
}
