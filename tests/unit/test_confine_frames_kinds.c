/* SPDX-License-Identifier: Apache-2.0
 * Frames of failure, feedback and SMTP TLS reports: what goes in comes out, each kind in its own order, and lies are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "confine/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char uid[] = "0123456789abcdef0123456789abcdef01234567";
static const char hash[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char raw_sample[] = "From: a\r\n\r\n\0\xff raw";
static const char raw_payload[] = "\x89PNG\r\n\x1a\n\0";

static struct tap_meta meta_of(enum tap_kind kind)
{
	struct tap_meta m = {.kind = kind,
			     .org_name = "example.net",
			     .begin_raw = "2026-01-01T00:00:00Z",
			     .end_raw = "2026-01-01T23:59:59Z",
			     .trust = {.auth = TAP_AUTH_PASS,
				       .dmarc = TAP_AUTH_NONE,
				       .dkim_domains = {"example.net", "mail.example.net"},
				       .n_dkim_domains = 2,
				       .from_domain = "example.net",
				       .reporter = TAP_AGREE_YES,
				       .names = TAP_AGREE_NO,
				       .foreign = true,
				       .trusted = true}};

	memcpy(m.uid, uid, sizeof uid);
	return m;
}

static const char *const words[] = {"one", "two", ""};
static const struct tap_mailbox boxes[] = {{"Größe", "a@example.org", "a", "example.org"},
					   {"", "<nobody>", NULL, NULL}};
static const struct tap_pair pairs[] = {{"Subject", "héllo"}, {"X-Empty", ""}};
static const struct tap_hop hops[] = {
    {"a.example", "b.example", "ESMTP", "id1", "<x@example.org>", "tcp", "Mon", 1700000000, 0, 1},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, TAP_NO_TIME, -5, 2}};
static const struct tap_spf_dns spf[] = {{"txt", "example.org", "v=spf1 -all", "raw 1"},
					 {NULL, NULL, NULL, "?"}};

static void fill_sample(struct tap_sample *s, struct tap_attachment a[2])
{
	const struct tap_mailboxes two = {boxes, 2};

	memset(a, 0, 2 * sizeof *a);
	a[0] = (struct tap_attachment){.filename = "x.png",
				       .content_type = "image/png",
				       .content_id = "cid",
				       .disposition = "attachment",
				       .charset = "binary",
				       .encoding = "base64",
				       .size = 10,
				       .payload = raw_payload,
				       .payload_len = sizeof raw_payload,
				       .damaged = true};
	memcpy(a[0].sha256, hash, sizeof hash);
	a[1].payload = "plain\r\n";
	a[1].payload_len = 7;
	a[1].text = true;
	*s = (struct tap_sample){.from = two,
				 .to = {boxes, 1},
				 .cc = {boxes + 1, 1},
				 .reply_to = two,
				 .delivered_to = {boxes, 1},
				 .to_domains = {words, 1},
				 .subject = "a subject",
				 .message_id = "<m@example.org>",
				 .date = "Mon, 1 Jan 2026 00:00:00 -0330",
				 .time = 1767238200,
				 .has_zone = true,
				 .zone = -210,
				 .body = "line\nline\ttab",
				 .has_defects = true,
				 .received = hops,
				 .n_received = 2,
				 .headers = pairs,
				 .n_headers = 2,
				 .attachments = a,
				 .n_attachments = 2,
				 .authentication_results = {words, 2},
				 .dkim_signatures = {words + 1, 2}};
}

/* Every member has a value of its own. */
static struct tap_failure rich_failure(const struct tap_sample *s)
{
	struct tap_failure f = {.format = TAP_FORMAT_EXIM_TEXT,
				.feedback_type = "auth-failure",
				.user_agent = "ua",
				.version = "1",
				.original_envelope_id = "env",
				.original_mail_from = "",
				.original_rcpt_to = {words, 2},
				.arrival_date = "then",
				.arrival = 1767225600,
				.message_id = "<f@example.org>",
				.authentication_results = {words, 3},
				.delivery_result = "reject",
				.delivery_result_raw = "Reject!",
				.auth_failure = {words, 1},
				.identity_alignment = {words + 1, 1},
				.alignment_known = true,
				.aligned_mechanisms = {words + 1, 2},
				.failed_mechanisms = {words, 1},
				.reported_domain = {words, 2},
				.reported_uri = {words + 2, 1},
				.reporting_mta_type = "dns",
				.reporting_mta = "mx.example.net",
				.dkim_domain = "d.example",
				.dkim_identity = "@d.example",
				.dkim_selector = "sel",
				.dkim_selector_dns = "v=DKIM1",
				.dkim_adsp_dns = "dkim=all",
				.dkim_header = {.given = true, .size = 12},
				.dkim_body = {.given = true, .size = 34},
				.spf_dns = spf,
				.n_spf_dns = 2,
				.source_ip = "2001:db8::7",
				.source_ip_raw = "2001:DB8::7",
				.source_ip_from_sample = true,
				.source_port = 25,
				.incidents = 17,
				.extra = pairs,
				.n_extra = 2,
				.human_text = "words for people",
				.sample = raw_sample,
				.sample_len = sizeof raw_sample,
				.sample_headers_only = true,
				.sample_damaged = true,
				.parsed = s,
				.source = {.country = "DE", .asn = 64500}};

