/*
 * Defaults for calls of rooms that are not linked yet, so that every step of bring-up has a
 * kernel that boots. A room's own definition wins over the weak one here; the file goes away
 * when none is left.
 */
#include "drivers/char/serial.h"
#include "kernel/panic.h"
#include "kernel/sync/spinlock.h"
#include "kernel/sync/wait.h"
#include "kernel/time/clock.h"
#include "lib/fmt.h"

__attribute__((weak)) nsec_t
clock_now_ns(void)
{
	return 0;
}

__attribute__((weak)) void
panic(const char *fmt, ...)
{
	char line[256];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	serial_early_write("panic: ", 7);
	serial_early_write(line, (size_t)n);
	for (;;)
		__asm__ volatile("cli; hlt");
}

__attribute__((weak)) void
expect_failed(const char *expr, const char *file, int line)
{
}

__attribute__((weak)) void
wait_queue_wake(struct wait_queue *q, unsigned n, uint32_t events)
{
}

__attribute__((weak)) void
sched_preempt(void)
{
}
