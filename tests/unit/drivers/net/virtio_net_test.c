/*
 * The whole virtio network driver on a register-level model (tests/models/virtio_net_model.h),
 * honest, faulty and hostile. LINK: drivers/net/virtio_net.c drivers/net/virtio_net_ctrl.c
 * drivers/net/virtio_net_data.c drivers/virtio/virtio.c drivers/virtio/ring.c
 * tests/models/virtio_net_model.c tests/models/virtio_device.c net/pkt.c net/pkt_data.c
 * net/drops.c lib/inet_csum.c lib/string.c lib/fmt.c mm/uio.c fs/seq.c tests/fakes/percpu.c
 * tests/fakes/spinlock.c tests/fakes/mutex.c tests/fakes/kmalloc.c tests/fakes/frames.c
 * tests/fakes/panic.c
 * tests/fakes/no_user.c tests/fakes/no_proc.c tests/fakes/clock.c tests/fakes/rcu.c
 */
#include "drivers/net/virtio_net_priv.h"
#include "drivers/pci/pci.h"
#include "kernel/random.h"
#include "kernel/sched/thread.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/ether.h"
#include "tests/fakes/fakes.h"
#include "tests/models/virtio_net_model.h"
#include "tests/unit/ktest.h"

/* The linker set holds the driver alone; its name is in the entry that DRIVER makes. */
__asm__(".section .set.drivers,\"aw\"\n.globl first_driver\nfirst_driver:\n.text");
extern const struct driver *const first_driver[];

/* ---- The machine ---- */

enum { REGS = 0x100000, CAPS_AT = 0x40, CAP_LEN = 20, KEEP = 64, MAX_DMAS = 32 };

static const uint64_t all_features =
    1ull << VNET_F_CSUM | 1ull << VNET_F_GUEST_CSUM | 1ull << VNET_F_MAC |
    1ull << VNET_F_GUEST_TSO4 | 1ull << VNET_F_GUEST_TSO6 | 1ull << VNET_F_HOST_TSO4 |
    1ull << VNET_F_HOST_TSO6 | 1ull << VNET_F_MRG_RXBUF | 1ull << VNET_F_STATUS |
    1ull << VNET_F_CTRL_VQ | 1ull << VNET_F_CTRL_RX | 1ull << VNET_F_CTRL_VLAN |
    1ull << VNET_F_CTRL_MAC_ADDR | 1ull << VNET_F_GUEST_ANNOUNCE |
    1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX |
    1ull << VIRTIO_F_VERSION_1;

static struct virtio_net_model model;
static struct pci_dev pci;
static const struct driver *driver;
static struct netdev *nd;
static struct pkt *received[KEEP];
static unsigned num_received, num_announced, num_wakes;
static struct net_work *config_queue;
static struct dma_buf dmas[MAX_DMAS];
static unsigned dma_fail_in, max_irqs;
static irq_handler handlers[8];
static void *handler_args[8];
static uint8_t config_space[256];
static long base_objects, base_frames;

struct mutex rtnl_mutex = MUTEX_INIT(rtnl_mutex, "rtnl", RANK_RTNL);

static void *
at(uint64_t addr)
{
	return phys_to_virt(addr);
}

uint64_t
fake_mmio_read(const volatile void *base, size_t off, unsigned size)
{
	fake_now_ns += 10 * NSEC_PER_USEC;
	return vnm_read(&model, (unsigned)((uintptr_t)base + off - REGS), size);
}

void
fake_mmio_write(volatile void *base, size_t off, unsigned size, uint64_t v)
{
	vnm_write(&model, (unsigned)((uintptr_t)base + off - REGS), size, v);
}

void
thread_sleep_ns(nsec_t ns)
{
	struct net_work *w = config_queue;

	fake_now_ns += ns;
	config_queue = NULL;
	if (w) {
		w->is_queued = 0;
		w->fn(w);
	}
}

void
random_bytes(void *buf, size_t n)
{
	memset(buf, 0x5f, n);
}

uint8_t
pci_cfg_read8(const struct pci_dev *p, unsigned off)
{
	return config_space[off];
}

