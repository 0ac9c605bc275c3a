/* TLB flushes on the host: counted; pages of a batch are put when it is flushed. */
#include "mm/tlb.h"

#include "mm/page.h"
#include "tests/fakes/fakes.h"

unsigned fake_tlb_flushes;

void
tlb_context_init(struct tlb_context *c)
{
	c->gen = 1;
}

void
tlb_load(struct aspace *as)
{
}

void
tlb_unload(struct aspace *as)
{
}

static void
flush(struct tlb_batch *b)
{
	fake_tlb_flushes += b->start < b->end;
	while (b->num_pages)
		page_put(b->pages[--b->num_pages]);
	b->start = ~0ull;
	b->end = 0;
}

void
tlb_batch_begin(struct tlb_batch *b, struct aspace *as)
{
	b->aspace = as;
	b->num_pages = 0;
	b->start = ~0ull;
	b->end = 0;
}

void
tlb_batch_range(struct tlb_batch *b, vaddr_t start, vaddr_t end)
{
	b->start = MIN(b->start, start);
	b->end = MAX(b->end, end);
}

void
tlb_batch_page(struct tlb_batch *b, struct page *pg)
{
	if (b->num_pages == TLB_BATCH_PAGES)
		flush(b);
	b->pages[b->num_pages++] = pg;
}

void
tlb_batch_end(struct tlb_batch *b)
{
	flush(b);
}
