/* SPDX-License-Identifier: Apache-2.0
 * Which recipients are report addresses: spellings of RCPT TO against a configured list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "intake/address.h"
#include <stdlib.h>
#include <string.h>

#define O TAP_ADDRESS_OTHER
#define E TAP_ADDRESS_EXACT
#define X TAP_ADDRESS_EXTENSION
#define D TAP_ADDRESS_DOMAIN

static char *configured[] = {"DMARC@Example.com", "tls+rpt@example.com", "@reports.example.net",
			     "dmarc@reports.example.net"};

static const struct {
	const char *path;
	enum tap_address_match match;
} spellings[] = {
    {"<dmarc@example.com>", E},
    {"dmarc@example.com", E},
    {"<DmArC@EXAMPLE.COM>", E},
    {" <dmarc@example.com> ", E},
    {"<dmarc@example.com.>", E},
    {"<@a.example,@b.example:dmarc@example.com>", E},
    {"@a.example:dmarc@example.com", E},
    {"<\"dmarc\"@example.com>", E},
    {"<\"dm\\arc\"@example.com>", E},
    {"<dmarc+x@example.com>", X},
    {"<dmarc+x+y@example.com>", X},
    {"<\"dmarc+x\"@example.com>", X},
    {"<dmarc+@example.com>", X},
    {"<tls+rpt@example.com>", E},
    {"<tls@example.com>", O},
    {"<tls+other@example.com>", O},
    {"<+dmarc@example.com>", O},
    {"<dmarc-x@example.com>", O},
    {"<anything@reports.example.net>", D},
    {"<dmarc@reports.example.net>", E},
    {"<dmarc+1@reports.example.net>", X},
    {"<\"a@b\"@reports.example.net>", D},
    {"<anything@sub.reports.example.net>", O},
    {"<anything@xreports.example.net>", O},
    {"<dmarc@example.com.evil.example>", O},
    {"<dmarc@evil.example>", O},
    {"<dmarc>", O},
    {"<>", O},
    {"", O},
    {"<", O},
    {">", O},
    {"@", O},
    {"<@>", O},
    {"<@reports.example.net>", O},
    {"<@a.example:>", O},
    {"<\"dmarc@example.com>", O},
    {"<\"dmarc\"x@example.com>", O},
    {"<dmarc@>", O},
    {"<dmarc@.>", O},
    {"postmaster", O},
    {"<d\xc3\xa4marc@example.com>", O},
};

static struct tap_addresses *make(char **item, size_t n, const char *delimiter)
{
	struct tap_list list = {item, n};
	struct tap_addresses *a;
	struct tap_err err;

	assert_int_equal(tap_addresses_new(&list, delimiter, &a, &err), TAP_OK);
	return a;
}

static void test_t_mi_12_spellings(void **state)
{
	struct tap_addresses *a = make(configured, 4, "+");

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (tap_addresses_match(a, spellings[i].path) != spellings[i].match)
			fail_msg("%s: %d", spellings[i].path,
				 (int)tap_addresses_match(a, spellings[i].path));
	}
	tap_addresses_free(&a);
	assert_null(a);
	tap_addresses_free(&a);
	tap_addresses_free(NULL);
}

static void test_delimiters(void **state)
{
	struct tap_addresses *a = make(configured, 4, "-+");

	(void)state;
	assert_int_equal(tap_addresses_match(a, "<dmarc-x+y@example.com>"), X);
	assert_int_equal(tap_addresses_match(a, "<dmarc+x@example.com>"), X);
	tap_addresses_free(&a);
	a = make(configured, 4, "");
	assert_int_equal(tap_addresses_match(a, "<dmarc+x@example.com>"), O);
	assert_int_equal(tap_addresses_match(a, "<dmarc@example.com>"), E);
	tap_addresses_free(&a);
	a = make(configured, 4, NULL);
	assert_int_equal(tap_addresses_match(a, "<dmarc+x@example.com>"), O);
	tap_addresses_free(&a);
}

static void test_empty_list(void **state)
{
	struct tap_addresses *a = make(NULL, 0, "+");

	(void)state;
	assert_int_equal(tap_addresses_match(a, "<dmarc@example.com>"), O);
	tap_addresses_free(&a);
}

static void test_bad_entries(void **state)
{
	static char *bad[] = {"dmarc",
			      "",
			      "@",
			      "dmarc@",
			      "<dmarc@example.com>",
			      "a@b, c@d",
			      "@a:b@c.example",
			      "a b@c.example",
			      "\"open@example.com"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tap_list list = {&bad[i], 1};
		struct tap_addresses *a;
		struct tap_err err;

		if (tap_addresses_new(&list, "+", &a, &err) != TAP_E_CONFIG)
			fail_msg("taken: %s", bad[i]);
		assert_null(a);
		assert_non_null(strstr(err.msg, bad[i]));
	}
}

static void test_long_path(void **state)
{
	struct tap_addresses *a = make(configured, 4, "+");
	char s[5000];

	(void)state;
	memset(s, 'a', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	memcpy(s + 4000, "@reports.example.net", 21);
	assert_int_equal(tap_addresses_match(a, s), O);
	/* The longest that counts, and one more. */
	memcpy(s + TAP_ADDRESS_MAX - 20, "@reports.example.net", 21);
	assert_int_equal(tap_addresses_match(a, s), D);
	memcpy(s + TAP_ADDRESS_MAX - 19, "@reports.example.net", 21);
	s[TAP_ADDRESS_MAX - 20] = 'a';
	assert_int_equal(tap_addresses_match(a, s), O);
	tap_addresses_free(&a);
}

static void test_strip(void **state)
{
	char out[16];

	(void)state;
	tap_address_strip("<A@b.example>", out, sizeof(out));
	assert_string_equal(out, "A@b.example");
	tap_address_strip("<>", out, sizeof(out));
	assert_string_equal(out, "");
	tap_address_strip("<@x:A+1@b.example>", out, sizeof(out));
	assert_string_equal(out, "A+1@b.example");
	tap_address_strip("<aaaaaaaaaaaaaaaaaaaaa@b>", out, 5);
	assert_string_equal(out, "aaaa");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_t_mi_12_spellings), cmocka_unit_test(test_delimiters),
	    cmocka_unit_test(test_empty_list),	      cmocka_unit_test(test_bad_entries),
	    cmocka_unit_test(test_long_path),	      cmocka_unit_test(test_strip),
	};
	return cmocka_run_group_tests_name("intake address", tests, NULL, NULL);
}
