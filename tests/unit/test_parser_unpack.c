/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_unpack.c - gzip, zlib and zip: what is accepted, what is damaged, what is given on as payload. */
#include "parser_inputs.h"

/* T-IN-1, T-IN-2: decided by content; the name says something else. */
static void test_by_content(void **state)
{
	static const char *const names[] = {"r.zip", "r.xml", "r.gz", NULL};
	struct tap_parse_options opt = {0};
	struct tap_buf x, form[4];
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err = {0};
	struct in_zip z;

	(void)state;
	in_report(&x, "r1", 2);
	in_gzip(&form[0], x.p, x.len);
	in_deflate(&form[1], x.p, x.len, 15);
	in_zip_begin(&z);
	in_zip_add(&z, "r.xml", x.p, x.len);
	in_zip_end(&z);
	form[2] = z.file;
	form[3] = x;
	for (size_t f = 0; f < 4; f++)
		for (size_t n = 0; n < 4; n++) {
			opt.filename = names[n];
			tap_source_mem(&src, form[f].p, form[f].len);
			assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
			assert_int_equal(res.verdict, TAP_V_REPORT);
		}
	for (size_t f = 0; f < 4; f++)
		tap_buf_free(&form[f]);
}

/* T-IN-3, Q41-Q43, Q46: members, what follows them, what is cut off. */
static void test_gzip_members(void **state)
{
	static const char junk[] = "\r\n";
	struct tap_buf x, a, b, g;

	(void)state;
	in_report(&x, "r1", 4);
	in_gzip(&a, x.p, 300);
	in_gzip(&b, x.p + 300, x.len - 300);
	tap_buf_init(&g, INPUT_MAX);
	tap_buf_add(&g, a.p, a.len);
	tap_buf_add(&g, b.p, b.len);
	expect(&g, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_adds(&g, junk);
	expect(&g, TAP_V_REPORT, "r1@0.0 ", NULL);
	expect_warning(&g, 4, NULL);
	for (unsigned i = 0; i < 1024; i++)
		tap_buf_addc(&g, (char)(i * 7));
	expect(&g, TAP_V_REPORT, "r1@0.0 ", NULL);
	expect_warning(&g, 4, "document: trailing_garbage: ");
	g.len = a.len + b.len;
	tap_buf_add(&g, "\x1f\x8b not a member", 16);
	expect(&g, TAP_V_REPORT, "r1@0.0 ", NULL);
	expect_warning(&g, 4, "document: trailing_garbage: ");
	tap_buf_free(&x);
	tap_buf_free(&a);
	tap_buf_free(&b);
	tap_buf_free(&g);
}

static void test_gzip_damaged(void **state)
{
	struct tap_buf x, g;
	struct tap_parse_result res;
	struct seen s;
	size_t len;

	(void)state;
	in_report(&x, "r1", 200);
	in_gzip(&g, x.p, x.len);
	len = g.len;
	g.p[len - 6] ^= 0x55; /* the CRC */
	run(&g, &s, &res);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	assert_int_equal(s.records, 200);
	seen_free(&s);
	expect_warning(&g, 200, "document: container: compressed data damaged after ");
	g.p[len - 6] ^= 0x55;
	g.len = len - 8;
	expect_warning(&g, 200, "it is cut off");
	for (g.len = len - 8; g.len > 20; g.len -= g.len > 60 ? 37 : 1) {
		run(&g, &s, &res);
		if (res.verdict == TAP_V_REPORT)
			assert_true(s.records > 0 && s.records <= 200);
		else
			assert_true(res.verdict == TAP_V_BROKEN && res.why[0] != '\0');
		seen_free(&s);
	}
	for (g.len = 1; g.len < 20; g.len++) {
		run(&g, &s, &res);
		assert_int_not_equal(res.verdict, TAP_V_REPORT);
		assert_true(res.why[0] != '\0');
		seen_free(&s);
	}
	tap_buf_free(&x);
	tap_buf_free(&g);
}

/* T-IN-4, Q16, Q48, Q49: two reports, a directory, what operating systems add, empty, encrypted. */
static void test_zip_members(void **state)
{
	struct tap_buf x, y, none;
	struct in_zip z;

	(void)state;
	in_report(&x, "r1", 2);
	in_report(&y, "r2", 2);
	tap_buf_init(&none, 16);
	in_zip_begin(&z);
	in_zip_packed(&z, "dir/", 0, 0, 0, &none, 0);
	in_zip_add(&z, "__MACOSX/._r.xml", "junk", 4);
	in_zip_add(&z, "dir/.DS_Store", "junk", 4);
	in_zip_add(&z, "../../etc/cron.d/r.xml", x.p, x.len);
	in_zip_packed(&z, "stored.xml", 0, 0,
		      (uint32_t)crc32(0, (unsigned char *)y.p, (unsigned)y.len), &y, y.len);
	in_zip_end(&z);
	expect(&z.file, TAP_V_REPORT, "r1@0.0 r2@0.1 ", NULL);
	tap_buf_free(&z.file);

	in_zip_begin(&z);
	in_zip_end(&z);
	expect(&z.file, TAP_V_BROKEN, "", "zip archive without a member");
	tap_buf_free(&z.file);

	in_zip_begin(&z);
	in_zip_packed(&z, "secret.xml", 1, 8, 0, &x, x.len);
	in_zip_end(&z);
	expect(&z.file, TAP_V_BROKEN, "", "secret.xml: zip member is encrypted");
	tap_buf_free(&z.file);

	in_zip_begin(&z);
	in_zip_packed(&z, "odd.xml", 0, 97, 0, &x, x.len);
	in_zip_add(&z, "good.xml", y.p, y.len);
	in_zip_end(&z);
	expect(&z.file, TAP_V_REPORT, "r2@0.0 ", "odd.xml: ");
	tap_buf_free(&z.file);
	tap_buf_free(&x);
	tap_buf_free(&y);
}

/* An office document beside the report, or alone, is not a broken report (Q18). */
static void test_zip_document(void **state)
{
	struct in_zip z;

	(void)state;
	in_zip_begin(&z);
	in_zip_add(&z, "[Content_Types].xml", "<Types/>", 8);
	in_zip_add(&z, "word/document.xml", "<w/>", 4);
	in_zip_end(&z);
	expect(&z.file, TAP_V_NOT_A_REPORT, "", "document");
	tap_buf_free(&z.file);
}

/* A bad CRC of a member counts what came out; a cut archive has no directory. */
static void test_zip_damaged(void **state)
{
	struct tap_buf x, packed;
	struct tap_parse_result res;
	struct in_zip z;
	struct seen s;
	size_t len;

	(void)state;
	in_report(&x, "r1", 200);
	in_deflate(&packed, x.p, x.len, -15);
	in_zip_begin(&z);
	in_zip_packed(&z, "r.xml", 0, 8, 0x12345678, &packed, x.len);
	in_zip_end(&z);
	run(&z.file, &s, &res);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	assert_int_equal(s.records, 200);
	seen_free(&s);
	expect_warning(&z.file, 200, "document: container: zip member damaged after ");
	len = z.file.len;
	for (z.file.len = 5; z.file.len < len; z.file.len += 11) {
		run(&z.file, &s, &res);
		if (res.verdict == TAP_V_REPORT)
			assert_true(s.records > 0 && s.records <= 200 &&
				    strstr(s.warnings, "document: zip_directory: "));
		else
			assert_true(res.verdict == TAP_V_BROKEN && res.why[0] != '\0');
		seen_free(&s);
	}
	tap_buf_free(&z.file);
	tap_buf_free(&packed);
	tap_buf_free(&x);
}

/* Q50: a zip archive that was cut off has no directory; its members are found by their own headers. */
static void test_zip_without_directory(void **state)
{
	enum { STORED, ENCRYPTED = 1, DEFLATED = 8 };
	struct tap_buf x, y;
	struct in_zip z;
	size_t first, all;

	(void)state;
	in_report(&x, "r1", 3);
	in_report(&y, "r2", 40);
	in_zip_begin(&z);
	in_zip_add(&z, "dir/", "", 0);
	in_zip_add(&z, "__MACOSX/._r1.xml", "junk", 4);
	in_zip_add(&z, "../r1.xml", x.p, x.len);
	first = z.file.len;
	in_zip_packed(&z, "r2.xml", 0, STORED, 0, &y, y.len);
	all = z.file.len;
	expect(&z.file, TAP_V_REPORT, "r1@0.0 r2@0.1 ", NULL);
	expect_warning(&z.file, 43, "document: zip_directory: ");
	z.file.len = all - 200;
	expect_warning(&z.file, 42, "document: truncated: ");
	z.file.len = first + 20;
	expect(&z.file, TAP_V_REPORT, "r1@0.0 ", NULL);
	z.file.len = first - 8;
	expect_warning(&z.file, 2, "container: compressed data damaged");
	z.file.len = 20;
	expect(&z.file, TAP_V_BROKEN, "", "zip archive that cannot be opened");
	tap_buf_free(&z.file);
	tap_buf_free(&z.dir);

	/* Sizes that follow the data, or that are wrong, are not needed. */
	in_zip_begin(&z);
	tap_buf_free(&y);
	in_deflate(&y, x.p, x.len, -15);
	tap_buf_add(&z.file, "PK\3\4", 4);
	in_zip_entry(&z.file, ENCRYPTED * 8, DEFLATED, 0, 0, 0, 5);
	tap_buf_adds(&z.file, "a.xml");
	tap_buf_add(&z.file, y.p, y.len);
	tap_buf_add(&z.file, "PK\7\10 and so on", 14);
	in_zip_packed(&z, "b.xml", ENCRYPTED, DEFLATED, 0, &y, x.len);
	in_zip_packed(&z, "c.xml", 0, 12, 0, &y, x.len);
	expect(&z.file, TAP_V_REPORT, "r1@0.0 ", "b.xml: zip member is encrypted");
	tap_buf_free(&z.file);
	tap_buf_free(&z.dir);

	in_zip_begin(&z);
	for (int i = 0; i < 200; i++)
		in_zip_packed(&z, "a.xml", 0, DEFLATED, 0, &y, x.len);
	z.file.len -= 3;
	tap_buf_free(&z.dir);
	struct seen s;
	struct tap_parse_result res;
	run(&z.file, &s, &res);
	assert_int_equal(res.reports, 100);
	assert_non_null(strstr(res.why, "limit zip_members"));
	seen_free(&s);
	tap_buf_free(&z.file);
	tap_buf_free(&x);
	tap_buf_free(&y);
}

/* A report that is refused counts, even where another one in the same document is read. */
static void test_one_of_two_refused(void **state)
{
	struct tap_buf x, y;

	(void)state;
	in_report(&x, "r1", 2);
	in_report(&y, "r2", 2);
	memcpy(strstr(tap_buf_cstr(&y), "<begin>1"), "<begin>x", 8);
	tap_buf_add(&x, y.p, y.len);
	tap_buf_free(&y);
	in_gzip(&y, x.p, x.len);
	expect(&y, TAP_V_REPORT, "r1@0.0 ", "date_range/begin: bad_date");
	tap_buf_free(&x);
	tap_buf_free(&y);
}

/* Two reports of one document that have no id are two. */
static void test_two_without_id(void **state)
{
	struct tap_buf x, y;
	struct tap_parse_result res;
	struct seen s;
	char *ip;

	(void)state;
	in_report(&x, "r1", 1);
	memcpy(strstr(tap_buf_cstr(&x), "<report_id>r1</report_id>"), "                         ",
	       25);
	tap_buf_init(&y, INPUT_MAX);
	tap_buf_add(&y, x.p, x.len);
	tap_buf_add(&y, x.p, x.len);
	run(&y, &s, &res);
	assert_int_equal(res.reports, 2);
	assert_memory_equal(s.ids, "missing:", 8);
	/* The same report twice is one report. */
	assert_memory_equal(s.uids, s.uids + 41, 40);
	seen_free(&s);
	ip = strstr(tap_buf_cstr(&y) + x.len, "192.0.2.1");
	assert_non_null(ip);
	ip[8] = '2';
	run(&y, &s, &res);
	assert_int_equal(res.reports, 2);
	assert_memory_not_equal(s.uids, s.uids + 41, 40);
	seen_free(&s);
	tap_buf_free(&x);
	tap_buf_free(&y);
}

/* Q45: archives in archives, three deep and not four. */
static void test_nesting(void **state)
{
	struct tap_buf x, g1, g2, g3, g4;
	struct in_zip z;

	(void)state;
	in_report(&x, "r1", 2);
	in_gzip(&g1, x.p, x.len);
	in_gzip(&g2, g1.p, g1.len);
	in_gzip(&g3, g2.p, g2.len);
	expect(&g2, TAP_V_REPORT, "r1@0.0 ", NULL);
	expect(&g3, TAP_V_REPORT, "r1@0.0 ", NULL);
	in_gzip(&g4, g3.p, g3.len);
	expect(&g4, TAP_V_BROKEN, "", "archive_depth");
	tap_buf_free(&g4);
	in_zip_begin(&z);
	in_zip_add(&z, "r.gz", g1.p, g1.len);
	in_zip_add(&z, "deep.gz", g3.p, g3.len);
	in_zip_end(&z);
	expect(&z.file, TAP_V_REPORT, "r1@0.0 ", "deep.gz: archives nested");
	tap_buf_free(&g3);
	in_gzip(&g3, z.file.p, z.file.len);
	in_gzip(&g4, g3.p, g3.len);
	expect(&g3, TAP_V_REPORT, "r1@0.0 ", "deep.gz: archives nested");
	expect(&g4, TAP_V_BROKEN, "", "archive_depth");
	tap_buf_free(&g4);
	tap_buf_free(&z.file);
	in_zip_begin(&z);
	in_zip_add(&z, "r.xml", x.p, x.len);
	in_zip_end(&z);
	tap_buf_free(&g3);
	in_gzip(&g3, z.file.p, z.file.len);
	expect(&g3, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_free(&z.file);
	tap_buf_free(&g1);
	tap_buf_free(&g2);
	tap_buf_free(&g3);
	tap_buf_free(&x);
}

static void inflate_all(const struct tap_buf *in, struct tap_buf *out)
{
	z_stream z;

	memset(&z, 0, sizeof z);
	tap_buf_init(out, INPUT_MAX);
	assert_true(tap_buf_reserve(out, 4 << 20));
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)in->p;
	z.avail_in = (unsigned)in->len;
	z.next_out = (unsigned char *)out->p;
	z.avail_out = 4 << 20;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = z.total_out;
	inflateEnd(&z);
}

/* The payload is the container: as it is when it is packed, packed when it is plain. */
static void test_payload(void **state)
{
	struct tap_buf x, g, m, back;
	struct tap_parse_result res;
	struct in_zip z;
	struct seen s;

	(void)state;
	in_report(&x, "r1", 3000);
	in_gzip(&g, x.p, x.len);
	run(&g, &s, &res);
	assert_int_equal(s.payload.len, g.len);
	assert_memory_equal(s.payload.p, g.p, g.len);
	assert_int_equal(s.payload_ends, 1);
	seen_free(&s);

	in_zip_begin(&z);
	in_zip_add(&z, "a.xml", x.p, x.len);
	in_zip_add(&z, "b.xml", x.p, x.len);
	in_zip_end(&z);
	in_mail_begin(&m, "x");
	in_part_base64(&m, "application/zip", "r.zip", &z.file);
	in_part(&m, "");
	tap_buf_adds(&m, "no report here\r\n");
	in_mail_end(&m);
	run(&m, &s, &res);
	assert_int_equal(res.reports, 2);
	assert_int_equal(s.payload.len, z.file.len);
	assert_memory_equal(s.payload.p, z.file.p, z.file.len);
	assert_int_equal(s.payload_ends, 1);
	seen_free(&s);

	run(&x, &s, &res);
	assert_int_equal(s.payload_ends, 1);
	inflate_all(&s.payload, &back);
	assert_int_equal(back.len, x.len);
	assert_memory_equal(back.p, x.p, x.len);
	seen_free(&s);
	tap_buf_free(&back);
	tap_buf_free(&m);
	tap_buf_free(&z.file);
	tap_buf_free(&g);
	tap_buf_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_content),
	    cmocka_unit_test(test_gzip_members),
	    cmocka_unit_test(test_gzip_damaged),
	    cmocka_unit_test(test_zip_members),
	    cmocka_unit_test(test_zip_document),
	    cmocka_unit_test(test_zip_damaged),
	    cmocka_unit_test(test_zip_without_directory),
	    cmocka_unit_test(test_one_of_two_refused),
	    cmocka_unit_test(test_two_without_id),
	    cmocka_unit_test(test_nesting),
	    cmocka_unit_test(test_payload),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