uint32_t
pci_cfg_read32(const struct pci_dev *p, unsigned off)
{
	uint32_t v;

	memcpy(&v, config_space + off, 4);
	return v;
}

unsigned
pci_find_cap(const struct pci_dev *p, unsigned id, unsigned after)
{
	unsigned next = after ? after + CAP_LEN : CAPS_AT;

	return config_space[next] == id ? next : 0;
}

/* struct virtio_pci_cap, 4.1.4 */
static void
put_cap(unsigned n, unsigned type, unsigned bar, uint32_t off, uint32_t len)
{
	uint8_t *c = config_space + CAPS_AT + n * CAP_LEN;
	uint32_t multiplier = VNM_NOTIFY_MULTIPLIER;

	c[0] = PCI_CAP_VENDOR;
	c[3] = (uint8_t)type;
	c[4] = (uint8_t)bar;
	memcpy(c + 8, &off, 4);
	memcpy(c + 12, &len, 4);
	memcpy(c + 16, &multiplier, 4);
}

/* ---- The device core and the stack ---- */

enum err
dev_map_bar(struct device *dev, unsigned bar, volatile void **out)
{
	*out = (volatile void *)REGS;
	return OK;
}

void
dev_enable_dma(struct device *dev)
{
	dev->has_dma = true;
}

enum err
dev_dma_alloc(struct device *dev, struct dma_buf *buf, size_t size, size_t align)
{
	unsigned order = 0, i = 0;
	struct page *pg;

	if (dma_fail_in && --dma_fail_in == 0)
		return ERR_NOMEM;
	while (((size_t)PAGE_SIZE << order) < size)
		order++;
	while (i < MAX_DMAS && dmas[i].cpu)
		i++;
	pg = i < MAX_DMAS ? page_alloc(order, ALLOC_ZERO) : NULL;
	if (!pg)
		return ERR_NOMEM;
	*buf = dmas[i] = (struct dma_buf){page_to_virt(pg), page_to_phys(pg), size};
	return OK;
}

void
dev_dma_free(struct device *dev, struct dma_buf *buf)
{
	for (unsigned i = 0; i < MAX_DMAS; i++)
		if (dmas[i].cpu && dmas[i].addr == buf->addr) {
			struct page *pg = virt_to_page(dmas[i].cpu);

			page_free(pg, pg->order);
			dmas[i] = *buf = (struct dma_buf){0};
			return;
		}
}

enum err
dev_irq_alloc(struct device *dev, unsigned want, unsigned kinds)
{
	dev->irq_kind = max_irqs ? DEV_IRQ_MSIX : DEV_IRQ_INTX;
	dev->num_irqs = max_irqs ? MIN(want, max_irqs) : 1;
	return OK;
}

enum err
dev_irq_request(
    struct device *dev, unsigned index, irq_handler fn, void *arg, unsigned cpu)
{
	handlers[index] = fn;
	handler_args[index] = arg;
	return OK;
}

struct netdev *
netdev_alloc(unsigned num_queues)
{
	struct netdev *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->queues = kcalloc(num_queues, sizeof(n->queues[0]));
	if (!n->queues) {
		kfree(n);
		return NULL;
	}
	n->num_queues = num_queues;
	n->mtu = 1500;
	for (unsigned i = 0; i < num_queues; i++) {
		n->queues[i].dev = n;
		n->queues[i].index = i;
		spin_init(&n->queues[i].tx_lock, "queue", RANK_NET_QUEUE);
	}
	return n;
}

void
netdev_free(struct netdev *n)
{
	kfree(n->queues);
	kfree(n);
}

enum err
netdev_register(struct netdev *n, const char *name)
{
	memcpy(n->name, "eth0", 5);
	nd = n;
	return OK;
}

void
netdev_unregister(struct netdev *n)
{
	if (n->flags & NETDEV_UP)
		n->ops->down(n);
	netdev_free(n);
	nd = NULL;
}

void
netdev_schedule(struct netdev_queue *q)
{
	q->is_scheduled = 1;
}

void
netdev_input(struct netdev_queue *q, struct pkt *p)
{
	if (num_received < KEEP)
		received[num_received++] = p;
	else
		pkt_free(p);
}

