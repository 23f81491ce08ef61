/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_authres.c - Authentication-Results and Received fields as data. */
#include "base/buf.h"
#include "parser/authres.h"
#include "parser/parser.h"
#include "parser/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* after the three above */
#include <cmocka.h>

enum { CAP = 1 << 20 };

/* "id: method=result(reason) ptype.name=value …; method=…" */
static void show(const struct tap_auth_field *f, struct tap_buf *b)
{
	if (f == NULL) {
		tap_buf_adds(b, "nothing");
		return;
	}
	tap_buf_printf(b, "%s:", f->authserv_id ? f->authserv_id : "-");
	for (size_t i = 0; i < f->n_method; i++) {
		const struct tap_auth_method *m = &f->method[i];

		tap_buf_printf(b, "%s %s=%s", i > 0 ? ";" : "", m->method, m->result);
		if (m->reason)
			tap_buf_printf(b, "(%s)", m->reason);
		for (size_t k = 0; k < m->n_property; k++)
			tap_buf_printf(b, " %s.%s=%s", m->property[k].ptype, m->property[k].name,
				       m->property[k].value);
	}
}

static void parse(const char *value, bool lenient, const char *wanted)
{
	struct tap_arena *a = tap_arena_new(CAP);
	struct tap_buf b;

	tap_buf_init(&b, CAP);
	show(tap_authres_parse(a, value, strlen(value), lenient), &b);
	if (strcmp(tap_buf_cstr(&b), wanted) != 0)
		fail_msg("%s\n gives  %s\n wanted %s", value, b.p, wanted);
	tap_buf_free(&b);
	tap_arena_free(&a);
}

static void expect(const char *value, const char *wanted)
{
	parse(value, false, wanted);
}

static void test_forms_t_ar_1(void **state)
{
	(void)state;
	expect("mail.example.com; none", "mail.example.com:");
	expect("mail.example.com 1; none", "mail.example.com:");
	expect("mail.example.com", "mail.example.com:");
	expect("mail.example.com 1; dmarc=pass", "mail.example.com: dmarc=pass");
	expect("mail.example.com (a) 1 (b) ; dmarc=pass", "mail.example.com: dmarc=pass");
	/* Another version is another grammar. */
	expect("mail.example.com 2; dmarc=pass", "nothing");
	expect("mail.example.com v1; dmarc=pass", "nothing");
	expect("mail.example.com 1 1; dmarc=pass", "nothing");
	expect("\"mail.example.com\"; dmarc=pass", "mail.example.com: dmarc=pass");
	expect("mail.example.com; spf=pass smtp.mailfrom=example.net",
	       "mail.example.com: spf=pass smtp.mailfrom=example.net");
	expect("mail.example.com; auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n"
	       "\tspf=pass smtp.mailfrom=example.net",
	       "mail.example.com: auth=pass smtp.auth=sender@example.net; spf=pass "
	       "smtp.mailfrom=example.net");
	expect("mail.example.com; dkim=pass reason=\"good signature\" "
	       "header.i=@mail-router.example.net;\n"
	       " dkim=fail reason=\"bad signature\" header.i=@newyork.example.com",
	       "mail.example.com: dkim=pass(good signature) header.i=@mail-router.example.net; "
	       "dkim=fail(bad signature) header.i=@newyork.example.com");
	expect("foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = "
	       "(wait for it) "
	       "fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) "
	       "= (as I wasn't "
	       "expecting it) 1362471462",
	       "foo.example.net: dkim=fail policy.expired=1362471462");
	expect("mail.example.com; dmarc=fail (p=reject (sub (deep) \\) ;x) dis=none) "
	       "header.from=a.example",
	       "mail.example.com: dmarc=fail header.from=a.example");
	expect("mail.example.com; dkim=pass header.b=\"ab;c\\\"d\" header.d=a.example",
	       "mail.example.com: dkim=pass header.b=ab;c\"d header.d=a.example");
	expect("mail.example.com; spf=pass smtp.mailfrom=\"a; dmarc=pass\"@evil.example",
	       "mail.example.com: spf=pass smtp.mailfrom=\"a; dmarc=pass\"@evil.example");
	expect("MAIL.example.com;DMARC=PASS HEADER.From=A.example;;",
	       "MAIL.example.com: dmarc=pass header.from=A.example");
	expect("mail.example.com;\r\n\tdmarc=pass (p=NONE sp=QUARANTINE dis=NONE) action=none "
	       "header.from=a.example;compauth=pass reason=100",
	       "mail.example.com: dmarc=pass header.from=a.example; compauth=pass(100)");
}