	memcpy(f.dkim_header.sha256, hash, sizeof hash);
	return f;
}

static const struct tap_tls_policy policies[] = {
    {0, "sts", "example.org", words, 3, words, 1, 100, 5, 2},
    {3, NULL, NULL, NULL, 0, NULL, 0, INT64_MAX, 0, 0},
};
static const struct tap_tls_detail details[] = {
    {0, 0, "starttls-not-supported", 3, "192.0.2.1", "2001:db8::1", "mx", "helo", "info", "code"},
    {0, 4, NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL},
};

/* A failure report (begun twice), a feedback report without a sample, an SMTP TLS report and one without policies. */
static void play(const struct tap_events *ev, void *ctx)
{
	struct tap_report_end e = {.messages = 17};
	const struct tap_err why = {.rc = TAP_E_DATA, .msg = "again"};
	struct tap_attachment a[2];
	struct tap_failure f, bare = {.feedback_type = "abuse",
				      .arrival = TAP_NO_TIME,
				      .source_port = -1,
				      .incidents = 1};
	struct tap_sample s;
	struct tap_meta m = meta_of(TAP_KIND_FAILURE);
	struct tap_err err;

	fill_sample(&s, a);
	f = rich_failure(&s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
		assert_int_equal(ev->failure(ctx, &f, &err), TAP_OK);
		if (i == 0)
			ev->abort(ctx, &why);
	}
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
	m = meta_of(TAP_KIND_FEEDBACK);
	m.trust = (struct tap_trust){.auth = TAP_AUTH_FAIL};
	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	assert_int_equal(ev->failure(ctx, &bare, &err), TAP_OK);
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
	m = meta_of(TAP_KIND_SMTP_TLS);
	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	assert_int_equal(ev->tls_policy(ctx, &policies[0], &err), TAP_OK);
	assert_int_equal(ev->tls_detail(ctx, &details[0], &err), TAP_OK);
	assert_int_equal(ev->tls_detail(ctx, &details[1], &err), TAP_OK);
	assert_int_equal(ev->tls_policy(ctx, &policies[1], &err), TAP_OK);
	e = (struct tap_report_end){.records = 2, .details = 2, .messages = 105, .passed = 100};
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
	assert_int_equal(ev->begin(ctx, &m, &err), TAP_OK);
	e = (struct tap_report_end){0};
	assert_int_equal(ev->end(ctx, &e, &err), TAP_OK);
}