void
netdev_tx_wake(struct netdev_queue *q)
{
	num_wakes++;
}

void
netdev_link_change(struct netdev *n, bool has_link, uint32_t speed, bool is_full)
{
	n->has_link = has_link;
}

void
netdev_announce(struct netdev *n)
{
	num_announced++;
}

void
netdev_for_each_mc(
    struct netdev *n, void (*fn)(void *arg, const uint8_t mac[ETH_ALEN]), void *arg)
{
	fn(arg, (const uint8_t[]){1, 0, 0x5e, 0, 0, 1});
}

void
net_config_queue(struct net_work *w)
{
	config_queue = w;
}

void
net_sync(void)
{
}

void
net_timer_init(struct net_timer *t, void (*fn)(struct net_timer *))
{
	t->fn = fn;
}

static struct net_timer *armed;

void
net_timer_arm(struct net_timer *t, nsec_t expires_ns)
{
	armed = t;
}

void
net_timer_cancel_sync(struct net_timer *t)
{
	if (armed == t)
		armed = NULL;
}

/* ---- Life ---- */

static void
machine(uint64_t features)
{
	static bool is_ready;
	static const uint8_t mac[] = {0x52, 0x54, 0, 1, 2, 3};

	if (!is_ready)
		pkt_init();
	is_ready = true;
	fake_log_is_quiet = true;
	page_array_frames = GIB(8) >> PAGE_SHIFT;
	base_objects = fake_kmalloc_live;
	base_frames = fake_frames_live;
	vnm_init(&model, features, at);
	memcpy(model.config, mac, sizeof(mac));
	model.config[VNET_CONFIG_STATUS] = VNET_S_LINK_UP;
	memset(&pci, 0, sizeof(pci));
	memset(config_space, 0, sizeof(config_space));
	pci.dev.bars[4].size = VNM_BAR_SIZE;
	put_cap(0, 1, 4, VNM_COMMON, 0x38);
	put_cap(1, 3, 4, VNM_ISR, 1);
	put_cap(2, 4, 4, VNM_CONFIG, 32);
	put_cap(3, 2, 4, VNM_NOTIFY, 0x1000);
	max_irqs = 3;
	num_received = num_announced = num_wakes = dma_fail_in = 0;
	config_queue = NULL;
	armed = NULL;
	nd = NULL;
}

/* The sanitizer keeps entries apart: what lies between is zero. */
__attribute__((no_sanitize("address"))) static const struct driver *
find_driver(void)
{
	const struct driver *const *d = first_driver;

	while (!*d)
		d++;
	return *d;
}

static void
give_back(void)
{
	for (unsigned i = 0; i < MAX_DMAS; i++)
		if (dmas[i].cpu) {
			struct dma_buf b = dmas[i];

			dev_dma_free(&pci.dev, &b);
		}
	kfree(pci.dev.state);
	pci.dev.state = NULL;
	memset(handlers, 0, sizeof(handlers));
}

static enum err
attach(void)
{
	enum err err;

	driver = find_driver();
	pci.dev.driver = driver;
	pci.dev.state = kzalloc(driver->state_size);
	if (!pci.dev.state)
		return ERR_NOMEM;
	err = driver->attach(&pci.dev);
	if (err != OK)
		give_back();
	return err;
}

static enum err
up(void)
{
	enum err err;

	mutex_lock(&rtnl_mutex);
	err = nd->ops->up(nd);
	if (err == OK)
		nd->flags |= NETDEV_UP;
	mutex_unlock(&rtnl_mutex);
	return err;
}

static bool
start(uint64_t features)
{
	machine(features);
	return attach() == OK && up() == OK && nd->has_link;
}

/* All gone, nothing leaked, nothing forbidden done. */
static bool
end(void)
{
	if (nd)
		driver->detach(&pci.dev);
	give_back();
	while (num_received)
		pkt_free(received[--num_received]);
	vnm_fini(&model);
	return !model.violation && fake_kmalloc_live == base_objects &&
	       fake_frames_live == base_frames;
}

