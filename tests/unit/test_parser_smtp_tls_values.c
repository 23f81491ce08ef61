/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_parser_smtp_tls_values.c - SMTP TLS reports: each value, as it should be and as it comes. */
#include "smtp_tls_helper.h"

#define META(x) "{" x ",\"policies\":[" T_ITEM "]}"
#define RANGE(b, e)                                                                                \
	"{" T_ORG "," T_CONTACT "," T_ID ",\"date-range\":{\"start-datetime\":" b                  \
	",\"end-datetime\":" e "},\"policies\":[" T_ITEM "]}"
#define DAY2	    "\"2026-06-02T23:59:59Z\""
#define POLICY(x)   T_WITH("{\"policy\":{" x "}," T_SUM "}")
#define SUM(x)	    T_WITH("{" T_POLICY ",\"summary\":{" x "}}")
#define OK_COUNT(x) SUM("\"total-failure-session-count\":0,\"total-successful-session-count\":" x)
#define DETAIL(x)   T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":[{" x "}]}")
#define COUNT	    "\"failed-session-count\":1"
#define RESULT	    "\"result-type\":\"validation-failure\""

/* T-TLS-2, Q205: who sent it, and its name. */
static void test_meta_t_tls_2(void **state)
{
	static const struct tls_case cases[] = {
	    {"no org",
	     META(T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=sender.example",
	      "! organization-name: missing_org_name: the domain of contact-info is taken"}},
	    {"empty org",
	     META("\"organization-name\":\" \"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=sender.example", "! organization-name: missing_org_name"}},
	    {"org null",
	     META("\"organization-name\":null," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=sender.example", "! organization-name: missing_org_name"}},
	    {"org number",
	     META("\"organization-name\":12," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=12", "! organization-name: not_text"}},
	    {"org list",
	     META("\"organization-name\":[\"x\"]," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=sender.example", "! organization-name: bad_type"}},
	    {"no contact",
	     META(T_ORG "," T_DATES "," T_ID),
	     {"report", "-contact=", "! contact-info: missing_contact: absent or empty"}},
	    {"contact is a URL",
	     META(T_DATES "," T_ID ",\"contact-info\":\"https://tls.example:8443/contact\""),
	     {"report", "contact=https://tls.example:8443/contact", "org=tls.example"}},
	    {"contact is text",
	     META(T_DATES "," T_ID ",\"contact-info\":\"call us\""),
	     {"report", "contact=call us", "! organization-name: missing_org_name: absent"}},
	    {"no id",
	     META(T_ORG "," T_DATES "," T_CONTACT),
	     {"report", "! report-id: missing_report_id: derived from the content"}},
	    {"id number",
	     META(T_ORG "," T_DATES "," T_CONTACT ",\"report-id\":4711"),
	     {"report", "id=4711", "! report-id: not_text"}},
	    {"no dates",
	     META(T_ORG "," T_CONTACT "," T_ID),
	     {"broken", "why=date-range/start-datetime: missing"}},
	    {"no end",
	     META(T_ORG "," T_CONTACT "," T_ID
			",\"date-range\":{\"start-datetime\":\"2026-06-02T00:00:00Z\"}"),
	     {"broken", "why=date-range/end-datetime: missing"}},
	    {"dates are no object",
	     META(T_ORG "," T_CONTACT "," T_ID ",\"date-range\":[1]"),
	     {"broken", "why=date-range/start-datetime: missing"}},
	    {"unknown members",
	     META("\"x\":{\"report-id\":\"no\"},\"y\":[1,{}]," T_HEAD ",\"z\":null"),
	     {"report", "id=r1", "warnings=0"}},
	    {"the last of two", META(T_HEAD ",\"report-id\":\"r2\""), {"report", "id=r2"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* Q204, T-TLS-10: RFC 3339 in its variants, and what is none. */
static void test_dates_t_tls_10(void **state)
{
	static const struct tls_case cases[] = {
	    {"lower case",
	     RANGE("\"2026-06-02t00:00:00z\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02t00:00:00z", "warnings=0"}},
	    {"offset",
	     RANGE("\"2026-06-02T02:00:00+02:00\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02T02:00:00+02:00", "warnings=0"}},
	    {"negative offset",
	     RANGE("\"2026-06-01T19:00:00-05:00\"", DAY2),
	     {"report", "begin=1780358400 2026-06-01T19:00:00-05:00", "warnings=0"}},
	    {"fraction",
	     RANGE("\"2026-06-02T00:00:00.999999999Z\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02T00:00:00.999999999Z", "warnings=0"}},
	    {"no zone",
	     RANGE("\"2026-06-02T00:00:00\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02T00:00:00",
	      "! date-range/start-datetime: missing_zone: taken as UTC"}},
	    {"blank",
	     RANGE("\"2026-06-02 00:00:00Z\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02 00:00:00Z", "warnings=0"}},
	    {"day alone",
	     RANGE("\"2026-06-02\"", DAY2),
	     {"report", "begin=1780358400 2026-06-02", "! date-range/start-datetime: date_only"}},
	    {"leap second",
	     RANGE("\"2026-06-02T00:00:00Z\"", "\"2026-06-02T23:59:60Z\""),
	     {"report", "end=1780444800 2026-06-02T23:59:60Z", "warnings=0"}},
	    {"blanks around",
	     RANGE("\" 2026-06-02T00:00:00Z \"", DAY2),
	     {"report", "begin=1780358400 2026-06-02T00:00:00Z"}},
	    {"seconds",
	     RANGE("1780358400", "1780444799"),
	     {"report", "begin=1780358400 1780358400", "end=1780444799 1780444799",
	      "! date-range/start-datetime: epoch_date: a number instead of RFC 3339"}},
	    {"seconds as text",
	     RANGE("\"1780358400\"", DAY2),
	     {"report", "begin=1780358400 1780358400", "! date-range/start-datetime: epoch_date"}},
	    {"milliseconds",
	     RANGE("1780358400000", DAY2),
	     {"report", "begin=1780358400 1780358400000",
	      "! date-range/start-datetime: epoch_date"}},
	    {"reversed",
	     RANGE(DAY2, "\"2026-06-02T00:00:00Z\""),
	     {"report", "begin=1780358400 2026-06-02T00:00:00Z", "! date-range: reversed_period"}},
	    {"the same", RANGE(DAY2, DAY2), {"report", "! date-range: empty_period"}},
	    {"a week",
	     RANGE("\"2026-05-27T00:00:00Z\"", DAY2),
	     {"report", "! date-range: long_period: 167 hours"}},
	    {"no date",
	     RANGE("\"yesterday\"", DAY2),
	     {"broken", "why=date-range/start-datetime: bad_date", "why=yesterday"}},
	    {"no such day", RANGE("\"2026-02-30T00:00:00Z\"", DAY2), {"broken", "why=bad_date"}},
	    {"empty", RANGE("\"\"", DAY2), {"broken", "why=bad_date"}},
	    {"true", RANGE("true", DAY2), {"broken", "why=bad_date"}},
	    {"list", RANGE("[1]", DAY2), {"broken", "why=bad_date"}},
	};
	struct tls_reading r = {.p = T_GOOD, .n = strlen(T_GOOD), .now = 1780358400 - 3 * 86400};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
	tls_read_once(&r);
	assert_true(tls_has(r.lines, "! date-range: future_period: "));
	tls_free(&r);
}

/* Q190, Q192, Q195, T-TLS-3: the policy. */
static void test_policy_t_tls_3(void **state)
{
	static const struct tls_case cases[] = {
	    {"strings",
	     POLICY("\"policy-type\":\"sts\",\"policy-domain\":\"example.com\","
		    "\"policy-string\":[\"version: STSv1\",\"mode: testing\"],"
		    "\"mx-host\":[\"MX1.example.com\",\"*.mx.example.com\"]"),
	     {"report", "strings=version: STSv1|mode: testing",
	      "mx=mx1.example.com|*.mx.example.com", "warnings=0"}},
	    {"single texts",
	     POLICY("\"policy-type\":\"tlsa\",\"policy-domain\":\"example.com\","
		    "\"policy-string\":\"3 1 1 AB\",\"mx-host\":\"mx.example.com\""),
	     {"report", "policy 0 tlsa example.com ok=10 failed=3 details=0", "strings=3 1 1 AB",
	      "mx=mx.example.com",
	      "! policies[0]/policy/policy-string: not_a_list: taken as a list of one",
	      "warnings=1"}},
	    {"pattern",
	     POLICY("\"policy-type\":\"sts\",\"policy-domain\":\"example.com\","
		    "\"mx-host-pattern\":[\"*.example.com\"]"),
	     {"report", "mx=*.example.com", "warnings=0"}},
	    {"empty and null",
	     POLICY("\"policy-type\":\"sts\",\"policy-domain\":\"example.com\","
		    "\"policy-string\":null,\"mx-host\":[],\"mx-host-pattern\":\"\""),
	     {"report", "-mx=", "warnings=0"}},
	    {"upper case",
	     POLICY("\"policy-type\":\"STS\",\"policy-domain\":\"Example.COM.\""),
	     {"report", "policy 0 sts example.com ok=10 failed=3 details=0", "warnings=0"}},
	    {"unknown type",
	     POLICY("\"policy-type\":\"dnssec\",\"policy-domain\":\"example.com\""),
	     {"report", "policy 0 dnssec example.com ok=10 failed=3 details=0",
	      "! policies[0]/policy/policy-type: unknown_word: dnssec"}},
	    {"no policy found",
	     POLICY("\"policy-type\":\"no-policy-found\",\"policy-domain\":\"e.x\""),
	     {"report", "policy 0 no-policy-found e.x ok=10 failed=3 details=0", "warnings=0"}},
	    {"no type, no domain",
	     POLICY("\"policy-string\":[]"),
	     {"report", "policy 0 NULL NULL ok=10 failed=3 details=0",
	      "! policies[0]/policy/policy-type: missing_policy_type",
	      "! policies[0]/policy/policy-domain: missing_domain: absent"}},
	    {"wrong types",
	     POLICY("\"policy-type\":[\"sts\"],\"policy-domain\":{},"
		    "\"policy-string\":[1,{},\"x\"]"),
	     {"report", "policy 0 NULL NULL ok=10 failed=3 details=0", "strings=1|x",
	      "! policies[0]/policy/policy-type: bad_type"}},
	    {"not in an object of their own",
	     T_WITH("{\"policy-type\":\"sts\",\"policy-domain\":\"example.com\","
		    "\"total-successful-session-count\":1,\"total-failure-session-count\":0}"),
	     {"report", "policy 0 sts example.com ok=1 failed=0 details=0"}},
	    {"an address",
	     POLICY("\"policy-type\":\"sts\",\"policy-domain\":\"x@example.com\""),
	     {"report", "policy 0 sts example.com ok=10 failed=3 details=0",
	      "! policies[0]/policy/policy-domain: address"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* Q196-Q198, T-TLS-2, T-TLS-5: counts. */
static void test_counts_t_tls_5(void **state)
{
	static const struct tls_case cases[] = {
	    {"text",
	     OK_COUNT("\"12\""),
	     {"report", "policy 0 sts example.com ok=12 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: number_as_text"}},
	    {"12.0",
	     OK_COUNT("12.0"),
	     {"report", "policy 0 sts example.com ok=12 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: count_format"}},
	    {"1e3",
	     OK_COUNT("1e3"),
	     {"report", "policy 0 sts example.com ok=1000 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: count_format"}},
	    {"-1",
	     OK_COUNT("-1"),
	     {"report", "policy 0 sts example.com ok=0 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: bad_count: negative"}},
	    {"1.5",
	     OK_COUNT("1.5"),
	     {"report", "policy 0 sts example.com ok=1 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: bad_count: fraction"}},
	    {"1e30",
	     OK_COUNT("1e30"),
	     {"report", "policy 0 sts example.com ok=9223372036854775807 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: count_clamped"}},
	    {"2^63",
	     OK_COUNT("9223372036854775808"),
	     {"report", "policy 0 sts example.com ok=9223372036854775807 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: count_clamped"}},
	    {"2^63-1",
	     OK_COUNT("9223372036854774784"),
	     {"report", "policy 0 sts example.com ok=9223372036854774784 failed=0 details=0",
	      "warnings=0"}},
	    {"word",
	     OK_COUNT("\"many\""),
	     {"report", "policy 0 sts example.com ok=0 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: bad_count"}},
	    {"null",
	     OK_COUNT("null"),
	     {"report", "policy 0 sts example.com ok=0 failed=0 details=0",
	      "! policies[0]/summary/total-successful-session-count: missing_count"}},
	    {"true",
	     OK_COUNT("true"),
	     {"report", "! policies[0]/summary/total-successful-session-count: bad_count"}},
	    {"other spelling",
	     SUM("\"total-successful-session-count\":1,\"total-failed-session-count\":2"),
	     {"report", "policy 0 sts example.com ok=1 failed=2 details=0",
	      "! policies[0]: member_name: total-failed-session-count taken as "
	      "total-failure-session-count"}},
	    {"no summary",
	     T_WITH("{" T_POLICY "," T_DETAILS "}"),
	     {"report", "policy 0 sts example.com ok=0 failed=3 details=1",
	      "! policies[0]/summary: missing_summary", "warnings=1"}},
	    {"no failures",
	     T_WITH("{" T_POLICY ",\"summary\":{\"total-successful-session-count\":4},"
		    "\"failure-details\":[" T_DETAIL "," T_DETAIL ",{}]}"),
	     {"report", "policy 0 sts example.com ok=4 failed=6 details=3",
	      "! policies[0]/summary/total-failure-session-count: missing_count: the sum"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* T-TLS-8: a total that is not the sum of its details stays as it is. */
static void test_sum_t_tls_8(void **state)
{
	static const struct tls_case c = {
	    "sum",
	    T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":[" T_DETAIL "," T_DETAIL "]}"),
	    {"report", "policy 0 sts example.com ok=10 failed=3 details=2",
	     "detail 0.1 certificate-expired failed=3", "warnings=0"}};

	(void)state;
	tls_check_cases(&c, 1);
}

/* T-TLS-4: all types of failure, and one that is not in the registry. */
static void test_result_types_t_tls_4(void **state)
{
	static const char *const types[] = {"starttls-not-supported", "certificate-host-mismatch",
					    "certificate-expired",    "certificate-not-trusted",
					    "validation-failure",     "tlsa-invalid",
					    "dnssec-invalid",	      "dane-required",
					    "sts-policy-fetch-error", "sts-policy-invalid",
					    "sts-webpki-invalid",     "something-new"};
	char doc[1024], line[80];

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct tls_reading r = {.p = doc};

		r.n = (size_t)snprintf(doc, sizeof doc, DETAIL("\"result-type\":\"%s\"," COUNT),
				       types[i]);
		tls_read_once(&r);
		snprintf(line, sizeof line, "detail 0.0 %s failed=1", types[i]);
		assert_true(tls_has(r.lines, line));
		assert_true(tls_has(r.lines, "warnings=0"));
		tls_free(&r);
	}
}

/* Q191, Q196, Q202, Q203, T-TLS-2: failure details. */
static void test_details_t_tls_2(void **state)
{
	static const struct tls_case cases[] = {
	    {"all",
	     DETAIL(
		 RESULT
		 "," COUNT ",\"sending-mta-ip\":\"2001:DB8:0:0::1\","
		 "\"receiving-ip\":\"192.0.2.25\",\"receiving-mx-hostname\":\"MX.Example\","
		 "\"receiving-mx-helo\":\"Helo.Example\",\"additional-information\":"
		 "\"https:\\/\\/x.example\\/?a=1&b=2\",\"failure-reason-code\":\"code: 4\\n04\""),
	     {"report", "detail 0.0 validation-failure failed=1", "sending=2001:db8::1",
	      "receiving=192.0.2.25", "mx_name=mx.example", "helo=Helo.Example",
	      "info=https://x.example/?a=1&b=2", "reason=code: 4", "warnings=0"}},
	    {"other names",
	     DETAIL(RESULT "," COUNT ",\"additional-info-uri\":\"u\""),
	     {"report", "info=u", "warnings=0"}},
	    {"both",
	     DETAIL(RESULT "," COUNT ",\"additional-information\":\"first\","
			   "\"additional-info-uri\":\"second\""),
	     {"report", "info=first", "warnings=0"}},
	    {"no addresses",
	     DETAIL(RESULT "," COUNT),
	     {"report", "-sending=", "-receiving=", "warnings=0"}},
	    {"bad address",
	     DETAIL(RESULT "," COUNT ",\"sending-mta-ip\":\"Unknown\","
			   "\"receiving-ip\":\"[192.0.2.1]\""),
	     {"report", "sending=Unknown", "receiving=192.0.2.1",
	      "! policies[0]/failure-details[0]/sending-mta-ip: bad_ip",
	      "! policies[0]/failure-details[0]/receiving-ip: ip_brackets"}},
	    {"empty texts",
	     DETAIL(RESULT "," COUNT ",\"sending-mta-ip\":\"\",\"receiving-mx-helo\":"
			   "\"\",\"failure-reason-code\":null"),
	     {"report", "-sending=", "-helo=", "warnings=0"}},
	    {"nothing in it",
	     DETAIL(""),
	     {"report", "detail 0.0 validation-failure failed=0",
	      "! policies[0]/failure-details[0]: missing_result_type",
	      "! policies[0]/failure-details[0]/failed-session-count: missing_count"}},
	    {"null",
	     T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":null}"),
	     {"report", "policies=1 details=0 dropped=0 sessions=13 passed=10", "warnings=0"}},
	    {"single",
	     T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":" T_DETAIL "}"),
	     {"report", "detail 0.0 certificate-expired failed=3",
	      "! policies[0]/failure-details: not_a_list"}},
	    {"text",
	     T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":\"none\"}"),
	     {"report", "policies=1 details=0 dropped=0 sessions=13 passed=10",
	      "! policies[0]/failure-details: bad_type"}},
	    {"items that are none",
	     T_WITH("{" T_POLICY "," T_SUM ",\"failure-details\":[7," T_DETAIL ",null]}"),
	     {"report", "policy 0 sts example.com ok=10 failed=3 details=1",
	      "detail 0.1 certificate-expired failed=3",
	      "policies=1 details=1 dropped=2 sessions=13 passed=10",
	      "! policies[0]/failure-details[0]: bad_type"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* Names that are spelt otherwise: read, and said. */
static void test_names(void **state)
{
	static const struct tls_case cases[] = {
	    {"underscores",
	     "{\"organization_name\":\"o\",\"report_id\":\"i\",\"contact_info\":\"c@o.example\","
	     "\"date_range\":{\"start_datetime\":\"2026-06-02T00:00:00Z\",\"end_datetime\":" DAY2
	     "},"
	     "\"policies\":[{\"policy\":{\"policy_type\":\"sts\",\"policy_domain\":\"e.x\"},"
	     "\"summary\":{\"total_successful_session_count\":1,\"total_failure_session_count\":2},"
	     "\"failure_details\":[{\"result_type\":\"validation-failure\","
	     "\"failed_session_count\":2}]}]}",
	     {"report", "org=o", "id=i", "contact=c@o.example",
	      "policy 0 sts e.x ok=1 failed=2 details=1", "detail 0.0 validation-failure failed=2",
	      "! document: member_name: organization_name taken as organization-name"}},
	    {"letter case",
	     META("\"Organization-Name\":\"o\",\"ReportId\":\"i\",\"CONTACT-INFO\":\"c@o.example\","
		  "\"dateRange\":{\"startDatetime\":\"2026-06-02T00:00:00Z\","
		  "\"endDateTime\":" DAY2 "}"),
	     {"report", "org=o", "id=i", "contact=c@o.example",
	      "begin=1780358400 2026-06-02T00:00:00Z"}},
	    {"English",
	     META("\"organisation-name\":\"o\"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=o", "! document: member_name: organisation-name taken as "}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

/* What stands in strings: escapes, bytes that are no UTF-8, control characters. */
static void test_text(void **state)
{
	static const struct tls_case cases[] = {
	    {"escapes",
	     META("\"organization-name\":\"\\u0041\\u00e4\\ud83d\\ude00\\\"\\\\\\/\"," T_DATES
		  "," T_CONTACT "," T_ID),
	     {"report", "org=A\u00e4\U0001f600\"\\/", "warnings=0"}},
	    {"half a pair",
	     META("\"organization-name\":\"x\\ud83dy\"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=x\ufffdy"}},
	    {"NUL and controls",
	     META("\"organization-name\":\"a\\u0000b\\u0007c\"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=abc", "! organization-name: control_characters: dropped"}},
	    {"no UTF-8",
	     META("\"organization-name\":\"a\xe4z\"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=a\ufffdz", "! organization-name: bad_utf8"}},
	    {"a line end in it",
	     META("\"organization-name\":\"a\r\nb\"," T_DATES "," T_CONTACT "," T_ID),
	     {"report", "org=a"}},
	    {"bad escape",
	     META("\"organization-name\":\"\\x41\"," T_DATES "," T_CONTACT "," T_ID),
	     {"broken", "why=an escape that is none", "why=at byte 22"}},
	    {"single quotes",
	     META("'organization-name':\"x\"," T_DATES "," T_CONTACT "," T_ID),
	     {"broken", "why=no name where a member should begin"}},
	    {"not a number", OK_COUNT("NaN"), {"broken", "why=neither a value nor the end"}},
	};

	(void)state;
	tls_check_cases(cases, sizeof cases / sizeof *cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_meta_t_tls_2),
	    cmocka_unit_test(test_dates_t_tls_10),
	    cmocka_unit_test(test_policy_t_tls_3),
	    cmocka_unit_test(test_counts_t_tls_5),
	    cmocka_unit_test(test_sum_t_tls_8),
	    cmocka_unit_test(test_result_types_t_tls_4),
	    cmocka_unit_test(test_details_t_tls_2),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
