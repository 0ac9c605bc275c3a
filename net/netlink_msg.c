/*
 * Netlink messages: attributes are type, length, value, padded to four bytes, in host order
 * (RFC 3549 2.2). Nothing here trusts a length. Pure: no state, no locks.
 */
#include "lib/string.h"
#include "net/netlink.h"

enum { ALIGN = 4, TYPE_MASK = 0x3fff };

bool
nl_parse(const struct nl_attr **attrs, unsigned num, const void *data, size_t len)
{
	const uint8_t *p = data;

	memset(attrs, 0, num * sizeof(struct nl_attr *));
	while (len >= sizeof(struct nl_attr)) {
		const struct nl_attr *a = (const struct nl_attr *)p;
		size_t step;

		if (a->len < sizeof(*a) || a->len > len)
			return false;
		if ((a->type & TYPE_MASK) < num)
			attrs[a->type & TYPE_MASK] = a;
		step = MIN(ALIGN_UP((size_t)a->len, ALIGN), len);
		p += step;
		len -= step;
	}
	return true; /* one to three bytes at the end mean nothing */
}

static bool
get(const struct nl_attr *a, void *out, size_t n)
{
	if (!a)
		return true;
	if (nl_len(a) != n)
		return false;
	memcpy(out, nl_data(a), n);
	return true;
}

bool
nl_get_u16(const struct nl_attr *a, uint16_t *out)
{
	return get(a, out, sizeof(*out));
}

bool
nl_get_u32(const struct nl_attr *a, uint32_t *out)
{
	return get(a, out, sizeof(*out));
}

bool
nl_get_string(const struct nl_attr *a, char *out, size_t size)
{
	size_t n;

	if (!a)
		return true;
	n = strnlen(nl_data(a), nl_len(a));
	if (n >= size)
		return false;
	memcpy(out, nl_data(a), n);
	out[n] = '\0';
	return true;
}

bool
nl_get_addr(const struct nl_attr *a, int family, struct ip_addr *out)
{
	be32 v4;

	if (!a)
		return true;
	if (family == AF_INET && nl_len(a) == sizeof(v4)) {
		memcpy(&v4, nl_data(a), sizeof(v4));
		*out = ip_from_v4(v4);
		return true;
	}
	return family == AF_INET6 && get(a, out->b, sizeof(out->b));
}

/* ---- Making -------------------------------------------------------------------------------- */

/* n bytes at the end, zeroed, with the padding; NULL: full. */
static void *
append(struct nl_out *o, size_t n)
{
	void *at = o->buf + o->len;

	n = ALIGN_UP(n, ALIGN);
	if (o->is_full || o->size - o->len < n) {
		o->is_full = true;
		return NULL;
	}
	memset(at, 0, n);
	o->len += n;
	return at;
}

void *
nl_begin(struct nl_out *o, uint16_t type, size_t header_len)
{
	struct nl_header *h;

	o->msg = o->len;
	o->is_full = false;
	h = append(o, sizeof(*h));
	if (!h)
		return NULL;
	*h = (struct nl_header){
	    .type = type, .flags = o->flags, .seq = o->seq, .pid = o->pid};
	return append(o, header_len);
}

bool
nl_end(struct nl_out *o)
{
	if (o->is_full) {
		o->len = o->msg;
		return false;
	}
	((struct nl_header *)(o->buf + o->msg))->len = (uint32_t)(o->len - o->msg);
	return true;
}

void
nl_put(struct nl_out *o, uint16_t type, const void *data, size_t len)
{
	struct nl_attr *a = append(o, sizeof(*a) + len);

	if (!a)
		return;
	a->len = (uint16_t)(sizeof(*a) + len);
	a->type = type;
	memcpy(a + 1, data, len);
}

void
nl_put_u8(struct nl_out *o, uint16_t type, uint8_t v)
{
	nl_put(o, type, &v, sizeof(v));
}

void
nl_put_u16(struct nl_out *o, uint16_t type, uint16_t v)
{
	nl_put(o, type, &v, sizeof(v));
}

void
nl_put_u32(struct nl_out *o, uint16_t type, uint32_t v)
{
	nl_put(o, type, &v, sizeof(v));
}

void
nl_put_string(struct nl_out *o, uint16_t type, const char *s)
{
	nl_put(o, type, s, strlen(s) + 1);
}

void
nl_put_addr(struct nl_out *o, uint16_t type, const struct ip_addr *a)
{
	if (ip_is_v4(a))
		nl_put(o, type, &a->v4, sizeof(a->v4));
	else
		nl_put(o, type, a->b, sizeof(a->b));
}

/* Without NLA_F_NESTED, as Linux: iproute2 does not know the types with it. */
size_t
nl_nest(struct nl_out *o, uint16_t type)
{
	size_t at = o->len;

	nl_put(o, type, NULL, 0);
	return at;
}

void
nl_nest_end(struct nl_out *o, size_t nest)
{
	if (!o->is_full)
		((struct nl_attr *)(o->buf + nest))->len = (uint16_t)(o->len - nest);
}
