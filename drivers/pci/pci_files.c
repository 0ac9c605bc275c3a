/*
 * What programs (lspci, libpci) read of PCI: /proc/bus/pci/devices, one line for each function;
 * /proc/bus/pci/BUS/SLOT.FN, its configuration space; and /sys/bus/pci/devices/NAME/, in Linux's formats
 * (Linux's Documentation/ABI/testing/sysfs-bus-pci). Reading configuration space beyond the header takes
 * CAP_SYS_ADMIN, since some devices stumble over it. The files of a function stay for ever, as it does.
 */
#include "drivers/pci/pci_priv.h"
#include "kernel/proc/cred.h"
#include "kernel/procfs.h"
#include "lib/fmt.h"
#include "mm/slab.h"

enum { HEADER_SIZE = 64, CONVENTIONAL_SIZE = 256, EXTENDED_SIZE = 4096 };

/* ---- /proc/bus/pci/devices --------------------------------------------------------- */

static unsigned long
range_flags(const struct dev_bar *b)
{
	return (b->is_port ? 1u : 0) | (b->is_64bit ? 4u : 0) |
	       (b->is_prefetchable ? 8u : 0);
}

/* Linux: six BARs and the ROM, first where (low bits as in the BAR), then how large. */
static void
show_device(struct device *dev, void *arg)
{
	const struct pci_dev *p = to_pci(dev);
	struct seq *seq = arg;

	seq_printf(seq, "%02x%02x\t%04x%04x\t%x", p->addr.bus,
	    p->addr.slot << 3 | p->addr.fn, p->vendor, p->device, p->line);
	for (unsigned i = 0; i <= DEV_MAX_BARS; i++) {
		const struct dev_bar *b = i < DEV_MAX_BARS ? &dev->bars[i] : &p->rom;

		seq_printf(seq, "\t%16lx", b->size ? b->base | range_flags(b) : 0);
	}
	for (unsigned i = 0; i <= DEV_MAX_BARS; i++)
		seq_printf(
		    seq, "\t%16lx", i < DEV_MAX_BARS ? dev->bars[i].size : p->rom.size);
	seq_printf(seq, "\t%s\n", dev->driver ? dev->driver->name : "");
}

static void
show_devices(struct seq *seq)
{
	dev_for_each(show_device, seq);
}

/* ---- Configuration space ------------------------------------------------------------ */

static unsigned
config_size(const struct pci_dev *p)
{
	if (!capable(CAP_SYS_ADMIN))
		return HEADER_SIZE;
	return pci_cfg_read32(p, PCI_EXT_CAPABILITIES) != UINT32_MAX ? EXTENDED_SIZE
	                                                             : CONVENTIONAL_SIZE;
}

static void
show_config(struct seq *seq)
{
	const struct pci_dev *p = seq->private;
	unsigned size = config_size(p);

	for (unsigned off = 0; off < size; off += sizeof(uint32_t)) {
		uint32_t v = pci_cfg_read32(p, off);

		seq_write(seq, &v, sizeof(v));
	}
}

/* ---- /sys/bus/pci/devices/NAME/ ----------------------------------------------------- */

static void
show_vendor(struct seq *seq)
{
	seq_printf(seq, "0x%04x\n", ((const struct pci_dev *)seq->private)->vendor);
}

static void
show_device_id(struct seq *seq)
{
	seq_printf(seq, "0x%04x\n", ((const struct pci_dev *)seq->private)->device);
}

static void
show_subvendor(struct seq *seq)
{
	seq_printf(seq, "0x%04x\n", ((const struct pci_dev *)seq->private)->subvendor);
}

static void
show_subdevice(struct seq *seq)
{
	seq_printf(seq, "0x%04x\n", ((const struct pci_dev *)seq->private)->subdevice);
}

static void
show_class(struct seq *seq)
{
	seq_printf(seq, "0x%06x\n", ((const struct pci_dev *)seq->private)->class);
}

static void
show_revision(struct seq *seq)
{
	seq_printf(seq, "0x%02x\n", ((const struct pci_dev *)seq->private)->revision);
}

