/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/aggregate_helper.h - reads an aggregate document from memory and writes what came of it as lines, one a field, so
 * that a test looks for lines. Each document is read in pieces of 1 byte, 7 bytes and 64 KiB, which must give the same lines.
 * The consumer checks the contract of parser/events.h and drops what it staged at an abort. Include after cmocka.h. */
#ifndef TAP_TESTS_AGGREGATE_HELPER_H
#define TAP_TESTS_AGGREGATE_HELPER_H

#include "base/sha256.h"
#include "parser/aggregate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tap_parse_limits helper_limits = {
    .records = 1000000,
    .dkim_results = 1000,
    .spf_results = 100,
    .reasons = 100,
    .text = 8192,
    .long_text = 65536,
    .xml_depth = 64,
    .extension_depth = 16,
    .extension_bytes = 65536,
    .warnings = 100,
};

struct reading {
	/* in */
	const char *p;
	size_t n, step;
	const struct tap_parse_limits *limits;
	const char *filename;
	int64_t now;
	enum tap_rc fail_rc; /* what read says at fail_at instead of more bytes */
	size_t fail_at;
	int stop_at_record; /* the consumer refuses this one; -1 = none */
	/* state */
	size_t at;
	bool open;
	uint64_t next_index;
	FILE *out;
	char *text;
	size_t text_len;
	/* out */
	unsigned begins, records, ends, aborts;
	struct tap_document_result res;
	enum tap_rc rc;
	struct tap_err err;
	char *lines;
};

static enum tap_rc helper_rewind(void *ctx, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	r->at = 0;
	return TAP_OK;
}

static enum tap_rc helper_read(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct reading *r = ctx;
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
	if (n > r->step)
		n = r->step;
	if (n > 0)
		memcpy(buf, r->p + r->at, n);
	r->at += n;
	*got_r = n;
	return TAP_OK;
}

static void line(struct reading *r, const char *name, const char *value)
{
	if (value)
		fprintf(r->out, "%s=%s\n", name, value);
}

static void text_line(struct reading *r, const char *name, const struct tap_text *t)
{
	char lang[64];

	line(r, name, t->text);
	if (t->lang) {
		snprintf(lang, sizeof(lang), "%s@lang", name);
		line(r, lang, t->lang);
	}
}

static enum tap_rc helper_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	assert_false(r->open);
	r->open = true;
	r->next_index = 0;
	r->begins++;
	r->text = NULL;
	r->out = open_memstream(&r->text, &r->text_len);
	assert_int_equal(m->kind, TAP_KIND_AGGREGATE);
	assert_int_equal(strlen(m->uid), TAP_UID_HEX - 1);
	line(r, "uid", m->uid);
	line(r, "schema", tap_schema_name[m->schema]);
	line(r, "version", m->version);
	line(r, "namespace", m->xml_namespace);
	line(r, "org_name", m->org_name);
	line(r, "email", m->email);
	line(r, "report_id", m->report_id);
	line(r, "generator", m->generator);
	text_line(r, "contact", &m->extra_contact_info);
	fprintf(r->out, "begin=%lld\nend=%lld\n", (long long)m->begin, (long long)m->end);
	for (size_t i = 0; i < m->n_errors; i++)
		text_line(r, "error", &m->errors[i]);
	for (size_t i = 0; i < m->n_receiving_domains; i++)
		line(r, "receiving", m->receiving_domains[i]);
	line(r, "domain", m->domain);
	line(r, "version_published", m->version_published);
	line(r, "discovery", m->discovery_method);
	line(r, "p", m->p);
	line(r, "sp", m->sp);
	line(r, "np", m->np);
	line(r, "adkim", m->adkim);
	line(r, "aspf", m->aspf);
	line(r, "pct", m->pct);
	line(r, "fo", m->fo);
	line(r, "testing", m->testing);
	return TAP_OK;
}

static enum tap_rc helper_record(void *ctx, const struct tap_record *d, struct tap_err *err)
{
	struct reading *r = ctx;

