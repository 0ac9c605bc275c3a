/* /proc/meminfo and /proc/slabinfo. */
#pragma once

void mem_proc_init(void);
