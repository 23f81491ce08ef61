/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_json.c - JSON of aggregate reports: shape, order, escaping, limits. */
#include "outputs_helper.h"

#include "outputs/encode.h"
#include <time.h>

static void whole(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m,
		  const struct tap_record *r, size_t n)
{
	struct tap_report_end end = sample_end;

	end.records = n;
	tap_json_report_begin(b, s, m);
	for (size_t i = 0; i < n; i++)
		tap_json_report_record(b, s, m, &r[i], i == 0);
	tap_json_report_end(b, s, m, &end, 0, n > 0);
}

static void test_compat_is_the_documented_shape(void **state)
{
	static const char want[] = "{\n"
				   "  \"xml_schema\": \"draft\",\n"
				   "  \"report_metadata\": {\n"
				   "    \"org_name\": \"receiver.example\",\n"
				   "    \"org_email\": \"dmarc@receiver.example\",\n"
				   "    \"org_extra_contact_info\": null,\n"
				   "    \"report_id\": \"r-1\",\n"
				   "    \"begin_date\": \"2012-04-27 20:00:00\",\n"
				   "    \"end_date\": \"2012-04-28 19:59:59\",\n"
				   "    \"errors\": []\n"
				   "  },\n"
				   "  \"policy_published\": {\n"
				   "    \"domain\": \"example.com\",\n"
				   "    \"adkim\": \"r\",\n"
				   "    \"aspf\": \"r\",\n"
				   "    \"p\": \"none\",\n"
				   "    \"sp\": \"none\",\n"
				   "    \"pct\": \"100\",\n"
				   "    \"fo\": \"0\"\n"
				   "  },\n"
				   "  \"records\": [\n"
				   "    {\n"
				   "      \"source\": {\n"
				   "        \"ip_address\": \"192.0.2.1\",\n"
				   "        \"country\": null,\n"
				   "        \"reverse_dns\": null,\n"
				   "        \"base_domain\": null\n"
				   "      },\n"
				   "      \"count\": 2,\n"
				   "      \"alignment\": {\n"
				   "        \"spf\": true,\n"
				   "        \"dkim\": false,\n"
				   "        \"dmarc\": true\n"
				   "      },\n"
				   "      \"policy_evaluated\": {\n"
				   "        \"disposition\": \"none\",\n"
				   "        \"dkim\": \"fail\",\n"
				   "        \"spf\": \"pass\",\n"
				   "        \"policy_override_reasons\": []\n"
				   "      },\n"
				   "      \"identifiers\": {\n"
				   "        \"header_from\": \"example.com\",\n"
				   "        \"envelope_from\": \"bounce.example.com\",\n"
				   "        \"envelope_to\": null\n"
				   "      },\n"
				   "      \"auth_results\": {\n"
				   "        \"dkim\": [\n"
				   "          {\n"
				   "            \"domain\": \"example.com\",\n"
				   "            \"selector\": \"none\",\n"
				   "            \"result\": \"fail\"\n"
				   "          }\n"
				   "        ],\n"
				   "        \"spf\": [\n"
				   "          {\n"
				   "            \"domain\": \"bounce.example.com\",\n"
				   "            \"scope\": \"mfrom\",\n"
				   "            \"result\": \"pass\"\n"
				   "          }\n"
				   "        ]\n"
				   "      }\n"
				   "    }\n"
				   "  ]\n"
				   "}";
	struct tap_json_style s = {.indent = 2, .compat4 = true};
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	whole(&b, &s, &sample_meta, &sample_record, 1);
	expect_text(&b, want);
	tap_buf_free(&b);
}

