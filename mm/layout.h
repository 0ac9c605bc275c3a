/*
 * The upper half of every address space, one PML4 slot (512 GiB) or more for each use. The loader
 * chooses the place of the direct map and of the kernel image; the rest is fixed.
 *
 * ffff800000000000 .. ffffc00000000000  the direct map, somewhere in here
 * ffffc90000000000, 512 GiB             mapped on demand: stacks, vmalloc, ioremap (mm/kva.h)
 * ffffea0000000000, 512 GiB             the page array (mm/page.h): 32 TiB of RAM
 * ffffffff80000000, 1 GiB               the kernel image
 */
#pragma once

#define DIRECT_MAP_MIN  0xffff800000000000ull
#define DIRECT_MAP_MAX  0xffffc00000000000ull
#define KVA_BASE        0xffffc90000000000ull
#define KVA_SIZE        0x0000008000000000ull
#define PAGE_ARRAY      0xffffea0000000000ull
#define PAGE_ARRAY_SIZE 0x0000008000000000ull
