/*
 * net/filter.c: what programs are refused, and what the rest do.
 * LINK: net/filter.c lib/bpf.c lib/string.c lib/fmt.c net/ip_addr.c lib/siphash.c lib/inet_csum.c fs/seq.c
 * tests/fakes/net_env.c tests/fakes/percpu.c tests/fakes/spinlock.c tests/fakes/mutex.c
 * tests/fakes/rcu.c tests/fakes/clock.c tests/fakes/kmalloc.c tests/fakes/panic.c
 * tests/fakes/no_proc.c
 */
#include "net/filter.h"

#include "mm/usercopy.h"
#include "net/sock.h"
#include "tests/fakes/fakes.h"
#include "tests/fakes/net_env.h"
#include "tests/unit/ktest.h"

enum err
copy_from_user(void *dst, const void USER *src, size_t n)
{
	__builtin_memcpy(dst, (const void *)(uintptr_t)src, n);
	return OK;
}

/* Numbers as programs write them: class, size, mode. */
enum {
	LD_W_ABS = 0x20,
	LD_H_ABS = 0x28,
	LD_B_ABS = 0x30,
	LD_B_IND = 0x50,
	LDX_MSH = 0xb1,
	LD_IMM = 0x00,
	LD_LEN = 0x80,
	LD_MEM = 0x60,
	ST = 0x02,
	JEQ_K = 0x15,
	JA = 0x05,
	ADD_K = 0x04,
	DIV_K = 0x34,
	DIV_X = 0x3c,
	TAX = 0x07,
	RET_K = 0x06,
	RET_A = 0x16,
};

#define RUN(bytes, ...) \
	({ \
		const struct bpf_insn in_[] = {__VA_ARGS__}; \
		struct pkt *p_ = fake_pkt(fake_netdev(1), bytes, sizeof(bytes)); \
		uint32_t n_ = bpf_is_valid(in_, ARRAY_SIZE(in_)) \
		                  ? filter_run_insns(in_, p_) \
		                  : 0xdead; \
		pkt_free(p_); \
		n_; \
	})

static const uint8_t packet[] = {0x45, 1, 2, 3, 4, 5, 6, 7};

KTEST(filter_loads_big_endian)
{
	CHECK_EQ(RUN(packet, {LD_W_ABS, 0, 0, 0}, {RET_A, 0, 0, 0}), 0x45010203);
	CHECK_EQ(RUN(packet, {LD_H_ABS, 0, 0, 6}, {RET_A, 0, 0, 0}), 0x0607);
	CHECK_EQ(RUN(packet, {LD_B_ABS, 0, 0, 7}, {RET_A, 0, 0, 0}), 7);
	CHECK_EQ(RUN(packet, {LDX_MSH, 0, 0, 0}, {LD_B_IND, 0, 0, (uint32_t)-14},
	             {RET_A, 0, 0, 0}),
	    6);
	CHECK_EQ(RUN(packet, {LD_LEN, 0, 0, 0}, {RET_A, 0, 0, 0}), 8);
}

KTEST(filter_ends_with_nothing_when_it_looks_beyond_the_packet)
{
	CHECK_EQ(RUN(packet, {LD_W_ABS, 0, 0, 5}, {RET_K, 0, 0, 9}), 0);
	CHECK_EQ(RUN(packet, {LD_B_ABS, 0, 0, 0xffdfffff}, {RET_K, 0, 0, 9}), 0);
}

KTEST(filter_jumps_by_comparison)
{
	CHECK_EQ(RUN(packet, {LD_B_ABS, 0, 0, 1}, {JEQ_K, 0, 1, 1}, {RET_K, 0, 0, 100},
	             {RET_K, 0, 0, 200}),
	    100);
	CHECK_EQ(RUN(packet, {LD_B_ABS, 0, 0, 1}, {JEQ_K, 0, 1, 9}, {RET_K, 0, 0, 100},
	             {RET_K, 0, 0, 200}),
	    200);
}

KTEST(filter_remembers_in_scratch_memory)
{
	CHECK_EQ(RUN(packet, {LD_IMM, 0, 0, 5}, {ST, 0, 0, 15}, {LD_IMM, 0, 0, 0},
	             {LD_MEM, 0, 0, 15}, {ADD_K, 0, 0, 2}, {RET_A, 0, 0, 0}),
	    7);
}

KTEST(filter_divided_by_zero_takes_nothing)
{
	CHECK_EQ(RUN(packet, {LD_IMM, 0, 0, 0}, {TAX, 0, 0, 0}, {LD_IMM, 0, 0, 6},
	             {DIV_X, 0, 0, 0}, {RET_K, 0, 0, 1}),
	    0);
}

KTEST(filter_refuses_programs_that_may_not_end_or_go_astray)
{
	static const struct bpf_insn bad[][2] = {
	    {{LD_IMM, 0, 0, 0}, {LD_IMM, 0, 0, 0}}, /* no return */
	    {{JA, 0, 0, 1}, {RET_K, 0, 0, 0}},      /* beyond the end */
	    {{JA, 0, 0, 0xffffffff}, {RET_K, 0, 0, 0}},
	    {{JEQ_K, 0, 1, 0}, {RET_K, 0, 0, 0}}, {{ST, 0, 0, 16}, {RET_K, 0, 0, 0}},
	    {{LD_MEM, 0, 0, 16}, {RET_K, 0, 0, 0}}, {{DIV_K, 0, 0, 0}, {RET_K, 0, 0, 0}},
	    {{0x100, 0, 0, 0}, {RET_K, 0, 0, 0}},
	    {{0xf4, 0, 0, 0}, {RET_K, 0, 0, 0}}, /* no such operation */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!bpf_is_valid(bad[i], 2));
	CHECK(!bpf_is_valid(bad[0], 0));
}

KTEST(filter_replaced_is_freed_after_a_grace_period)
{
	static const struct bpf_insn in[] = {{RET_K, 0, 0, 3}};
	struct {
		uint16_t n;
		const struct bpf_insn *insns;
	} prog = {1, in};
	struct sock sk = {.filter = NULL};
	struct pkt *p = fake_pkt(fake_netdev(1), packet, sizeof(packet));

	CHECK_EQ(filter_run(&sk, p), UINT32_MAX);
	CHECK_EQ(filter_attach(&sk, &prog, sizeof(prog)), OK);
	CHECK_EQ(filter_attach(&sk, &prog, sizeof(prog)), OK);
	CHECK_EQ(filter_run(&sk, p), 3);
	CHECK_EQ(filter_attach(&sk, &prog, 4), ERR_INVAL);
	CHECK_EQ(filter_detach(&sk), OK);
	CHECK_EQ(filter_detach(&sk), ERR_NOENT);
	fake_rcu_run();
	pkt_free(p);
}
