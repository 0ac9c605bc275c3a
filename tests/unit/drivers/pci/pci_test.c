/*
 * drivers/pci on a machine made of arrays: configuration spaces with BARs that keep only
 * the bits a device would, and memory for MSI-X tables. LINK: drivers/pci/enumerate.c
 * drivers/pci/pci.c drivers/pci/msi.c drivers/pci/intx.c lib/fmt.c lib/string.c
 * tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c tests/fakes/percpu.c
 */
#include "drivers/pci/config.h"
#include "drivers/pci/pci_priv.h"
#include "kernel/cmdline.h"
#include "kernel/procfs.h"
#include "lib/string.h"
#include "mm/kva.h"
#include "mm/slab.h"
#include "tests/fakes/fakes.h"
#include "tests/unit/ktest.h"

/* ---- The machine ---- */

enum { MAX_FUNCTIONS = 40, SPACE = 4096 };

static struct function {
	struct pci_addr at;
	uint8_t space[SPACE];
	uint8_t writable[SPACE];       /* which bits writes change */
	unsigned moved_while_decoding; /* BAR writes with decoding on */
} functions[MAX_FUNCTIONS];
static unsigned num_functions;
static unsigned reachable = SPACE;
static const char *cmdline_word = "";

static uint8_t registers[0x4000]; /* behind ioremap */
static paddr_t registers_at;
static unsigned num_mapped;

static struct pci_dev *found[MAX_FUNCTIONS * 2];
static unsigned num_found;

static struct irq_msi *requested;
static unsigned requested_cpu, requested_gsi, requested_isa, requested_flags;
static bool has_ioapic;

static void
put(struct function *f, unsigned off, unsigned width, uint32_t v)
{
	for (unsigned i = 0; i < width; i++)
		f->space[off + i] = (uint8_t)(v >> 8 * i);
}

static uint32_t
get(const struct function *f, unsigned off, unsigned width)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v |= (uint32_t)f->space[off + i] << 8 * i;
	return v;
}

static void
allow(struct function *f, unsigned off, uint32_t bits)
{
	for (unsigned i = 0; i < 4; i++)
		f->writable[off + i] = (uint8_t)(bits >> 8 * i);
}

static struct function *
add_at(unsigned bus, unsigned slot, unsigned fn, uint32_t id, uint32_t class)
{
	struct function *f = &functions[num_functions++];

	memset(f, 0, sizeof(*f));
	f->at = (struct pci_addr){
	    .bus = (uint8_t)bus, .slot = (uint8_t)slot, .fn = (uint8_t)fn};
	put(f, PCI_VENDOR, 4, id);
	put(f, PCI_REVISION, 4, class << 8);
	allow(f, PCI_COMMAND, 0x0407);
	return f;
}

static struct function *
add_bridge(unsigned bus, unsigned slot, unsigned secondary)
{
	struct function *f = add_at(bus, slot, 0, 0x00011b36, 0x060400);

	put(f, PCI_HEADER_TYPE, 1, 1);
	put(f, PCI_SECONDARY_BUS, 1, secondary);
	return f;
}

/* A capability at `off`; the list so far ends at `*last`, a pointer's offset. */
static void
add_cap(struct function *f, unsigned *last, unsigned off, unsigned id)
{
	put(f, PCI_STATUS, 2, PCI_STATUS_CAPABILITIES);
	put(f, *last, 1, off);
	put(f, off, 1, id);
	*last = off + 1;
}

static struct function *
function_at(struct pci_addr a)
{
	for (unsigned i = 0; i < num_functions; i++)
		if (!memcmp(&functions[i].at, &a, sizeof(a)))
			return &functions[i];
	return NULL;
}

void
pci_files_init(void)
{
}

uint32_t
pci_config_read(struct pci_addr a, unsigned off, unsigned width)
{
	const struct function *f = function_at(a);

	if (!f || off + width > reachable)
		return width == 4 ? UINT32_MAX : (1u << 8 * width) - 1;
	return get(f, off, width);
}

