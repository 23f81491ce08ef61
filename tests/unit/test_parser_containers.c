/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_containers.c - the samples of tests/corpus/container, by the events that come of them: which reports, from
 * which part, under which name, with which warning or reason. tests/lib/make_containers.py writes the samples. */
#include "parser_inputs.h"

static void load(const char *name, struct tap_buf *b)
{
	const char *source = getenv("TAP_SOURCE");
	char path[4096];
	FILE *f;
	int c;

	snprintf(path, sizeof path, "%s/tests/corpus/container/%s", source ? source : ".", name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("%s is not there", path);
	tap_buf_init(b, INPUT_MAX);
	while ((c = getc(f)) != EOF)
		tap_buf_addc(b, (char)c);
	fclose(f);
}

struct sample {
	const char *file;
	enum tap_verdict verdict;
	const char *ids;     /* "id@part.document " of each */
	const char *why;     /* a part of it; NULL = none */
	const char *warning; /* a part of one; NULL = there is none */
};

static void check(const struct sample *c)
{
	struct tap_buf b;
	struct tap_parse_result res;
	struct seen s;

	load(c->file, &b);
	run(&b, &s, &res);
	if (res.verdict != c->verdict || strcmp(s.ids, c->ids) != 0 ||
	    (c->why ? strstr(res.why, c->why) == NULL : res.why[0] != '\0') ||
	    (c->warning ? strstr(s.warnings, c->warning) == NULL : s.warnings[0] != '\0'))
		fail_msg("%s: expected %s, '%s', why '%s', warning '%s'; got %s, '%s', why '%s', "
			 "warnings '%s'",
			 c->file, tap_verdict_name[c->verdict], c->ids, c->why ? c->why : "",
			 c->warning ? c->warning : "", tap_verdict_name[res.verdict], s.ids,
			 res.why, s.warnings);
	seen_free(&s);
	tap_buf_free(&b);
}

static void check_all(const struct sample *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&c[i]);
}

#define REPORT	  TAP_V_REPORT
#define BROKEN	  TAP_V_BROKEN
#define NO_REPORT TAP_V_NOT_A_REPORT

/* Q41-Q46, Q54, Q57, T-IN-2, T-IN-3, T-SEC-4 */
static void test_gzip_t_in_3(void **state)
{
	static const struct sample samples[] = {
	    {"members.xml.gz", REPORT, "gzip-members@0.0 ", NULL, NULL},
	    {"header-fields.xml.gz", REPORT, "gzip-header-fields@0.0 ", NULL, NULL},
	    {"cut-trailer.xml.gz", REPORT, "cut-trailer@0.0 ", NULL, "it is cut off"},
	    {"cut-data.xml.gz", REPORT, "cut-data@0.0 ", NULL, "truncated: "},
	    {"gzip-in-gzip.gz", REPORT, "gzip-in-gzip@0.0 ", NULL, NULL},
	    {"zlib.xml.gz", REPORT, "zlib@0.0 ", NULL, NULL},
	    {"raw-deflate.xml.gz", REPORT, "raw-deflate@0.0 ", NULL, NULL},
	    {"xml-named.xml.gz", REPORT, "xml-named-gz@0.0 ", NULL, NULL},
	    {"gzip-named.zip", REPORT, "gzip-named-zip@0.0 ", NULL, NULL},
	    {"four-deep.gz", BROKEN, "", "limit archive_depth", NULL},
	    {"bomb.xml.gz", BROKEN, "", "limit ratio", NULL},
	    {"bzip2.xml.bz2", NO_REPORT, "", "bzip2 is not read", NULL},
	    {"xz.xml.xz", NO_REPORT, "", "xz is not read", NULL},
	    {"zstd.xml.zst", NO_REPORT, "", "zstd is not read", NULL},
	};

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
}

