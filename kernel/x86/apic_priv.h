/* Between apic.c and apic_timer.c. */
#pragma once

/* This CPU's timer as apic_timer_init has chosen, idle; masked before that. */
void apic_timer_init_cpu(void);