void
pci_config_write(struct pci_addr a, unsigned off, unsigned width, uint32_t v)
{
	struct function *f = function_at(a);

	if (!f || off + width > reachable)
		return;
	if (off >= PCI_BAR0 && off < PCI_BAR0 + 24 && f->space[PCI_COMMAND] & 3)
		f->moved_while_decoding++;
	for (unsigned i = 0; i < width; i++) {
		uint8_t w = f->writable[off + i];

		f->space[off + i] =
		    (uint8_t)((f->space[off + i] & ~w) | ((v >> 8 * i) & w));
	}
}

unsigned
pci_config_size(struct pci_addr a)
{
	return reachable;
}

bool
pci_config_init(void)
{
	return true;
}

bool
pci_config_open_bus(unsigned segment, unsigned bus)
{
	return true;
}

bool
pci_config_root(unsigned nth, unsigned *segment, unsigned *bus)
{
	*segment = *bus = 0;
	return nth == 0;
}

void
dev_add(struct device *dev)
{
	if (num_found < ARRAY_SIZE(found))
		found[num_found++] = to_pci(dev);
}

void
dev_for_each(void (*fn)(struct device *, void *arg), void *arg)
{
	for (unsigned i = 0; i < num_found; i++)
		fn(&found[i]->dev, arg);
}

volatile void *
ioremap(paddr_t base, size_t size, enum cache_type type)
{
	registers_at = base;
	num_mapped++;
	return size <= sizeof(registers) ? registers : NULL;
}

void
iounmap(volatile void *p)
{
	num_mapped--;
}

bool
cmdline_has(const char *name)
{
	return !strcmp(name, cmdline_word);
}

enum err
irq_request_msi(struct irq_msi *m, unsigned cpu, const char *name, irq_handler fn,
    void *arg, struct irq **out)
{
	requested = m;
	requested_cpu = cpu;
	return OK;
}

enum err
irq_request_gsi(unsigned gsi, unsigned flags, const char *name, irq_handler fn, void *arg,
    struct irq **out)
{
	requested_gsi = gsi;
	requested_flags = flags;
	return has_ioapic ? OK : ERR_NODEV;
}

enum err
irq_request_isa_flags(unsigned isa, unsigned flags, const char *name, irq_handler fn,
    void *arg, struct irq **out)
{
	requested_isa = isa;
	requested_flags = flags;
	return OK;
}

void
seq_printf(struct seq *s, const char *fmt, ...)
{
}

static void
start(void)
{
	fake_log_is_quiet = true;
	num_functions = 0;
	reachable = SPACE;
	cmdline_word = "";
	has_ioapic = true;
	requested_gsi = requested_isa = requested_flags = 0;
	memset(registers, 0, sizeof(registers));
}

static unsigned
walk(void)
{
	num_found = 0;
	return pci_enumerate();
}

/* Frees what was found; true: nothing else is left. */
static bool
is_clean(void)
{
	for (unsigned i = 0; i < num_found; i++)
		kfree(found[i]);
	num_found = 0;
	return fake_kmalloc_live == 0;
}

/* ---- The walk ---- */

KTEST(pci_walk_finds_functions_of_multi_function_devices_only)
{
	start();
	put(add_at(0, 3, 0, 0x10008086, 0x020000), PCI_HEADER_TYPE, 1, 0x80);
	add_at(0, 3, 5, 0x10018086, 0x020000);
	add_at(0, 4, 0, 0x10028086, 0x020000);
	add_at(0, 4, 1, 0x10038086, 0x020000); /* an echo of function 0 */
	CHECK_EQ(walk(), 3);
	CHECK_EQ(found[1]->addr.fn, 5);
	CHECK(!strcmp(found[1]->dev.name, "0000:00:03.5"));
	CHECK_EQ(found[2]->device, 0x1002);
	CHECK(is_clean());
}

KTEST(pci_walk_goes_behind_bridges_behind_bridges)
{
	start();
	add_bridge(0, 2, 4);
	add_bridge(4, 1, 9);
	add_at(9, 7, 0, 0x100e8086, 0x020000);
	CHECK_EQ(walk(), 3);
	CHECK(found[2]->bridge == found[1] && found[1]->bridge == found[0]);
	CHECK(!found[0]->bridge);
	CHECK(is_clean());
}

