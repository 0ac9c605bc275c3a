/*
 * 8259A: initialisation words ICW1 to ICW4, then the mask in the data port (Intel 8259A
 * data sheet). Even fully masked it can raise a spurious interrupt, so its vectors must
 * not be those of exceptions.
 */
#include "kernel/x86/pic.h"

#include "kernel/irq/vectors.h"
#include "kernel/x86/io.h"

enum {
	PIC1_COMMAND = 0x20,
	PIC1_DATA = 0x21,
	PIC2_COMMAND = 0xa0,
	PIC2_DATA = 0xa1,
	ICW1_INIT_ICW4 = 0x11,
	ICW3_PIC1_CASCADE_ON_2 = 1 << 2,
	ICW3_PIC2_IDENTITY = 2,
	ICW4_8086 = 1,
	OCW2_EOI = 0x20,
	OCW3_READ_ISR = 0x0b,
	CASCADE = 2,
};

static uint16_t mask = 0xffff; /* [irq lock] */

static void
write_mask(void)
{
	port_out8(PIC1_DATA, (uint8_t)mask);
	port_out8(PIC2_DATA, (uint8_t)(mask >> 8));
}

void
pic_init(void)
{
	port_out8(PIC1_COMMAND, ICW1_INIT_ICW4);
	port_out8(PIC2_COMMAND, ICW1_INIT_ICW4);
	port_out8(PIC1_DATA, VECTOR_PIC_FIRST);
	port_out8(PIC2_DATA, VECTOR_PIC_FIRST + 8);
	port_out8(PIC1_DATA, ICW3_PIC1_CASCADE_ON_2);
	port_out8(PIC2_DATA, ICW3_PIC2_IDENTITY);
	port_out8(PIC1_DATA, ICW4_8086);
	port_out8(PIC2_DATA, ICW4_8086);
	mask = 0xffff;
	write_mask();
}

void
pic_set_mask(unsigned isa, bool is_masked)
{
	if (is_masked)
		mask |= (uint16_t)(1u << isa);
	else
		mask &= (uint16_t) ~(1u << isa);
	/* The second controller comes in through line 2 of the first. */
	if ((mask & 0xff00) != 0xff00)
		mask &= (uint16_t) ~(1u << CASCADE);
	else
		mask |= 1u << CASCADE;
	write_mask();
}

void
pic_eoi(unsigned isa)
{
	if (isa >= 8)
		port_out8(PIC2_COMMAND, OCW2_EOI);
	port_out8(PIC1_COMMAND, OCW2_EOI);
}

bool
pic_is_in_service(unsigned isa)
{
	uint16_t port = isa < 8 ? PIC1_COMMAND : PIC2_COMMAND;

	port_out8(port, OCW3_READ_ISR);
	return port_in8(port) >> isa % 8 & 1;
}
