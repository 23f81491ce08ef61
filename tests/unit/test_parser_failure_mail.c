/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_failure_mail.c - feedback reports in mails: where their parts stand, under which types and encodings,
 * several in one mail, nested, cut; and the texts of Exim. */
#include "failure_helper.h"

#define FIELDS                                                                                     \
	"Feedback-Type: auth-failure\r\nUser-Agent: T/1\r\nVersion: 1\r\nAuth-Failure: dmarc\r\n"  \
	"Source-IP: 192.0.2.1\r\nReported-Domain: example.com\r\n"

static void expect_one(struct fr *r, const struct tap_buf *m)
{
	fr_read(r, m->p, m->len);
	if (r->res.verdict != TAP_V_REPORT || r->res.reports != 1 || r->res.why[0] != '\0')
		fail_msg("%s, %u reports, why '%s'", tap_verdict_name[r->res.verdict],
			 r->res.reports, r->res.why);
	assert_int_equal(r->failures, 1);
	assert_int_equal(r->records, 0);
}

/* Q154, Q156, Q158: the feedback part under every transfer encoding. */
static void test_encodings_t_arf_5(void **state)
{
	struct tap_buf e, m;
	struct fr r;

	(void)state;
	for (int i = 0; i < 3; i++) {
		tap_buf_init(&e, INPUT_MAX);
		if (i == 0)
			in_base64(&e, FIELDS, strlen(FIELDS), 60, true);
		else if (i == 1)
			in_qp(&e, FIELDS "X-Eq: a=b\r\n", strlen(FIELDS) + 11);
		else
			tap_buf_adds(&e, FIELDS "X-8: \xc3\xa9\r\n");
		fr_mail(&m,
			i == 0	 ? FR_HEAD "Content-Transfer-Encoding: base64\r\n"
			: i == 1 ? FR_HEAD "Content-Transfer-Encoding: Quoted-Printable\r\n"
				 : FR_HEAD "Content-Transfer-Encoding: 8bit\r\n",
			tap_buf_cstr(&e), NULL, FR_SAMPLE);
		expect_one(&r, &m);
		fr_has(&r, "source_ip=192.0.2.1");
		if (i == 1)
			fr_has(&r, "extra=X-Eq|a=b");
		if (i == 2)
			fr_has(&r, "extra=X-8|\xc3\xa9");
		fr_free(&r);
		tap_buf_free(&e);
		tap_buf_free(&m);
	}
}

/* Q159, Q160: every type that samples come under; with nothing but a header the report says so. */
static void test_sample_types_t_arf_6(void **state)
{
	static const struct {
		const char *type;
		bool headers_only;
	} t[] = {
	    {"message/rfc822", false},		 {"text/rfc822-headers", true},
	    {"message/rfc822-headers", true},	 {"text/rfc822", false},
	    {"message/global", false},		 {"message/global-headers", true},
	    {"message/rfc-822", false},		 {"text/rfc-822-headers", true},
	    {"application/octet-stream", false}, {"text/plain", false},
	};
	struct tap_buf m;
	struct fr r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		fr_mail(&m, FR_HEAD, FIELDS, t[i].type, FR_SAMPLE);
		expect_one(&r, &m);
		if (strstr(r.dump.p, t[i].headers_only ? "headers_only=1" : "headers_only=0") ==
			NULL ||
		    strstr(r.dump.p, "sample_text=Received: from out.bulk.example") == NULL)
			fail_msg("%s: %s", t[i].type, r.dump.p);
		fr_free(&r);
		tap_buf_free(&m);
	}
	fr_mail(&m, FR_HEAD, FIELDS, NULL, "From: a@example.com\r\nSubject: x\r\n\r\n\r\n");
	expect_one(&r, &m);
	assert_non_null(strstr(r.dump.p, "headers_only=1"));
	fr_free(&r);
	tap_buf_free(&m);
}

