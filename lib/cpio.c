/* The newc parser: a state machine over pieces of text, so that it needs no more than its
 * state. */
#include "lib/cpio.h"

#include "lib/string.h"

enum { STATE_HEADER, STATE_NAME, STATE_NAME_PAD, STATE_DATA, STATE_DATA_PAD, STATE_DONE };

static const char magic[] = "070701", magic_checksum[] = "070702",
                  trailer[] = "TRAILER!!!";

bool
cpio_is(const uint8_t *text, size_t n)
{
	return n >= 6 && (!memcmp(text, magic, 6) || !memcmp(text, magic_checksum, 6));
}

void
cpio_init(struct cpio *c, const struct cpio_ops *ops, void *arg)
{
	c->ops = ops;
	c->arg = arg;
	c->error = NULL;
	c->state = STATE_HEADER;
	c->have = 0;
}

bool
cpio_is_done(const struct cpio *c)
{
	return c->state == STATE_DONE;
}

bool
cpio_is_inside(const struct cpio *c)
{
	return c->state != STATE_DONE && (c->state != STATE_HEADER || c->have > 0);
}

static enum err
fail(struct cpio *c, const char *why)
{
	c->error = why;
	return ERR_INVAL;
}

/* Field number `i`: 8 hexadecimal digits. */
static bool
field(const struct cpio *c, unsigned i, uint32_t *value)
{
	const char *p = c->header + 6 + 8 * i;
	uint32_t v = 0;

	for (unsigned k = 0; k < 8; k++) {
		unsigned digit = (uint8_t)p[k] - '0';

		if (digit > 9) {
			digit = ((uint8_t)p[k] | 32) - 'a';
			if (digit > 5)
				return false;
			digit += 10;
		}
		v = v << 4 | digit;
	}
	*value = v;
	return true;
}

static enum err
parse_header(struct cpio *c)
{
	struct cpio_entry *e = &c->entry;
	uint32_t *const fields[] = {&e->ino, &e->mode, &e->uid, &e->gid, &e->nlink,
	    &e->mtime, &e->size, &e->dev_major, &e->dev_minor, &e->rdev_major,
	    &e->rdev_minor, &c->name_len, &c->checksum};

	if (!cpio_is((const uint8_t *)c->header, 6))
		return fail(c, "no member header where one should be");
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (!field(c, i, fields[i]))
			return fail(c, "not a number in a member header");
	if (c->name_len == 0 || c->name_len > CPIO_NAME_MAX)
		return fail(c, "bad name length");
	c->has_checksum = c->header[5] == '2';
	c->sum = 0;
	c->have = 0;
	c->state = STATE_NAME;
	return OK;
}

static enum err
finish_member(struct cpio *c)
{
	if (c->has_checksum && c->entry.size > 0 && c->sum != c->checksum)
		return fail(c, "wrong checksum");
	c->left = -c->entry.size & 3;
	c->state = STATE_DATA_PAD;
	return c->ops->end(c->arg);
}

static enum err
parse_name(struct cpio *c)
{
	enum err err;

	if (c->name[c->name_len - 1] != '\0' || strlen(c->name) != c->name_len - 1)
		return fail(c, "name not terminated");
	if (!strcmp(c->name, trailer)) {
		c->state = STATE_DONE;
		return OK;
	}
	c->entry.name = c->name;
	c->left = -(CPIO_HEADER + c->name_len) & 3;
	c->state = STATE_NAME_PAD;
	err = c->ops->entry(c->arg, &c->entry);
	return err;
}

/* Takes up to `want` - *have bytes into buf; true when complete. */
static bool
collect(char *buf, uint32_t *have, uint32_t want, const char **p, const char *end)
{
	size_t n = MIN((size_t)(want - *have), (size_t)(end - *p));

	memcpy(buf + *have, *p, n);
	*have += n;
	*p += n;
	return *have == want;
}

/* Takes part of what is left of the contents or the padding; returns how many bytes. */
static size_t
consume(struct cpio *c, const char **p, const char *end)
{
	size_t n = MIN((size_t)c->left, (size_t)(end - *p));

	*p += n;
	c->left -= n;
	return n;
}

static enum err
take_data(struct cpio *c, const char **p, const char *end)
{
	const char *start = *p;
	size_t n = consume(c, p, end);

	if (c->has_checksum)
		for (size_t i = 0; i < n; i++)
			c->sum += (uint8_t)start[i];
	if (n > 0) {
		enum err err = c->ops->data(c->arg, start, n);

		if (err)
			return err;
	}
	return c->left == 0 ? finish_member(c) : OK;
}

static enum err
step(struct cpio *c, const char **p, const char *end)
{
	switch (c->state) {
	case STATE_HEADER:
		return collect(c->header, &c->have, CPIO_HEADER, p, end) ? parse_header(c)
		                                                         : OK;
	case STATE_NAME:
		return collect(c->name, &c->have, c->name_len, p, end) ? parse_name(c)
		                                                       : OK;
	case STATE_NAME_PAD:
		consume(c, p, end);
		if (c->left > 0)
			return OK;
		c->left = c->entry.size;
		c->state = STATE_DATA;
		return c->left == 0 ? finish_member(c) : OK;
	case STATE_DATA: return take_data(c, p, end);
	default:
		consume(c, p, end);
		if (c->left == 0) {
			c->state = STATE_HEADER;
			c->have = 0;
		}
		return OK;
	}
}

enum err
cpio_feed(struct cpio *c, const void *text, size_t n, size_t *used)
{
	const char *p = text, *end = p + n;
	enum err err = OK;

	/* Padding of no bytes is passed at once, so that the state after a member is
	 * clear. */
	while (!err && c->state != STATE_DONE &&
	       (p < end || ((c->state == STATE_NAME_PAD || c->state == STATE_DATA_PAD) &&
	                       !c->left)))
		err = step(c, &p, end);
	*used = p - (const char *)text;
	return err;
}