static const struct tap_parse_result result = {.verdict = TAP_V_REPORT,
					       .reports = 4,
					       .kinds = 14,
					       .unauthenticated = TAP_KIND_FEEDBACK,
					       .foreign = true};

static void encode(struct tap_buf *out)
{
	struct tap_frame_writer w = {.out = out};
	struct tap_err err;

	tap_buf_init(out, 1 << 20);
	play(&tap_frame_writer_events, &w);
	assert_int_equal(tap_frame_write_result(&w, TAP_OK, &result, &err), TAP_OK);
}

static void round_trip_of_every_member(void **state)
{
	struct tap_buf bytes, again;
	struct tap_frame_writer w = {.out = &again};

	(void)state;
	encode(&bytes);
	for (size_t step = 1; step <= bytes.len; step = step * 2 + 1) {
		struct tap_frame_reader *r = tap_frame_reader_new(&tap_frame_writer_events, &w);
		struct tap_parse_result res;
		struct tap_err err;
		enum tap_rc far;

		tap_buf_init(&again, 1 << 20);
		for (size_t i = 0; i < bytes.len; i += step)
			assert_int_equal(
			    tap_frame_reader_input(
				r, bytes.p + i, bytes.len - i < step ? bytes.len - i : step, &err),
			    TAP_OK);
		assert_true(tap_frame_reader_result(r, &far, &res));
		assert_int_equal(res.kinds, result.kinds);
		assert_int_equal(res.unauthenticated, result.unauthenticated);
		assert_true(res.foreign);
		assert_int_equal(tap_frame_write_result(&w, far, &res, &err), TAP_OK);
		assert_int_equal(again.len, bytes.len);
		assert_memory_equal(again.p, bytes.p, bytes.len);
		tap_frame_reader_free(&r);
		tap_buf_free(&again);
	}
	tap_buf_free(&bytes);
}

/* What comes out, looked at where byte for byte equality says too little. */
struct seen {
	int failures, policies, details;
};

static enum tap_rc see_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	(void)ctx;
	(void)err;
	if (m->kind != TAP_KIND_FAILURE)
		return TAP_OK;
	assert_true(m->trust.trusted && m->trust.foreign);
	assert_int_equal(m->trust.auth, TAP_AUTH_PASS);
	assert_int_equal(m->trust.n_dkim_domains, 2);
	assert_string_equal(m->trust.dkim_domains[1], "mail.example.net");
	assert_string_equal(m->trust.from_domain, "example.net");
	assert_string_equal(m->begin_raw, "2026-01-01T00:00:00Z");
	return TAP_OK;
}

static enum tap_rc see_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct seen *s = ctx;

	(void)err;
	s->failures++;
	if (strcmp(f->feedback_type, "abuse") == 0) {
		assert_null(f->sample);
		assert_null(f->parsed);
		assert_int_equal(f->source_port, -1);
		assert_true(f->arrival == TAP_NO_TIME);
		return TAP_OK;
	}
	assert_int_equal(f->sample_len, sizeof raw_sample);
	assert_memory_equal(f->sample, raw_sample, sizeof raw_sample);
	assert_string_equal(f->original_mail_from, "");
	assert_int_equal(f->authentication_results.n, 3);
	assert_string_equal(f->failed_mechanisms.item[0], "one");
	assert_string_equal(f->dkim_header.sha256, hash);
	assert_string_equal(f->dkim_body.sha256, "");
	assert_int_equal(f->parsed->zone, -210);
	assert_int_equal(f->parsed->n_attachments, 2);
	assert_int_equal(f->parsed->attachments[0].payload_len, sizeof raw_payload);
	assert_memory_equal(f->parsed->attachments[0].payload, raw_payload, sizeof raw_payload);
	assert_true(f->parsed->attachments[1].text);
	assert_int_equal(f->parsed->received[1].delay, -5);
	assert_string_equal(f->parsed->headers[0].value, "héllo");
	assert_string_equal(f->parsed->from.item[0].domain, "example.org");
	assert_string_equal(f->source.country, "DE");
	return TAP_OK;
}

