/* SPDX-License-Identifier: Apache-2.0
 * base/clock.h - the only place that asks what time it is. Threads: safe. */
#ifndef TAP_BASE_CLOCK_H
#define TAP_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t tap_clock_now(void);	 /* seconds since the epoch, UTC */
int64_t tap_clock_mono_ms(void); /* milliseconds that never go back, for deadlines */
/* "2026-06-02T00:00:00Z"; out holds at least 32 bytes. */
void tap_time_rfc3339(int64_t t, char *out, size_t n);
/* Gregorian date of t in UTC, without locks or the time-zone database. */
struct tap_date {
	int64_t year;
	int month, day, hour, minute, second;
};
void tap_time_utc(int64_t t, struct tap_date *d);
int64_t tap_time_from_utc(const struct tap_date *d);
/* Tests set the wall clock; 0 gives it back to the system. */
void tap_clock_set_for_test(int64_t now);

#endif
