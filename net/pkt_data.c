/*
 * Packets: their bytes. A packet's payload lies in pieces - the linear part, fragments, and
 * the same again for each packet in `more`; one walk over the pieces serves reading, writing,
 * checksums and copies to users.
 */
#include "lib/inet_csum.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/uio.h"
#include "net/pkt.h"

void *
pkt_push(struct pkt *p, size_t n)
{
	if ((size_t)(p->data - p->head) < n)
		return NULL;
	p->data -= n;
	return p->data;
}

void *
pkt_pull(struct pkt *p, size_t n)
{
	uint8_t *was = p->data;

	if (pkt_linear(p) < n)
		return NULL;
	p->data += n;
	return was;
}

void *
pkt_put(struct pkt *p, size_t n)
{
	uint8_t *at = p->tail;

	if ((size_t)(p->end - p->tail) < n || p->extra_len)
		return NULL;
	p->tail += n;
	return at;
}

/* A position in a packet: the next piece to be given out. */
struct pieces {
	const struct pkt *p, *more;
	unsigned frag; /* 0: the linear part, else fragment frag - 1 */
};

static bool
next_piece(struct pieces *it, uint8_t **data, size_t *len)
{
	while (it->p) {
		if (it->frag == 0) {
			it->frag++;
			*data = it->p->data;
			*len = pkt_linear(it->p);
			return true;
		}
		if (it->frag <= it->p->num_frags) {
			const struct pkt_frag *f = &it->p->frags[it->frag++ - 1];

			*data = (uint8_t *)page_to_virt(f->page) + f->off;
			*len = f->len;
			return true;
		}
		it->p = it->more;
		it->more = it->p ? it->p->next : NULL;
		it->frag = 0;
	}
	return false;
}

/*
 * Calls fn for each contiguous piece of [off, off + n) until it returns less than it was
 * given; the sum of what it returned. Beyond the end of the packet there is nothing.
 */
static size_t
walk(const struct pkt *p, size_t off, size_t n,
    size_t (*fn)(uint8_t *data, size_t len, void *arg), void *arg)
{
	struct pieces it = {.p = p, .more = p->more};
	size_t done = 0, len;
	uint8_t *data;

	while (done < n && next_piece(&it, &data, &len)) {
		size_t step;

		if (off >= len) {
			off -= len;
			continue;
		}
		len = MIN(len - off, n - done);
		step = fn(data + off, len, arg);
		done += step;
		off = 0;
		if (step < len)
			break;
	}
	return done;
}

static size_t
read_piece(uint8_t *data, size_t len, void *arg)
{
	uint8_t **to = arg;

	memcpy(*to, data, len);
	*to += len;
	return len;
}

bool
pkt_read(const struct pkt *p, size_t off, void *buf, size_t n)
{
	size_t len = pkt_linear(p);

	if (off <= len && n <= len - off) {
		memcpy(buf, p->data + off, n);
		return true;
	}
	if (off > pkt_len(p) || n > pkt_len(p) - off)
		return false;
	return walk(p, off, n, read_piece, &buf) == n;
}

static size_t
write_piece(uint8_t *data, size_t len, void *arg)
{
	const uint8_t **from = arg;

	memcpy(data, *from, len);
	*from += len;
	return len;
}

bool
pkt_write(struct pkt *p, size_t off, const void *buf, size_t n)
{
	if (off > pkt_len(p) || n > pkt_len(p) - off)
		return false;
	return walk(p, off, n, write_piece, &buf) == n;
}

static size_t
uio_piece(uint8_t *data, size_t len, void *arg)
{
	return uio_copy_to(arg, data, len);
}

size_t
pkt_copy_to_uio(const struct pkt *p, size_t off, size_t n, struct uio *u)
{
	return walk(p, off, MIN(n, u->resid), uio_piece, u);
}

struct csum_walk {
	uint32_t sum;
	bool is_odd; /* the next piece begins at an odd offset */
};

static size_t
csum_piece(uint8_t *data, size_t len, void *arg)
{
	struct csum_walk *w = arg;

	if (w->is_odd)
		w->sum = csum_add_odd(w->sum, csum_add(0, data, len));
	else
		w->sum = csum_add(w->sum, data, len);
	w->is_odd ^= len & 1;
	return len;
}

