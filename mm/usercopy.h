/*
 * The only place that touches user memory. Each call checks the range, opens the SMAP window,
 * and survives a fault. May sleep (page faults), so never under a spinlock.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

enum err copy_from_user(void *dst, const void USER *src, size_t n);
enum err copy_to_user(void USER *dst, const void *src, size_t n);
enum err clear_user(void USER *dst, size_t n);

/* Bytes copied before a fault, 0..n: for read() and write(), which may end short. */
size_t copy_from_user_partial(void *dst, const void USER *src, size_t n);
size_t copy_to_user_partial(void USER *dst, const void *src, size_t n);

/*
 * Copies a string of at most size-1 bytes and its NUL. Returns its length, ERR_FAULT, or
 * ERR_NAMETOOLONG when no NUL came within `size` bytes.
 */
long strncpy_from_user(char *dst, const char USER *src, size_t size);

#define get_user(kernel_var, user_ptr) \
	copy_from_user(&(kernel_var), user_ptr, sizeof(kernel_var))
#define put_user(kernel_var, user_ptr) \
	copy_to_user(user_ptr, &(kernel_var), sizeof(kernel_var))

/* Atomic on user memory, for futexes: ERR_FAULT, else *old is what was there. Must be 4-aligned. */
enum err user_cmpxchg32(
    uint32_t USER *p, uint32_t expected, uint32_t desired, uint32_t *old);
enum err user_load32(const uint32_t USER *p, uint32_t *value);

/* The same under a spinlock: ERR_FAULT also when the page must be brought in first. */
enum err user_cmpxchg32_locked(
    uint32_t USER *p, uint32_t expected, uint32_t desired, uint32_t *old);
enum err user_load32_locked(const uint32_t USER *p, uint32_t *value);

/* Whether [p, p+n) lies in user space at all. */
bool user_range_ok(const void USER *p, size_t n);
