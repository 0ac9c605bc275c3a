/*
 * MSI (PCI 3.0, 6.8.1): address and data of one message in configuration space. It can
 * have up to 32 messages, which would be one block of vectors of one CPU; one is used.
 * MSI-X (6.8.2): a table of messages in a BAR, each with its own address, data and mask
 * bit, so each goes to a CPU of its own.
 *
 * While a function sends messages its INTx line is off by the command register too; a
 * function set to messages does not drive it, but while MSI is disabled, which is how it
 * is masked here, it would.
 */
#define LOG_PREFIX "pci: "
#include "drivers/pci/pci_priv.h"

#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/x86/io.h"
#include "mm/kva.h"
#include "mm/slab.h"

enum {
	/* Offsets in both capabilities. */
	MSG_CONTROL = 2,

	MSI_ENABLE = 1 << 0,
	MSI_NUM_MASK = 7 << 4, /* messages in use, log2 */
	MSI_IS_64BIT = 1 << 7,
	MSI_ADDRESS = 4,
	MSI_ADDRESS_HIGH = 8,
	MSI_DATA_32 = 8,
	MSI_DATA_64 = 12,

	MSIX_SIZE_MASK = 0x7ff, /* entries less one */
	MSIX_MASK_ALL = 1 << 14,
	MSIX_ENABLE = 1 << 15,
	MSIX_TABLE = 4, /* BAR in bits 0..2, offset above */
	MSIX_BAR_MASK = 7,
	ENTRY_SIZE = 16,
	ENTRY_ADDRESS = 0,
	ENTRY_ADDRESS_HIGH = 4,
	ENTRY_DATA = 8,
	ENTRY_CONTROL = 12,
	ENTRY_MASKED = 1 << 0,
};

struct message {
	struct irq_msi irq;
	struct pci_dev *p;
	unsigned index;
};

struct pci_msi {
	volatile void *table; /* MSI-X; NULL: MSI */
	unsigned num;
	struct message messages[];
};

/* ---- MSI --------------------------------------------------------------------------- */

static void
msi_set_mask(struct irq_msi *irq, bool is_masked)
{
	const struct pci_dev *p = container_of(irq, struct message, irq)->p;
	unsigned off = p->cap_msi + MSG_CONTROL, v = pci_cfg_read16(p, off);

	v = is_masked ? v & ~(unsigned)MSI_ENABLE : v | MSI_ENABLE;
	pci_cfg_write16(p, off, (uint16_t)(v & ~(unsigned)MSI_NUM_MASK));
}

static void
msi_write(struct irq_msi *irq, uint64_t address, uint32_t data)
{
	const struct pci_dev *p = container_of(irq, struct message, irq)->p;
	unsigned cap = p->cap_msi;
	bool is_64bit = pci_cfg_read16(p, cap + MSG_CONTROL) & MSI_IS_64BIT;

	pci_cfg_write32(p, cap + MSI_ADDRESS, (uint32_t)address);
	if (is_64bit)
		pci_cfg_write32(p, cap + MSI_ADDRESS_HIGH, (uint32_t)(address >> 32));
	pci_cfg_write16(p, cap + (is_64bit ? MSI_DATA_64 : MSI_DATA_32), (uint16_t)data);
}

/* ---- MSI-X ------------------------------------------------------------------------- */

static size_t
entry_of(const struct message *m)
{
	return m->index * (size_t)ENTRY_SIZE;
}

static void
msix_set_mask(struct irq_msi *irq, bool is_masked)
{
	const struct message *m = container_of(irq, struct message, irq);
	volatile void *table = m->p->msi->table;

	mmio_write32(table, entry_of(m) + ENTRY_CONTROL, is_masked ? ENTRY_MASKED : 0);
	/* Reading flushes the write: after masking no message is on its way. */
	(void)mmio_read32(table, entry_of(m) + ENTRY_CONTROL);
}

static void
msix_write(struct irq_msi *irq, uint64_t address, uint32_t data)
{
	const struct message *m = container_of(irq, struct message, irq);
	volatile void *table = m->p->msi->table;

	mmio_write32(table, entry_of(m) + ENTRY_ADDRESS, (uint32_t)address);
	mmio_write32(table, entry_of(m) + ENTRY_ADDRESS_HIGH, (uint32_t)(address >> 32));
	mmio_write32(table, entry_of(m) + ENTRY_DATA, data);
}

static unsigned
msix_size(const struct pci_dev *p)
{
	return (pci_cfg_read16(p, p->cap_msix + MSG_CONTROL) & MSIX_SIZE_MASK) + 1u;
}