/* Q16, Q34, Q48-Q53, T-IN-4, T-SEC-3 */
static void test_zip_t_in_4(void **state)
{
	static const struct sample samples[] = {
	    {"members.zip", REPORT, "zip-one@0.0 zip-two@0.1 ", NULL, NULL},
	    {"directory-first.zip", REPORT, "directory-first@0.0 ", NULL, NULL},
	    {"macosx-first.zip", REPORT, "macosx-first@0.0 ", NULL, NULL},
	    {"gzip-in-zip.zip", REPORT, "gzip-in-zip@0.0 ", NULL, NULL},
	    {"zip-in-gzip.gz", REPORT, "zip-in-gzip@0.0 ", NULL, NULL},
	    {"zip-named.xml.gz", REPORT, "zip-named-gz@0.0 ", NULL, NULL},
	    {"bzip2-member.zip", REPORT, "bzip2-member@0.0 ", NULL, NULL},
	    {"lzma-member.zip", BROKEN, "", "r.xml: zip member packed in a way that is not read",
	     NULL},
	    {"descriptor.zip", REPORT, "descriptor@0.0 ", NULL, NULL},
	    {"descriptor-cut.zip", REPORT, "descriptor-cut@0.0 ", NULL, "zip_directory: missing"},
	    {"zip64.zip", REPORT, "zip64@0.0 ", NULL, NULL},
	    {"utf8-name.zip", REPORT, "utf8-name@0.0 ", NULL, NULL},
	    {"path.zip", REPORT, "path@0.0 ", NULL, NULL},
	    {"mixed.zip", REPORT, "xml-in-a-mixed-zip@0.0 tls-in-an-archive@0.1 ", NULL, NULL},
	    {"self-extractor.exe", REPORT, "self-extractor@0.0 ", NULL, NULL},
	    {"text-before.zip", REPORT, "text-before-zip@0.0 ", NULL, NULL},
	    {"empty.zip", BROKEN, "", "zip archive without a member", NULL},
	    {"encrypted.zip", BROKEN, "", "r.xml: zip member is encrypted", NULL},
	};

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
}

static void test_tar(void **state)
{
	static const struct sample samples[] = {
	    {"several.tar.gz", REPORT, "tar-one@0.0 tar-two@0.1 tls-in-an-archive@0.2 ", NULL,
	     NULL},
	    {"plain.tar", REPORT, "plain-tar@0.0 ", NULL, NULL},
	    {"pax.tar", REPORT, "pax-tar@0.0 ", NULL, NULL},
	    {"gnu-long-name.tar", REPORT, "gnu-tar@0.0 ", NULL, NULL},
	    {"cut.tar.gz", REPORT, "cut-tar@0.0 ", NULL, "tar archive is cut off"},
	};
	struct tap_parse_result res;
	struct tap_buf b;
	struct seen s;

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
	load("pax.tar", &b);
	run(&b, &s, &res);
	assert_non_null(strstr(s.names, "a/very-long-very-long-"));
	assert_non_null(
	    strstr(s.names, "-/reporter.example!example.com!1780358400!1780444799.xml"));
	seen_free(&s);
	/* The sum of the first header is that of no header any more: text then, with a report in it. */
	b.p[0] ^= 1;
	expect_warning(&b, 2, "text_outside");
	tap_buf_free(&b);
}

/* A tar archive of many members, and one that makes its reader go back time and again. */
static void test_tar_limits(void **state)
{
	struct tap_buf one, b;

	(void)state;
	load("plain.tar", &one);
	tap_buf_init(&b, INPUT_MAX);
	for (unsigned i = 0; i < 101; i++)
		tap_buf_add(&b, one.p, 512 + 1536);
	{
		struct tap_parse_result res;
		struct seen s;

		run(&b, &s, &res);
		assert_int_equal(res.reports, 100);
		assert_int_equal(res.broken, 1);
		assert_non_null(strstr(res.why, "limit zip_members"));
		seen_free(&s);
	}
	tap_buf_free(&one);
	tap_buf_free(&b);
}