/* Interrupts, polls, the configuration thread, until nothing happens. */
static void
settle(void)
{
	bool happened = true;

	for (unsigned i = 0; happened && i < 100; i++) {
		happened = false;
		for (unsigned v = 0; v < 8; v++)
			if (model.pending >> v & 1 && handlers[v]) {
				model.pending &= ~(1u << v);
				(void)handlers[v](handler_args[v]);
				happened = true;
			}
		for (unsigned n = 0; nd && n < nd->num_queues; n++)
			if (nd->queues[n].is_scheduled) {
				nd->queues[n].is_scheduled = 0;
				(void)nd->ops->poll(&nd->queues[n], 64);
				happened = true;
			}
		if (config_queue) {
			thread_sleep_ns(1);
			happened = true;
		}
	}
}

static struct pkt *
packet(unsigned len, unsigned seed)
{
	struct pkt *p = pkt_alloc(len);
	uint8_t *b = pkt_put(p, len);

	for (unsigned i = 0; i < len; i++)
		b[i] = (uint8_t)(i * 7 + seed);
	return p;
}

static enum err
send(struct pkt *p)
{
	enum err err;

	spin_lock(&nd->queues[0].tx_lock);
	err = nd->ops->send(&nd->queues[0], p);
	spin_unlock(&nd->queues[0].tx_lock);
	return err;
}

static bool
receive(const uint8_t hdr[VNM_HDR], uint32_t len)
{
	static uint8_t frame[VNM_FRAME];

	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 3 + i / 256);
	return vnm_receive(&model, 0, hdr, frame, len);
}

static bool
is_frame(const struct pkt *p, uint32_t len)
{
	if (pkt_len(p) != len)
		return false;
	for (uint32_t i = 0; i < len; i++) {
		uint8_t b;

		if (!pkt_read(p, i, &b, 1) || b != (uint8_t)(i * 3 + i / 256))
			return false;
	}
	return true;
}

static const uint8_t plain[VNM_HDR];

/* ---- Attach ---- */

KTEST(vnet_negotiates_reads_its_address_and_comes_and_goes)
{
	CHECK(start(all_features));
	CHECK(nd->mac[0] == 0x52 && nd->mac[5] == 3);
	CHECK_EQ(model.accepted, all_features);
	CHECK(
	    (nd->features & (NETDEV_TSO4 | NETDEV_TSO6 | NETDEV_CSUM_ANY | NETDEV_SG)) ==
	    (NETDEV_TSO4 | NETDEV_TSO6 | NETDEV_CSUM_ANY | NETDEV_SG));
	CHECK_EQ(model.status, 15);
	CHECK(end());
}

KTEST(vnet_does_without_any_single_feature)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		if (!(all_features >> bit & 1))
			continue;
		CHECK(start(all_features & ~(1ull << bit)));
		CHECK(receive(plain, 100));
		CHECK_EQ(send(packet(100, 1)), OK);
		settle();
		CHECK(num_received == 1 && is_frame(received[0], 100));
		CHECK_EQ(model.num_sent, 1);
		CHECK(end());
	}
}

KTEST(vnet_refuses_a_device_without_version_1_or_that_refuses_us)
{
	machine(all_features & ~(1ull << VIRTIO_F_VERSION_1));
	CHECK_EQ(attach(), ERR_OPNOTSUPP);
	CHECK(end());
	machine(all_features);
	model.refuses_features = true;
	CHECK_EQ(attach(), ERR_OPNOTSUPP);
	CHECK(end());
	machine(all_features);
	model.stays_in_reset = true;
	model.status = 1;
	CHECK_EQ(attach(), ERR_IO);
	CHECK(end());
}

KTEST(vnet_refuses_structures_outside_their_bar)
{
	static const uint32_t bad[][3] = {/* BAR, offset, length */
	    {4, VNM_BAR_SIZE - 8, 0x38}, {4, 0xfffffff0, 0x38}, {6, 0, 0x38}, {4, 0, 8},
	    {1, 0, 0x38}};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		machine(all_features);
		put_cap(0, 1, bad[i][0], bad[i][1], bad[i][2]);
		CHECK_EQ(attach(), ERR_NODEV);
		CHECK(end());
	}
	machine(all_features);
	put_cap(3, 2, 4, VNM_NOTIFY, 2); /* room for the first doorbell only */
	CHECK_EQ(attach(), OK);
	CHECK_EQ(up(), ERR_NODEV);
	CHECK(end());
}

