/*
 * Formatted printing into a buffer: the C conversions d i u x X o c s p with flags
 * "-0+ #", width, precision (also *), and lengths hh h l ll z t j. No floating point.
 * A pointer (%p) is 0x and 16 hex digits.
 */
#pragma once

#include "lib/types.h"

/*
 * Write at most `size` bytes with the terminating 0 (none when size is 0). Return the length
 * the whole text would have, as C does; the `sc` forms return what was stored.
 */
int snprintf(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) PRINTF(3, 0);
int scnprintf(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);
int vscnprintf(char *buf, size_t size, const char *fmt, va_list args) PRINTF(3, 0);
