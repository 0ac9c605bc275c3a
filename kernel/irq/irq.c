/*
 * From vector to handlers. Each CPU has a table from device vector to line; a line has a
 * list of handlers (more than one when shared). Both are read by the interrupt without a
 * lock: interrupts are off there, which RCU counts as a read section, and irq_release
 * waits for RCU before it frees.
 *
 * A level-triggered line that interrupts again and again while no handler claims it is
 * masked, or it would keep the CPU for ever.
 */
#define LOG_PREFIX "irq: "
#include "kernel/irq/irq.h"

#include "kernel/cmdline.h"
#include "kernel/irq/chip.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/platform.h"
#include "kernel/random.h"
#include "kernel/sync/rcu.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/ioapic.h"
#include "kernel/x86/ipi.h"
#include "kernel/x86/pic.h"
#include "kernel/x86/trap.h"
#include "lib/list.h"
#include "lib/string.h"
#include "mm/slab.h"

enum { ISA_LINES = 16, MAX_UNCLAIMED = 10000 };

struct irq {
	struct irq *next; /* [R] on its line */
	struct irq_line *line;
	irq_handler fn;
	void *arg;
	const char *name;
};

/* What names a line, and how it is driven. */
struct line_key {
	const struct irq_chip *chip;
	unsigned number; /* GSI or ISA line */
	unsigned flags;  /* IRQ_* */
};

struct irq_line {
	struct list link;    /* [lock] in lines */
	struct line_key key; /* [I] */
	unsigned wanted_cpu; /* [I] or IRQ_ANY_CPU */
	struct vector_place place;
	struct irq *handlers;      /* [R] changed under lock */
	unsigned num_unclaimed;    /* [c] in a row, by the CPU of `place` */
	uint64_t counts[MAX_CPUS]; /* [c] */
};

uint64_t irq_spurious, irq_unhandled;

static struct spinlock lock = SPINLOCK_INIT("irq", RANK_IRQ);
static struct list lines = LIST_INIT(lines); /* [lock] */
static struct vector_map vectors;            /* [lock] */
static unsigned num_ioapics;

static PER_CPU(struct irq_line *[VECTORS_PER_CPU], vector_line); /* [R] */
static PER_CPU(uint64_t[IRQ_SYS_KINDS], system_count);           /* [c] */

/* ---- Chips ------------------------------------------------------------------------- */

static unsigned
no_fixed_vector(unsigned line)
{
	return 0;
}

static void
ioapic_route_line(unsigned line, struct vector_place place, unsigned flags)
{
	unsigned f = (flags & IRQ_LEVEL ? IOAPIC_LEVEL : 0) |
	             (flags & IRQ_ACTIVE_LOW ? IOAPIC_ACTIVE_LOW : 0);

	ioapic_route(line, place.vector, cpus[place.cpu]->apic_id, f);
}

static void
eoi_apic(unsigned line)
{
	apic_eoi();
}

static const struct irq_chip ioapic_chip = {
    .name = "IO-APIC",
    .fixed_vector = no_fixed_vector,
    .route = ioapic_route_line,
    .set_mask = ioapic_set_mask,
    .eoi = eoi_apic,
};

static unsigned
pic_vector(unsigned line)
{
	return VECTOR_PIC_FIRST + line;
}

static void
pic_route(unsigned line, struct vector_place place, unsigned flags)
{
}

static const struct irq_chip pic_chip = {
    .name = "XT-PIC",
    .fixed_vector = pic_vector,
    .route = pic_route,
    .set_mask = pic_set_mask,
    .eoi = pic_eoi,
};

/* 8259 lines have vectors outside the device range and always come to the boot CPU. */
static struct irq_line *pic_line[ISA_LINES]; /* [R] */

static struct irq_line **
slot_of(const struct irq_line *l)
{
	if (l->key.chip == &pic_chip)
		return &pic_line[l->key.number];
	return &(*per_cpu_ptr(
	    &vector_line, cpus[l->place.cpu]))[l->place.vector - VECTOR_DEVICE_FIRST];
}

