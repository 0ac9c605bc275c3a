/* Switches of interfaces in /proc/sys/net, and /sys/class/net: net/sysctl.c. */
#pragma once

#include "lib/types.h"

/* After the protocols, whose switches it shows. */
void sysctl_init(void);
/* What "all" says of forwarding IPv4. */
bool sysctl_is_forwarding4(void);