KTEST(pci_walk_ends_when_bridges_lead_to_a_bus_again)
{
	start();
	add_bridge(0, 2, 1);
	add_bridge(1, 0, 2);
	add_bridge(2, 0, 1); /* back */
	add_bridge(2, 1, 2); /* to itself */
	add_bridge(2, 2, 0); /* never numbered */
	add_bridge(2, 3, 0xff);
	CHECK_EQ(walk(), 6);
	CHECK(is_clean());
}

KTEST(pci_walk_looks_for_one_slot_only_behind_an_express_port)
{
	unsigned last = PCI_CAPABILITIES;
	struct function *port;

	start();
	port = add_bridge(0, 1, 1);
	add_cap(port, &last, 0x40, PCI_CAP_EXPRESS);
	put(port, 0x42, 2, 4 << 4);
	add_at(1, 0, 0, 0x10d38086, 0x020000);
	add_at(1, 1, 0, 0x10d38086, 0x020000);
	CHECK_EQ(walk(), 2);
	CHECK(is_clean());
}

KTEST(pci_walk_survives_every_failed_allocation)
{
	start();
	add_bridge(0, 2, 1);
	add_at(1, 1, 0, 0x100e8086, 0x020000);
	for (unsigned n = 1; n <= 3; n++) {
		fake_kmalloc_fail_nth(n);
		CHECK(walk() < 2);
		CHECK(is_clean());
	}
	fake_kmalloc_fail_nth(0);
	CHECK_EQ(walk(), 2);
	CHECK(is_clean());
}

/* ---- BARs ---- */

KTEST(pci_bars_of_all_kinds_are_sized_and_left_as_they_were)
{
	struct function *f;
	const struct dev_bar *b;

	start();
	f = add_at(0, 1, 0, 0x100e8086, 0x020000);
	put(f, PCI_COMMAND, 2, 7);
	put(f, 0x10, 4, 0xfebc0000);
	allow(f, 0x10, 0xfffe0000);
	put(f, 0x14, 4, 0xc001);
	allow(f, 0x14, 0x0000ffc0); /* upper half hard-wired */
	put(f, 0x18, 4, 0xe000000c);
	allow(f, 0x18, 0);
	put(f, 0x1c, 4, 0x00000040);
	allow(f, 0x1c, 0xfffffffc); /* 16 GiB, 64-bit, prefetchable */
	put(f, 0x18, 4, 0x0000000c);
	put(f, 0x20, 4, 0x00000008);
	put(f, PCI_ROM, 4, 0xfeb80000);
	allow(f, PCI_ROM, 0xfffc0001);
	CHECK_EQ(walk(), 1);
	b = found[0]->dev.bars;
	CHECK(b[0].base == 0xfebc0000 && b[0].size == 0x20000 && !b[0].is_port);
	CHECK(b[1].base == 0xc000 && b[1].size == 0x40 && b[1].is_port);
	CHECK(b[2].base == 0x4000000000 && b[2].size == 0x400000000);
	CHECK(b[2].is_64bit && b[2].is_prefetchable);
	CHECK_EQ(b[3].size, 0);
	CHECK(found[0]->rom.base == 0xfeb80000 && found[0]->rom.size == 0x40000);
	CHECK_EQ(get(f, 0x10, 4), 0xfebc0000);
	CHECK_EQ(get(f, 0x1c, 4), 0x40);
	CHECK_EQ(get(f, PCI_ROM, 4), 0xfeb80000);
	CHECK_EQ(get(f, PCI_COMMAND, 2), 7);
	CHECK_EQ(f->moved_while_decoding, 0);
	CHECK(is_clean());
}

KTEST(pci_bar_64_bit_in_the_last_register_is_cut_to_32)
{
	struct function *f;

	start();
	f = add_at(0, 1, 0, 0x100e8086, 0x020000);
	put(f, 0x24, 4, 0xfe000004);
	allow(f, 0x24, 0xffff0000);
	CHECK_EQ(walk(), 1);
	CHECK_EQ(found[0]->dev.bars[5].size, 0x10000);
	CHECK(!found[0]->dev.bars[5].is_64bit);
	CHECK(is_clean());
}

/* ---- Capabilities ---- */