	assert_true(r->open);
	assert_true(d->index >= r->next_index);
	assert_true(d->count <= INT64_MAX);
	r->next_index = d->index + 1;
	if (r->stop_at_record >= 0 && d->index == (uint64_t)r->stop_at_record)
		return tap_err_set(err, TAP_E_TEMP, "the consumer is full");
	r->records++;
	fprintf(r->out, "record %llu\n", (unsigned long long)d->index);
	line(r, "ip", d->source_ip);
	line(r, "ip_raw", d->source_ip_raw);
	fprintf(r->out, "count=%llu\n", (unsigned long long)d->count);
	line(r, "disposition", d->disposition);
	fprintf(r->out, "aligned=%s %s\n", d->dkim_aligned ? "pass" : "fail",
		d->spf_aligned ? "pass" : "fail");
	fprintf(r->out, "evaluated=%d\n", d->evaluated);
	for (size_t i = 0; i < d->n_reasons; i++) {
		line(r, "reason", d->reasons[i].type ? d->reasons[i].type : "NULL");
		text_line(r, "comment", &d->reasons[i].comment);
	}
	line(r, "header_from", d->header_from);
	line(r, "envelope_from", d->envelope_from);
	line(r, "envelope_to", d->envelope_to);
	for (int spf = 0; spf < 2; spf++) {
		const struct tap_auth_result *v = spf ? d->spf : d->dkim;

		for (size_t i = 0; i < (spf ? d->n_spf : d->n_dkim); i++) {
			fprintf(r->out, "%s=%s %s %s\n", spf ? "spf" : "dkim",
				v[i].domain ? v[i].domain : "NULL",
				v[i].label ? v[i].label : "NULL",
				v[i].result ? v[i].result : "NULL");
			text_line(r, "human", &v[i].human_result);
		}
	}
	line(r, "record_extension", d->extension);
	return TAP_OK;
}

static enum tap_rc helper_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct reading *r = ctx;
	char hex[2 * TAP_HASH_BYTES + 1];

	(void)err;
	assert_true(r->open);
	r->open = false;
	r->ends++;
	fprintf(r->out, "records=%llu\ndropped=%llu\nmessages=%llu\npassed=%llu\n",
		(unsigned long long)e->records, (unsigned long long)e->dropped,
		(unsigned long long)e->messages, (unsigned long long)e->passed);
	fprintf(r->out, "truncated=%d\nrecovered=%d\n", e->truncated, e->recovered);
	tap_hex(e->content_hash, TAP_HASH_BYTES, hex);
	fprintf(r->out, "content=%s %llu\n", hex, (unsigned long long)e->content_bytes);
	line(r, "extension", e->extension);
	fprintf(r->out, "warnings=%llu\n", (unsigned long long)e->warnings_total);
	assert_true(e->n_warnings <= e->warnings_total);
	for (size_t i = 0; i < e->n_warnings; i++)
		fprintf(r->out, "! %s: %s\n", e->warnings[i].where, e->warnings[i].what);
	fclose(r->out);
	size_t old = r->lines ? strlen(r->lines) : 0;
	r->lines = realloc(r->lines, old + r->text_len + 1);
	assert_non_null(r->lines);
	memcpy(r->lines + old, r->text, r->text_len + 1);
	free(r->text);
	return TAP_OK;
}

static void helper_drop(struct reading *r)
{
	r->open = false;
	fclose(r->out);
	free(r->text);
}

static void helper_abort(void *ctx, const struct tap_err *why)
{
	struct reading *r = ctx;

	assert_true(r->open);
	assert_true(why->msg[0] != '\0');
	r->aborts++;
	helper_drop(r);
}

static const struct tap_events helper_events = {
    .begin = helper_begin, .record = helper_record, .end = helper_end, .abort = helper_abort};

static void read_once(struct reading *r)
{
	const struct tap_parse_limits *limits = r->limits ? r->limits : &helper_limits;
	struct tap_parse_options opt = {.limits = limits, .now = r->now};
	struct tap_document doc = {.rewind = helper_rewind,
				   .read = helper_read,
				   .ctx = r,
				   .origin = {.filename = r->filename}};

	r->begins = r->records = r->ends = r->aborts = 0;
	r->rc = tap_aggregate_read(&doc, &opt, &helper_events, r, &r->res, &r->err);
	if (r->open) {
		/* Only an error that is not the document's leaves a report open. */
		assert_int_not_equal(r->rc, TAP_OK);
		helper_drop(r);
	}
	if (r->rc == TAP_OK) {
		assert_int_equal(r->res.reports, r->ends);
		assert_int_equal(r->res.verdict == TAP_DOC_REPORT, r->ends > 0);
		if (r->res.verdict != TAP_DOC_REPORT)
			assert_int_equal(r->res.verdict == TAP_DOC_BROKEN, r->res.broken > 0);
		if (r->res.verdict != TAP_DOC_REPORT)
			assert_true(r->res.why[0] != '\0');
	}
	if (!r->lines)
		r->lines = strdup("");
}

