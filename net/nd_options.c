/* Options of neighbour discovery messages (RFC 4861 4.6, RFC 4191 2.3, RFC 8106 5): pure. */
#include "lib/string.h"
#include "net/nd.h"

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
remember(const uint8_t *list[ND_MAX_OF_KIND], unsigned *n, const uint8_t *o)
{
	if (*n < ND_MAX_OF_KIND)
		list[(*n)++] = o;
}

/* One option of `len` bytes; false: too short for its kind. */
static bool
take_option(const uint8_t *o, size_t len, struct nd_options *out)
{
	switch (o[0]) {
	case ND_OPT_SOURCE_LLA:
		out->source_lla = o + 2;
		return true; /* 8 bytes hold an Ethernet address */
	case ND_OPT_TARGET_LLA: out->target_lla = o + 2; return true;
	case ND_OPT_PREFIX:
		if (len != 32 || o[2] > 128)
			return false;
		remember(out->prefixes, &out->num_prefixes, o);
		return true;
	case ND_OPT_REDIRECTED:
		out->redirected = o + 8;
		out->redirected_len = len - 8;
		return true;
	case ND_OPT_MTU: out->mtu = get32(o + 4); return len == 8;
	case ND_OPT_NONCE:
		out->nonce = len == 8 ? o + 2 : NULL; /* longer ones are not ours */
		return true;
	case ND_OPT_ROUTE: remember(out->routes, &out->num_routes, o); return true;
	case ND_OPT_RDNSS:
		if (len < 24 || len % 16 != 8)
			return true; /* RFC 8106 5.3.1: this option is ignored */
		remember(out->rdnss, &out->num_rdnss, o);
		return true;
	case ND_OPT_DNSSL:
		if (len >= 16)
			remember(out->dnssl, &out->num_dnssl, o);
		return true;
	default: return true;
	}
}

bool
nd_options_parse(const uint8_t *data, size_t len, struct nd_options *out)
{
	*out = (struct nd_options){.mtu = 0};
	while (len) {
		size_t n = len >= 8 ? data[1] * 8u : 0;

		if (!n || n > len || !take_option(data, n, out))
			return false;
		data += n;
		len -= n;
	}
	return true;
}

void
nd_prefix_decode(const uint8_t *o, struct nd_prefix *out)
{
	enum { ON_LINK = 0x80, AUTONOMOUS = 0x40 };

	*out = (struct nd_prefix){
	    .plen = o[2],
	    .is_on_link = o[3] & ON_LINK,
	    .is_autonomous = o[3] & AUTONOMOUS,
	    .valid_s = get32(o + 4),
	    .preferred_s = get32(o + 8),
	};
	memcpy(out->prefix.b, o + 16, 16);
	out->prefix = ip_mask(&out->prefix, out->plen);
}

int
nd_preference(uint8_t bits)
{
	static const int8_t of_bits[] = {0, 1, 2, -1};

	return of_bits[bits >> 3 & 3];
}

bool
nd_route_decode(const uint8_t *o, struct nd_route *out)
{
	unsigned plen = o[2], len = o[1] * 8u;

	/* RFC 4191 2.3: 8 bytes hold no prefix, 16 the first half, 24 all of it. */
	if (plen > 128 || (plen > 64 && len < 24) || (plen && len < 16) || len > 24)
		return false;
	*out = (struct nd_route){
	    .plen = (uint8_t)plen,
	    .preference = (int8_t)nd_preference(o[3]),
	    .lifetime_s = get32(o + 4),
	};
	memcpy(out->prefix.b, o + 8, len - 8);
	out->prefix = ip_mask(&out->prefix, plen);
	return out->preference != 2;
}
