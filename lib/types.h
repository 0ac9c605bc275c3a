/* The scalar types every room uses. Freestanding: only compiler headers. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t paddr_t; /* physical address */
typedef uint64_t vaddr_t; /* kernel or user virtual address */
typedef int64_t ssize_t;
typedef int64_t loff_t;  /* file offset, may be negative as an argument */
typedef uint64_t nsec_t; /* nanoseconds: a duration, or a time on the monotonic clock */

/* A pointer into the memory of a user process. Only mm/usercopy.h may follow it. */
#define USER __attribute__((noderef))

#define NODISCARD         __attribute__((warn_unused_result))
#define NORETURN          __attribute__((noreturn))
#define PACKED            __attribute__((packed))
#define ALIGNED(n)        __attribute__((aligned(n)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED            __attribute__((unused))
#define ALWAYS_INLINE     inline __attribute__((always_inline))
#define COLD              __attribute__((cold))
#define SECTION(s)        __attribute__((section(s), used))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)          ((a) < (b) ? (a) : (b))
#define MAX(a, b)          ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)     (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a)   (((x) & ((a)-1)) == 0)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

/* The structure of which `ptr` is the member `member`. */
#define container_of(ptr, type, member) \
	({ \
		const __typeof__(((type *)0)->member) *member_ = (ptr); \
		(type *)((char *)member_ - offsetof(type, member)); \
	})

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC  1000000000ull

#define static_assert _Static_assert

static_assert(sizeof(void *) == 8, "Keel is a 64-bit kernel");
