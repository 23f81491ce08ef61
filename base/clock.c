/* SPDX-License-Identifier: Apache-2.0
 * base/clock.c - see clock.h. Calendar: years begin in March here, so that the leap day is the last
 * of its year, and 400 years (146,097 days) repeat. */
#include "base/clock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
	DAY = 86400,
	DAYS_400 = 146097,
	DAYS_100 = 36524,
	DAYS_4 = 1461,
	MARCH_0000_TO_1970 = 719468, /* days from 0000-03-01 to 1970-01-01 */
};
/* Years that keep the seconds inside int64_t. */
#define YEAR_MAX INT64_C(292000000000)

static _Atomic int64_t test_now;

int64_t tap_clock_now(void)
{
	int64_t fixed = atomic_load_explicit(&test_now, memory_order_relaxed);

	if (fixed != 0)
		return fixed;
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int64_t tap_clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void tap_clock_set_for_test(int64_t now)
{
	atomic_store_explicit(&test_now, now, memory_order_relaxed);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void tap_time_utc(int64_t t, struct tap_date *d)
{
	int64_t days = floor_div(t, DAY);
	int second = (int)(t % DAY) + (t % DAY < 0 ? DAY : 0);
	days += MARCH_0000_TO_1970;
	int64_t cycle = floor_div(days, DAYS_400);
	int in400 = (int)(days - cycle * DAYS_400);
	/* The last day of a cycle belongs to its last century and year, though the division says else. */
	int century = in400 / DAYS_100 - in400 / (DAYS_400 - 1);
	int in100 = in400 - century * DAYS_100;
	int four = in100 / DAYS_4;
	int in4 = in100 - four * DAYS_4;
	int year = in4 / 365 - in4 / (DAYS_4 - 1);
	int in1 = in4 - year * 365;
	/* Five months from March have 153 days, over and over. */
	int month = (5 * in1 + 2) / 153;
	d->day = in1 - (153 * month + 2) / 5 + 1;
	d->month = month < 10 ? month + 3 : month - 9;
	d->year = cycle * 400 + century * 100 + four * 4 + year + (month >= 10);
	d->hour = second / 3600;
	d->minute = second / 60 % 60;
	d->second = second % 60;
}

int64_t tap_time_from_utc(const struct tap_date *d)
{
	int64_t year = d->year > YEAR_MAX ? YEAR_MAX : d->year < -YEAR_MAX ? -YEAR_MAX : d->year;
	int64_t month = (int64_t)d->month - 3;

	/* Months count from March; any that is out of range moves the year. */
	int64_t carry = floor_div(month, 12);
	year += carry;
	month -= carry * 12;
	int64_t cycle = floor_div(year, 400);
	int64_t y = year - cycle * 400;
	int64_t days = cycle * DAYS_400 + y * 365 + y / 4 - y / 100 + (153 * month + 2) / 5 +
		       d->day - 1 - MARCH_0000_TO_1970;
	return days * DAY + (int64_t)d->hour * 3600 + (int64_t)d->minute * 60 + d->second;
}

void tap_time_rfc3339(int64_t t, char *out, size_t n)
{
	struct tap_date d;

	tap_time_utc(t, &d);
	snprintf(out, n, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02dZ", d.year, d.month, d.day, d.hour,
		 d.minute, d.second);
}
