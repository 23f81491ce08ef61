/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/test_outputs_failure.c - failure and feedback reports as JSON and CSV: every key and column in both forms, texts that
 * strangers chose, samples that are no text. */
#include "failure_golden.h"
#include "failure_sample.h"

#include "outputs/encode.h"

static const struct tap_json_style line = {0};
static const struct tap_csv_style rows = {0}, rows4 = {.compat4 = true};

static struct tap_buf out;

static const char *json(const struct tap_json_style *s, const struct tap_failure *f)
{
	tap_buf_reset(&out);
	tap_json_failure(&out, s, &failure_meta, f, &sample_end, 4);
	assert_false(out.failed);
	return tap_buf_cstr(&out);
}

static void test_every_key(void **state)
{
	struct tap_json_style four = {.indent = 2, .compat4 = true};

	(void)state;
	assert_string_equal(json(&line, &full_failure), golden_full);
	assert_string_equal(json(&four, &full_failure), golden_compat);
	tap_buf_reset(&out);
	tap_json_failure(&out, &line, &failure_meta, &bare_failure, &sample_end, 0);
	expect_text(&out, golden_bare);
}

static void test_every_column(void **state)
{
	(void)state;
	tap_buf_reset(&out);
	tap_csv_failure_row(&out, &rows, &failure_meta, &full_failure, 4);
	expect_text(&out, golden_csv_full);
	tap_csv_failure_row(&out, &rows, &failure_meta, &bare_failure, 4);
	expect_text(&out, golden_csv_bare);
	tap_csv_failure_row(&out, &rows4, &failure_meta, &full_failure, 4);
	expect_text(&out, golden_csv_compat);
}

static size_t columns(const char *row)
{
	size_t n = 1;
	bool quoted = false;

	for (; *row != '\0'; row++) {
		if (*row == '"')
			quoted = !quoted;
		n += !quoted && *row == ',';
	}
	return n;
}

static void test_header(void **state)
{
	static const char documented[] =
	    "feedback_type,user_agent,version,original_envelope_id,original_mail_from,"
	    "original_rcpt_to,arrival_date,arrival_date_utc,subject,message_id,"
	    "authentication_results,dkim_domain,source_ip_address,source_country,"
	    "source_reverse_dns,source_base_domain,delivery_result,auth_failure,"
	    "reported_domain,authentication_mechanisms,sample_headers_only";

	(void)state;
	tap_buf_reset(&out);
	tap_csv_failure_header(&out, &rows4);
	assert_int_equal(columns(tap_buf_cstr(&out)), 21);
	assert_int_equal(columns(golden_csv_compat), 21);
	assert_memory_equal(out.p, documented, sizeof documented - 1);
	assert_string_equal(out.p + sizeof documented - 1, "\r\n");
	tap_buf_reset(&out);
	tap_csv_failure_header(&out, &rows);
	assert_memory_equal(tap_buf_cstr(&out), documented, sizeof documented - 1);
	assert_memory_equal(out.p + sizeof documented - 1, ",source_name,", 13);
	assert_int_equal(columns(out.p), columns(golden_csv_full));
	assert_int_equal(columns(out.p), columns(golden_csv_bare));
	assert_non_null(strstr(out.p, ",report_uid,revision,trust_auth,trusted\r\n"));
}

/* Bytes that are no UTF-8 never reach a text: today as base64, in the version 4 form as replacement characters. */
static void test_sample_that_is_no_text_t_js_3(void **state)
{
	static const char raw[] = "S: \xFFx\xC3\xA9\xE2\x82\xED\xA0\x80\r\n\0\xF4\x90\x80\x80\xC3";
	struct tap_json_style four = {.compat4 = true};
	struct tap_failure f = full_failure;
	const char *text;

	(void)state;
	f.sample = raw;
	f.sample_len = sizeof raw - 1;
	f.sample_utf8 = false;
	f.parsed = NULL;
	text = json(&line, &f);
	assert_non_null(strstr(text, "\"sample\":\"Uzog/3jDqeKC7aCADQoA9JCAgMM=\","));
	assert_non_null(strstr(text, "\"sample_encoding\":\"base64\",\"sample_bytes\":20,"));
	text = json(&four, &f);
#define BAD "\xEF\xBF\xBD"
	assert_non_null(strstr(text, "\"sample\":\"S: " BAD "x\xC3\xA9" BAD BAD BAD BAD BAD
				     "\\n\\u0000" BAD BAD BAD BAD BAD "\","));
}

