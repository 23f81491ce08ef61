/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_csv.c - CSV of aggregate reports: columns, quoting, what a spreadsheet must not run. */
#include "outputs_helper.h"

#include "outputs/encode.h"
#include <time.h>

static const struct tap_csv_style today = {0}, v4 = {.compat4 = true};

static size_t columns(const char *line)
{
	size_t n = 1;
	bool quoted = false;

	for (; *line != '\0'; line++) {
		if (*line == '"')
			quoted = !quoted;
		n += !quoted && *line == ',';
	}
	assert_false(quoted);
	return n;
}

static void test_header(void **state)
{
	static const char documented[] =
	    "xml_schema,org_name,org_email,org_extra_contact_info,report_id,begin_date,end_date,"
	    "errors,domain,adkim,aspf,p,sp,"
	    "pct,fo,source_ip_address,source_country,source_reverse_dns,source_base_domain,count,"
	    "disposition,dkim_alignment,"
	    "spf_alignment,policy_override_reasons,policy_override_comments,envelope_from,header_"
	    "from,envelope_to,dkim_domains,"
	    "dkim_selectors,dkim_results,spf_domains,spf_scopes,spf_results\r\n";
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	tap_csv_header(&b, &v4);
	expect_text(&b, documented);
	tap_csv_header(&b, &today);
	assert_memory_equal(b.p, documented, sizeof documented - 3);
	assert_string_equal(tap_buf_cstr(&b) + b.len -
				strlen(",report_uid,revision,trust_auth,trusted\r\n"),
			    ",report_uid,revision,trust_auth,trusted\r\n");
	tap_buf_free(&b);
}

static void test_compat_row(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	tap_csv_row(&b, &v4, &sample_meta, &sample_record, 1);
	expect_text(&b, "draft,receiver.example,dmarc@receiver.example,,r-1,2012-04-27 "
			"20:00:00,2012-04-28 19:59:59,,example.com,r,r,"
			"none,none,100,0,192.0.2.1,,,,2,none,fail,pass,,,bounce.example.com,"
			"example.com,,example.com,none,fail,"
			"bounce.example.com,mfrom,pass\r\n");
	tap_csv_row(&b, &v4, &sample_meta, NULL, 1);
	expect_text(&b, "");
	tap_buf_free(&b);
}

static void test_row(void **state)
{
	struct tap_record r = sample_record;
	struct tap_buf b;

	(void)state;
	r.index = 4;
	r.source.asn = 64496;
	tap_buf_init(&b, 1 << 16);
	tap_csv_row(&b, &today, &sample_meta, &r, 2);
	expect_text(
	    &b, "draft,receiver.example,dmarc@receiver.example,,r-1,2012-04-28 00:00:00,2012-04-28 "
		"23:59:59,,example.com,r,r,"
		"none,none,,,192.0.2.1,,,,2,none,fail,pass,,,,example.com,,example.com,,fail,"
		"bounce.example.com,,pass,"
		",,,,,64496,,,True,False,True,,,draft,none,True,bounce.example.com,,,4," SAMPLE_UID
		",2,unknown,False\r\n");
	tap_buf_free(&b);
}

/* Each kind of row has as many cells as the header names. */
static void test_cells_match_header(void **state)
{
	struct tap_buf header, row;

	(void)state;
	tap_buf_init(&header, 1 << 16);
	tap_buf_init(&row, 1 << 16);
	tap_csv_header(&header, &today);
	tap_csv_row(&row, &today, &sample_meta, &sample_record, 1);
	assert_int_equal(columns(tap_buf_cstr(&row)), columns(tap_buf_cstr(&header)));
	tap_buf_reset(&row);
	tap_csv_row(&row, &today, &sample_meta, NULL, 1);
	assert_int_equal(columns(tap_buf_cstr(&row)), columns(tap_buf_cstr(&header)));
	tap_buf_reset(&row);
	tap_buf_reset(&header);
	tap_csv_header(&header, &v4);
	tap_csv_row(&row, &v4, &sample_meta, &sample_record, 1);
	assert_int_equal(columns(tap_buf_cstr(&header)), 34);
	assert_int_equal(columns(tap_buf_cstr(&row)), 34);
	tap_buf_free(&header);
	tap_buf_free(&row);
}

/* The second cell of a row whose org_name is s. */
static void expect_cell(const char *s, bool compat4, const char *want)
{
	struct tap_meta m = sample_meta;
	struct tap_buf b;
	char begin[256];

	m.org_name = s;
	tap_buf_init(&b, 1 << 16);
	tap_csv_row(&b, compat4 ? &v4 : &today, &m, &sample_record, 1);
	assert_true(snprintf(begin, sizeof begin, "draft,%s,dmarc@", want) < (int)sizeof begin);
	assert_memory_equal(tap_buf_cstr(&b), begin, strlen(begin));
	tap_buf_free(&b);
}

/* Switched off, nothing but RFC 4180 is left: no apostrophe anywhere. */
static void expect_unguarded(const char *s)
{
	static const struct tap_csv_style plain = {.unguarded = true};
	struct tap_meta m = sample_meta;
	struct tap_buf b;
	const char *cell;

	m.org_name = s;
	tap_buf_init(&b, 1 << 16);
	tap_csv_row(&b, &plain, &m, &sample_record, 1);
	cell = tap_buf_cstr(&b) + strlen("draft,");
	cell += *cell == '"';
	assert_int_equal(*cell, *s == '\n' || *s == '\r' ? ' ' : *s);
	tap_buf_free(&b);
}