/* ---- Requests ---------------------------------------------------------------------- */

/* I/O APIC entries name CPUs by eight bits. */
static bool
can_take_interrupts(unsigned cpu)
{
	return cpus[cpu] && cpus[cpu]->is_online && cpus[cpu]->apic_id < 0xff;
}

static struct irq_line *
find_line(const struct line_key *key)
{
	struct irq_line *l;

	list_for_each(l, &lines, link)
		if (l->key.chip == key->chip && l->key.number == key->number)
			return l;
	return NULL;
}

static bool
take_vector(struct irq_line *l)
{
	unsigned cpu = l->wanted_cpu;

	if (cpu < num_cpus && can_take_interrupts(cpu) &&
	    vector_alloc_on(&vectors, cpu, &l->place))
		return true;
	return vector_alloc(&vectors, num_cpus, can_take_interrupts, &l->place);
}

/* Gives the new line a vector and puts it where the interrupt looks. Locked. */
static enum err
install_line(struct irq_line *l)
{
	l->place.vector = l->key.chip->fixed_vector(l->key.number);
	if (!l->place.vector && !take_vector(l))
		return ERR_NOSPC;
	list_push_back(&lines, &l->link);
	l->key.chip->route(l->key.number, l->place, l->key.flags);
	rcu_assign(*slot_of(l), l);
	return OK;
}

/*
 * Adds handler `h` to its line, using `fresh` if the line is new. Locked; *used_fresh
 * says so.
 */
static enum err
add_handler(struct irq *h, struct irq_line *fresh, bool *used_fresh)
{
	struct irq_line *l = find_line(&fresh->key);

	*used_fresh = false;
	if (!l) {
		enum err err = install_line(fresh);

		if (err != OK)
			return err;
		l = fresh;
		*used_fresh = true;
	} else if (!(l->key.flags & fresh->key.flags & IRQ_SHARED) ||
	           l->key.flags != fresh->key.flags) {
		return ERR_BUSY;
	}
	h->line = l;
	h->next = l->handlers;
	rcu_assign(l->handlers, h);
	if (*used_fresh)
		l->key.chip->set_mask(l->key.number, false);
	return OK;
}

static enum err
request(const struct line_key *key, const struct irq *handler, struct irq **out)
{
	struct irq_line *fresh = kzalloc(sizeof(*fresh));
	struct irq *h = kzalloc(sizeof(*h));
	bool used_fresh = false;
	enum err err = ERR_NOMEM;

	if (fresh && h) {
		fresh->key = *key;
		fresh->wanted_cpu = IRQ_ANY_CPU;
		*h = *handler;
		spin_lock(&lock);
		err = add_handler(h, fresh, &used_fresh);
		spin_unlock(&lock);
	}
	if (!used_fresh)
		kfree(fresh);
	if (err != OK) {
		kfree(h);
		return err;
	}
	*out = h;
	return OK;
}

enum err
irq_request_gsi(unsigned gsi, unsigned flags, const char *name, irq_handler fn, void *arg,
    struct irq **out)
{
	struct line_key key = {.chip = &ioapic_chip, .number = gsi, .flags = flags};
	struct irq handler = {.fn = fn, .arg = arg, .name = name};

	if (!num_ioapics || !ioapic_has(gsi))
		return ERR_NODEV;
	return request(&key, &handler, out);
}

enum err
irq_request_isa(
    unsigned isa, const char *name, irq_handler fn, void *arg, struct irq **out)
{
	return irq_request_isa_flags(
	    isa, 0, name, fn, arg, out); /* ISA: edge, active high */
}