static void test_long_sample_without_a_line_break(void **state)
{
	struct tap_json_style four = {.compat4 = true};
	struct tap_failure f = full_failure;
	const char *text;
	size_t n = 100000;
	char *raw = malloc(n);

	(void)state;
	assert_non_null(raw);
	for (size_t i = 0; i < n; i += 2) {
		raw[i] = '\xC3';
		raw[i + 1] = '\xA4';
	}
	f.sample = raw;
	f.sample_len = n;
	f.parsed = NULL;
	text = strstr(json(&four, &f), "\"sample\":\"");
	assert_non_null(text);
	assert_memory_equal(text + 10, raw, n);
	assert_memory_equal(text + 10 + n, "\",", 2);
	free(raw);
}

static void test_hostile_text(void **state)
{
	struct tap_failure f = full_failure;
	struct tap_sample p = full_sample;
	const char *text;

	(void)state;
	f.parsed = &p;
	f.user_agent = "</script>\"\\\x01\x7F\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA/";
	p.subject = "=HYPERLINK(\"http://example.net\")";
	text = json(&line, &f);
	assert_non_null(strstr(text, "\"user_agent\":\"</script>\\\"\\\\\\u0001\x7F\\u2028\\u2029"
				     "\xE2\x80\xAA/\","));
	tap_buf_reset(&out);
	tap_csv_failure_row(&out, &rows, &failure_meta, &f, 1);
	assert_non_null(
	    strstr(tap_buf_cstr(&out), ",\"'=HYPERLINK(\"\"http://example.net\"\")\","));
	tap_buf_reset(&out);
	tap_csv_failure_row(&out, &rows4, &failure_meta, &f, 1);
	assert_non_null(strstr(tap_buf_cstr(&out), ",\"=HYPERLINK(\"\"http://example.net\"\")\","));
}

/* A header field cannot take the place of a key that is ours, nor make a key twice. */
static void test_header_names(void **state)
{
	static const struct tap_pair headers[] = {
	    {"Headers", "1"},  {"ATTACHMENTS", "2"}, {"has_defects", "3"},     {"Body", "4"},
	    {"Reply-To", "5"}, {"Date_raw", "6"},    {"DKIM_signatures", "7"}, {"", "8"},
	    {"X-\"\\", "9"},
	};
	struct tap_failure f = full_failure;
	struct tap_sample p = full_sample;
	const char *text, *own, *end;

	(void)state;
	f.parsed = &p;
	p.headers = headers;
	p.n_headers = sizeof headers / sizeof *headers;
	text = json(&line, &f);
	own = strstr(text, "\"received\":[");
	end = strstr(text, "\"headers\":{");
	assert_non_null(own);
	assert_non_null(end);
	assert_string_equal(strstr(text, "\"has_defects\""), strstr(own, "\"has_defects\""));
	assert_true(end - own > 0);
	assert_non_null(strstr(own, "],\"x-\\\"\\\\\":\"9\",\"has_defects\":true,"));
	assert_non_null(strstr(end, "\"headers\":{\"Headers\":\"1\",\"ATTACHMENTS\":\"2\",\"has"));
}

static void test_payloads_are_stripped(void **state)
{
	struct tap_json_style s = {.strip_payloads = true},
			      four = {.strip_payloads = true, .compat4 = true};

	(void)state;
	assert_null(strstr(json(&s, &full_failure), "hallo"));
	assert_non_null(strstr(out.p, "\"filename\":\"a.txt\",\"payload\":null,\"binary\":false,"));
	assert_non_null(strstr(out.p, "\"payload_encoding\":null,"));
	assert_null(strstr(json(&four, &full_failure), "\"payload\""));
}

/* What version 4 guessed, and what stands there today. */
static void test_guesses_of_version_4_q175(void **state)
{
	struct tap_json_style four = {.compat4 = true};
	static const char *const none[] = {"None"};
	struct tap_failure f = full_failure;
	struct tap_list_of nothing = {0};

	(void)state;
	f.auth_failure = nothing;
	f.arrival = TAP_NO_TIME;
	f.identity_alignment = (struct tap_list_of){none, 1};
	assert_non_null(strstr(json(&line, &f), "\"auth_failure\":[],"));
	assert_non_null(strstr(out.p, "\"arrival_date_utc\":null,"));
	assert_non_null(strstr(out.p, "\"authentication_mechanisms\":[\"dkim\"],"));
	assert_non_null(strstr(out.p, "\"identity_alignment\":[\"None\"],"));
	assert_non_null(strstr(json(&four, &f), "\"auth_failure\":[\"dmarc\"],"));
	assert_non_null(strstr(out.p, "\"arrival_date_utc\":\"2026-06-02 09:14:00\","));
	assert_non_null(strstr(out.p, "\"authentication_mechanisms\":[],"));
}

