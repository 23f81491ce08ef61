/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_limits.c - every limit of the containers: it is hit, named, and nothing larger was touched [I7]. */
#include "parser_inputs.h"
#include <sys/resource.h>
#include <time.h>

#ifdef TAP_SANITIZED
static const double PATIENCE = 30.0;
#else
static const double PATIENCE = 5.0;
#endif

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Also measured: a refusal is quick. The bound is loose because tests run beside others and under sanitizers. */
static void refuse(const struct tap_buf *b, enum tap_verdict verdict, const char *why)
{
	double t = seconds();

	expect(b, verdict, "", why);
	t = seconds() - t;
	print_message("  %-28s %6.1f ms\n", why, t * 1000);
	assert_true(t < PATIENCE);
}

/* T-SEC-2: 1 GB of zeros, and of blanks inside of a report, in gzip and in zip, as a file and in a mail. */
static void test_bombs_t_sec_2(void **state)
{
	static const char begin[] = "<feedback>\n";
	struct tap_buf g, m, raw;
	struct in_zip z;

	(void)state;
	for (int blanks = 0; blanks < 2; blanks++) {
		in_bomb(&g, blanks ? begin : "", blanks ? ' ' : 0, 1000, 15 + 16);
		refuse(&g, TAP_V_BROKEN, "limit ratio");
		in_mail_begin(&m, "x");
		in_part_base64(&m, "application/gzip", "r.gz", &g);
		in_mail_end(&m);
		refuse(&m, TAP_V_BROKEN, "limit ratio");
		tap_buf_free(&m);
		tap_buf_free(&g);
		in_bomb(&raw, blanks ? begin : "", blanks ? ' ' : 0, 1000, -15);
		in_zip_begin(&z);
		in_zip_packed(&z, "r.xml", 0, 8, 0, &raw, 1000000000);
		in_zip_end(&z);
		refuse(&z.file, TAP_V_BROKEN, "limit ratio");
		in_mail_begin(&m, "x");
		in_part_base64(&m, "application/zip", "r.zip", &z.file);
		in_mail_end(&m);
		refuse(&m, TAP_V_BROKEN, "limit ratio");
		tap_buf_free(&m);
		tap_buf_free(&z.file);
		tap_buf_free(&raw);
	}
}

/* A directory that lies about sizes: only what comes out is counted. */
static void test_zip_lies(void **state)
{
	struct tap_buf raw;
	struct in_zip z;

	(void)state;
	in_bomb(&raw, "<feedback>\n", ' ', 100, -15);
	in_zip_begin(&z);
	in_zip_packed(&z, "r.xml", 0, 8, 0, &raw, 10);
	in_zip_end(&z);
	refuse(&z.file, TAP_V_BROKEN, "r.xml: ");
	tap_buf_free(&z.file);
	tap_buf_free(&raw);
}

/* T-SEC-4: an honest report that compresses well, and a small one that compresses very well. */
static void test_honest_ratio(void **state)
{
	struct tap_buf x, g;

	(void)state;
	in_report(&x, "r1", 2000);
	while (x.len < 7 << 20)
		tap_buf_adds(&x,
			     "                                                                ");
	in_gzip(&g, x.p, x.len);
	assert_true(x.len / g.len > 150);
	expect(&g, TAP_V_REPORT, "r1@0.0 ", NULL);
	tap_buf_free(&x);
	tap_buf_free(&g);
}

