/*
 * The rings of the model: what is received goes through the filters into descriptors, what
 * is to be sent is put together, segmented and summed as the descriptors say.
 */
#include "lib/string.h"
#include "mm/page.h"
#include "tests/models/e1000_model_priv.h"

enum {
	DESC = 16,
	ETH_HEADER = 14,
	VLAN_TYPE = 0x8100,
	RX_RING = 0x2800,
	TX_RING = 0x3800,
	RING_STEP = 0x100,
	R_LOW = 0x0,
	R_HIGH = 0x4,
	R_LEN = 0x8,
	R_HEAD = 0x10,
	R_TAIL = 0x18,
};

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* One's complement sum, folded; an odd last byte is a high half. */
static uint32_t
sum(uint32_t s, const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* ---- DMA ---------------------------------------------------------------------------------- */

static void *
dma(struct e1000_model *m, uint64_t addr, unsigned len)
{
	if (!addr || (m->dma_end && addr + len > m->dma_end)) {
		model_violation(m, "DMA of %u bytes at %lx", len, addr);
		return NULL;
	}
	return phys_to_virt(addr);
}

static uint64_t *
descriptor(struct e1000_model *m, unsigned ring, unsigned i)
{
	uint64_t base = REG(m, ring + R_LOW) | (uint64_t)REG(m, ring + R_HIGH) << 32;

	return dma(m, base + i * DESC, DESC);
}

static unsigned
ring_size(const struct e1000_model *m, unsigned ring)
{
	return REG(m, ring + R_LEN) / DESC;
}

/* ---- Filters (SDM 3.2.1, 13.5) -------------------------------------------------------------- */

static bool
matches_exact(const struct e1000_model *m, const uint8_t *dst)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t low = REG(m, 0x5400 + 8 * i), high = REG(m, 0x5404 + 8 * i);

		if (high & 1u << 31 &&
		    low == (dst[0] | (uint32_t)dst[1] << 8 | (uint32_t)dst[2] << 16 |
		               (uint32_t)dst[3] << 24) &&
		    (high & 0xffff) == (dst[4] | (unsigned)dst[5] << 8))
			return true;
	}
	return false;
}