enum err
irq_request_isa_flags(unsigned isa, unsigned flags, const char *name, irq_handler fn,
    void *arg, struct irq **out)
{
	struct line_key key = {.chip = &pic_chip, .number = isa, .flags = flags};
	struct irq handler = {.fn = fn, .arg = arg, .name = name};
	unsigned gsi = isa;

	if (isa >= ISA_LINES)
		return ERR_INVAL;
	for (uint32_t i = 0; i < platform.num_overrides; i++) {
		const struct platform_override *o = &platform.overrides[i];

		if (o->isa != isa)
			continue;
		gsi = o->gsi;
		flags |=
		    (o->flags & INTI_TRIGGER_MASK) == INTI_TRIGGER_LEVEL ? IRQ_LEVEL : 0;
		flags |= (o->flags & INTI_POLARITY_MASK) == INTI_POLARITY_LOW
		             ? IRQ_ACTIVE_LOW
		             : 0;
	}
	if (num_ioapics)
		return irq_request_gsi(gsi, flags, name, fn, arg, out);
	if (!platform.has_pic)
		return ERR_NODEV;
	return request(&key, &handler, out);
}

/* Locked. A message is a line of its own, so there is nobody to share with. */
static enum err
add_message(struct irq_msi *msi, struct irq *h, struct irq_line *fresh)
{
	bool used_fresh;
	enum err err;

	if (!msi_line_alloc(msi, &fresh->key.number))
		return ERR_NOSPC;
	err = add_handler(h, fresh, &used_fresh);
	if (err != OK)
		msi_line_free(fresh->key.number);
	return err;
}

enum err
irq_request_msi(struct irq_msi *msi, unsigned cpu, const char *name, irq_handler fn,
    void *arg, struct irq **out)
{
	struct irq_line *fresh = kzalloc(sizeof(*fresh));
	struct irq *h = kzalloc(sizeof(*h));
	enum err err = ERR_NOMEM;

	if (fresh && h) {
		fresh->key.chip = &msi_chip;
		fresh->wanted_cpu = cpu;
		*h = (struct irq){.fn = fn, .arg = arg, .name = name};
		spin_lock(&lock);
		err = add_message(msi, h, fresh);
		spin_unlock(&lock);
	}
	if (err != OK) {
		kfree(fresh);
		kfree(h);
		return err;
	}
	*out = h;
	return OK;
}

/* Takes the handler off its line; returns the line if that was its last one. Locked. */
static struct irq_line *
remove_handler(struct irq *h)
{
	struct irq_line *l = h->line;
	struct irq **p = &l->handlers;

	while (*p != h)
		p = &(*p)->next;
	rcu_assign(*p, h->next);
	if (l->handlers)
		return NULL;
	l->key.chip->set_mask(l->key.number, true);
	rcu_assign(*slot_of(l), NULL);
	list_remove(&l->link);
	vector_free(&vectors, l->place); /* fixed ones are not in the map */
	if (l->key.chip == &msi_chip)
		msi_line_free(l->key.number);
	return l;
}

void
irq_release(struct irq *h)
{
	struct irq_line *dead;

	spin_lock(&lock);
	dead = remove_handler(h);
	spin_unlock(&lock);
	rcu_synchronize();
	kfree(dead);
	kfree(h);
}

void
irq_for_each(void (*fn)(const struct irq_stats *, void *arg), void *arg)
{
	struct irq_line *l;

	spin_lock(&lock);
	list_for_each(l, &lines, link)
		for (struct irq *h = l->handlers; h; h = h->next) {
			struct irq_stats s = {
			    .name = h->name,
			    .chip = l->key.chip->name,
			    .line = l->key.number,
			    .per_cpu = l->counts,
			};

			fn(&s, arg);
		}
	spin_unlock(&lock);
}

/* ---- The interrupt itself ---------------------------------------------------------- */

static void
unclaimed(struct irq_line *l)
{
	__atomic_fetch_add(&irq_unhandled, 1, __ATOMIC_RELAXED);
	/* An edge does not come again by itself, so it cannot keep us here. */
	if (!(l->key.flags & IRQ_LEVEL) || ++l->num_unclaimed < MAX_UNCLAIMED)
		return;
	l->num_unclaimed = 0;
	spin_lock(&lock);
	l->key.chip->set_mask(l->key.number, true);
	spin_unlock(&lock);
	log_err("%s line %u: %u interrupts that nobody wanted, switched off",
	    l->key.chip->name, l->key.number, (unsigned)MAX_UNCLAIMED);
}

