/* kernel/cmdline.c. LINK: kernel/cmdline.c lib/string.c lib/fmt.c */
#include "kernel/boot.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "lib/string.h"
#include "tests/unit/ktest.h"

static unsigned num_warnings;

void
log_printf(enum log_level level, const char *fmt, ...)
{
	num_warnings++;
}

KTEST(cmdline_finds_words_and_values)
{
	cmdline_init(
	    "  quiet console=ttyS0 console=tty0,x  init=\"/bin/my init\"\tpanic=0x10 ");
	CHECK(cmdline_has("quiet") && !cmdline_has("qui") && !cmdline_has("quietly"));
	CHECK(!strcmp(cmdline_get("console", 1), "tty0,x"));
	CHECK(cmdline_get("console", 2) == NULL);
	CHECK(!strcmp(cmdline_get("init", 0), "/bin/my init"));
	CHECK_EQ(cmdline_u64("panic", 3), 16);
	CHECK_EQ(cmdline_u64("absent", 3), 3);
}

KTEST(cmdline_bad_number_is_named_and_default_used)
{
	num_warnings = 0;
	cmdline_init("panic=soon");
	CHECK_EQ(cmdline_u64("panic", 7), 7);
	CHECK_EQ(num_warnings, 1);
}

KTEST(cmdline_gives_init_what_is_not_the_kernels)
{
	const char *argv[8];

	cmdline_init("quiet single net.ifnames=0 FOO=bar root=/dev/x -- -s quiet");
	CHECK_EQ(cmdline_init_args(argv, 8), 3);
	CHECK(!strcmp(argv[0], "single") && !strcmp(argv[1], "-s") &&
	      !strcmp(argv[2], "quiet"));
	CHECK_EQ(cmdline_init_args(argv, 1), 1);
	CHECK_EQ(cmdline_init_env(argv, 8), 1);
	CHECK(!strcmp(argv[0], "FOO=bar"));
}

KTEST(cmdline_keeps_network_and_interrupt_words_from_init)
{
	const char *argv[8];

	cmdline_init(
	    "ip=dhcp ip6=fd77::2/64 dns=fd77::1 nomsi nomsix nommconf panic_port=1");
	CHECK_EQ(cmdline_init_args(argv, 8), 0);
	CHECK_EQ(cmdline_init_env(argv, 8), 0);
}

KTEST(cmdline_too_long_is_cut)
{
	static char text[2 * BOOT_CMDLINE_MAX];

	memset(text, 'a', sizeof(text) - 1);
	num_warnings = 0;
	cmdline_init(text);
	CHECK_EQ(num_warnings, 1);
	CHECK_EQ(strlen(cmdline_text()), BOOT_CMDLINE_MAX - 1);
}

KTEST(cmdline_too_many_words_are_ignored)
{
	static char text[2048];

	for (unsigned i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "a ", 2);
	cmdline_init(text);
	CHECK(!cmdline_has("b"));
	cmdline_init("");
	CHECK(!cmdline_has("a"));
}
