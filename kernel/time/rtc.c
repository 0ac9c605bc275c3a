/*
 * Reads date and time from CMOS. The chip updates its registers once a second, during
 * which they are garbage: read when no update is under way, twice, until both readings
 * agree.
 */
#include "kernel/time/rtc.h"

#include "kernel/platform.h"
#include "kernel/time/clock.h"
#include "kernel/x86/io.h"
#include "lib/string.h"

enum {
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
	CMOS_NMI_OFF = 0x80,

	RTC_SECONDS = 0,
	RTC_MINUTES = 2,
	RTC_HOURS = 4,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_STATUS_A = 10,
	RTC_STATUS_B = 11,
	STATUS_A_UPDATING = 1 << 7,
	STATUS_B_24H = 1 << 1,
	STATUS_B_BINARY = 1 << 2,
	HOUR_PM = 0x80, /* in 12-hour format */

	UPDATE_LIMIT_NS = 10000000, /* an update takes 2 ms */
	READ_ATTEMPTS = 4,
};

static uint8_t
cmos_read(uint8_t index)
{
	port_out8(CMOS_INDEX, index & (uint8_t)~CMOS_NMI_OFF);
	return port_in8(CMOS_DATA);
}

static struct rtc_fields
read_fields(void)
{
	struct rtc_fields f = {
	    .second = cmos_read(RTC_SECONDS),
	    .minute = cmos_read(RTC_MINUTES),
	    .hour = cmos_read(RTC_HOURS),
	    .day = cmos_read(RTC_DAY),
	    .month = cmos_read(RTC_MONTH),
	    .year = cmos_read(RTC_YEAR),
	    .status_b = cmos_read(RTC_STATUS_B),
	};

	if (platform.rtc_century) {
		f.has_century = true;
		f.century = cmos_read(platform.rtc_century);
	}
	return f;
}

bool
rtc_read(int64_t *seconds)
{
	struct rtc_fields a, b;

	if (!platform.has_rtc)
		return false;
	for (unsigned i = 0; i < READ_ATTEMPTS; i++) {
		if (!poll_until(
		        !(cmos_read(RTC_STATUS_A) & STATUS_A_UPDATING), UPDATE_LIMIT_NS))
			return false; /* all bits one: nobody there */
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		a = read_fields();
		b = read_fields();
		if (a.second == b.second && a.minute == b.minute && a.hour == b.hour)
			return rtc_decode(&b, seconds);
	}
	return false;
}

/* ---- Decoding ---------------------------------------------------------------------- */

/* Field value from BCD or binary; > 99 when it is not BCD. */
static unsigned
field(const struct rtc_fields *f, uint8_t raw)
{
	if (f->status_b & STATUS_B_BINARY)
		return raw;
	if ((raw & 15) > 9 || raw >> 4 > 9)
		return 255;
	return (raw >> 4) * 10 + (raw & 15);
}

static unsigned
hour_of(const struct rtc_fields *f)
{
	unsigned hour;

	if (f->status_b & STATUS_B_24H)
		return field(f, f->hour);
	hour = field(f, f->hour & (uint8_t)~HOUR_PM);
	if (hour < 1 || hour > 12)
		return 255;
	return hour % 12 + (f->hour & HOUR_PM ? 12 : 0);
}

/*
 * Days from 1970-01-01 to the date, proleptic Gregorian: March-based years make leap days
 * last.
 */
static int64_t
days_since_1970(unsigned year, unsigned month, unsigned day)
{
	uint64_t y = year - (month <= 2), era = y / 400, in_era = y % 400;
	uint64_t from_march = (month + 9) % 12;
	uint64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;

	return (int64_t)(era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 +
	                 day_of_year) -
	       719468;
}

bool
rtc_decode(const struct rtc_fields *f, int64_t *seconds)
{
	unsigned year = field(f, f->year), month = field(f, f->month),
	         day = field(f, f->day);
	unsigned hour = hour_of(f), minute = field(f, f->minute),
	         second = field(f, f->second);
	unsigned century = f->has_century ? field(f, f->century) : 0;

	if (year > 99 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	/*
	 * A century that cannot be (a bare CMOS byte) is replaced by the one of this
	 * kernel.
	 */
	year +=
	    century >= 19 && century <= 29 ? century * 100 : (year >= 70 ? 1900 : 2000);
	*seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 +
	           second;
	return true;
}
