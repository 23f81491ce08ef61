/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_address.c - address lists: what is the address, and what only looks like one. */
#include "base/buf.h"
#include "parser/address.h"
#include "parser/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
/* after the three above */
#include <cmocka.h>

enum { CAP = 1 << 20 };

/* The list as "display|local|domain" with "," between; the address must be the two with "@". */
static void expect(const char *value, const char *wanted)
{
	struct tap_arena *a = tap_arena_new(CAP);
	struct tap_mailboxes l = {0};
	struct tap_buf b;
	bool cut;

	tap_buf_init(&b, CAP);
	assert_int_equal(tap_address_list(a, value, strlen(value), 100, &l, &cut, NULL), TAP_OK);
	assert_false(cut);
	for (size_t i = 0; i < l.n; i++) {
		const struct tap_mailbox *m = &l.item[i];

		tap_buf_printf(&b, "%s%s|%s|%s", i > 0 ? "," : "", m->display_name, m->local,
			       m->domain ? m->domain : "-");
		if (m->domain) {
			assert_memory_equal(m->address, m->local, strlen(m->local));
			assert_int_equal(m->address[strlen(m->local)], '@');
			assert_int_equal(strcasecmp(m->address + strlen(m->local) + 1, m->domain),
					 0);
		} else {
			assert_string_equal(m->address, m->local);
		}
	}
	if (strcmp(tap_buf_cstr(&b), wanted) != 0)
		fail_msg("%s\n gives  %s\n wanted %s", value, b.p, wanted);
	tap_buf_free(&b);
	tap_arena_free(&a);
}

static void test_usual_forms(void **state)
{
	(void)state;
	expect("a@example.com", "|a|example.com");
	expect("<a@example.com>", "|a|example.com");
	expect("Jo Doe <jo@Example.COM>", "Jo Doe|jo|example.com");
	expect("\"Doe, Jo\" <jo@example.com>, b@example.net",
	       "Doe, Jo|jo|example.com,|b|example.net");
	expect("Jo (the (first)) Doe <jo@example.com> (comment)", "Jo Doe|jo|example.com");
	expect("jo@example.com (Jo Doe)", "|jo|example.com");
	expect("\r\n\tJo\r\n Doe\r\n\t<jo@example.com>\r\n", "Jo Doe|jo|example.com");
	expect("\"jo doe\"@example.com", "|\"jo doe\"|example.com");
	expect("\"a@b\"@example.com", "|\"a@b\"|example.com");
	expect("jo@[192.0.2.1]", "|jo|[192.0.2.1]");
	expect("Jo <jo@[IPv6:2001:db8::1]>", "Jo|jo|[ipv6:2001:db8::1]");
	expect("<@a.example,@b.example:jo@example.com>", "|jo|example.com");
	expect("jo . doe @ example . com", "|jo.doe|example.com");
	expect("Jo Q. Public <jo@example.com>", "Jo Q. Public|jo|example.com");
	expect("\"J\\\"o\\\" Doe\" <jo@example.com>", "J\"o\" Doe|jo|example.com");
	expect("root", "|root|-");
	expect("MAILER-DAEMON <>", "MAILER-DAEMON||-");
	expect("j\xc3\xb6@ex\xc3\xa4mple.com", "|j\xc3\xb6|ex\xc3\xa4mple.com");
	expect("a@example.com; b@example.com", "|a|example.com,|b|example.com");
	expect("mailto:a@example.com", "|a|example.com");
}

static void test_encoded_names(void **state)
{
	(void)state;
	expect("=?utf-8?B?SsO2cmc=?= <j@example.com>", "J\xc3\xb6rg|j|example.com");
	expect("\"=?utf-8?Q?J=C3=B6rg?=\" <j@example.com>", "J\xc3\xb6rg|j|example.com");
	expect("=?iso-8859-1?Q?J=F6rg?= =?iso-8859-1?Q?_M?= <j@example.com>",
	       "J\xc3\xb6rg M|j|example.com");
	/* What is encoded is never an address, nor a comma, nor a bracket. */
	expect("=?utf-8?Q?=3Cboss=40example.com=3E=2C?= <x@example.net>",
	       "<boss@example.com>,|x|example.net");
	expect("=?utf-8?Q?boss=40example.com?=", "boss@example.com||-");
	expect("=?utf-8?Q?a=0Ab=00c?= <x@example.net>", "a b?c|x|example.net");
	expect("=?no-such-set?Q?x?= <x@example.net>", "x|x|example.net");
}

static void test_empty_q_180(void **state)
{
	(void)state;
	expect("", "");
	expect(" \t\r\n ", "");
	expect("(only a comment)", "");
}

static void test_no_phantoms_q_181(void **state)
{
	(void)state;
	expect(",,,", "");
	expect(", a@example.com,, b@example.com,", "|a|example.com,|b|example.com");
	expect("<>", "");
	expect("\"\" <>", "");
	expect("<>, <>, ;", "");
}

