/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_verdict.c - what is a report, what only claims to be one, what is neither; errors that are not the
 * input's; names and subjects. */
#include "parser_inputs.h"
#include "parser/sniff.h"

static void mail_of(struct tap_buf *m, const char *subject, const char *part_headers,
		    const char *body)
{
	in_mail_begin(m, subject);
	in_part(m, "Content-Type: text/plain\r\n");
	tap_buf_adds(m, "Dear postmaster,\r\n\r\nsee below.\r\n");
	if (part_headers) {
		in_part(m, part_headers);
		tap_buf_printf(m, "%s\r\n", body);
	}
	in_mail_end(m);
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *subject, *headers, *body;
		enum tap_verdict verdict;
		const char *why;
	} t[] = {
	    {"Hello", NULL, NULL, TAP_V_NOT_A_REPORT, "no part of the mail is a report"},
	    {"Hello", "Content-Type: text/xml\r\n", "<rss><channel/></rss>", TAP_V_NOT_A_REPORT,
	     ""},
	    {"Hello", "Content-Type: text/html\r\n", "<html><body>x</body></html>",
	     TAP_V_NOT_A_REPORT, "no part of the mail is a report"},
	    {"Hello", "Content-Type: image/png\r\n", "\x89PNG", TAP_V_NOT_A_REPORT,
	     "part 2: neither XML"},
	    {"Hello", "Content-Type: text/xml\r\n", "<feedback></feedback>", TAP_V_BROKEN,
	     "part 2: "},
	    {"report  domain: example.org Submitter: x", NULL, NULL, TAP_V_BROKEN,
	     "the subject announces a report"},
	    {"=?utf-8?Q?Report_Domain:_example.org?=", NULL, NULL, TAP_V_BROKEN,
	     "the subject announces a report"},
	    {"Re: [list] Report\r\n Domain: example.org", NULL, NULL, TAP_V_BROKEN,
	     "the subject announces a report"},
	    {"Hello", "Content-Type: application/gzip\r\n", "\x1f\x8b\x08 but not really",
	     TAP_V_BROKEN, "part 2: compressed data damaged"},
	    {"Hello", "Content-Type: application/zip\r\n", "PK\3\4 but not really", TAP_V_BROKEN,
	     "part 2: zip archive that cannot be opened"},
	    {"Hello", "Content-Disposition: attachment; filename=\"a!b!1!2.xml.gz\"\r\n",
	     "The attachment was removed.", TAP_V_BROKEN,
	     "part 2 (a!b!1!2.xml.gz): named as a report, but: a mail filter seems to have "
	     "removed"},
	    {"Hello", "Content-Disposition: attachment; filename=\"a!b!1!2.xml.gz\"\r\n", "BZh91AY",
	     TAP_V_BROKEN, "named as a report, but: bzip2 is not read by this version"},
	    {"Hello", "Content-Type: application/pkcs7-mime\r\n", "xx", TAP_V_NOT_A_REPORT,
	     "S/MIME"},
	    {"Hello", "Content-Type: application/ms-tnef\r\n", "xx", TAP_V_NOT_A_REPORT, "winmail"},
	    {"Hello", "Content-Type: application/json\r\n", "{\"a\": [1, 2]}", TAP_V_NOT_A_REPORT,
	     "JSON that is not a report"},
	    {"Hello", "Content-Type: application/json\r\n",
	     "{\"organization-name\": \"x\", \"policies\": []}", TAP_V_BROKEN, ""},
	    {"Hello", "Content-Type: application/tlsrpt+gzip\r\n", "removed", TAP_V_BROKEN,
	     "named as a report"},
	};
	struct tap_buf m;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		mail_of(&m, t[i].subject, t[i].headers, t[i].body);
		expect(&m, t[i].verdict, "", t[i].why);
		tap_buf_free(&m);
	}
}

/* Q35: what a filter leaves is named as such, and a mail that announced a report counts as broken. */
static void test_removed_attachment(void **state)
{
	static const struct {
		const char *subject, *headers, *body;
		enum tap_verdict verdict;
		const char *why;
	} t[] = {
	    {"Report Domain: example.org Submitter: x",
	     "Content-Type: text/plain; name=DELETED0.TXT\r\n",
	     "File attachment: a.zip\r\nThe file attached to this mail was REMOVED.", TAP_V_BROKEN,
	     "the subject announces a report, but no part holds one; part 2 (DELETED0.TXT): a mail "
	     "filter seems to have removed the attachment"},
	    {"Hello", "Content-Type: text/html\r\n", "An attachment has been blocked by policy.",
	     TAP_V_NOT_A_REPORT, "part 2: a mail filter seems to have removed the attachment"},
	};
	struct tap_buf m;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		mail_of(&m, t[i].subject, t[i].headers, t[i].body);
		expect(&m, t[i].verdict, "", t[i].why);
		tap_buf_free(&m);
	}
}