static void test_compact_has_every_key(void **state)
{
	static const char want[] =
	    "{\"xml_schema\":\"draft\",\"report_metadata\":{\"org_name\":\"receiver.example\","
	    "\"org_email\":"
	    "\"dmarc@receiver.example\",\"org_extra_contact_info\":null,\"report_id\":\"r-1\","
	    "\"begin_date\":"
	    "\"2012-04-28 00:00:00\",\"end_date\":\"2012-04-28 23:59:59\",\"errors\":[],"
	    "\"timespan_requires_normalization\":false,\"original_timespan_seconds\":86399,"
	    "\"generator\":null,"
	    "\"org_extra_contact_info_lang\":null,\"errors_lang\":[],\"receiving_domains\":[]},"
	    "\"policy_published\":{\"domain\":\"example.com\",\"adkim\":\"r\",\"aspf\":\"r\",\"p\":"
	    "\"none\","
	    "\"sp\":\"none\",\"pct\":null,\"fo\":null,\"np\":null,\"testing\":null,\"discovery_"
	    "method\":null,"
	    "\"version_published\":null,\"defaulted\":[\"adkim\",\"aspf\",\"sp\"]},\"records\":["
	    "{\"source\":{\"ip_address\":\"192.0.2.1\",\"country\":null,\"reverse_dns\":null,"
	    "\"base_domain\":null,"
	    "\"name\":null,\"type\":null,\"asn\":null,\"as_name\":null,\"as_domain\":null,\"ip_"
	    "address_raw\":null},"
	    "\"count\":2,\"alignment\":{\"spf\":true,\"dkim\":false,\"dmarc\":true},\"policy_"
	    "evaluated\":"
	    "{\"disposition\":\"none\",\"dkim\":\"fail\",\"spf\":\"pass\",\"policy_override_"
	    "reasons\":[],"
	    "\"disposition_norm\":\"none\",\"evaluated\":true},\"identifiers\":{\"header_from\":"
	    "\"example.com\","
	    "\"envelope_from\":null,\"envelope_to\":null,\"envelope_from_effective\":\"bounce."
	    "example.com\"},"
	    "\"auth_results\":{\"dkim\":[{\"domain\":\"example.com\",\"selector\":null,\"result\":"
	    "\"fail\","
	    "\"human_result\":null,\"human_result_lang\":null}],\"spf\":[{\"domain\":\"bounce."
	    "example.com\","
	    "\"scope\":null,\"result\":\"pass\",\"human_result\":null,\"human_result_lang\":null}]}"
	    ","
	    "\"record_index\":0,\"extension\":null}],\"xml_namespace\":null,\"schema\":\"draft\","
	    "\"report_uid\":\"" SAMPLE_UID
	    "\",\"revision\":1,\"totals\":{\"records\":1,\"dropped\":0,\"messages\":2,\"passed\":2}"
	    ",\"truncated\":false,"
	    "\"recovered\":false,\"content_sha256\":"
	    "\"0000000000000000000000000000000000000000000000000000000000000000\","
	    "\"content_bytes\":1000,\"filename\":null,\"extension\":null,\"warnings\":[],"
	    "\"warnings_total\":0,\"trust\":{\"auth\":\"unknown\",\"dmarc\":\"unknown\","
	    "\"reporter\":\"unknown\",\"names\":\"unknown\",\"foreign\":false,\"trusted\":false,"
	    "\"dkim_domains\":[],\"from_domain\":null},\"kind\":\"aggregate\"}";
	struct tap_json_style s = {0};
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	whole(&b, &s, &sample_meta, &sample_record, 1);
	expect_text(&b, want);
	tap_buf_free(&b);
}

