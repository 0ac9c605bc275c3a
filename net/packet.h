/* AF_PACKET sockets: net/packet.c. */
#pragma once

/* Registers the family, the listener to interfaces and /proc/net/packet. */
void packet_init(void);
