/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_mail_date.c - dates as mail programs write them. */
#include "parser/mail_date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

static void expect(const char *text, int64_t time, bool has_zone, int32_t zone)
{
	struct tap_mail_date d;

	if (!tap_mail_date_parse(text, strlen(text), &d))
		fail_msg("not read: %s", text);
	if (d.time != time || d.has_zone != has_zone || d.zone != zone)
		fail_msg("%s: %lld zone %d %d", text, (long long)d.time, d.has_zone, d.zone);
}

static void refuse(const char *text)
{
	struct tap_mail_date d;

	if (tap_mail_date_parse(text, strlen(text), &d))
		fail_msg("read as %lld: %s", (long long)d.time, text);
	assert_false(d.has_zone);
}

/* 2026-06-02 09:14:07 UTC */
#define T INT64_C(1780391647)

static void test_standard_forms(void **state)
{
	(void)state;
	expect("Tue, 2 Jun 2026 11:14:07 +0200", T, true, 120);
	expect("Tue, 02 Jun 2026 09:14:07 +0000", T, true, 0);
	expect("2 Jun 2026 09:14:07 GMT", T, true, 0);
	expect("Tue, 2 Jun 2026 05:14:07 EDT", T, true, -240);
	expect("Tue, 2 Jun 2026 09:14 +0000", T - 7, true, 0);
	expect("Tue,\r\n\t2 Jun 2026 11:14:07\r\n +0200", T, true, 120);
	expect("Thu, 1 Jan 1970 00:00:00 +0000", 0, true, 0);
	expect("Wed, 31 Dec 1969 23:59:59 +0000", -1, true, 0);
	expect("Thu, 29 Feb 2024 12:00:00 +0000", 1709208000, true, 0);
	expect("Sat, 31 Dec 2016 23:59:60 +0000", 1483228800, true, 0);
}

static void test_no_zone_is_utc_q_170(void **state)
{
	(void)state;
	expect("Tue, 2 Jun 2026 09:14:07", T, false, 0);
	expect("Tue, 2 Jun 2026 09:14:07 ", T, false, 0);
}

static void test_lenient_forms_q_171(void **state)
{
	(void)state;
	expect("Tue, 2 Jun 2026 09:14:07 -0000", T, false, 0);
	expect("Tue, 2 Jun 2026 11:14:07 +0200 (CEST)", T, true, 120);
	expect("Tue (a (nested \\) one)), 2 (June) Jun 2026 11:14:07 +0200", T, true, 120);
	expect("Mon, 2 Jun 2026 11:14:07 +0200", T, true, 120); /* it was a Tuesday */
	expect("Tue, 2 Jun 26 11:14:07 +0200", T, true, 120);
	expect("Sun, 1 Mar 98 00:00:00 +0000", 888710400, true, 0);
	expect("Sun, 1 Mar 126 00:00:00 +0000", 1772323200, true, 0);
	expect("Tuesday, 2-Jun-26 09:14:07 GMT", T, true, 0);
	expect("Tue Jun  2 09:14:07 2026", T, false, 0);
	expect("Tue Jun  2 11:14:07 CEST 2026", T, true, 120);
	expect("Tue Jun 02 2026 11:14:07 GMT+0200 (Central European Summer Time)", T, true, 120);
	expect("2026-06-02T09:14:07Z", T, true, 0);
	expect("2026-06-02 11:14:07.123456+02:00", T, true, 120);
	expect("2026/06/02 09:14:07 UTC", T, true, 0);
	expect("Tue, 2 June 2026 9:14:07 AM +0000", T, true, 0);
	expect("Tue, 2 Jun 2026 9:14:07 PM +0000", T + 43200, true, 0);
	expect("Tue, 2 Jun 2026 12:14:07 AM +0000", T - 9 * 3600, true, 0);
	expect("Tue, 2 Jun 2026 09:14:07 XYZ", T, false, 0);
	expect("Tue, 2 Jun 2026 09:14:07 A", T, false, 0);
	expect("tue, 2 JUN 2026 11:14:07 +02", T, true, 120);
	expect("Tue, 2 Jun 2026 09:14:07 +9999", T, false, 0);
	expect("Tue, 2 Jun 2026 14:44:07 +0530", T, true, 330);
	expect("2026-06-02 09:14:07.858842501 +0000 UTC m=+1856335.516585242", T, true, 0);
	expect("Tue, 2 Jun 2026 09:14:07 +0000 17 18", T, true, 0);
}

static void test_what_is_no_date_q_169(void **state)
{
	static const char *const bad[] = {
	    "",
	    "yesterday",
	    "Tue, 31 Jun 2026 09:14:07 +0000",
	    "Tue, 29 Feb 2023 09:14:07 +0000",
	    "Tue, 0 Jun 2026 09:14:07 +0000",
	    "Tue, 2 Jun 2026 24:14:07 +0000",
	    "Tue, 2 Jun 2026 09:61:07 +0000",
	    "Tue, 2 Jun 2026 09:14:61 +0000",
	    "Tue, 2 Jun 1066 09:14:07 +0000",
	    "Tue, 2 Jun 20266 09:14:07 +0000",
	    "2 2026 09:14:07",
	    "Jun 2026",
	    "2026-13-02T09:14:07Z",
	    "09:14:07 +0000",
	    "(Tue, 2 Jun 2026 09:14:07 +0000",
	    "99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refuse(bad[i]);
}

/* Every beginning of a date is read or refused, and nothing behind it is touched. */
static void test_cut_anywhere(void **state)
{
	static const char whole[] = "Tue, 2 Jun 2026 11:14:07.5 +02:00 (x (y) \\) z)";
	struct tap_mail_date d;

	(void)state;
	for (size_t n = 0; n < sizeof whole; n++) {
		char *p = malloc(n ? n : 1);

		assert_non_null(p);
		memcpy(p, whole, n);
		assert_true(tap_mail_date_parse(p, n, &d) == (n >= 13) || (n > 15 && n < 25));
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_standard_forms),
	    cmocka_unit_test(test_no_zone_is_utc_q_170),
	    cmocka_unit_test(test_lenient_forms_q_171),
	    cmocka_unit_test(test_what_is_no_date_q_169),
	    cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
