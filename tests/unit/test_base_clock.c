/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/clock.h"
#include <time.h>

/* Every day from 1970 to 9999 counted one by one, by the rule that a school teaches. */
static void every_day(void **state)
{
	static const int len[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t t = 0;

	(void)state;
	for (int64_t y = 1970; y <= 9999; y++) {
		bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
		for (int m = 0; m < 12; m++) {
			int last = len[m] + (m == 1 && leap);
			for (int d = 1; d <= last; d++, t += 86400) {
				struct tap_date got;
				tap_time_utc(t + 86399, &got);
				if (got.year != y || got.month != m + 1 || got.day != d ||
				    got.hour != 23 || got.minute != 59 || got.second != 59)
					fail_msg("%ld is not %ld-%d-%d", (long)t, (long)y, m + 1,
						 d);
				if (tap_time_from_utc(&got) != t + 86399)
					fail_msg("%ld-%d-%d is not %ld", (long)y, m + 1, d,
						 (long)t);
			}
		}
	}
	assert_int_equal(t, INT64_C(253402300800));
}

static void before_1970(void **state)
{
	struct tap_date d;
	struct tm tm;

	(void)state;
	for (int64_t t = -INT64_C(62167219200); t < 0; t += 86400 * 13 + 4321) {
		time_t lt = (time_t)t;
		tap_time_utc(t, &d);
		assert_non_null(gmtime_r(&lt, &tm));
		assert_int_equal(d.year, tm.tm_year + 1900);
		assert_int_equal(d.month, tm.tm_mon + 1);
		assert_int_equal(d.day, tm.tm_mday);
		assert_int_equal(d.hour, tm.tm_hour);
		assert_int_equal(d.second, tm.tm_sec);
		assert_int_equal(tap_time_from_utc(&d), t);
	}
}

static void text(void **state)
{
	static const struct {
		int64_t t;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {951782400, "2000-02-29T00:00:00Z"},
	    {1709164799, "2024-02-28T23:59:59Z"},
	    {1780358400, "2026-06-02T00:00:00Z"},
	    {4107542400, "2100-03-01T00:00:00Z"},
	    {253402300799, "9999-12-31T23:59:59Z"},
	    {-1, "1969-12-31T23:59:59Z"},
	    {INT64_MAX, "292277026596-12-04T15:30:07Z"},
	    {INT64_MIN, "-292277022657-01-27T08:29:52Z"},
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		tap_time_rfc3339(rows[i].t, out, sizeof out);
		assert_string_equal(out, rows[i].text);
	}
}

static void out_of_range(void **state)
{
	(void)state;
	/* Months and days that run over move on, whatever a stranger has written. */
	assert_int_equal(tap_time_from_utc(&(struct tap_date){.year = 2025, .month = 14, .day = 1}),
			 tap_time_from_utc(&(struct tap_date){.year = 2026, .month = 2, .day = 1}));
	assert_int_equal(tap_time_from_utc(&(struct tap_date){.year = 2026, .month = 1, .day = 32}),
			 tap_time_from_utc(&(struct tap_date){.year = 2026, .month = 2, .day = 1}));
	assert_true(tap_time_from_utc(&(struct tap_date){INT64_MAX, 2147483647, 2147483647,
							 2147483647, 2147483647, 2147483647}) > 0);
	assert_true(tap_time_from_utc(
			&(struct tap_date){INT64_MIN, -2147483647, -2147483647, 0, 0, 0}) < 0);
}

static void now(void **state)
{
	(void)state;
	assert_true(llabs((long long)tap_clock_now() - (long long)time(NULL)) <= 1);
	tap_clock_set_for_test(1780358400);
	assert_int_equal(tap_clock_now(), 1780358400);
	tap_clock_set_for_test(0);
	assert_true(llabs((long long)tap_clock_now() - (long long)time(NULL)) <= 1);
	int64_t a = tap_clock_mono_ms();
	usleep(20000);
	int64_t b = tap_clock_mono_ms();
	assert_true(b - a >= 19 && b - a < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_day),    cmocka_unit_test(before_1970), cmocka_unit_test(text),
	    cmocka_unit_test(out_of_range), cmocka_unit_test(now),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
