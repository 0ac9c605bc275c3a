/*
 * Shared by smp.c, trampoline.asm and trampoline.inc: a slot for each CPU to be started.
 */
#pragma once

#include "lib/types.h"

struct cpu;

enum ap_state {
	AP_WAITING,   /* may still come */
	AP_ARRIVED,   /* has taken the slot */
	AP_ABANDONED, /* came too late: it halts when it comes */
};

struct ap_slot {
	uint32_t apic_id;
	uint32_t state;     /* [a] enum ap_state */
	uint64_t stack_top; /* of its idle thread */
	struct cpu *cpu;
};

static_assert(sizeof(struct ap_slot) == 24, "trampoline.asm");

extern struct ap_slot ap_slots[];
extern uint32_t ap_num_slots;

/* The code copied below 1 MiB, and the fields in it that smp.c fills in. */
extern const uint8_t trampoline_start[], trampoline_end[];
extern const uint8_t trampoline_cr3[];      /* u32: page table with the page mapped 1:1 */
extern const uint8_t trampoline_gdt_base[]; /* u32: physical address of trampoline_gdt */
extern const uint8_t trampoline_gdt[];
extern const uint8_t
    trampoline_far_offset[]; /* u32: physical address of trampoline_long */
extern const uint8_t trampoline_long[];
extern const uint8_t trampoline_entry[]; /* u64: virtual address of ap_entry */

/*
 * trampoline.asm: where CPUs arrive in the kernel proper; calls ap_main on the slot's
 * stack.
 */
void ap_entry(void);
NORETURN void ap_main(struct ap_slot *slot);
