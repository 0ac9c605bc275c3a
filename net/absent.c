/*
 * What stands in for parts of the stack that are not linked in: weak definitions, which give way to
 * the real ones.
 */
#include "net/resolv.h"

#define WEAK __attribute__((weak))

WEAK void
resolv_set(unsigned dev_index, enum resolv_source source, const struct resolv_info *info)
{
}
