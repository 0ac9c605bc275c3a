/* /proc/meminfo and /proc/slabinfo. */
#pragma once

void mem_proc_init(void);
void mem_sysctl_init(void); /* /proc/sys/vm: mm/sysctl.c */
