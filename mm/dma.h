/* Memory that devices read and write. Coherent on x86. */
#pragma once

#include "lib/types.h"

struct dma_buf {
	void *cpu;     /* where the CPU sees it */
	uint64_t addr; /* where the device sees it */
	size_t size;
};

/* Physically contiguous, zeroed, aligned to `align` (power of two), below 2^addr_bits. */
bool dma_alloc(struct dma_buf *, size_t size, size_t align, unsigned addr_bits);
void dma_free(struct dma_buf *);
