/*
 * Socket filters: classic BPF (McCanne, Jacobson 1993) as SO_ATTACH_FILTER gives it. A program is
 * checked once, so that running it needs no bound but its own length: jumps go forward only.
 */
#pragma once

#include "lib/bpf.h"
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

/* For tests and fuzzers. */
uint32_t filter_run_insns(const struct bpf_insn *, const struct pkt *);
