/* ICMP for IPv4: its rules as pure calls, and its switches. Sending errors: net/ip.h. */
#pragma once

#include "net/ip.h"

/* Types that report on another packet, and so are never answered by an error. */
bool icmp4_is_error(unsigned type);
/*
 * RFC 1122 3.2.2: may an error be sent about this packet (its first n bytes from the IP header
 * on; flags of the struct pkt)? Not about errors, later fragments, what went to many, or what does
 * not say who sent it.
 */
bool icmp4_may_answer(const uint8_t *packet, size_t n, uint32_t pkt_flags);
/* RFC 1191 7.1: the MTU to try next when a packet of `len` bytes was too long and no one says for
 * what. */
uint32_t icmp4_plateau(uint32_t len);
