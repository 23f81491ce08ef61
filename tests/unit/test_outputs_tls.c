/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_tls.c - SMTP TLS reports as JSON and CSV: every key and column, lists that are empty, hostile texts. */
#include "outputs_helper.h"

#include "outputs/encode.h"

static const struct tap_json_style line = {0}, pretty = {.indent = 2}, four = {.compat4 = true};
static const struct tap_csv_style rows = {0}, rows4 = {.compat4 = true};

static const struct tap_meta meta = {
    .kind = TAP_KIND_SMTP_TLS,
    .uid = SAMPLE_UID,
    .org_name = "Sender Inc.",
    .email = "tls@sender.example",
    .report_id = "t-1",
    .begin = 1780272000,
    .end = 1780358399,
    .begin_raw = "2026-06-01T02:00:00+02:00",
    .end_raw = "2026-06-01T23:59:59Z",
    .domain = "example.com",
};
static const char *const strings[] = {"version: STSv1", "mode: testing"};
static const char *const hosts[] = {"*.mail.example.com", "mx.example.com"};
static const struct tap_tls_policy policies[] = {
    {0, "sts", "example.com", strings, 2, hosts, 2, 5326, 303, 2},
    {1, "no-policy-found", NULL, NULL, 0, NULL, 0, 1, 0, 0},
};
static const struct tap_tls_detail details[] = {
    {0, 0, "certificate-expired", 100, "2001:db8::1", "192.0.2.7", "mx1.example.com", "helo",
     "https://example.net/x", "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"},
    {0, 1, "starttls-not-supported", 200, NULL, NULL, NULL, NULL, NULL, NULL},
};
static const struct tap_report_end totals = {
    .records = 2, .details = 2, .messages = 5630, .passed = 5327, .content_bytes = 900};

static void report(struct tap_buf *b, const struct tap_json_style *s)
{
	tap_json_tls_begin(b, s, &meta);
	tap_json_tls_policy(b, s, &policies[0], false);
	tap_json_tls_detail(b, s, &details[0]);
	tap_json_tls_detail(b, s, &details[1]);
	tap_json_tls_policy(b, s, &policies[1], true);
	tap_json_tls_end(b, s, &meta, &totals, 3, true, false);
}

#define DOCUMENTED                                                                                 \
	"{\"organization_name\":\"Sender Inc.\",\"begin_date\":\"2026-06-01T02:00:00+02:00\","     \
	"\"end_date\":\"2026-06-01T23:59:59Z\",\"contact_info\":\"tls@sender.example\","           \
	"\"report_id\":\"t-1\",\"policies\":[{\"policy_domain\":\"example.com\","                  \
	"\"policy_type\":\"sts\",\"policy_strings\":[\"version: STSv1\",\"mode: testing\"],"       \
	"\"mx_host_patterns\":[\"*.mail.example.com\",\"mx.example.com\"],"                        \
	"\"successful_session_count\":5326,\"failed_session_count\":303,\"failure_details\":["     \
	"{\"result_type\":\"certificate-expired\",\"failed_session_count\":100,"                   \
	"\"sending_mta_ip\":\"2001:db8::1\",\"receiving_ip\":\"192.0.2.7\","                       \
	"\"receiving_mx_hostname\":\"mx1.example.com\",\"receiving_mx_helo\":\"helo\","            \
	"\"additional_info_uri\":\"https://example.net/x\","                                       \
	"\"failure_reason_code\":\"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\"},"                      \
	"{\"result_type\":\"starttls-not-supported\",\"failed_session_count\":200}]},"             \
	"{\"policy_domain\":null,\"policy_type\":\"no-policy-found\","                             \
	"\"successful_session_count\":1,\"failed_session_count\":0,\"failure_details\":[]}]"
#define TRUST                                                                                      \
	"\"trust\":{\"auth\":\"unknown\",\"dmarc\":\"unknown\",\"reporter\":\"unknown\","          \
	"\"names\":\"unknown\",\"foreign\":false,\"trusted\":false,\"dkim_domains\":[],"           \
	"\"from_domain\":null}"

static void test_every_key(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	report(&b, &line);
	expect_text(&b, DOCUMENTED
		    ",\"begin_date_utc\":\"2026-06-01T00:00:00Z\","
		    "\"end_date_utc\":\"2026-06-01T23:59:59Z\","
		    "\"report_uid\":\"" SAMPLE_UID "\",\"revision\":3,"
		    "\"totals\":{\"policies\":2,\"failure_details\":2,\"dropped\":0,"
		    "\"sessions\":5630,\"successful\":5327},"
		    "\"truncated\":false,\"recovered\":false,\"content_sha256\":"
		    "\"0000000000000000000000000000000000000000000000000000000000000000\","
		    "\"content_bytes\":900,\"filename\":null,\"extension\":null,\"warnings\":[],"
		    "\"warnings_total\":0," TRUST ",\"kind\":\"smtp_tls\"}");
	report(&b, &four);
	expect_text(&b, DOCUMENTED "}");
	tap_buf_free(&b);
}