static void test_lists(void **state)
{
	static const struct tap_text errors[] = {{"one", NULL}, {"deux", "fr"}};
	static const char *const domains[] = {"a.example", "b.example"};
	static const struct tap_reason reasons[] = {{"forwarded", {"c", "de"}},
						    {"other", {NULL, NULL}}};
	static const struct tap_warning warnings[] = {{"record[0]", "odd: really"}};
	struct tap_json_style s = {.indent = 2, .level = 1};
	struct tap_meta m = sample_meta;
	struct tap_record r[2] = {sample_record, sample_record};
	struct tap_report_end end = sample_end;
	struct tap_buf b;
	const char *text;

	(void)state;
	m.errors = errors;
	m.n_errors = 2;
	m.receiving_domains = domains;
	m.n_receiving_domains = 2;
	r[0].reasons = reasons;
	r[0].n_reasons = 2;
	r[1].n_dkim = r[1].n_spf = 0;
	r[1].index = 7;
	r[1].source.asn = 64496;
	end.warnings = warnings;
	end.n_warnings = end.warnings_total = 1;
	tap_buf_init(&b, 1 << 20);
	tap_json_report_begin(&b, &s, &m);
	tap_json_report_record(&b, &s, &m, &r[0], true);
	tap_json_report_record(&b, &s, &m, &r[1], false);
	tap_json_report_end(&b, &s, &m, &end, 3, true);
	text = tap_buf_cstr(&b);
	assert_non_null(
	    strstr(text, "      \"errors\": [\n        \"one\",\n        \"deux\"\n      ],\n"));
	assert_non_null(
	    strstr(text, "      \"errors_lang\": [\n        null,\n        \"fr\"\n      ],\n"));
	assert_non_null(strstr(text, "      \"receiving_domains\": [\n        \"a.example\",\n     "
				     "   \"b.example\"\n      ]\n    },\n"));
	assert_non_null(strstr(
	    text,
	    "          \"policy_override_reasons\": [\n            {\n              \"type\": "
	    "\"forwarded\",\n              \"comment\": \"c\",\n              \"comment_lang\": "
	    "\"de\",\n              \"arc\": null\n            },\n            {\n"));
	assert_non_null(strstr(text, "          \"dkim\": [],\n          \"spf\": []\n        },\n "
				     "       \"record_index\": 7,\n"));
	assert_non_null(strstr(text, "\"asn\": 64496,\n"));
	assert_non_null(strstr(text, "    \"revision\": 3,\n"));
	assert_non_null(strstr(
	    text,
	    "    \"warnings\": [\n      {\n        \"where\": \"record[0]\",\n        \"what\": "
	    "\"odd: "
	    "really\"\n      }\n    ],\n    \"warnings_total\": 1,\n    \"trust\": {\n      "
	    "\"auth\": \"unknown\",\n"));
	tap_buf_free(&b);
}

static void test_no_records(void **state)
{
	struct tap_json_style s = {.indent = 2, .compat4 = true};
	struct tap_buf b;
	const char *text;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	whole(&b, &s, &sample_meta, NULL, 0);
	text = tap_buf_cstr(&b);
	assert_non_null(strstr(text, "  \"records\": []\n}"));
	tap_buf_free(&b);
}

static void test_compat_defaults(void **state)
{
	static const struct tap_auth_result spf[] = {
	    {.domain = "last.example", .label = "helo", .result = NULL},
	    {.domain = "", .result = "pass"}};
	static const struct tap_auth_result dkim[] = {{.domain = NULL, .result = "pass"}};
	struct tap_json_style s = {.compat4 = true};
	struct tap_meta m = sample_meta;
	struct tap_record r = sample_record;
	struct tap_buf b;
	const char *text;

	(void)state;
	m.report_id = "<id<7>@host>";
	m.sp = "reject";
	m.extra_contact_info.text = "";
	m.version = "1.0";
	r.disposition = "pass";
	r.envelope_from = "";
	r.spf = spf;
	r.n_spf = 2;
	r.dkim = dkim;
	tap_buf_init(&b, 1 << 20);
	whole(&b, &s, &m, &r, 1);
	text = tap_buf_cstr(&b);
	assert_non_null(strstr(text, "\"xml_schema\":\"1.0\""));
	assert_non_null(strstr(text, "\"report_id\":\"id7\""));
	assert_non_null(strstr(text, "\"org_extra_contact_info\":null"));
	assert_non_null(strstr(text, "\"sp\":\"reject\""));
	assert_non_null(strstr(text, "\"disposition\":\"none\""));
	assert_non_null(strstr(text, "\"envelope_from\":\"last.example\""));
	assert_non_null(strstr(text, "\"dkim\":[],\"spf\":[{\"domain\":\"last.example\",\"scope\":"
				     "\"helo\",\"result\":\"none\"}]"));
	tap_buf_free(&b);
}

