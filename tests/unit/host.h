/*
 * Forced into every file of a host unit test: gives the kernel's own versions of calls that the
 * C library also has a name of their own, so both can be linked.
 */
#pragma once

#define snprintf   keel_snprintf
#define vsnprintf  keel_vsnprintf
#define scnprintf  keel_scnprintf
#define vscnprintf keel_vscnprintf
#define strlcpy    keel_strlcpy
#define memcpy     keel_memcpy
#define memmove    keel_memmove
#define memset     keel_memset
#define memcmp     keel_memcmp
#define memchr     keel_memchr
#define strlen     keel_strlen
#define strnlen    keel_strnlen
#define strcmp     keel_strcmp
#define strncmp    keel_strncmp
#define strchr     keel_strchr
#define strrchr    keel_strrchr
#define strstr     keel_strstr