static void test_sample_encodings(void **state)
{
	struct tap_buf e, m;
	struct fr r;

	(void)state;
	tap_buf_init(&e, INPUT_MAX);
	in_base64(&e, FR_SAMPLE, strlen(FR_SAMPLE), 76, true);
	fr_mail(&m, FR_HEAD, FIELDS, "message/rfc822\r\nContent-Transfer-Encoding: base64",
		tap_buf_cstr(&e));
	expect_one(&r, &m);
	assert_non_null(strstr(r.dump.p, "sample_text=Received: from out.bulk.example"));
	assert_non_null(strstr(r.dump.p, "utf8=1 headers_only=0 damaged=0 parsed=1"));
	fr_free(&r);
	tap_buf_free(&m);
	tap_buf_free(&e);
	/* Q164: bytes that are no text are kept as they are. */
	fr_mail(&m, FR_HEAD, FIELDS, NULL, "From: a@example.com\r\nSubject: \xff\r\n\r\nx\r\n");
	expect_one(&r, &m);
	assert_non_null(strstr(r.dump.p, "utf8=0"));
	assert_non_null(strstr(r.dump.p, "Subject: \xff\r\n"));
	fr_free(&r);
	tap_buf_free(&m);
}

/* Q161, and the other parts missing. */
static void test_missing_parts_t_arf_7(void **state)
{
	struct tap_buf m;
	struct fr r;

	(void)state;
	fr_mail(&m, FR_HEAD, FIELDS, NULL, NULL);
	expect_one(&r, &m);
	fr_has(&r, "warn sample: missing_sample: the report has none");
	fr_has(&r, "sample=0 utf8=0 headers_only=0 damaged=0 parsed=0");
	fr_free(&r);
	tap_buf_free(&m);
	fr_mail(&m, NULL, NULL, NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_BROKEN);
	assert_int_equal(r.res.broken, 1);
	assert_non_null(strstr(r.res.why, "without its message/feedback-report part"));
	assert_int_equal(r.begins, 0);
	fr_free(&r);
	tap_buf_free(&m);
	fr_mail(&m, FR_HEAD, "User-Agent: x\r\nVersion: 1\r\n", NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_BROKEN);
	assert_string_equal(r.res.why,
			    "part 2: feedback report without any field that it must have");
	fr_free(&r);
	tap_buf_free(&m);
}

/* Q162, Q163, T-ARF-12: what the message is about is never searched for reports. */
static void test_sample_is_not_searched_t_arf_12(void **state)
{
	struct tap_buf x, g, in, m;
	struct fr r;

	(void)state;
	in_report(&x, "r1", 1);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&in, "Report Domain: example.org Submitter: reporter.example");
	in_part_base64(&in, "application/gzip", "a!b!1!2.xml.gz", &g);
	in_part(&in, "Content-Type: text/xml\r\n");
	tap_buf_add(&in, x.p, x.len);
	in_mail_end(&in);
	fr_mail(&m, FR_HEAD, FIELDS, NULL, tap_buf_cstr(&in));
	expect_one(&r, &m);
	fr_free(&r);
	tap_buf_free(&m);
	/* A failure report about a failure report, and a complaint about one. */
	tap_buf_free(&in);
	fr_mail(&in, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	for (char *p = tap_buf_cstr(&in) ? in.p : NULL; (p = strstr(p, "bb")) != NULL; p++)
		memcpy(p, "cc", 2);
	fr_mail(&m, FR_HEAD, "Feedback-Type: abuse\r\nVersion: 1\r\n", NULL, in.p);
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_FEEDBACK);
	assert_int_equal(r.failures, 1);
	fr_has(&r, "kind=feedback");
	fr_free(&r);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&in);
	tap_buf_free(&m);
}

