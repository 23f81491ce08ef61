/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_email.c - the composer and the ZIP writer: what may stand in a mail, and what may not. Whole mails and archives
 * are read by other programs in tests/integration/test_output_email.py. */
#include "outputs/compose.h"
#include "outputs/drivers.h"
#include "outputs/zip_write.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static struct tap_mail a_mail(const struct tap_list *to)
{
	return (struct tap_mail){.from = "reports@example.org",
				 .to = to,
				 .subject = "results",
				 .message_id = "1@example.org",
				 .date = 1780394400,
				 .text = "hello"};
}

static const char *composed(const struct tap_mail *m, struct tap_buf *b)
{
	struct tap_err err = {0};

	tap_buf_reset(b);
	assert_int_equal(tap_mail_compose(m, b, &err), TAP_OK);
	for (const char *s = tap_buf_cstr(b); *s != '\0'; s = strchr(s, '\n') + 1)
		assert_true(strchr(s, '\n') - s <= 78 && strchr(s, '\n')[-1] == '\r');
	return tap_buf_cstr(b);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"",
					  "a",
					  "@example.org",
					  "a@",
					  "a b@example.org",
					  "a@exa mple.org",
					  "a@b@c",
					  "-f@example.org",
					  "a@b>",
					  "<a@b",
					  "x <a@b> y",
					  "x\r\nBcc: <a@b>",
					  "a@b\n",
					  "a..b@c",
					  ".a@b",
					  "a@b.",
					  "a@\xC3\xA4.org",
					  "\xFF <a@b>",
					  "\xC0\x80 <a@b>",
					  "\xED\xA0\x80 <a@b>",
					  "a,b@c",
					  "\x7F <a@b>"};
	char name[TAP_MAIL_NAME + 1], addr[TAP_MAIL_ADDRESS + 1], longest[600];
	struct tap_err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (tap_mail_address(bad[i], name, addr, &err) != TAP_E_CONFIG)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(tap_mail_address("  \"J. Doe\"  <j+x@[192.0.2.1]>", name, addr, &err),
			 TAP_OK);
	assert_string_equal(name, "J. Doe");
	assert_string_equal(addr, "j+x@[192.0.2.1]");
	assert_int_equal(tap_mail_address("<a@b>", name, addr, &err), TAP_OK);
	assert_string_equal(name, "");
	memset(longest, 'x', sizeof longest);
	memcpy(longest + 450, "<a@b>", 6);
	assert_int_equal(tap_mail_address(longest, name, addr, &err), TAP_E_CONFIG);
	memset(longest, 'x', sizeof longest);
	memcpy(longest + 60, "@example.org", 12);
	longest[300] = '\0';
	assert_int_equal(tap_mail_address(longest, name, addr, &err), TAP_E_CONFIG);
}

static void test_header_injection_t_ma_1(void **state)
{
	static const char *const evil[] = {"a\r\nBcc: x@y", "a\nb", "a\rb", "a\x01", "\xFF"};
	char *item[] = {(char[]){"a@example.org"}};
	const struct tap_list to = {.item = item, .n = 1};
	struct tap_err err = {0};
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
		struct tap_mail m = a_mail(&to);

		m.subject = evil[i];
		assert_int_equal(tap_mail_compose(&m, &b, &err), TAP_E_CONFIG);
		m = a_mail(&to);
		m.file = evil[i];
		m.type = "application/zip";
		assert_int_equal(tap_mail_compose(&m, &b, &err), TAP_E_CONFIG);
		m = a_mail(&to);
		m.message_id = evil[i];
		assert_int_equal(tap_mail_compose(&m, &b, &err), TAP_E_CONFIG);
		m = a_mail(&to);
		m.from = evil[i];
		assert_int_equal(tap_mail_compose(&m, &b, &err), TAP_E_CONFIG);
	}
	tap_buf_free(&b);
}

static void test_texts_and_subjects_t_ma_2(void **state)
{
	char *item[] = {(char[]){"a@example.org"}};
	const struct tap_list to = {.item = item, .n = 1};
	struct tap_mail m = a_mail(&to);
	struct tap_buf b;
	const char *s;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	s = composed(&m, &b);
	assert_non_null(
	    strstr(s, "From: reports@example.org\r\nTo: a@example.org\r\nSubject: results\r\n"
		      "Date: Tue, 2 Jun 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
		      "Auto-Submitted: auto-generated\r\n"));
	m.subject = "\xC3\xBC";
	m.text = "From me\r.x \rl\xC3\xA9 = \n\n";
	s = composed(&m, &b);
	assert_non_null(strstr(s, "Subject: =?UTF-8?B?w7w=?=\r\n"));
	assert_non_null(strstr(s, "\r\n\r\n=46rom me\r\n=2Ex=20\r\nl=C3=A9 =3D=20\r\n\r\n"));
	m.subject = "=?UTF-8?B?w7w=?=";
	assert_null(strstr(composed(&m, &b), "Subject: =?UTF-8?B?w7w=?=\r\n"));
	m.file = "r\xC3\xA9sum\xC3\xA9.zip";
	m.type = "application/zip";
	m.bytes = "Man";
	m.len = 2;
	m.html = "<p>";
	s = composed(&m, &b);
	assert_non_null(strstr(s, "\r\n filename*0*=UTF-8''r%C3%A9sum%C3%A9.zip\r\n\r\nTWE=\r\n"));
	b.max = 300;
	tap_buf_free(&b);
	{
		struct tap_err err = {0};

		assert_int_equal(tap_mail_compose(&m, &b, &err), TAP_E_LIMIT);
	}
	tap_buf_free(&b);
}

