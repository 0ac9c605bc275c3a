/*
 * Assertions and panic, by strength (docs/architecture.md, "Errors"):
 *   static_assert  layout, at compile time
 *   ASSERT(x)      an invariant we can argue; false means our bug: panic
 * Bad input from outside (packet, table, disk, user) is never a panic.
 */
#pragma once

#include "lib/types.h"

struct trap_frame;

/*
 * Stops the other CPUs, prints reason, registers, symbolised backtrace, held locks and
 * the last log lines on every console, then reboots after panic= seconds or halts. Any
 * context.
 */
NORETURN COLD void panic(const char *fmt, ...) PRINTF(1, 2);

/* The same with the registers of the trap that found the fault. */
NORETURN COLD void panic_trap(const struct trap_frame *, const char *fmt, ...)
    PRINTF(2, 3);

/*
 * The end of a machine that cannot go on: panic=N restarts it after N seconds, at once
 * when N is negative; without it the CPU halts. Any context.
 */
NORETURN void panic_end(void);

#define ASSERT(x) \
	do { \
		if (unlikely(!(x))) \
			panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #x); \
	} while (0)
