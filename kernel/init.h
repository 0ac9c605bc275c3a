/* The end of the kernel's own bring-up: the first process. */
#pragma once

#include "lib/types.h"

/*
 * Starts process 1: what rdinit= or init= names, else the first of /init, /sbin/init, /etc/init,
 * /bin/init, /bin/sh that can be executed, with Linux's arguments and environment. When none can, says
 * what was tried and stops the machine as panic= says. Thread context.
 */
void first_process_start(void);
