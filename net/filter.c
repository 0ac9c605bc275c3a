/* Socket filters: what programs load of a packet, and a socket's program. net/filter.h */
#include "net/filter.h"

#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "net/netdev.h"
#include "net/sock.h"

/* Linux's ancillary loads: ABS from SKF_AD_OFF on; and offsets relative to headers. */
enum {
	AD_PROTOCOL = 0,
	AD_PKTTYPE = 4,
	AD_IFINDEX = 8,
	AD_HATYPE = 28,
	AD_VLAN_TAG = 44,
	AD_VLAN_TAG_PRESENT = 48,
};
#define AD_OFF  0xfffff000u
#define NET_OFF 0xfff00000u
#define LL_OFF  0xffe00000u

struct filter {
	struct rcu_head rcu;
	unsigned n;
	struct bpf_insn insns[];
};

/* ---- Loading ------------------------------------------------------------------------------- */

static uint32_t
load_ancillary(const struct pkt *p, uint32_t what)
{
	switch (what) {
	case AD_PROTOCOL: return p->protocol;
	case AD_PKTTYPE: /* PACKET_* */
		if (p->flags & PKT_OUTGOING)
			return 4;
		return p->flags & PKT_OTHERHOST   ? 3
		       : p->flags & PKT_MULTICAST ? 2
		       : p->flags & PKT_BROADCAST ? 1
		                                  : 0;
	case AD_IFINDEX: return p->dev ? p->dev->index : 0;
	case AD_HATYPE: return p->dev ? p->dev->type : 0;
	case AD_VLAN_TAG: return p->vlan_tci;
	case AD_VLAN_TAG_PRESENT: return (p->flags & PKT_HAS_VLAN) != 0;
	default: return 0;
	}
}

/* Bytes from a header that may lie before data; all headers are in the linear part. */
static bool
read_at(const struct pkt *p, uint32_t off, uint8_t *buf, size_t n)
{
	const uint8_t *from;

	if (off < LL_OFF)
		return pkt_read(p, off, buf, n);
	from = off >= NET_OFF ? p->head + p->l3_off + (off - NET_OFF)
	                      : p->head + p->l2_off + (off - LL_OFF);
	if (from < p->head || from > p->tail || (size_t)(p->tail - from) < n)
		return false;
	memcpy(buf, from, n);
	return true;
}

struct packet_source {
	struct bpf_source source;
	const struct pkt *p;
};

static bool
load(const struct bpf_source *source, uint32_t off, unsigned size, bool is_absolute,
    uint32_t *v)
{
	const struct pkt *p = container_of(source, struct packet_source, source)->p;
	uint8_t b[4];

	if (is_absolute && off >= AD_OFF) {
		*v = load_ancillary(p, off - AD_OFF);
		return true;
	}
	if (!read_at(p, off, b, size))
		return false;
	*v = 0;
	for (unsigned i = 0; i < size; i++)
		*v = *v << 8 | b[i];
	return true;
}

uint32_t
filter_run_insns(const struct bpf_insn *in, const struct pkt *p)
{
	const struct packet_source s = {
	    .source = {.load = load, .len = (uint32_t)pkt_len(p)}, .p = p};

	return bpf_run(in, &s.source);
}

uint32_t
filter_run(const struct sock *sk, const struct pkt *p)
{
	const struct filter *f;
	uint32_t n = UINT32_MAX;

	if (likely(!sk->filter))
		return n;
	rcu_read_lock();
	f = rcu_dereference(sk->filter);
	if (f)
		n = filter_run_insns(f->insns, p);
	rcu_read_unlock();
	return n;
}

/* ---- A socket's program ---------------------------------------------------------------------- */

void
filter_free(struct filter *f)
{
	kfree(f);
}

static void
filter_free_late(struct rcu_head *head)
{
	kfree(container_of(head, struct filter, rcu));
}

/* The new one, or none; true: there was one. */
static bool
filter_replace(struct sock *sk, struct filter *f)
{
	struct filter *old = __atomic_exchange_n(&sk->filter, f, __ATOMIC_ACQ_REL);

	if (old)
		rcu_call(&old->rcu, filter_free_late);
	return old;
}

enum err
filter_attach(struct sock *sk, const void *val, unsigned len)
{
	struct {
		uint16_t n;
		const void USER *insns;
	} prog;
	struct filter *f;
	enum err err;
	size_t size;

	if (len != sizeof(prog))
		return ERR_INVAL;
	memcpy(&prog, val, sizeof(prog));
	if (sk->is_filter_locked)
		return ERR_PERM;
	if (!prog.n || prog.n > BPF_INSNS_MAX)
		return ERR_INVAL;
	size = prog.n * sizeof(struct bpf_insn);
	f = kzalloc(sizeof(*f) + size);
	if (!f)
		return ERR_NOMEM;
	f->n = prog.n;
	err = copy_from_user(f->insns, prog.insns, size);
	if (err == OK && !bpf_is_valid(f->insns, f->n))
		err = ERR_INVAL;
	if (err != OK)
		kfree(f);
	else
		(void)filter_replace(
		    sk, f); /* whether there was one matters to detach only */
	return err;
}

enum err
filter_detach(struct sock *sk)
{
	if (sk->is_filter_locked)
		return ERR_PERM;
	return filter_replace(sk, NULL) ? OK : ERR_NOENT;
}
