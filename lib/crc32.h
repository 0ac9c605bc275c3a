/* CRC-32 of ISO 3309 (gzip, zip, GPT): polynomial 0xEDB88320 reflected, RFC 1952
 * section 8. */
#pragma once

#include "lib/types.h"

/* Goes on from `crc` (0 at first) over data[n]. */
uint32_t crc32(uint32_t crc, const void *data, size_t n);
