/*
 * mm/tlb.c: which loads and flushes reach the processor. LINK: mm/tlb.c
 * tests/fakes/frames.c tests/fakes/cpu.c tests/fakes/percpu.c tests/fakes/spinlock.c
 * tests/fakes/panic.c lib/string.c
 */
#include "mm/tlb.h"

#include "kernel/x86/cpu.h"
#include "mm/aspace.h"
#include "mm/page.h"
#include "tests/unit/ktest.h"

#define NO_FLUSH (1ull << 63)

paddr_t kernel_page_table = 0x1000;

static void
setup(struct aspace *as, unsigned num, bool has_pcid)
{
	fake_cr4 = CR4_PGE | (has_pcid ? CR4_PCIDE : 0);
	for (unsigned i = 0; i < num; i++) {
		as[i] = (struct aspace){.page_table = (i + 2) * 0x1000ull};
		tlb_context_init(&as[i].tlb);
	}
}

static void
flush(struct aspace *as, vaddr_t start, vaddr_t end)
{
	struct tlb_batch b;

	tlb_batch_begin(&b, as);
	tlb_batch_range(&b, start, end);
	tlb_batch_end(&b);
}

KTEST(tlb_load_without_pcid_writes_the_plain_root)
{
	struct aspace as[2];

	setup(as, 2, false);
	tlb_load(&as[0]);
	CHECK_EQ(fake_cr3, as[0].page_table);
	CHECK(cpumask_test(&as[0].cpus, 0));
	tlb_load(&as[1]);
	CHECK_EQ(fake_cr3, as[1].page_table);
	CHECK(!cpumask_test(&as[0].cpus, 0) && cpumask_test(&as[1].cpus, 0));
	tlb_load(NULL);
	CHECK_EQ(fake_cr3, kernel_page_table);
	CHECK(cpumask_is_empty(&as[1].cpus));
}

KTEST(tlb_load_of_the_loaded_space_does_nothing)
{
	struct aspace as[1];
	unsigned before;

	setup(as, 1, false);
	tlb_load(&as[0]);
	before = fake_cr3_writes;
	tlb_load(&as[0]);
	CHECK_EQ(fake_cr3_writes, before);
	tlb_load(NULL);
}

KTEST(tlb_pcid_keeps_translations_that_are_up_to_date)
{
	struct aspace as[2];
	uint64_t pcid;

	setup(as, 2, true);
	tlb_load(&as[0]);
	CHECK(!(fake_cr3 & NO_FLUSH)); /* new */
	pcid = fake_cr3 & 0xfff;
	CHECK(pcid > 0);
	tlb_load(&as[1]);
	CHECK((fake_cr3 & 0xfff) != pcid);
	tlb_load(&as[0]);
	CHECK_EQ(fake_cr3, (as[0].page_table | pcid | NO_FLUSH));
	tlb_load(&as[1]);
	flush(&as[0], 0x1000, 0x2000); /* while it is not loaded here */
	tlb_load(&as[0]);
	CHECK_EQ(fake_cr3, (as[0].page_table | pcid));
	tlb_load(NULL);
	CHECK_EQ(fake_cr3, (kernel_page_table | NO_FLUSH));
}

KTEST(tlb_pcid_slots_are_taken_over_with_a_flush)
{
	struct aspace as[12];

	setup(as, 12, true);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 12; i++) {
			tlb_load(&as[i]); /* more than there are slots: all are new each
			                     time */
			CHECK(!(fake_cr3 & NO_FLUSH));
			CHECK_EQ(fake_cr3 & ~0xfffull, as[i].page_table);
		}
	tlb_load(NULL);
}

KTEST(tlb_small_flush_is_page_by_page_and_large_is_whole)
{
	struct aspace as[1];
	unsigned pages, loads;

	setup(as, 1, false);
	tlb_load(&as[0]);
	pages = fake_invlpg_count;
	loads = fake_cr3_writes;
	flush(&as[0], 0x5010, 0x7001);
	CHECK_EQ(fake_invlpg_count, pages + 3);
	CHECK_EQ(fake_invlpg_last, 0x7000);
	CHECK_EQ(fake_cr3_writes, loads);
	flush(&as[0], 0, MIB(1));
	CHECK_EQ(fake_invlpg_count, pages + 3);
	CHECK_EQ(fake_cr3_writes, loads + 1);
	CHECK_EQ(fake_cr3, as[0].page_table);
	tlb_load(NULL);
}

KTEST(tlb_flush_of_another_space_touches_nothing_here)
{
	struct aspace as[2];
	unsigned pages;

	setup(as, 2, false);
	tlb_load(&as[0]);
	pages = fake_invlpg_count;
	flush(&as[1], 0, 0x1000);
	CHECK_EQ(fake_invlpg_count, pages);
	flush(&as[0], 0x1000, 0x1000); /* nothing in it */
	CHECK_EQ(fake_invlpg_count, pages);
	tlb_load(NULL);
}

KTEST(tlb_batch_puts_pages_after_the_flush)
{
	struct aspace as[1];
	struct tlb_batch b;
	static struct page pages[TLB_BATCH_PAGES + 1];
	unsigned before;

	setup(as, 1, false);
	tlb_load(&as[0]);
	tlb_batch_begin(&b, &as[0]);
	before = fake_invlpg_count;
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i].refs = 2;
		tlb_batch_range(&b, 0x1000, 0x2000);
		tlb_batch_page(&b, &pages[i]);
		/* The first are put when the batch is full, after a flush. */
		CHECK_EQ(pages[0].refs, i < TLB_BATCH_PAGES ? 2 : 1);
		CHECK_EQ(fake_invlpg_count, before + (i == TLB_BATCH_PAGES));
	}
	tlb_batch_end(&b);
	CHECK_EQ(pages[TLB_BATCH_PAGES].refs, 1);
	tlb_load(NULL);
}