static void add_to_tar(struct tap_buf *tar, const struct tap_buf *data)
{
	static const char zeros[512];
	unsigned char h[512] = "r.xml.gz";
	unsigned sum = 0;

	snprintf((char *)h + 124, 12, "%011zo", data->len);
	h[156] = '0';
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof h; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	tap_buf_add(tar, h, sizeof h);
	tap_buf_add(tar, data->p, data->len);
	tap_buf_add(tar, zeros, (512 - data->len % 512) % 512);
}

/* To look at the beginning of a member and to go back there costs nothing, wherever it stands in the archive. */
static void test_tar_members_looked_at(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_buf one, b;
	struct tap_err err;

	(void)state;
	load("gzip-named.zip", &one);
	tap_buf_init(&b, INPUT_MAX);
	for (unsigned i = 0; i < 90; i++)
		add_to_tar(&b, &one);
	lim.total_bytes = 3 * b.len;
	tap_source_mem(&src, b.p, b.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.reports, 90);
	assert_int_equal(res.broken, 0);
	tap_buf_free(&one);
	tap_buf_free(&b);
}

/* Q22, Q24: what is signed as a whole is read, what is encrypted is not. */
static void test_smime(void **state)
{
	static const struct sample samples[] = {
	    {"smime-signed.eml", REPORT, "smime-signed@2.0 ", NULL, NULL},
	    {"smime-signed-twice.eml", REPORT, "smime-signed-twice@3.0 ", NULL, NULL},
	    {"smime-indefinite.p7m", REPORT, "smime-indefinite@2.0 ", NULL, NULL},
	    {"smime-deep.eml", REPORT, "smime-deep@10.0 ", NULL, NULL},
	    {"smime-enveloped.eml", NO_REPORT, "", "S/MIME that is encrypted", NULL},
	    {"smime-signature.p7s", NO_REPORT, "", "an S/MIME signature", NULL},
	    {"smime-cut.p7m", BROKEN, "", "S/MIME damaged at byte ", NULL},
	    {"tnef.eml", NO_REPORT, "", "TNEF", NULL},
	};
	struct tap_parse_result res;
	struct tap_buf b;
	struct seen s;
	size_t len;

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
	load("smime-indefinite.p7m", &b);
	len = b.len;
	for (b.len = 20; b.len < len - 10; b.len++) {
		run(&b, &s, &res);
		assert_int_not_equal(res.verdict, TAP_V_TOO_LARGE);
		assert_true(res.verdict == TAP_V_REPORT || res.why[0] != '\0');
		seen_free(&s);
	}
	tap_buf_free(&b);
}

/* Signed, and nothing is in it. */
static void test_smime_empty(void **state)
{
	static const char empty[] =
	    "\x30\x27\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x1a\x30\x18\x02\x01\x01\x31"
	    "\x00"
	    "\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x02\x04\x00\x31\x00";
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err;

	(void)state;
	tap_source_mem(&src, empty, sizeof empty - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_NOT_A_REPORT);
	assert_string_not_equal(res.why, "");
}

/* What is in memory of containers inside of one another is bounded together, not each alone. */
static void test_smime_memory(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_buf b;
	struct tap_err err;

	(void)state;
	load("smime-deep.eml", &b);
	lim.message_bytes = b.len;
	tap_source_mem(&src, b.p, b.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_BROKEN);
	assert_non_null(strstr(res.why, "together are too large"));
	lim.message_bytes = 4 * b.len;
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	tap_buf_free(&b);
}

/* T-IN-1 row 8: a mail under the type of a file, and in an archive. What unpacks the archive goes on behind the mail, whose own
 * archives are unpacked meanwhile. */
static void test_mail_as_file_t_in_1(void **state)
{
	static const struct sample samples[] = {
	    {"mail-as-file.eml", REPORT, "saved-mail@1.0 ", NULL, NULL},
	    {"mails.tar.gz", REPORT, "tar-smime@2.0 saved-mail@3.0 behind-mails@0.0 ", NULL, NULL},
	};

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
}