static void test_indent(void **state)
{
	struct tap_json_style s = {.indent = 2, .level = 1, .compat4 = true};
	struct tap_meta m = meta;
	struct tap_buf b;

	(void)state;
	m.begin_raw = m.end_raw = NULL;
	m.end = 0;
	tap_buf_init(&b, 1 << 16);
	tap_json_tls_begin(&b, &s, &m);
	tap_json_tls_policy(&b, &s, &policies[0], false);
	tap_json_tls_detail(&b, &s, &details[1]);
	tap_buf_reset(&b);
	tap_json_tls_policy(&b, &s, &policies[1], true);
	tap_json_tls_end(&b, &s, &m, &totals, 0, true, false);
	expect_text(&b, "\n        ]\n      },\n      {\n"
			"        \"policy_domain\": null,\n"
			"        \"policy_type\": \"no-policy-found\",\n"
			"        \"successful_session_count\": 1,\n"
			"        \"failed_session_count\": 0,\n"
			"        \"failure_details\": []\n      }\n    ]\n  }");
	tap_json_tls_begin(&b, &s, &m);
	tap_json_tls_end(&b, &s, &m, &totals, 0, false, false);
	expect_text(&b, "{\n    \"organization_name\": \"Sender Inc.\",\n"
			"    \"begin_date\": \"2026-06-01T00:00:00Z\",\n    \"end_date\": null,\n"
			"    \"contact_info\": \"tls@sender.example\",\n"
			"    \"report_id\": \"t-1\",\n    \"policies\": []\n  }");
	tap_buf_free(&b);
}

#define HEADER                                                                                     \
	"organization_name,begin_date,end_date,report_id,result_type,successful_session_count,"    \
	"failed_session_count,policy_domain,policy_type,policy_strings,mx_host_patterns,"          \
	"sending_mta_ip,receiving_ip,receiving_mx_hostname,receiving_mx_helo,"                     \
	"additional_info_uri,failure_reason_code"
#define FRONT "Sender Inc.,2026-06-01T02:00:00+02:00,2026-06-01T23:59:59Z,t-1,"
#define BACK                                                                                       \
	",tls@sender.example,2026-06-01T00:00:00Z,2026-06-01T23:59:59Z," SAMPLE_UID                \
	",3,unknown,False\r\n"
#define POLICY "example.com,sts,version: STSv1|mode: testing,*.mail.example.com|mx.example.com,"

/* Each row tells its whole policy, of a detail too. */
static void test_every_column_q206(void **state)
{
	struct tap_buf b;

	(void)state;
	tap_buf_init(&b, 1 << 16);
	tap_csv_tls_header(&b, &rows4);
	expect_text(&b, HEADER "\r\n");
	tap_csv_tls_header(&b, &rows);
	expect_text(&b, HEADER ",row_kind,policy_index,detail_index,contact_info,begin_date_utc,"
			       "end_date_utc,report_uid,revision,trust_auth,trusted\r\n");
	tap_csv_tls_row(&b, &rows, &meta, &policies[0], NULL, 3);
	expect_text(&b, FRONT ",5326,303," POLICY ",,,,,,policy,0," BACK);
	tap_csv_tls_row(&b, &rows, &meta, &policies[0], &details[0], 3);
	expect_text(&b, FRONT "certificate-expired,,100," POLICY
			      "2001:db8::1,192.0.2.7,mx1.example.com,helo,https://example.net/x,"
			      "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED,detail,0,0" BACK);
	tap_csv_tls_row(&b, &rows, &meta, &policies[0], &details[1], 3);
	expect_text(&b, FRONT "starttls-not-supported,,200," POLICY ",,,,,,detail,0,1" BACK);
	tap_csv_tls_row(&b, &rows, &meta, &policies[1], NULL, 3);
	expect_text(&b, FRONT ",1,0,,no-policy-found,,,,,,,,,policy,1," BACK);
	tap_csv_tls_row(&b, &rows, &meta, NULL, NULL, 3);
	expect_text(&b, FRONT ",,,,,,,,,,,,,report,," BACK);
	tap_csv_tls_row(&b, &rows4, &meta, &policies[0], &details[1], 3);
	expect_text(&b, FRONT "starttls-not-supported,,200," POLICY ",,,,,\r\n");
	tap_csv_tls_row(&b, &rows4, &meta, NULL, NULL, 3);
	expect_text(&b, "");
	tap_buf_free(&b);
}

static void test_hostile_text(void **state)
{
	static const char *const evil[] = {"=1+1", "\"</script>"};
	struct tap_tls_policy p = policies[0];
	struct tap_buf b;

	(void)state;
	p.policy_strings = evil;
	p.n_policy_strings = 2;
	p.policy_domain = "@x";
	tap_buf_init(&b, 1 << 16);
	tap_json_tls_policy(&b, &line, &p, false);
	assert_non_null(
	    strstr(tap_buf_cstr(&b), "\"policy_strings\":[\"=1+1\",\"\\\"</script>\"]"));
	tap_buf_reset(&b);
	tap_csv_tls_row(&b, &rows, &meta, &p, NULL, 1);
	assert_non_null(
	    strstr(tap_buf_cstr(&b), ",\"'@x\",sts,\"'=1+1|\"\"</script>\",*.mail.example.com|"));
	tap_buf_free(&b);
}

static void test_limits(void **state)
{
	struct tap_buf full;

	(void)state;
	tap_buf_init(&full, 1 << 16);
	report(&full, &pretty);
	for (size_t max = 0; max < full.len; max++) {
		struct tap_buf b;

		tap_buf_init(&b, max);
		report(&b, &pretty);
		assert_true(b.failed);
		assert_true(b.len <= max);
		tap_buf_free(&b);
	}
	tap_buf_free(&full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_indent),
	    cmocka_unit_test(test_every_column_q206),
	    cmocka_unit_test(test_hostile_text),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
