/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_daemon_control_words.c - the words of the control socket: what the client adds is what the server takes. */
#include "daemon/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_words_and_options_come_back(void **state)
{
	static const char odd[] = "a b=c%20\n\xc3\xa9\"";
	char out[64];
	struct tap_buf b;
	const char *args;

	(void)state;
	tap_buf_init(&b, 1000);
	tap_control_set(&b, "since", "2026-11-01T00:00:00Z");
	tap_control_word(&b, odd);
	tap_control_set(&b, "why", odd);
	tap_control_word(&b, "last");
	args = tap_buf_cstr(&b);
	assert_null(strchr(args, '\n'));
	assert_true(tap_control_get(args, "since", out, sizeof(out)));
	assert_string_equal(out, "2026-11-01T00:00:00Z");
	assert_true(tap_control_get(args, "why", out, sizeof(out)));
	assert_string_equal(out, odd);
	assert_false(tap_control_get(args, "wh", out, sizeof(out)));
	assert_true(tap_control_next(&args, out, sizeof(out)));
	assert_string_equal(out, odd);
	assert_true(tap_control_next(&args, out, sizeof(out)));
	assert_string_equal(out, "last");
	assert_false(tap_control_next(&args, out, sizeof(out)));
	tap_buf_free(&b);
}

static void test_nonsense_is_no_word(void **state)
{
	static const char *const bad[] = {"%", "%4", "%zz", "%00", "a%0", "0123456789"};
	char out[9];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *args = bad[i];

		assert_false(tap_control_next(&args, out, sizeof(out)));
		assert_string_equal(args, "");
	}
	assert_false(tap_control_get("a=0123456789", "a", out, sizeof(out)));
	assert_false(tap_control_get("", "a", out, sizeof(out)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words_and_options_come_back),
					   cmocka_unit_test(test_nonsense_is_no_word)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
