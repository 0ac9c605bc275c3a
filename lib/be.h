/*
 * Integers as they lie on the wire, big-endian, as byte arrays: header structures made of
 * them need no `packed`, cannot fault on alignment, and do not compile without the swap.
 */
#pragma once

#include "lib/types.h"

typedef struct {
	uint8_t b[2];
} be16;

typedef struct {
	uint8_t b[4];
} be32;

static inline uint16_t
be16_get(be16 v)
{
	return (uint16_t)(v.b[0] << 8 | v.b[1]);
}

static inline be16
be16_of(uint16_t v)
{
	return (be16){{(uint8_t)(v >> 8), (uint8_t)v}};
}

static inline uint32_t
be32_get(be32 v)
{
	return (uint32_t)v.b[0] << 24 | (uint32_t)v.b[1] << 16 | (uint32_t)v.b[2] << 8 |
	       v.b[3];
}

static inline be32
be32_of(uint32_t v)
{
	return (be32){
	    {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}};
}