KTEST(tlb_unload_leaves_the_space)
{
	struct aspace as[2];

	setup(as, 2, true);
	tlb_load(&as[0]);
	tlb_unload(&as[1]);
	CHECK_EQ(fake_cr3 & ~0x8000000000000fffull, as[0].page_table);
	tlb_unload(&as[0]);
	CHECK_EQ(fake_cr3 & ~NO_FLUSH, kernel_page_table);
	CHECK(cpumask_is_empty(&as[0].cpus));
}

KTEST(tlb_kernel_flush_reaches_global_entries)
{
	unsigned writes = fake_cr4_writes, pages = fake_invlpg_count;

	fake_cr4 = CR4_PGE;
	tlb_flush_kernel(0xffffc90000000000, 0xffffc90000002000);
	CHECK_EQ(fake_invlpg_count, pages + 2);
	tlb_flush_kernel(0xffffc90000000000, 0xffffc90000100000);
	CHECK_EQ(fake_cr4_writes, writes + 2);
	CHECK_EQ(fake_cr4, CR4_PGE);
}

KTEST(tlb_kernel_flush_with_pcid_is_always_whole)
{
	unsigned writes = fake_cr4_writes, pages = fake_invlpg_count;

	fake_cr4 = CR4_PGE | CR4_PCIDE;
	tlb_flush_kernel(0xffffc90000000000, 0xffffc90000001000);
	CHECK_EQ(fake_invlpg_count, pages);
	CHECK_EQ(fake_cr4_writes, writes + 2);
	CHECK_EQ(fake_cr4, (CR4_PGE | CR4_PCIDE));
}

KTEST(tlb_kernel_flush_without_global_pages_loads_the_table_again)
{
	unsigned loads = fake_cr3_writes;

	fake_cr3 = kernel_page_table;
	fake_cr4 = 0;
	tlb_flush_kernel(0xffffc90000000000, 0xffffc90000100000);
	CHECK_EQ(fake_cr3_writes, loads + 1);
	CHECK_EQ(fake_cr3, kernel_page_table);
	CHECK_EQ(fake_cr4, 0);
}

KTEST(tlb_enable_pcid_begins_with_pcid_0)
{
	unsigned faults = fake_faults;

	fake_cr4 = CR4_PGE;
	fake_cr3 = kernel_page_table | 0x18; /* cache bits, as firmware may leave them */
	tlb_enable_pcid();
	CHECK_EQ(fake_faults, faults);
	CHECK_EQ(fake_cr3, kernel_page_table);
	CHECK_EQ(fake_cr4, (CR4_PGE | CR4_PCIDE));
}

/* What the TLB may hold of each PCID: translations of this space at this flush. */
struct held {
	uint64_t id, gen;
};

static void
check_load(const struct aspace *as, struct held *held)
{
	struct held now = {as->tlb.id, as->tlb.gen};
	unsigned pcid = fake_cr3 & 0xfff;

	CHECK(pcid > 0 && pcid < 8);
	CHECK_EQ(fake_cr3 & 0x000ffffffffff000, as->page_table);
	if (fake_cr3 & NO_FLUSH) {
		CHECK_EQ(held[pcid].id, now.id);
		CHECK_EQ(held[pcid].gen, now.gen);
	}
	held[pcid] = now;
}

static void
check_flush(struct aspace *as, struct held *held, bool is_loaded, unsigned pages)
{
	unsigned before = fake_invlpg_count + fake_cr3_writes;

	flush(as, 0x1000, 0x1000 + pages * 0x1000ull);
	if (!is_loaded) {
		CHECK_EQ(fake_invlpg_count + fake_cr3_writes, before);
		return;
	}
	CHECK_EQ(fake_invlpg_count + fake_cr3_writes, before + (pages > 32 ? 1 : pages));
	CHECK(!(fake_cr3 & NO_FLUSH) || pages <= 32);
	held[fake_cr3 & 0xfff].gen = as->tlb.gen;
}

KTEST(tlb_pcid_never_keeps_what_is_stale)
{
	enum { SPACES = 9, STEPS = 20000 };
	struct aspace as[SPACES];
	struct held held[8] = {{0}};
	unsigned loaded = SPACES, faults = fake_faults, kept = 0;
	uint32_t random = 1;

	setup(as, SPACES, true);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i, what;

		random = random * 1664525 + 1013904223;
		i = (random >> 16) % SPACES;
		what = (random >> 8 & 0xff) % 16;
		if (what < 10) {
			tlb_load(&as[i % 4 ? i % 5 : i]);
			if (loaded != (i % 4 ? i % 5 : i)) {
				loaded = i % 4 ? i % 5 : i;
				kept += fake_cr3 >> 63;
				check_load(&as[loaded], held);
			}
		} else if (what < 13) {
			check_flush(&as[i], held, i == loaded, what == 12 ? 40 : 3);
		} else if (what == 13) {
			tlb_load(NULL);
			loaded = SPACES;
			CHECK_EQ(fake_cr3 & ~NO_FLUSH, kernel_page_table);
		} else if (what == 14) {
			/* The space dies; another gets its memory and its table. */
			tlb_unload(&as[i]);
			loaded = i == loaded ? SPACES : loaded;
			CHECK(cpumask_is_empty(&as[i].cpus));
			tlb_context_init(&as[i].tlb);
		}
	}
	tlb_load(NULL);
	CHECK(kept > STEPS / 20);
	CHECK_EQ(fake_faults, faults);
}
