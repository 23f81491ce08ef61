/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_trust.c - what makes a report's mail believed, and that nothing forged does. */
#include "base/buf.h"
#include "parser/authres.h"
#include "parser/parser.h"
#include "parser/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

enum { CAP = 1 << 20 };

static const char *const ids[] = {"mx.example.com"};
static const char *const hosts[] = {"store.example.com", "Relay.Example.com."};
static const struct tap_trust_rules top = {
    .authserv_ids = ids, .n_authserv_ids = 1, .own_hosts = hosts, .n_own_hosts = 2};
static const struct tap_trust_rules any = {.authserv_ids = ids,
					   .n_authserv_ids = 1,
					   .own_hosts = hosts,
					   .n_own_hosts = 2,
					   .any_position = true};

static const struct tap_meta report = {.kind = TAP_KIND_AGGREGATE,
				       .org_name = "reporter.example",
				       .email = "dmarc@reporter.example",
				       .report_id = "2026.1@reporter.example",
				       .domain = "example.com",
				       .begin = 1780272000,
				       .end = 1780358399};

static void judge(const struct tap_trust_rules *rules, const char *block,
		  const struct tap_meta *meta, struct tap_arena **a_r, struct tap_trust *t)
{
	*a_r = tap_arena_new(CAP);
	tap_trust_judge(rules, tap_mail_auth_read(*a_r, block, strlen(block)), meta, t);
}

#define FROM "From: dmarc@reporter.example\r\n"
#define OURS                                                                                       \
	"Received: from out.reporter.example (out.reporter.example [192.0.2.1])\r\n\tby "          \
	"mx.example.com with ESMTPS id 1; x\r\n"
#define THEIRS "Received: from a (a [10.0.0.1]) by out.reporter.example with ESMTP; x\r\n"
#define PASS   "Authentication-Results: mx.example.com; dmarc=pass header.from=reporter.example\r\n"
#define FAIL   "Authentication-Results: mx.example.com; dmarc=fail header.from=reporter.example\r\n"

static void expect(const struct tap_trust_rules *rules, const char *block, enum tap_auth_state auth,
		   enum tap_auth_state dmarc, enum tap_agree reporter)
{
	struct tap_arena *a;
	struct tap_trust t;

	judge(rules, block, &report, &a, &t);
	if (t.auth != auth || t.dmarc != dmarc || t.reporter != reporter)
		fail_msg("%s\n%s: auth %s, dmarc %s, reporter %s", block,
			 rules && rules->any_position ? "any" : "top", tap_auth_state_name[t.auth],
			 tap_auth_state_name[t.dmarc], tap_agree_name[t.reporter]);
	assert_true(t.trusted == (auth == TAP_AUTH_PASS && reporter == TAP_AGREE_YES));
	tap_arena_free(&a);
}

static void passes(const char *block, enum tap_auth_state dmarc)
{
	expect(&top, block, TAP_AUTH_PASS, dmarc, TAP_AGREE_YES);
	expect(&any, block, TAP_AUTH_PASS, dmarc, TAP_AGREE_YES);
}

