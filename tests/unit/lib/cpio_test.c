/* lib/cpio.c: members, splits at every byte, damage. LINK: lib/cpio.c lib/string.c */
#include "lib/cpio.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

#include <stdio.h>
#include <stdlib.h>

/* What the parser reported, as text: "name mode size{contents};". */
struct report {
	char text[4096];
	size_t len;
	enum err result; /* what the callbacks return */
};

static void
say(struct report *r, const char *text, size_t n)
{
	if (n > sizeof(r->text) - r->len - 1)
		n = sizeof(r->text) - r->len - 1;
	memcpy(r->text + r->len, text, n);
	r->len += n;
	r->text[r->len] = '\0';
}

static enum err
on_entry(void *arg, const struct cpio_entry *e)
{
	char line[300];
	int n = sprintf(line, "%.200s %o %u{", e->name, e->mode, e->size);

	say(arg, line, n);
	return ((struct report *)arg)->result;
}

static enum err
on_data(void *arg, const void *data, size_t n)
{
	say(arg, data, n);
	return OK;
}

static enum err
on_end(void *arg)
{
	say(arg, "};", 2);
	return OK;
}

static const struct cpio_ops ops = {on_entry, on_data, on_end};

/* An archive under construction. */
struct archive {
	char data[8192];
	size_t len;
};

static void
pad(struct archive *a)
{
	while (a->len % 4)
		a->data[a->len++] = 0;
}

static void
add(struct archive *a, const char *magic, const char *name, unsigned mode,
    const char *contents)
{
	size_t size = strlen(contents), name_len = strlen(name) + 1;
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (unsigned char)contents[i];
	a->len += sprintf(a->data + a->len,
	    "%s%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", magic, 1, mode, 0,
	    0, 1, 0, (unsigned)size, 0, 0, 0, 0, (unsigned)name_len,
	    magic[5] == '2' ? sum : 0);
	memcpy(a->data + a->len, name, name_len);
	a->len += name_len;
	pad(a);
	memcpy(a->data + a->len, contents, size);
	a->len += size;
	pad(a);
}

static void
make(struct archive *a)
{
	memset(a, 0, sizeof(*a));
	add(a, "070701", "bin", 040755, "");
	add(a, "070701", "bin/sh", 0100755, "hello");
	add(a, "070702", "etc/a-longer-name", 0100644, "sum is checked");
	add(a, "070701", "link", 0120777, "bin/sh");
	add(a, "070701", "TRAILER!!!", 0, "");
}

static const char want[] =
    "bin 40755 0{};bin/sh 100755 5{hello};"
    "etc/a-longer-name 100644 14{sum is checked};link 120777 6{bin/sh};";

/* Feeds in pieces of `piece` bytes. */
static enum err
parse(const char *data, size_t n, size_t piece, struct report *r, struct cpio *c,
    size_t *total)
{
	enum err err = OK;

	r->len = 0;
	r->text[0] = '\0';
	*total = 0;
	cpio_init(c, &ops, r);
	while (!err && *total < n && !cpio_is_done(c)) {
		size_t k = MIN(piece, n - *total), used;
		char *exact = malloc(k);

		memcpy(exact, data + *total, k);
		err = cpio_feed(c, exact, k, &used);
		free(exact);
		*total += used;
	}
	return err;
}

KTEST(cpio_reports_members_however_the_text_is_cut)
{
	struct archive a;
	struct report r = {.result = OK};
	struct cpio c;
	size_t total;

	make(&a);
	for (size_t piece = 1; piece <= a.len; piece++) {
		CHECK_EQ(parse(a.data, a.len, piece, &r, &c, &total), OK);
		CHECK(!strcmp(r.text, want));
		CHECK(cpio_is_done(&c));
		CHECK(total <= a.len && a.len - total < 4);
	}
}

KTEST(cpio_knows_when_more_must_come)
{
	struct archive a;
	struct report r = {.result = OK};
	struct cpio c;
	size_t total, boundaries = 0;

	make(&a);
	for (size_t n = 0; n < a.len - 4; n++) {
		CHECK_EQ(parse(a.data, n, 7, &r, &c, &total), OK);
		CHECK_EQ(total, n);
		boundaries += !cpio_is_inside(&c) && !cpio_is_done(&c);
	}
	CHECK_EQ(boundaries, 5); /* before each member */
}

KTEST(cpio_refuses_damage_by_name)
{
	static const struct {
		size_t offset;
		const char *text, *error;
	} damages[] = {
	    {0, "07070x", "no member header where one should be"},
	    {5, "7", "no member header where one should be"},
	    {20, "g", "not a number in a member header"},
	    {94, "FFFFFFFF", "bad name length"},
	    {94, "00000000", "bad name length"},
	    {94, "00000003", "name not terminated"},
	};
	struct archive a;
	struct report r = {.result = OK};
	struct cpio c;
	size_t total;

	for (unsigned i = 0; i < ARRAY_SIZE(damages); i++) {
		make(&a);
		memcpy(
		    a.data + damages[i].offset, damages[i].text, strlen(damages[i].text));
		CHECK_EQ(parse(a.data, a.len, a.len, &r, &c, &total), ERR_INVAL);
		CHECK(!strcmp(c.error, damages[i].error));
	}
}

KTEST(cpio_checks_the_sum_of_the_contents)
{
	struct archive a;
	struct report r = {.result = OK};
	struct cpio c;
	size_t total;

	make(&a);
	for (size_t i = 0; i < a.len; i++)
		if (!memcmp(a.data + i, "sum is", 6))
			a.data[i] = 'S';
	CHECK_EQ(parse(a.data, a.len, 11, &r, &c, &total), ERR_INVAL);
	CHECK(!strcmp(c.error, "wrong checksum"));
}

KTEST(cpio_returns_what_a_callback_says)
{
	struct archive a;
	struct report r = {.result = ERR_NOSPC};
	struct cpio c;
	size_t total;

	make(&a);
	CHECK_EQ(parse(a.data, a.len, a.len, &r, &c, &total), ERR_NOSPC);
}

/* Nothing to check but that the sanitizers stay silent and that it ends. */
KTEST(cpio_survives_changed_bytes)
{
	uint32_t seed = 7;
	struct report r = {.result = OK};
	struct archive a;
	struct cpio c;
	size_t total;

	for (unsigned round = 0; round < 20000; round++) {
		make(&a);
		for (unsigned i = 0; i <= round % 3; i++) {
			seed = seed * 1664525 + 1013904223;
			a.data[(seed >> 8) % a.len] = "0F7 z\0\377"[seed >> 29 & 7];
		}
		(void)parse(a.data, a.len, 1 + round % 97, &r, &c, &total);
	}
}
