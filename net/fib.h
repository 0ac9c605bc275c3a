/*
 * Longest-prefix tables: a path-compressed binary trie. A node stands for a prefix and lies under
 * the nodes of the shorter prefixes that hold it, so a lookup looks at no more nodes than the
 * address has bits, and in practice at the logarithm of the table's size. Read under RCU, changed
 * under rtnl. Pure: what an entry means is the owner's business (net/route.c).
 *
 * `bits` here counts from the start of the 16-byte form: a v4 prefix has 96 more than its length.
 */
#pragma once

#include "kernel/sync/rcu.h"
#include "lib/err.h"
#include "net/ip_addr.h"

/* Entries of one prefix, lowest rank first; embedded in the owner's object. */
struct fib_entry {
	struct fib_entry *next; /* RCU */
	uint32_t rank;          /* the metric */
};

struct fib_node;

struct fib {
	struct fib_node *root; /* RCU; zeroed: empty */
};

/* Adds after those of the same rank. Only ERR_NOMEM. */
enum err fib_insert(
    struct fib *, const struct ip_addr *prefix, unsigned bits, struct fib_entry *);
/* Takes out one that is in. The entry may be freed after a grace period. */
void fib_remove(
    struct fib *, const struct ip_addr *prefix, unsigned bits, struct fib_entry *);
/* The first entry of exactly this prefix, or NULL. */
struct fib_entry *fib_find(
    const struct fib *, const struct ip_addr *prefix, unsigned bits);

/*
 * The entry of the longest prefix that holds `addr`, lowest rank first, for which `accepts` says
 * yes; NULL: none. Under RCU or rtnl.
 */
struct fib_entry *fib_lookup(const struct fib *, const struct ip_addr *addr,
    bool (*accepts)(const struct fib_entry *, void *arg), void *arg);

/* Every entry, by prefix, shorter ones first; [rtnl]. fn may remove the entry it is given.
 * Returns false when fn did. */
bool fib_for_each(struct fib *, bool (*fn)(struct fib_entry *, void *arg), void *arg);
