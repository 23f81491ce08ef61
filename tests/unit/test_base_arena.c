/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/arena.h"

static void zeroed_and_aligned(void **state)
{
	struct tap_arena *a = tap_arena_new(1 << 20);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 0; n < 3000; n += 37) {
			unsigned char *p = tap_arena_alloc(a, n);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 0xee, n);
			assert_non_null(tap_arena_strndup(a, "odd", 3));
		}
		tap_arena_reset(a);
		assert_int_equal(tap_arena_used(a), 0);
	}
	tap_arena_free(&a);
	assert_null(a);
	tap_arena_free(&a);
	tap_arena_free(NULL);
}

static void strings(void **state)
{
	struct tap_arena *a = tap_arena_new(4096);

	(void)state;
	assert_string_equal(tap_arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(tap_arena_strdup(a, "xyz"), "xyz");
	assert_string_equal(tap_arena_strndup(a, NULL, 0), "");
	assert_null(tap_arena_strdup(a, NULL));
	assert_null(tap_arena_strndup(a, "x", SIZE_MAX));
	tap_arena_free(&a);
}

static void cap_holds(void **state)
{
	static const size_t caps[] = {0, 1, 16, 100, 8192, 10000, 300000};

	(void)state;
	for (size_t c = 0; c < sizeof caps / sizeof caps[0]; c++) {
		struct tap_arena *a = tap_arena_new(caps[c]);
		size_t got = 0;
		assert_non_null(tap_arena_alloc(a, 0));
		assert_null(tap_arena_alloc(a, caps[c] + 1));
		assert_null(tap_arena_alloc(a, SIZE_MAX));
		while (tap_arena_strndup(a, "0123456789", 9))
			got += 10;
		assert_true(got <= caps[c]);
		assert_true(got + 10 > caps[c] || caps[c] > 8192);
		assert_true(got >= caps[c] / 2 || caps[c] < 20);
		assert_true(tap_arena_used(a) <= caps[c]);
		tap_arena_reset(a);
		/* All of it again, once the first block is what it was. */
		if (caps[c] >= 10)
			assert_non_null(tap_arena_strndup(a, "0123456789", 9));
		tap_arena_free(&a);
	}
}

static void one_large(void **state)
{
	struct tap_arena *a = tap_arena_new(10 << 20);
	char *p = tap_arena_alloc(a, 9 << 20);

	(void)state;
	assert_non_null(p);
	p[(9 << 20) - 1] = 1;
	assert_null(tap_arena_alloc(a, 2 << 20));
	assert_non_null(tap_arena_alloc(a, 1 << 19));
	tap_arena_reset(a);
	assert_non_null(tap_arena_alloc(a, 9 << 20));
	tap_arena_free(&a);
}

static void first_block_is_kept(void **state)
{
	struct tap_arena *a = tap_arena_new(1 << 20);
	void *first = tap_arena_alloc(a, 64);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_non_null(tap_arena_alloc(a, 1000));
	tap_arena_reset(a);
	assert_ptr_equal(tap_arena_alloc(a, 64), first);
	tap_arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeroed_and_aligned),  cmocka_unit_test(strings),
	    cmocka_unit_test(cap_holds),	   cmocka_unit_test(one_large),
	    cmocka_unit_test(first_block_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