static enum tap_rc see_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	(void)err;
	((struct seen *)ctx)->policies++;
	if (p->index == 0) {
		assert_int_equal(p->n_policy_strings, 3);
		assert_int_equal(p->n_mx_hosts, 1);
		assert_int_equal(p->failed, 5);
	}
	return TAP_OK;
}

static enum tap_rc see_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	(void)err;
	assert_int_equal(d->index, 4 * ((struct seen *)ctx)->details++);
	return TAP_OK;
}

static enum tap_rc see_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	(void)ctx;
	(void)e;
	(void)err;
	return TAP_OK;
}

static void what_comes_out(void **state)
{
	static const struct tap_events ev = {.begin = see_begin,
					     .end = see_end,
					     .failure = see_failure,
					     .tls_policy = see_policy,
					     .tls_detail = see_detail};
	struct seen s = {0};
	struct tap_frame_reader *r = tap_frame_reader_new(&ev, &s);
	struct tap_buf bytes;
	struct tap_err err;

	(void)state;
	encode(&bytes);
	assert_int_equal(tap_frame_reader_input(r, bytes.p, bytes.len, &err), TAP_OK);
	assert_int_equal(s.failures, 3);
	assert_int_equal(s.policies, 2);
	assert_int_equal(s.details, 2);
	tap_frame_reader_free(&r);
	tap_buf_free(&bytes);
}

/* Any byte changed: the same shape, or an error; and never a crash (the sanitizers see to that). */
static void damage_is_an_error(void **state)
{
	static const struct tap_events none;
	struct tap_buf bytes;
	size_t refused = 0;

	(void)state;
	encode(&bytes);
	for (size_t at = 0; at < bytes.len; at++) {
		char was = bytes.p[at];

		for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
			struct tap_frame_reader *r = tap_frame_reader_new(&none, NULL);
			struct tap_err err;
			enum tap_rc rc;

			bytes.p[at] = (char)(was ^ (char)flip);
			rc = tap_frame_reader_input(r, bytes.p, bytes.len, &err);
			assert_true(rc == TAP_OK || rc == TAP_E_DATA);
			refused += rc == TAP_E_DATA;
			tap_frame_reader_free(&r);
		}
		bytes.p[at] = was;
	}
	assert_true(refused > bytes.len);
	tap_buf_free(&bytes);
}

/* ---- order ---- */

enum step { BEGIN, RECORD, FAILURE, POLICY, DETAIL, END, STOP };

static enum tap_rc run_steps(enum tap_kind kind, const enum step *steps, struct tap_report_end e,
			     struct tap_err *err)
{
	static const struct tap_events none;
	struct tap_frame_reader *r = tap_frame_reader_new(&none, NULL);
	struct tap_record rec = {.source_ip = "192.0.2.1"};
	struct tap_failure f = {.feedback_type = "abuse", .source_port = -1};
	struct tap_tls_policy p = {.n_details = 1};
	struct tap_tls_detail d = {0};
	struct tap_meta m = meta_of(kind);
	struct tap_frame_writer w;
	struct tap_buf b;
	enum tap_rc rc;

	tap_buf_init(&b, 1 << 20);
	w = (struct tap_frame_writer){.out = &b};
	for (; *steps != STOP; steps++) {
		rc = *steps == BEGIN	 ? tap_frame_writer_events.begin(&w, &m, err)
		     : *steps == RECORD	 ? tap_frame_writer_events.record(&w, &rec, err)
		     : *steps == FAILURE ? tap_frame_writer_events.failure(&w, &f, err)
		     : *steps == POLICY	 ? tap_frame_writer_events.tls_policy(&w, &p, err)
		     : *steps == DETAIL	 ? tap_frame_writer_events.tls_detail(&w, &d, err)
					 : tap_frame_writer_events.end(&w, &e, err);
		assert_int_equal(rc, TAP_OK);
	}
	rc = tap_frame_reader_input(r, b.p, b.len, err);
	tap_frame_reader_free(&r);
	tap_buf_free(&b);
	return rc;
}

