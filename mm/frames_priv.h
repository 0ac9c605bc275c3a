/* Between frames.c (the allocator) and frames_boot.c (what memory there is). */
#pragma once

#include "mm/page.h"

/* A section is the unit of the page array: one block of the largest order. */
enum {
	SECTION_FRAMES = 1 << MAX_ORDER,
	SECTION_SHIFT = PAGE_SHIFT + MAX_ORDER,
};

enum zone_id { ZONE_LOW, ZONE_DMA32, ZONE_NORMAL, NUM_ZONES };

/* Nothing is free yet. */
void zones_init(void);

/* Sets up the struct pages of a section as reserved. `first` is its first frame. */
void section_reserve(uint64_t first);

/* Frees a whole section, its struct pages to be set up when it is first split. */
void section_free_raw(uint64_t first);

/* Frees reserved frames [first, end) of set-up sections. */
void frames_release(uint64_t first, uint64_t end);

/* Computes the reserves from what has been freed. */
void zones_set_reserve(void);

/* The NUMA node of a frame, 0 when nothing is known. */
unsigned frame_node(uint64_t frame);