/* A header that a text for people begins with is quoted: what it announces is no broken report. */
static void test_quoted_header(void **state)
{
	static const char mail[] = "From: a@example.com\nSubject: Hello\n\n"
				   "From: r@reporter.example\nTo: a@example.com\n"
				   "Subject: Report Domain: example.com\n\nWhat is this?\n";
	static const char named[] = "From: a@example.com\nMIME-Version: 1.0\n"
				    "Content-Type: text/plain; name=quoted.txt\n\n"
				    "From: r@reporter.example\nTo: a@example.com\n"
				    "Subject: Report Domain: example.com\n\nWhat is this?\n";
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err;

	(void)state;
	tap_source_mem(&src, mail, sizeof mail - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_NOT_A_REPORT);
	tap_source_mem(&src, named, sizeof named - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_NOT_A_REPORT);
}

#define REPORT_TEXT(id)                                                                            \
	"{\"organization-name\":\"x\",\"report-id\":\"" id                                         \
	"\",\"date-range\":{\"start-datetime\":\"2026-06-02T00:00:00Z\","                          \
	"\"end-datetime\":\"2026-06-02T23:59:59Z\"},\"policies\":[]"

/* A list of reports is no mail, though a colon stands behind its first word. One that is cut off in a string takes no other with it. */
static void test_json_lists(void **state)
{
	static const char list[] = "[" REPORT_TEXT("1") "},\n" REPORT_TEXT("2") "}]";
	static const char lines[] =
	    REPORT_TEXT("1") "}\n" REPORT_TEXT("2") ",\"contact-in\n" REPORT_TEXT("3") "}\n";
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err;

	(void)state;
	tap_source_mem(&src, list, sizeof list - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.reports, 2);
	assert_int_equal(res.broken, 0);
	tap_source_mem(&src, lines, sizeof lines - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.reports, 2);
	assert_int_equal(res.broken, 1);
}

/* A mail that is forwarded behind a failure report and its sample is a mail, not a second sample. */
static void test_mail_behind_sample(void **state)
{
	static const char mail[] =
	    "From: a@example.com\nMIME-Version: 1.0\n"
	    "Content-Type: multipart/mixed; boundary=b\n\n"
	    "--b\nContent-Type: message/feedback-report\n\n"
	    "Feedback-Type: auth-failure\nVersion: 1\nUser-Agent: x\nAuth-Failure: dmarc\n"
	    "Source-IP: 192.0.2.1\n\n"
	    "--b\nContent-Type: message/rfc822\n\nFrom: c@example.com\nSubject: sample\n\nx\n"
	    "--b\nContent-Type: message/rfc822\n\nFrom: tls@reporter.example\nSubject: TLS\n\n"
	    "{\"organization-name\":\"x\",\"report-id\":\"forwarded\","
	    "\"date-range\":{\"start-datetime\":\"2026-06-02T00:00:00Z\","
	    "\"end-datetime\":\"2026-06-02T23:59:59Z\"},\"policies\":[]}\n--b--\n";
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err;

	(void)state;
	tap_source_mem(&src, mail, sizeof mail - 1);
	assert_int_equal(tap_parse(&src, NULL, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.reports, 2);
	assert_int_equal(res.broken, 0);
	assert_int_equal(res.kinds, TAP_KIND_FAILURE | TAP_KIND_SMTP_TLS);
}

/* An SMTP TLS report in the text of a mail, behind some words. */
static void test_json_behind_words(void **state)
{
	static const char mail[] =
	    "From: tls@reporter.example\nSubject: TLS\n\nHello,\nthis is it:\n\n"
	    "{\"organization-name\":\"x\",\"report-id\":\"words\",\"contact-info\":\"a@b.example\","
	    "\"date-range\":{\"start-datetime\":\"2026-06-02T00:00:00Z\","
	    "\"end-datetime\":\"2026-06-02T23:59:59Z\"},\"policies\":[]}\n\nRegards\n";
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, sizeof mail);
	tap_buf_add(&b, mail, sizeof mail - 1);
	expect_warning(&b, 0, "text_outside");
	tap_buf_free(&b);
}