static void each_kind_has_its_order(void **state)
{
	static const struct {
		enum tap_kind kind;
		enum step steps[6];
		uint64_t records, details;
		const char *bad; /* NULL = fine */
	} cases[] = {
	    {TAP_KIND_AGGREGATE, {BEGIN, RECORD, END, STOP}, 1, 0, NULL},
	    {TAP_KIND_AGGREGATE, {BEGIN, FAILURE, STOP}, 0, 0, "failure frame is out of order"},
	    {TAP_KIND_AGGREGATE, {BEGIN, POLICY, STOP}, 0, 0, "policy frame is out of order"},
	    {TAP_KIND_AGGREGATE, {BEGIN, DETAIL, STOP}, 0, 0, "detail frame is out of order"},
	    {TAP_KIND_FAILURE, {BEGIN, FAILURE, END, STOP}, 0, 0, NULL},
	    {TAP_KIND_FEEDBACK, {BEGIN, FAILURE, END, STOP}, 0, 0, NULL},
	    {TAP_KIND_FAILURE, {BEGIN, END, STOP}, 0, 0, "no failure part"},
	    {TAP_KIND_FAILURE, {BEGIN, FAILURE, FAILURE, STOP}, 0, 0, "out of order"},
	    {TAP_KIND_FAILURE, {BEGIN, RECORD, STOP}, 0, 0, "record frame is out of order"},
	    {TAP_KIND_FAILURE, {BEGIN, FAILURE, END, STOP}, 1, 0, "number of records"},
	    {TAP_KIND_FEEDBACK, {FAILURE, STOP}, 0, 0, "out of order"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, POLICY, DETAIL, END, STOP}, 1, 1, NULL},
	    {TAP_KIND_SMTP_TLS, {BEGIN, END, STOP}, 0, 0, NULL},
	    {TAP_KIND_SMTP_TLS, {BEGIN, POLICY, END, STOP}, 1, 0, "number of details"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, POLICY, POLICY, STOP}, 1, 0, "policy frame is out"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, POLICY, DETAIL, DETAIL, STOP}, 1, 2, "detail frame is out"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, POLICY, DETAIL, POLICY, STOP}, 1, 1, "does not rise"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, DETAIL, STOP}, 0, 1, "detail frame is out"},
	    {TAP_KIND_SMTP_TLS, {BEGIN, FAILURE, STOP}, 0, 0, "failure frame is out"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tap_report_end e = {.records = cases[i].records,
					   .details = cases[i].details};
		struct tap_err err = {0};
		enum tap_rc rc = run_steps(cases[i].kind, cases[i].steps, e, &err);

		if (rc != (cases[i].bad ? TAP_E_DATA : TAP_OK) ||
		    (cases[i].bad && strstr(err.msg, cases[i].bad) == NULL))
			fail_msg("case %zu: %d '%s'", i, rc, err.msg);
	}
}

/* ---- lies ---- */

