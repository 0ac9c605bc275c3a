/*
 * One transfer of bytes between a file and memory, kernel's or user's, in one or more
 * pieces: read, write, readv, pread, sendfile all make one, so a file has one read and
 * one write.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct iovec {
	void USER *base;
	size_t len;
};

struct uio {
	const struct iovec *iov; /* pieces left, the first partly used */
	size_t num_iov;
	size_t iov_used;     /* bytes done of iov[0] */
	size_t resid;        /* bytes left in all */
	bool is_user;        /* the pieces are user memory */
	bool is_write;       /* data flows from memory to the file */
	bool is_nowait;      /* RWF_NOWAIT: as if the file had O_NONBLOCK */
	bool is_append;      /* RWF_APPEND: as if it had O_APPEND */
	struct iovec single; /* storage for the one-piece case */
};

void uio_init_user(struct uio *, void USER *base, size_t len, bool is_write);
void uio_init_kernel(struct uio *, void *base, size_t len, bool is_write);
/* Several user pieces; `iov` is kernel memory that stays, the sum of lengths must not
 * overflow. */
void uio_init_vector(
    struct uio *, const struct iovec *iov, size_t num_iov, bool is_write);

/* Copies min(n, resid) bytes from (read: to) memory; returns how many, less on a fault.
 */
size_t uio_copy_to(struct uio *, const void *src, size_t n); /* file -> memory */
size_t uio_copy_from(struct uio *, void *dst, size_t n);     /* memory -> file */
size_t uio_fill_zero(struct uio *, size_t n);
