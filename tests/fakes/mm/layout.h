/* Shadows mm/layout.h: on the host the direct map and the page array lie where mmap put
 * them. */
#pragma once

#include "lib/types.h"

#define DIRECT_MAP_MIN  0ull
#define DIRECT_MAP_MAX  ~0ull
#define KVA_BASE        0xffffc90000000000ull
#define KVA_SIZE        0x0000008000000000ull
#define PAGE_ARRAY      fake_page_array
#define PAGE_ARRAY_SIZE 0x0000008000000000ull

extern vaddr_t fake_page_array;
