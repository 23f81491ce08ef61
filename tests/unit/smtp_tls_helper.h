/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/smtp_tls_helper.h - reads a JSON document as SMTP TLS reports from memory and writes what came of it as lines, one a
 * field, so that a test looks for lines. */
#ifndef TAP_TESTS_SMTP_TLS_HELPER_H
#define TAP_TESTS_SMTP_TLS_HELPER_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/sha256.h"
#include "parser/authres.h"
#include "parser/smtp_tls.h"
#include "parser/work.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_reading {
	const char *p;
	size_t n, at, step;
	enum tap_rc fail_rc; /* of read, at fail_at */
	size_t fail_at;
	const char *filename;
	const struct tap_parse_limits *limits;
	const struct tap_hints *hints;
	struct tap_work *work;
	const struct tap_trust_rules *trust;
	int64_t now;
	enum tap_rc stop_rc; /* of the consumer, at detail stop_at */
	uint64_t stop_at;
	const char *note; /* of the container */

	unsigned begins, ends, aborts;
	uint64_t policies, details, expected_details, seen_details;
	bool open;
	FILE *out;
	char *lines;
	size_t lines_len;
	struct tap_document_result res;
	enum tap_rc rc;
	struct tap_err err;
};

static enum tap_rc tls_rewind(void *ctx, struct tap_err *err)
{
	(void)err;
	((struct tls_reading *)ctx)->at = 0;
	return TAP_OK;
}

static enum tap_rc tls_read(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct tls_reading *r = ctx;
	size_t left = r->n - r->at;

	*got_r = 0;
	if (r->fail_rc != TAP_OK) {
		if (r->at >= r->fail_at)
			return tap_err_set(err, r->fail_rc, "told to fail at %zu", r->fail_at);
		if (left > r->fail_at - r->at)
			left = r->fail_at - r->at;
	}
	if (n > left)
		n = left;
	if (r->step > 0 && n > r->step)
		n = r->step;
	memcpy(buf, r->p + r->at, n);
	r->at += n;
	*got_r = n;
	return TAP_OK;
}

static void tls_line(struct tls_reading *r, const char *name, const char *value)
{
	if (value)
		fprintf(r->out, "%s=%s\n", name, value);
}

static enum tap_rc tls_on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct tls_reading *r = ctx;

	(void)err;
	assert_false(r->open);
	r->open = true;
	r->begins++;
	r->policies = r->details = r->expected_details = r->seen_details = 0;
	assert_int_equal(m->kind, TAP_KIND_SMTP_TLS);
	assert_int_equal(strlen(m->uid), TAP_UID_HEX - 1);
	tls_line(r, "uid", m->uid);
	tls_line(r, "org", m->org_name);
	tls_line(r, "contact", m->email);
	tls_line(r, "id", m->report_id);
	tls_line(r, "domain", m->domain);
	fprintf(r->out, "begin=%lld %s\n", (long long)m->begin, m->begin_raw);
	fprintf(r->out, "end=%lld %s\n", (long long)m->end, m->end_raw);
	fprintf(r->out, "origin=%s %u.%u\n", m->origin.filename ? m->origin.filename : "-",
		m->origin.part, m->origin.document);
	fprintf(r->out, "trust=%s\n", tap_auth_state_name[m->trust.auth]);
	return TAP_OK;
}

static void tls_strings(struct tls_reading *r, const char *name, const char *const *list, size_t n)
{
	if (n == 0)
		return;
	fprintf(r->out, "%s=", name);
	for (size_t i = 0; i < n; i++)
		fprintf(r->out, "%s%s", i > 0 ? "|" : "", list[i]);
	fputc('\n', r->out);
}

static enum tap_rc tls_on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tls_reading *r = ctx;

	(void)err;
	assert_true(r->open);
	assert_int_equal(r->seen_details, r->expected_details);
	r->expected_details = p->n_details;
	r->seen_details = 0;
	r->policies++;
	fprintf(r->out, "policy %u %s %s ok=%llu failed=%llu details=%llu\n", p->index,
		p->policy_type ? p->policy_type : "NULL",
		p->policy_domain ? p->policy_domain : "NULL", (unsigned long long)p->successful,
		(unsigned long long)p->failed, (unsigned long long)p->n_details);
	tls_strings(r, "strings", p->policy_strings, p->n_policy_strings);
	tls_strings(r, "mx", p->mx_hosts, p->n_mx_hosts);
	return TAP_OK;
}

static enum tap_rc tls_on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tls_reading *r = ctx;

	assert_true(r->open);
	r->seen_details++;
	r->details++;
	if (r->stop_rc != TAP_OK && d->index == r->stop_at)
		return tap_err_set(err, r->stop_rc, "the consumer is full");
	if (r->details > 100)
		return TAP_OK; /* a test of many looks at their number alone */
	fprintf(r->out, "detail %u.%llu %s failed=%llu\n", d->policy, (unsigned long long)d->index,
		d->result_type, (unsigned long long)d->failed);
	tls_line(r, "sending", d->sending_mta_ip);
	tls_line(r, "receiving", d->receiving_ip);
	tls_line(r, "mx_name", d->receiving_mx_hostname);
	tls_line(r, "helo", d->receiving_mx_helo);
	tls_line(r, "info", d->additional_info);
	tls_line(r, "reason", d->failure_reason_code);
	return TAP_OK;
}

