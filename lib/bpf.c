/* Classic BPF: check and interpreter. lib/bpf.h */
#include "lib/bpf.h"

/* ---- The check -------------------------------------------------------------------------- */

static bool
alu_is_valid(const struct bpf_insn *in)
{
	unsigned op = in->code & BPF_OP;

	if (op > BPF_XOR)
		return false;
	return (in->code & BPF_X) || (op != BPF_DIV && op != BPF_MOD) || in->k != 0;
}

static bool
load_is_valid(const struct bpf_insn *in)
{
	unsigned mode = in->code & BPF_MODE, size = in->code & BPF_SIZE;

	switch (mode) {
	case BPF_IMM:
	case BPF_LEN: return size == BPF_W;
	case BPF_MEM: return size == BPF_W && in->k < BPF_MEM_WORDS;
	case BPF_ABS:
	case BPF_IND: return (in->code & BPF_CLASS) == BPF_LD && size != BPF_SIZE;
	case BPF_MSH: return (in->code & BPF_CLASS) == BPF_LDX && size == BPF_B;
	default: return false;
	}
}

static bool
jump_is_valid(const struct bpf_insn *in, unsigned left)
{
	unsigned op = in->code & BPF_OP;

	if (op == BPF_JA)
		return in->k < left;
	return op <= BPF_JSET && in->jt < left && in->jf < left;
}

static bool
insn_is_valid(const struct bpf_insn *in, unsigned left)
{
	if (in->code > 0xff)
		return false;
	switch (in->code & BPF_CLASS) {
	case BPF_LD:
	case BPF_LDX: return load_is_valid(in);
	case BPF_ST:
	case BPF_STX: return in->code <= BPF_CLASS && in->k < BPF_MEM_WORDS;
	case BPF_ALU: return alu_is_valid(in);
	case BPF_JMP: return jump_is_valid(in, left);
	case BPF_RET: return (in->code & ~BPF_A) == BPF_RET;
	default: return (in->code & BPF_OP) == 0 || (in->code & BPF_OP) == BPF_TXA;
	}
}

bool
bpf_is_valid(const struct bpf_insn *insns, unsigned n)
{
	if (n == 0 || n > BPF_INSNS_MAX)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!insn_is_valid(&insns[i], n - 1 - i))
			return false;
	return (insns[n - 1].code & BPF_CLASS) == BPF_RET;
}

/* ---- Running ------------------------------------------------------------------------------- */

struct machine {
	uint32_t a, x, mem[BPF_MEM_WORDS];
	const struct bpf_source *source;
	bool is_over; /* a load from outside of the data: the result is 0 */
};

static uint32_t
load(struct machine *m, const struct bpf_insn *in)
{
	static const uint8_t sizes[] = {4, 2, 1};
	bool is_indexed = (in->code & BPF_MODE) == BPF_IND;
	uint32_t off = in->k + (is_indexed ? m->x : 0), v = 0;

	switch (in->code & BPF_MODE) {
	case BPF_IMM: return in->k;
	case BPF_LEN: return m->source->len;
	case BPF_MEM: return m->mem[in->k];
	default: break;
	}
	if (!m->source->load(m->source, off, sizes[(in->code & BPF_SIZE) >> 3],
	        (in->code & BPF_MODE) == BPF_ABS, &v)) {
		m->is_over = true;
		return 0;
	}
	return (in->code & BPF_MODE) == BPF_MSH ? (v & 15u) * 4 : v;
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
jump(const struct machine *m, const struct bpf_insn *in)
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
bpf_run(const struct bpf_insn *in, const struct bpf_source *source)
{
	struct machine m = {.source = source};

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