static void test_malformed_t_ar_1(void **state)
{
	(void)state;
	expect("", "nothing");
	expect("  (just a comment) ", "nothing");
	expect(";", "nothing");
	expect("; dmarc=pass", "nothing");
	expect("\"mail.example.com; dmarc=pass", "nothing");
	expect("mail.example.com; dmarc", "mail.example.com:");
	expect("mail.example.com; =pass", "mail.example.com:");
	expect("mail.example.com; dmarc=", "mail.example.com:");
	expect("mail.example.com; dmarc=pass/x; spf=fail", "mail.example.com: spf=fail");
	expect("mail.example.com; dmarc==pass; spf=fail", "mail.example.com: spf=fail");
	/* An open quote or comment: what it may have swallowed is not believed. */
	expect("mail.example.com; spf=fail; dmarc=pass header.from=\"a.example",
	       "mail.example.com: spf=fail");
	expect("mail.example.com; spf=fail (; dmarc=pass", "mail.example.com: spf=fail");
	expect("mail.example.com; spf=fail smtp.mailfrom=\"x; dmarc=pass", "mail.example.com:");
	expect("mail.example.com; dmarc=pass junk .. = ; spf=fail",
	       "mail.example.com: dmarc=pass; spf=fail");
	expect("(mail.example.com); dmarc=pass", "nothing");
	expect("mail.example.com dmarc=pass", "nothing");
}

static void test_identity_t_ar_4(void **state)
{
	(void)state;
	expect("mail.example.com:8025; dmarc=pass", "mail.example.com:8025: dmarc=pass");
	expect("mail.example.com/1; dmarc=pass", "mail.example.com/1: dmarc=pass");
	expect("mail.example.com, x; dmarc=pass", "nothing");
	expect("mail.example.com(x)evil; dmarc=pass", "nothing");
	expect("mx google.example; dmarc=pass", "nothing");
}

static void test_without_identity_t_ar_5(void **state)
{
	static const char linkedin[] = "dmarc=fail (p=none; dis=none) header.from=a.example";

	(void)state;
	parse(linkedin, true, "-: dmarc=fail header.from=a.example");
	parse(linkedin, false, "nothing");
	parse("dmarc = fail; spf=pass", true, "-: dmarc=fail; spf=pass");
	parse("mail.example.com; dmarc=fail", true, "mail.example.com: dmarc=fail");
	parse("", true, "nothing");
	parse("\"", true, "nothing");
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_huge_field_t_ar_6(void **state)
{
	static const char *const pieces[] = {
	    "; a=b", "(", "(a)",	  "\"\\", "\"", " x.y=z", ";",
	    " a",    "=", "; a=b c.d=\"", ".",	  "\\", "/",	  "; dkim=pass header.d=a.example"};

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct tap_arena *a = tap_arena_new((size_t)4 << 20);
		const struct tap_auth_field *f;
		struct tap_buf b;
		double t;

		tap_buf_init(&b, CAP);
		tap_buf_adds(&b, "mail.example.com; dmarc=fail ");
		while (b.len < 100 * 1024)
			tap_buf_adds(&b, pieces[i]);
		tap_buf_adds(&b, "; dmarc=pass");
		t = seconds();
		f = tap_authres_parse(a, b.p, b.len, false);
		t = seconds() - t;
		if (t > 1.0)
			fail_msg("%s: %.2f s", pieces[i], t);
		for (size_t k = 0; f && k < f->n_method; k++)
			assert_string_not_equal(f->method[k].result,
						strcmp(f->method[k].method, "dmarc") ? "-"
										     : "pass");
		assert_true(f == NULL || f->n_method <= TAP_AUTH_FIELDS);
		tap_buf_free(&b);
		tap_arena_free(&a);
	}
}

/* --- the header of a mail ------------------------------------------------------------------------------------------------- */

static const struct tap_mail_auth *header(struct tap_arena *a, const char *block)
{
	const struct tap_mail_auth *m = tap_mail_auth_read(a, block, strlen(block));

	assert_non_null(m);
	return m;
}

