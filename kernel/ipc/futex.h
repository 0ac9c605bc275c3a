/* Futexes, as other parts of the kernel use them. The current address space is meant. */
#pragma once

#include "lib/types.h"

void futex_init(void);

/* Wakes up to `n` waiters on `addr`; a bad address wakes nobody. */
void futex_wake_address(uint32_t USER *addr, unsigned n);

/*
 * The current thread gives up its address space: each lock on its robust list
 * (set_robust_list) is marked FUTEX_OWNER_DIED and one waiter woken; each lock with
 * priority inheritance for which others wait goes to the first of them. The list is user
 * memory: a broken one ends the walk. `ends`: the thread itself ends.
 */
void futex_release_all(bool ends);
