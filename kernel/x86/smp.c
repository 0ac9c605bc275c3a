/*
 * SMP bring-up. All memory is prepared first: for each CPU its per-CPU area and its idle
 * thread, on whose stack it will arrive. Then all get INIT, all get the startup IPI, and
 * they come up in parallel; those not seen after a while get a second one. What the
 * processors of thirty years ago wanted, 10 ms after INIT, none with 64 bits needs.
 *
 * A CPU that does not come in time is abandoned by changing its slot, so that one which
 * comes late after all halts instead of running. Its memory, and the trampoline, are then
 * kept.
 */
#define LOG_PREFIX "smp: "
#include "kernel/x86/smp.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/time/clock.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/cpu_init.h"
#include "kernel/x86/smp_priv.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/pagetable.h"

enum {
	INIT_WAIT_NS = 200000,
	FIRST_WAIT_NS = 10000000, /* then a second startup IPI */
	ARRIVE_LIMIT_NS = 1000000000,
	ONLINE_LIMIT_NS = 1000000000, /* from arrival to scheduling */
};

struct ap_slot ap_slots[MAX_CPUS];
uint32_t ap_num_slots;

static uint64_t boot_cpu_tsc; /* [a] the boot CPU's TSC a moment ago */
static uint32_t num_behind;   /* [a] CPUs whose TSC was behind it */

NORETURN void
ap_main(struct ap_slot *slot)
{
	cpu_init_ap(slot->cpu);
	if (rdtsc_ordered() < __atomic_load_n(&boot_cpu_tsc, __ATOMIC_ACQUIRE))
		__atomic_fetch_add(&num_behind, 1, __ATOMIC_RELAXED);
	apic_init_cpu();
	sched_cpu_online();
}

/* Everything CPU `id` needs before it runs. False: no memory. */
static bool
prepare_cpu(const struct platform_cpu *p)
{
	unsigned id = num_cpus;
	struct cpu *c = cpu_create(id, p->apic_id, p->node);
	struct thread *idle;

	if (!c)
		return false;
	cpus[id] = c;
	__atomic_store_n(&num_cpus, id + 1, __ATOMIC_RELEASE);
	idle = sched_create_idle(c);
	if (!idle) {
		num_cpus = id;
		cpus[id] = NULL;
		cpu_destroy(c);
		return false;
	}
	ap_slots[ap_num_slots++] = (struct ap_slot){
	    .apic_id = p->apic_id,
	    .stack_top = (uint64_t)idle->stack_base + KERNEL_STACK_SIZE,
	    .cpu = c,
	};
	return true;
}

static unsigned
cpu_limit(void)
{
	uint64_t max = cmdline_u64("maxcpus", MAX_CPUS);

	if (cmdline_has("nosmp") || max == 0)
		return 1;
	return (unsigned)MIN(max, (uint64_t)MAX_CPUS);
}

static void
prepare_cpus(void)
{
	unsigned limit = cpu_limit();

	for (uint32_t i = 0; i < platform.num_cpus; i++) {
		const struct platform_cpu *p = &platform.cpus[i];

		if (p->apic_id == cpus[0]->apic_id) {
			cpus[0]->node = p->node;
			continue;
		}
		if (!p->is_enabled || num_cpus >= limit)
			continue;
		if (p->apic_id > apic_max_id()) {
			log_warn(
			    "CPU with APIC ID %u left out: it needs x2APIC", p->apic_id);
			continue;
		}
		if (!prepare_cpu(p)) {
			log_warn("no memory for CPU %u and the following", num_cpus);
			return;
		}
	}
}

/* test=absentcpu (debug kernels): one more CPU, which no machine has and which never
 * answers. */
static void
prepare_absent_cpu(void)
{
	const char *test = cmdline_get("test", 0);
	struct platform_cpu absent = {.apic_id = 200, .is_enabled = true};

	if (test && !strcmp(test, "absentcpu"))
		(void)prepare_cpu(&absent); /* no memory: the test will say so */
}

/* ---- Trampoline -------------------------------------------------------------------- */

struct trampoline {
	struct page *code; /* below 1 MiB */
	struct page *root; /* page table for it, below 4 GiB */
	paddr_t tables;    /* the address space whose lower tables `root` uses */
};

static void
trampoline_fini(struct trampoline *t)
{
	if (t->tables)
		pt_destroy(t->tables);
	if (t->root)
		page_free(t->root, 0);
	if (t->code)
		page_free(t->code, 0);
}