KTEST(vnet_up_fails_cleanly_when_vectors_are_refused)
{
	machine(all_features);
	CHECK_EQ(attach(), OK);
	model.refuses_vectors = true;
	CHECK_EQ(up(), ERR_IO);
	model.refuses_vectors = false;
	CHECK_EQ(up(), OK);
	CHECK(end());
}

KTEST(vnet_survives_every_failed_allocation)
{
	for (unsigned n = 1; n < 12; n++) {
		machine(all_features);
		fake_kmalloc_fail_nth(n);
		if (attach() == OK)
			(void)!up(); /* with fewer buffers, or not at all */
		fake_kmalloc_fail_nth(0);
		CHECK(end());
	}
	for (unsigned n = 1; n < 5; n++) {
		machine(all_features);
		dma_fail_in = n;
		if (attach() == OK)
			CHECK_EQ(up(), ERR_NOMEM);
		CHECK(end());
	}
}

/* ---- Receive ---- */

KTEST(vnet_receives_small_and_large_frames_with_all_kinds_of_interrupt)
{
	static const uint32_t lens[] = {14, 60, 1514, 2036, 2037, 9014, 65549};

	for (max_irqs = 0; max_irqs < 3; max_irqs++) {
		unsigned irqs = max_irqs;

		machine(all_features);
		max_irqs = irqs;
		CHECK(attach() == OK && up() == OK);
		for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
			CHECK(receive(plain, lens[i]));
			if (!irqs) { /* by line: the status says so */
				CHECK_EQ(handlers[0](handler_args[0]), IRQ_HANDLED);
				CHECK_EQ(handlers[0](handler_args[0]), IRQ_NONE);
			}
			settle();
			CHECK_EQ(num_received, 1);
			CHECK(is_frame(received[0], lens[i]));
			pkt_free(received[--num_received]);
		}
		CHECK(end());
		max_irqs = irqs;
	}
}

KTEST(vnet_keeps_its_ring_full_over_many_frames)
{
	CHECK(start(all_features));
	for (unsigned i = 0; i < 5000; i++) {
		CHECK(receive(plain, 60 + i % 3000));
		if (i % 7 == 0)
			settle();
		while (num_received)
			pkt_free(received[--num_received]);
	}
	settle();
	CHECK(end());
}

KTEST(vnet_short_frames_hold_little_memory)
{
	static const uint32_t lens[] = {14, 60, 244, 245, 1514};

	CHECK(start(all_features));
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		CHECK(receive(plain, lens[i]));
		settle();
		CHECK(num_received == 1 && is_frame(received[0], lens[i]));
		CHECK_EQ(received[0]->truesize < 1024, lens[i] <= 244);
		pkt_free(received[--num_received]);
	}
	CHECK(end());
}

KTEST(vnet_takes_longer_buffers_while_frames_are_long)
{
	static const struct {
		unsigned num;
		uint32_t len;
		unsigned buffers; /* of such a frame at the end */
	} phases[] = {{300, 60000, 8}, {600, 100, 1}, {300, 20000, 3}, {600, 1514, 1}};
	struct model_queue *ring;

	CHECK(start(all_features));
	ring = &model.queues[0].ring;
	for (unsigned i = 0; i < ARRAY_SIZE(phases); i++) {
		uint16_t before = 0;

		for (unsigned n = 0; n < phases[i].num; n++) {
			before = ring->last_avail;
			CHECK(receive(plain, phases[i].len));
			settle();
			CHECK(num_received == 1 && is_frame(received[0], phases[i].len));
			pkt_free(received[--num_received]);
		}
		CHECK_EQ((uint16_t)(ring->last_avail - before), phases[i].buffers);
	}
	CHECK(end());
}