/* Q154: multipart/mixed. Q36: types that say nothing, other parts between. The feedback part alone as the whole mail. */
static void test_structures(void **state)
{
	static const char top[] =
	    "From: a@receiver.example\r\nDate: Tue, 2 Jun 2026 11:14:06 +0200\r\n"
	    "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nhuman\r\n";
	static const char *const t[] = {
	    "--m\r\nContent-Type: message/feedback-report\r\n\r\n" FIELDS
	    "--m\r\nContent-Type: message/rfc822\r\n\r\n" FR_SAMPLE "--m--\r\n",
	    /* The sample in a multipart of its own: not searched either. */
	    "--m\r\nContent-Type: message/feedback-report\r\n\r\n" FIELDS
	    "--m\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" FR_SAMPLE
	    "--d--\r\n--m--\r\n",
	    /* The fields in one of their own, in what is announced. */
	    "--m\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=r\r\n\r\n"
	    "--r\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\r\nhuman\r\n--f\r\n"
	    "Content-Type: message/feedback-report\r\n\r\n" FIELDS "--f--\r\n--r\r\n"
	    "Content-Type: message/rfc822\r\n\r\n" FR_SAMPLE "--r--\r\n--m--\r\n",
	    "--m\r\nContent-Type: application/octet-stream; name=ATT00001.file\r\n"
	    "Content-Disposition: attachment\r\n\r\n" FIELDS
	    "--m\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@b\r\n"
	    "--m\r\nContent-Type: application/octet-stream; name=ATT00002.eml\r\n\r\n" FR_SAMPLE
	    "--m--\r\n",
	    /* The sample first, then the fields under a wrong type. */
	    "--m\r\nContent-Type: message/rfc822\r\n\r\n" FR_SAMPLE
	    "--m\r\nContent-Type: text/plain\r\n\r\n" FIELDS "--m--\r\n",
	    "--m\r\nContent-Type: application/x-feedback; name=x\r\nContent-Transfer-Encoding: "
	    "base64\r\n"
	    "\r\nRmVlZGJhY2stVHlwZTogYXV0aC1mYWlsdXJlDQpBdXRoLUZhaWx1cmU6IGRtYXJjDQpTb3VyY2UtSVA6ID"
	    "E5\r\n"
	    "Mi4wLjIuMQ0KUmVwb3J0ZWQtRG9tYWluOiBleGFtcGxlLmNvbQ0K\r\n"
	    "--m\r\nContent-Type: text/rfc822-headers\r\n\r\n" FR_SAMPLE "--m--\r\n",
	};
	struct tap_buf m;
	struct fr r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		tap_buf_init(&m, INPUT_MAX);
		tap_buf_printf(&m, "%s%s", top, t[i]);
		expect_one(&r, &m);
		fr_has(&r, "kind=failure");
		fr_has(&r, "source_ip=192.0.2.1");
		fr_has(&r, "human=human");
		fr_has(&r, "message_id=<77@bulk.example>");
		fr_has(&r, "email=a@receiver.example");
		fr_free(&r);
		tap_buf_free(&m);
	}
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m, "From: a@example.net\r\nDate: Tue, 2 Jun 2026 11:14:06 +0200\r\n" FR_HEAD
			 "\r\n" FIELDS);
	expect_one(&r, &m);
	fr_has(&r, "arrival=1780391646");
	fr_has(&r, "part=0.0");
	fr_free(&r);
	tap_buf_free(&m);
	/* A list or a filter put its multipart and its footer around. */
	fr_mail(&m, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	tap_buf_free(&m);
}

/* Several in one multipart, and several multiparts; forwarded as a message, plain and in base64. */
static void test_several_and_nested(void **state)
{
	struct tap_buf one, two, m;
	struct fr r;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m, "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n");
	for (int i = 0; i < 3; i++)
		tap_buf_printf(
		    &m,
		    "--b\r\n" FR_HEAD "\r\nFeedback-Type: %s\r\nIncidents: %d\r\n"
		    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s%d\r\n\r\nx\r\n",
		    i == 1 ? "abuse" : "auth-failure", i + 1, i + 1);
	tap_buf_adds(&m, "--b--\r\n");
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_REPORT);
	assert_int_equal(r.res.reports, 3);
	assert_int_equal(r.res.kinds, TAP_KIND_FAILURE | TAP_KIND_FEEDBACK);
	for (int i = 0; i < 3; i++) {
		char want[64];

		snprintf(want, sizeof want, "part=0.%d", i);
		fr_has(&r, want);
		snprintf(want, sizeof want, "sample_text=Subject: s%d\r", i + 1);
		fr_has(&r, want);
	}
	/* The whole mail, once. */
	assert_int_equal(r.payload_ends, 1);
	fr_free(&r);
	tap_buf_free(&m);

	fr_mail(&one, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	fr_mail(&two, FR_HEAD, FIELDS "Incidents: 9\r\n", NULL, FR_SAMPLE);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m, "From: me@example.org\r\nSubject: Fwd: reports\r\nContent-Type: multipart/mixed; "
		"boundary=o\r\n\r\n--o\r\n\r\nsee below\r\n--o\r\nContent-Type: "
		"message/rfc822\r\n\r\n");
	tap_buf_add(&m, one.p, one.len);
	tap_buf_adds(
	    &m, "--o\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	in_base64(&m, two.p, two.len, 76, true);
	tap_buf_adds(&m, "\r\n--o--\r\n");
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.reports, 2);
	assert_int_equal(r.res.broken, 0);
	fr_has(&r, "incidents=9");
	fr_has(&r, "email=ruf@receiver.example");
	fr_lacks(&r, "email=me@example.org");
	assert_int_equal(r.payload_ends, 1);
	fr_free(&r);
	tap_buf_free(&one);
	tap_buf_free(&two);
	tap_buf_free(&m);
}