static void expect_zone(bool has, int32_t minutes, const char *want)
{
	struct tap_failure f = full_failure;
	struct tap_sample p = full_sample;

	f.parsed = &p;
	p.has_zone = has;
	p.zone = minutes;
	assert_non_null(strstr(json(&line, &f), want));
}

static void test_zones(void **state)
{
	(void)state;
	expect_zone(true, 0, "\"timezone\":\"+0\",");
	expect_zone(true, -210, "\"timezone\":\"-3.5\",");
	expect_zone(true, 345, "\"timezone\":\"+5.75\",");
	expect_zone(true, -30, "\"timezone\":\"-0.5\",");
	expect_zone(true, 1, "\"timezone\":\"+0.01\",");
	expect_zone(false, 60, "\"timezone\":null,");
}

static void expect_subject(const char *subject, const char *want, const char *want4)
{
	struct tap_json_style four = {.compat4 = true};
	struct tap_failure f = full_failure;
	struct tap_sample p = full_sample;
	char text[1024];

	f.parsed = &p;
	p.subject = subject;
	(void)snprintf(text, sizeof text, "\"filename_safe_subject\":%s", want);
	assert_non_null(strstr(json(&line, &f), text));
	(void)snprintf(text, sizeof text, "\"filename_safe_subject\":%s}", want4);
	assert_non_null(strstr(json(&four, &f), text));
}

static void test_safe_subjects(void **state)
{
	char umlauts[402], want[128];

	(void)state;
	expect_subject(NULL, "null", "\"None\"");
	expect_subject("", "\"\"", "\"\"");
	expect_subject("..", "\"\"", "\"\"");
	expect_subject("../../etc/passwd", "\"etcpasswd\"", "\"....etcpasswd\"");
	expect_subject("a\\b/c:d\"e*f?g|h\ni\rj...", "\"abcdefghij\"", "\"abcdefghij\"");
	umlauts[0] = 'x';
	for (size_t i = 1; i < 401; i += 2)
		memcpy(umlauts + i, "\xC3\xA4", 3);
	(void)snprintf(want, sizeof want, "\"%.99s\"", umlauts); /* 100 would cut a character */
	{
		struct tap_failure f = full_failure;
		struct tap_sample p = full_sample;

		f.parsed = &p;
		p.subject = umlauts;
		assert_non_null(strstr(json(&line, &f), want));
	}
}

static void test_feedback_is_the_same_shape(void **state)
{
	struct tap_meta m = failure_meta;

	(void)state;
	m.kind = TAP_KIND_FEEDBACK;
	tap_buf_reset(&out);
	tap_json_failure(&out, &line, &m, &full_failure, &sample_end, 4);
	assert_memory_equal(tap_buf_cstr(&out), golden_full, sizeof golden_full - 16);
	assert_non_null(strstr(out.p, "\"kind\":\"feedback\"}"));
}

/* At any size of the buffer nothing is written behind it, and it says that it is too small. */
static void test_limits(void **state)
{
	struct tap_json_style four = {.indent = 2, .compat4 = true};

	(void)state;
	for (size_t max = 0; max < sizeof golden_full - 1; max += 7) {
		struct tap_buf b;

		tap_buf_init(&b, max);
		tap_json_failure(&b, &line, &failure_meta, &full_failure, &sample_end, 4);
		assert_true(b.failed);
		assert_true(b.len <= max);
		tap_buf_reset(&b);
		tap_csv_failure_row(&b, &rows, &failure_meta, &full_failure, 4);
		assert_true(b.failed == (max < sizeof golden_csv_full - 1));
		tap_buf_reset(&b);
		tap_json_failure(&b, &four, &failure_meta, &full_failure, &sample_end, 4);
		assert_true(b.failed || max >= sizeof golden_compat - 1);
		assert_true(b.len <= max);
		tap_buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_every_column),
	    cmocka_unit_test(test_header),
	    cmocka_unit_test(test_sample_that_is_no_text_t_js_3),
	    cmocka_unit_test(test_long_sample_without_a_line_break),
	    cmocka_unit_test(test_hostile_text),
	    cmocka_unit_test(test_header_names),
	    cmocka_unit_test(test_payloads_are_stripped),
	    cmocka_unit_test(test_guesses_of_version_4_q175),
	    cmocka_unit_test(test_zones),
	    cmocka_unit_test(test_safe_subjects),
	    cmocka_unit_test(test_feedback_is_the_same_shape),
	    cmocka_unit_test(test_limits),
	};
	int rc;

	tap_buf_init(&out, 1 << 20);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tap_buf_free(&out);
	return rc;
}
