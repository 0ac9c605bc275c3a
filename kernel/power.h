/*
 * Ending: power off, restart, halt. The ways are found by power_init from what the
 * firmware tables say; each call tries them in order of politeness and cannot fail.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"

/*
 * Boot, after kva_init: maps the registers, so that ending needs neither memory nor
 * locks.
 */
void power_init(void);

/*
 * Any context, no locks; for panic too. They do not call the hooks: power_quiesce does.
 */
NORETURN void power_off(void); /* halts if the machine has no way */
NORETURN void power_restart(void);
NORETURN void power_halt(void); /* this CPU, for good */

/*
 * Something that must stop before the machine ends (devices writing to memory, disks with
 * caches). The newest hook is called first. Thread context, once.
 */
struct power_hook {
	struct list link;
	void (*quiesce)(struct power_hook *);
	/* The same in a panic, or NULL: no locks, no sleep, everything may be half done. */
	void (*quiesce_now)(struct power_hook *);
};

void power_add_hook(struct power_hook *);

/* Calls all hooks: before an orderly end. May sleep. */
void power_quiesce(void);
void power_quiesce_now(void); /* before a restart after a panic */
