/*
 * Checked access to user memory. The range check is here; the instructions and what
 * happens on a fault are in kernel/x86/usercopy.asm. Non-canonical and kernel addresses
 * never get there.
 */
#include "mm/usercopy.h"

#include "kernel/sync/spinlock.h"
#include "kernel/x86/usercopy_asm.h"
#include "mm/aspace.h"

/* The address that a checked user pointer stands for. */
static void *
raw(const void USER *p)
{
	return (void *)(uintptr_t)p;
}

bool
user_range_ok(const void USER *p, size_t n)
{
	uintptr_t start = (uintptr_t)p;

	return start <= USER_SPACE_END && n <= USER_SPACE_END - start;
}

size_t
copy_from_user_partial(void *dst, const void USER *src, size_t n)
{
	assert_may_sleep();
	if (!user_range_ok(src, n))
		return 0;
	return n - usercopy_copy(dst, raw(src), n);
}

size_t
copy_to_user_partial(void USER *dst, const void *src, size_t n)
{
	assert_may_sleep();
	if (!user_range_ok(dst, n))
		return 0;
	return n - usercopy_copy(raw(dst), src, n);
}

enum err
copy_from_user(void *dst, const void USER *src, size_t n)
{
	return copy_from_user_partial(dst, src, n) == n ? OK : ERR_FAULT;
}

enum err
copy_to_user(void USER *dst, const void *src, size_t n)
{
	return copy_to_user_partial(dst, src, n) == n ? OK : ERR_FAULT;
}

enum err
clear_user(void USER *dst, size_t n)
{
	assert_may_sleep();
	if (!user_range_ok(dst, n) || usercopy_zero(raw(dst), n))
		return ERR_FAULT;
	return OK;
}

long
strncpy_from_user(char *dst, const char USER *src, size_t size)
{
	uintptr_t start = (uintptr_t)src;
	size_t limit = size;
	long len;

	assert_may_sleep();
	if (start >= USER_SPACE_END)
		return ERR_FAULT;
	if (limit > USER_SPACE_END - start)
		limit = USER_SPACE_END - start;
	len = usercopy_string(dst, raw(src), limit);
	if (len < 0)
		return ERR_FAULT;
	if ((size_t)len < limit)
		return len;
	return limit < size ? ERR_FAULT : ERR_NAMETOOLONG;
}

/* A fault under a spinlock is not resolved, but fails at once: page_fault_trap. */
enum err
user_cmpxchg32_locked(
    uint32_t USER *p, uint32_t expected, uint32_t desired, uint32_t *old)
{
	if (!user_range_ok(p, sizeof(*p)))
		return ERR_FAULT;
	return usercopy_cmpxchg32(raw(p), expected, desired, old) ? ERR_FAULT : OK;
}

enum err
user_load32_locked(const uint32_t USER *p, uint32_t *value)
{
	if (!user_range_ok(p, sizeof(*p)))
		return ERR_FAULT;
	return usercopy_load32(raw(p), value) ? ERR_FAULT : OK;
}

enum err
user_cmpxchg32(uint32_t USER *p, uint32_t expected, uint32_t desired, uint32_t *old)
{
	assert_may_sleep();
	return user_cmpxchg32_locked(p, expected, desired, old);
}

enum err
user_load32(const uint32_t USER *p, uint32_t *value)
{
	assert_may_sleep();
	return user_load32_locked(p, value);
}