KTEST(pci_capability_list_that_loops_or_leaves_its_space_ends)
{
	unsigned last = PCI_CAPABILITIES;
	struct function *f;

	start();
	f = add_at(0, 1, 0, 0x100e8086, 0x020000);
	add_cap(f, &last, 0x40, PCI_CAP_VENDOR);
	add_cap(f, &last, 0x50, PCI_CAP_MSI);
	add_cap(f, &last, 0x60, PCI_CAP_VENDOR);
	put(f, last, 1, 0x40);
	CHECK_EQ(walk(), 1);
	CHECK_EQ(found[0]->cap_msi, 0x50);
	CHECK_EQ(found[0]->cap_msix, 0);
	CHECK_EQ(pci_find_cap(found[0], PCI_CAP_VENDOR, 0x40), 0x60);
	put(f, last, 1, 0x10); /* into the header */
	CHECK_EQ(pci_find_cap(found[0], 0x77, 0), 0);
	put(f, PCI_STATUS, 2, 0); /* no list at all */
	CHECK_EQ(pci_find_cap(found[0], PCI_CAP_MSI, 0), 0);
	CHECK(is_clean());
}

KTEST(pci_extended_capabilities_need_the_larger_space_and_may_not_loop)
{
	unsigned last = PCI_CAPABILITIES;
	struct function *f;

	start();
	f = add_at(0, 1, 0, 0x10d38086, 0x020000);
	add_cap(f, &last, 0x40, PCI_CAP_EXPRESS);
	put(f, 0x100, 4, 0x14010001);
	put(f, 0x140, 4, 0x10010003); /* and back */
	CHECK_EQ(walk(), 1);
	CHECK_EQ(pci_find_ext_cap(found[0], 3, 0), 0x140);
	CHECK_EQ(pci_find_ext_cap(found[0], 4, 0), 0);
	reachable = 256;
	CHECK_EQ(pci_find_ext_cap(found[0], 3, 0), 0);
	CHECK(is_clean());
}

/* ---- Messages ---- */

enum { MSIX_AT = 0x70, MSI_AT = 0x50, TABLE_AT = 0x800, BAR_BASE = 0xfebf0000 };

static struct function *
add_nic(bool has_msix)
{
	unsigned last = PCI_CAPABILITIES;
	struct function *f = add_at(0, 2, 0, 0x10d38086, 0x020000);

	put(f, PCI_INTERRUPT_PIN, 1, 1);
	put(f, 0x1c, 4, BAR_BASE); /* BAR 3 */
	allow(f, 0x1c, 0xffffc000);
	add_cap(f, &last, MSI_AT, PCI_CAP_MSI);
	put(f, MSI_AT + 2, 2, 0x0080); /* 64-bit, one message */
	allow(f, MSI_AT, 0x00710000);
	allow(f, MSI_AT + 4, 0xfffffffc);
	allow(f, MSI_AT + 8, 0xffffffff);
	allow(f, MSI_AT + 12, 0x0000ffff);
	if (!has_msix)
		return f;
	add_cap(f, &last, MSIX_AT, PCI_CAP_MSIX);
	put(f, MSIX_AT + 2, 2, 4); /* five entries */
	allow(f, MSIX_AT, 0xc0000000);
	put(f, MSIX_AT + 4, 4, TABLE_AT | 3);
	return f;
}

static uint32_t
entry(unsigned i, unsigned off)
{
	uint32_t v;

	memcpy(&v, registers + i * 16 + off, 4);
	return v;
}