static void test_three_states_of_envelope_from(void **state)
{
	static const struct tap_auth_result helo[] = {
	    {.domain = "mta.example", .label = "helo", .result = "pass"}};
	struct tap_json_style s = {0};
	struct tap_record r = sample_record;
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	r.envelope_from = "";
	r.spf = helo;
	whole(&b, &s, &sample_meta, &r, 1);
	assert_non_null(
	    strstr(tap_buf_cstr(&b),
		   "\"envelope_from\":\"\",\"envelope_to\":null,\"envelope_from_effective\":null"));
	tap_buf_reset(&b);
	r.envelope_from = "x.example";
	whole(&b, &s, &sample_meta, &r, 1);
	assert_non_null(strstr(tap_buf_cstr(&b), "\"envelope_from\":\"x.example\",\"envelope_to\":"
						 "null,\"envelope_from_effective\":\"x.example\""));
	tap_buf_free(&b);
}

static void test_strings(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {NULL, "null"},
	    {"", "\"\""},
	    {"plain", "\"plain\""},
	    {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
	    {"\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""},
	    {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
	    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    {"</script><b>&'", "\"</script><b>&'\""},
	};
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		tap_json_string(&b, cases[i].in);
		expect_text(&b, cases[i].out);
	}
	tap_buf_free(&b);
}

static void test_long_strings(void **state)
{
	size_t n = 70000;
	char *s = malloc(n + 1);
	struct tap_buf b;

	(void)state;
	assert_non_null(s);
	memset(s, '"', n);
	s[n] = '\0';
	tap_buf_init(&b, 1 << 20);
	tap_json_string(&b, s);
	assert_false(b.failed);
	assert_int_equal(b.len, 2 * n + 2);
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(b.p + 1 + 2 * i, "\\\"", 2);
	memset(s, 1, n);
	tap_buf_reset(&b);
	tap_json_string(&b, s);
	assert_int_equal(b.len, 6 * n + 2);
	tap_buf_free(&b);
	free(s);
}

/* Whatever the maximum is, nothing is written behind it, and the buffer says that something is missing. */
static void test_limits(void **state)
{
	struct tap_json_style s = {.indent = 2};
	struct tap_buf full;
	size_t need;

	(void)state;
	tap_buf_init(&full, 1 << 20);
	whole(&full, &s, &sample_meta, &sample_record, 1);
	need = full.len;
	for (size_t max = 0; max < need; max += 7) {
		struct tap_buf b;

		tap_buf_init(&b, max);
		whole(&b, &s, &sample_meta, &sample_record, 1);
		assert_true(b.failed);
		assert_true(b.len <= max);
		tap_buf_free(&b);
	}
	tap_buf_free(&full);
}

static void test_appends(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 100000);
	tap_buf_adds(&b, "before ");
	tap_json_string(&b, "x");
	tap_buf_adds(&b, " behind");
	expect_text(&b, "before \"x\" behind");
	tap_buf_free(&b);
}

static void test_local_time(void **state)
{
	struct tap_json_style s = {.local_time = true};
	struct tap_meta m = sample_meta;
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 20);
	m.end = m.begin + 26 * 3600 + 1;
	tap_json_report_begin(&b, &s, &m);
	assert_non_null(strstr(tap_buf_cstr(&b), "\"begin_date\":\"2012-04-27 20:00:00\""));
	assert_non_null(
	    strstr(tap_buf_cstr(&b),
		   "\"timespan_requires_normalization\":true,\"original_timespan_seconds\":93601"));
	tap_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_compat_is_the_documented_shape),
	    cmocka_unit_test(test_compact_has_every_key),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_no_records),
	    cmocka_unit_test(test_compat_defaults),
	    cmocka_unit_test(test_three_states_of_envelope_from),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_long_strings),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_appends),
	    cmocka_unit_test(test_local_time),
	};

	setenv("TZ", "America/New_York", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
