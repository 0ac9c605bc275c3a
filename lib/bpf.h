/*
 * Classic BPF (McCanne, Jacobson 1993): programs that judge a packet or a system call. A
 * program is checked once, so that running it needs no bound but its own length: jumps go
 * forward only. What is loaded comes from a source.
 */
#pragma once

#include "lib/types.h"

enum { BPF_INSNS_MAX = 4096, BPF_MEM_WORDS = 16 };

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

struct bpf_insn { /* Linux's struct sock_filter */
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

/*
 * What a program looks at. `load` puts `size` (1, 2, 4) bytes at `off` into *v as a number;
 * is_absolute: the program names the offset itself, without its index. false: there is
 * nothing there, and the program ends with 0.
 */
struct bpf_source {
	bool (*load)(const struct bpf_source *, uint32_t off, unsigned size,
	    bool is_absolute, uint32_t *v);
	uint32_t len;
};

bool bpf_is_valid(const struct bpf_insn *, unsigned n);
uint32_t bpf_run(const struct bpf_insn *, const struct bpf_source *);