KTEST(msix_is_programmed_entry_by_entry_and_unmasked_one_by_one)
{
	struct function *f;
	struct dev_irq r = {.cpu = 3};
	struct device *dev;
	struct irq *irq;

	start();
	f = add_nic(true);
	CHECK_EQ(walk(), 1);
	dev = &found[0]->dev;
	CHECK_EQ(pci_bus.irq_alloc(dev, 3, DEV_IRQ_ANY), OK);
	CHECK(dev->irq_kind == DEV_IRQ_MSIX && dev->num_irqs == 3);
	CHECK_EQ(registers_at, BAR_BASE + TABLE_AT);
	CHECK_EQ(get(f, MSIX_AT + 2, 2), 0x8004); /* enabled, not masked as a whole */
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(entry(i, 12), 1);
	CHECK(get(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF);

	CHECK_EQ(pci_bus.irq_request(dev, 2, &r, &irq), OK);
	CHECK_EQ(requested_cpu, 3);
	requested->write(requested, 0xfee03000, 0x51);
	CHECK_EQ(entry(2, 12), 1);
	requested->set_mask(requested, false);
	CHECK(entry(2, 0) == 0xfee03000 && entry(2, 4) == 0 && entry(2, 8) == 0x51);
	CHECK(entry(2, 12) == 0 && entry(1, 12) == 1 && entry(3, 12) == 1);
	requested->set_mask(requested, true);
	CHECK_EQ(entry(2, 12), 1);

	pci_bus.irq_free(dev);
	CHECK_EQ(get(f, MSIX_AT + 2, 2), 4);
	CHECK_EQ(num_mapped, 0);
	CHECK(is_clean());
}

KTEST(msix_table_outside_its_bar_falls_back_to_msi)
{
	static const uint32_t bad[] = {
	    0x4000 | 3, 0x3fc0 | 3, 0 | 6, 0 | 0, 0xfffffff8 | 3};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct function *f;

		start();
		f = add_nic(true);
		put(f, MSIX_AT + 4, 4, bad[i]);
		CHECK_EQ(walk(), 1);
		CHECK_EQ(pci_bus.irq_alloc(&found[0]->dev, 3, DEV_IRQ_ANY), OK);
		CHECK_EQ(found[0]->dev.irq_kind, DEV_IRQ_MSI);
		pci_bus.irq_free(&found[0]->dev);
		CHECK(is_clean());
	}
}

KTEST(msi_is_programmed_with_64_and_with_32_bits)
{
	for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
		unsigned data = MSI_AT + (is_64bit ? 12 : 8);
		struct function *f;
		struct dev_irq r = {.cpu = 1};
		struct device *dev;
		struct irq *irq;

		start();
		f = add_nic(false);
		put(f, MSI_AT + 2, 2,
		    is_64bit ? 0x00f1 : 0x0071); /* firmware left it on */
		CHECK_EQ(walk(), 1);
		dev = &found[0]->dev;
		CHECK_EQ(pci_bus.irq_alloc(dev, 3, DEV_IRQ_ANY), OK);
		CHECK(dev->irq_kind == DEV_IRQ_MSI && dev->num_irqs == 1);
		CHECK_EQ(get(f, MSI_AT + 2, 2) & 0x71, 0); /* off, and one message */
		CHECK_EQ(pci_bus.irq_request(dev, 0, &r, &irq), OK);
		requested->write(requested, 0xfee01000, 0x42);
		requested->set_mask(requested, false);
		CHECK_EQ(get(f, MSI_AT + 4, 4), 0xfee01000);
		CHECK_EQ(get(f, data, 2), 0x42);
		CHECK_EQ(get(f, MSI_AT + 2, 2) & 1, 1);
		pci_bus.irq_free(dev);
		CHECK_EQ(get(f, MSI_AT + 2, 2) & 1, 0);
		CHECK(is_clean());
	}
}

