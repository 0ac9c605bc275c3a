/* The sleeping locks the current thread holds, in debug builds: mutex.c and rwsem.c. */
#pragma once

#include "kernel/sync/lock_rank.h"
#include "lib/types.h"

/*
 * Notes that the current thread takes `lock`; called before it waits for it. Panics if
 * the order of ranks is broken. `is_pair`: it may have the rank of the last one.
 */
void held_push(const void *lock, const char *name, enum lock_rank rank,
    const void *caller, bool is_pair);
void held_pop(const void *lock, const char *name); /* panics if it is not held */
