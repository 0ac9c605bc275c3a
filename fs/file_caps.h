/*
 * What is kept of a program's capabilities: the value of the attribute security.capability, in
 * Linux's form on disk (capabilities(7), "File capability extended attribute versioning").
 * fs/xattr.c keeps it; nothing here takes a lock.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct file_caps;

#define FILE_CAPS_NAME "security.capability"
enum { FILE_CAPS_MAX = 24 };

/* Whether setxattr may be given this. ERR_INVAL, ERR_PERM. */
enum err file_caps_check(const void *value, size_t size);
/* What getxattr gives of what is kept: its length, or ERR_INVAL. */
long file_caps_show(const void *kept, size_t size, uint8_t out[FILE_CAPS_MAX]);
/* What exec obeys of it; zero if it is meant for another user name space's root. ERR_INVAL. */
enum err file_caps_parse(const void *kept, size_t size, struct file_caps *out);
