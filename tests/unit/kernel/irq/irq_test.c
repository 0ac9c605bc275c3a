/*
 * kernel/irq/irq.c with controllers that only remember what they were told. LINK:
 * kernel/irq/irq.c kernel/irq/msi.c kernel/irq/vectors.c kernel/platform.c lib/string.c
 * tests/fakes/percpu.c tests/fakes/panic.c tests/fakes/spinlock.c tests/fakes/rcu.c
 * tests/fakes/kmalloc.c
 */
#include "kernel/irq/irq.h"

#include "kernel/cmdline.h"
#include "kernel/irq/vectors.h"
#include "kernel/platform.h"
#include "kernel/time/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/ioapic.h"
#include "kernel/random.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/pic.h"
#include "kernel/x86/trap.h"
#include "lib/string.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* ---- The machine ---- */

enum { INPUTS = 24 };

static struct {
	unsigned vector, flags;
	bool is_masked;
} input[INPUTS];

static bool pic_masked[16], pic_in_service[16], has_noapic;
static unsigned num_ioapics, num_eoi, num_pic_eoi, last_pic_eoi, num_timer, num_calls;

void
random_add_event(uint64_t value)
{
}

unsigned
ioapic_init(void)
{
	for (unsigned i = 0; i < INPUTS; i++)
		input[i].is_masked = true;
	return num_ioapics;
}

bool
ioapic_has(unsigned gsi)
{
	return gsi < INPUTS;
}

void
ioapic_route(unsigned gsi, unsigned vector, uint32_t dest_apic_id, unsigned flags)
{
	input[gsi].vector = vector;
	input[gsi].flags = flags;
}

void
ioapic_set_mask(unsigned gsi, bool is_masked)
{
	input[gsi].is_masked = is_masked;
}

void
pic_init(void)
{
	memset(pic_masked, true, sizeof(pic_masked));
}

void
pic_set_mask(unsigned isa, bool is_masked)
{
	pic_masked[isa] = is_masked;
}

void
pic_eoi(unsigned isa)
{
	num_pic_eoi++;
	last_pic_eoi = isa;
}

bool
pic_is_in_service(unsigned isa)
{
	return pic_in_service[isa];
}

bool
apic_init(void)
{
	return true;
}

bool
apic_is_x2apic(void)
{
	return false;
}

void
apic_enable_extint(bool on)
{
}

void
apic_eoi(void)
{
	num_eoi++;
}

void
apic_error_interrupt(void)
{
}

void
timer_interrupt(void)
{
	num_timer++;
}

void
ipi_call_interrupt(void)
{
	num_calls++;
}

bool
cmdline_has(const char *name)
{
	return has_noapic && !strcmp(name, "noapic");
}

static void
start(unsigned ioapics)
{
	platform_set_defaults(&platform);
	num_ioapics = ioapics;
	has_noapic = false;
	fake_log_is_quiet = true;
	irq_init();
	num_eoi = num_pic_eoi = num_timer = num_calls = 0;
	irq_spurious = irq_unhandled = 0;
}

static void
raise(unsigned vector)
{
	struct trap_frame f = {.vector = vector};

	irq_dispatch(&f);
}

struct device {
	enum irq_result says;
	unsigned num_calls;
};

static enum irq_result
handle(void *arg)
{
	struct device *d = arg;

	d->num_calls++;
	return d->says;
}

/* ---- Tests ---- */

