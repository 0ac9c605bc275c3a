/* Ending: power off and restart. The way is found by the platform (ACPI, reset port, 8042). */
#pragma once

#include "lib/types.h"

/* No locks, any context; for panic too. Devices were told to stop before. */
NORETURN void power_off(void);	   /* halts if the machine has no way */
NORETURN void power_restart(void);