/* CVE-2023-27043 and its kin: the address is what stands in the brackets, or nothing. */
static void test_display_name_is_no_address_q_182(void **state)
{
	(void)state;
	expect("boss@example.com <x@example.net>", "boss@example.com|x|example.net");
	expect("\"boss@example.com\" <x@example.net>", "boss@example.com|x|example.net");
	expect("\"boss@example.com\"", "boss@example.com||-");
	expect("boss@example.com)x@example.net", "boss@example.com)x@example.net||-");
	expect("boss@example.com(<x@example.net>", "|boss|example.com");
	expect("boss@example.com<x@example.net>", "boss@example.com|x|example.net");
	expect("<boss@example.com>x@example.net", "");
	expect("<boss@example.com><x@example.net>", "");
	expect("boss@example.com x@example.net", "boss@example.com x@example.net||-");
	expect("boss@example.com@example.net", "boss@example.com@example.net||-");
	expect("<boss@example.com@example.net>", "");
	expect("boss@example.com]x", "boss@example.com]x||-");
	expect("boss\\@example.com", "boss\\@example.com||-");
	expect("\"unclosed <boss@example.com>", "\"unclosed||-");
	expect("<boss@example.com", "");
	expect("Jo <boss@example.com", "Jo||-");
	expect("Jo Doe", "Jo Doe||-");
	expect("\"a\" <x@example.net> <boss@example.com>", "a||-");
	expect("@example.com", "@example.com||-");
	expect("boss@", "boss@||-");
	expect("Jo Doe <boss@>", "Jo Doe||-");
	expect("Jo Doe <bo ss@example.com>", "Jo Doe||-");
}

static void test_groups_q_183(void **state)
{
	(void)state;
	expect("undisclosed-recipients:;", "");
	expect("undisclosed-recipients: ;, a@example.com", "|a|example.com");
	expect("Team A: a@example.com, Bo <b@example.com>;, c@example.com",
	       "|a|example.com,Bo|b|example.com,|c|example.com");
	expect("\"A, B\": a@example.com;", "|a|example.com");
	expect("A: B: c@example.com;;", "|c|example.com");
}

static void test_cap_q_183(void **state)
{
	struct tap_arena *a = tap_arena_new((size_t)4 << 20);
	struct tap_mailboxes l;
	struct tap_buf b;
	bool cut;

	(void)state;
	tap_buf_init(&b, (size_t)4 << 20);
	for (int i = 0; i < 20000; i++)
		tap_buf_printf(&b, "%su%d@example.com", i > 0 ? ", " : "", i);
	assert_int_equal(tap_address_list(a, b.p, b.len, 1000, &l, &cut, NULL), TAP_OK);
	assert_true(cut);
	assert_int_equal(l.n, 1000);
	assert_string_equal(l.item[999].address, "u999@example.com");
	/* Exactly as many as there may be: nothing was cut. */
	assert_int_equal(tap_address_list(a, "a@b.example,c@d.example", 23, 2, &l, &cut, NULL),
			 TAP_OK);
	assert_false(cut);
	assert_int_equal(l.n, 2);
	/* The arena's cap is an error value. */
	tap_arena_free(&a);
	a = tap_arena_new(2000);
	assert_int_equal(tap_address_list(a, b.p, b.len, 1000, &l, &cut, NULL), TAP_E_LIMIT);
	tap_arena_free(&a);
	tap_buf_free(&b);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A megabyte of each of these: what is not closed must not be looked for again and again. */
static void test_linear_time(void **state)
{
	static const char *const pieces[] = {"\"\\",	   "\"",	 "<a@[",  "<a@[>,", "a@[,",
					     "(",	   "((",	 "<\"\\", "\\",	    "@",
					     "<a@b>\"\\",  ":",		 ";",	  "a ",	    "a.",
					     "=?utf-8?q?", "=?a?b?c?= ", "<@a,"};

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct tap_arena *a = tap_arena_new((size_t)16 << 20);
		struct tap_mailboxes l;
		struct tap_buf b;
		double t;
		bool cut;

		tap_buf_init(&b, (size_t)2 << 20);
		while (b.len < (size_t)1 << 20)
			tap_buf_adds(&b, pieces[i]);
		t = seconds();
		assert_int_equal(tap_address_list(a, b.p, b.len, 1000, &l, &cut, NULL), TAP_OK);
		t = seconds() - t;
		if (t > 2.0)
			fail_msg("%s: %.1f s for a megabyte", pieces[i], t);
		tap_buf_free(&b);
		tap_arena_free(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_usual_forms),
	    cmocka_unit_test(test_encoded_names),
	    cmocka_unit_test(test_empty_q_180),
	    cmocka_unit_test(test_no_phantoms_q_181),
	    cmocka_unit_test(test_display_name_is_no_address_q_182),
	    cmocka_unit_test(test_groups_q_183),
	    cmocka_unit_test(test_cap_q_183),
	    cmocka_unit_test(test_linear_time),
	};

	tap_parser_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