KTEST(irq_reaches_its_handler_and_is_acknowledged)
{
	struct device d = {IRQ_HANDLED, 0};
	struct irq *irq;

	start(1);
	CHECK_EQ(
	    irq_request_gsi(11, IRQ_LEVEL | IRQ_ACTIVE_LOW, "d", handle, &d, &irq), OK);
	CHECK(!input[11].is_masked);
	CHECK_EQ(input[11].flags, IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW);
	raise(input[11].vector);
	CHECK(d.num_calls == 1 && num_eoi == 1 && irq_unhandled == 0);
	irq_release(irq);
	CHECK(input[11].is_masked);
	raise(input[11].vector); /* it was under way */
	CHECK(d.num_calls == 1 && num_eoi == 2 && irq_unhandled == 1);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(irq_shared_line_calls_all_and_lives_until_the_last_is_gone)
{
	struct device a = {IRQ_NONE, 0}, b = {IRQ_HANDLED, 0};
	struct irq *ia, *ib, *ic;
	unsigned flags = IRQ_LEVEL | IRQ_SHARED;

	start(1);
	CHECK_EQ(irq_request_gsi(16, flags, "a", handle, &a, &ia), OK);
	CHECK_EQ(irq_request_gsi(16, flags, "b", handle, &b, &ib), OK);
	CHECK_EQ(irq_request_gsi(16, IRQ_LEVEL, "c", handle, &b, &ic), ERR_BUSY);
	CHECK_EQ(irq_request_gsi(16, IRQ_SHARED, "c", handle, &b, &ic), ERR_BUSY);
	raise(input[16].vector);
	CHECK(a.num_calls == 1 && b.num_calls == 1 && num_eoi == 1);
	irq_release(ia);
	CHECK(!input[16].is_masked);
	raise(input[16].vector);
	CHECK(a.num_calls == 1 && b.num_calls == 2);
	irq_release(ib);
	CHECK(input[16].is_masked);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(irq_isa_lines_follow_the_madts_overrides)
{
	struct device d = {IRQ_HANDLED, 0};
	struct irq *timer, *sci, *serial;

	start(1);
	platform.num_overrides = 2;
	platform.overrides[0] = (struct platform_override){.isa = 0, .gsi = 2};
	platform.overrides[1] = (struct platform_override){
	    .isa = 9, .gsi = 20, .flags = INTI_TRIGGER_LEVEL | INTI_POLARITY_LOW};
	CHECK_EQ(irq_request_isa(0, "timer", handle, &d, &timer), OK);
	CHECK_EQ(irq_request_isa(9, "sci", handle, &d, &sci), OK);
	CHECK_EQ(irq_request_isa(4, "serial", handle, &d, &serial), OK);
	CHECK(!input[2].is_masked && input[0].is_masked && input[2].flags == 0);
	CHECK(!input[20].is_masked &&
	      input[20].flags == (IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW));
	CHECK(!input[4].is_masked && input[4].flags == 0);
	irq_release(timer);
	irq_release(sci);
	irq_release(serial);
}

KTEST(irq_level_line_that_nobody_claims_is_switched_off)
{
	struct device d = {IRQ_NONE, 0};
	struct irq *irq;

	start(1);
	CHECK_EQ(irq_request_gsi(5, IRQ_LEVEL, "mad", handle, &d, &irq), OK);
	for (unsigned i = 0; i < 9999; i++)
		raise(input[5].vector);
	CHECK(!input[5].is_masked && irq_unhandled == 9999);
	raise(input[5].vector);
	CHECK(input[5].is_masked);
	irq_release(irq);
	CHECK_EQ(irq_request_gsi(6, 0, "edge", handle, &d, &irq), OK);
	for (unsigned i = 0; i < 20000; i++)
		raise(input[6].vector);
	CHECK(!input[6].is_masked);
	irq_release(irq);
}

KTEST(irq_without_ioapic_comes_through_the_8259s)
{
	struct device d = {IRQ_HANDLED, 0};
	struct irq *irq, *none;

	start(0);
	CHECK_EQ(irq_request_isa(12, "mouse", handle, &d, &irq), OK);
	CHECK(!pic_masked[12]);
	CHECK_EQ(irq_request_gsi(20, 0, "no", handle, &d, &none), ERR_NODEV);
	pic_in_service[12] = true;
	raise(VECTOR_PIC_FIRST + 12);
	CHECK(d.num_calls == 1 && num_pic_eoi == 1 && last_pic_eoi == 12 && num_eoi == 0);
	/* Spurious on the second controller: the first one did see its input. */
	raise(VECTOR_PIC_SPURIOUS2);
	CHECK(irq_spurious == 1 && num_pic_eoi == 2 && last_pic_eoi == 2);
	raise(VECTOR_PIC_SPURIOUS1);
	CHECK(irq_spurious == 2 && num_pic_eoi == 2);
	irq_release(irq);
	CHECK(pic_masked[12]);
	platform.has_pic = false;
	CHECK_EQ(irq_request_isa(12, "mouse", handle, &d, &irq), ERR_NODEV);
}

KTEST(irq_system_vectors_are_counted_and_acknowledged)
{
	uint64_t before = irq_system_count(IRQ_SYS_TIMER, 0);

	start(1);
	raise(VECTOR_TIMER);
	raise(VECTOR_CALL);
	raise(VECTOR_RESCHEDULE);
	raise(VECTOR_APIC_ERROR);
	CHECK(num_eoi == 4 && num_timer == 1 && num_calls == 1);
	CHECK_EQ(irq_system_count(IRQ_SYS_TIMER, 0), before + 1);
	raise(VECTOR_SPURIOUS); /* without EOI */
	CHECK(num_eoi == 4 && irq_spurious == 1);
	raise(0xf9); /* no use for it */
	CHECK(num_eoi == 5 && irq_unhandled == 1);
}

static unsigned num_seen;

static void
see(const struct irq_stats *s, void *arg)
{
	const struct device *d = arg;

	num_seen++;
	if (s->line != 3 || s->per_cpu[0] != d->num_calls ||
	    strcmp(s->chip, "IO-APIC") != 0)
		num_seen += 100;
}

KTEST(irq_counts_are_shown)
{
	struct device d = {IRQ_HANDLED, 0};
	struct irq *irq;

	start(1);
	CHECK_EQ(irq_request_gsi(3, 0, "d", handle, &d, &irq), OK);
	for (unsigned i = 0; i < 7; i++)
		raise(input[3].vector);
	num_seen = 0;
	irq_for_each(see, &d);
	CHECK_EQ(num_seen, 1);
	irq_release(irq);
}

KTEST(irq_request_without_memory_leaves_nothing)
{
	struct device d = {IRQ_HANDLED, 0};
	struct irq *irq;

	start(1);
	for (unsigned nth = 1; nth <= 2; nth++) {
		fake_kmalloc_fail_nth(nth);
		CHECK_EQ(irq_request_gsi(3, 0, "d", handle, &d, &irq), ERR_NOMEM);
		CHECK(fake_kmalloc_live == 0 && input[3].is_masked);
	}
	fake_kmalloc_fail_nth(0);
	CHECK_EQ(irq_request_gsi(3, 0, "d", handle, &d, &irq), OK);
	irq_release(irq);
	CHECK_EQ(fake_kmalloc_live, 0);
}

/* ---- Messages ---- */

struct message {
	struct irq_msi irq;
	uint64_t address;
	uint32_t data;
	bool is_masked;
};

static void
message_write(struct irq_msi *irq, uint64_t address, uint32_t data)
{
	struct message *m = container_of(irq, struct message, irq);

	m->address = address;
	m->data = data;
}

static void
message_set_mask(struct irq_msi *irq, bool is_masked)
{
	container_of(irq, struct message, irq)->is_masked = is_masked;
}

#define MESSAGE \
	{ \
		.irq = {.write = message_write, .set_mask = message_set_mask } \
	}

KTEST(irq_message_has_a_vector_of_its_own_and_reaches_its_handler)
{
	struct message a = MESSAGE, b = MESSAGE;
	struct device da = {.says = IRQ_HANDLED}, db = {.says = IRQ_HANDLED};
	struct irq *ia, *ib;

	start(1);
	CHECK_EQ(irq_request_msi(&a.irq, 0, "a", handle, &da, &ia), OK);
	CHECK_EQ(
	    irq_request_msi(&b.irq, 77, "b", handle, &db, &ib), OK); /* no such CPU */
	CHECK(a.data != b.data && !a.is_masked && !b.is_masked);
	CHECK_EQ(a.address, 0xfee00000 | (uint64_t)cpus[0]->apic_id << 12);
	raise(b.data);
	CHECK(da.num_calls == 0 && db.num_calls == 1 && num_eoi == 1);
	irq_release(ib);
	CHECK(b.is_masked && !a.is_masked);
	raise(b.data); /* one that was under way */
	CHECK(db.num_calls == 1 && irq_unhandled == 1);
	irq_release(ia);
	CHECK_EQ(fake_kmalloc_live, 0);
}

KTEST(irq_messages_run_out_of_vectors_and_come_back)
{
	static struct message m[VECTORS_PER_CPU + 1];
	static struct irq *irqs[VECTORS_PER_CPU];
	struct device d = {.says = IRQ_HANDLED};
	struct irq *none;

	start(1);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < VECTORS_PER_CPU; i++) {
			m[i] = (struct message)MESSAGE;
			CHECK_EQ(irq_request_msi(
			             &m[i].irq, IRQ_ANY_CPU, "m", handle, &d, &irqs[i]),
			    OK);
		}
		m[VECTORS_PER_CPU] = (struct message)MESSAGE;
		CHECK_EQ(
		    irq_request_msi(&m[VECTORS_PER_CPU].irq, 0, "m", handle, &d, &none),
		    ERR_NOSPC);
		for (unsigned i = 0; i < VECTORS_PER_CPU; i++)
			irq_release(irqs[i]);
		CHECK_EQ(fake_kmalloc_live, 0);
	}
}