/* Q39: answers and bounces are no reports, and say so; no alarm even when the subject quotes a report. */
static void test_automatic_mail(void **state)
{
	static const struct {
		const char *head;
		enum tap_verdict verdict;
		const char *why;
	} t[] = {
	    {"Auto-Submitted: auto-replied (vacation)\r\nSubject: Re: Report Domain: "
	     "example.org\r\n",
	     TAP_V_NOT_A_REPORT, "an automatic reply"},
	    {"X-Autoreply: yes\r\nSubject: Out of office\r\n", TAP_V_NOT_A_REPORT,
	     "an automatic reply"},
	    {"Precedence: auto_reply\r\nSubject: Away\r\n", TAP_V_NOT_A_REPORT,
	     "an automatic reply"},
	    {"From: Mail Delivery System <MAILER-DAEMON@example.net>\r\nSubject: failure "
	     "notice\r\n",
	     TAP_V_NOT_A_REPORT, "a bounce"},
	    {"Subject: Undelivered: Report Domain: example.org\r\n"
	     "Content-Type: multipart/report; report-type=delivery-status; "
	     "boundary=x\r\n\r\n--x\r\n\r\n"
	     "Sorry\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; "
	     "mx\r\n--x--",
	     TAP_V_NOT_A_REPORT, "a delivery status notification"},
	    {"Subject: Read: x\r\nContent-Type: multipart/report; boundary=x;\r\n"
	     " report-type=disposition-notification\r\n\r\n--x\r\n\r\nread\r\n--x--",
	     TAP_V_NOT_A_REPORT, "a delivery status notification"},
	    {"Auto-Submitted: auto-replied\r\nSubject: Report Domain: example.org Submitter: y\r\n",
	     TAP_V_BROKEN, "the subject announces a report"},
	    {"Auto-Submitted: auto-generated\r\nSubject: hello\r\n", TAP_V_NOT_A_REPORT,
	     "no part of the mail is a report"},
	};
	struct tap_buf m;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		tap_buf_init(&m, INPUT_MAX);
		tap_buf_printf(&m, "To: d@example.org\r\n%s\r\n\r\ntext\r\n", t[i].head);
		expect(&m, t[i].verdict, "", t[i].why);
		tap_buf_free(&m);
	}
}

/* Q23, Q24: what is locked up is named. */
static void test_encrypted(void **state)
{
	struct tap_buf m;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m,
		     "Subject: x\r\nContent-Type: multipart/encrypted; boundary=e;\r\n"
		     " protocol=\"application/pgp-encrypted\"\r\n\r\n--e\r\n"
		     "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--e\r\n"
		     "Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n"
		     "--e--\r\n");
	expect(&m, TAP_V_NOT_A_REPORT, "", "encrypted mail is not read");
	tap_buf_free(&m);
	mail_of(&m, "x", "Content-Type: application/octet-stream; name=winmail.dat\r\n",
		"\x78\x9f\x3e\x22");
	expect(&m, TAP_V_NOT_A_REPORT, "", "TNEF (winmail.dat) is not read");
	tap_buf_free(&m);
	mail_of(&m, "x", "Content-Type: text/plain\r\n", "-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM");
	expect(&m, TAP_V_NOT_A_REPORT, "", "part 2: encrypted (PGP) text is not read");
	tap_buf_free(&m);
}

