/*
 * The random number generator: see the header. Each CPU has a ChaCha20 key (RFC 8439). A
 * request makes blocks under it; the first half of the first block becomes the next key
 * before anything is given out. The pool is a key too: entropy is mixed in by encrypting
 * under pool xor input. When the pool has changed, each CPU takes a new key from it at
 * its next request.
 */
#include "kernel/random.h"

#define LOG_PREFIX "random: "

#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/sync/spinlock.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/features.h"
#include "kernel/x86/percpu.h"
#include "lib/chacha20.h"
#include "lib/string.h"

enum {
	KEY_WORDS = CHACHA20_KEY_SIZE / 4,
	EVENTS_PER_RESEED =
	    64,            /* interrupts on one CPU until their sum goes into the pool */
	RDRAND_TRIES = 10, /* SDM vol. 1, 7.3.17 */
	ENTROPY_GOOD_BITS = 128,
};

struct cpu_random {
	uint32_t key[KEY_WORDS];
	uint64_t pool_version; /* of the pool the key came from */
	uint64_t event_sum;
	uint32_t num_events;
};

static PER_CPU(struct cpu_random, cpu_random);

static struct spinlock pool_lock = SPINLOCK_INIT("random pool", RANK_RANDOM);
static uint32_t pool[KEY_WORDS];  /* [pool_lock] */
static uint64_t pool_version = 1; /* [pool_lock] written, [a] read */

/* Pool = first half of ChaCha20(pool xor data). Lock held. */
static void
pool_stir_locked(const uint8_t data[CHACHA20_KEY_SIZE])
{
	uint8_t block[CHACHA20_BLOCK_SIZE];
	uint32_t words[KEY_WORDS];

	memcpy(words, data, sizeof(words));
	for (unsigned i = 0; i < KEY_WORDS; i++)
		words[i] ^= pool[i];
	chacha20_block(words, pool_version, block);
	memcpy(pool, block, sizeof(pool));
	pool_version++;
}

void
random_mix(const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n) {
		uint8_t chunk[CHACHA20_KEY_SIZE] = {0};
		size_t part = MIN(n, sizeof(chunk));

		memcpy(chunk, p, part);
		spin_lock(&pool_lock);
		pool_stir_locked(chunk);
		spin_unlock(&pool_lock);
		p += part;
		n -= part;
	}
}

/* A key of its own for this CPU: no two are given the same one. Interrupts off. */
static void
cpu_rekey(struct cpu_random *r)
{
	uint8_t block[CHACHA20_BLOCK_SIZE];

	spin_lock(&pool_lock);
	r->pool_version = ++pool_version;
	chacha20_block(pool, pool_version, block);
	memcpy(pool, block, sizeof(pool));
	memcpy(r->key, block + sizeof(pool), sizeof(r->key));
	spin_unlock(&pool_lock);
}

static void
random_fill(struct cpu_random *r, uint8_t *out, size_t n)
{
	uint8_t block[CHACHA20_BLOCK_SIZE];
	uint32_t key[KEY_WORDS];
	size_t part;

	memcpy(key, r->key, sizeof(key));
	chacha20_block(key, 0, block);
	memcpy(r->key, block, sizeof(r->key));
	part = MIN(n, sizeof(block) - sizeof(key));
	memcpy(out, block + sizeof(key), part);
	for (uint64_t counter = 1; part < n; counter++) {
		size_t more = MIN(n - part, sizeof(block));

		chacha20_block(key, counter, block);
		memcpy(out + part, block, more);
		part += more;
	}
}

void
random_bytes(void *buf, size_t n)
{
	struct cpu_random *r;

	irq_disable_nested();
	r = this_cpu_ptr(&cpu_random);
	/* Every key taken also changes the version: a distance of less than the CPUs is
	 * no news. */
	if (unlikely(!r->pool_version ||
	             __atomic_load_n(&pool_version, __ATOMIC_RELAXED) - r->pool_version >
	                 MAX_CPUS))
		cpu_rekey(r);
	random_fill(r, buf, n);
	irq_enable_nested();
}

uint64_t
random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

uint64_t
random_below(uint64_t limit)
{
	/* Values below 2^64 mod limit would make small results likelier. */
	uint64_t unfair = -limit % limit, v;

	do
		v = random_u64();
	while (v < unfair);
	return v % limit;
}

void
random_add_event(uint64_t value)
{
	struct cpu_random *r;
	uint64_t sum[2];

	irq_disable_nested();
	r = this_cpu_ptr(&cpu_random);
	r->event_sum = (r->event_sum << 7 | r->event_sum >> 57) ^ value ^ rdtsc();
	if (++r->num_events >= EVENTS_PER_RESEED) {
		r->num_events = 0;
		sum[0] = r->event_sum;
		sum[1] = cpu_id();
		random_mix(sum, sizeof(sum));
		r->pool_version = 0; /* this CPU takes a new key: others follow in time */
	}
	irq_enable_nested();
}

/* How many words the processor gave. */
static unsigned
mix_rdrand(void)
{
	uint64_t words[4];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		for (unsigned tries = 0; tries < RDRAND_TRIES; tries++)
			if (rdrand64(&words[n])) {
				n++;
				break;
			}
	random_mix(words, n * sizeof(words[0]));
	return n;
}

void
random_init(const struct boot_info *boot)
{
	uint64_t now[2] = {rdtsc(), boot->boot_time_tsc};
	bool has_rdrand = cpu_features.has_rdrand;
	unsigned bits = MIN(boot->entropy_bits, 8u * BOOT_ENTROPY_SIZE);

	random_mix(boot->entropy, sizeof(boot->entropy));
	random_mix(now, sizeof(now));
	if (has_rdrand)
		bits += 64 * mix_rdrand();
	if (bits >= ENTROPY_GOOD_BITS)
		log_info("seeded with %u bits%s", bits,
		    has_rdrand ? ", RDRAND among them" : "");
	else
		log_warn("seeded with %u bits only: early keys are weak", bits);
}
