/*
 * loader/config.c: keel.conf, good and bad.
 * LINK: loader/config.c lib/string.c lib/fmt.c
 */
#include "loader/config.h"

#include <stdlib.h>

#include "lib/fmt.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static struct config c;
static char reports[4096];

static void
note(void *ctx, unsigned line, const char *what, const char *name)
{
	size_t n = strlen(reports);

	scnprintf(reports + n, sizeof(reports) - n, "%u: %s: %s\n", line, what, name);
}

static const struct config_report report = {.problem = note};

/* In memory of exactly its size, so that ASan sees a read too far. */
static void
parse(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	reports[0] = '\0';
	config_defaults(&c);
	config_parse(&c, copy, len, &report);
	free(copy);
}

static void
parse_text(const char *text)
{
	parse(text, strlen(text));
}

KTEST(config_of_nothing_is_the_defaults)
{
	parse_text("");
	CHECK(!strcmp(c.kernel, "kernel.elf"));
	CHECK(c.num_initrds == 1 && !strcmp(c.initrd[0], "initrd.cpio.gz"));
	CHECK(c.video == VIDEO_AUTO && !c.cmdline[0] && !reports[0]);
}

KTEST(config_reads_all_keys)
{
	parse_text("# a comment\r\n"
	           "kernel=new.elf\r\n"
	           "\r\n"
	           "  initrd =  base.gz ,more.cpio,\t/x/last  \r\n"
	           "cmdline = console=ttyS0 init=/bin/sh # not a comment\r\n"
	           "video = 1024x768");
	CHECK(!strcmp(c.kernel, "new.elf"));
	CHECK_EQ(c.num_initrds, 3);
	CHECK(!strcmp(c.initrd[0], "base.gz") && !strcmp(c.initrd[1], "more.cpio"));
	CHECK(!strcmp(c.initrd[2], "/x/last"));
	CHECK(!strcmp(c.cmdline, "console=ttyS0 init=/bin/sh # not a comment"));
	CHECK(c.video == VIDEO_SIZE && c.width == 1024 && c.height == 768);
	CHECK(!reports[0]);
}

KTEST(config_empty_initrd_means_none)
{
	parse_text("initrd =\n");
	CHECK_EQ(c.num_initrds, 0);
	CHECK(!reports[0]);
}

KTEST(config_names_the_line_and_keeps_the_default)
{
	parse_text("colour = green\n"
	           "# fine\n"
	           "kernel =\n"
	           "nonsense\n"
	           "video = 0x600\n"
	           "video = big\n"
	           "initrd = a,,b\n"
	           "kernel = ok.elf\n");
	CHECK(
	    !strcmp(reports, "1: unknown key: colour\n"
	                     "3: bad path: \n"
	                     "4: no '=' in: nonsense\n"
	                     "5: video is auto, keep, none or WIDTHxHEIGHT, not: 0x600\n"
	                     "6: video is auto, keep, none or WIDTHxHEIGHT, not: big\n"
	                     "7: bad path: a,,b\n"));
	CHECK(!strcmp(c.kernel, "ok.elf") && c.video == VIDEO_AUTO && c.num_initrds == 1);
}

KTEST(config_takes_what_just_fits)
{
	static char text[2 * BOOT_CMDLINE_MAX];
	int n = scnprintf(text, sizeof(text), "cmdline=");

	memset(text + n, 'x', BOOT_CMDLINE_MAX - 1);
	parse(text, n + BOOT_CMDLINE_MAX - 1);
	CHECK_EQ(strlen(c.cmdline), BOOT_CMDLINE_MAX - 1);
	CHECK(!reports[0]);
	memset(text + n, 'x', BOOT_CMDLINE_MAX);
	parse(text, n + BOOT_CMDLINE_MAX);
	CHECK_EQ(strlen(c.cmdline), 0);
	CHECK(reports[0]);
	parse_text("initrd=1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g");
	CHECK_EQ(c.num_initrds, 16);
	parse_text("initrd=1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h");
	CHECK(c.num_initrds == 1 && reports[0]);
}

KTEST(config_survives_any_bytes)
{
	static const char *const words[] = {"kernel", "initrd", "cmdline", "video", "=",
	    "\n", ",", " ", "#", "1024x768", "auto", "\0", "\xff\xfe", "\xef\xbb\xbf",
	    "x"};
	uint64_t seed = 1;
	char text[512];

	for (unsigned round = 0; round < 20000; round++) {
		size_t n = 0;

		while (n < 400) {
			const char *w;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			if ((seed >> 40) % 60 == 0)
				break;
			w = words[(seed >> 33) % ARRAY_SIZE(words)];
			if ((seed >> 50) % 5 == 0)
				text[n++] = (char)(seed >> 57);
			else if (*w)
				n += strlcpy(text + n, w, sizeof(text) - n);
			else
				text[n++] = '\0';
		}
		parse(text, n);
		CHECK(c.num_initrds <= BOOT_MAX_INITRDS && c.kernel[0]);
		CHECK(strnlen(c.cmdline, BOOT_CMDLINE_MAX) < BOOT_CMDLINE_MAX);
	}
}
