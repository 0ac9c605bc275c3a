/* Classic BPF: check, interpreter, and a socket's program. net/filter.h */
#include "net/filter.h"

#include "lib/string.h"
#include "mm/slab.h"
#include "mm/usercopy.h"
#include "net/netdev.h"
#include "net/sock.h"

enum { FILTER_MAX = 4096, FILTER_MEM = 16 };

enum { /* classes */
	BPF_LD,
	BPF_LDX,
	BPF_ST,
	BPF_STX,
	BPF_ALU,
	BPF_JMP,
	BPF_RET,
	BPF_MISC,
	BPF_CLASS = 7,
};
enum { BPF_W = 0x00, BPF_H = 0x08, BPF_B = 0x10, BPF_SIZE = 0x18 };
enum {
	BPF_IMM = 0x00,
	BPF_ABS = 0x20,
	BPF_IND = 0x40,
	BPF_MEM = 0x60,
	BPF_LEN = 0x80,
	BPF_MSH = 0xa0,
	BPF_MODE = 0xe0,
};
enum {
	BPF_ADD = 0x00,
	BPF_SUB = 0x10,
	BPF_MUL = 0x20,
	BPF_DIV = 0x30,
	BPF_OR = 0x40,
	BPF_AND = 0x50,
	BPF_LSH = 0x60,
	BPF_RSH = 0x70,
	BPF_NEG = 0x80,
	BPF_MOD = 0x90,
	BPF_XOR = 0xa0,
	BPF_OP = 0xf0,
};
enum { BPF_JA = 0x00, BPF_JEQ = 0x10, BPF_JGT = 0x20, BPF_JGE = 0x30, BPF_JSET = 0x40 };
enum { BPF_X = 0x08, BPF_A = 0x10, BPF_TXA = 0x80 };

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
	struct filter_insn insns[];
};

/* ---- The check -------------------------------------------------------------------------- */

static bool
alu_is_valid(const struct filter_insn *in)
{
	unsigned op = in->code & BPF_OP;

	if (op > BPF_XOR)
		return false;
	return (in->code & BPF_X) || (op != BPF_DIV && op != BPF_MOD) || in->k != 0;
}

static bool
load_is_valid(const struct filter_insn *in)
{
	unsigned mode = in->code & BPF_MODE, size = in->code & BPF_SIZE;

	switch (mode) {
	case BPF_IMM:
	case BPF_LEN: return size == BPF_W;
	case BPF_MEM: return size == BPF_W && in->k < FILTER_MEM;
	case BPF_ABS:
	case BPF_IND: return (in->code & BPF_CLASS) == BPF_LD && size != BPF_SIZE;
	case BPF_MSH: return (in->code & BPF_CLASS) == BPF_LDX && size == BPF_B;
	default: return false;
	}
}

static bool
jump_is_valid(const struct filter_insn *in, unsigned left)
{
	unsigned op = in->code & BPF_OP;

	if (op == BPF_JA)
		return in->k < left;
	return op <= BPF_JSET && in->jt < left && in->jf < left;
}

static bool
insn_is_valid(const struct filter_insn *in, unsigned left)
{
	if (in->code > 0xff)
		return false;
	switch (in->code & BPF_CLASS) {
	case BPF_LD:
	case BPF_LDX: return load_is_valid(in);
	case BPF_ST:
	case BPF_STX: return in->code <= BPF_CLASS && in->k < FILTER_MEM;
	case BPF_ALU: return alu_is_valid(in);
	case BPF_JMP: return jump_is_valid(in, left);
	case BPF_RET: return (in->code & ~BPF_A) == BPF_RET;
	default: return (in->code & BPF_OP) == 0 || (in->code & BPF_OP) == BPF_TXA;
	}
}

bool
filter_is_valid(const struct filter_insn *insns, unsigned n)
{
	if (n == 0 || n > FILTER_MAX)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!insn_is_valid(&insns[i], n - 1 - i))
			return false;
	return (insns[n - 1].code & BPF_CLASS) == BPF_RET;
}