/* A feedback report beside an aggregate report. */
static void test_beside_aggregate(void **state)
{
	struct tap_buf x, m;
	struct fr r;

	(void)state;
	in_report(&x, "r1", 2);
	in_mail_begin(&m, "x");
	in_part(&m, "Content-Type: text/xml\r\n");
	tap_buf_add(&m, x.p, x.len);
	in_part(&m, FR_HEAD);
	tap_buf_adds(&m, FIELDS);
	in_part(&m, "Content-Type: message/rfc822\r\n");
	tap_buf_adds(&m, FR_SAMPLE);
	in_mail_end(&m);
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.reports, 2);
	assert_int_equal(r.res.kinds, TAP_KIND_FAILURE | TAP_KIND_AGGREGATE);
	assert_int_equal(r.records, 2);
	assert_int_equal(r.failures, 1);
	assert_int_equal(r.payload_ends, 2);
	fr_free(&r);
	tap_buf_free(&m);
	/* Announced as feedback, and yet only an aggregate report: that counts, and nothing is broken. */
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m,
	    "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n"
	    "Content-Type: text/xml\r\n\r\n");
	tap_buf_add(&m, x.p, x.len);
	tap_buf_adds(&m, "--b--\r\n");
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_REPORT);
	assert_int_equal(r.res.broken, 0);
	fr_free(&r);
	tap_buf_free(&x);
	tap_buf_free(&m);
}

/* Cut at every byte: never anything but one report or a reason, and a cut sample is said to be cut. */
static void test_cut(void **state)
{
	struct tap_buf m;
	struct fr r;

	(void)state;
	fr_mail(&m, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	for (size_t n = 0; n < m.len; n++) {
		fr_read(&r, m.p, n);
		assert_true(r.res.reports <= 1);
		assert_true(r.res.reports == 1 || r.res.why[0] != '\0');
		if (r.res.reports == 1 && strstr(r.dump.p, "\nsample_text=") && n < m.len - 8)
			fr_has(&r, "truncated=1");
		fr_free(&r);
	}
	tap_buf_free(&m);
}

/* [I7]: more than the limit of the walk; what was read before it counts. */
static void test_limits(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_buf m;
	struct fr r;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m, "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n");
	for (int i = 0; i < 10; i++)
		tap_buf_adds(&m, "--b\r\n" FR_HEAD "\r\n" FIELDS);
	lim.mime_parts = 5;
	fr_read_with(&r, m.p, m.len, &opt);
	assert_int_equal(r.res.verdict, TAP_V_REPORT);
	assert_int_equal(r.res.reports, 4);
	assert_int_equal(r.res.broken, 1);
	assert_non_null(strstr(r.res.why, "mime_parts"));
	fr_free(&r);
	tap_buf_free(&m);
}

/* Q21 */
static void test_bounced(void **state)
{
	struct tap_buf one, m;
	struct fr r;

	(void)state;
	fr_mail(&one, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m, "From: MAILER-DAEMON@example.net\r\nSubject: Undelivered\r\n"
		"Content-Type: multipart/report; report-type=delivery-status; boundary=d\r\n\r\n"
		"--d\r\n\r\nSorry.\r\n--d\r\nContent-Type: message/delivery-status\r\n\r\n"
		"Reporting-MTA: dns; mx\r\n--d\r\nContent-Type: message/rfc822\r\n\r\n");
	tap_buf_add(&m, one.p, one.len);
	tap_buf_adds(&m, "--d--\r\n");
	expect_one(&r, &m);
	fr_has(&r, "warn mail: bounced: it stood inside of a delivery status notification");
	fr_free(&r);
	tap_buf_free(&m);
	tap_buf_free(&one);
	/* The same of an aggregate report. */
	in_report(&one, "r1", 1);
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(
	    &m, "Content-Type: multipart/report; report-type=delivery-status; boundary=d\r\n\r\n"
		"--d\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n"
		"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: "
		"text/xml\r\n\r\n");
	tap_buf_add(&m, one.p, one.len);
	tap_buf_adds(&m, "--i--\r\n--d--\r\n");
	expect_warning(&m, 1, "document: bounced: it stood inside of");
	tap_buf_free(&m);
	tap_buf_free(&one);
}

