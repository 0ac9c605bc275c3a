/*
 * A machine's memory for tests that run the real frame allocator: `size` bytes of
 * physical space from mmap, of which only what is touched costs anything, and a page
 * array.
 */
#pragma once

#include "kernel/boot.h"

/*
 * Sets up everything and runs frames_init on `map` (sorted). The page array starts out
 * full of garbage where the size is below 1 GiB. Call fake_ram_free at the end of the
 * test.
 */
void fake_ram_init(const struct boot_mem *map, unsigned len, uint64_t size);
void fake_ram_init_simple(uint64_t size); /* a map such as QEMU's */
void fake_ram_free(void);

/* After pt_init_kernel: the fake page array lies in the lower half, which that does not
 * copy. */
void fake_ram_keep_page_array(void);

extern const char *fake_mem_option; /* what mem= says, or NULL */
