/*
 * How the 256 interrupt vectors are used, and who gives them out. The upper half-byte of
 * a vector is its priority; system vectors are highest, so that an IPI is not kept
 * waiting by devices.
 */
#pragma once

#include "kernel/x86/percpu.h"
#include "lib/types.h"

enum vector {
	VECTOR_PIC_FIRST = 0x20, /* the 8259s are moved here, 16 vectors */
	VECTOR_PIC_SPURIOUS1 = 0x27,
	VECTOR_PIC_SPURIOUS2 = 0x2f,
	VECTOR_DEVICE_FIRST = 0x30,
	VECTOR_DEVICE_LAST = 0xef,
	VECTOR_TIMER = 0xf0,
	VECTOR_RESCHEDULE = 0xf1,
	VECTOR_CALL = 0xf2,
	VECTOR_APIC_ERROR = 0xfe,
	VECTOR_SPURIOUS =
	    0xff, /* SDM vol. 3, 10.9: low four bits set, for old processors */

	VECTORS_PER_CPU = VECTOR_DEVICE_LAST - VECTOR_DEVICE_FIRST + 1,
};

/* Which device vectors of each CPU are taken. Pure: the caller locks. */
struct vector_map {
	uint64_t taken[MAX_CPUS][4];
	uint8_t num_taken[MAX_CPUS];
};

struct vector_place {
	unsigned cpu, vector;
};

/*
 * Takes a free vector on the CPU, among the first `num` for which usable(cpu) holds, that
 * has the fewest taken. False: none is left anywhere.
 */
bool vector_alloc(struct vector_map *, unsigned num, bool (*usable)(unsigned cpu),
    struct vector_place *out);
/* The same on this CPU only. */
bool vector_alloc_on(struct vector_map *, unsigned cpu, struct vector_place *out);
void vector_free(struct vector_map *, struct vector_place);