static void test_quoting(void **state)
{
	(void)state;
	expect_cell("a,b", false, "\"a,b\"");
	expect_cell("a\"b\"", false, "\"a\"\"b\"\"\"");
	expect_cell("\"", false, "\"\"\"\"");
	expect_cell("a\nb\nc", false, "a b c");
	expect_cell("a\nb", true, "\"a\nb\"");
	expect_cell("a;b 'c'", false, "\"a;b 'c'\"");
	expect_cell("a;b 'c'", true, "a;b 'c'");
	expect_cell("", false, "");
	expect_cell(NULL, false, "");
}

static void test_formulas_t_csv_1(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"=cmd|'/c calc'!A1", "\"'=cmd|'/c calc'!A1\""},
	    {"+1+1", "\"'+1+1\""},
	    {"-1+1", "\"'-1+1\""},
	    {"@SUM(A1)", "\"'@SUM(A1)\""},
	    {"\t=1", "\"'\t=1\""},
	    {"a\tb", "\"'a\tb\""},
	    {"\r=1", "\"' =1\""},
	    {"a\rb", "\"'a b\""},
	    {"\n=1", "\"' =1\""},
	    {"\n", "\"' \""},
	    {"  =1", "\"'  =1\""},
	    {"   ", "   "},
	    {"\xEF\xBC\x9D"
	     "1",
	     "\"'\xEF\xBC\x9D"
	     "1\""},
	    {"\xEF\xBC\x8B"
	     "1",
	     "\"'\xEF\xBC\x8B"
	     "1\""},
	    {"\xEF\xBC\x8D"
	     "1",
	     "\"'\xEF\xBC\x8D"
	     "1\""},
	    {"\xEF\xBC\xA0"
	     "1",
	     "\"'\xEF\xBC\xA0"
	     "1\""},
	    {"\xEF\xBC\x8E"
	     "1",
	     "\xEF\xBC\x8E"
	     "1"},
	    {"=HYPERLINK(\"http://a\",1)", "\"'=HYPERLINK(\"\"http://a\"\",1)\""},
	    {"=1+2\";=1+2", "\"'=1+2\"\";=1+2\""},
	    {"x\";=1+2", "\"x\"\";=1+2\""},
	    {"a=1", "a=1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_cell(cases[i].in, false, cases[i].out);
	expect_cell("=1+1", true, "=1+1");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_unguarded(cases[i].in);
}

static void test_joined_cells(void **state)
{
	static const struct tap_text errors[] = {{"=evil", NULL}, {NULL, NULL}, {"b", NULL}};
	static const struct tap_reason reasons[] = {{"forwarded", {"x|y", NULL}},
						    {NULL, {"say \"hi\"", NULL}}};
	static const struct tap_auth_result dkim[] = {{"a.example", "s1", "pass", {"ok", NULL}},
						      {NULL, NULL, "fail", {NULL, NULL}}};
	struct tap_meta m = sample_meta;
	struct tap_record r = sample_record;
	struct tap_buf b;
	const char *text;

	(void)state;
	m.errors = errors;
	m.n_errors = 3;
	r.reasons = reasons;
	r.n_reasons = 2;
	r.dkim = dkim;
	r.n_dkim = 2;
	tap_buf_init(&b, 1 << 16);
	tap_csv_row(&b, &today, &m, &r, 1);
	text = tap_buf_cstr(&b);
	assert_non_null(strstr(text, ",\"'=evil||b\",example.com,"));
	assert_non_null(
	    strstr(text, ",fail,pass,\"forwarded,\",\"x|y|say \"\"hi\"\"\",,example.com,,"));
	assert_non_null(
	    strstr(text, ",\"a.example,\",\"s1,\",\"pass,fail\",bounce.example.com,,pass,"));
	assert_non_null(strstr(text, ",ok|,,0,"));
	tap_buf_reset(&b);
	tap_csv_row(&b, &v4, &m, &r, 1);
	assert_non_null(
	    strstr(tap_buf_cstr(&b), ",a.example,s1,pass,bounce.example.com,mfrom,pass\r\n"));
	tap_buf_free(&b);
}

static void test_limits(void **state)
{
	struct tap_meta m = sample_meta;
	struct tap_buf full;

	(void)state;
	m.org_name = "=\"quoted\", and guarded";
	tap_buf_init(&full, 1 << 16);
	tap_csv_row(&full, &today, &m, &sample_record, 1);
	for (size_t max = 0; max < full.len; max++) {
		struct tap_buf b;

		tap_buf_init(&b, max);
		tap_csv_row(&b, &today, &m, &sample_record, 1);
		assert_true(b.failed);
		assert_true(b.len <= max);
		tap_buf_free(&b);
	}
	tap_buf_free(&full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_header),	 cmocka_unit_test(test_compat_row),
	    cmocka_unit_test(test_row),		 cmocka_unit_test(test_cells_match_header),
	    cmocka_unit_test(test_quoting),	 cmocka_unit_test(test_formulas_t_csv_1),
	    cmocka_unit_test(test_joined_cells), cmocka_unit_test(test_limits),
	};

	setenv("TZ", "America/New_York", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