/* --- Exim ------------------------------------------------------------------------------------------------------------------ */

#define EXIM_TOP                                                                                   \
	"From: no-reply@mailgate.example\r\nDate: Mon, 07 Apr 2025 23:16:10 +0200\r\n"             \
	"Auto-Submitted: auto-replied\r\n"
#define EXIM_BODY                                                                                  \
	"A message claiming to be from you has failed the published DMARC\r\npolicy for your "     \
	"domain.\r\n\r\n  Sender Domain: Example.com\r\n  Sender IP Address: 203.0.113.68\r\n"     \
	"  Received date: Mon, 07 Apr 2025\r\n 23:16:09 +0200\r\n  SPF Alignment: no\r\n"          \
	"  DKIM alignment: yes\r\n  DMARC Results: Quarantine\r\n  Odd thing: 1\r\n\r\n"           \
	"------ This is a copy of the headers that were received before the error\r\n"             \
	"was detected.\r\n\r\n"                                                                    \
	"Received: from [203.0.113.68]\r\n\tby mx; Mon, 07 Apr 2025 23:16:08 +0200\r\n"            \
	"From: <user@example.com>\r\nMessage-Id: <1@example.com>\r\nSubject: Pay\r\n"

static void check_exim(const struct tap_buf *m)
{
	struct fr r;

	expect_one(&r, m);
	fr_has(&r, "kind=failure");
	fr_has(&r, "format=exim-text");
	fr_has(&r, "feedback_type=auth-failure");
	fr_has(&r, "auth_failure=dmarc");
	fr_has(&r, "reported_domain=example.com");
	fr_has(&r, "source_ip=203.0.113.68");
	fr_has(&r, "arrival=1744060569");
	fr_has(&r, "arrival_date=Mon, 07 Apr 2025 23:16:09 +0200");
	fr_has(&r, "alignment_known=1");
	fr_has(&r, "aligned=dkim");
	fr_has(&r, "failed=spf");
	fr_has(&r, "delivery_result=policy");
	fr_has(&r, "delivery_result_raw=Quarantine");
	fr_has(&r, "extra=Odd thing|1");
	fr_has(&r, "extra=SPF Alignment|no");
	fr_has(&r, "message_id=<1@example.com>");
	assert_non_null(strstr(r.dump.p, "headers_only=1 damaged=0 parsed=1"));
	assert_non_null(strstr(r.dump.p, "sample_text=Received: from [203.0.113.68]\r\n\tby mx"));
	assert_int_equal(r.payload_ends, 1);
	fr_free(&r);
}

/* Q157: alone, in a multipart/report without a type, quoted-printable, base64, in upper case. */
static void test_exim_t_arf_10(void **state)
{
	struct tap_buf m;

	(void)state;
	for (int i = 0; i < 4; i++) {
		tap_buf_init(&m, INPUT_MAX);
		tap_buf_adds(&m, EXIM_TOP);
		if (i == 0)
			tap_buf_adds(&m, "\r\n" EXIM_BODY);
		else if (i == 1)
			tap_buf_adds(&m, "Content-Type: multipart/report; boundary=e\r\n\r\n--e\r\n"
					 "Content-Type: text/plain\r\n\r\n" EXIM_BODY "--e--\r\n");
		else
			tap_buf_printf(
			    &m, "Content-Type: text/plain\r\nContent-Transfer-Encoding: %s\r\n\r\n",
			    i == 2 ? "quoted-printable" : "base64");
		if (i == 2)
			in_qp(&m, EXIM_BODY, strlen(EXIM_BODY));
		if (i == 3)
			in_base64(&m, EXIM_BODY, strlen(EXIM_BODY), 76, true);
		if (i == 2) {
			/* in_qp keeps the CR of each line end as it is */
			struct tap_buf lf;

			tap_buf_init(&lf, INPUT_MAX);
			for (size_t k = 0; k < m.len; k++)
				if (m.p[k] != '\r' || k + 1 >= m.len || m.p[k + 1] != '\r')
					tap_buf_addc(&lf, m.p[k]);
			tap_buf_free(&m);
			m = lf;
		}
		check_exim(&m);
		tap_buf_free(&m);
	}
}