/* Reads it with all sizes of pieces; the lines of the last reading stay in r->lines. */
static void read_document(struct reading *r)
{
	static const size_t steps[] = {1, 7, 65536};
	char *before = NULL;

	r->stop_at_record = -1;
	for (size_t i = 0; i < 3; i++) {
		free(r->lines);
		r->lines = NULL;
		r->step = steps[i];
		read_once(r);
		if (before)
			assert_string_equal(before, r->lines);
		free(before);
		before = strdup(r->lines);
	}
	free(before);
}

static bool has_line(const char *lines, const char *want)
{
	size_t n = strlen(want);
	const char *p = lines;

	while ((p = strstr(p, want)) != NULL) {
		bool whole = want[0] == '!' || p[n] == '\n';

		if ((p == lines || p[-1] == '\n') && whole)
			return true;
		p++;
	}
	return false;
}

/* One document and the lines that it must give; a line that begins with '-' must not be there, one that begins with '!' is the
 * beginning of a warning, "why=…" is a part of the reason, and the verdict is "report", "not a report" or "broken". */
struct document_case {
	const char *name, *doc;
	const char *want[12];
};

static void check_case(const struct document_case *c, struct reading *r)
{
	static const char *const verdict[] = {"report", "not a report", "broken"};

	read_document(r);
	assert_int_equal(r->rc, TAP_OK);
	for (size_t i = 0; i < 12 && c->want[i]; i++) {
		const char *w = c->want[i];
		bool good;

		if (!strncmp(w, "why=", 4))
			good = strstr(r->res.why, w + 4) != NULL;
		else if (!strcmp(w, "report") || !strcmp(w, "not a report") || !strcmp(w, "broken"))
			good = !strcmp(w, verdict[r->res.verdict]);
		else if (*w == '-')
			good = !has_line(r->lines, w + 1);
		else
			good = has_line(r->lines, w);
		if (!good)
			fail_msg("%s: wanted \"%s\", got %s, why \"%s\":\n%s", c->name, w,
				 verdict[r->res.verdict], r->res.why, r->lines);
	}
	free(r->lines);
	r->lines = NULL;
}

static void check_cases(const struct document_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct reading r = {.p = c[i].doc, .n = strlen(c[i].doc)};

		check_case(&c[i], &r);
	}
}

/* Pieces of documents. */
#define DATES	    "<date_range><begin>1740787200</begin><end>1740873599</end></date_range>"
#define ORG	    "<org_name>reporter.example</org_name>"
#define EMAIL	    "<email>dmarc@reporter.example</email>"
#define ID	    "<report_id>id-1</report_id>"
#define META_(x)    "<report_metadata>" x "</report_metadata>"
#define META	    META_(ORG EMAIL ID DATES)
#define POLICY_(x)  "<policy_published>" x "</policy_published>"
#define POLICY	    POLICY_("<domain>example.com</domain><p>none</p>")
#define IP	    "<source_ip>192.0.2.1</source_ip>"
#define COUNT	    "<count>3</count>"
#define EVAL_(x)    "<policy_evaluated>" x "</policy_evaluated>"
#define EVAL	    EVAL_("<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>")
#define ROW_(x)	    "<row>" x "</row>"
#define ROW	    ROW_(IP COUNT EVAL)
#define IDENT_(x)   "<identifiers>" x "</identifiers>"
#define IDENT	    IDENT_("<header_from>example.com</header_from>")
#define AUTH_(x)    "<auth_results>" x "</auth_results>"
#define AUTH	    AUTH_("<spf><domain>example.com</domain><result>pass</result></spf>")
#define RECORD_(x)  "<record>" x "</record>"
#define RECORD	    RECORD_(ROW IDENT AUTH)
#define FEEDBACK(x) "<feedback>" x "</feedback>"
#define GOOD	    FEEDBACK(META POLICY RECORD)

#endif
