/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_smtp_tls.c - SMTP TLS reports: whole documents, their forms, what the mail says otherwise, limits. */
#include "smtp_tls_helper.h"

static const char *const good_lines =
    "org=Sender Ltd.\ncontact=tls@sender.example\nid=r1\ndomain=example.com\n"
    "begin=1780358400 2026-06-02T00:00:00Z\nend=1780444799 2026-06-02T23:59:59Z\n"
    "origin=- 0.0\ntrust=unknown\n"
    "policy 0 sts example.com ok=10 failed=3 details=1\n"
    "detail 0.0 certificate-expired failed=3\n"
    "policies=1 details=1 dropped=0 sessions=13 passed=10\n";

/* In pieces of every size the same comes out, with no warning. */
static void test_simple(void **state)
{
	static const size_t steps[] = {1, 7, 0};
	char *before = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .step = steps[i]};

		tls_read_once(&r);
		assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
		assert_int_equal(r.res.reports, 1);
		assert_int_equal(r.res.broken, 0);
		assert_non_null(strstr(r.lines, good_lines));
		assert_true(tls_has(r.lines, "warnings=0"));
		if (before)
			assert_string_equal(before, r.lines);
		free(before);
		before = strdup(r.lines);
		tls_free(&r);
	}
	free(before);
}

