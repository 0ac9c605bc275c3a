/* Brings the network stack up; kernel_main calls it after the file systems, before drivers. */
#pragma once

void net_init(void);
