/* Futexes, as other parts of the kernel use them. The current address space is meant. */
#pragma once

#include "lib/types.h"

void futex_init(void);

/* Wakes up to `n` waiters on `addr`; a bad address wakes nobody. */
void futex_wake_address(uint32_t USER *addr, unsigned n);

/*
 * The exiting thread's robust list (set_robust_list): each lock it owns is marked
 * FUTEX_OWNER_DIED and one waiter woken. The list is user memory: a broken one ends the
 * walk.
 */
void futex_release_robust_list(void USER *head);
