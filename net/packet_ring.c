/*
 * The ring is an unnamed file of zeros (as shared anonymous memory is), so that mapping, fork and
 * accounting are those of files; the kernel holds its pages and writes through the direct map.
 * It is cut into blocks, these into frames; a frame is a struct tpacket2_hdr, a struct
 * sockaddr_ll, room, the packet. The status word at its head passes it between kernel (0) and
 * reader (TP_STATUS_USER); it is written last. What a frame holds is the reader's to spoil:
 * nothing is read back but the status.
 */
#include "net/packet_ring.h"

#include "kernel/file.h"
#include "kernel/sync/spinlock.h"
#include "lib/string.h"
#include "mm/area.h"
#include "mm/filemap.h"
#include "mm/pagecache.h"
#include "mm/slab.h"
#include "net/pkt.h"

enum {
	ALIGNMENT = 16, /* TPACKET_ALIGNMENT */
	SOCKADDR_LL = 20,
	MIN_MAC = 16,
	MAX_BYTES = 64 << 20,
	STATUS_USER = 1,
};

struct tpacket2_hdr {
	uint32_t status, len, snaplen;
	uint16_t mac, net;
	uint32_t sec, nsec;
	uint16_t vlan_tci, vlan_tpid;
	uint8_t padding[4];
};
static_assert(sizeof(struct tpacket2_hdr) == TPACKET2_HEADER, "Linux's struct");

struct packet_ring {
	struct spinlock lock;
	struct file *memory;    /* [I] */
	struct page **pages;    /* [I] each a reference */
	size_t num_pages;       /* [I] */
	struct tpacket_req req; /* [I] */
	uint32_t reserve;       /* [I] */
	uint32_t per_block;     /* [I] frames in a block */
	uint32_t next;          /* [lock] frame to be written */
};

static bool
req_is_valid(const struct tpacket_req *r, uint32_t reserve)
{
	uint64_t min_frame = TPACKET2_HEADER + SOCKADDR_LL + MIN_MAC + reserve;

	return r->block_size && r->block_nr && r->frame_size && r->frame_nr &&
	       IS_ALIGNED(r->block_size, PAGE_SIZE) && r->frame_size >= min_frame &&
	       IS_ALIGNED(r->frame_size, ALIGNMENT) && r->frame_size <= r->block_size &&
	       (uint64_t)r->block_size * r->block_nr <= MAX_BYTES &&
	       (uint64_t)(r->block_size / r->frame_size) * r->block_nr == r->frame_nr;
}

static enum err
take_pages(struct packet_ring *ring)
{
	for (size_t i = 0; i < ring->num_pages; i++) {
		enum err err = page_cache_get(ring->memory->cache, i, &ring->pages[i]);

		if (err != OK)
			return err;
	}
	return OK;
}

enum err
packet_ring_create(
    const struct tpacket_req *req, uint32_t reserve, struct packet_ring **out)
{
	struct packet_ring *ring;
	size_t bytes = (size_t)req->block_size * req->block_nr;

	if (reserve > PAGE_SIZE || !req_is_valid(req, reserve))
		return ERR_INVAL;
	ring = kzalloc(sizeof(*ring));
	if (!ring)
		return ERR_NOMEM;
	spin_init(&ring->lock, "packet ring", RANK_SOCK_TAP);
	ring->req = *req;
	ring->reserve = reserve;
	ring->per_block = req->block_size / req->frame_size;
	ring->num_pages = bytes / PAGE_SIZE;
	ring->pages = kcalloc(ring->num_pages, sizeof(struct page *));
	ring->memory = shmem_file_create(bytes, true);
	if (!ring->pages || !ring->memory || take_pages(ring) != OK) {
		packet_ring_free(ring);
		return ERR_NOMEM;
	}
	*out = ring;
	return OK;
}

void
packet_ring_free(struct packet_ring *ring)
{
	if (!ring)
		return;
	for (size_t i = 0; ring->pages && i < ring->num_pages; i++)
		if (ring->pages[i])
			page_put(ring->pages[i]);
	kfree(ring->pages);
	if (ring->memory)
		file_put(ring->memory); /* mappings have references of their own */
	kfree(ring);
}

