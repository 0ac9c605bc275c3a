/*
 * The debug registers as a thread has them (SDM vol. 3, 17.2): up to four addresses at
 * which it stops with SIGTRAP. Loaded only while a thread runs that has any.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct trap_frame;

struct breakpoints {
	uint64_t addr[4];
	uint64_t status;  /* DR6 as the tracer sees it */
	uint64_t control; /* DR7; none of its enable bits: nothing to load */
};

/* Whether any of the four is switched on. */
static inline bool
breakpoints_are_on(const struct breakpoints *b)
{
	return b->control & 0xff;
}

/* Puts them into this CPU's registers; NULL: none. Interrupts off. */
void breakpoints_load(const struct breakpoints *);

/*
 * What a tracer writes to u_debugreg[n]: ERR_INVAL for addresses that are not the user's,
 * lengths and kinds that do not exist, ERR_IO for registers 4 and 5. The thread sleeps.
 */
enum err breakpoints_set(struct breakpoints *, unsigned n, uint64_t value);
/* Whether one of the bits of DR6 tells of an instruction: a fault, which would come again. */
bool breakpoints_hit_code(const struct breakpoints *, uint64_t dr6);
uint64_t breakpoints_get(const struct breakpoints *, unsigned n);
