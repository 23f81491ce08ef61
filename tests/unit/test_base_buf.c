/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/buf.h"

static void grows(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 100000);
	assert_string_equal(tap_buf_cstr(&b), "");
	for (int i = 0; i < 10000; i++)
		tap_buf_addc(&b, (char)('a' + i % 26));
	assert_int_equal(b.len, 10000);
	assert_false(b.failed);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	tap_buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 10000);
	tap_buf_free(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 100000);
	tap_buf_adds(&b, "again");
	assert_string_equal(tap_buf_cstr(&b), "again");
	tap_buf_free(&b);
	tap_buf_free(NULL);
}

static void maximum(void **state)
{
	struct tap_buf b;

	(void)state;
	for (size_t max = 0; max < 600; max += 7) {
		tap_buf_init(&b, max);
		for (size_t i = 0; i < max; i++)
			tap_buf_addc(&b, 'x');
		assert_false(b.failed);
		assert_int_equal(strlen(tap_buf_cstr(&b)), max);
		tap_buf_addc(&b, 'y');
		assert_true(b.failed);
		assert_int_equal(b.len, max);
		assert_string_equal(tap_buf_cstr(&b), "");
		/* It sticks, even for what would fit. */
		b.len = 0;
		tap_buf_addc(&b, 'z');
		tap_buf_printf(&b, "%d", 1);
		assert_int_equal(b.len, 0);
		assert_false(tap_buf_reserve(&b, 1));
		tap_buf_reset(&b);
		assert_int_equal(tap_buf_reserve(&b, max), true);
		tap_buf_free(&b);
	}
	tap_buf_init(&b, SIZE_MAX);
	tap_buf_adds(&b, "abc");
	assert_false(tap_buf_reserve(&b, SIZE_MAX));
	tap_buf_free(&b);
}

static void prints(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 600);
	tap_buf_printf(&b, "%s", "");
	tap_buf_printf(&b, "%d-%s", 5, "five");
	assert_string_equal(tap_buf_cstr(&b), "5-five");
	tap_buf_printf(&b, "%*d", 500, 1);
	assert_int_equal(b.len, 506);
	tap_buf_printf(&b, "%*d", 94, 1);
	assert_int_equal(b.len, 600);
	assert_false(b.failed);
	tap_buf_printf(&b, "x");
	assert_true(b.failed);
	assert_int_equal(b.len, 600);
	tap_buf_free(&b);
}

static void numbers(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1000);
	tap_buf_add_u64(&b, 0);
	tap_buf_addc(&b, ' ');
	tap_buf_add_u64(&b, UINT64_MAX);
	tap_buf_addc(&b, ' ');
	tap_buf_add_i64(&b, INT64_MIN);
	tap_buf_addc(&b, ' ');
	tap_buf_add_i64(&b, INT64_MAX);
	tap_buf_addc(&b, ' ');
	tap_buf_add_i64(&b, -1);
	assert_string_equal(tap_buf_cstr(&b), "0 18446744073709551615 -9223372036854775808 "
					      "9223372036854775807 -1");
	tap_buf_free(&b);
}

static void consumes(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1000);
	tap_buf_consume(&b, 0);
	tap_buf_consume(&b, 5);
	tap_buf_adds(&b, "abcdef");
	tap_buf_consume(&b, 2);
	assert_string_equal(tap_buf_cstr(&b), "cdef");
	tap_buf_consume(&b, 4);
	assert_int_equal(b.len, 0);
	tap_buf_adds(&b, "gh");
	tap_buf_consume(&b, 99);
	assert_int_equal(b.len, 0);
	tap_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows),   cmocka_unit_test(maximum),  cmocka_unit_test(prints),
	    cmocka_unit_test(numbers), cmocka_unit_test(consumes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
