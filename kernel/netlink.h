/* Bytes that the kernel gives to a netlink socket of a program, without a header. In net/netlink.c. */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct file;

/* Whether the file is such a socket: ERR_NOTSOCK, ERR_INVAL. */
enum err netlink_check_file(const struct file *);
/* Thread context. A full queue loses them, and its reader is told. */
void netlink_send_bytes(struct file *, const void *bytes, size_t len);