/* Q193, Q194, T-TLS-7: a single policy, and none. */
static void test_policies_t_tls_7(void **state)
{
	static const struct tls_case cases[] = {
	    {"object",
	     T_DOC(T_HEAD, T_ITEM),
	     {"report", "policy 0 sts example.com ok=10 failed=3 details=1",
	      "! policies: not_a_list: taken as a list of one", "warnings=1"}},
	    {"empty list",
	     T_DOC(T_HEAD, "[]"),
	     {"report", "policies=0 details=0 dropped=0 sessions=0 passed=0",
	      "! policies: no_policies: the report has none", "warnings=1"}},
	    {"empty object",
	     T_DOC(T_HEAD, "{}"),
	     {"report", "policy 0 NULL NULL ok=0 failed=0 details=0",
	      "! policies[0]/policy/policy-type: missing_policy_type",
	      "! policies[0]/policy/policy-domain: missing_domain: absent",
	      "! policies[0]/summary: missing_summary"}},
	    {"null", T_DOC(T_HEAD, "null"), {"broken", "why=policies: missing, or no list"}},
	    {"text", T_DOC(T_HEAD, "\"x\""), {"broken", "why=policies: missing, or no list"}},
	    {"absent", "{" T_HEAD "}", {"broken", "why=at byte 0, policies: missing"}},
	    {"item that is none",
	     T_DOC(T_HEAD, "[1," T_ITEM ",null]"),
	     {"report", "policy 1 sts example.com ok=10 failed=3 details=1",
	      "policies=1 details=1 dropped=2 sessions=13 passed=10",
	      "! policies[0]: bad_type: no object, left out"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* Q199, Q208: list, lines, one after the other, byte order mark, text around. */
static void test_forms_t_tls_5(void **state)
{
	static const struct tls_case cases[] = {
	    {"list",
	     "[" T_GOOD "," T_DOC(T_HEAD, "[]") "]",
	     {"report", "policies=1 details=1 dropped=0 sessions=13 passed=10",
	      "policies=0 details=0 dropped=0 sessions=0 passed=0"}},
	    {"lines",
	     T_GOOD "\n" T_DOC(T_HEAD, "[]") "\n",
	     {"report", "policies=1 details=1 dropped=0 sessions=13 passed=10",
	      "policies=0 details=0 dropped=0 sessions=0 passed=0", "-text_outside"}},
	    {"no line end between", T_GOOD T_GOOD, {"report"}},
	    {"comma between", T_GOOD ",\n" T_GOOD, {"report"}},
	    {"mark", "\xef\xbb\xbf" T_GOOD, {"report", "warnings=0"}},
	    {"blanks", " \r\n\t" T_GOOD " \r\n", {"report", "warnings=0"}},
	    {"text behind",
	     T_GOOD "\n-- \nList footer, do not reply",
	     {"report", "! document: text_outside: ", "warnings=1"}},
	    {"comma at the end",
	     T_WITH(T_ITEM ","),
	     {"broken", "why=a comma with nothing behind it", "why=at byte "}},
	    {"broken line between",
	     T_GOOD "\n" T_DOC(T_HEAD, "[") "\n" T_GOOD "\n",
	     {"report", "why=at byte "}},
	    {"cut line first",
	     "{" T_HEAD ",\"policies\":[{\n" T_GOOD "\n",
	     {"report", "why=at byte "}},
	    {"cut off", "{" T_HEAD ",\"policies\":[{" T_POLICY, {"broken", "why=it is cut off"}},
	    {"broken before the second name",
	     "{\"policies\":[,\n{\"report-id\":\"x\"}]}",
	     {"broken", "why=at byte 13, document: neither a value"}},
	    {"other JSON", "{\"a\":1,\"policies\":[]}", {"not a report", "why=JSON that is"}},
	    {"list of others", "[{\"a\":1},2,[]]", {"not a report"}},
	    {"no JSON", "{signature}", {"not a report"}},
	    {"empty", "", {"not a report"}},
	    {"number", "12", {"not a report"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
	{
		struct tls_reading r = {.p = T_GOOD "\n" T_GOOD, .n = 2 * strlen(T_GOOD) + 1};

		tls_read_once(&r);
		assert_int_equal(r.res.reports, 2);
		tls_free(&r);
	}
}

/* The document's hash for one report in it, that of its own text for one of several: sent alone or with others, a report in a list
 * keeps what it is. */
static void test_hash(void **state)
{
	static const char two[] = "[" T_GOOD ", " T_GOOD "]";
	struct tls_reading one = {.p = T_GOOD, .n = strlen(T_GOOD)};
	struct tls_reading both = {.p = two, .n = strlen(two)};
	unsigned char digest[TAP_SHA256_BYTES];
	struct tap_sha256 h;
	char hex[65], want[128];

	(void)state;
	tap_sha256_init(&h);
	tap_sha256_update(&h, T_GOOD, strlen(T_GOOD));
	tap_sha256_final(&h, digest);
	tap_hex(digest, sizeof digest, hex);
	snprintf(want, sizeof want, "content=%s %zu", hex, strlen(T_GOOD));
	tls_read_once(&one);
	assert_true(tls_has(one.lines, want));
	tls_read_once(&both);
	assert_true(tls_has(both.lines, want));
	tls_free(&one);
	tls_free(&both);
}

static void uid_of(const char *doc, char uid[48])
{
	struct tls_reading r = {.p = doc, .n = strlen(doc)};

	tls_read_once(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	snprintf(uid, 48, "%.45s", r.lines);
	assert_memory_equal(uid, "uid=", 4);
	tls_free(&r);
}

/* [I3]: the order of policies does not matter, what they are about does; counts do not. */
static void test_uid(void **state)
{
#define P(domain) "{\"policy\":{\"policy-domain\":\"" domain "\",\"policy-type\":\"sts\"}}"
#define DOC(list) "{" T_HEAD ",\"policies\":[" list "]}"
	char a[48], b[48], c[48], d[48];

	(void)state;
	uid_of(DOC(P("a.example") "," P("b.example")), a);
	uid_of(DOC(P("B.example") "," P("a.example")), b);
	uid_of(DOC(P("a.example")), c);
	uid_of("{\"organization-name\":\"SENDER LTD.\"," T_DATES "," T_CONTACT "," T_ID
	       ",\"policies\":[{\"policy\":{\"policy-domain\":\"a.example\"}}]}",
	       d);
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	assert_string_equal(c, d);
#undef P
#undef DOC
}

/* T-TLS-6, Q205: what the mail says; the report counts. */
static void test_mail_t_tls_6(void **state)
{
	static const struct tap_parse_options none = {.limits = &tap_parse_limits_default};
	struct tap_mail_auth auth = {.tls_domain = "other.example",
				     .tls_submitter = "else.example"};
	struct tap_work w = {.opt = &none, .lim = &tap_parse_limits_default, .auth = &auth};
	struct tap_hints hints = {.sender = "from.example", .submitter = "subject.example"};
	struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .work = &w};
	static const struct tls_case mismatch = {
	    "mismatch",
	    T_GOOD,
	    {"report", "domain=example.com",
	     "! policies: domain_mismatch: TLS-Report-Domain says other.example",
	     "! contact-info: submitter_mismatch: TLS-Report-Submitter says else.example"}};
	static const struct tls_case match = {"match", T_GOOD, {"report", "warnings=0"}};
	static const struct tls_case lacking = {
	    "lacking",
	    "{" T_DATES "," T_ID ",\"policies\":{" T_SUM "}}",
	    {"report", "org=else.example", "domain=other.example",
	     "! organization-name: missing_org_name: taken from TLS-Report-Submitter",
	     "! policies[0]/policy/policy-domain: missing_domain: taken from what stands around"}};
	static const struct tls_case subject = {
	    "subject",
	    "{" T_DATES "," T_ID ",\"policies\":[]}",
	    {"report", "org=subject.example", "-domain=other.example"}};

	(void)state;
	tls_check(&mismatch, &r);
	auth.tls_domain = "Example.COM.";
	auth.tls_submitter = "mail.sender.example";
	tls_check(&match, &r);
	auth =
	    (struct tap_mail_auth){.tls_domain = "other.example", .tls_submitter = "else.example"};
	r.p = lacking.doc;
	r.n = strlen(r.p);
	tls_check(&lacking, &r);
	r.work = NULL;
	r.hints = &hints;
	r.p = subject.doc;
	r.n = strlen(r.p);
	tls_check(&subject, &r);
	tls_free(&r);
}

/* Standards 1.8: unsigned reports are marked as soon as somebody could have said that they are signed. */
static void test_unsigned_t_in_13(void **state)
{
	static const char *const ids[] = {"mx.example.org"};
	static const struct tap_trust_rules rules = {.authserv_ids = ids, .n_authserv_ids = 1};
	static const struct tap_trust_rules no_rules = {0};
	struct tap_parse_options opt = {.limits = &tap_parse_limits_default, .trust = &rules};
	struct tap_mail_auth auth = {0};
	struct tap_work w = {.opt = &opt, .lim = &tap_parse_limits_default, .auth = &auth};
	struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .work = &w, .trust = &rules};

	(void)state;
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "! document: tlsrpt_unsigned: "));
	assert_int_equal(w.kinds & TAP_KIND_SMTP_TLS, TAP_KIND_SMTP_TLS);
	r.trust = &no_rules;
	opt.trust = &no_rules;
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "warnings=0"));
	r.trust = &rules;
	r.work = NULL; /* a file */
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "warnings=0"));
	tls_free(&r);
}

