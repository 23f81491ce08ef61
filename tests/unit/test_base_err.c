/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

static void sets(void **state)
{
	struct tap_err e;

	(void)state;
	assert_int_equal(tap_err_set(&e, TAP_E_DATA, "bad %s %d", "thing", 7), TAP_E_DATA);
	assert_int_equal(e.rc, TAP_E_DATA);
	assert_int_equal(e.sys_errno, 0);
	assert_string_equal(e.msg, "bad thing 7");
	assert_int_equal(tap_err_set(NULL, TAP_E_LIMIT, "x"), TAP_E_LIMIT);
}

static void control_characters(void **state)
{
	struct tap_err e;

	(void)state;
	tap_err_set(&e, TAP_E_DATA, "%s", "a\nb\tc\x1b[31m\x7f \xc2\x9b z \xc3\xa4");
	assert_string_equal(e.msg, "a?b?c?[31m? ?? z \xc3\xa4");
}

static void cuts_whole_characters(void **state)
{
	struct tap_err e;
	char text[1200];

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		memset(text, 'x', lead);
		for (size_t i = lead; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		tap_err_set(&e, TAP_E_DATA, "%s", text);
		size_t n = strlen(e.msg);
		assert_true(n >= sizeof e.msg - 4 && n < sizeof e.msg);
		assert_int_equal((n - lead) % 3, 0);
	}
	memset(text, 'y', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	tap_err_set(&e, TAP_E_DATA, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
}

static void system_errors(void **state)
{
	struct tap_err e;
	char name[1000];

	(void)state;
	assert_int_equal(tap_err_sys(&e, TAP_E_TEMP, ENOSPC, "cannot write %s", "f"), TAP_E_TEMP);
	assert_string_equal(e.msg, "cannot write f: No space left on device");
	assert_int_equal(e.sys_errno, ENOSPC);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	tap_err_sys(&e, TAP_E_TEMP, ENOSPC, "%s", name);
	assert_has(e.msg, "n: No space left on device");
	assert_int_equal(tap_err_sys(NULL, TAP_E_CONFIG, EPERM, "x"), TAP_E_CONFIG);
}

static void prefixes(void **state)
{
	struct tap_err e;
	char name[600];

	(void)state;
	tap_err_sys(&e, TAP_E_TEMP, EIO, "read");
	assert_int_equal(tap_err_prefix(&e, "spool %s: ", "q1"), TAP_E_TEMP);
	assert_string_equal(e.msg, "spool q1: read: Input/output error");
	assert_int_equal(e.sys_errno, EIO);
	/* An argument that is the error's own text. */
	tap_err_set(&e, TAP_E_DATA, "again: %s", e.msg);
	assert_string_equal(e.msg, "again: spool q1: read: Input/output error");
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	tap_err_prefix(&e, "%s", name);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	assert_int_equal(tap_err_prefix(NULL, "x"), TAP_E_TEMP);
}

static void names(void **state)
{
	static const char *const want[] = {"ok",     "temporary", "data",     "limit",
					   "config", "not found", "cancelled"};

	(void)state;
	for (int i = 0; i < 7; i++)
		assert_string_equal(tap_rc_name((enum tap_rc)i), want[i]);
	assert_string_equal(tap_rc_name((enum tap_rc)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets),
	    cmocka_unit_test(control_characters),
	    cmocka_unit_test(cuts_whole_characters),
	    cmocka_unit_test(system_errors),
	    cmocka_unit_test(prefixes),
	    cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