static void test_header(void **state)
{
	static const char block[] =
	    "From x Mon Jan  1 00:00:00 2026\r\n"
	    "Received: from a.example (a.example [192.0.2.1])\r\n"
	    "\tby MX.example.com (Postfix) with ESMTP id 1; Tue, 2 Jun 2026 09:14:07 +0000\r\n"
	    "authentication-RESULTS: mx.example.com;\r\n"
	    "\tdmarc=pass header.from=a.example\r\n"
	    "Authentication-Results : mx.example.com; dmarc=fail\r\n"
	    "X-Authentication-Results: mx.example.com; dmarc=fail\r\n"
	    "Authentication-Results-Original: mx.example.com; dmarc=fail\r\n"
	    "ARC-Authentication-Results: i=1; mx.example.com; dmarc=fail\r\n"
	    "Received: (qmail 1 invoked); 2 Jun 2026 09:14:07 -0000\r\n"
	    "Authentication-Results: other.example; spf=pass\r\n"
	    "From: \"a@evil.example\" <noreply@Reports.A.example>\r\n"
	    "Subject: =?utf-8?Q?Report_Domain=3A?= Example.COM\r\n"
	    " Submitter: A.example\r\n Report-ID: <2026.1@A.example>\r\n"
	    "TLS-Report-Domain: Example.com.\r\n"
	    "TLS-Report-Submitter: A.example\r\n"
	    "TLS-Report-Submitter: b.example\r\n";
	struct tap_arena *a = tap_arena_new(CAP);
	const struct tap_mail_auth *m = header(a, block);

	(void)state;
	assert_int_equal(m->n_field, 2);
	assert_string_equal(m->field[0].authserv_id, "mx.example.com");
	assert_int_equal(m->field[0].hops, 1);
	assert_int_equal(m->field[1].hops, 2);
	assert_int_equal(m->n_by, 2);
	assert_string_equal(m->by[0], "mx.example.com");
	assert_string_equal(m->peer[0], "a.example");
	assert_null(m->by[1]);
	assert_string_equal(m->from_domain, "reports.a.example");
	assert_string_equal(m->subject_domain, "example.com");
	assert_string_equal(m->subject_submitter, "a.example");
	assert_string_equal(m->subject_report_id, "2026.1@A.example");
	assert_string_equal(m->tls_domain, "example.com");
	assert_string_equal(m->tls_submitter, "a.example");
	tap_arena_free(&a);
}