/* NULL: the table is not where a table can be. */
static volatile void *
map_table(const struct pci_dev *p)
{
	uint32_t where = pci_cfg_read32(p, p->cap_msix + MSIX_TABLE);
	unsigned bar = where & MSIX_BAR_MASK;
	uint32_t off = where & ~(uint32_t)MSIX_BAR_MASK;
	uint64_t size = msix_size(p) * (uint64_t)ENTRY_SIZE;
	const struct dev_bar *b = &p->dev.bars[bar < DEV_MAX_BARS ? bar : 0];

	if (bar >= DEV_MAX_BARS || b->is_port || !b->base || off + size > b->size) {
		log_warn("%s: its MSI-X table is outside its BARs", p->dev.name);
		return NULL;
	}
	return ioremap(b->base + off, size, CACHE_UC);
}

static void
msix_enable(const struct pci_dev *p, const struct pci_msi *msi)
{
	unsigned off = p->cap_msix + MSG_CONTROL;
	unsigned control = pci_cfg_read16(p, off) & ~(unsigned)MSIX_MASK_ALL;

	/* All masked as a whole, until each is masked by itself. */
	pci_cfg_write16(p, off, (uint16_t)(control | MSIX_ENABLE | MSIX_MASK_ALL));
	for (unsigned i = 0, n = msix_size(p); i < n; i++)
		mmio_write32(
		    msi->table, i * (size_t)ENTRY_SIZE + ENTRY_CONTROL, ENTRY_MASKED);
	pci_cfg_write16(p, off, (uint16_t)(control | MSIX_ENABLE));
}

/* ---- Both -------------------------------------------------------------------------- */

static struct pci_msi *
new_msi(struct pci_dev *p, unsigned num, bool is_msix)
{
	struct pci_msi *msi =
	    kzalloc(sizeof(*msi) + num * (size_t)sizeof(msi->messages[0]));

	if (!msi)
		return NULL;
	msi->num = num;
	for (unsigned i = 0; i < num; i++)
		msi->messages[i] = (struct message){
		    .irq.write = is_msix ? msix_write : msi_write,
		    .irq.set_mask = is_msix ? msix_set_mask : msi_set_mask,
		    .p = p,
		    .index = i,
		};
	return msi;
}

static enum err
alloc_msix(struct pci_dev *p, unsigned want)
{
	unsigned num = MIN(want, msix_size(p));
	struct pci_msi *msi = new_msi(p, num, true);

	if (!msi)
		return ERR_NOMEM;
	msi->table = map_table(p);
	if (!msi->table) {
		kfree(msi);
		return ERR_NODEV;
	}
	msix_enable(p, msi);
	p->msi = msi;
	p->dev.irq_kind = DEV_IRQ_MSIX;
	p->dev.num_irqs = num;
	return OK;
}

static enum err
alloc_msi(struct pci_dev *p)
{
	struct pci_msi *msi = new_msi(p, 1, false);

	if (!msi)
		return ERR_NOMEM;
	p->msi = msi;
	p->dev.irq_kind = DEV_IRQ_MSI;
	p->dev.num_irqs = 1;
	msi_set_mask(&msi->messages[0].irq, true);
	return OK;
}

enum err
pci_msi_alloc(struct pci_dev *p, unsigned want, unsigned kinds)
{
	enum err err = ERR_NODEV;

	if (cmdline_has("nomsi"))
		return ERR_NODEV;
	if (p->cap_msix && kinds & DEV_IRQ_MSIX && !cmdline_has("nomsix"))
		err = alloc_msix(p, want);
	if (err != OK && p->cap_msi && kinds & DEV_IRQ_MSI)
		err = alloc_msi(p);
	if (err != OK)
		return err;
	pci_cfg_write16(p, PCI_COMMAND,
	    (uint16_t)(pci_cfg_read16(p, PCI_COMMAND) | PCI_COMMAND_INTX_OFF));
	log_debug("%s: %u of %s", p->dev.name, p->dev.num_irqs,
	    p->msi->table ? "MSI-X" : "MSI");
	return OK;
}

void
pci_msi_free(struct pci_dev *p)
{
	struct pci_msi *msi = p->msi;

	if (msi->table) {
		unsigned off = p->cap_msix + MSG_CONTROL;

		pci_cfg_write16(
		    p, off, (uint16_t)(pci_cfg_read16(p, off) & ~(unsigned)MSIX_ENABLE));
		iounmap(msi->table);
	} else {
		msi_set_mask(&msi->messages[0].irq, true);
	}
	p->msi = NULL;
	kfree(msi);
}

enum err
pci_msi_request(
    struct pci_dev *p, unsigned index, const struct dev_irq *r, struct irq **out)
{
	return irq_request_msi(
	    &p->msi->messages[index].irq, r->cpu, r->name, r->fn, r->arg, out);
}