/* Q26-Q30: what may stand before the header, and every line end. */
static void test_before_the_header(void **state)
{
	static const char *const before[] = {"",
					     "\xef\xbb\xbf",
					     "\r\n\r\n",
					     "\n",
					     "From a@example.net Tue Nov 14 22:13:20 2023\r\n",
					     "From x\r\n",
					     ">From a@example.net Tue Nov 14 22:13:20 2023\n"};
	struct tap_buf x, m, l;

	(void)state;
	in_report(&x, "r1", 1);
	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		for (int ends = 0; ends < 3; ends++) {
			tap_buf_init(&m, INPUT_MAX);
			tap_buf_init(&l, INPUT_MAX);
			tap_buf_printf(
			    &m,
			    "%sSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n"
			    "\r\nFrom here on\r\n--b\r\nContent-Type: text/xml\r\n\r\n",
			    before[i]);
			tap_buf_add(&m, x.p, x.len);
			tap_buf_adds(&m, "\r\nFrom the author\r\n--b--\r\n");
			for (size_t k = 0; k < m.len; k++)
				if (ends == 2 && m.p[k] == '\n' && (k == 0 || m.p[k - 1] != '\r'))
					tap_buf_addc(&l, '\r');
				else if (!(ends == 1 && m.p[k] == '\r') &&
					 !(ends == 2 && m.p[k] == '\n'))
					tap_buf_addc(&l, m.p[k]);
			expect(&l, TAP_V_REPORT, "r1@0.0 ", NULL);
			tap_buf_free(&m);
			tap_buf_free(&l);
		}
	/* Q32: lines that are no field, bytes that are no text; not more than three of them. */
	for (int strays = 0; strays < 5; strays++) {
		tap_buf_init(&m, INPUT_MAX);
		tap_buf_adds(&m, "Subject: a\xff\r\n");
		for (int i = 0; i < strays; i++)
			tap_buf_adds(&m, "\xe9 of a folded line\r\n and more\r\n");
		tap_buf_adds(&m, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
				 "Content-Type: text/xml\r\n\r\n");
		tap_buf_add(&m, x.p, x.len);
		tap_buf_adds(&m, "--b--\r\n");
		if (strays <= 3)
			expect(&m, TAP_V_REPORT, "r1@0.0 ", NULL);
		tap_buf_free(&m);
	}
	tap_buf_free(&x);
}

/* T-IN-12, Q15, Q18, Q19: each part has its own result. */
static void test_good_and_broken(void **state)
{
	struct tap_buf x, y, g, m;
	struct tap_parse_result res;
	struct seen s;

	(void)state;
	in_report(&x, "r1", 2);
	in_report(&y, "r2", 2);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&m, "x");
	g.p[0] = 'x';
	in_part_base64(&m, "application/gzip", "noise.gz", &g);
	g.p[0] = '\x1f';
	in_part_base64(&m, "application/gzip", "good.gz", &g);
	g.len /= 3;
	in_part_base64(&m, "application/gzip", "cut.gz", &g);
	in_part_base64(&m, "text/xml", "two.xml", &y);
	in_mail_end(&m);
	run(&m, &s, &res);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	assert_int_equal(res.reports, 2);
	assert_int_equal(res.broken, 1);
	assert_string_equal(s.ids, "r1@1.0 r2@3.0 ");
	assert_non_null(strstr(res.why, "part 3 (cut.gz): "));
	assert_int_equal(s.payload_ends, 2);
	seen_free(&s);
	tap_buf_free(&m);
	tap_buf_free(&g);
	tap_buf_free(&x);
	tap_buf_free(&y);
}

static void test_files(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum tap_verdict verdict;
		const char *why;
	} t[] = {
	    {"", 0, TAP_V_NOT_A_REPORT, "empty"},
	    {" \n\n ", 4, TAP_V_NOT_A_REPORT, "empty"},
	    {"hello", 5, TAP_V_NOT_A_REPORT, "neither XML"},
	    {"\0\0\0\0", 4, TAP_V_NOT_A_REPORT, "empty"},
	    {"\xff\xfe", 2, TAP_V_NOT_A_REPORT, ""},
	    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, TAP_V_NOT_A_REPORT, "OLE2"},
	    {"x^2 + y^2", 9, TAP_V_NOT_A_REPORT, "neither XML"},
	    {"<a:b xmlns:a='x'/>", 18, TAP_V_NOT_A_REPORT, ""},
	    {"{\"a\":1}", 7, TAP_V_NOT_A_REPORT, "JSON"},
	};
	struct tap_buf b;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		tap_buf_init(&b, 100);
		tap_buf_add(&b, t[i].bytes, t[i].n);
		expect(&b, t[i].verdict, "", t[i].why);
		tap_buf_free(&b);
	}
}

