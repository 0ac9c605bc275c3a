/*
 * The pair of 8259 interrupt controllers of the PC: moved out of the way, and used only
 * without I/O APIC.
 */
#pragma once

#include "lib/types.h"

/* Moves them to VECTOR_PIC_FIRST and masks every line. */
void pic_init(void);
void pic_set_mask(unsigned isa, bool is_masked);
void pic_eoi(unsigned isa);

/*
 * Whether the line's interrupt is in service: false for the spurious ones on lines 7 and
 * 15.
 */
bool pic_is_in_service(unsigned isa);