static void test_from(void **state)
{
	static const struct {
		const char *block, *domain;
	} rows[] = {
	    {"From: a@b.example\n", "b.example"},
	    {"From: x <a@b.example>\n", "b.example"},
	    {"From: c@d.example <a@b.example>\n", "b.example"},
	    {"From: a@b.example\nFrom: a@c.example\n", NULL},
	    {"From: a@b.example, c@d.example\n", NULL},
	    {"From:\n", NULL},
	    {"From: root\n", NULL},
	    {"From: a@[192.0.2.1]\n", NULL},
	    {"From: a@localhost\n", NULL},
	    {"From: <a@b.example>c@d.example\n", NULL},
	    {"Subject: x\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tap_arena *a = tap_arena_new(CAP);
		const char *got = header(a, rows[i].block)->from_domain;

		if ((got == NULL) != (rows[i].domain == NULL) ||
		    (got && strcmp(got, rows[i].domain) != 0))
			fail_msg("%s gives %s", rows[i].block, got ? got : "nothing");
		tap_arena_free(&a);
	}
}

static void test_subjects_t_in_8(void **state)
{
	static const struct {
		const char *subject, *domain, *submitter, *id;
	} rows[] = {
	    {"Report Domain: a.example Submitter: b.example Report-ID: <1@b.example>", "a.example",
	     "b.example", "1@b.example"},
	    {"Report domain: a.example Submitter: b.example Report-ID: 17", "a.example",
	     "b.example", "17"},
	    {"REPORT DOMAIN:a.example\r\n\tSUBMITTER:b.example", "a.example", "b.example", NULL},
	    {"[Pre] Report Domain: a.example Submitter: b.example", "a.example", "b.example", NULL},
	    {"=?utf-8?B?UmVwb3J0IERvbWFpbjogYS5leGFtcGxlIFN1Ym1pdHRlcjogYi5leGFtcGxl?=",
	     "a.example", "b.example", NULL},
	    {"Report Domain: nodots Submitter: Report-ID:", NULL, NULL, NULL},
	    {"Bericht", NULL, NULL, NULL},
	    {"", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tap_arena *a = tap_arena_new(CAP);
		const struct tap_mail_auth *m;
		struct tap_buf b;

		tap_buf_init(&b, 4096);
		tap_buf_printf(&b, "Subject: %s\r\n", rows[i].subject);
		m = header(a, tap_buf_cstr(&b));
		assert_string_equal(m->subject_domain ? m->subject_domain : "-",
				    rows[i].domain ? rows[i].domain : "-");
		assert_string_equal(m->subject_submitter ? m->subject_submitter : "-",
				    rows[i].submitter ? rows[i].submitter : "-");
		assert_string_equal(m->subject_report_id ? m->subject_report_id : "-",
				    rows[i].id ? rows[i].id : "-");
		tap_buf_free(&b);
		tap_arena_free(&a);
	}
}

static void test_limits(void **state)
{
	struct tap_arena *a = tap_arena_new((size_t)8 << 20);
	const struct tap_mail_auth *m;
	struct tap_buf b;
	size_t results = 0;

	(void)state;
	tap_buf_init(&b, (size_t)8 << 20);
	for (int i = 0; i < 1000; i++)
		tap_buf_printf(
		    &b,
		    "Received: from x by h%d.example\nAuthentication-Results: a.example; "
		    "dkim=pass; dkim=fail\n",
		    i);
	m = tap_mail_auth_read(a, b.p, b.len);
	assert_non_null(m);
	assert_int_equal(m->n_by, TAP_AUTH_HOPS);
	assert_true(m->n_field <= TAP_AUTH_FIELDS);
	for (size_t i = 0; i < m->n_field; i++)
		results += m->field[i].n_method;
	assert_int_equal(results, TAP_AUTH_FIELDS);
	assert_int_equal(m->field[m->n_field - 1].hops, m->n_field);
	/* The arena's cap is an error value: nothing is known then. */
	tap_arena_free(&a);
	for (size_t cap = 0; cap < 20000; cap += 500) {
		a = tap_arena_new(cap);
		m = tap_mail_auth_read(a, b.p, b.len);
		tap_arena_free(&a);
	}
	tap_buf_free(&b);
}

/* --- Received ------------------------------------------------------------------------------------------------------------ */

static void hop(const char *value, const char *wanted, const char *peer)
{
	struct tap_arena *a = tap_arena_new(CAP);
	struct tap_received r;
	struct tap_buf b;

	tap_buf_init(&b, CAP);
	assert_true(tap_received_parse(a, value, strlen(value), &r));
	tap_buf_printf(&b, "%s|%s|%s|%s|%s|%s|%s", r.from ? r.from : "", r.by ? r.by : "",
		       r.via ? r.via : "", r.with ? r.with : "", r.id ? r.id : "",
		       r.for_ ? r.for_ : "", r.date ? r.date : "");
	if (strcmp(tap_buf_cstr(&b), wanted) != 0)
		fail_msg("%s\n gives  %s\n wanted %s", value, b.p, wanted);
	if ((r.peer == NULL) != (peer == NULL) || (peer && strcmp(r.peer, peer) != 0))
		fail_msg("%s: peer %s", value, r.peer ? r.peer : "unknown");
	tap_buf_free(&b);
	tap_arena_free(&a);
}

static void test_received(void **state)
{
	(void)state;
	hop("from a.example (b.example [192.0.2.1])\r\n\tby mx.example.com (Postfix) with ESMTP id "
	    "1\r\n\tfor "
	    "<x@example.com>; Tue, 2 Jun 2026 09:14:07 +0000 (UTC)",
	    "a.example (b.example [192.0.2.1])|mx.example.com||ESMTP|1|<x@example.com>|Tue, 2 Jun "
	    "2026 09:14:07 "
	    "+0000 (UTC)",
	    "b.example");
	hop("by mx.example.com (Postfix, from userid 0) id 1; Tue, 2 Jun 2026 09:14:07 +0000",
	    "|mx.example.com|||1||Tue, 2 Jun 2026 09:14:07 +0000", "localhost");
	hop("from localhost (localhost [127.0.0.1]) by mx.example.com with LMTP",
	    "localhost (localhost [127.0.0.1])|mx.example.com||LMTP|||", "localhost");
	hop("from x (localhost [IPv6:::1]) by mx.example.com",
	    "x (localhost [IPv6:::1])|mx.example.com|||||", "localhost");
	hop("from [127.0.0.1] (evil.example [192.0.2.66]) by mx.example.com",
	    "[127.0.0.1] (evil.example [192.0.2.66])|mx.example.com|||||", "evil.example");
	hop("from mx.example.com (unknown [192.0.2.66]) by mx.example.com",
	    "mx.example.com (unknown [192.0.2.66])|mx.example.com|||||", NULL);
	hop("from x (mx.example.com [192.0.2.66] (may be forged)) by mx.example.com",
	    "x (mx.example.com [192.0.2.66] (may be forged))|mx.example.com|||||", NULL);
	hop("from unknown (HELO [127.0.0.1]) (192.0.2.66) by mx.example.com",
	    "unknown (HELO [127.0.0.1]) (192.0.2.66)|mx.example.com|||||", NULL);
	hop("from unknown (EHLO mx.example.com) ([192.0.2.66]) by mx.example.com",
	    "unknown (EHLO mx.example.com) ([192.0.2.66])|mx.example.com|||||", NULL);
	hop("from x ([192.0.2.66] helo=[127.0.0.1]) by mx.example.com",
	    "x ([192.0.2.66] helo=[127.0.0.1])|mx.example.com|||||", NULL);
	hop("from mx.example.com by mx.example.com", "mx.example.com|mx.example.com|||||", NULL);
	hop("from by (by.example [192.0.2.1]) by mx.example.com",
	    "by (by.example [192.0.2.1])|mx.example.com|||||", "by.example");
	hop("from \"a by b\" by mx.example.com", "\"a by b\"|mx.example.com|||||", NULL);
	hop("from a.example by mx.example.com by evil.example", "a.example|mx.example.com|||||",
	    NULL);
	hop("from a via UUCP with SMTP id (x) y; bad; 2 Jun 2026", "a||UUCP|SMTP|(x) y||2 Jun 2026",
	    NULL);
	hop("(qmail 7 invoked by uid 1); 2 Jun 2026 09:14:07 -0000",
	    "||||||2 Jun 2026 09:14:07 -0000", "localhost");
	hop("by a.example with SMTP id x-1 (y)\r\n\t2026-06-02 09:14:07.5 +0000 UTC m=+1856335.5",
	    "|a.example||SMTP|x-1 (y)||2026-06-02 09:14:07.5 +0000 UTC m=+1856335.5", "localhost");
	hop("", "||||||", "localhost");
	hop("from", "||||||", "localhost");
	hop("from a (b", "a (b||||||", NULL);
}

static void test_received_linear(void **state)
{
	static const char *const pieces[] = {"\" ", "\"\\",	"( ", "by ",
					     ";",   "from a (", "[",  "a "};
	struct tap_received r;

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct tap_arena *a = tap_arena_new((size_t)64 << 20);
		struct tap_buf b;
		double t;

		tap_buf_init(&b, CAP);
		while (b.len < 100 * 1024)
			tap_buf_adds(&b, pieces[i]);
		t = seconds();
		for (int k = 0; k < 100; k++)
			assert_true(tap_received_parse(a, b.p, b.len, &r));
		t = seconds() - t;
		if (t > 2.0)
			fail_msg("%s: %.1f s for a hundred", pieces[i], t);
		tap_buf_free(&b);
		tap_arena_free(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms_t_ar_1),
	    cmocka_unit_test(test_malformed_t_ar_1),
	    cmocka_unit_test(test_identity_t_ar_4),
	    cmocka_unit_test(test_without_identity_t_ar_5),
	    cmocka_unit_test(test_huge_field_t_ar_6),
	    cmocka_unit_test(test_header),
	    cmocka_unit_test(test_from),
	    cmocka_unit_test(test_subjects_t_in_8),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_received),
	    cmocka_unit_test(test_received_linear),
	};

	tap_parser_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
