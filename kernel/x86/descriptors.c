/* GDT, TSS and IDT; see descriptors.h. */
#include "kernel/x86/descriptors.h"

#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"

/* SDM vol. 3, figure 8-11. */
struct tss {
	uint32_t reserved0;
	uint32_t rsp[6]; /* RSP0..2, each as two halves: the fields are 4-byte aligned */
	uint64_t reserved1;
	uint32_t ist[14];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map; /* beyond the limit: no ports for user mode */
} PACKED;

static_assert(sizeof(struct tss) == 104, "TSS layout");

enum { GDT_ENTRIES = 10 };

struct descriptors {
	uint64_t gdt[GDT_ENTRIES];
	struct tss tss;
	uint8_t *ist_stacks[IST_STACKS];
};

static PER_CPU(struct descriptors, descriptors);

/* A gate: SDM vol. 3, figure 6-8. */
struct gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t reserved;
};

enum {
	IDT_ENTRIES = 256,
	GATE_INTERRUPT = 0x8e,
	GATE_INTERRUPT_USER = 0xee,
	TRAP_STUB_SIZE = 16
};

static struct gate idt[IDT_ENTRIES];

extern const uint8_t trap_stubs[]; /* entry.asm */

/*
 * Long-mode segments ignore base and limit; what counts is type, DPL, L and D (SDM vol.
 * 3, 5.2.1). The accessed bit is set, so that the processor never writes to the table.
 */
enum {
	SEG_CODE = 0x9b, /* present, code, readable, accessed */
	SEG_DATA = 0x93, /* present, data, writable, accessed */
	SEG_USER = 0x60, /* DPL 3 */
	SEG_TSS = 0x89,  /* present, available 64-bit TSS */
	SEG_LONG = 0xa,  /* granularity, L */
	SEG_32 = 0xc,    /* granularity, D */
};

/*
 * There is no 32-bit code segment, so a program cannot leave 64-bit mode: SYSCALL of 32-bit
 * code would enter where MSR_CSTAR says (AMD processors). SYSRET goes by selectors, not
 * by what lies at USER32_CS.
 */

static uint64_t
segment(uint64_t access, uint64_t flags)
{
	return 0x000f00000000ffffull | access << 40 | flags << 52;
}

static void
split64(uint32_t *halves, uint64_t v)
{
	halves[0] = (uint32_t)v;
	halves[1] = (uint32_t)(v >> 32);
}

void
descriptors_init(struct cpu *c, uint8_t *const stacks[IST_STACKS])
{
	struct descriptors *d = per_cpu_ptr(&descriptors, c);
	uint64_t tss = (uint64_t)&d->tss;

	d->gdt[KERNEL_CS / 8] = segment(SEG_CODE, SEG_LONG);
	d->gdt[KERNEL_DS / 8] = segment(SEG_DATA, SEG_32);
	d->gdt[USER_DS / 8] = segment(SEG_DATA | SEG_USER, SEG_32);
	d->gdt[USER_CS / 8] = segment(SEG_CODE | SEG_USER, SEG_LONG);
	d->gdt[TSS_SELECTOR / 8] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 |
	                           (uint64_t)SEG_TSS << 40 | (tss >> 24 & 0xff) << 56;
	d->gdt[TSS_SELECTOR / 8 + 1] = tss >> 32;
	d->tss.io_map = sizeof(struct tss);
	for (unsigned i = 0; i < IST_STACKS; i++) {
		uint64_t *top = (uint64_t *)(stacks[i] + IST_STACK_SIZE) - 2;

		d->ist_stacks[i] = stacks[i];
		*top = (uint64_t)c;
		split64(&d->tss.ist[2 * i], (uint64_t)top);
	}
}

uint8_t *
descriptors_ist_stack(const struct cpu *c, enum ist ist)
{
	return per_cpu_ptr(&descriptors, c)->ist_stacks[ist - 1];
}

void
descriptors_load(struct cpu *c)
{
	struct descriptors *d = per_cpu_ptr(&descriptors, c);

	lgdt(d->gdt, sizeof(d->gdt));
	load_segments(KERNEL_CS, KERNEL_DS);
	wrmsr(MSR_GS_BASE, (uint64_t)c);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
	ltr(TSS_SELECTOR);
	lidt(idt, sizeof(idt));
}

void
descriptors_set_kernel_stack(uint64_t top)
{
	split64(this_cpu_ptr(&descriptors)->tss.rsp, top);
	this_cpu()->kernel_stack_top = top;
}

static uint8_t
ist_of(unsigned vector)
{
	switch (vector) {
	case TRAP_DF: return IST_DF;
	case TRAP_NMI: return IST_NMI;
	case TRAP_MC: return IST_MC;
	case TRAP_DB: return IST_DB;
	default: return 0;
	}
}

void
idt_build(void)
{
	for (unsigned v = 0; v < IDT_ENTRIES; v++) {
		uint64_t stub = (uint64_t)trap_stubs + v * TRAP_STUB_SIZE;

		idt[v] = (struct gate){
		    .offset_0 = (uint16_t)stub,
		    .offset_16 = (uint16_t)(stub >> 16),
		    .offset_32 = (uint32_t)(stub >> 32),
		    .selector = KERNEL_CS,
		    .ist = ist_of(v),
		    .type = v == TRAP_BP || v == TRAP_OF ? GATE_INTERRUPT_USER
		                                         : GATE_INTERRUPT,
		};
	}
}