enum err
packet_ring_mmap(struct packet_ring *ring, struct area *area)
{
	if (area->file_page || area->end - area->start != ring->num_pages * PAGE_SIZE)
		return ERR_INVAL;
	file_get(ring->memory);
	file_put(area->file);
	area->file = ring->memory;
	area->ops = &filemap_area_ops;
	return OK;
}

/* ---- Frames --------------------------------------------------------------------------------- */

static size_t
frame_offset(const struct packet_ring *ring, uint32_t frame)
{
	return (size_t)(frame / ring->per_block) * ring->req.block_size +
	       (size_t)(frame % ring->per_block) * ring->req.frame_size;
}

/* Frames begin at multiples of 16: the word does not cross a page. */
static uint32_t *
status_of(const struct packet_ring *ring, uint32_t frame)
{
	size_t off = frame_offset(ring, frame);
	uint8_t *page = page_to_virt(ring->pages[off / PAGE_SIZE]);

	return (uint32_t *)(page + off % PAGE_SIZE);
}

/* Copies into the ring, page by page: from memory, or from the packet. */
static void
copy_in(
    struct packet_ring *ring, size_t off, const void *from, const struct pkt *p, size_t n)
{
	for (size_t done = 0, step; done < n; done += step) {
		size_t at = off + done;
		uint8_t *to =
		    (uint8_t *)page_to_virt(ring->pages[at / PAGE_SIZE]) + at % PAGE_SIZE;

		step = MIN(n - done, PAGE_SIZE - at % PAGE_SIZE);
		if (from)
			memcpy(to, (const uint8_t *)from + done, step);
		else if (!pkt_read(p, done, to, step))
			return;
	}
}

bool
packet_ring_put(struct packet_ring *ring, const struct pkt *p, const struct ring_frame *f)
{
	size_t net = ALIGN_UP((size_t)TPACKET2_HEADER + SOCKADDR_LL +
	                          MAX(f->maclen, (uint32_t)MIN_MAC),
	                 ALIGNMENT) +
	             ring->reserve;
	size_t mac = net - f->maclen;
	struct tpacket2_hdr h = {.status = f->status,
	    .len = f->len,
	    .mac = (uint16_t)mac,
	    .net = (uint16_t)net,
	    .sec = (uint32_t)(f->wall_ns / (int64_t)NSEC_PER_SEC),
	    .nsec = (uint32_t)(f->wall_ns % (int64_t)NSEC_PER_SEC),
	    .vlan_tci = f->vlan_tci,
	    .vlan_tpid = f->vlan_tpid};
	size_t off;
	uint32_t frame;

	if (mac >= ring->req.frame_size)
		return false;
	h.snaplen = (uint32_t)MIN(f->snaplen, ring->req.frame_size - mac);
	spin_lock(&ring->lock);
	frame = ring->next;
	if (__atomic_load_n(status_of(ring, frame), __ATOMIC_ACQUIRE)) {
		spin_unlock(&ring->lock);
		return false;
	}
	ring->next = (frame + 1) % ring->req.frame_nr;
	off = frame_offset(ring, frame);
	copy_in(ring, off + mac, NULL, p, h.snaplen);
	copy_in(ring, off + TPACKET2_HEADER, f->name, NULL, SOCKADDR_LL);
	copy_in(ring, off + sizeof(h.status), &h.len, NULL, sizeof(h) - sizeof(h.status));
	__atomic_store_n(
	    status_of(ring, frame), h.status | STATUS_USER, __ATOMIC_RELEASE);
	spin_unlock(&ring->lock);
	return true;
}

bool
packet_ring_has_data(struct packet_ring *ring)
{
	bool has;

	spin_lock(&ring->lock);
	has = __atomic_load_n(
	    status_of(ring, (ring->next + ring->req.frame_nr - 1) % ring->req.frame_nr),
	    __ATOMIC_ACQUIRE);
	spin_unlock(&ring->lock);
	return has;
}
