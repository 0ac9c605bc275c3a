/*
 * What the machine is made of, as far as firmware tables can say: processors, interrupt
 * controllers, timers, power registers. acpi/ fills it in once at boot (acpi_describe);
 * the core below it reads only this, so it never asks where a fact came from. Without
 * usable tables `platform` keeps the defaults of a plain PC: one CPU, legacy timers and
 * ports.
 */
#pragma once

#include "kernel/x86/percpu.h"
#include "lib/types.h"

enum {
	PLATFORM_MAX_CPUS = MAX_CPUS,
	PLATFORM_MAX_IOAPICS = 16,
	PLATFORM_MAX_OVERRIDES = 32,
	PLATFORM_MAX_NMIS = 32,
	PLATFORM_MAX_MEM_NODES = 64,
	PLATFORM_MAX_MCFG = 16,
	PLATFORM_ALL_CPUS = 0xffffffff, /* platform_nmi.acpi_uid: the LINT of every CPU */
};

struct platform_cpu {
	uint32_t apic_id;
	uint32_t acpi_uid; /* the name of the processor in ACPI's own tables */
	uint32_t node;     /* NUMA node, dense from 0 */
	bool is_enabled;   /* false: an empty socket that may be filled while running */
};

struct platform_ioapic {
	paddr_t base;
	uint32_t gsi_base;
	uint32_t id;
};

/* MPS INTI flags of the MADT (ACPI 6.4 table 5.26), as used by overrides and NMIs. */
enum platform_inti {
	INTI_POLARITY_MASK = 3,
	INTI_POLARITY_BUS = 0,
	INTI_POLARITY_HIGH = 1,
	INTI_POLARITY_LOW = 3,
	INTI_TRIGGER_MASK = 3 << 2,
	INTI_TRIGGER_BUS = 0 << 2,
	INTI_TRIGGER_EDGE = 1 << 2,
	INTI_TRIGGER_LEVEL = 3 << 2,
};

struct platform_override {
	uint32_t isa; /* ISA interrupt 0..15 */
	uint32_t gsi; /* that arrives here */
	uint32_t flags;
};

struct platform_nmi {
	bool is_lint;      /* at a local APIC pin, else at an I/O APIC input */
	uint32_t acpi_uid; /* lint: the CPU, or PLATFORM_ALL_CPUS */
	uint32_t lint;     /* lint: pin 0 or 1 */
	uint32_t gsi;      /* I/O APIC */
	uint32_t flags;
};

/* ACPI generic address (6.4 section 5.2.3.2). */
enum platform_space { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_PCI = 2 };

struct platform_reg {
	uint64_t address; /* 0: there is no such register */
	uint8_t space;    /* enum platform_space */
	uint8_t bits;     /* width */
};

struct platform_mem_node {
	paddr_t base;
	uint64_t size;
	uint32_t node;
};

struct platform_mcfg {
	paddr_t base; /* configuration space of bus 0, also when first_bus > 0 */
	uint32_t segment;
	uint32_t first_bus, last_bus;
};

struct platform_power {
	bool has_reset;
	struct platform_reg reset;
	uint8_t reset_value;

	bool has_s5; /* sleep types below are valid */
	uint8_t s5_type_a, s5_type_b;
	struct platform_reg pm1a_control, pm1b_control;
	uint32_t smi_command; /* port that hands power management to the OS, 0: none */
	uint8_t acpi_enable;

	bool is_hw_reduced; /* no PM1 block; sleep_control instead */
	struct platform_reg sleep_control;
};

struct platform_serial {
	struct platform_reg base; /* address 0: SPCR names no console */
	uint32_t interface;       /* SPCR interface type, 0 and 1 are 16550 compatible */
	uint32_t gsi;             /* 0: none */
	uint32_t baud;            /* 0: leave as firmware set it */
};

struct platform_info {
	bool has_acpi;

	struct platform_cpu cpus[PLATFORM_MAX_CPUS];
	uint32_t num_cpus;         /* 0: no table says; the boot CPU is all there is */
	uint32_t num_cpus_dropped; /* listed beyond PLATFORM_MAX_CPUS */
	paddr_t lapic_base;

	struct platform_ioapic ioapics[PLATFORM_MAX_IOAPICS];
	uint32_t num_ioapics;
	struct platform_override overrides[PLATFORM_MAX_OVERRIDES];
	uint32_t num_overrides;
	struct platform_nmi nmis[PLATFORM_MAX_NMIS];
	uint32_t num_nmis;
	bool has_pic; /* dual 8259 */

	paddr_t hpet_base;            /* 0: none */
	struct platform_reg pm_timer; /* 3.579545 MHz counter */
	bool is_pm_timer_32bit;       /* else 24 */
	bool has_pit;
	bool has_rtc;
	uint8_t rtc_century; /* CMOS index of the century, 0: none */
	bool has_i8042;
	uint32_t sci_gsi; /* ACPI's own interrupt */

	struct platform_power power;
	struct platform_serial serial;

	struct platform_mem_node mem_nodes[PLATFORM_MAX_MEM_NODES];
	uint32_t num_mem_nodes;
	uint32_t num_nodes; /* >= 1 */

	struct platform_mcfg mcfg[PLATFORM_MAX_MCFG];
	uint32_t num_mcfg;
};

/* Written by kernel_main's call of acpi_describe, read-only afterwards. */
extern struct platform_info platform;

/* The state without any table: what a PC of 1990 has. */
void platform_set_defaults(struct platform_info *);
