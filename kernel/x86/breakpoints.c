/* Debug registers of threads; see breakpoints.h. SDM vol. 3, 17.2.4 has DR7's fields. */
#include "kernel/x86/breakpoints.h"

#include "kernel/x86/cpu.h"
#include "mm/aspace.h"

enum {
	NUM_BREAKPOINTS = 4,
	REG_STATUS = 6,
	REG_CONTROL = 7,
	CONTROL_SHIFT = 16, /* of the four fields of R/W and LEN */
	CONTROL_LOCAL_EXACT = 1 << 8,
	CONTROL_RESERVED_1 = 1 << 10,
	KIND_EXECUTE = 0,
	KIND_IO = 2,
};
#define CONTROL_FIELDS 0xffff0000ull

void
breakpoints_load(const struct breakpoints *b)
{
	write_dr7(CONTROL_RESERVED_1); /* no trap on the way */
	if (!b || !breakpoints_are_on(b))
		return;
	write_dr0(b->addr[0]);
	write_dr1(b->addr[1]);
	write_dr2(b->addr[2]);
	write_dr3(b->addr[3]);
	write_dr7((b->control & (CONTROL_FIELDS | 0xff)) | CONTROL_LOCAL_EXACT |
	          CONTROL_RESERVED_1);
}

/* Breakpoint n of `control` is one the processor knows: executed, 1 byte; else no port. */
static bool
is_field_ok(uint64_t control, unsigned n, uint64_t addr)
{
	unsigned field = control >> (CONTROL_SHIFT + 4 * n) & 0xf, kind = field & 3,
	         len = field >> 2;
	static const uint8_t bytes[] = {1, 2, 8, 4};

	if (kind == KIND_IO || (kind == KIND_EXECUTE && len != 0))
		return false;
	return addr < USER_SPACE_END && (addr & (bytes[len] - 1u)) == 0;
}

static enum err
set_control(struct breakpoints *b, uint64_t value)
{
	value &= CONTROL_FIELDS | 0xff;
	for (unsigned n = 0; n < NUM_BREAKPOINTS; n++)
		if (value >> 2 * n & 3 && !is_field_ok(value, n, b->addr[n]))
			return ERR_INVAL;
	b->control = value;
	return OK;
}

static enum err
set_address(struct breakpoints *b, unsigned n, uint64_t value)
{
	if (value >= USER_SPACE_END)
		return ERR_INVAL;
	if (b->control >> 2 * n & 3 && !is_field_ok(b->control, n, value))
		return ERR_INVAL;
	b->addr[n] = value;
	return OK;
}

enum err
breakpoints_set(struct breakpoints *b, unsigned n, uint64_t value)
{
	if (n < NUM_BREAKPOINTS)
		return set_address(b, n, value);
	if (n == REG_CONTROL)
		return set_control(b, value);
	if (n != REG_STATUS)
		return ERR_IO;
	b->status = value;
	return OK;
}

bool
breakpoints_hit_code(const struct breakpoints *b, uint64_t dr6)
{
	for (unsigned n = 0; n < NUM_BREAKPOINTS; n++)
		if (dr6 >> n & 1 &&
		    (b->control >> (CONTROL_SHIFT + 4 * n) & 3) == KIND_EXECUTE)
			return true;
	return false;
}

uint64_t
breakpoints_get(const struct breakpoints *b, unsigned n)
{
	if (n < NUM_BREAKPOINTS)
		return b->addr[n];
	if (n == REG_STATUS)
		return b->status;
	return n == REG_CONTROL ? b->control : 0;
}
