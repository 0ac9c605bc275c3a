/* kernel/irq/vectors.c. LINK: kernel/irq/vectors.c tests/fakes/percpu.c lib/string.c */
#include "kernel/irq/vectors.h"

#include "lib/string.h"
#include "tests/unit/ktest.h"

static struct vector_map map;

static bool
all(unsigned cpu)
{
	return true;
}

static bool
odd(unsigned cpu)
{
	return cpu & 1;
}

static bool
none(unsigned cpu)
{
	return false;
}

KTEST(vectors_are_spread_over_cpus_and_never_given_twice)
{
	static bool seen[4][256];
	struct vector_place p;

	memset(&map, 0, sizeof(map));
	for (unsigned i = 0; i < 4 * VECTORS_PER_CPU; i++) {
		CHECK(vector_alloc(&map, 4, all, &p));
		CHECK(p.vector >= VECTOR_DEVICE_FIRST && p.vector <= VECTOR_DEVICE_LAST);
		CHECK_EQ(p.cpu, i % 4);
		CHECK(!seen[p.cpu][p.vector]);
		seen[p.cpu][p.vector] = true;
	}
	CHECK(!vector_alloc(&map, 4, all, &p));
	vector_free(&map, (struct vector_place){2, 0x77});
	CHECK(vector_alloc(&map, 4, all, &p) && p.cpu == 2 && p.vector == 0x77);
}

KTEST(vectors_of_one_cpu_use_all_priority_classes_first)
{
	unsigned per_class[16] = {0};
	struct vector_place p;

	memset(&map, 0, sizeof(map));
	for (unsigned i = 0; i < VECTORS_PER_CPU / 16; i++) {
		CHECK(vector_alloc(&map, 1, all, &p));
		CHECK_EQ(per_class[p.vector >> 4]++, 0);
	}
}

KTEST(vectors_go_only_to_usable_cpus)
{
	struct vector_place p;

	memset(&map, 0, sizeof(map));
	for (unsigned i = 0; i < 10; i++)
		CHECK(vector_alloc(&map, 8, odd, &p) && p.cpu % 2 == 1);
	CHECK(!vector_alloc(&map, 8, none, &p));
	CHECK(!vector_alloc(&map, 0, all, &p));
}

KTEST(vector_freed_twice_counts_once)
{
	struct vector_place p, q;

	memset(&map, 0, sizeof(map));
	CHECK(vector_alloc(&map, 2, all, &p));
	vector_free(&map, p);
	vector_free(&map, p);
	CHECK(vector_alloc(&map, 2, all, &q) && q.cpu == p.cpu && q.vector == p.vector);
}