static void
run_line(struct irq_line *l)
{
	bool is_handled = false;

	l->counts[cpu_id()]++;
	random_add_event(l->key.number); /* its moment is what is hard to guess */
	for (struct irq *h = rcu_dereference(l->handlers); h;
	     h = rcu_dereference(h->next))
		is_handled |= h->fn(h->arg) == IRQ_HANDLED;
	if (is_handled)
		l->num_unclaimed = 0;
	else
		unclaimed(l);
	l->key.chip->eoi(l->key.number);
}

static void
device_interrupt(unsigned vector)
{
	struct irq_line *l =
	    rcu_dereference((*this_cpu_ptr(&vector_line))[vector - VECTOR_DEVICE_FIRST]);

	if (l) {
		run_line(l);
		return;
	}
	/* Released while it was under way, or left pending by firmware. */
	__atomic_fetch_add(&irq_unhandled, 1, __ATOMIC_RELAXED);
	apic_eoi();
}

static void
pic_interrupt(unsigned isa)
{
	struct irq_line *l = rcu_dereference(pic_line[isa]);

	if (!l || !pic_is_in_service(isa)) {
		__atomic_fetch_add(&irq_spurious, 1, __ATOMIC_RELAXED);
		if (isa >= 8)
			pic_eoi(
			    2); /* to the first controller, the spurious one was real */
		return;
	}
	run_line(l);
}

static void
count(enum irq_system what)
{
	(*this_cpu_ptr(&system_count))[what]++;
}

uint64_t
irq_system_count(enum irq_system what, unsigned cpu)
{
	return (*per_cpu_ptr(&system_count, cpus[cpu]))[what];
}

static void
system_interrupt(unsigned vector)
{
	switch (vector) {
	case VECTOR_TIMER:
		count(IRQ_SYS_TIMER);
		apic_eoi();
		timer_interrupt();
		return;
	case VECTOR_RESCHEDULE: /* the way out of every interrupt looks at need_resched */
		count(IRQ_SYS_RESCHEDULE);
		break;
	case VECTOR_CALL:
		count(IRQ_SYS_CALL);
		apic_eoi(); /* first: what comes during the calls must interrupt again */
		ipi_call_interrupt();
		return;
	case VECTOR_APIC_ERROR:
		count(IRQ_SYS_APIC_ERROR);
		apic_error_interrupt();
		break;
	case VECTOR_SPURIOUS: /* SDM vol. 3, 10.9: without EOI */
		count(IRQ_SYS_SPURIOUS);
		__atomic_fetch_add(&irq_spurious, 1, __ATOMIC_RELAXED);
		return;
	default: __atomic_fetch_add(&irq_unhandled, 1, __ATOMIC_RELAXED); break;
	}
	apic_eoi();
}

void
irq_dispatch(struct trap_frame *frame)
{
	unsigned vector = (unsigned)frame->vector;

	if (vector > VECTOR_DEVICE_LAST)
		system_interrupt(vector);
	else if (vector >= VECTOR_DEVICE_FIRST)
		device_interrupt(vector);
	else
		pic_interrupt(vector - VECTOR_PIC_FIRST);
}

void
irq_init(void)
{
	if (platform.has_pic)
		pic_init();
	if (!apic_init())
		panic("no usable local APIC: this processor cannot run Keel");
	num_ioapics = ioapic_init();
	if (cmdline_has("noapic"))
		num_ioapics = 0; /* after ioapic_init, which has masked them */
	if (!num_ioapics && platform.has_pic) {
		apic_enable_extint(true);
		log_warn("no I/O APIC: device interrupts by the 8259s");
	}
	log_info("%s, %u I/O APICs", apic_is_x2apic() ? "x2APIC" : "xAPIC", num_ioapics);
}