KTEST(vnet_hands_up_checksum_and_segment_size)
{
	uint8_t hdr[VNM_HDR] = {
	    VNET_HDR_NEEDS_CSUM, VNET_GSO_TCP4, 54, 0, 0xa8, 5, 34, 0, 16, 0};

	CHECK(start(all_features));
	CHECK(receive(hdr, 3000)); /* gso_size 1448, csum at 34 + 16 */
	hdr[0] = VNET_HDR_DATA_VALID;
	hdr[1] = 0;
	CHECK(receive(hdr, 100));
	settle();
	CHECK_EQ(num_received, 2);
	CHECK(received[0]->flags & PKT_CSUM_PARTIAL);
	CHECK_EQ(received[0]->head + received[0]->csum_start - received[0]->data, 34);
	CHECK_EQ(received[0]->csum_offset, 16);
	CHECK(received[0]->gso_type == PKT_GSO_TCP4 && received[0]->gso_size == 1448);
	CHECK((received[1]->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL)) == PKT_CSUM_OK);
	CHECK(end());
}

KTEST(vnet_counts_headers_that_cannot_be)
{
	static const uint8_t bad[][VNM_HDR] = {
	    {VNET_HDR_NEEDS_CSUM, 0, 0, 0, 0, 0, 99, 0, 16, 0}, /* outside the frame */
	    {VNET_HDR_NEEDS_CSUM, 0, 0, 0, 0, 0, 255, 255, 255, 255}, /* far outside */
	    {VNET_HDR_NEEDS_CSUM, VNET_GSO_TCP4, 0, 0, 0, 0, 34, 0, 16, 0}, /* size 0 */
	    {0, VNET_GSO_TCP4, 0, 0, 0xa8, 5}, /* segments without a checksum to finish */
	    {VNET_HDR_NEEDS_CSUM, 77, 0, 0, 0xa8, 5, 34, 0, 16, 0}, /* unknown kind */
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0}, /* three buffers, but there is one */
	    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, /* more than the ring */
	};
	struct netdev_stats s = {0};

	CHECK(start(all_features));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(receive(bad[i], 100));
		settle();
		CHECK_EQ(num_received, 0);
	}
	nd->ops->get_stats(nd, &s);
	CHECK_EQ(s.rx_errors, ARRAY_SIZE(bad));
	CHECK(receive(plain, 100));
	settle();
	CHECK_EQ(num_received, 1);
	CHECK(end());
}

/* ---- Transmit ---- */

KTEST(vnet_sends_frames_with_what_the_device_is_to_do)
{
	struct page *pg;
	struct pkt *p;
	uint16_t v[4];

	CHECK(start(all_features));
	pg = page_alloc(0, ALLOC_ZERO);
	CHECK(pg != NULL);
	CHECK_EQ(send(packet(60, 1)), OK);
	p = packet(54, 2);
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = (uint16_t)(p->data - p->head + 34);
	p->csum_offset = 16;
	p->gso_type = PKT_GSO_TCP6;
	p->gso_size = 1440;
	p->data[34 + 12] = 5 << 4;
	for (unsigned i = 0; i < 3; i++)
		CHECK(pkt_add_frag(p, page_get(pg), i * 1300, 1000));
	CHECK_EQ(send(p), OK);
	settle();
	CHECK_EQ(model.num_sent, 2);
	CHECK(model.sent[0]->len == 60 &&
	      model.sent[0]->bytes[59] == (uint8_t)(59 * 7 + 1));
	CHECK(model.sent[0]->hdr[0] == 0 && model.sent[0]->hdr[1] == 0);
	memcpy(v, model.sent[1]->hdr + 2, sizeof(v));
	CHECK(model.sent[1]->len == 3054 && model.sent[1]->hdr[0] == VNET_HDR_NEEDS_CSUM);
	CHECK(model.sent[1]->hdr[1] == VNET_GSO_TCP6 && v[0] == 54 && v[1] == 1440);
	CHECK(v[2] == 34 && v[3] == 16);
	nd->ops->down(nd); /* frees what was sent */
	nd->flags &= ~(uint32_t)NETDEV_UP;
	page_put(pg);
	CHECK(end());
}

