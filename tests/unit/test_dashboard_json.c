/* SPDX-License-Identifier: Apache-2.0
 * JSON that is right and harmless, whatever text it carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "dashboard/json.h"

static void check_text(const char *text, const char *want)
{
	struct tap_buf b;
	struct tap_json j;

	tap_buf_init(&b, 4096);
	tap_json_init(&j, &b);
	tap_json_str(&j, NULL, text);
	assert_string_equal(tap_buf_cstr(&b), want);
	tap_buf_free(&b);
}

static void text_is_escaped(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"", "\"\""},
	    {"plain", "\"plain\""},
	    {"a\"b\\c", "\"a\\\"b\\\\c\""},
	    {"</script><img src=x>&amp;",
	     "\"\\u003c/script\\u003e\\u003cimg src=x\\u003e\\u0026amp;\""},
	    {"tab\tline\nreturn\rnul\x01"
	     "del\x7f",
	     "\"tab\\tline\\nreturn\\u000dnul\\u0001del\\u007f\""},
	    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa8",
	     "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa8\""},
	    {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\""},
	    /* Not UTF-8: stray continuation, overlong, surrogate, above 10FFFF, cut at the end. */
	    {"a\x80z", "\"a\\ufffdz\""},
	    {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
	    {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
	    {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	    {"end\xe2\x82", "\"end\\ufffd\\ufffd\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_text(cases[i].text, cases[i].want);
}

static void commas_and_kinds(void **state)
{
	struct tap_buf b;
	struct tap_json j;

	(void)state;
	tap_buf_init(&b, 4096);
	tap_json_init(&j, &b);
	tap_json_open(&j, NULL, '{');
	tap_json_int(&j, "n", INT64_MIN);
	tap_json_str(&j, "s", NULL);
	tap_json_open(&j, "list", '[');
	tap_json_open(&j, NULL, '{');
	tap_json_close(&j, '}');
	tap_json_bool(&j, NULL, true);
	tap_json_null(&j, NULL);
	tap_json_close(&j, ']');
	tap_json_time(&j, "t", 1780358400);
	tap_json_time_or_null(&j, "none", 0);
	tap_json_day(&j, "day", 1780358400 + 86399);
	tap_json_close(&j, '}');
	assert_string_equal(tap_buf_cstr(&b),
			    "{\"n\":-9223372036854775808,\"s\":null,\"list\":[{},true,null],"
			    "\"t\":\"2026-06-02T00:00:00Z\",\"none\":null,\"day\":\"2026-06-02\"}");
	tap_buf_free(&b);
}

static void check_share(int64_t part, int64_t whole, const char *want)
{
	struct tap_buf b;
	struct tap_json j;

	tap_buf_init(&b, 64);
	tap_json_init(&j, &b);
	tap_json_share(&j, NULL, part, whole);
	assert_string_equal(tap_buf_cstr(&b), want);
	tap_buf_free(&b);
}

static void one_means_all(void **state)
{
	(void)state;
	check_share(0, 0, "null");
	check_share(5, -1, "null");
	check_share(0, 7, "0.0000");
	check_share(1, 3, "0.3333");
	check_share(99999, 100000, "0.9999");
	check_share(7, 7, "1.0000");
	check_share(9, 7, "1.0000");
	check_share(-1, 7, "0.0000");
	check_share(INT64_MAX - 1, INT64_MAX, "0.9999");
	check_share(INT64_MAX, INT64_MAX, "1.0000");
}

static void too_much_is_seen_at_the_end(void **state)
{
	struct tap_buf b;
	struct tap_json j;

	(void)state;
	tap_buf_init(&b, 16);
	tap_json_init(&j, &b);
	for (int i = 0; i < 20; i++)
		tap_json_str(&j, "key", "value");
	assert_true(b.failed);
	tap_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_is_escaped),
	    cmocka_unit_test(commas_and_kinds),
	    cmocka_unit_test(one_means_all),
	    cmocka_unit_test(too_much_is_seen_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