static void
set_field(uint8_t *page, const uint8_t *field, uint64_t v, size_t size)
{
	memcpy(page + (field - trampoline_start), &v, size);
}

/*
 * CR3 is loaded with 32 bits, so the top table must be low; the tables below it may be
 * anywhere. It is a copy of an ordinary root in which the trampoline's page is mapped to
 * itself.
 */
static bool
trampoline_init(struct trampoline *t)
{
	paddr_t pa;
	uint8_t *page;

	t->code = page_alloc(0, ALLOC_LOW);
	t->root = page_alloc(0, ALLOC_DMA32);
	t->tables = pt_create();
	if (!t->code || !t->root || !t->tables)
		return false;
	pa = page_to_phys(t->code);
	if (pt_map(t->tables, pa, pa, PAGE_SIZE, PTE_PRESENT) != OK)
		return false;
	memcpy(page_to_virt(t->root), phys_to_virt(t->tables), PAGE_SIZE);

	page = page_to_virt(t->code);
	memcpy(page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	set_field(page, trampoline_cr3, page_to_phys(t->root), 4);
	set_field(page, trampoline_gdt_base,
	    pa + (uint64_t)(trampoline_gdt - trampoline_start), 4);
	set_field(page, trampoline_far_offset,
	    pa + (uint64_t)(trampoline_long - trampoline_start), 4);
	set_field(page, trampoline_entry, (uint64_t)ap_entry, 8);
	return true;
}

/* ---- Starting ---------------------------------------------------------------------- */

static uint32_t
slot_state(const struct ap_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

static void
send_to_waiting(uint32_t icr)
{
	for (uint32_t i = 0; i < ap_num_slots; i++)
		if (slot_state(&ap_slots[i]) == AP_WAITING)
			apic_send(ap_slots[i].apic_id, icr | ICR_ASSERT);
}

static bool
have_all_arrived(void)
{
	__atomic_store_n(&boot_cpu_tsc, rdtsc_ordered(), __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < ap_num_slots; i++)
		if (slot_state(&ap_slots[i]) == AP_WAITING)
			return false;
	return true;
}

static bool
are_arrived_online(void)
{
	__atomic_store_n(&boot_cpu_tsc, rdtsc_ordered(), __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < ap_num_slots; i++)
		if (slot_state(&ap_slots[i]) == AP_ARRIVED &&
		    !__atomic_load_n(&ap_slots[i].cpu->is_online, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

/* Returns how many never came. */
static unsigned
abandon_missing(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < ap_num_slots; i++) {
		struct ap_slot *s = &ap_slots[i];
		uint32_t expected = AP_WAITING;

		if (!__atomic_compare_exchange_n(&s->state, &expected, AP_ABANDONED,
		        false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			continue;
		n++;
		log_warn("CPU %u (APIC ID %u) does not answer: going on without it",
		    s->cpu->id, s->apic_id);
	}
	return n;
}

/* Returns how many CPUs never came. */
static unsigned
wake_all(paddr_t code)
{
	uint32_t startup = ICR_STARTUP | (uint32_t)(code >> PAGE_SHIFT);
	unsigned missing = 0;

	send_to_waiting(ICR_INIT);
	delay_ns(INIT_WAIT_NS);
	send_to_waiting(startup);
	if (!poll_until(have_all_arrived(), FIRST_WAIT_NS)) {
		send_to_waiting(startup);
		if (!poll_until(have_all_arrived(), ARRIVE_LIMIT_NS))
			missing = abandon_missing();
	}
	if (!poll_until(are_arrived_online(), ONLINE_LIMIT_NS))
		log_warn("a CPU arrived but does not come online");
	return missing;
}

static unsigned
count_online(void)
{
	struct cpu *c;
	unsigned n = 0;

	for_each_online_cpu(c)
		n++;
	return n;
}

void
smp_start(void)
{
	struct trampoline t = {.code = NULL};
	nsec_t begin = clock_now_ns();

	prepare_cpus();
	if (CONFIG_DEBUG)
		prepare_absent_cpu();
	if (ap_num_slots) {
		if (!trampoline_init(&t)) {
			log_warn("no low memory to start other CPUs from");
			trampoline_fini(&t);
		} else if (!wake_all(page_to_phys(t.code))) {
			trampoline_fini(&t);
		}
	}
	if (num_behind)
		log_warn("%u CPUs have a TSC behind the boot CPU's", num_behind);
	log_info("%u of %u CPUs online in %llu us", count_online(),
	    MAX(platform.num_cpus, 1u),
	    (unsigned long long)((clock_now_ns() - begin) / NSEC_PER_USEC));
}
