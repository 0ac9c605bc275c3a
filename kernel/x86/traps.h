/* The C side of entry.asm, and what the exceptions call. */
#pragma once

#include "lib/types.h"

struct ex_entry;
struct trap_frame;

/* By entry.asm only. */
void trap_handle(struct trap_frame *frame);
void trap_handle_ist(struct trap_frame *frame);
struct trap_frame *trap_from_iret(struct trap_frame *frame);

/* The exception table's entry for the instruction at `rip`, or NULL. */
const struct ex_entry *ex_table_find(uint64_t rip);

extern uint64_t nmi_unknown; /* [a] NMIs that nobody had asked for */

/* kernel/panic.c: NMI_STOP. */
NORETURN void panic_stop_this_cpu(const struct trap_frame *frame);
/* kernel/monitor.c: NMI_BACKTRACE. */
void monitor_note_backtrace(const struct trap_frame *frame);