KTEST(vnet_full_ring_is_busy_until_the_device_goes_on)
{
	unsigned n = 0;
	struct pkt *p;

	CHECK(start(all_features));
	model.is_stuck = true;
	while ((p = packet(60, n)) && send(p) == OK && n < 1000)
		n++;
	CHECK_EQ(n, 128); /* two descriptors each */
	model.is_stuck = false;
	vnm_run(&model);
	CHECK_EQ(send(p), OK); /* room was made by looking */
	settle();
	CHECK(num_wakes > 0);
	CHECK_EQ(model.num_sent, 129);
	CHECK(end());
}

KTEST(vnet_works_with_rings_of_any_size_and_drops_what_never_fits)
{
	for (unsigned size = 1; size <= 64; size *= 2) {
		struct page *pg;
		struct pkt *p;

		machine(all_features & ~(1ull << VIRTIO_F_INDIRECT_DESC) &
		        ~(1ull << VNET_F_CTRL_VQ));
		model.max_size = (uint16_t)size;
		CHECK(attach() == OK && up() == OK);
		for (unsigned i = 0; i < 100; i++) {
			CHECK(receive(plain, 1000));
			settle();
			CHECK(num_received == 1);
			pkt_free(received[--num_received]);
			if (size >= 2)
				CHECK_EQ(send(packet(60, i)), OK);
			settle();
		}
		pg = page_alloc(0, ALLOC_ZERO);
		p = packet(54, 2);
		for (unsigned i = 0; i < PKT_MAX_FRAGS; i++)
			CHECK(pkt_add_frag(p, page_get(pg), i * 200, 100));
		while (armed) { /* what was sent is collected */
			struct net_timer *t = armed;

			armed = NULL;
			t->fn(t);
			settle();
		}
		CHECK_EQ(send(p), size >= 32 ? OK : ERR_MSGSIZE);
		mutex_lock(&rtnl_mutex);
		nd->ops->down(nd);
		mutex_unlock(&rtnl_mutex);
		nd->flags &= ~(uint32_t)NETDEV_UP;
		page_put(pg);
		CHECK(end());
	}
}

KTEST(vnet_sent_packets_are_freed_by_the_timer_when_nothing_interrupts)
{
	long before;

	CHECK(start(all_features));
	before = fake_kmalloc_live;
	CHECK_EQ(send(packet(60, 1)), OK);
	CHECK(armed && !nd->queues[0].is_scheduled && fake_kmalloc_live > before);
	armed->fn(armed);
	settle();
	CHECK_EQ(fake_kmalloc_live, before);
	CHECK(end());
}

/* ---- Commands and configuration ---- */

KTEST(vnet_tells_the_device_its_filters_and_address)
{
	CHECK(start(all_features));
	mutex_lock(&rtnl_mutex);
	model.num_commands = 0;
	nd->flags |= NETDEV_PROMISC;
	nd->ops->set_rx_mode(nd);
	CHECK_EQ(model.num_commands, 3); /* promiscuous, all multicast, table */
	CHECK(model.commands[2][0] == 1 && model.last_data[4] == 1);
	CHECK(model.last_data[8] == 1 && model.last_data[10] == 0x5e);
	CHECK_EQ(nd->ops->set_mac(nd, (const uint8_t[]){2, 0, 0, 0, 0, 9}), OK);
	CHECK(model.last_data[0] == 2 && model.last_data[5] == 9);
	CHECK_EQ(nd->ops->set_vlan(nd, 100, true), OK);
	CHECK_EQ(model.last_data[0], 100);
	nd->ops->down(nd);
	CHECK_EQ(nd->ops->up(nd), OK); /* a fresh device learns the VLAN again */
	CHECK_EQ(model.last_data[0], 100);
	mutex_unlock(&rtnl_mutex);
	CHECK(end());
}

KTEST(vnet_gives_no_more_commands_to_a_device_that_does_not_answer)
{
	CHECK(start(all_features));
	model.is_silent = true;
	mutex_lock(&rtnl_mutex);
	CHECK_EQ(nd->ops->set_mac(nd, (const uint8_t[]){2, 0, 0, 0, 0, 9}), ERR_TIMEDOUT);
	model.is_silent = false;
	CHECK_EQ(nd->ops->set_mac(nd, (const uint8_t[]){2, 0, 0, 0, 0, 9}), ERR_IO);
	nd->ops->down(nd);
	CHECK_EQ(nd->ops->up(nd), OK);
	CHECK_EQ(nd->ops->set_mac(nd, (const uint8_t[]){2, 0, 0, 0, 0, 9}), OK);
	mutex_unlock(&rtnl_mutex);
	CHECK(end());
}

