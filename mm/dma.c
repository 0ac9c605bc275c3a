/*
 * DMA memory: blocks of frames. The device sees physical addresses (there is no IOMMU in
 * use), and x86 keeps caches coherent with DMA, so nothing else is needed.
 */
#include "mm/dma.h"

#include "kernel/panic.h"
#include "lib/bits.h"
#include "mm/page.h"

static unsigned
block_order(size_t size, size_t align)
{
	return log2_ceil(DIV_ROUND_UP(MAX(size, align), (size_t)PAGE_SIZE));
}

bool
dma_alloc(struct dma_buf *buf, size_t size, size_t align, unsigned addr_bits)
{
	unsigned order = block_order(size, align), flags = ALLOC_ZERO;
	uint64_t limit = addr_bits < 64 ? 1ull << addr_bits : UINT64_MAX;
	struct page *pg;

	ASSERT(size > 0 && is_power_of_2(align));
	if (order > MAX_ORDER)
		return false;
	if (limit < page_array_frames << PAGE_SHIFT)
		flags |= limit >= MIB(16) ? ALLOC_DMA32 : ALLOC_LOW;
	pg = page_alloc(order, flags);
	if (pg && page_to_phys(pg) + ((uint64_t)PAGE_SIZE << order) > limit) {
		/* Between 1 MiB and 4 GiB there is no finer zone: the lowest is left. */
		page_free(pg, order);
		pg = page_alloc(order, ALLOC_ZERO | ALLOC_LOW);
	}
	if (!pg)
		return false;
	*buf = (struct dma_buf){
	    .cpu = page_to_virt(pg), .addr = page_to_phys(pg), .size = size};
	return true;
}

void
dma_free(struct dma_buf *buf)
{
	struct page *pg;

	if (!buf->cpu)
		return;
	pg = virt_to_page(buf->cpu);
	page_free(pg, pg->order);
	*buf = (struct dma_buf){0};
}