/* T-IN-10: ten megabytes and more are read. */
static void test_large_report(void **state)
{
	struct tap_buf x, g, m;
	struct tap_parse_result res;
	struct seen s;

	(void)state;
	in_report(&x, "r1", 40000);
	assert_true(x.len > 10 << 20);
	in_gzip(&g, x.p, x.len);
	in_mail_begin(&m, "x");
	in_part_base64(&m, "application/gzip", "r.gz", &g);
	in_part(&m, "Content-Type: text/xml\r\nContent-Transfer-Encoding: base64\r\n");
	in_base64(&m, x.p, x.len, 76, true);
	tap_buf_adds(&m, "\r\n");
	in_mail_end(&m);
	run(&m, &s, &res);
	assert_int_equal(res.reports, 2);
	assert_int_equal(s.records, 80000);
	seen_free(&s);
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

static void test_report_and_total_bytes(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err = {0};
	struct tap_buf x, g, m;

	(void)state;
	in_report(&x, "r1", 2000);
	in_gzip(&g, x.p, x.len);
	lim.report_bytes = x.len - 1;
	tap_source_mem(&src, g.p, g.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_BROKEN);
	assert_non_null(strstr(res.why, "limit report_bytes"));
	tap_source_mem(&src, x.p, x.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_non_null(strstr(res.why, "limit report_bytes"));
	in_mail_begin(&m, "x");
	for (unsigned i = 0; i < 3; i++)
		in_part_base64(&m, "application/gzip", "r.gz", &g);
	in_mail_end(&m);
	lim.report_bytes = x.len;
	lim.total_bytes = 2 * x.len;
	tap_source_mem(&src, m.p, m.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_int_equal(res.verdict, TAP_V_REPORT);
	assert_int_equal(res.reports, 2);
	assert_int_equal(res.broken, 1);
	assert_non_null(strstr(res.why, "part 3 (r.gz): "));
	assert_non_null(strstr(res.why, "limit total_bytes"));
	tap_buf_free(&x);
	tap_buf_free(&g);
	tap_buf_free(&m);
}

/* One line of 2 GB, which no memory holds: refused after the limit and not a byte later than a buffer. */
struct endless {
	struct tap_source base;
	uint64_t furthest;
	const char *begin;
	char fill;
};
static enum tap_rc endless_read(const struct tap_source *src, uint64_t off, void *buf, size_t n,
				size_t *got_r, struct tap_err *err)
{
	struct endless *s = (struct endless *)(uintptr_t)src;
	size_t head = strlen(s->begin);

	(void)err;
	if (n > src->size - off)
		n = (size_t)(src->size - off);
	memset(buf, s->fill, n);
	if (off < head)
		memcpy(buf, s->begin + off, head - off < n ? head - off : n);
	if (off + n > s->furthest)
		s->furthest = off + n;
	*got_r = n;
	return TAP_OK;
}
static void run_endless(const char *begin, char fill, uint64_t size, uint64_t most,
			enum tap_verdict verdict, const char *why)
{
	struct endless s = {.base = {.read_at = endless_read, .size = size, .fd = -1},
			    .begin = begin,
			    .fill = fill};
	struct tap_parse_result res;
	struct tap_err err = {0};
	double t = seconds();

	assert_int_equal(tap_parse(&s.base, NULL, NULL, NULL, &res, &err), TAP_OK);
	t = seconds() - t;
	print_message("  %-28s %6.1f ms, %llu bytes read\n", why, t * 1000,
		      (unsigned long long)s.furthest);
	assert_int_equal(res.verdict, verdict);
	if (strstr(res.why, why) == NULL)
		fail_msg("no '%s' in '%s'", why, res.why);
	assert_true(s.furthest <= most);
	assert_true(t < PATIENCE);
}

static void test_header_line_t_sec_6(void **state)
{
	static const char part[] = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n"
				   "--b\nContent-Type: text/xml\nX-Long: ";
	static const char fwd[] = "Subject: x\nContent-Type: message/rfc822\n\nX-Long: ";
	const uint64_t limit = 1 << 20, slack = 200000;

	(void)state;
	run_endless("Subject: ", 'x', (uint64_t)2 << 30, limit + slack, TAP_V_TOO_LARGE,
		    "limit header_bytes");
	run_endless("Subject:\n", '\t', (uint64_t)2 << 30, limit + slack, TAP_V_TOO_LARGE,
		    "limit header_bytes");
	run_endless(part, 'x', 40 << 20, limit + slack, TAP_V_TOO_LARGE, "limit header_bytes");
	run_endless(fwd, 'x', 40 << 20, limit + slack, TAP_V_TOO_LARGE, "limit header_bytes");
	/* A line that never ends is no header field: it is text of a body. */
	run_endless("Subject: x\n\n", 'x', 40 << 20, 40 << 20, TAP_V_NOT_A_REPORT, "no part");
	run_endless("Subject: x\n\n", 'x', 60 << 20, slack, TAP_V_TOO_LARGE, "limit message_bytes");
	/* T-SEC-6 */
	run_endless("Subject: x\nContent-Transfer-Encoding: base64\n"
		    "Content-Type: application/gzip\n\nH4sI",
		    'A', 49 << 20, 49 << 20, TAP_V_BROKEN, "part 1: compressed data damaged");
	/* A file that is no mail has no header limit. */
	run_endless("\n<feedback>", ' ', (uint64_t)400 << 20, 300 << 20, TAP_V_BROKEN,
		    "limit report_bytes");
}

static void test_header_fields(void **state)
{
	struct tap_buf m;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	for (unsigned i = 0; i < 2000; i++)
		tap_buf_printf(&m, "X-%u: y\n", i);
	tap_buf_adds(&m, "\nbody\n");
	expect(&m, TAP_V_NOT_A_REPORT, "", "no part of the mail");
	tap_buf_reset(&m);
	for (unsigned i = 0; i < 2001; i++)
		tap_buf_printf(&m, "X-%u: y\n", i);
	refuse(&m, TAP_V_TOO_LARGE, "limit header_fields");
	tap_buf_free(&m);
}

/* T-SEC-5: depth and parts; the second would be ten million parts. */
static void test_structure_t_sec_5(void **state)
{
	struct tap_buf x, m;

	(void)state;
	tap_buf_init(&m, INPUT_MAX);
	for (unsigned i = 0; i < 10000; i++)
		tap_buf_printf(&m, "%sContent-Type: multipart/mixed; boundary=b%u\n\n--b%u\n",
			       i ? "" : "Subject: x\n", i, i);
	refuse(&m, TAP_V_TOO_LARGE, "limit mime_depth");
	tap_buf_reset(&m);
	tap_buf_adds(&m, "Subject: x\n");
	for (unsigned i = 0; i < 10000; i++)
		tap_buf_adds(&m, "Content-Type: message/rfc822\n\n");
	refuse(&m, TAP_V_TOO_LARGE, "limit mime_depth");
	tap_buf_reset(&m);
	tap_buf_adds(&m, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n");
	while (m.len < 49 << 20)
		tap_buf_adds(&m, "--b\n\n");
	refuse(&m, TAP_V_TOO_LARGE, "limit mime_parts");
	tap_buf_reset(&m);
	tap_buf_adds(&m, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n");
	while (m.len < 49 << 20)
		tap_buf_adds(&m, "--\n");
	refuse(&m, TAP_V_NOT_A_REPORT, "no part");
	/* The limit does not take away what was read before it. */
	in_report(&x, "r1", 1);
	tap_buf_reset(&m);
	tap_buf_adds(&m, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n");
	tap_buf_add(&m, x.p, x.len);
	for (unsigned i = 0; i < 1000; i++)
		tap_buf_adds(&m, "--b\n\n");
	expect(&m, TAP_V_REPORT, "r1@0.0 ", "limit mime_parts");
	tap_buf_free(&m);
	tap_buf_free(&x);
}

/* T-SEC-3, T-IN-4 */
static void test_zip_limits(void **state)
{
	struct tap_buf x;
	struct in_zip z;
	char name[1026];

	(void)state;
	in_report(&x, "r1", 1);
	for (unsigned n = 100; n <= 65535; n = n == 100	  ? 101
					       : n == 101 ? 10001
							  : 65535 + (n > 10001)) {
		in_zip_begin(&z);
		for (unsigned i = 0; i < n; i++)
			in_zip_add(&z, "r.txt", i ? "" : "x", i ? 0 : 1);
		in_zip_end(&z);
		if (n == 100)
			expect(&z.file, TAP_V_NOT_A_REPORT, "", "neither XML");
		else
			refuse(&z.file, TAP_V_BROKEN, "limit zip_members");
		tap_buf_free(&z.file);
	}
	/* The directory claims fewer than it has. */
	in_zip_begin(&z);
	for (unsigned i = 0; i < 300; i++)
		in_zip_add(&z, "r.xml", x.p, x.len);
	in_zip_end_claiming(&z, 5);
	refuse(&z.file, TAP_V_BROKEN, "zip archive");
	tap_buf_free(&z.file);

	memset(name, 'n', 1025);
	name[1025] = '\0';
	in_zip_begin(&z);
	in_zip_add(&z, name, x.p, x.len);
	in_zip_end(&z);
	refuse(&z.file, TAP_V_BROKEN, "limit zip_name");
	tap_buf_free(&z.file);
	tap_buf_free(&x);
}

/* Members that share the same compressed bytes: what comes out is counted, all together. */
static void test_zip_overlap(void **state)
{
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_buf x, packed;
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err = {0};
	struct in_zip z;
	uint32_t crc;

	(void)state;
	in_report(&x, "r1", 500);
	in_deflate(&packed, x.p, x.len, -15);
	crc = (uint32_t)crc32(0, (unsigned char *)x.p, (unsigned)x.len);
	in_zip_begin(&z);
	in_zip_packed(&z, "r.xml", 0, 8, crc, &packed, x.len);
	for (unsigned i = 0; i < 99; i++)
		in_zip_dir(&z, "r.xml", 0, 8, crc, packed.len, x.len, 0);
	in_zip_end(&z);
	lim.total_bytes = 10 * x.len;
	tap_source_mem(&src, z.file.p, z.file.len);
	assert_int_equal(tap_parse(&src, &opt, NULL, NULL, &res, &err), TAP_OK);
	assert_true(res.reports <= 10);
	assert_true(res.broken >= 1);
	tap_buf_free(&z.file);
	tap_buf_free(&packed);
	tap_buf_free(&x);
}

/* The peak of this whole program, which built every bomb in memory itself, says that nothing here was unpacked whole. */
static void test_memory(void **state)
{
	struct rusage ru;

	(void)state;
	getrusage(RUSAGE_SELF, &ru);
	print_message("  peak memory of all of this %ld MiB\n", ru.ru_maxrss / 1024);
#ifndef TAP_SANITIZED
	assert_true(ru.ru_maxrss < 400 * 1024);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bombs_t_sec_2),
	    cmocka_unit_test(test_zip_lies),
	    cmocka_unit_test(test_honest_ratio),
	    cmocka_unit_test(test_large_report),
	    cmocka_unit_test(test_report_and_total_bytes),
	    cmocka_unit_test(test_header_line_t_sec_6),
	    cmocka_unit_test(test_header_fields),
	    cmocka_unit_test(test_structure_t_sec_5),
	    cmocka_unit_test(test_zip_limits),
	    cmocka_unit_test(test_zip_overlap),
	    cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
