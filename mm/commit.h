/*
 * Overcommit: how much memory has been promised to programs, and whether more may be
 * (proc(5), /proc/sys/vm/overcommit_memory). Promised are the pages of areas with
 * AREA_ACCOUNT (private and writable, stacks), which mm/area.c counts as areas come, change
 * and go; shared anonymous memory by its size; pages of tmpfs as they are made. The count is
 * per CPU (MEM_COMMITTED), so nothing is shared on the way; only the mode OVERCOMMIT_NEVER
 * needs their sum.
 *
 * Between the question and the counting others may be promised memory as well: in the strict
 * mode the limit may be missed by what calls at the same moment ask for.
 */
#pragma once

#include "lib/types.h"

struct aspace;

enum { OVERCOMMIT_GUESS, OVERCOMMIT_ALWAYS, OVERCOMMIT_NEVER };

/* [a] As in /proc/sys/vm, by mm/sysctl.c. */
extern uint64_t overcommit_memory, overcommit_ratio, overcommit_kbytes,
    user_reserve_kbytes, admin_reserve_kbytes;

void commit_init(void); /* the reserves, by the memory that is free */

/* Whether `pages` more may be promised to `as` (NULL: to none in particular). */
bool commit_allows(const struct aspace *as, uint64_t pages);

uint64_t commit_limit(void); /* pages that OVERCOMMIT_NEVER promises in all */
