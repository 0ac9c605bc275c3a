/* mm/uio.c: pieces, short ends, faults. LINK: mm/uio.c lib/string.c */
#include "lib/string.h"
#include "mm/uio.h"
#include "mm/usercopy.h"
#include "tests/unit/ktest.h"

/* User memory is an array whose second half faults. */
static char user[64];
static const size_t user_good = 32;

static size_t
reachable(const void USER *p, size_t n)
{
	size_t off = (size_t)((const char *)(uintptr_t)p - user);

	return off >= user_good ? 0 : MIN(n, user_good - off);
}

size_t
copy_from_user_partial(void *dst, const void USER *src, size_t n)
{
	n = reachable(src, n);
	memcpy(dst, (const void *)(uintptr_t)src, n);
	return n;
}

size_t
copy_to_user_partial(void USER *dst, const void *src, size_t n)
{
	n = reachable(dst, n);
	memcpy((void *)(uintptr_t)dst, src, n);
	return n;
}

enum err
clear_user(void USER *dst, size_t n)
{
	if (reachable(dst, n) < n)
		return ERR_FAULT;
	memset((void *)(uintptr_t)dst, 0, n);
	return OK;
}

KTEST(uio_kernel_copy_stops_at_the_end)
{
	char buf[10];
	struct uio u;

	uio_init_kernel(&u, buf, sizeof(buf), false);
	CHECK_EQ(uio_copy_to(&u, "abcd", 4), 4);
	CHECK_EQ(uio_fill_zero(&u, 2), 2);
	CHECK_EQ(uio_copy_to(&u, "efghij", 6), 4);
	CHECK_EQ(u.resid, 0);
	CHECK_EQ(uio_copy_to(&u, "x", 1), 0);
	CHECK(!memcmp(buf, "abcd\0\0efgh", 10));
}

KTEST(uio_walks_pieces_also_empty_ones)
{
	struct iovec iov[] = {
	    {(void USER *)user, 3},
	    {NULL, 0},
	    {(void USER *)(user + 10), 2},
	    {(void USER *)(user + 20), 4},
	};
	struct uio u;
	char back[9];

	uio_init_vector(&u, iov, 4, false);
	CHECK_EQ(u.resid, 9);
	CHECK_EQ(uio_copy_to(&u, "ABCDEFGHI", 9), 9);
	CHECK(!memcmp(user, "ABC", 3) && !memcmp(user + 10, "DE", 2) &&
	      !memcmp(user + 20, "FGHI", 4));
	uio_init_vector(&u, iov, 4, true);
	for (int i = 0; i < 9; i++)
		CHECK_EQ(uio_copy_from(&u, &back[i], 1), 1);
	CHECK(!memcmp(back, "ABCDEFGHI", 9));
}

KTEST(uio_fault_ends_short)
{
	struct uio u;
	char buf[16] = {0};

	uio_init_user(&u, (void USER *)(user + 28), 16, true);
	CHECK_EQ(uio_copy_from(&u, buf, 16), 4);
	CHECK_EQ(u.resid, 12);
	CHECK_EQ(uio_copy_from(&u, buf, 12), 0);
}
