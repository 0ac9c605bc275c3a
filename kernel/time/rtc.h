/* The CMOS real-time clock (MC146818): the date when the loader did not bring it. */
#pragma once

#include "lib/types.h"

/* UTC seconds since 1970. False when there is no RTC or it shows no valid date. */
bool rtc_read(int64_t *seconds);

/* One reading of the chip's registers, as they are; decoded by rtc_decode. */
struct rtc_fields {
	uint8_t second, minute, hour, day, month, year, century;
	uint8_t status_b; /* format bits */
	bool has_century;
};

/* False when a field is out of range. Pure. */
bool rtc_decode(const struct rtc_fields *, int64_t *seconds);