static void test_exim_odd(void **state)
{
	struct tap_buf m;
	struct fr r;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	tap_buf_adds(&m, EXIM_TOP "\r\nA MESSAGE CLAIMING TO BE FROM YOU HAS FAILED\r\n\r\n"
				  "SENDER DOMAIN: example.com\r\nSPF ALIGNMENT: maybe\r\n");
	expect_one(&r, &m);
	fr_has(&r, "reported_domain=example.com");
	fr_has(&r, "alignment_known=0");
	fr_has(&r, "warn SPF Alignment: unknown_word: maybe");
	fr_has(&r, "warn sample: missing_sample: the report has none");
	fr_has(&r, "arrival=1744060570");
	fr_free(&r);
	tap_buf_reset(&m);
	tap_buf_adds(&m, EXIM_TOP "\r\nA message claiming to be from you has failed.\r\n");
	fr_read(&r, m.p, m.len);
	assert_int_equal(r.res.verdict, TAP_V_BROKEN);
	assert_non_null(strstr(r.res.why, "without any of its labels"));
	fr_free(&r);
	/* The words inside of a report with fields are what they are there: a text for people. */
	tap_buf_free(&m);
	fr_mail(&m, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	tap_buf_reset(&m);
	tap_buf_adds(&m, "Content-Type: multipart/report; boundary=e\r\n\r\n--e\r\n\r\n" EXIM_BODY
			 "--e\r\n" FR_HEAD "\r\n" FIELDS "--e--\r\n");
	expect_one(&r, &m);
	fr_has(&r, "format=arf");
	assert_non_null(strstr(r.dump.p, "human=A message claiming"));
	fr_free(&r);
	tap_buf_free(&m);
}

/* T-ARF-14: what the sample says of authentication decides nothing. */
static void test_sample_results_never_count_t_arf_14(void **state)
{
	static const char *const ids[] = {"mx.example.org"};
	static const struct tap_trust_rules rules = {.authserv_ids = ids, .n_authserv_ids = 1};
	static const struct tap_parse_options opt = {.trust = &rules};
	struct tap_buf m;
	struct fr r;

	(void)state;
	fr_mail(&m, FR_HEAD, FIELDS, NULL,
		"Authentication-Results: mx.example.org; dmarc=pass header.from=receiver.example; "
		"dkim=pass header.d=receiver.example\r\nFrom: x@receiver.example\r\n\r\nx\r\n");
	fr_read_with(&r, m.p, m.len, &opt);
	assert_int_equal(r.res.unauthenticated, TAP_KIND_FAILURE);
	fr_has(&r, "authres=");
	fr_free(&r);
	tap_buf_free(&m);
}

/* The payload is the whole mail, so that it can be read again. */
static void test_payload(void **state)
{
	struct tap_buf m;
	struct fr r;
	unsigned char out[8192];
	z_stream z;

	(void)state;
	fr_mail(&m, FR_HEAD, FIELDS, NULL, FR_SAMPLE);
	fr_read(&r, m.p, m.len);
	memset(&z, 0, sizeof z);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)r.payload.p;
	z.avail_in = (unsigned)r.payload.len;
	z.next_out = out;
	z.avail_out = sizeof out;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, m.len);
	assert_memory_equal(out, m.p, m.len);
	inflateEnd(&z);
	fr_free(&r);
	tap_buf_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_encodings_t_arf_5),
	    cmocka_unit_test(test_sample_types_t_arf_6),
	    cmocka_unit_test(test_sample_encodings),
	    cmocka_unit_test(test_missing_parts_t_arf_7),
	    cmocka_unit_test(test_sample_is_not_searched_t_arf_12),
	    cmocka_unit_test(test_structures),
	    cmocka_unit_test(test_several_and_nested),
	    cmocka_unit_test(test_beside_aggregate),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_bounced),
	    cmocka_unit_test(test_exim_t_arf_10),
	    cmocka_unit_test(test_exim_odd),
	    cmocka_unit_test(test_sample_results_never_count_t_arf_14),
	    cmocka_unit_test(test_payload),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
