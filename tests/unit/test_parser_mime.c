/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_mime.c - mails: every transfer encoding, structure, names, forwarded messages, short reads. */
#include "parser_inputs.h"

static void part_with(struct tap_buf *m, const char *headers, const struct tap_buf *body)
{
	in_part(m, headers);
	tap_buf_add(m, body->p, body->len);
	tap_buf_adds(m, "\r\n");
}

static void test_gzip_part(void **state)
{
	struct tap_buf x, g, m;

	(void)state;
	in_report(&x, "r1", 3);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&m, "Report Domain: example.org Submitter: reporter.example");
	in_part(&m, "Content-Type: text/plain\r\n");
	tap_buf_adds(&m, "A report is attached.\r\n");
	in_part_base64(&m, "application/gzip", "r.xml.gz", &g);
	in_mail_end(&m);
	expect(&m, TAP_V_REPORT, "r1@1.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

/* Q1-Q5, Q10-Q12, T-IN-11: one body for each transfer encoding. */
static void test_every_encoding(void **state)
{
	static const char *const name[] = {"base64",
					   "base64 without padding",
					   "base64, one line",
					   "base64 in lines of 4",
					   "quoted-printable",
					   "8bit",
					   "mislabelled",
					   "uuencode",
					   "unlabelled base64",
					   "base64 and a footer"};
	struct tap_buf x, g, m;

	(void)state;
	in_report(&x, "r1", 3);
	while (x.len % 3 != 1)
		tap_buf_addc(&x, '\n');
	in_gzip(&g, x.p, x.len);
	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		print_message("  %s\n", name[i]);
		in_mail_begin(&m, "x");
		if (i <= 3 || i == 6 || i == 9)
			in_part(&m,
				"Content-Type: text/xml\r\nContent-Transfer-Encoding: BASE64\r\n");
		else if (i == 4)
			in_part(&m, "Content-Type: text/xml\r\n"
				    "Content-Transfer-Encoding: quoted-printable\r\n");
		else if (i == 5)
			in_part(&m,
				"Content-Type: text/xml\r\nContent-Transfer-Encoding: 8bit\r\n");
		else if (i == 7)
			in_part(&m, "Content-Type: application/gzip\r\n"
				    "Content-Transfer-Encoding: x-uuencode\r\n");
		else
			in_part(&m, "Content-Type: application/gzip\r\n");
		if (i == 4)
			in_qp(&m, x.p, x.len);
		else if (i == 5 || i == 6)
			tap_buf_add(&m, x.p, x.len);
		else if (i == 7)
			in_uu(&m, (unsigned char *)g.p, g.len);
		else if (i == 8)
			in_base64(&m, g.p, g.len, 76, true);
		else
			in_base64(&m, x.p, x.len, i == 2 ? 0 : i == 3 ? 4 : 76, i != 1);
		if (i == 9)
			tap_buf_adds(&m, "\r\n_______________\r\nlist mailing list\r\n");
		tap_buf_adds(&m, "\r\n");
		in_mail_end(&m);
		expect(&m, TAP_V_REPORT, "r1@0.0 ", NULL);
		tap_buf_free(&m);
	}
	tap_buf_free(&x);
	tap_buf_free(&g);
}

