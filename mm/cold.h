/* madvise's MADV_COLD and MADV_PAGEOUT: memory that is not needed soon. mm/cold.c */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct aspace;

/*
 * Pages of files in [start, end) become the next to be taken back; with `is_out` they and
 * what may be freed are taken back at once, as far as nobody else uses them. Anonymous memory
 * stays: there is nowhere to put it. As madvise: ERR_NOMEM where there were gaps, ERR_INVAL for
 * locked memory.
 */
enum err range_make_cold(struct aspace *, vaddr_t start, vaddr_t end, bool is_out);