/* What a consumer, the source or the operator says ends the reading with that class and is never taken for the input's fault. */
static enum tap_rc sick_read(const struct tap_source *src, uint64_t off, void *buf, size_t n,
			     size_t *got_r, struct tap_err *err)
{
	const struct in_short *s = (const struct in_short *)src;

	if (off >= s->furthest)
		return tap_err_set(err, TAP_E_TEMP, "the disk is sick");
	if (n > s->furthest - off)
		n = (size_t)(s->furthest - off);
	memcpy(buf, s->p + off, n);
	*got_r = n;
	return TAP_OK;
}

static bool cancel_now(void *ctx)
{
	unsigned *left = ctx;

	return *left == 0 || --*left == 0;
}

static void test_errors_of_others(void **state)
{
	static const enum tap_rc classes[] = {TAP_E_TEMP, TAP_E_DATA, TAP_E_LIMIT, TAP_E_CONFIG};
	struct tap_parse_options opt = {.payload = true};
	struct tap_buf x, g, m, forms[3];
	struct tap_parse_result res;
	struct tap_source src;
	struct in_short sick;
	struct in_zip z;
	struct seen s;
	unsigned left;

	(void)state;
	in_report(&x, "r1", 3000);
	in_gzip(&g, x.p, x.len);
	in_zip_begin(&z);
	in_zip_add(&z, "r.xml", x.p, x.len);
	in_zip_end(&z);
	in_mail_begin(&m, "x");
	in_part_base64(&m, "application/gzip", "r.gz", &g);
	in_part_base64(&m, "application/zip", "r.zip", &z.file);
	in_mail_end(&m);
	forms[0] = x;
	forms[1] = m;
	forms[2] = z.file;
	for (size_t f = 0; f < 3; f++) {
		for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
			struct tap_err err = {0};

			memset(&s, 0, sizeof s);
			tap_buf_init(&s.payload, INPUT_MAX);
			s.fail_at_record = classes[i];
			tap_source_mem(&src, forms[f].p, forms[f].len);
			assert_int_equal(run_source(&src, &opt, &s, &res, &err), classes[i]);
			assert_string_equal(err.msg, "the consumer is full");
			assert_int_equal(s.aborts, 0);
			seen_free(&s);
		}
		for (uint64_t at = 0; at < forms[f].len; at += 1 + forms[f].len / 50) {
			struct tap_err err = {0};

			in_short_init(&sick, forms[f].p, forms[f].len, 0);
			sick.base.read_at = sick_read;
			sick.furthest = at;
			assert_int_equal(tap_parse(&sick.base, &opt, NULL, NULL, &res, &err),
					 TAP_E_TEMP);
			assert_string_equal(err.msg, "the disk is sick");
		}
		for (unsigned n = 0; n < 3; n++) {
			struct tap_err err = {0};

			left = n;
			opt.cancelled = cancel_now;
			opt.cancelled_ctx = &left;
			tap_source_mem(&src, forms[f].p, forms[f].len);
			assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err),
					 TAP_E_CANCELLED);
			opt.cancelled = NULL;
		}
	}
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
	tap_buf_free(&z.file);
}

static void test_report_names(void **state)
{
	static const char *const yes[] = {"a.example!b.example!1!2.xml",
					  "a!b!1!2!id9.xml.gz",
					  "!b!1!2.zip",
					  "dir/a!b!1!2.GZ",
					  "a!b!1!2.json.gz",
					  "a!b!1700000000!1700086399!001.xml.zip"};
	static const char *const no[] = {"",	       "a.xml",
					 "a!b!1.xml",  "a!b!x!2.xml",
					 "a!!1!2.xml", "a!b!1!2.pdf",
					 "a!b!1!2",    "!!!!!!!!",
					 "a!b!1!2.",   "a!b!1!222222222222222222222.xml"};

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		assert_true(tap_sniff_report_name(yes[i]));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		assert_false(tap_sniff_report_name(no[i]));
	assert_true(tap_sniff_report_subject("Re: REPORT domain:example.org"));
	assert_false(tap_sniff_report_subject("report of the domain: x"));
	assert_false(tap_sniff_report_subject("reportdomain: x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_removed_attachment),
	    cmocka_unit_test(test_automatic_mail),
	    cmocka_unit_test(test_encrypted),
	    cmocka_unit_test(test_before_the_header),
	    cmocka_unit_test(test_good_and_broken),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_errors_of_others),
	    cmocka_unit_test(test_report_names),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
