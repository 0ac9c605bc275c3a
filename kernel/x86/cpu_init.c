/* Bring-up of a processor and its per-CPU area; see cpu_init.h. */
#include "kernel/x86/cpu_init.h"

#include "kernel/sched/thread.h"
#include "kernel/x86/context.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/descriptors.h"
#include "kernel/x86/features.h"
#include "kernel/x86/topology.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/mce.h"
#include "kernel/x86/percpu.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/kva.h"
#include "mm/page.h"
#include "mm/pagetable.h"
#include "mm/tlb.h"

struct cpu *cpus[MAX_CPUS];
unsigned num_cpus;

PER_CPU(struct cpu, cpu_data);

extern const uint8_t percpu_start[], percpu_end[]; /* kernel.ld: the pristine section */
extern uint8_t percpu_boot[];                      /* and the boot CPU's copy */
extern const uint8_t syscall_entry[];              /* syscall.asm */

static uint8_t boot_ist_stacks[IST_STACKS][IST_STACK_SIZE] ALIGNED(4096);

static size_t
percpu_size(void)
{
	return (size_t)(percpu_end - percpu_start);
}

static unsigned
percpu_order(void)
{
	return log2_ceil(DIV_ROUND_UP(percpu_size(), PAGE_SIZE));
}

/* Makes a per-CPU area out of `area`, and the struct cpu in it. */
static struct cpu *
area_init(uint8_t *area, unsigned id)
{
	uint64_t offset = (uint64_t)area - (uint64_t)percpu_start;
	struct cpu *c = per_cpu_at_(&cpu_data, offset);

	memcpy(area, percpu_start, percpu_size());
	c->self = c;
	c->percpu_offset = offset;
	c->id = id;
	return c;
}

/*
 * SYSCALL: where it goes and with which selectors and flags (SDM vol. 3, 5.8.8). A null
 * selector closes the door of SYSENTER (5.8.7), which firmware may have left open.
 */
static void
syscall_setup(void)
{
	wrmsr(MSR_STAR, (uint64_t)USER32_CS << 48 | (uint64_t)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_CSTAR, 0);
	wrmsr(MSR_SYSENTER_CS, 0);
	wrmsr(MSR_SFMASK, RFLAGS_IF | RFLAGS_DF | RFLAGS_TF | RFLAGS_AC | RFLAGS_NT |
	                      RFLAGS_IOPL | RFLAGS_RF);
}

/* What every CPU does for itself once its area and descriptor tables exist. */
static void
load_cpu(struct cpu *c)
{
	descriptors_load(c);
	features_enable();
	if (cpu_features.has_rdtscp) /* for getcpu in kernel/vdso */
		wrmsr(MSR_TSC_AUX, c->id | (uint64_t)c->node << 12);
	syscall_setup();
	fpu_init_cpu();
	mce_init_cpu();
}

void
cpu_init_boot(void)
{
	struct cpu *c = area_init(percpu_boot, 0);
	uint8_t *stacks[IST_STACKS];

	for (unsigned i = 0; i < IST_STACKS; i++)
		stacks[i] = boot_ist_stacks[i];
	features_detect();
	topology_detect();
	idt_build();
	descriptors_init(c, stacks);
	load_cpu(c);
	descriptors_set_kernel_stack((uint64_t)boot_stack + KERNEL_STACK_SIZE);
	c->is_online = true;
	cpus[0] = c;
	num_cpus = 1;
}

void
cpu_guard_boot_stack(void)
{
	vaddr_t guard = (vaddr_t)boot_stack - PAGE_SIZE;

	pt_unmap(kernel_page_table, guard, PAGE_SIZE);
	invlpg(guard); /* no other CPU has run yet */
}

bool
cpu_boot_stack_guard_hit(vaddr_t addr)
{
	return addr < (vaddr_t)boot_stack && (vaddr_t)boot_stack - addr <= PAGE_SIZE;
}

void
cpu_destroy(struct cpu *c)
{
	for (unsigned i = 1; i <= IST_STACKS; i++)
		stack_free(descriptors_ist_stack(c, i), IST_STACK_SIZE);
	page_free(virt_to_page((void *)((uintptr_t)percpu_start + c->percpu_offset)),
	    percpu_order());
}

struct cpu *
cpu_create(unsigned id, uint32_t apic_id, uint32_t node)
{
	struct page *area = page_alloc(percpu_order(), ALLOC_NORMAL);
	uint8_t *stacks[IST_STACKS];
	struct cpu *c;

	if (!area)
		return NULL;
	c = area_init(page_to_virt(area), id);
	c->apic_id = apic_id;
	c->node = node;
	for (unsigned i = 0; i < IST_STACKS; i++) {
		stacks[i] = stack_alloc(IST_STACK_SIZE);
		if (!stacks[i]) {
			while (i-- > 0)
				stack_free(stacks[i], IST_STACK_SIZE);
			page_free(area, percpu_order());
			return NULL;
		}
	}
	descriptors_init(c, stacks);
	return c;
}

void
cpu_enable_pcid(void)
{
	if (features_want_pcid())
		tlb_enable_pcid();
}

void
cpu_init_ap(struct cpu *c)
{
	load_cpu(c);
	cpu_enable_pcid();
}