/* Q3: gzip bytes as they are, with every byte value and line ends inside. */
static void test_binary_part(void **state)
{
	struct tap_buf x, g, m;

	(void)state;
	in_report(&x, "r1", 400);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&m, "x");
	part_with(&m, "Content-Type: application/gzip\r\nContent-Transfer-Encoding: binary\r\n",
		  &g);
	in_mail_end(&m);
	expect(&m, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

/* T-IN-5, Q8: the report is the whole body. */
static void test_whole_body(void **state)
{
	struct tap_buf x, g, m;

	(void)state;
	in_report(&x, "r1", 2);
	in_gzip(&g, x.p, x.len);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m, "\xef\xbb\xbf\r\n\r\nFrom: a@example.net\nSubject: x\n"
			 "Content-Type: application/gzip; name=\"a.gz\"\n"
			 "Content-Transfer-Encoding: base64\n\n");
	in_base64(&m, g.p, g.len, 60, true);
	expect(&m, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_reset(&m);
	tap_buf_adds(&m, "From a@example.net Tue Nov 14 22:13:20 2023\nSubject: x\n\n");
	tap_buf_add(&m, x.p, x.len);
	expect(&m, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

/* T-IN-6, Q20: forwarded, plain and (against the rules) encoded. */
static void test_forwarded(void **state)
{
	struct tap_buf x, g, in, m;

	(void)state;
	in_report(&x, "r1", 2);
	in_gzip(&g, x.p, x.len);
	tap_buf_init(&in, INPUT_MAX);
	tap_buf_adds(&in, "From: b@example.net\r\nSubject: inner\r\n"
			  "Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nhello\r\n"
			  "--in\r\nContent-Type: application/gzip\r\n"
			  "Content-Transfer-Encoding: base64\r\n\r\n");
	in_base64(&in, g.p, g.len, 76, true);
	tap_buf_adds(&in, "\r\n--in--\r\n");
	in_mail_begin(&m, "Fwd");
	part_with(&m, "Content-Type: message/rfc822\r\n", &in);
	in_part(&m, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n");
	in_base64(&m, in.p, in.len, 76, true);
	tap_buf_adds(&m, "\r\n");
	in_mail_end(&m);
	expect(&m, TAP_V_REPORT, "r1@1.0 r1@4.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&in);
	tap_buf_free(&m);
}

/* Boundary prefix tricks: a boundary that begins with another one, lines that only look like one, no end boundary, LF only. */
static void test_boundaries(void **state)
{
	struct tap_buf x, m;

	(void)state;
	in_report(&x, "r1", 2);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m, "Subject: x\nContent-Type: multipart/mixed; boundary=\"a\"\n\n"
			 "--a--nothing\n--ab\n--a \t\nContent-Type: multipart/alternative;\n"
			 "\tboundary=\"ab\"\n\n--ab\n\n--a-\n--abc\n-- a\ntext\n--ab\n"
			 "Content-Type: text/xml\n\n");
	tap_buf_add(&m, x.p, x.len);
	expect(&m, TAP_V_REPORT, "r1@1.0 ", NULL);
	tap_buf_adds(&m, "--ab--\nepilogue\n--a\n\n");
	tap_buf_add(&m, x.p, x.len);
	tap_buf_adds(&m, "--a--\n<feedback>\n");
	expect(&m, TAP_V_REPORT, "r1@1.0 r1@2.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&m);
}

/* A header block that a boundary or the end cuts, and a body without the blank line before it. */
static void test_broken_header_blocks(void **state)
{
	struct tap_buf x, m;

	(void)state;
	in_report(&x, "r1", 2);
	in_mail_begin(&m, "x");
	tap_buf_adds(&m, "--=_outer\r\nContent-Type: text/plain\r\n--=_outer\r\n--=_outer\r\n"
			 "Content-Type: text/xml\r\n");
	tap_buf_add(&m, x.p, x.len);
	in_part(&m, "Content-Type: text/plain");
	expect(&m, TAP_V_REPORT, "r1@2.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&m);
}

/* T-IN-7: names are hints, decoded, cleaned and never longer than 255 bytes. */
static void test_names(void **state)
{
	static const struct {
		const char *headers, *name;
	} t[] = {
	    {"Content-Disposition: attachment; filename*0=\"a!b\";\r\n filename*1=\"!1!2.xml\"\r\n",
	     "a!b!1!2.xml "},
	    {"Content-Disposition: attachment; filename*=utf-8''caf%C3%A9.xml\r\n",
	     "caf\xc3\xa9.xml "},
	    {"Content-Type: text/xml; name=\"=?utf-8?B?YeKCrC54bWw=?=\"\r\n", "a\xe2\x82\xac.xml "},
	    {"Content-Type: text/xml; name=x.xml\r\nContent-Disposition: attachment;\r\n"
	     "\tfilename=\"../../etc/passwd\"\r\n",
	     "../../etc/passwd "},
	    {"Content-Disposition: attachment; filename=\"a\x01"
	     "b\xff.xml\"\r\n",
	     NULL},
	    {"Content-Type: text/xml; name=!example.com!1538204542!1538463818.xml\r\n",
	     "!example.com!1538204542!1538463818.xml "},
	    {"X-None: 1\r\n", "- "},
	};
	struct tap_buf x, m;
	struct tap_parse_result res;
	struct seen s;

	(void)state;
	in_report(&x, "r1", 1);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		in_mail_begin(&m, "x");
		part_with(&m, t[i].headers, &x);
		in_mail_end(&m);
		run(&m, &s, &res);
		assert_int_equal(res.verdict, TAP_V_REPORT);
		if (t[i].name)
			assert_string_equal(s.names, t[i].name);
		else
			for (const char *p = s.names; *p; p++)
				assert_true((unsigned char)*p >= ' ');
		seen_free(&s);
		tap_buf_free(&m);
	}
	in_mail_begin(&m, "x");
	tap_buf_adds(&m, "--=_outer\r\nContent-Disposition: attachment; filename=\"");
	for (unsigned i = 0; i < 300; i++)
		tap_buf_adds(&m, "\xc3\xa9");
	tap_buf_adds(&m, "\"\r\n\r\n");
	tap_buf_add(&m, x.p, x.len);
	run(&m, &s, &res);
	assert_int_equal(strlen(s.names), 254 + 1);
	seen_free(&s);
	tap_buf_free(&m);
	tap_buf_free(&x);
}

static void check_short(const struct tap_buf *m, size_t most, const struct seen *want,
			const struct tap_parse_result *want_res)
{
	static const struct tap_parse_options opt = {.payload = true};
	struct tap_parse_result res;
	struct tap_err err = {0};
	struct in_short src;
	struct seen s;

	memset(&s, 0, sizeof s);
	tap_buf_init(&s.payload, INPUT_MAX);
	in_short_init(&src, m->p, m->len, most);
	assert_int_equal(run_source(&src.base, &opt, &s, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, want_res->verdict);
	assert_string_equal(res.why, want_res->why);
	assert_string_equal(s.ids, want->ids);
	assert_int_equal(s.records, want->records);
	assert_int_equal(s.payload.len, want->payload.len);
	if (s.payload.len > 0)
		assert_memory_equal(s.payload.p, want->payload.p, s.payload.len);
	seen_free(&s);
}

/* Whatever pieces the source gives, the result is the same: small (read whole first) and larger than any buffer. */
static void test_short_reads(void **state)
{
	static const size_t most[] = {1, 2, 3, 7, 77, 4095, 65537};
	struct tap_buf x, g, m;
	struct tap_parse_result res;
	struct seen s;

	(void)state;
	for (unsigned records = 3; records <= 303; records += 300) {
		in_report(&x, "r1", records);
		in_gzip(&g, x.p, x.len);
		in_mail_begin(&m, "x");
		in_part_base64(&m, "application/gzip", "a.gz", &g);
		part_with(&m, "Content-Type: text/xml\r\n", &x);
		in_part(&m, "Content-Transfer-Encoding: quoted-printable\r\n");
		in_qp(&m, x.p, x.len);
		tap_buf_adds(&m, "\r\n");
		in_part(&m, "Content-Transfer-Encoding: uuencode\r\n");
		in_uu(&m, (unsigned char *)g.p, g.len);
		in_mail_end(&m);
		run(&m, &s, &res);
		assert_int_equal(res.reports, 4);
		assert_int_equal(s.payload_ends, 4);
		for (size_t i = 0; i < sizeof most / sizeof *most; i++)
			check_short(&m, most[i], &s, &res);
		seen_free(&s);
		tap_buf_free(&m);
		tap_buf_free(&g);
		tap_buf_free(&x);
	}
}

/* Q43, T-SEC-5: a mail that is cut anywhere, or has NUL bytes anywhere in its structure, is read without harm. */
static void test_cut_anywhere(void **state)
{
	struct tap_buf x, g, m, cut;
	struct tap_parse_result res;
	struct seen s;
	size_t len;

	(void)state;
	in_report(&x, "r1", 2);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&m, "Report Domain: example.org");
	in_part_base64(&m, "application/gzip", "a.gz", &g);
	in_mail_end(&m);
	len = m.len;
	for (m.len = 0; m.len < len; m.len++) {
		run(&m, &s, &res);
		seen_free(&s);
	}
	for (size_t i = 0; i < len; i++) {
		tap_buf_init(&cut, INPUT_MAX);
		tap_buf_add(&cut, m.p, len);
		cut.p[i] = '\0';
		run(&cut, &s, &res);
		seen_free(&s);
		tap_buf_free(&cut);
	}
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

/* What a report lacks is taken from the header of the mail, and told; the header of a forwarded mail comes later and counts. */
static void test_hints(void **state)
{
	static const struct {
		const char *from, *subject, *who, *org, *domain;
	} cases[] = {
	    {"Reports <a@Mail.Sender.example>",
	     "Report Domain: Subj.example. Submitter: sub.example Report-ID: <1>",
	     "sub.example subj.example", "from the subject", "from the subject"},
	    {"a@mail.sender.example", "=?utf-8?q?Report=20domain:?=\r\n subj.example",
	     "mail.sender.example subj.example", "from the sender", "from the subject"},
	    {"a@mail.sender.example", "your domain: other.example", "mail.sender.example -",
	     "from the sender", "missing_domain: empty"},
	    {"nobody", "Report Domain: nodots Submitter: <x>", "- -", "missing_org_name: empty",
	     "missing_domain: empty"},
	};
	struct tap_buf x, m;
	char *p, *q;

	(void)state;
	in_report(&x, "r1", 1);
	p = strstr(tap_buf_cstr(&x), "<org_name>");
	q = strstr(p, "<report_id>");
	memset(p, ' ', (size_t)(q - p));
	p = strstr(p, "<policy_published>");
	q = strstr(p, "<record>");
	memset(p, ' ', (size_t)(q - p));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int forwarded = 0; forwarded < 2; forwarded++) {
			tap_buf_init(&m, INPUT_MAX);
			if (forwarded)
				tap_buf_adds(
				    &m,
				    "From: b@forwarder.example\r\nSubject: Report Domain: f.example"
				    "\r\nContent-Type: message/rfc822\r\n\r\n");
			tap_buf_printf(&m,
				       "From: %s\r\nSubject: %s\r\nContent-Type: text/xml\r\n\r\n",
				       cases[i].from, cases[i].subject);
			tap_buf_add(&m, x.p, x.len);
			expect_warning(&m, 1, cases[i].org);
			expect_warning(&m, 1, cases[i].domain);
			expect_who(&m, cases[i].who);
			tap_buf_free(&m);
		}
	tap_buf_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hints),	   cmocka_unit_test(test_gzip_part),
	    cmocka_unit_test(test_every_encoding), cmocka_unit_test(test_binary_part),
	    cmocka_unit_test(test_whole_body),	   cmocka_unit_test(test_forwarded),
	    cmocka_unit_test(test_boundaries),	   cmocka_unit_test(test_broken_header_blocks),
	    cmocka_unit_test(test_names),	   cmocka_unit_test(test_short_reads),
	    cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
