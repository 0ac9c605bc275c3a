/* No program: nothing can be copied to or from user memory. For what links mm/uio.c only. */
#include "mm/usercopy.h"

size_t
copy_from_user_partial(void *dst, const void USER *src, size_t n)
{
	return 0;
}

size_t
copy_to_user_partial(void USER *dst, const void *src, size_t n)
{
	return 0;
}

enum err
clear_user(void USER *dst, size_t n)
{
	return ERR_FAULT;
}
