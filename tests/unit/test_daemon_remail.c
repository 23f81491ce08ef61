/* SPDX-License-Identifier: Apache-2.0
 * A mail made of what is kept of one: fields of the body go, doubts stay. */
#include "daemon/remail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define TAIL                                                                                       \
	"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"                          \
	"Content-Transfer-Encoding: binary\r\nContent-Disposition: attachment"
#define END "\r\n\r\n"

static void is(const char *headers, const char *filename, const char *want)
{
	struct tap_buf b;

	tap_buf_init(&b, 1 << 16);
	tap_remail_head(headers, strlen(headers), filename, &b);
	assert_string_equal(tap_buf_cstr(&b), want);
	tap_buf_free(&b);
}

static void test_fields_of_the_body_are_replaced(void **state)
{
	(void)state;
	is("From: a@b\r\nContent-Type: multipart/mixed;\r\n\tboundary=x\r\nmime-version: 1.0\r\n"
	   "Subject: s\r\n folded\r\nCONTENT-Description: d\r\n\r\n",
	   "", "From: a@b\r\nSubject: s\r\n folded\r\n" TAIL END);
	is("Content-Type: text/plain\nFrom: a@b\n\nbody", "", "From: a@b\n" TAIL END);
	is("From x Tue Apr 30\nFrom: a@b\n", "a!b!1!2.xml.gz",
	   "From x Tue Apr 30\nFrom: a@b\n" TAIL "; filename=\"a!b!1!2.xml.gz\"" END);
	is("From: a@b", "a\"b", "From: a@b\r\n" TAIL END);
}

/* What a mail server may have read otherwise is not believed; it must not become believable. */
static void test_doubts_stay(void **state)
{
	(void)state;
	is("\r\n\nFrom: a@b\r\n\r\n", "", "\r\n\nFrom: a@b\r\n" TAIL END);
	is("From: a@b\rSubject: s\r\rContent-Type: x\r", "",
	   "\nFrom: a@b\nSubject: s\r\n" TAIL END);
	is("From: a@b\r\nno field\r\nSubject: s\r\n\r\n", "",
	   "From: a@b\r\nno field\r\nSubject: s\r\n" TAIL END);
	is("\xef\xbb\xbf"
	   "From: a@b\n\n",
	   "",
	   "\xef\xbb\xbf"
	   "From: a@b\n" TAIL END);
}

static void test_what_is_no_header_gives_nothing(void **state)
{
	(void)state;
	is("", "", "");
	is("\r\n", "", "");
	is("<?xml version=\"1.0\"?>\n<feedback>", "", "");
	is("{\"organization-name\": 1}", "", "");
	is("\x1f\x8b\x08", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields_of_the_body_are_replaced),
	    cmocka_unit_test(test_doubts_stay),
	    cmocka_unit_test(test_what_is_no_header_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