KTEST(interrupt_kinds_fall_back_as_the_command_line_and_the_driver_say)
{
	static const struct {
		const char *word;
		unsigned kinds;
		enum dev_irq_kind got;
	} cases[] = {
	    {"", DEV_IRQ_ANY, DEV_IRQ_MSIX},
	    {"nomsix", DEV_IRQ_ANY, DEV_IRQ_MSI},
	    {"nomsi", DEV_IRQ_ANY, DEV_IRQ_INTX},
	    {"", DEV_IRQ_MSI | DEV_IRQ_INTX, DEV_IRQ_MSI},
	    {"", DEV_IRQ_INTX, DEV_IRQ_INTX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start();
		add_nic(true);
		cmdline_word = cases[i].word;
		CHECK_EQ(walk(), 1);
		CHECK_EQ(pci_bus.irq_alloc(&found[0]->dev, 8, cases[i].kinds), OK);
		CHECK_EQ(found[0]->dev.irq_kind, cases[i].got);
		CHECK_EQ(found[0]->dev.num_irqs, cases[i].got == DEV_IRQ_MSIX ? 5 : 1);
		pci_bus.irq_free(&found[0]->dev);
		CHECK(is_clean());
	}
}

KTEST(msix_that_finds_no_memory_leaves_nothing_behind)
{
	start();
	add_nic(true);
	CHECK_EQ(walk(), 1);
	for (unsigned n = 1; n <= 1; n++) {
		fake_kmalloc_fail_nth(n);
		CHECK_EQ(pci_bus.irq_alloc(&found[0]->dev, 2, DEV_IRQ_MSIX), ERR_NODEV);
	}
	fake_kmalloc_fail_nth(0);
	CHECK(!found[0]->msi);
	CHECK(is_clean());
}

/* ---- Lines: the bridge that is noted stays, so ICH9 is this program's machine ---- */

static struct pci_dev *kept[64];
static unsigned num_kept;

static struct pci_dev *
ich9_nic(unsigned slot, unsigned pin)
{
	struct function *lpc, *f;

	start();
	lpc = add_at(0, 31, 0, 0x29188086, 0x060100);
	put(lpc, 0xf0, 4, 0xfed1c001);
	put(lpc, 0x61, 1, 0x80); /* PIRQB: off */
	put(lpc, 0x6a, 1, 10);   /* PIRQG */
	f = add_at(0, slot, 0, 0x100e8086, 0x020000);
	put(f, PCI_INTERRUPT_PIN, 1, pin);
	registers[0x3148] = 0x10; /* D27IR: INTA to PIRQA, INTB to PIRQB */
	(void)walk();
	for (unsigned i = 0; i < num_found; i++)
		kept[num_kept++] = found[i]; /* functions are never freed */
	for (unsigned i = 0; i < num_found; i++)
		if (found[i]->device == 0x100e)
			return found[i];
	return NULL;
}

KTEST(intx_of_ich9_is_a_gsi_by_slot_or_by_its_registers)
{
	static const struct {
		unsigned slot, pin, gsi;
	} cases[] = {
	    {1, 1, 21}, {2, 1, 22}, {3, 2, 20}, {24, 1, 20}, {27, 2, 17}, {30, 1, 20}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pci_dev *p = ich9_nic(cases[i].slot, cases[i].pin);
		struct pci_route r;

		CHECK(p && pci_intx_route(p, true, &r) == OK);
		CHECK(!r.is_isa && r.number == cases[i].gsi);
		CHECK_EQ(r.flags, IRQ_LEVEL | IRQ_SHARED | IRQ_ACTIVE_LOW);
	}
}

KTEST(intx_without_ioapic_is_the_isa_interrupt_in_the_bridge)
{
	struct pci_dev *p = ich9_nic(2, 1); /* PIRQG */
	struct dev_irq r = {0};
	struct irq *irq;

	CHECK(p != NULL);
	has_ioapic = false;
	CHECK_EQ(pci_bus.irq_alloc(&p->dev, 1, DEV_IRQ_INTX), OK);
	CHECK_EQ(pci_bus.irq_request(&p->dev, 0, &r, &irq), OK);
	CHECK_EQ(requested_isa, 10);
	CHECK_EQ(requested_flags, IRQ_LEVEL | IRQ_SHARED);
	p = ich9_nic(27, 2); /* PIRQB, which is off */
	has_ioapic = false;
	CHECK_EQ(pci_bus.irq_request(&p->dev, 0, &r, &irq), ERR_NODEV);
}

KTEST(intx_behind_bridges_turns_by_the_slot)
{
	struct pci_dev outer = {.addr.slot = 4},
	               inner = {.addr.slot = 3, .bridge = &outer};
	struct pci_dev nic = {.addr.slot = 5, .bridge = &inner, .pin = 2};
	struct pci_route r;

	CHECK(ich9_nic(2, 1) != NULL);
	/* INTB of slot 5: pin 1 + 5 = 2 at slot 3, 2 + 3 = 1 at slot 4 of the root bus. */
	CHECK_EQ(pci_intx_route(&nic, true, &r), OK);
	CHECK_EQ(r.number, 16 + (4 + 1) % 4 + 4);
}
