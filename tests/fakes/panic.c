/* panic and the log on the host: print to standard error; EXPECT_PANIC catches a panic.
 */
#include "kernel/panic.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/log.h"
#include "tests/fakes/fakes.h"

jmp_buf *fake_panic_catch;
char fake_panic_text[256];
bool fake_log_is_quiet;

static NORETURN void
stop(const char *fmt, va_list args)
{
	/* The C library's own: fmt.c need not be linked for this. */
	extern int libc_vsnprintf(char *, size_t, const char *, va_list) __asm__(
	    "vsnprintf");

	libc_vsnprintf(fake_panic_text, sizeof(fake_panic_text), fmt, args);
	if (fake_panic_catch)
		longjmp(*fake_panic_catch, 1);
	fprintf(stderr, "panic: %s\n", fake_panic_text);
	abort();
}

void
panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	stop(fmt, args);
}

void
panic_trap(const struct trap_frame *frame, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	stop(fmt, args);
}

void
log_vprintf(enum log_level level, const char *fmt, va_list args)
{
	if (!fake_log_is_quiet)
		vfprintf(stderr, fmt, args);
}

void
log_printf(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vprintf(level, fmt, args);
	va_end(args);
}