static void refuse_failure(const struct tap_failure *f, const struct tap_meta *m, const char *text)
{
	static const struct tap_events none;
	struct tap_frame_reader *r = tap_frame_reader_new(&none, NULL);
	struct tap_frame_writer w;
	struct tap_buf b;
	struct tap_err err;

	tap_buf_init(&b, 1 << 20);
	w = (struct tap_frame_writer){.out = &b};
	assert_int_equal(tap_frame_writer_events.begin(&w, m, &err), TAP_OK);
	assert_int_equal(tap_frame_writer_events.failure(&w, f, &err), TAP_OK);
	assert_int_equal(tap_frame_reader_input(r, b.p, b.len, &err), TAP_E_DATA);
	if (strstr(err.msg, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, err.msg);
	tap_frame_reader_free(&r);
	tap_buf_free(&b);
}

static void lies_are_refused(void **state)
{
	struct tap_meta m = meta_of(TAP_KIND_FAILURE);
	struct tap_attachment a[2];
	struct tap_sample s;
	struct tap_failure f;

	(void)state;
	fill_sample(&s, a);
	f = rich_failure(&s);
	f.sample_utf8 = true;
	refuse_failure(&f, &m, "the sample is no text");
	f = rich_failure(&s);
	a[0].text = true;
	refuse_failure(&f, &m, "an attachment is no text");
	fill_sample(&s, a);
	a[0].sha256[3] = 'G';
	refuse_failure(&f, &m, "a hash is none");
	fill_sample(&s, a);
	f.source_port = 65536;
	refuse_failure(&f, &m, "a port is none");
	f = rich_failure(&s);
	f.source_ip = "192.0.2.999";
	refuse_failure(&f, &m, "an address is none");
	f = rich_failure(&s);
	f.format = (enum tap_failure_format)TAP_FORMAT_N;
	refuse_failure(&f, &m, "a code is unknown");
	/* Trust that nothing supports. */
	f = rich_failure(&s);
	m.trust.auth = TAP_AUTH_FAIL;
	refuse_failure(&f, &m, "contradicts itself");
	m = meta_of(TAP_KIND_FAILURE);
	m.trust.reporter = TAP_AGREE_UNKNOWN;
	refuse_failure(&f, &m, "contradicts itself");
}

/* Attachments and sample at the parser's limits fit; what does not is an error of the writer, and the stream stays readable. */
static void the_largest_failure(void **state)
{
	static char big[17 << 20];
	struct tap_meta m = meta_of(TAP_KIND_FAILURE);
	struct tap_report_end e = {.messages = 17};
	struct tap_parse_result res = {.verdict = TAP_V_REPORT};
	struct tap_attachment a[2];
	struct tap_failure f;
	struct tap_sample s;
	struct tap_frame_writer w;
	struct tap_frame_reader *r;
	struct tap_buf b;
	struct tap_err err;
	static const struct tap_events none;

	(void)state;
	memset(big, 'x', sizeof big - 1);
	fill_sample(&s, a);
	f = rich_failure(&s);
	f.sample = big;
	f.sample_len = 4 << 20;
	a[0].payload = big;
	a[0].payload_len = 3 << 20;
	s.body = big + sizeof big - 1 - (2 << 20);
	tap_buf_init(&b, 64 << 20);
	w = (struct tap_frame_writer){.out = &b};
	assert_int_equal(tap_frame_writer_events.begin(&w, &m, &err), TAP_OK);
	assert_int_equal(tap_frame_writer_events.failure(&w, &f, &err), TAP_OK);
	f.sample_len = 16 << 20;
	assert_int_equal(tap_frame_writer_events.failure(&w, &f, &err), TAP_E_LIMIT);
	assert_int_equal(tap_frame_writer_events.end(&w, &e, &err), TAP_OK);
	assert_int_equal(tap_frame_write_result(&w, TAP_OK, &res, &err), TAP_OK);
	r = tap_frame_reader_new(&none, NULL);
	assert_int_equal(tap_frame_reader_input(r, b.p, b.len, &err), TAP_OK);
	tap_frame_reader_free(&r);
	tap_buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip_of_every_member), cmocka_unit_test(what_comes_out),
	    cmocka_unit_test(damage_is_an_error),	  cmocka_unit_test(each_kind_has_its_order),
	    cmocka_unit_test(lies_are_refused),		  cmocka_unit_test(the_largest_failure),
	};
	return cmocka_run_group_tests_name("confine frames of the other kinds", tests, NULL, NULL);
}
