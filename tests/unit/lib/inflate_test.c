/*
 * lib/inflate.c against gzip(1), and against damage of every kind.
 * LINK: lib/inflate.c lib/crc32.c lib/string.c
 */
#include "lib/inflate.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bytes {
	uint8_t *data;
	size_t len, size;
};

static uint32_t seed = 1;

static uint32_t
rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static enum err
collect(void *arg, const void *data, size_t n)
{
	struct bytes *b = arg;

	if (n > b->size - b->len)
		return ERR_NOSPC;
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return OK;
}

/* data[n] through gzip(1) with `options`. */
static struct bytes
compress(const uint8_t *data, size_t n, const char *options)
{
	char name[] = "/tmp/inflate_test.XXXXXX", command[128];
	struct bytes out = {.size = n + n / 100 + 4096};
	int fd = mkstemp(name);
	FILE *f;

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	close(fd);
	sprintf(command, "gzip %s -c <%s", options, name);
	out.data = malloc(out.size);
	f = popen(command, "r");
	out.len = fread(out.data, 1, out.size, f);
	pclose(f);
	unlink(name);
	return out;
}

enum { KINDS = 6 };

/* Data of different nature: zeros, noise, words, long runs, short periods, far repeats.
 */
static void
make_data(unsigned kind, uint8_t *p, size_t n)
{
	static const char *const words[] = {
	    "kernel ", "page ", "the ", "of ", "a ", "inode\n"};

	for (size_t i = 0; i < n;) {
		const char *w = words[rnd() % 6];
		unsigned run = 1 + rnd() % 700;
		uint8_t c = rnd();

		if (kind == 0)
			p[i++] = 0;
		else if (kind == 1)
			p[i++] = c;
		else if (kind == 2)
			for (; *w && i < n; w++)
				p[i++] = *w;
		else if (kind == 3)
			for (; run > 0 && i < n; run--)
				p[i++] = c;
		else if (kind == 4)
			p[i] = i % 5, i++;
		else
			p[i] = i < 32768 ? c : p[i - 32768 + rnd() % 3], i++;
	}
}

static enum err
decompress(const uint8_t *in, size_t n, struct bytes *out, size_t *used)
{
	struct inflate *z = malloc(sizeof(*z));
	uint8_t *exact = malloc(n); /* so that the sanitizer sees a read beyond it */
	enum err err;

	memset(z, 0xa5, sizeof(*z));
	memcpy(exact, in, n);
	out->len = 0;
	err = gzip_member(z, exact, n, used, collect, out);
	free(exact);
	free(z);
	return err;
}

KTEST(inflate_undoes_gzip_of_all_kinds_and_levels)
{
	static const size_t sizes[] = {0, 1, 2, 100, 32768, 65535, 65536, 98304, 300001};
	static const char *const levels[] = {"-1", "-6", "-9"};

	for (unsigned kind = 0; kind < KINDS; kind++) {
		for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
			size_t n = sizes[s], used = 0;
			uint8_t *data = malloc(n + 1);
			struct bytes out = {malloc(n + 1), 0, n}, gz;

			make_data(kind, data, n);
			gz = compress(data, n, levels[(kind + s) % 3]);
			CHECK_EQ(decompress(gz.data, gz.len, &out, &used), OK);
			CHECK_EQ(used, gz.len);
			CHECK_EQ(out.len, n);
			CHECK(!memcmp(out.data, data, n));
			free(gz.data);
			free(data);
			free(out.data);
		}
	}
}

KTEST(inflate_refuses_every_truncation)
{
	uint8_t data[5000];
	struct bytes out = {malloc(sizeof(data)), 0, sizeof(data)}, gz;
	size_t used;

	make_data(2, data, sizeof(data));
	gz = compress(data, sizeof(data), "-9");
	for (size_t n = 0; n < gz.len; n++)
		CHECK_EQ(decompress(gz.data, n, &out, &used), ERR_INVAL);
	free(gz.data);
	free(out.data);
}

/*
 * A changed bit after the header is found, at the latest by the checksum; except padding
 * before the trailer, which changes nothing.
 */
KTEST(inflate_finds_every_changed_bit)
{
	uint8_t data[600];
	struct bytes out = {malloc(1 << 20), 0, 1 << 20}, gz;
	size_t used;

	make_data(2, data, sizeof(data));
	gz = compress(data, sizeof(data), "-9 -n");
	for (size_t bit = 80; bit < gz.len * 8; bit++) {
		enum err err;

		gz.data[bit / 8] ^= 1 << bit % 8;
		err = decompress(gz.data, gz.len, &out, &used);
		if (err)
			CHECK(err == ERR_INVAL || err == ERR_NOSPC);
		else
			CHECK(bit / 8 == gz.len - 9 &&
			      !memcmp(out.data, data, sizeof(data)));
		gz.data[bit / 8] ^= 1 << bit % 8;
	}
	free(gz.data);
	free(out.data);
}

/* Nothing to check but that the sanitizers stay silent and that it ends. */
KTEST(inflate_survives_noise)
{
	uint8_t data[3000];
	struct bytes out = {malloc(1 << 20), 0, 1 << 20};
	size_t used;

	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = 10 + rnd() % 400;
		struct bytes gz = {data, n, n};
		static const uint8_t header[10] = {0x1f, 0x8b, 8};

		make_data(1, data, n);
		memcpy(data, header, sizeof(header));
		if (round % 2)
			gz.data[10] = (gz.data[10] & ~7) | 5; /* last block, dynamic */
		(void)decompress(gz.data, n, &out, &used);
	}
	free(out.data);
}

KTEST(inflate_reads_optional_header_fields)
{
	/* FEXTRA (3 bytes), FNAME "n", FCOMMENT "c"; a stored block "hi". */
	static const uint8_t gz[] = {0x1f, 0x8b, 8, 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 3, 0, 1,
	    2, 3, 'n', 0, 'c', 0, 1, 2, 0, 0xfd, 0xff, 'h', 'i', 0xac, 0x2a, 0x93, 0xd8,
	    2, 0, 0, 0, 'x', 'y'};
	uint8_t text[8];
	struct bytes out = {text, 0, sizeof(text)};
	size_t used;

	CHECK_EQ(decompress(gz, sizeof(gz), &out, &used), OK);
	CHECK_EQ(used, sizeof(gz) - 2);
	CHECK(out.len == 2 && !memcmp(text, "hi", 2));
	for (size_t n = 0; n < sizeof(gz) - 2; n++)
		CHECK_EQ(decompress(gz, n, &out, &used), ERR_INVAL);
}

KTEST(inflate_returns_what_the_sink_says)
{
	uint8_t data[1000];
	struct bytes out = {data, 0, 10}, gz;
	size_t used;

	make_data(2, data, sizeof(data));
	gz = compress(data, sizeof(data), "");
	CHECK_EQ(decompress(gz.data, gz.len, &out, &used), ERR_NOSPC);
	free(gz.data);
}
