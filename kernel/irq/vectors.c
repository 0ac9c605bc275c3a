/*
 * Vector allocation. Devices go to the CPU with the fewest; within a CPU, consecutive
 * ones are spread over the priority classes (SDM vol. 3, 10.8.3: two pending per class on
 * old processors).
 */
#include "kernel/irq/vectors.h"

enum { CLASS_SIZE = 16, NUM_CLASSES = VECTORS_PER_CPU / CLASS_SIZE };

static_assert(VECTORS_PER_CPU % CLASS_SIZE == 0, "whole classes");

static bool
is_taken(const struct vector_map *m, struct vector_place p)
{
	return m->taken[p.cpu][p.vector / 64] >> p.vector % 64 & 1;
}

bool
vector_alloc(struct vector_map *m, unsigned num, bool (*usable)(unsigned cpu),
    struct vector_place *out)
{
	unsigned best = num;

	for (unsigned c = 0; c < num; c++)
		if (usable(c) && m->num_taken[c] < VECTORS_PER_CPU &&
		    (best == num || m->num_taken[c] < m->num_taken[best]))
			best = c;
	return best != num && vector_alloc_on(m, best, out);
}

bool
vector_alloc_on(struct vector_map *m, unsigned cpu, struct vector_place *out)
{
	for (unsigned i = 0; i < VECTORS_PER_CPU; i++) {
		unsigned in_class = i / NUM_CLASSES, class = i % NUM_CLASSES;
		struct vector_place p = {
		    .cpu = cpu,
		    .vector = VECTOR_DEVICE_FIRST + class * CLASS_SIZE + in_class,
		};

		if (is_taken(m, p))
			continue;
		m->taken[cpu][p.vector / 64] |= 1ull << p.vector % 64;
		m->num_taken[cpu]++;
		*out = p;
		return true;
	}
	return false;
}

void
vector_free(struct vector_map *m, struct vector_place p)
{
	if (!is_taken(m, p))
		return;
	m->taken[p.cpu][p.vector / 64] &= ~(1ull << p.vector % 64);
	m->num_taken[p.cpu]--;
}
