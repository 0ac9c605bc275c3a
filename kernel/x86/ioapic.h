/*
 * I/O APICs (Intel 82093AA data sheet): each turns its inputs, numbered globally as GSIs,
 * into interrupt messages. Calls take the GSI; the caller holds the lock of kernel/irq.
 */
#pragma once

#include "lib/types.h"

/* Maps every I/O APIC of `platform` and masks all inputs. Returns how many work. */
unsigned ioapic_init(void);

bool ioapic_has(unsigned gsi);

enum ioapic_flags { IOAPIC_LEVEL = 1 << 0, IOAPIC_ACTIVE_LOW = 1 << 1 };

/* Points the input to a vector of a CPU; leaves it masked. */
void ioapic_route(unsigned gsi, unsigned vector, uint32_t dest_apic_id, unsigned flags);
void ioapic_set_mask(unsigned gsi, bool is_masked);
