/*
 * The kernel's side of the vDSO: two pages made at boot, the same frames in every
 * program. The code is a copy of the image in the kernel, the data page is written here
 * and read there.
 */
#include "kernel/vdso/vdso.h"

#include "kernel/panic.h"
#include "kernel/x86/features.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/page.h"

extern const uint8_t vdso_image[], vdso_image_end[]; /* image.asm */

static struct vdso_data *data;
static paddr_t code_page, data_page;

void
vdso_init(void)
{
	size_t size = (size_t)(vdso_image_end - vdso_image);
	struct page *code = page_alloc(0, ALLOC_ZERO),
	            *variables = page_alloc(0, ALLOC_ZERO);

	/* The image has section headers behind its page, which nobody maps. */
	ASSERT(code && variables);
	memcpy(page_to_virt(code), vdso_image, MIN(size, (size_t)PAGE_SIZE));
	code_page = page_to_phys(code);
	data_page = page_to_phys(variables);
	data = page_to_virt(variables);
	data->has_rdtscp = cpu_features.has_rdtscp;
}

static void
change_begin(void)
{
	__atomic_store_n(&data->generation, data->generation + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void
change_end(void)
{
	__atomic_store_n(&data->generation, data->generation + 1, __ATOMIC_RELEASE);
}

void
vdso_set_clock(uint64_t base_tsc, nsec_t base_ns, uint64_t ns_mult)
{
	if (!data)
		return;
	change_begin();
	data->base_tsc = base_tsc;
	data->base_ns = base_ns;
	data->ns_mult = ns_mult;
	change_end();
}

void
vdso_set_wall(int64_t wall_offset_ns)
{
	if (data) /* one word: it cannot be torn */
		__atomic_store_n(&data->wall_offset_ns, wall_offset_ns, __ATOMIC_RELAXED);
}

enum err
vdso_map(struct aspace *as, vaddr_t *base)
{
	const struct kernel_page pages[] = {
	    {code_page, AREA_READ | AREA_EXEC},
	    {data_page, AREA_READ},
	};

	return aspace_map_kernel_pages(as, pages, ARRAY_SIZE(pages), base);
}