static void unknown(const struct tap_trust_rules *rules, const char *block)
{
	expect(rules, block, TAP_AUTH_UNKNOWN, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
}

static void test_genuine_t_in_13_q_120(void **state)
{
	(void)state;
	/* Where the mail server, or a milter of it, puts its field: above or right below its own Received. */
	passes(PASS OURS THEIRS FROM, TAP_AUTH_PASS);
	passes(OURS PASS THEIRS FROM, TAP_AUTH_PASS);
	passes(PASS FROM, TAP_AUTH_PASS);
	/* DKIM or SPF that is aligned do as well. */
	passes(
	    "Authentication-Results: mx.example.com; dkim=pass header.d=reporter.example\r\n" FROM,
	    TAP_AUTH_UNKNOWN);
	passes("Authentication-Results: mx.example.com; dkim=pass "
	       "header.i=@mail.reporter.example\r\n" FROM,
	       TAP_AUTH_UNKNOWN);
	passes("Authentication-Results: mx.example.com; spf=pass "
	       "smtp.mailfrom=bounce@x.reporter.example\r\n" FROM,
	       TAP_AUTH_UNKNOWN);
	passes(
	    "Authentication-Results: mx.example.com; spf=pass smtp.helo=reporter.example\r\n" FROM,
	    TAP_AUTH_UNKNOWN);
	passes(
	    "Authentication-Results: mx.example.com; dmarc=none; dkim=fail header.d=b.example;\r\n"
	    " dkim=pass header.d=reporter.example\r\n" FROM,
	    TAP_AUTH_NONE);
	passes("Authentication-Results: mx.example.com; dmarc=temperror; dkim=pass "
	       "header.d=reporter.example\r\n" FROM,
	       TAP_AUTH_NONE);
	/* In two fields. */
	passes(
	    "Authentication-Results: mx.example.com; spf=none\r\n"
	    "Authentication-Results: mx.example.com; dkim=pass header.d=reporter.example\r\n" FROM,
	    TAP_AUTH_UNKNOWN);
}

static void test_not_authenticated_t_in_13(void **state)
{
	(void)state;
	expect(&top, FAIL FROM, TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	expect(&top, "Authentication-Results: mx.example.com; none\r\n" FROM, TAP_AUTH_NONE,
	       TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	expect(
	    &top,
	    "Authentication-Results: mx.example.com; dmarc=none; dkim=none; spf=neutral\r\n" FROM,
	    TAP_AUTH_NONE, TAP_AUTH_NONE, TAP_AGREE_UNKNOWN);
	expect(
	    &top,
	    "Authentication-Results: mx.example.com; dkim=fail header.d=reporter.example\r\n" FROM,
	    TAP_AUTH_FAIL, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	expect(&top,
	       "Authentication-Results: mx.example.com; spf=softfail "
	       "smtp.mailfrom=reporter.example\r\n" FROM,
	       TAP_AUTH_FAIL, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	/* A signature or an envelope of somebody else says nothing about From. */
	expect(&top,
	       "Authentication-Results: mx.example.com; dkim=pass header.d=evil.example;\r\n"
	       " spf=pass smtp.mailfrom=evil.example\r\n" FROM,
	       TAP_AUTH_NONE, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	expect(&top,
	       "Authentication-Results: mx.example.com; dkim=pass "
	       "header.d=notreporter.example\r\n" FROM,
	       TAP_AUTH_NONE, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	expect(&top, "Authentication-Results: mx.example.com; dkim=pass header.d=example\r\n" FROM,
	       TAP_AUTH_NONE, TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	expect(&top, "Authentication-Results: mx.example.com; dkim=pass\r\n" FROM, TAP_AUTH_NONE,
	       TAP_AUTH_UNKNOWN, TAP_AGREE_UNKNOWN);
	/* The field speaks of another From than the one that is there: a mail with two of them, or an injected value. */
	expect(&top, PASS "From: a@evil.example\r\nFrom: dmarc@reporter.example\r\n", TAP_AUTH_FAIL,
	       TAP_AUTH_PASS, TAP_AGREE_UNKNOWN);
	expect(
	    &top,
	    "Authentication-Results: mx.example.com; dmarc=pass header.from=evil.example\r\n" FROM,
	    TAP_AUTH_FAIL, TAP_AUTH_PASS, TAP_AGREE_UNKNOWN);
	expect(&top,
	       "Authentication-Results: mx.example.com; dmarc=pass\r\n"
	       "From: a@evil.example, dmarc@reporter.example\r\n",
	       TAP_AUTH_FAIL, TAP_AUTH_PASS, TAP_AGREE_UNKNOWN);
	expect(&top, "Authentication-Results: mx.example.com; dmarc=pass\r\nSubject: x\r\n",
	       TAP_AUTH_FAIL, TAP_AUTH_PASS, TAP_AGREE_UNKNOWN);
	/* DMARC failed: that a signature passed does not mend it. */
	expect(&top,
	       "Authentication-Results: mx.example.com; dmarc=fail; dkim=pass "
	       "header.d=reporter.example\r\n" FROM,
	       TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
}

static void test_forged_below_foreign_received_t_ar_2(void **state)
{
	(void)state;
	unknown(&top, OURS THEIRS PASS FROM);
	unknown(&top, THEIRS PASS FROM);
	/* The sender writes a Received of ours above it. */
	unknown(&top, OURS OURS PASS FROM);
	unknown(&top, OURS "Received: by mx.example.com (Postfix, from userid 0); x\r\n" PASS FROM);
	/* Greeted us with our name; the server looked the address up. */
	unknown(&top,
		"Received: from mx.example.com (unknown [192.0.2.66]) by mx.example.com; x\r\n" OURS
		    PASS FROM);
	unknown(&top, "Received: from mx.example.com (evil.example [192.0.2.66]) by "
		      "mx.example.com; x\r\n" OURS PASS FROM);
	unknown(
	    &top,
	    "Received: from [127.0.0.1] (evil.example [192.0.2.66]) by mx.example.com; x\r\n" OURS
		PASS FROM);
	unknown(
	    &top,
	    "Received: from x (HELO mx.example.com) ([192.0.2.66]) by mx.example.com; x\r\n" OURS
		PASS FROM);
	unknown(&top, "Received: from mx.example.com by mx.example.com; x\r\n" OURS PASS FROM);
	unknown(&top, "Received: from x (mx.example.com [192.0.2.66] (may be forged)) by "
		      "mx.example.com; x\r\n" OURS PASS FROM);
	/* A Received that names nobody was written by somebody else. */
	unknown(&top, "Received: (qmail 1 invoked by uid 0); x\r\n" PASS FROM);
	unknown(&top, "Received: junk\r\n" PASS FROM);
	/* A real one above the forged one is what counts. */
	expect(&top, FAIL OURS THEIRS PASS FROM, TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	/* Position any: the mail server is said to remove forged fields. */
	expect(&any, OURS THEIRS PASS FROM, TAP_AUTH_PASS, TAP_AUTH_PASS, TAP_AGREE_YES);
}

static void test_own_hosts_hand_on_t_ar_2(void **state)
{
	(void)state;
	passes("Received: from mx.example.com (mx.example.com [192.0.2.5]) by store.example.com "
	       "with LMTP; x\r\n" PASS OURS THEIRS FROM,
	       TAP_AUTH_PASS);
	passes("Received: from mx.example.com (mx.example.com [192.0.2.5]) by store.example.com "
	       "with LMTP; x\r\n" OURS PASS THEIRS FROM,
	       TAP_AUTH_PASS);
	passes(
	    "Received: from localhost (localhost [127.0.0.1]) by RELAY.example.com; x\r\n" OURS PASS
		FROM,
	    TAP_AUTH_PASS);
	passes("Received: by store.example.com (Postfix, from userid 110); x\r\n" OURS PASS FROM,
	       TAP_AUTH_PASS);
	/* One of them is not ours. */
	unknown(&top, "Received: from mx.example.com (mx.example.com [192.0.2.5]) by "
		      "store.example.net; x\r\n" OURS PASS FROM);
}

static void test_other_places_t_ar_2_t_arf_14(void **state)
{
	(void)state;
	unknown(&any, "Authentication-Results-Original: mx.example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "ARC-Authentication-Results: i=1; mx.example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "X-Authentication-Results: mx.example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "Received-SPF: pass identity=mailfrom; receiver=mx.example.com\r\n" FROM);
	/* The old form of a field that a mail server may not have removed. */
	unknown(&any, "Authentication-Results : mx.example.com; dmarc=pass\r\n" FROM);
	/* Inside of another field's value, and folded into one. */
	unknown(&any, "Subject: x\r\n Authentication-Results: mx.example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "Subject: x\rAuthentication-Results: mx.example.com; dmarc=pass\r\n" FROM);
}

static void test_contradiction_t_ar_3(void **state)
{
	(void)state;
	expect(&top, FAIL PASS FROM, TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	passes(PASS FAIL FROM, TAP_AUTH_PASS);
	/* One that is not ours changes nothing. */
	passes("Authentication-Results: evil.example; dmarc=fail\r\n" PASS FROM, TAP_AUTH_PASS);
	expect(&any, "Authentication-Results: evil.example; dmarc=pass\r\n" FAIL FROM,
	       TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	/* Two results in one field: only when both say pass. */
	expect(&top,
	       "Authentication-Results: mx.example.com; dmarc=pass header.from=reporter.example;"
	       " dmarc=fail header.from=reporter.example\r\n" FROM,
	       TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	expect(&top,
	       "Authentication-Results: mx.example.com; dmarc=fail header.from=reporter.example;"
	       " dmarc=pass header.from=reporter.example\r\n" FROM,
	       TAP_AUTH_FAIL, TAP_AUTH_FAIL, TAP_AGREE_UNKNOWN);
	/* The topmost that names dmarc, not the topmost. */
	passes("Authentication-Results: mx.example.com; spf=fail smtp.mailfrom=x.example\r\n" PASS
		   FROM,
	       TAP_AUTH_PASS);
}

static void test_identity_t_ar_4(void **state)
{
	static const char *const upper[] = {"MX.Example.COM"};
	static const struct tap_trust_rules rules = {.authserv_ids = upper, .n_authserv_ids = 1};

	(void)state;
	expect(&rules, PASS FROM, TAP_AUTH_PASS, TAP_AUTH_PASS, TAP_AGREE_YES);
	passes("Authentication-Results: Mx.EXAMPLE.com 1; dmarc=pass\r\n" FROM, TAP_AUTH_PASS);
	unknown(&any, "Authentication-Results: mx.example.com:25; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: xmx.example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: mx.example.com.evil.example; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: example.com; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: (mx.example.com) evil.example; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: mx.example.com 2; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: ; dmarc=pass\r\n" FROM);
	unknown(&any, "Authentication-Results: mx.example.com dmarc=pass\r\n" FROM);
}

static void test_nothing_configured_t_in_13(void **state)
{
	static const struct tap_trust_rules none = {.any_position = true};

	(void)state;
	unknown(NULL, PASS FROM);
	unknown(&none, PASS FROM);
	unknown(&top, FROM);
	unknown(&top, "");
}

/* Unknown methods, results and kinds of properties are not interpreted. */
static void test_not_understood_t_ar_1(void **state)
{
	static const char *const values[] = {
	    "dmarc=bestguesspass header.from=reporter.example",
	    "dmarc=passed",
	    "x-dmarc=pass",
	    "dmarc-policy=pass",
	    "dmarc=pass odd.kind=x header.from=reporter.example",
	    "dkim=pass odd.kind=x header.d=reporter.example",
	    "dkim=passed header.d=reporter.example",
	    "arc=pass header.d=reporter.example",
	    "dkim=pass smtp.mailfrom=reporter.example",
	    "spf=pass header.from=reporter.example",
	    "spf=fail smtp.mailfrom=\"x; dmarc=pass header.from=reporter.example\"@evil.example",
	    "spf=neutral (x; dmarc=pass header.from=reporter.example)",
	    "spf=neutral reason=\"; dmarc=pass header.from=reporter.example\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct tap_arena *a;
		struct tap_trust t;
		struct tap_buf b;

		tap_buf_init(&b, 4096);
		tap_buf_printf(&b, "Authentication-Results: mx.example.com; %s\r\n%s", values[i],
			       FROM);
		judge(&any, tap_buf_cstr(&b), &report, &a, &t);
		if (t.auth == TAP_AUTH_PASS || t.dmarc == TAP_AUTH_PASS || t.trusted)
			fail_msg("passes: %s", values[i]);
		tap_buf_free(&b);
		tap_arena_free(&a);
	}
}

/* --- who the report says that it is from ----------------------------------------------------------------------------- */

static void test_reporter(void **state)
{
	static const struct {
		const char *org, *email, *contact;
		enum tap_agree reporter;
	} rows[] = {
	    {"reporter.example", "x@reporter.example", NULL, TAP_AGREE_YES},
	    {"Mail.Reporter.Example.", NULL, NULL, TAP_AGREE_YES},
	    {"Reporter Inc.", "dmarc@mail.reporter.example", NULL, TAP_AGREE_YES},
	    {"Reporter Inc.", NULL, "postmaster@reporter.example", TAP_AGREE_YES},
	    /* The name that is shown is another's: an address of his own below it does not help. */
	    {"google.example", "x@reporter.example", NULL, TAP_AGREE_NO},
	    {"Google", "x@google.example", NULL, TAP_AGREE_NO},
	    {"evilreporter.example", NULL, NULL, TAP_AGREE_NO},
	    {"Reporter", "nobody", NULL, TAP_AGREE_UNKNOWN},
	    {NULL, NULL, "https://reporter.example/", TAP_AGREE_UNKNOWN},
	    {NULL, NULL, NULL, TAP_AGREE_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tap_meta m = report;
		struct tap_arena *a;
		struct tap_trust t;

		m.org_name = rows[i].org;
		m.email = rows[i].email;
		m.extra_contact_info.text = rows[i].contact;
		judge(&top, PASS FROM, &m, &a, &t);
		if (t.reporter != rows[i].reporter)
			fail_msg("%s, %s: %s", rows[i].org, rows[i].email,
				 tap_agree_name[t.reporter]);
		assert_true(t.trusted == (t.reporter == TAP_AGREE_YES));
		assert_string_equal(t.from_domain, "reporter.example");
		tap_arena_free(&a);
	}
}

/* Signed for the reporter by another domain than From's, and the one reporter that is known to name itself otherwise. */
static void test_reporter_signed(void **state)
{
	struct tap_meta m = report;
	struct tap_arena *a;
	struct tap_trust t;

	(void)state;
	judge(&top,
	      "Authentication-Results: mx.example.com; dmarc=pass header.from=sender.example;\r\n"
	      " dkim=pass header.d=reporter.example; dkim=pass header.d=Reporter.example; "
	      "dkim=pass header.d=b.example\r\n"
	      "From: a@sender.example\r\n",
	      &m, &a, &t);
	assert_int_equal(t.reporter, TAP_AGREE_YES);
	assert_int_equal(t.n_dkim_domains, 2);
	assert_string_equal(t.dkim_domains[0], "reporter.example");
	assert_string_equal(t.dkim_domains[1], "b.example");
	tap_arena_free(&a);
	m.org_name = "Outlook.com";
	m.email = "dmarcreport@microsoft.com";
	judge(&top,
	      "Authentication-Results: mx.example.com; dmarc=pass\r\nFrom: "
	      "dmarcreport@microsoft.com\r\n",
	      &m, &a, &t);
	assert_true(t.trusted);
	tap_arena_free(&a);
	judge(&top, PASS FROM, &m, &a, &t);
	assert_int_equal(t.reporter, TAP_AGREE_NO);
	tap_arena_free(&a);
	m.kind = TAP_KIND_SMTP_TLS;
	m.org_name = "Reporter Inc.";
	m.email = NULL;
	judge(&top, PASS FROM "TLS-Report-Submitter: reporter.example\r\n", &m, &a, &t);
	assert_true(t.trusted);
	tap_arena_free(&a);
}

/* More signatures than are kept. */
static void test_many_signatures(void **state)
{
	struct tap_arena *a;
	struct tap_trust t;
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 8192);
	tap_buf_adds(&b, "Authentication-Results: mx.example.com");
	for (int i = 0; i < 20; i++)
		tap_buf_printf(&b, "; dkim=pass header.d=d%d.example", i);
	tap_buf_adds(&b, "\r\nFrom: a@d19.example\r\n");
	judge(&top, tap_buf_cstr(&b), &report, &a, &t);
	assert_int_equal(t.auth, TAP_AUTH_PASS);
	assert_int_equal(t.n_dkim_domains, TAP_TRUST_DKIM);
	tap_buf_free(&b);
	tap_arena_free(&a);
}

/* --- names and domains --------------------------------------------------------------------------------------------------- */

static enum tap_agree names(const char *file, const char *subject, struct tap_meta m)
{
	struct tap_arena *a;
	struct tap_trust t;
	struct tap_buf b;

	tap_buf_init(&b, 4096);
	if (subject)
		tap_buf_printf(&b, "Subject: %s\r\n", subject);
	m.origin.filename = file;
	judge(&top, tap_buf_cstr(&b), &m, &a, &t);
	tap_buf_free(&b);
	tap_arena_free(&a);
	return t.names;
}

static void test_names(void **state)
{
	static const struct {
		const char *file, *subject;
		enum tap_agree names;
	} rows[] = {
	    {NULL, NULL, TAP_AGREE_UNKNOWN},
	    {"report.xml", "DMARC", TAP_AGREE_UNKNOWN},
	    {"reporter.example!example.com!1780272000!1780358399.xml.gz", NULL, TAP_AGREE_YES},
	    {"a/b/reporter.example!Example.COM!1780272000!1780358399!17.xml", NULL, TAP_AGREE_YES},
	    {"!example.com!1780272000!1780358399.xml", NULL, TAP_AGREE_YES},
	    {"reporter.example!example.com!1780272000000!1780358400000.xml", NULL, TAP_AGREE_YES},
	    {"reporter.example!example.com!1780272000!1780358400.zip", NULL, TAP_AGREE_YES},
	    {"reporter.example!example.net!1780272000!1780358399.xml", NULL, TAP_AGREE_NO},
	    {"reporter.example!sub.example.com!1780272000!1780358399.xml", NULL, TAP_AGREE_NO},
	    {"reporter.example!example.com!1780272000!1780362399.xml", NULL, TAP_AGREE_NO},
	    {"reporter.example!example.com!1780172000!1780358399.xml", NULL, TAP_AGREE_NO},
	    {NULL,
	     "Report Domain: example.com Submitter: x.example Report-ID: <2026.1@reporter.example>",
	     TAP_AGREE_YES},
	    {NULL, "Report Domain: example.com Submitter: x.example Report-ID: 2026.1",
	     TAP_AGREE_YES},
	    {NULL, "Report domain: Example.com", TAP_AGREE_YES},
	    {NULL, "Report Domain: example.net Submitter: reporter.example", TAP_AGREE_NO},
	    {NULL,
	     "Report Domain: example.com Submitter: reporter.example Report-ID: "
	     "<2026.2@reporter.example>",
	     TAP_AGREE_NO},
	    {"reporter.example!example.com!1780272000!1780358399.xml", "Report Domain: example.net",
	     TAP_AGREE_NO},
	    {"reporter.example!example.net!1780272000!1780358399.xml", "Report Domain: example.com",
	     TAP_AGREE_NO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (names(rows[i].file, rows[i].subject, report) != rows[i].names)
			fail_msg("%s, %s", rows[i].file, rows[i].subject);
}

static void test_names_without_values(void **state)
{
	static const struct tap_meta empty = {.kind = TAP_KIND_FAILURE};

	(void)state;
	assert_int_equal(names("a.example!example.com!1!2.xml",
			       "Report Domain: example.com Report-ID: 1", empty),
			 TAP_AGREE_UNKNOWN);
}

static void test_foreign(void **state)
{
	static const char *const ours[] = {"example.com", "Example.NET."};
	static const struct tap_trust_rules rules = {.domains = ours, .n_domains = 2};
	static const struct {
		const char *domain;
		bool foreign;
	} rows[] = {
	    {"example.com", false},
	    {"EXAMPLE.com.", false},
	    {"mail.example.com", false},
	    {"a.b.example.net", false},
	    {"example.org", true},
	    {"notexample.com", true},
	    {"com", true},
	    {"example.com.evil.example", true},
	    {".example.com", false},
	    {NULL, false},
	    {"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tap_meta m = report;
		struct tap_trust t;

		m.domain = rows[i].domain;
		tap_trust_judge(&rules, NULL, &m, &t);
		if (t.foreign != rows[i].foreign)
			fail_msg("%s", rows[i].domain);
		assert_int_equal(t.auth, TAP_AUTH_UNKNOWN);
		assert_null(t.from_domain);
		tap_trust_judge(&top, NULL, &m, &t);
		assert_false(t.foreign);
	}
}

/* What the mail server does not take for its name, or for its header, it does not remove. */
static void test_hidden_fields_t_ar_2(void **state)
{
	static const char *const names[] = {"m\x01x.example.com", "m\x7fx.example.com",
					    "m\xc2\x80x.example.com", "\rmx.example.com",
					    "(a\x02) mx.example.com"};
	struct tap_arena *a = tap_arena_new(CAP);
	char block[256];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(block, sizeof block, "Authentication-Results: %s; dmarc=pass\r\n" FROM,
			 names[i]);
		unknown(&top, block);
		unknown(&any, block);
	}
	/* A NUL is no blank. */
	assert_null(tap_authres_parse(a, "\0mx.example.com; dmarc=pass", 27, false));
	tap_arena_free(&a);
	/* A line that is no field ends the header for a mail server; the one that an mbox begins with does not. */
	unknown(&any, "X-A: 1\r\nno field\r\n" PASS FROM);
	unknown(&any, FROM "no field: 1\r\n" PASS);
	unknown(&any, FROM PASS "From x\r\n");
	passes("From a@b Mon Nov 23 20:00:00 2026\r\n" PASS FROM, TAP_AUTH_PASS);
	passes(">From a@b Mon Nov 23 20:00:00 2026\r\n" PASS FROM, TAP_AUTH_PASS);
}

static enum tap_rc keep_trust(void *ctx, const struct tap_meta *meta, struct tap_err *err)
{
	(void)err;
	*(enum tap_auth_state *)ctx = meta->trust.auth;
	return TAP_OK;
}

static enum tap_rc take_end(void *ctx, const struct tap_report_end *end, struct tap_err *err)
{
	(void)ctx;
	(void)end;
	(void)err;
	return TAP_OK;
}

/* begin: what stands before the mail. cr: its lines end with CR alone. */
static enum tap_auth_state parse_whole(const char *begin, bool cr)
{
	static const struct tap_events ev = {.begin = keep_trust, .end = take_end};
	struct tap_parse_options opt = {.trust = &any};
	enum tap_auth_state auth = TAP_AUTH_N;
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_buf b;

	tap_buf_init(&b, CAP);
	tap_buf_printf(
	    &b,
	    "%s" PASS FROM "Content-Type: text/xml\r\n\r\n<feedback><report_metadata>"
	    "<org_name>reporter.example</org_name><report_id>1</report_id><date_range>"
	    "<begin>1780272000</begin><end>1780358399</end></date_range></report_metadata>"
	    "<policy_published><domain>example.com</domain></policy_published><record><row>"
	    "<source_ip>192.0.2.1</source_ip><count>1</count></row></record></feedback>\r\n",
	    begin);
	for (size_t i = 0; cr && i < b.len; i++)
		if (b.p[i] == '\n')
			b.p[i] = '\r';
	tap_source_mem(&src, b.p, b.len);
	assert_int_equal(tap_parse(&src, &opt, &ev, &auth, &res, NULL), TAP_OK);
	assert_int_equal(res.reports, 1);
	assert_int_equal((res.unauthenticated & TAP_KIND_AGGREGATE) == 0, auth == TAP_AUTH_PASS);
	tap_buf_free(&b);
	return auth;
}

static void test_other_header_t_ar_2(void **state)
{
	(void)state;
	assert_int_equal(parse_whole("", false), TAP_AUTH_PASS);
	assert_int_equal(parse_whole("X-A: 1\r\n", false), TAP_AUTH_PASS);
	/* A mail without any header, and one in its text. */
	assert_int_equal(parse_whole("\r\n", false), TAP_AUTH_UNKNOWN);
	assert_int_equal(parse_whole(" \r\n\n", false), TAP_AUTH_UNKNOWN);
	assert_int_equal(parse_whole("\xef\xbb\xbf", false), TAP_AUTH_UNKNOWN);
	/* A line that is no field. */
	assert_int_equal(parse_whole("X-A: 1\r\nno field\r\n", false), TAP_AUTH_UNKNOWN);
	/* One field, to who knows CR LF alone. */
	assert_int_equal(parse_whole("X-A: 1\r\n", true), TAP_AUTH_UNKNOWN);
}

/* --- one call of tap_parse ----------------------------------------------------------------------------------------------- */

static void test_work(void **state)
{
	static const char *const ours[] = {"example.com"};
	struct tap_trust_rules rules = top;
	struct tap_parse_options opt = {.trust = &rules};
	struct tap_work w = {.opt = &opt, .lim = &tap_parse_limits_default};
	struct tap_meta m = report;

	(void)state;
	rules.domains = ours;
	rules.n_domains = 1;
	/* No mail: a file. */
	assert_null(tap_work_auth(&w));
	tap_work_judge(&w, &m);
	assert_int_equal(m.trust.auth, TAP_AUTH_UNKNOWN);
	assert_int_equal(w.own, 1);
	assert_int_equal(w.unauthenticated, TAP_KIND_AGGREGATE);
	/* A mail: read once. */
	tap_buf_init(&w.top, CAP);
	tap_buf_adds(&w.top, PASS FROM);
	m.kind = TAP_KIND_SMTP_TLS;
	m.domain = "example.net";
	tap_work_judge(&w, &m);
	assert_int_equal(m.trust.auth, TAP_AUTH_PASS);
	assert_true(m.trust.trusted && m.trust.foreign);
	assert_ptr_equal(tap_work_auth(&w), tap_work_auth(&w));
	assert_int_equal(w.foreign, 1);
	assert_int_equal(w.kinds, TAP_KIND_AGGREGATE | TAP_KIND_SMTP_TLS);
	assert_int_equal(w.unauthenticated, TAP_KIND_AGGREGATE);
	tap_work_done(&w);
	assert_null(w.arena);
	assert_int_equal(w.top.len, 0);
	assert_null(tap_work_auth(&w));
	tap_work_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_genuine_t_in_13_q_120),
	    cmocka_unit_test(test_not_authenticated_t_in_13),
	    cmocka_unit_test(test_forged_below_foreign_received_t_ar_2),
	    cmocka_unit_test(test_own_hosts_hand_on_t_ar_2),
	    cmocka_unit_test(test_hidden_fields_t_ar_2),
	    cmocka_unit_test(test_other_header_t_ar_2),
	    cmocka_unit_test(test_other_places_t_ar_2_t_arf_14),
	    cmocka_unit_test(test_contradiction_t_ar_3),
	    cmocka_unit_test(test_identity_t_ar_4),
	    cmocka_unit_test(test_nothing_configured_t_in_13),
	    cmocka_unit_test(test_not_understood_t_ar_1),
	    cmocka_unit_test(test_reporter),
	    cmocka_unit_test(test_reporter_signed),
	    cmocka_unit_test(test_many_signatures),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_names_without_values),
	    cmocka_unit_test(test_foreign),
	    cmocka_unit_test(test_work),
	};

	tap_parser_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
