/*
 * Memory as core files hold it: of each area the pages that are there, whatever the program's own
 * rights. Nothing is made present but pages of files. mm/dump.c
 */
#pragma once

#include "lib/types.h"

struct area;
struct aspace;

/* Whether the area has pages that are nobody else's contents: written, or a copy of a file's page.
 * The space's lock is held. */
bool area_has_own_pages(const struct area *);

/*
 * The first address in [from, end), a part of one area, where a page may be; `end` if there is none.
 * What is left out reads as zeros. The lock is not held.
 */
vaddr_t aspace_dump_next(struct aspace *, vaddr_t from, vaddr_t end);

/* The page at `va`, which is no device's, into buf[PAGE_SIZE]. false: nothing is there, which reads as zeros. */
bool aspace_dump_page(struct aspace *, vaddr_t va, void *buf);