/* Q31, T-IN-1 row 5 */
static void test_outlook(void **state)
{
	static const struct sample samples[] = {
	    {"report.msg", REPORT, "outlook@1.0 ", NULL, NULL},
	    {"several.msg", REPORT, "outlook-zip@3.0 outlook-plain-xml@4.0 ", NULL, NULL},
	    {"forwarded.msg", REPORT, "outlook-forwarded@2.0 ", NULL, NULL},
	    {"exchange.msg", REPORT, "outlook-exchange@1.0 ", NULL, NULL},
	    {"no-header.msg", REPORT, "tls-in-an-archive@0.0 ", NULL, NULL},
	    {"text-only.msg", NO_REPORT, "", "no part of the mail is a report", NULL},
	    {"office.doc", NO_REPORT, "", "no Outlook message", NULL},
	    {"cut.msg", NO_REPORT, "", "OLE2 file", NULL},
	};
	struct tap_parse_result res;
	struct tap_buf b;
	struct seen s;

	(void)state;
	check_all(samples, sizeof samples / sizeof *samples);
	load("report.msg", &b);
	run(&b, &s, &res);
	assert_string_equal(s.names, "reporter.example!example.com!1780358400!1780444799.xml.gz ");
	assert_int_equal(s.payload_ends, 1);
	seen_free(&s);
	tap_buf_free(&b);
}

/* As part of a mail, in base64: the parts inside count on. */
static void test_outlook_in_mail(void **state)
{
	struct tap_buf b, m;

	(void)state;
	load("forwarded.msg", &b);
	in_mail_begin(&m, "Fw: report");
	in_part_base64(&m, "application/vnd.ms-outlook", "report.msg", &b);
	in_part_base64(&m, "application/vnd.ms-outlook", "report.msg", &b);
	in_mail_end(&m);
	expect(&m, TAP_V_REPORT, "outlook-forwarded@3.0 outlook-forwarded@7.0 ", NULL);
	tap_buf_free(&b);
	tap_buf_free(&m);
}

/* Each byte of the container's own structures changed, and each length: a report, a reason, never a crash. */
static void test_outlook_damaged(void **state)
{
	static const unsigned char values[] = {0, 1, 0x7f, 0xff};
	struct tap_parse_result res;
	struct tap_buf b;
	struct seen s;
	size_t len;

	(void)state;
	load("report.msg", &b);
	len = b.len;
	for (size_t i = 8; i < len; i++)
		for (size_t v = 0; v < sizeof values; v++) {
			char old = b.p[i];

			if (i > 512 && i < len - 2048 && i % 16 != 0)
				continue;
			b.p[i] = (char)values[v];
			run(&b, &s, &res);
			assert_true(res.verdict == TAP_V_REPORT || res.verdict == TAP_V_BROKEN ||
				    res.verdict == TAP_V_NOT_A_REPORT);
			seen_free(&s);
			b.p[i] = old;
		}
	for (b.len = 8; b.len < len; b.len += 61) {
		run(&b, &s, &res);
		assert_int_not_equal(res.verdict, TAP_V_TOO_LARGE);
		seen_free(&s);
	}
	tap_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gzip_t_in_3),
	    cmocka_unit_test(test_zip_t_in_4),
	    cmocka_unit_test(test_tar),
	    cmocka_unit_test(test_tar_limits),
	    cmocka_unit_test(test_tar_members_looked_at),
	    cmocka_unit_test(test_json_behind_words),
	    cmocka_unit_test(test_mail_behind_sample),
	    cmocka_unit_test(test_json_lists),
	    cmocka_unit_test(test_smime),
	    cmocka_unit_test(test_smime_empty),
	    cmocka_unit_test(test_smime_memory),
	    cmocka_unit_test(test_mail_as_file_t_in_1),
	    cmocka_unit_test(test_quoted_header),
	    cmocka_unit_test(test_outlook),
	    cmocka_unit_test(test_outlook_in_mail),
	    cmocka_unit_test(test_outlook_damaged),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