static void test_an_archive_keeps_to_its_limit(void **state)
{
	struct tap_err err = {0};
	struct tap_buf b;
	struct tap_zip *z;
	char noise[4096];
	uint32_t x = 1;

	(void)state;
	tap_buf_init(&b, 256 * 1024);
	z = tap_zip_open(&b, 0);
	tap_zip_member(z, "a");
	tap_zip_add(z, "hello", 5);
	assert_int_equal(tap_zip_end(z, &err), TAP_OK);
	assert_memory_equal(b.p, "PK\3\4", 4);
	assert_memory_equal(b.p + b.len - 22, "PK\5\6\0\0\0\0\1\0\1\0", 12);
	tap_zip_close(&z);
	assert_null(z);
	tap_buf_reset(&b);
	z = tap_zip_open(&b, 0);
	tap_zip_member(z, "noise");
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < sizeof noise; k++) {
			x = x * 1664525 + 1013904223;
			noise[k] = (char)(x >> 24);
		}
		tap_zip_add(z, noise, sizeof noise);
	}
	assert_int_equal(tap_zip_end(z, &err), TAP_E_LIMIT);
	assert_true(b.len <= b.max);
	tap_zip_close(&z);
	tap_zip_close(&z);
	tap_buf_free(&b);
}

/* 2026-06-02 is a Tuesday; times are UTC's but for the last. */
static void expect_next(const char *settings, const char *zone, int64_t done, int64_t now,
			int64_t want_s)
{
	char path[] = "/tmp/test_outputs_email.XXXXXX", state[TAP_OUTPUT_STATE_MAX] = "",
	     before[64];
	struct tap_settings *s = NULL;
	struct tap_err err = {0};
	void *self = NULL, *set = calloc(1, tap_output_email.settings->struct_size);
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	(void)fprintf(f,
		      "outputs = ( { type = \"email\"; host = \"localhost\"; from = \"a@b\"; "
		      "to = \"c@d\"; %s } );",
		      settings);
	(void)fclose(f);
	(void)setenv("TZ", zone, 1);
	tzset();
	assert_int_equal(tap_settings_load(path, &s, &err), TAP_OK);
	assert_int_equal(tap_settings_output(s, 0, tap_output_email.settings, set, &err), TAP_OK);
	(void)snprintf(before, sizeof before, "v1 %lld", (long long)done);
	assert_int_equal(tap_output_email.open(set, before, state, &self, &err), TAP_OK);
	assert_string_equal(state, before);
	tap_clock_set_for_test(now);
	assert_int_equal(tap_output_email.hold(self, false, state), want_s * 1000);
	assert_string_equal(state, before);
	assert_true(tap_output_email.hold(self, true, state) > 0);
	(void)snprintf(before, sizeof before, "v1 %lld", (long long)now);
	assert_string_equal(state, before);
	tap_clock_set_for_test(0);
	tap_output_email.close(&self);
	tap_settings_free(&s);
	free(set);
	(void)remove(path);
}

static void test_the_hour(void **state)
{
	enum { TUESDAY = 1780358400, HOUR = 3600, DAY = 86400 };
	static const char *const bad[] = {"x", "v1", "v1 ", "v1 x", "v1 1x", "v1 -1", "v2 1"};
	char out[TAP_OUTPUT_STATE_MAX];
	struct tap_err err = {0};
	void *self = NULL, *set = calloc(1, tap_output_email.settings->struct_size);

	(void)state;
	expect_next("", "UTC", TUESDAY, TUESDAY, 6 * HOUR);
	expect_next("", "UTC", TUESDAY + 6 * HOUR, TUESDAY + 6 * HOUR, DAY);
	expect_next("", "UTC", TUESDAY, TUESDAY + 6 * HOUR, 0);
	expect_next("", "UTC", TUESDAY, TUESDAY + 9 * DAY, 0);	      /* it was stopped meanwhile */
	expect_next("", "UTC", TUESDAY + 9 * DAY, TUESDAY, 6 * HOUR); /* the clock was wrong */
	expect_next("at = \"23:59\";", "UTC", TUESDAY, TUESDAY + 1, DAY - 61);
	expect_next("every = \"7d\";", "UTC", TUESDAY, TUESDAY, 6 * DAY + 6 * HOUR);
	expect_next("every = \"7d\"; day = \"tuesday\";", "UTC", TUESDAY, TUESDAY, 6 * HOUR);
	expect_next("every = \"7d\"; day = \"sunday\";", "UTC", TUESDAY, TUESDAY,
		    5 * DAY + 6 * HOUR);
	expect_next("every = \"6h\";", "UTC", TUESDAY + 1, TUESDAY + 1, 6 * HOUR - 1);
	expect_next("", "TST-2", TUESDAY, TUESDAY, 4 * HOUR);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(tap_output_email.open(set, bad[i], out, &self, &err),
				 TAP_E_CONFIG);
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_header_injection_t_ma_1),
	    cmocka_unit_test(test_texts_and_subjects_t_ma_2),
	    cmocka_unit_test(test_the_hour),
	    cmocka_unit_test(test_an_archive_keeps_to_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