KTEST(vnet_follows_link_and_announcements)
{
	CHECK(start(all_features));
	model.config[VNET_CONFIG_STATUS] = VNET_S_ANNOUNCE;
	model.pending |= 1;
	settle();
	CHECK(!nd->has_link && num_announced == 1);
	CHECK_EQ(
	    model.commands[(model.num_commands - 1) % VNM_KEEP][0], 3); /* acknowledged */
	model.config[VNET_CONFIG_STATUS] = VNET_S_LINK_UP;
	model.pending |= 1;
	settle();
	CHECK(nd->has_link && num_announced == 1);
	CHECK(end());
}

KTEST(vnet_device_that_asks_for_it_is_reset_and_goes_on)
{
	CHECK(start(all_features));
	model.status |= 64;
	model.pending |= 1;
	settle();
	CHECK_EQ(model.status, 15);
	CHECK(receive(plain, 100));
	settle();
	CHECK_EQ(num_received, 1);
	CHECK(end());
}

KTEST(vnet_hung_device_is_reset_and_goes_on)
{
	CHECK(start(all_features));
	model.is_stuck = true;
	for (unsigned i = 0; i < 50; i++)
		CHECK_EQ(send(packet(60, i)), OK);
	model.is_stuck = false;
	mutex_lock(&rtnl_mutex);
	nd->ops->tx_timeout(nd);
	mutex_unlock(&rtnl_mutex);
	CHECK_EQ(send(packet(60, 77)), OK);
	CHECK(receive(plain, 100));
	settle();
	CHECK(model.num_sent == 1 && num_received == 1);
	CHECK(end());
}

/* ---- A hostile device ---- */

/* It is off, its link down, it takes nothing; and starts anew when it is told to. */
static bool
is_off_and_revives(void)
{
	if (model.status != 0 || nd->has_link || send(packet(60, 1)) == OK)
		return false;
	settle();
	mutex_lock(&rtnl_mutex);
	nd->ops->down(nd);
	mutex_unlock(&rtnl_mutex);
	if (up() != OK || !nd->has_link || !receive(plain, 100))
		return false;
	settle();
	return num_received == 1;
}

KTEST(vnet_switches_off_a_device_that_lies)
{
	static const struct {
		unsigned queue;
		uint32_t id, len;
	} lies[] = {
	    {0, 256, 0}, {0, 0xffffffff, 60}, {0, 3, 100000}, {1, 5, 0}, {1, 300, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		CHECK(start(all_features));
		model.is_stuck = true;
		CHECK_EQ(send(packet(60, 1)), OK);
		vnm_lie(&model, lies[i].queue, lies[i].id, lies[i].len);
		model.is_stuck = false;
		settle();
		CHECK(is_off_and_revives());
		CHECK(end());
	}
}

/* Anything may come in headers and lengths: no crash, no leak. */
KTEST(vnet_survives_random_headers_and_used_rings)
{
	uint32_t seed = 1;

	for (unsigned round = 0; round < 200; round++) {
		bool has_lied = false;

		CHECK(start(all_features));
		for (unsigned i = 0; i < 100; i++) {
			uint8_t hdr[VNM_HDR];

			for (unsigned b = 0; b < VNM_HDR; b++) {
				seed = seed * 1664525 + 1013904223;
				hdr[b] =
				    b == 11 ? 0 : (uint8_t)(seed >> 24 & (seed >> 8));
			}
			/* Once it lied about buffers it must not write: nothing could stop it. */
			if (nd->has_link && !has_lied)
				(void)receive(hdr, seed >> 20 & 4095);
			if (nd->has_link && seed % 61 == 0) {
				has_lied = true;
				vnm_lie(
				    &model, seed >> 30, seed >> 12 & 0xff, seed & 0x3ff);
			}
			settle();
			while (num_received)
				pkt_free(received[--num_received]);
		}
		CHECK(end());
	}
}
