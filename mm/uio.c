/*
 * Moving bytes between a file and the pieces of a uio. One loop walks the pieces; what is
 * done to each run of bytes (copy out, copy in, zero; user or kernel memory) is a small
 * step.
 */
#include "mm/uio.h"

#include "lib/string.h"
#include "mm/usercopy.h"

enum step { STEP_TO_MEMORY, STEP_FROM_MEMORY, STEP_ZERO };

static void
init_single(struct uio *u, void USER *base, size_t len, bool is_write)
{
	u->single.base = base;
	u->single.len = len;
	u->iov = &u->single;
	u->num_iov = 1;
	u->iov_used = 0;
	u->resid = len;
	u->is_write = is_write;
	u->is_nowait = false;
	u->is_append = false;
}

void
uio_init_user(struct uio *u, void USER *base, size_t len, bool is_write)
{
	init_single(u, base, len, is_write);
	u->is_user = true;
}

void
uio_init_kernel(struct uio *u, void *base, size_t len, bool is_write)
{
	init_single(u, (void USER *)base, len, is_write);
	u->is_user = false;
}

void
uio_init_vector(struct uio *u, const struct iovec *iov, size_t num_iov, bool is_write)
{
	u->iov = iov;
	u->num_iov = num_iov;
	u->iov_used = 0;
	u->resid = 0;
	u->is_user = true;
	u->is_write = is_write;
	u->is_nowait = false;
	u->is_append = false;
	for (size_t i = 0; i < num_iov; i++)
		u->resid += iov[i].len;
}

/* Does one run of n bytes at `memory`; returns how many were done. */
static size_t
do_run(const struct uio *u, uintptr_t memory, void *file, size_t n, enum step step)
{
	if (u->is_user) {
		void USER *p = (void USER *)memory;

		if (step == STEP_TO_MEMORY)
			return copy_to_user_partial(p, file, n);
		if (step == STEP_FROM_MEMORY)
			return copy_from_user_partial(file, p, n);
		return clear_user(p, n) == OK ? n : 0;
	}
	if (step == STEP_TO_MEMORY)
		memcpy((void *)memory, file, n);
	else if (step == STEP_FROM_MEMORY)
		memcpy(file, (void *)memory, n);
	else
		memset((void *)memory, 0, n);
	return n;
}

static size_t
transfer(struct uio *u, char *file, size_t n, enum step step)
{
	size_t done = 0;

	if (n > u->resid)
		n = u->resid;
	while (done < n) {
		size_t run = MIN(u->iov->len - u->iov_used, n - done), got;

		got = run ? do_run(u, (uintptr_t)u->iov->base + u->iov_used,
		                file ? file + done : NULL, run, step)
		          : 0;
		done += got;
		u->iov_used += got;
		if (got < run)
			break;
		if (u->iov_used == u->iov->len && u->num_iov > 1) {
			u->iov++;
			u->num_iov--;
			u->iov_used = 0;
		}
	}
	u->resid -= done;
	return done;
}

size_t
uio_copy_to(struct uio *u, const void *src, size_t n)
{
	/* As most are, to the user and within one piece: the end of a piece is the loop's. */
	if (likely(u->is_user && n && n <= u->resid && n < u->iov->len - u->iov_used)) {
		n = copy_to_user_partial((char USER *)u->iov->base + u->iov_used, src, n);
		u->iov_used += n;
		u->resid -= n;
		return n;
	}
	return transfer(u, (char *)src, n, STEP_TO_MEMORY);
}

size_t
uio_copy_from(struct uio *u, void *dst, size_t n)
{
	return transfer(u, dst, n, STEP_FROM_MEMORY);
}

size_t
uio_fill_zero(struct uio *u, size_t n)
{
	return transfer(u, NULL, n, STEP_ZERO);
}
