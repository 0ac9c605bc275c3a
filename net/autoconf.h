/* What interfaces get without being asked: up, addresses, names. docs/network.md. */
#pragma once

void autoconf_init(void); /* after the protocols, before drivers */
