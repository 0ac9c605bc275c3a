/*
 * Messages of AF_UNIX. Up to a page lies behind the header; more is in blocks of up to 32 KiB,
 * smaller ones when memory is in pieces, so one message is copied in few runs.
 */
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "mm/uio.h"
#include "net/unix.h"

enum { INLINE_MAX = PAGE_SIZE - sizeof(struct unix_msg), BLOCK_ORDER = 3 };
enum { MIN_TRUESIZE = 256 };

static void
free_parts(struct unix_part *part)
{
	while (part) {
		struct unix_part *next = part->next;

		page_put(part->page);
		kfree(part);
		part = next;
	}
}

/* One block for up to n bytes; NULL: no memory. */
static struct unix_part *
part_alloc(size_t n)
{
	struct unix_part *part = kmalloc(sizeof(*part));
	unsigned order = BLOCK_ORDER;

	if (!part)
		return NULL;
	while (order && (size_t)PAGE_SIZE << (order - 1) >= n)
		order--;
	do
		part->page = page_alloc(order, ALLOC_NORMAL);
	while (!part->page && order--);
	if (!part->page) {
		kfree(part);
		return NULL;
	}
	part->next = NULL;
	part->off = 0;
	part->len = (uint32_t)MIN(n, (size_t)PAGE_SIZE << order);
	return part;
}

static bool
add_parts(struct unix_msg *m, size_t n)
{
	struct unix_part **tail = &m->parts;

	while (n) {
		struct unix_part *part = part_alloc(n);

		if (!part)
			return false;
		m->truesize += sizeof(*part) + ALIGN_UP(part->len, (uint32_t)PAGE_SIZE);
		n -= part->len;
		*tail = part;
		tail = &part->next;
	}
	return true;
}

static struct unix_msg *
header_alloc(size_t room)
{
	struct unix_msg *m = kmalloc(sizeof(*m) + room);

	if (!m)
		return NULL;
	*m = (struct unix_msg){.refs = 1};
	m->truesize = (uint32_t)MAX(sizeof(*m) + room, (size_t)MIN_TRUESIZE);
	return m;
}

struct unix_msg *
unix_msg_alloc(size_t n)
{
	struct unix_msg *m = header_alloc(n <= INLINE_MAX ? n : 0);

	if (!m)
		return NULL;
	m->len = (uint32_t)n;
	if (n > INLINE_MAX && !add_parts(m, n)) {
		unix_msg_put(m);
		return NULL;
	}
	return m;
}

struct unix_msg *
unix_msg_of_page(struct page *page, uint32_t off, uint32_t len)
{
	struct unix_msg *m = header_alloc(0);
	struct unix_part *part = kmalloc(sizeof(*part));

	if (!m || !part) {
		kfree(m);
		kfree(part);
		return NULL;
	}
	*part = (struct unix_part){.page = page_get(page), .off = off, .len = len};
	m->parts = part;
	m->len = len;
	m->truesize += (uint32_t)sizeof(*part) + PAGE_SIZE;
	return m;
}

void
unix_msg_put(struct unix_msg *m)
{
	if (__atomic_load_n(&m->refs, __ATOMIC_ACQUIRE) != 1 &&
	    __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (m->fds) {
		unix_fds_land(m->fds);
		unix_fds_drop(m->fds);
	}
	if (m->parts)
		free_parts(m->parts);
	kfree(m);
}

/* ---- Bytes -------------------------------------------------------------------------------- */

enum err
unix_msg_fill(struct unix_msg *m, struct uio *uio)
{
	if (!m->parts)
		return uio_copy_from(uio, m->data, m->len) == m->len ? OK : ERR_FAULT;
	for (struct unix_part *p = m->parts; p; p = p->next)
		if (uio_copy_from(uio, page_to_virt(p->page), p->len) != p->len)
			return ERR_FAULT;
	return OK;
}

size_t
unix_msg_copy_out(const struct unix_msg *m, uint32_t at, size_t n, struct uio *uio)
{
	size_t done = 0;

	if (!m->parts)
		return uio_copy_to(uio, m->data + at, n);
	for (const struct unix_part *p = m->parts; p && done < n; p = p->next) {
		size_t want, got;

		if (at >= p->len) {
			at -= p->len;
			continue;
		}
		want = MIN(n - done, (size_t)(p->len - at));
		got = uio_copy_to(uio, (char *)page_to_virt(p->page) + p->off + at, want);
		done += got;
		if (got < want)
			break;
		at = 0;
	}
	return done;
}

/* ---- Queues --------------------------------------------------------------------------------- */

void
unix_queue_push(struct unix_sock *u, struct unix_msg *m)
{
	if (u->last)
		__atomic_store_n(&u->last->next, m, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&u->first, m, __ATOMIC_RELEASE);
	__atomic_store_n(&u->last, m, __ATOMIC_RELAXED);
	__atomic_store_n(&u->num_queued, u->num_queued + 1, __ATOMIC_RELAXED);
	__atomic_store_n(
	    &u->sock.rx_bytes, u->sock.rx_bytes + m->truesize, __ATOMIC_RELAXED);
}

void
unix_queue_remove(struct unix_sock *u, struct unix_msg *m)
{
	struct unix_msg *before = NULL;

	for (struct unix_msg *i = u->first; i != m; i = i->next)
		before = i;
	if (before)
		before->next = m->next;
	else
		__atomic_store_n(&u->first, m->next, __ATOMIC_RELAXED);
	if (u->last == m)
		__atomic_store_n(&u->last, before, __ATOMIC_RELAXED);
	if (u->oob == m)
		u->oob = NULL;
	__atomic_store_n(&u->num_queued, u->num_queued - 1, __ATOMIC_RELAXED);
	__atomic_store_n(
	    &u->sock.rx_bytes, u->sock.rx_bytes - m->truesize, __ATOMIC_RELAXED);
}

void
unix_uncharge(struct unix_msg *m)
{
	struct sock *sender = m->sender;

	if (!sender)
		return;
	m->sender = NULL;
	__atomic_sub_fetch(&sender->tx_bytes, m->truesize, __ATOMIC_SEQ_CST);
	unix_give_room(sender);
	sock_put(sender);
}

void
unix_msgs_free(struct unix_msg *first)
{
	while (first) {
		struct unix_msg *next = first->next;

		unix_uncharge(first);
		unix_msg_put(first);
		first = next;
	}
}
