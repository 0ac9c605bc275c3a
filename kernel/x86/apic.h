/*
 * The local APIC of each CPU (Intel SDM vol. 3 chapter 10, APM vol. 2 chapter 16): in
 * xAPIC mode through memory, in x2APIC mode through MSRs; callers see no difference.
 */
#pragma once

#include "lib/types.h"

struct cpu;

/*
 * Boot CPU: maps the registers, chooses the mode (x2APIC when there is one and no
 * "nox2apic"), sets up this CPU. False: the processor has no local APIC.
 */
bool apic_init(void);

/*
 * Each CPU, boot CPU included by apic_init: enables it, masks what nobody handles, LINT
 * pins.
 */
void apic_init_cpu(void);

uint32_t apic_id(void); /* of this CPU */
bool apic_is_x2apic(void);
void apic_eoi(void);

/* Highest APIC ID that this mode can address. */
uint32_t apic_max_id(void);

/* Interrupt command register, SDM 10.6.1. */
enum apic_icr {
	ICR_FIXED = 0 << 8,
	ICR_NMI = 4 << 8,
	ICR_INIT = 5 << 8,
	ICR_STARTUP = 6 << 8,
	ICR_PENDING = 1 << 12,
	ICR_ASSERT = 1 << 14,
	ICR_OTHERS = 3 << 18, /* all but self; the destination is ignored */
};

/* Sends an interrupt to the CPU with this APIC ID. Any context, NMI included. */
void apic_send(uint32_t dest_apic_id, uint32_t icr);

/* Errors the APIC has reported on any CPU; the vector's handler, called by kernel/irq. */
extern uint64_t apic_errors; /* [a] */
void apic_error_interrupt(void);

/*
 * LINT0 takes the 8259s' interrupts (or not): on the boot CPU, when there is no I/O APIC.
 */
void apic_enable_extint(bool on);

/*
 * The timer: apic_timer_init after calibration, on the boot CPU; then each CPU by
 * apic_init_cpu. While calibrating it counts down from all ones with no interrupt.
 */
void apic_timer_start_counting(void);
uint32_t apic_timer_count(void);
void apic_timer_stop(void);
void apic_timer_init(uint64_t hz);
bool apic_timer_is_deadline(void);