/* T-IN-7 for these reports: what the name of the file tells otherwise. */
static void test_filename(void **state)
{
	static const struct tls_case same = {"same", T_GOOD, {"report", "warnings=0"}};
	static const struct tls_case other = {
	    "other",
	    T_GOOD,
	    {"report", "! document: name_mismatch: the name of the file tells another domain",
	     "! document: name_mismatch: the name of the file tells another begin",
	     "! document: name_mismatch: the name of the file tells another end"}};
	static const struct tls_case lacking = {
	    "lacking",
	    "{" T_DATES "," T_ID ",\"policies\":[{}]}",
	    {"report", "org=sender.example", "domain=example.com"}};
	struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD)};

	(void)state;
	r.filename = "sender.example!example.com!1780358400!1780444799!001.json.gz";
	tls_check(&same, &r);
	r.filename = "sender.example!example.net!1780358401!1780444798.json";
	tls_check(&other, &r);
	r.filename = "sender.example!example.com!1780358400!1780444799.json";
	r.p = lacking.doc;
	r.n = strlen(r.p);
	tls_check(&lacking, &r);
	tls_free(&r);
}

static char *many(const char *before, const char *item, size_t n, const char *after, size_t *len_r)
{
	size_t b = strlen(before), i = strlen(item), a = strlen(after);
	char *p = malloc(b + n * (i + 1) + a + 1), *q = p;

	assert_non_null(p);
	q = mempcpy(q, before, b);
	for (size_t k = 0; k < n; k++) {
		if (k > 0)
			*q++ = ',';
		q = mempcpy(q, item, i);
	}
	memcpy(q, after, a + 1);
	*len_r = (size_t)(q - p) + a;
	return p;
}