static bool
matches_hash(const struct e1000_model *m, const uint8_t *dst)
{
	static const unsigned shifts[4] = {4, 3, 2, 0}; /* RCTL.MO */
	unsigned bits = dst[4] | (unsigned)dst[5] << 8;
	unsigned hash = bits >> shifts[REG(m, 0x100) >> 12 & 3] & 0xfff;

	return REG(m, 0x5200 + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool
is_wanted(const struct e1000_model *m, const uint8_t *frame, unsigned len)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint32_t rctl = REG(m, 0x100);
	unsigned tag;

	if (rctl & 1u << 18 && len >= 18 && get16(frame + 12) == VLAN_TYPE) {
		tag = get16(frame + 14) & 0xfff;
		if (!(REG(m, 0x5600 + 4 * (tag >> 5)) >> (tag & 31) & 1))
			return false;
	}
	if (!memcmp(frame, broadcast, 6))
		return rctl & (1u << 15 | 1u << 3);
	if (matches_exact(m, frame))
		return true;
	if (frame[0] & 1)
		return rctl & 1u << 4 || matches_hash(m, frame);
	return rctl & 1u << 3;
}

/* ---- Receive (SDM 3.2; 82574 7.1) ------------------------------------------------------------- */

struct rx_report {
	uint8_t status, errors;
	uint16_t tag;
	unsigned queue;
};

/* The transport's sum with its pseudo header; len_at: of the IP payload. */
static bool
transport_is_right(const uint8_t *addrs, unsigned addr_len, unsigned proto,
    const uint8_t *l4, unsigned len)
{
	uint32_t s = sum(0, addrs, addr_len);

	s = sum(s + proto + len, l4, len);
	return s == 0xffff;
}

static void
check_sums(
    const struct e1000_model *m, const uint8_t *frame, unsigned len, struct rx_report *r)
{
	const uint8_t *ip = frame + ETH_HEADER, *l4;
	unsigned hdr, proto, total;
	bool is_right;

	r->status |= 1u << 2; /* IXSM until something was summed */
	if (!(REG(m, 0x5000) & 1u << 9) || len < ETH_HEADER + 20)
		return;
	if (get16(frame + 12) == 0x0800) {
		hdr = (ip[0] & 15) * 4u;
		proto = ip[9];
		total = get16(ip + 2);
		if (total > len - ETH_HEADER || hdr < 20 || hdr > total)
			return;
		r->status = (uint8_t)((r->status & ~4u) | 1u << 6);
		if (sum(0, ip, hdr) != 0xffff)
			r->errors |= 1u << 6;
		if (get16(ip + 6) & 0x3fff) /* a fragment */
			return;
		l4 = ip + hdr;
	} else if (get16(frame + 12) == 0x86dd && len >= ETH_HEADER + 40) {
		hdr = 40;
		proto = ip[6];
		total = get16(ip + 4) + 40;
		if (total > len - ETH_HEADER)
			return;
		l4 = ip + hdr;
	} else {
		return;
	}
	if (proto != 6 && proto != 17)
		return;
	if (proto == 17 && (total - hdr < 8 || get16(l4 + 6) == 0))
		return;
	r->status = (uint8_t)((r->status & ~4u) | 1u << 5);
	is_right = transport_is_right(get16(frame + 12) == 0x0800 ? ip + 12 : ip + 8,
	    get16(frame + 12) == 0x0800 ? 8 : 32, proto, l4, total - hdr);
	if (!is_right)
		r->errors |= 1u << 5;
}

/* RSS by the IPv4 addresses, modelled only as far as the queue: parity of their bits. */
static unsigned
choose_queue(const struct e1000_model *m, const uint8_t *frame, unsigned len)
{
	unsigned hash;

	if (m->chip != MODEL_82574 || !(REG(m, 0x5818) & 1) || len < 34 ||
	    get16(frame + 12) != 0x0800)
		return 0;
	hash = (unsigned)__builtin_parity(get32(frame + 26) ^ get32(frame + 30));
	return REG(m, 0x5c00) >> (8 * hash + 7) & 1;
}

static bool
is_extended(const struct e1000_model *m)
{
	return m->chip == MODEL_82574 && REG(m, 0x5008) & 1u << 15;
}

/* Writes one buffer's worth and its descriptor. */
static void
fill(struct e1000_model *m, unsigned ring, unsigned i, const uint8_t *bytes, unsigned len,
    const struct rx_report *r, bool is_last)
{
	uint64_t *d = descriptor(m, ring, i), addr;
	unsigned status = 1 | (is_last && !m->rx_no_end ? 2 | r->status : 0);
	unsigned errors = is_last ? r->errors : 0;
	void *to;

	if (!d)
		return;
	addr = d[0];
	if (d[1])
		model_violation(m, "receive descriptor %u is not cleared", i);
	if (m->chip == MODEL_82545 && addr >> 16 != (addr + 2047) >> 16)
		model_violation(m, "buffer at %lx crosses 64 KiB", addr);
	to = dma(m, addr, len);
	if (to)
		memcpy(to, bytes, len);
	if (m->rx_len >= 0) {
		len = (unsigned)m->rx_len;
		m->rx_len = -1;
	}
	if (is_extended(m)) {
		d[0] = is_last ? 1 | (uint64_t)0x12345678 << 32 : 0;
		d[1] = (uint64_t)r->tag << 48 | (uint64_t)len << 32 |
		       (uint64_t)errors << 24 | status;
	} else {
		d[1] = (uint64_t)r->tag << 48 | (uint64_t)errors << 40 |
		       (uint64_t)status << 32 | len;
	}
}

static void
count_lost(struct e1000_model *m)
{
	REG(m, 0x4010)++; /* MPC */
	e1000_model_raise(m, 1u << 6);
}

static bool
store(struct e1000_model *m, const uint8_t *frame, unsigned len, struct rx_report *r)
{
	unsigned ring = RX_RING + r->queue * RING_STEP, size = ring_size(m, ring);
	unsigned head = REG(m, ring + R_HEAD), tail = REG(m, ring + R_TAIL), buffers;
	uint8_t with_crc[MODEL_FRAME + 4] = {0};

	memcpy(with_crc, frame, len);
	if (!(REG(m, 0x100) & 1u << 26)) /* SECRC */
		len += 4;
	buffers = (len + 2047) / 2048;
	if (!size || (tail - head) % size < buffers) {
		count_lost(m);
		return false;
	}
	for (unsigned i = 0; i < buffers; i++) {
		unsigned n = len - i * 2048 < 2048 ? len - i * 2048 : 2048;

		fill(m, ring, head, with_crc + i * 2048, n, r, i == buffers - 1);
		head = (head + 1) % size;
	}
	REG(m, ring + R_HEAD) = head;
	e1000_model_raise(
	    m, m->chip == MODEL_82574 ? 1u << 7 | 1u << (20 + r->queue) : 1u << 7);
	return true;
}

bool
e1000_model_receive(struct e1000_model *m, const void *bytes, unsigned len)
{
	struct rx_report r = {.errors = m->rx_errors};
	uint8_t frame[MODEL_FRAME];

	if (m->is_gone || !m->has_link || !(REG(m, 0x100) & 2))
		return false;
	memcpy(frame, bytes, len);
	if (len > 1518 && !(REG(m, 0x100) & 1u << 5)) {
		REG(m, 0x40ac)++; /* ROC */
		return false;
	}
	if (!is_wanted(m, frame, len))
		return false;
	REG(m, 0x4074)++;
	if (frame[0] & 1)
		REG(m, frame[0] == 0xff ? 0x4078 : 0x407c)++;
	if (REG(m, 0) & 1u << 30 && get16(frame + 12) == VLAN_TYPE) {
		r.status |= 1u << 3;
		r.tag = (uint16_t)get16(frame + 14);
		memmove(frame + 12, frame + 16, len - 16);
		len -= 4;
	}
	check_sums(m, frame, len, &r);
	r.queue = choose_queue(m, frame, len);
	m->rx_errors = 0;
	return store(m, frame, len, &r);
}

/* ---- Transmit (SDM 3.3-3.6) --------------------------------------------------------------------- */

static void
put_sum(struct e1000_model *m, uint8_t *f, unsigned len, unsigned start, unsigned at,
    unsigned end)
{
	unsigned to = end ? end + 1 : len;

	if (start >= len || at + 2 > len || to > len || to < start) {
		model_violation(
		    m, "checksum of %u..%u at %u in %u bytes", start, to, at, len);
		return;
	}
	put16(f + at, ~sum(0, f + start, to - start) & 0xffff);
}

static void
emit(struct e1000_model *m, unsigned q, const uint8_t *f, unsigned len, bool has_tag,
    unsigned tag)
{
	struct model_sent *s = &m->sent;
	unsigned skip = 0;

	if (len > MODEL_FRAME - 4 || len < ETH_HEADER) {
		model_violation(m, "a frame of %u bytes", len);
		return;
	}
	if (has_tag) {
		memcpy(s->bytes, f, 12);
		put16(s->bytes + 12, VLAN_TYPE);
		put16(s->bytes + 14, tag);
		skip = 12;
	}
	memcpy(s->bytes + (has_tag ? 16 : 0), f + skip, len - skip);
	s->len = len + (has_tag ? 4 : 0);
	s->queue = q;
	if (m->on_sent && m->has_link)
		m->on_sent(m, s);
}

/* SDM 3.5: the header once for each piece of the payload, with what changes changed. */
static void
segment(struct e1000_model *m, unsigned q, unsigned popts, bool has_tag, unsigned tag)
{
	const uint8_t *all = m->tx_buf[q];
	unsigned hdr = m->ctx[q].hdrlen, mss = m->ctx[q].mss, n = 0;
	unsigned total = m->tx_len[q], ip_at = m->ctx[q].ipcss, tcp_at = m->ctx[q].tucss;
	uint8_t f[MODEL_FRAME];

	if (!mss || hdr <= tcp_at + 12 || total < hdr || hdr + mss > sizeof(f) ||
	    total - hdr != m->ctx[q].paylen) {
		model_violation(m, "TSO of %u bytes, header %u, payload %u, MSS %u",
		    total, hdr, m->ctx[q].paylen, mss);
		return;
	}
	for (unsigned off = hdr; off < total; off += mss, n++) {
		unsigned part = total - off < mss ? total - off : mss, len = hdr + part;
		uint32_t pseudo;

		memcpy(f, all, hdr);
		memcpy(f + hdr, all + off, part);
		if (m->ctx[q].cmd & 1u << 25) { /* IPv4 */
			put16(f + ip_at + 2, len - ip_at);
			put16(f + ip_at + 4, get16(f + ip_at + 4) + n);
		} else {
			put16(f + ip_at + 4, len - ip_at - 40);
		}
		put32(f + tcp_at + 4, get32(f + tcp_at + 4) + (off - hdr));
		if (off + part < total)
			f[tcp_at + 13] &= (uint8_t)~9u; /* FIN, PSH: the last one's */
		pseudo = sum(get16(f + m->ctx[q].tucso) + (len - tcp_at), f, 0);
		put16(f + m->ctx[q].tucso, pseudo);
		if (popts & 2)
			put_sum(m, f, len, tcp_at, m->ctx[q].tucso, m->ctx[q].tucse);
		if (popts & 1)
			put_sum(m, f, len, ip_at, m->ctx[q].ipcso, m->ctx[q].ipcse);
		emit(m, q, f, len, has_tag, tag);
	}
}

static void
take_context(struct e1000_model *m, unsigned q, const uint64_t *d)
{
	m->ctx[q].ipcss = (uint8_t)d[0];
	m->ctx[q].ipcso = (uint8_t)(d[0] >> 8);
	m->ctx[q].ipcse = (uint16_t)(d[0] >> 16);
	m->ctx[q].tucss = (uint8_t)(d[0] >> 32);
	m->ctx[q].tucso = (uint8_t)(d[0] >> 40);
	m->ctx[q].tucse = (uint16_t)(d[0] >> 48);
	m->ctx[q].paylen = d[1] & 0xfffff;
	m->ctx[q].cmd = (uint32_t)d[1];
	m->ctx[q].hdrlen = (uint8_t)(d[1] >> 40);
	m->ctx[q].mss = (uint16_t)(d[1] >> 48);
}

/* Defects of the parts, as far as a driver must go round them. */
static bool
hangs_the_chip(const struct e1000_model *m, uint64_t addr, unsigned len)
{
	return m->chip == MODEL_82544 && m->is_pcix && len > 4 && !((addr + len - 1) & 4);
}

static void
take_data(struct e1000_model *m, unsigned q, uint64_t addr, uint32_t cmd, uint64_t high)
{
	unsigned len = cmd & 0xfffff, popts = high >> 40 & 0xff,
	         tag = high >> 48 & 0xffff;
	bool has_tag = cmd & 1u << 30;
	const void *from = dma(m, addr, len);

	if (!len)
		model_violation(m, "an empty descriptor");
	if (hangs_the_chip(m, addr, len))
		m->is_stuck = true;
	if (!from || m->tx_len[q] + len > sizeof(m->tx_buf[q])) {
		model_violation(m, "a packet of more than %u bytes", m->tx_len[q] + len);
		return;
	}
	memcpy(m->tx_buf[q] + m->tx_len[q], from, len);
	m->tx_len[q] += len;
	if (!(cmd & 1u << 24)) /* EOP */
		return;
	if (!(cmd & 1u << 25))
		model_violation(m, "a frame without FCS");
	if (cmd & 1u << 26) {
		segment(m, q, popts, has_tag, tag);
	} else {
		if (popts & 2)
			put_sum(m, m->tx_buf[q], m->tx_len[q], m->ctx[q].tucss,
			    m->ctx[q].tucso, m->ctx[q].tucse);
		if (popts & 1)
			put_sum(m, m->tx_buf[q], m->tx_len[q], m->ctx[q].ipcss,
			    m->ctx[q].ipcso, m->ctx[q].ipcse);
		emit(m, q, m->tx_buf[q], m->tx_len[q], has_tag, tag);
	}
	m->tx_len[q] = 0;
}

/* One descriptor; true: it wants to be reported. */
static bool
transmit(struct e1000_model *m, unsigned q, uint64_t *d)
{
	uint32_t cmd = (uint32_t)d[1];

	if (!(cmd & 1u << 29)) {
		model_violation(m, "a legacy transmit descriptor");
	} else if ((cmd >> 20 & 15) == 0) {
		if (m->tx_len[q])
			model_violation(m, "a context inside a packet");
		take_context(m, q, d);
	} else {
		take_data(m, q, d[0], cmd, d[1]);
	}
	if (!(cmd & 1u << 27)) /* RS */
		return false;
	d[1] |= 1ull << 32; /* DD */
	return true;
}

void
e1000_model_run(struct e1000_model *m)
{
	for (unsigned q = 0; q < (m->chip == MODEL_82574 ? 2u : 1u); q++) {
		unsigned ring = TX_RING + q * RING_STEP, size = ring_size(m, ring);
		unsigned head = REG(m, ring + R_HEAD);
		bool has_report = false;

		while (!m->is_gone && !m->is_stuck && REG(m, 0x400) & 2 && m->has_link &&
		       size && head < size && head != REG(m, ring + R_TAIL)) {
			uint64_t *d = descriptor(m, ring, head);

			if (m->hang_after == 0)
				m->is_stuck = true;
			if (!d || m->is_stuck)
				break;
			has_report |= transmit(m, q, d);
			m->hang_after -= m->hang_after > 0;
			head = (head + 1) % size;
			REG(m, ring + R_HEAD) = head;
		}
		if (has_report)
			e1000_model_raise(m,
			    m->chip == MODEL_82574 ? 1u << 0 | 1u << (22 + q) : 1u << 0);
	}
}