uint32_t
pkt_csum(const struct pkt *p, size_t off, size_t n, uint32_t sum)
{
	struct csum_walk w = {.sum = sum};

	if (off <= pkt_linear(p) && n <= pkt_linear(p) - off)
		return csum_add(sum, p->data + off, n);
	walk(p, off, n, csum_piece, &w);
	return w.sum;
}

/* ---- Shape -------------------------------------------------------------------------- */

static void
trim_frags(struct pkt *p, size_t len)
{
	unsigned i = 0;

	p->extra_len = 0;
	for (; i < p->num_frags && len; i++) {
		struct pkt_frag *f = &p->frags[i];

		f->len = (uint32_t)MIN(f->len, len);
		len -= f->len;
		p->extra_len += f->len;
	}
	for (unsigned k = i; k < p->num_frags; k++)
		page_put(p->frags[k].page);
	p->num_frags = (uint8_t)i;
}

void
pkt_trim(struct pkt *p, size_t len)
{
	struct pkt *more = p->more, *next;
	size_t linear = pkt_linear(p);

	if (len >= pkt_len(p))
		return;
	if (len <= linear) {
		p->tail = p->data + len;
		len = 0;
	} else {
		len -= linear;
	}
	trim_frags(p, len);
	len -= p->extra_len;
	p->more = p->more_tail = NULL;
	for (struct pkt *m = more; m; m = next) {
		next = m->next;
		if (!len) {
			p->truesize -= m->truesize;
			pkt_free(m);
			continue;
		}
		pkt_trim(m, len);
		p->truesize -= m->truesize; /* pkt_chain adds it again */
		pkt_chain(p, m);
		len -= pkt_len(m);
	}
}

/* Takes n bytes off the front of the fragments; how many there were of them. */
static size_t
cut_frags(struct pkt *p, size_t n)
{
	unsigned gone = 0;
	size_t cut = 0;

	while (gone < p->num_frags && cut < n) {
		struct pkt_frag *f = &p->frags[gone];
		uint32_t step = (uint32_t)MIN(n - cut, f->len);

		f->off += step;
		f->len -= step;
		cut += step;
		if (f->len)
			break;
		page_put(f->page);
		gone++;
	}
	p->num_frags = (uint8_t)(p->num_frags - gone);
	memmove(p->frags, p->frags + gone, p->num_frags * sizeof(*p->frags));
	p->extra_len -= (uint32_t)cut;
	return cut;
}

/* Takes n bytes off what follows the linear part; they are known to be there. */
static void
cut_extra(struct pkt *p, size_t n)
{
	if (p->num_frags)
		n -= cut_frags(p, n);
	while (n) {
		struct pkt *m = p->more;
		size_t step = MIN(n, pkt_linear(m));

		m->data += step;
		if (n > step && m->num_frags)
			step += cut_frags(m, n - step);
		n -= step;
		p->extra_len -= (uint32_t)step;
		if (pkt_len(m))
			continue;
		p->more = m->next;
		if (!p->more)
			p->more_tail = NULL;
		p->truesize -= m->truesize;
		pkt_free(m);
	}
}

void *
pkt_need(struct pkt *p, size_t n)
{
	size_t have = pkt_linear(p), miss;

	if (likely(have >= n))
		return p->data;
	if (pkt_len(p) < n)
		return NULL;
	miss = n - have;
	if (!pkt_tailroom(p, miss))
		return NULL;
	if (!pkt_read(p, have, p->tail, miss))
		return NULL;
	p->tail += miss;
	cut_extra(p, miss);
	return p->data;
}

long
pkt_fill_from_uio(struct pkt *p, struct uio *u, size_t n)
{
	size_t step = MIN(n, (size_t)(p->end - p->tail));

	if (p->extra_len)
		step = 0;
	if (uio_copy_from(u, p->tail, step) != step)
		return ERR_FAULT;
	p->tail += step;
	for (n -= step; n; n -= step) {
		struct page *page = page_alloc(0, ALLOC_NORMAL);

		if (!page)
			return ERR_NOBUFS;
		step = MIN(n, PAGE_SIZE);
		if (uio_copy_from(u, page_to_virt(page), step) != step) {
			page_put(page);
			return ERR_FAULT;
		}
		if (!pkt_add_frag(p, page, 0, (uint32_t)step)) {
			page_put(page);
			return ERR_NOBUFS;
		}
	}
	return 0;
}