static void
show_irq(struct seq *seq)
{
	const struct pci_dev *p = seq->private;

	seq_printf(seq, "%u\n", p->pin ? p->line : 0);
}

static void
show_enable(struct seq *seq)
{
	seq_printf(
	    seq, "%u\n", ((const struct pci_dev *)seq->private)->dev.driver != NULL);
}

static void
show_node(struct seq *seq)
{
	seq_puts(seq, "-1\n"); /* no table says which */
}

static void
show_modalias(struct seq *seq)
{
	const struct pci_dev *p = seq->private;

	seq_printf(seq, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", p->vendor,
	    p->device, p->subvendor, p->subdevice, p->class >> 16, p->class >> 8 & 0xff,
	    p->class & 0xff);
}

/* First and last address and Linux's resource flags (its include/linux/ioport.h) of one range. */
static void
show_range(struct seq *seq, const struct dev_bar *b, bool is_rom)
{
	enum {
		IO = 0x100,
		MEMORY = 0x200,
		PREFETCH = 0x2000,
		READ_ONLY = 0x4000,
		SIZE_ALIGN = 0x40000,
		WIDE = 0x100000,
	};
	unsigned long flags = range_flags(b) | SIZE_ALIGN | (b->is_port ? IO : MEMORY);

	if (b->is_prefetchable)
		flags |= PREFETCH;
	if (b->is_64bit)
		flags |= WIDE;
	if (is_rom)
		flags |= READ_ONLY | PREFETCH;
	if (b->size)
		seq_printf(seq, "0x%016lx 0x%016lx 0x%016lx\n", b->base,
		    b->base + b->size - 1, flags);
	else
		seq_printf(seq, "0x%016lx 0x%016lx 0x%016lx\n", 0ul, 0ul, 0ul);
}

static void
show_resource(struct seq *seq)
{
	enum { NUM_IOV = 6 }; /* ranges of virtual functions, which nobody turns on */
	const struct pci_dev *p = seq->private;

	for (unsigned i = 0; i < DEV_MAX_BARS; i++)
		show_range(seq, &p->dev.bars[i], false);
	show_range(seq, &p->rom, true);
	for (unsigned i = 0; i < NUM_IOV; i++)
		seq_puts(
		    seq, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
}

static const struct {
	const char *name;
	void (*show)(struct seq *);
} files[] = {
    {"class", show_class},
    {"config", show_config},
    {"device", show_device_id},
    {"enable", show_enable},
    {"irq", show_irq},
    {"modalias", show_modalias},
    {"numa_node", show_node},
    {"resource", show_resource},
    {"revision", show_revision},
    {"subsystem_device", show_subdevice},
    {"subsystem_vendor", show_subvendor},
    {"vendor", show_vendor},
};

static enum err
register_proc(const char *name, void (*show)(struct seq *), void *private)
{
	return proc_register_private(name, show, NULL, private);
}

/* Without memory a file is missing. */
static void
add(enum err (*enter)(const char *, void (*)(struct seq *), void *), const char *path,
    void (*show)(struct seq *), struct pci_dev *p)
{
	char *kept = kstrdup(path);

	if (kept && enter(kept, show, p) != OK)
		kfree(kept);
}

static void
add_files(struct device *dev, void *arg)
{
	struct pci_dev *p = to_pci(dev);
	char path[64];

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		scnprintf(path, sizeof(path), "bus/pci/devices/%s/%s", dev->name,
		    files[i].name);
		add(sysfs_register_private, path, files[i].show, p);
	}
	/* Linux names a bus with its segment where there is more than the first. */
	if (p->addr.segment)
		scnprintf(path, sizeof(path), "bus/pci/%04x:%02x/%02x.%x",
		    p->addr.segment, p->addr.bus, p->addr.slot, p->addr.fn);
	else
		scnprintf(path, sizeof(path), "bus/pci/%02x/%02x.%x", p->addr.bus,
		    p->addr.slot, p->addr.fn);
	add(register_proc, path, show_config, p);
}

void
pci_files_init(void)
{
	(void)proc_register("bus/pci/devices", show_devices); /* no memory: missing */
	dev_for_each(add_files, NULL);
}