static enum tap_rc tls_on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct tls_reading *r = ctx;
	char hex[2 * TAP_HASH_BYTES + 1];

	(void)err;
	assert_true(r->open);
	r->open = false;
	r->ends++;
	assert_int_equal(r->seen_details, r->expected_details);
	assert_int_equal(r->policies, e->records);
	assert_int_equal(r->details, e->details);
	fprintf(r->out, "policies=%llu details=%llu dropped=%llu sessions=%llu passed=%llu\n",
		(unsigned long long)e->records, (unsigned long long)e->details,
		(unsigned long long)e->dropped, (unsigned long long)e->messages,
		(unsigned long long)e->passed);
	tap_hex(e->content_hash, TAP_HASH_BYTES, hex);
	fprintf(r->out, "content=%s %llu\n", hex, (unsigned long long)e->content_bytes);
	fprintf(r->out, "warnings=%llu\n", (unsigned long long)e->warnings_total);
	assert_true(e->n_warnings <= e->warnings_total);
	for (size_t i = 0; i < e->n_warnings; i++)
		fprintf(r->out, "! %s: %s\n", e->warnings[i].where, e->warnings[i].what);
	return TAP_OK;
}

static void tls_on_abort(void *ctx, const struct tap_err *why)
{
	struct tls_reading *r = ctx;

	assert_true(r->open);
	assert_true(why->msg[0] != '\0');
	r->open = false;
	r->aborts++;
	fprintf(r->out, "abort\n");
}

static const struct tap_events tls_events = {
    .begin = tls_on_begin,
    .end = tls_on_end,
    .abort = tls_on_abort,
    .tls_policy = tls_on_policy,
    .tls_detail = tls_on_detail,
};

static void tls_read_once(struct tls_reading *r)
{
	const struct tap_parse_limits *limits = r->limits ? r->limits : &tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = limits, .now = r->now, .trust = r->trust};
	struct tap_document doc = {.rewind = tls_rewind,
				   .read = tls_read,
				   .ctx = r,
				   .origin = {.filename = r->filename},
				   .hints = r->hints,
				   .work = r->work};

	if (r->note)
		tap_document_note(&doc, r->note);
	r->begins = r->ends = r->aborts = 0;
	r->open = false;
	free(r->lines);
	r->out = open_memstream(&r->lines, &r->lines_len);
	assert_non_null(r->out);
	r->rc = tap_smtp_tls_read(&doc, &opt, &tls_events, r, &r->res, &r->err);
	fclose(r->out);
	if (r->open)
		assert_int_not_equal(r->rc, TAP_OK);
	if (r->rc == TAP_OK) {
		assert_int_equal(r->res.reports, r->ends);
		assert_int_equal(r->begins, r->ends + r->aborts);
		assert_int_equal(r->res.verdict == TAP_DOC_REPORT, r->ends > 0);
		if (r->res.verdict != TAP_DOC_REPORT) {
			assert_int_equal(r->res.verdict == TAP_DOC_BROKEN, r->res.broken > 0);
			assert_true(r->res.why[0] != '\0');
		}
	}
}

static void tls_free(struct tls_reading *r)
{
	free(r->lines);
	r->lines = NULL;
}

/* A whole line; one that begins with '!' may go on. */
static bool tls_has(const char *lines, const char *want)
{
	size_t n = strlen(want);

	for (const char *p = lines; (p = strstr(p, want)) != NULL; p++)
		if ((p == lines || p[-1] == '\n') && (want[0] == '!' || p[n] == '\n'))
			return true;
	return false;
}

struct tls_case {
	const char *name, *doc;
	/* "report", "not a report", "broken", "why=…" (a part of it), "-line" (must not be there), else a line */
	const char *want[12];
};

static void tls_check(const struct tls_case *c, struct tls_reading *r)
{
	static const char *const verdict[] = {"report", "not a report", "broken"};

	tls_read_once(r);
	assert_int_equal(r->rc, TAP_OK);
	for (size_t i = 0; i < 12 && c->want[i]; i++) {
		const char *w = c->want[i];
		bool good;

		if (!strncmp(w, "why=", 4))
			good = strstr(r->res.why, w + 4) != NULL;
		else if (!strcmp(w, "report") || !strcmp(w, "not a report") || !strcmp(w, "broken"))
			good = !strcmp(w, verdict[r->res.verdict]);
		else if (*w == '-')
			good = !tls_has(r->lines, w + 1);
		else
			good = tls_has(r->lines, w);
		if (!good)
			fail_msg("%s: wanted \"%s\", got %s, why \"%s\":\n%s", c->name, w,
				 verdict[r->res.verdict], r->res.why, r->lines);
	}
}

static void tls_check_cases(const struct tls_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tls_reading r = {.p = c[i].doc, .n = strlen(c[i].doc)};

		tls_check(&c[i], &r);
		tls_free(&r);
	}
}

/* Pieces of documents. */
#define T_DATES                                                                                    \
	"\"date-range\":{\"start-datetime\":\"2026-06-02T00:00:00Z\","                             \
	"\"end-datetime\":\"2026-06-02T23:59:59Z\"}"
#define T_ORG	  "\"organization-name\":\"Sender Ltd.\""
#define T_CONTACT "\"contact-info\":\"tls@sender.example\""
#define T_ID	  "\"report-id\":\"r1\""
#define T_HEAD	  T_ORG "," T_DATES "," T_CONTACT "," T_ID
#define T_POLICY  "\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"example.com\"}"
#define T_SUM                                                                                      \
	"\"summary\":{\"total-successful-session-count\":10,\"total-failure-session-count\":3}"
#define T_DETAIL       "{\"result-type\":\"certificate-expired\",\"failed-session-count\":3}"
#define T_DETAILS      "\"failure-details\":[" T_DETAIL "]"
#define T_ITEM	       "{" T_POLICY "," T_SUM "," T_DETAILS "}"
#define T_DOC(head, x) "{" head ",\"policies\":" x "}"
#define T_GOOD	       T_DOC(T_HEAD, "[" T_ITEM "]")
#define T_WITH(item)   T_DOC(T_HEAD, "[" item "]")

#endif
