/*
 * The table of connections: a hash of the four-tuple, keyed so that a peer cannot choose where its
 * connections go (SipHash). Its size comes from the machine's memory, one bucket for 16 KiB: with
 * as many connections as fit a chain has about one link, so it never needs to grow.
 *
 * Readers walk a chain under RCU. An entry may leave one chain and join another while a reader
 * stands on it (a socket that connects anew): the reader then comes to the end of the other chain.
 * So the end says which bucket's it is, an odd number, and who comes to a wrong end starts again.
 * Writers hold one of a few locks, chosen by bucket.
 */
#include "kernel/random.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/page.h"
#include "mm/slab.h"
#include "net/tcp_conn.h"

enum { NUM_LOCKS = 256, MIN_BUCKETS = 1024, MAX_BUCKETS = 1 << 19 };

struct bucket_lock {
	struct spinlock lock;
} ALIGNED(64);

static uintptr_t *buckets; /* [I] the array */
static uint32_t num_buckets;
static struct bucket_lock locks[NUM_LOCKS];
static struct siphash_key hash_key;

static uintptr_t
end_of(uint32_t bucket)
{
	return (uintptr_t)bucket << 1 | 1;
}

static bool
is_end(uintptr_t link)
{
	return link & 1;
}

static uint32_t
bucket_of(uint32_t hash)
{
	return hash & (num_buckets - 1);
}

static struct spinlock *
lock_of(uint32_t hash)
{
	return &locks[bucket_of(hash) % NUM_LOCKS].lock;
}

void
tcp_table_init(void)
{
	struct mem_stats mem;
	uint64_t want;

	mem_stats_get(&mem);
	want = MIN(MAX(mem.total_pages / 4, MIN_BUCKETS), MAX_BUCKETS);
	for (num_buckets = MIN_BUCKETS; num_buckets < want; num_buckets *= 2)
		;
	while (!(buckets = kmalloc(num_buckets * sizeof(buckets[0]))))
		num_buckets /= 2;
	for (uint32_t i = 0; i < num_buckets; i++)
		buckets[i] = end_of(i);
	for (unsigned i = 0; i < NUM_LOCKS; i++)
		spin_init(&locks[i].lock, "tcp table", RANK_NET_TABLE + 1);
	random_bytes(&hash_key, sizeof(hash_key));
}

uint32_t
tcp_hash(const struct tcp_key *k)
{
	struct {
		be32 local, peer;
		uint16_t ports[2];
	} v4;

	if (!ip_is_v4(&k->peer))
		return (uint32_t)siphash13(
		    &hash_key, k, offsetof(struct tcp_key, scope_if));
	v4.local = k->local.v4;
	v4.peer = k->peer.v4;
	v4.ports[0] = k->local_port;
	v4.ports[1] = k->peer_port;
	return (uint32_t)siphash13(&hash_key, &v4, sizeof(v4));
}

static bool
key_equal(const struct tcp_key *a, const struct tcp_key *b)
{
	return a->peer_port == b->peer_port && a->local_port == b->local_port &&
	       ip_equal(&a->peer, &b->peer) && ip_equal(&a->local, &b->local) &&
	       a->scope_if == b->scope_if;
}

struct tcp_entry *
tcp_find(const struct tcp_key *k, uint32_t hash)
{
	uint32_t bucket = bucket_of(hash);
	uintptr_t link;

	do {
		link = __atomic_load_n(&buckets[bucket], __ATOMIC_ACQUIRE);
		while (!is_end(link)) {
			struct tcp_entry *e = (struct tcp_entry *)link;

			if (e->hash == hash && key_equal(&e->key, k))
				return e;
			link = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
		}
	} while (link != end_of(bucket));
	return NULL;
}

/* Where the link to the entry with this key is, or the link at the end. [bucket] */
static uintptr_t *
link_to(const struct tcp_key *k, uint32_t hash)
{
	uintptr_t *link = &buckets[bucket_of(hash)];

	while (!is_end(*link)) {
		struct tcp_entry *e = (struct tcp_entry *)*link;

		if (e->hash == hash && key_equal(&e->key, k))
			break;
		link = &e->next;
	}
	return link;
}

static void
insert(struct tcp_entry *e)
{
	uintptr_t *head = &buckets[bucket_of(e->hash)];

	e->is_hashed = true;
	__atomic_store_n(&e->next, *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, (uintptr_t)e, __ATOMIC_RELEASE);
}

static bool
remove_entry(struct tcp_entry *e)
{
	uintptr_t *link = &buckets[bucket_of(e->hash)];

	if (!e->is_hashed)
		return false;
	while (*link != (uintptr_t)e)
		link = &((struct tcp_entry *)*link)->next;
	__atomic_store_n(link, e->next, __ATOMIC_RELEASE);
	e->is_hashed = false;
	return true;
}

struct tcp_entry *
tcp_entry_add(struct tcp_entry *e)
{
	struct tcp_entry *other = NULL;
	struct spinlock *l;
	uintptr_t link;

	e->hash = tcp_hash(&e->key);
	l = lock_of(e->hash);
	spin_lock(l);
	link = *link_to(&e->key, e->hash);
	if (is_end(link))
		insert(e);
	else
		other = (struct tcp_entry *)link;
	spin_unlock(l);
	return other;
}

bool
tcp_entry_remove(struct tcp_entry *e)
{
	struct spinlock *l = lock_of(e->hash);
	bool was_there;

	spin_lock(l);
	was_there = remove_entry(e);
	spin_unlock(l);
	return was_there;
}

bool
tcp_entry_replace(struct tcp_entry *old, struct tcp_entry *e)
{
	struct spinlock *l = lock_of(old->hash);
	bool was_there;

	e->hash = old->hash;
	spin_lock(l);
	was_there = old->is_hashed;
	if (was_there) {
		insert(e); /* first: a reader finds the one or the other */
		(void)remove_entry(old);
	}
	spin_unlock(l);
	return was_there;
}

/* False: enough. */
static bool
for_each_in(uint32_t bucket, bool (*fn)(struct tcp_entry *, void *arg), void *arg)
{
	uintptr_t link = __atomic_load_n(&buckets[bucket], __ATOMIC_ACQUIRE);
	bool goes_on = true;

	while (!is_end(link)) {
		struct tcp_entry *e = (struct tcp_entry *)link;

		goes_on &= fn(e, arg);
		link = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
	}
	return goes_on;
}

/* Bucket by bucket, so that no read section lasts long. */
uint32_t
tcp_for_each(uint32_t bucket, bool (*fn)(struct tcp_entry *, void *arg), void *arg)
{
	bool goes_on = true;

	while (goes_on && bucket < num_buckets) {
		if (!is_end(__atomic_load_n(&buckets[bucket], __ATOMIC_RELAXED))) {
			rcu_read_lock();
			goes_on = for_each_in(bucket, fn, arg);
			rcu_read_unlock();
		}
		bucket++;
	}
	return bucket < num_buckets ? bucket : 0;
}