/* ---- Running ------------------------------------------------------------------------------- */

struct machine {
	uint32_t a, x, mem[FILTER_MEM];
	const struct pkt *p;
	bool is_over; /* a load from outside of the packet: it is not taken */
};

static uint32_t
load_ancillary(const struct machine *m, uint32_t what)
{
	const struct pkt *p = m->p;

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

static uint32_t
load(struct machine *m, const struct filter_insn *in)
{
	static const uint8_t sizes[] = {4, 2, 1};
	unsigned size = sizes[(in->code & BPF_SIZE) >> 3];
	uint32_t off = in->k, v = 0;
	uint8_t b[4];

	switch (in->code & BPF_MODE) {
	case BPF_IMM: return in->k;
	case BPF_LEN: return (uint32_t)pkt_len(m->p);
	case BPF_MEM: return m->mem[in->k];
	case BPF_IND: off += m->x; break;
	default: break;
	}
	if ((in->code & BPF_MODE) == BPF_ABS && off >= AD_OFF)
		return load_ancillary(m, off - AD_OFF);
	if (!read_at(m->p, off, b, size)) {
		m->is_over = true;
		return 0;
	}
	if ((in->code & BPF_MODE) == BPF_MSH)
		return (b[0] & 15u) * 4;
	for (unsigned i = 0; i < size; i++)
		v = v << 8 | b[i];
	return v;
}

static uint32_t
alu(struct machine *m, unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_MUL: return a * b;
	case BPF_DIV:
	case BPF_MOD:
		if (!b) {
			m->is_over = true;
			return 0;
		}
		return op == BPF_DIV ? a / b : a % b;
	case BPF_OR: return a | b;
	case BPF_AND: return a & b;
	case BPF_LSH: return b < 32 ? a << b : 0;
	case BPF_RSH: return b < 32 ? a >> b : 0;
	case BPF_XOR: return a ^ b;
	default: return -a;
	}
}

static unsigned
jump(const struct machine *m, const struct filter_insn *in)
{
	uint32_t b = in->code & BPF_X ? m->x : in->k;
	bool is_true = false;

	switch (in->code & BPF_OP) {
	case BPF_JA: return in->k;
	case BPF_JEQ: is_true = m->a == b; break;
	case BPF_JGT: is_true = m->a > b; break;
	case BPF_JGE: is_true = m->a >= b; break;
	default: is_true = m->a & b; break;
	}
	return is_true ? in->jt : in->jf;
}

uint32_t
filter_run_insns(const struct filter_insn *in, const struct pkt *p)
{
	struct machine m = {.p = p};

	for (; !m.is_over; in++) {
		switch (in->code & BPF_CLASS) {
		case BPF_LD: m.a = load(&m, in); break;
		case BPF_LDX: m.x = load(&m, in); break;
		case BPF_ST: m.mem[in->k] = m.a; break;
		case BPF_STX: m.mem[in->k] = m.x; break;
		case BPF_ALU:
			m.a = alu(
			    &m, in->code & BPF_OP, m.a, in->code & BPF_X ? m.x : in->k);
			break;
		case BPF_JMP: in += jump(&m, in); break;
		case BPF_RET: return in->code & BPF_A ? m.a : in->k;
		default:
			if (in->code & BPF_TXA)
				m.a = m.x;
			else
				m.x = m.a;
			break;
		}
	}
	return 0;
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
	if (!prog.n || prog.n > FILTER_MAX)
		return ERR_INVAL;
	size = prog.n * sizeof(struct filter_insn);
	f = kzalloc(sizeof(*f) + size);
	if (!f)
		return ERR_NOMEM;
	f->n = prog.n;
	err = copy_from_user(f->insns, prog.insns, size);
	if (err == OK && !filter_is_valid(f->insns, f->n))
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
