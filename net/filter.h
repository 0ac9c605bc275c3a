/*
 * Socket filters: classic BPF (McCanne, Jacobson 1993) as SO_ATTACH_FILTER gives it. A program is
 * checked once, so that running it needs no bound but its own length: jumps go forward only.
 */
#pragma once

#include "lib/err.h"
#include "lib/types.h"

struct filter;
struct pkt;
struct sock;

/* SO_ATTACH_FILTER with a struct sock_fprog, SO_DETACH_FILTER. */
enum err filter_attach(struct sock *, const void *val, unsigned len);
enum err filter_detach(struct sock *);
void filter_free(struct filter *); /* NULL is fine */

/* How many bytes of the packet (from data on) the socket's filter keeps; 0: none of it. */
uint32_t filter_run(const struct sock *, const struct pkt *);

/* The parts, for tests and fuzzers. */
struct filter_insn { /* Linux's struct sock_filter */
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
bool filter_is_valid(const struct filter_insn *, unsigned n);
uint32_t filter_run_insns(const struct filter_insn *, const struct pkt *);
