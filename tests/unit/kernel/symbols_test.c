/* kernel/symbols.c on a small table. LINK: kernel/symbols.c lib/fmt.c lib/string.c */
#include "kernel/symbols.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

/* The table of the running program: one function, at 0x10 from kernel_start, text up to
 * 0x40. */
extern const char kernel_start[];
const char kernel_start[0x40];

__asm__(".globl symbols_start, symbols_end\n"
        "symbols_start: .long 1, 0x40, 0x10, 0\n\t.asciz \"only\"\n\t.balign 4\n"
        "symbols_end:");

static const uint32_t offsets[] = {0x1000, 0x1010, 0x1200, 0x1800};
static const uint32_t names[] = {0, 6, 10, 14};
static const struct symbol_table table = {
    .count = 4,
    .text_size = 0x2000,
    .offsets = offsets,
    .names = names,
    .text = "start\0two\0mid\0last",
};

static bool
finds(uint64_t offset, const char *name, uint64_t into)
{
	uint64_t n = ~0ull;
	const char *found = symbol_find(&table, offset, &n);

	return name ? found && !strcmp(found, name) && n == into : !found;
}

KTEST(symbol_find_knows_first_inner_and_last_byte)
{
	CHECK(finds(0x1000, "start", 0));
	CHECK(finds(0x100f, "start", 0xf));
	CHECK(finds(0x1010, "two", 0));
	CHECK(finds(0x17ff, "mid", 0x5ff));
	CHECK(finds(0x1800, "last", 0));
	CHECK(finds(0x1fff, "last", 0x7ff));
}

KTEST(symbol_find_refuses_what_is_no_code)
{
	CHECK(finds(0, NULL, 0));
	CHECK(finds(0xfff, NULL, 0));
	CHECK(finds(0x2000, NULL, 0));
	CHECK(finds(~0ull, NULL, 0));
}

KTEST(symbol_find_in_an_empty_table_is_null)
{
	struct symbol_table none = {.count = 0};
	uint64_t n;

	CHECK(!symbol_find(&none, 0x1000, &n));
}

KTEST(symbol_format_gives_name_and_offset_or_the_address)
{
	char buf[64];

	symbol_format((uint64_t)kernel_start + 0x2c, buf, sizeof(buf));
	CHECK(!strcmp(buf, "only+0x1c"));
	symbol_format(0x1234, buf, sizeof(buf));
	CHECK(!strcmp(buf, "0x0000000000001234"));
}
