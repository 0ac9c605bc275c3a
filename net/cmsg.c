/* Control data of sendmsg and recvmsg: a row of headers with their data, each aligned to 8. */
#include "lib/string.h"
#include "net/sock.h"

enum { CMSG_ALIGN = sizeof(uint64_t) };

static_assert(sizeof(struct cmsg) == 16, "struct cmsghdr of x86-64");

/* What does not fit is cut, and MSG_CTRUNC says so; less than a header's room is not touched. */
void
put_cmsg(struct sock_msg *m, int level, int type, const void *data, size_t n)
{
	struct cmsg c = {.len = sizeof(c) + n, .level = level, .type = type};
	size_t room = m->control ? m->control_len - m->control_used : 0;
	uint8_t *to;

	if (room < sizeof(c)) {
		m->out_flags |= MSG_CTRUNC;
		return;
	}
	if (room < c.len) {
		m->out_flags |= MSG_CTRUNC;
		c.len = room;
	}
	to = m->control + m->control_used;
	memcpy(to, &c, sizeof(c));
	memcpy(to + sizeof(c), data, c.len - sizeof(c));
	m->control_used += MIN(ALIGN_UP(c.len, CMSG_ALIGN), room);
}

const struct cmsg *
cmsg_next(const struct sock_msg *m, const struct cmsg *c, enum err *err)
{
	size_t at = 0;

	*err = OK;
	if (!m->control)
		return NULL;
	if (c)
		at = (size_t)((const uint8_t *)c - m->control) +
		     ALIGN_UP(c->len, CMSG_ALIGN);
	if (at > m->control_len || m->control_len - at < sizeof(*c))
		return NULL;
	c = (const struct cmsg *)(m->control + at);
	if (c->len >= sizeof(*c) && c->len <= m->control_len - at)
		return c;
	*err = ERR_INVAL;
	return NULL;
}