/* T-TLS-9: details come one by one, whatever their number. */
static void test_many_details_t_tls_9(void **state)
{
	struct tls_reading r = {0};
	char *p = many("{" T_HEAD ",\"policies\":[{" T_POLICY "," T_SUM ",\"failure-details\":[",
		       "{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.1\","
		       "\"receiving-mx-hostname\":\"MX.example.com\",\"failed-session-count\":2}",
		       50000, "]}]}", &r.n);

	(void)state;
	r.p = p;
	tls_read_once(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	assert_true(tls_has(r.lines, "policies=1 details=50000 dropped=0 sessions=13 passed=10"));
	assert_true(tls_has(r.lines, "warnings=0"));
	tls_free(&r);
	free(p);
}

static void test_limits_t_tls_5(void **state)
{
	static const struct {
		const char *before, *item, *after;
		size_t n;
		const char *why;
	} bombs[] = {
	    {"{" T_HEAD ",\"policies\":", "[", "", 33, "nested too deep (limit json_depth)"},
	    {"{" T_HEAD ",\"x\":[", "{}", "],\"policies\":[]}", 200, "too many values"},
	    {"{" T_HEAD ",\"policies\":[", "{}", "]}", 10001, "more than 10000 of them"},
	    {"{" T_HEAD ",\"policies\":[{\"failure-details\":[", "{}", "]}]}", 60,
	     "more than 50 of them (limit records)"},
	    {"{" T_HEAD ",\"n\":", "1", "", 0, "cut off"},
	};
	struct tap_parse_limits lim = tap_parse_limits_default;

	(void)state;
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		struct tls_reading r = {.limits = &lim};
		char *p = many(bombs[i].before, bombs[i].item, bombs[i].n, bombs[i].after, &r.n);

		if (i == 0) /* without the commas */
			for (char *q = strstr(p, "[,"); q && q[1] == ','; q += 2)
				q[1] = '[';
		lim.json_values = i == 1 ? 100 : 2000000;
		lim.records = i == 3 ? 50 : 1000000;
		r.p = p;
		tls_read_once(&r);
		assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
		if (strstr(r.res.why, bombs[i].why) == NULL)
			fail_msg("%s: %s", bombs[i].why, r.res.why);
		tls_free(&r);
		free(p);
	}
	{
		struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .limits = &lim};

		lim.json_bytes = r.n;
		tls_read_once(&r);
		assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
		lim.json_bytes = r.n - 1;
		tls_read_once(&r);
		assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
		assert_non_null(strstr(r.res.why, "limit json_bytes"));
		tls_free(&r);
	}
}

/* A hundred thousand broken lines take no longer than their bytes. */
static void test_broken_lines(void **state)
{
	struct tls_reading r = {0};
	char *p = many("", "\n{\"report-id\":\"x\",\"policies\":[}", 100000, "\n" T_GOOD, &r.n);

	(void)state;
	r.p = p;
	tls_read_once(&r);
	assert_int_equal(r.res.reports, 1);
	assert_int_equal(r.res.broken, 100000);
	tls_free(&r);
	free(p);
}

