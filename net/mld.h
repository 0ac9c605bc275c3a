/* The pure parts of multicast listener discovery (net/mld.c), for tests. */
#pragma once

#include "net/ip_addr.h"

struct mc_query;

/* RFC 3810 5.1, 8.1. Data at the ICMPv6 header; q->sources points into it. False: malformed. */
bool mld_query_decode(const uint8_t *data, size_t len, struct mc_query *);
/* RFC 3810 5.1.3: floating point from 0x8000 on. */
uint32_t mld_max_delay_ms(uint16_t code);
