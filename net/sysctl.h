/* Switches of interfaces in /proc/sys/net, and /sys/class/net: net/sysctl.c. */
#pragma once

/* After the protocols, whose switches it shows. */
void sysctl_init(void);