/* Lists and texts are cut, with a warning. */
static void test_cuts(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	static const struct tls_case c = {
	    "cut",
	    T_WITH(
		"{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"example.com\","
		"\"policy-string\":[\"a\",\"b\",\"c\"],\"mx-host\":[\"\\u00fc\\u00fc\\u00fc\\u00fc"
		"\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\\u00fc\"]}," T_SUM
		"}"),
	    {"report", "strings=a|b",
	     "mx=\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc",
	     "! policies[0]/policy/policy-string: list_cut: more than 2 of them (limit list)",
	     "! policies[0]/policy/mx-host: text_cut: longer than 20 bytes (limit text)"}};
	struct tls_reading r = {.p = c.doc, .n = strlen(c.doc), .limits = &lim};

	(void)state;
	lim.list = 2;
	lim.text = 20;
	tls_check(&c, &r);
	tls_free(&r);
	lim = tap_parse_limits_default;
	lim.warnings = 2;
	r.p = T_DOC(T_DATES "," T_ID, "[{},{},{}]");
	r.n = strlen(r.p);
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "warnings=11"));
	tls_free(&r);
}

static void test_errors_of_others(void **state)
{
	struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .note = "note: of the container"};

	(void)state;
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "! document: note: of the container"));
	r.stop_rc = TAP_E_TEMP;
	tls_read_once(&r);
	assert_int_equal(r.rc, TAP_E_TEMP);
	assert_int_equal(r.ends + r.aborts, 0);
	r.stop_rc = TAP_OK;
	r.fail_rc = TAP_E_TEMP;
	r.fail_at = 20;
	tls_read_once(&r);
	assert_int_equal(r.rc, TAP_E_TEMP);
	/* Damage in the container: behind the report it is a warning, in it the report is refused. */
	r.fail_rc = TAP_E_DATA;
	r.fail_at = r.n;
	tls_read_once(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_REPORT);
	assert_true(tls_has(r.lines, "! document: container: told to fail"));
	r.fail_at = r.n - 5;
	tls_read_once(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
	assert_non_null(strstr(r.res.why, "cut off; told to fail"));
	r.fail_rc = TAP_E_LIMIT;
	tls_read_once(&r);
	assert_int_equal(r.res.verdict, TAP_DOC_BROKEN);
	assert_non_null(strstr(r.res.why, "told to fail"));
	tls_free(&r);
}

/* Every prefix of a document, and every one with a byte changed: a report, no report or a reason; never anything else. */
static void test_every_byte(void **state)
{
	char doc[] = T_GOOD;
	size_t n = strlen(doc);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct tls_reading r = {.p = doc, .n = i};

		tls_read_once(&r);
		assert_int_not_equal(r.res.verdict, TAP_DOC_REPORT);
		tls_free(&r);
	}
	for (size_t i = 0; i < n; i++)
		for (const char *c = "\"\\{}[],:x\x80"; *c; c++) {
			struct tls_reading r = {.p = doc, .n = n};
			char old = doc[i];

			doc[i] = *c;
			tls_read_once(&r);
			assert_int_equal(r.rc, TAP_OK);
			doc[i] = old;
			tls_free(&r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_simple),
	    cmocka_unit_test(test_policies_t_tls_7),
	    cmocka_unit_test(test_forms_t_tls_5),
	    cmocka_unit_test(test_hash),
	    cmocka_unit_test(test_uid),
	    cmocka_unit_test(test_mail_t_tls_6),
	    cmocka_unit_test(test_unsigned_t_in_13),
	    cmocka_unit_test(test_filename),
	    cmocka_unit_test(test_many_details_t_tls_9),
	    cmocka_unit_test(test_limits_t_tls_5),
	    cmocka_unit_test(test_cuts),
	    cmocka_unit_test(test_broken_lines),
	    cmocka_unit_test(test_errors_of_others),
	    cmocka_unit_test(test_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
