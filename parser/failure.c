/* SPDX-License-Identifier: Apache-2.0
 * parser/failure.c - see failure.h: one report from its parts to its events. */
#include "parser/failure_impl.h"
#include "parser/address.h"
#include "parser/sample.h"
#include "parser/utf8.h"
#include <gmime/gmime.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB ((size_t)1 << 20)
enum { HUMAN_MAX = 16384, HEADER_RETRY = 65536, MAILBOXES = 4 };

const char *const tap_failure_format_name[TAP_FORMAT_N] = {
    [TAP_FORMAT_ARF] = "arf",
    [TAP_FORMAT_EXIM_TEXT] = "exim-text",
};

/* --- texts, lists, warnings ------------------------------------------------------------------------------------------------- */

static void warn_text(struct fl *s, const char *where, const char *what)
{
	struct tap_warning *w;
	unsigned notes = 0;

	s->end.warnings_total++;
	if (s->end.n_warnings >= s->w->lim->warnings)
		return;
	w = &s->warnings[s->end.n_warnings];
	w->where = tap_text_clean(s->arena, where, strlen(where), 0, &notes, NULL);
	w->what = tap_text_clean(s->arena, what, strlen(what), 0, &notes, NULL);
	if (w->where && w->what)
		s->end.n_warnings++;
}

void fl_warn(struct fl *s, const char *where, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	if (s->end.n_warnings >= s->w->lim->warnings) {
		s->end.warnings_total++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	what[tap_utf8_whole(what, strlen(what))] = '\0';
	warn_text(s, where, what);
}

char *fl_text(struct fl *s, const char *where, const char *p, size_t n, size_t max, bool lower)
{
	unsigned notes = 0;
	bool whole;
	char *v;

	tap_buf_reset(&s->scratch);
	whole = tap_fb_unfold(p, n, max, &s->scratch);
	if (s->scratch.failed)
		return NULL;
	if (!whole) {
		s->scratch.len = tap_utf8_whole(s->scratch.p, s->scratch.len);
		fl_warn(s, where, "text_cut: longer than %zu bytes", max);
	}
	v = tap_text_clean(s->arena, s->scratch.len ? s->scratch.p : "", s->scratch.len,
			   lower ? TAP_TEXT_LOWER : 0, &notes, NULL);
	if (v == NULL)
		fl_warn(s, where, "too_large: no room for this value");
	if (notes & TAP_TEXT_REPAIRED)
		fl_warn(s, where, "bad_utf8: bytes that are no UTF-8 replaced");
	if (notes & TAP_TEXT_CONTROL)
		fl_warn(s, where, "control_characters: dropped");
	return v;
}

void fl_list_add(struct fl *s, enum fl_list_id id, const char *where, const char *v)
{
	struct fl_list *l = &s->list[id];
	const char **more;
	size_t cap;

	if (l->n >= s->w->lim->list) {
		fl_warn(s, where, "list_cut: more than %" PRIu32, s->w->lim->list);
		return;
	}
	if (l->n == l->cap) {
		cap = l->cap ? 2 * l->cap : 4;
		more = tap_arena_alloc(s->arena, cap * sizeof *more);
		if (more == NULL) {
			fl_warn(s, where, "too_large: no room for this value");
			return;
		}
		if (l->n > 0)
			memcpy(more, l->v, l->n * sizeof *more);
		l->v = more;
		l->cap = cap;
	}
	l->v[l->n++] = v;
}

/* --- one report --------------------------------------------------------------------------------------------------------------- */

void fl_init(struct fl *s, struct tap_work *w, const struct tap_failure_parts *parts)
{
	const struct tap_parse_limits *lim = w->lim;

	memset(s, 0, sizeof *s);
	s->w = w;
	s->parts = parts;
	s->arena = tap_arena_new(2 * MIB);
	tap_buf_init(&s->scratch, (size_t)lim->text + lim->long_text + HUMAN_MAX * 4 + 4096);
	s->warnings = calloc(lim->warnings ? lim->warnings : 1, sizeof *s->warnings);
	if (s->warnings == NULL)
		abort();
	s->f.arrival = TAP_NO_TIME;
	s->f.source_port = -1;
	s->f.incidents = 1;
	s->sample = parts->sample;
	s->sample_len = parts->sample_len;
	s->headers_only = parts->headers_only;
	for (size_t i = 0; i < parts->n_notes; i++)
		fl_warn(s, "mail", "%s", parts->notes[i]);
	if (parts->fields_cut)
		fl_warn(s, "fields", "truncated: the feedback fields are longer than is read");
}

void fl_clear(struct fl *s)
{
	tap_arena_free(&s->arena);
	tap_arena_free(&s->sample_arena);
	tap_buf_free(&s->scratch);
	free(s->warnings);
}

/* An authentication failure, or a complaint of another kind? The first must not be counted among the second, nor the other way. */
static void decide_kind(struct fl *s)
{
	static const char *const others[] = {"abuse",	     "fraud",	      "virus",
					     "other",	     "not-spam",      "opt-out",
					     "opt-out-list", "miscategorized"};
	bool signs = s->list[FL_AUTH_FAILURE].n > 0 || s->alignment_given || s->f.n_spf_dns > 0;

	s->meta.kind = TAP_KIND_FAILURE;
	if (!s->typed) {
		s->f.feedback_type = "auth-failure";
		fl_warn(s, "Feedback-Type", "missing_feedback_type: taken as auth-failure");
		return;
	}
	if (strcmp(s->f.feedback_type, "auth-failure") == 0)
		return;
	s->meta.kind = TAP_KIND_FEEDBACK;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(s->f.feedback_type, others[i]) == 0)
			return;
	if (signs || strncmp(s->f.feedback_type, "auth", 4) == 0 ||
	    strncmp(s->f.feedback_type, "dmarc", 5) == 0)
		s->meta.kind = TAP_KIND_FAILURE;
	fl_warn(s, "Feedback-Type", "unknown_word: taken as %s",
		s->meta.kind == TAP_KIND_FAILURE ? "an authentication failure" : "a complaint");
}

static void sample_warning(void *ctx, const char *where, const char *what)
{
	warn_text(ctx, where, what);
}

static bool valid_utf8(const unsigned char *p, size_t n)
{
	uint32_t cp;
	size_t len;

	for (; n > 0; p += len, n -= len) {
		len = tap_utf8_step(p, n, &cp);
		if (len == 0 || cp == 0)
			return false;
	}
	return true;
}

/* Has the message nothing but blanks behind its header? */
static bool no_body(const char *p, size_t n)
{
	const char *end = p + n, *lf;
	bool blank = false;

	for (; p < end && !blank; p = lf) {
		lf = memchr(p, '\n', (size_t)(end - p));
		lf = lf ? lf + 1 : end;
		blank = *p == '\n' || *p == '\r';
	}
	while (p < end && tap_is_space(*p))
		p++;
	return p == end;
}

static enum tap_rc parse_sample(struct fl *s, struct tap_err *err)
{
	const struct tap_sample_warn warn = {.add = sample_warning, .ctx = s};
	const struct tap_parse_limits *lim = s->w->lim;
	uint64_t cap = 2 * lim->sample_bytes + 2 * lim->body_bytes + 2 * lim->attachment_bytes +
		       2 * lim->header_bytes + MIB;
	size_t n = s->sample_len;
	enum tap_rc rc;

	if (s->sample == NULL)
		return TAP_OK;
	s->sample_arena = tap_arena_new((size_t)cap);
	s->f.sample_headers_only = s->headers_only || no_body(s->sample, n);
	rc = tap_sample_parse(s->sample_arena, s->sample, n, s->f.sample_headers_only, s->w->opt,
			      &warn, &s->f.parsed, err);
	if (rc == TAP_E_LIMIT) {
		tap_arena_reset(s->sample_arena);
		fl_warn(s, "sample", "too_large: only the beginning of its header is taken apart");
		n = n < HEADER_RETRY ? n : HEADER_RETRY;
		rc = tap_sample_parse(s->sample_arena, s->sample, n, true, s->w->opt, &warn,
				      &s->f.parsed, err);
		s->f.sample_damaged = true;
	}
	if (rc == TAP_E_LIMIT) {
		fl_warn(s, "sample", "too_large: left out");
		s->f.parsed = NULL;
		return TAP_OK;
	}
	if (rc != TAP_OK)
		return rc;
	s->f.sample = s->sample;
	s->f.sample_len = s->sample_len;
	s->f.sample_utf8 = valid_utf8(s->sample, s->sample_len);
	s->f.sample_damaged |= s->parts->sample_damaged || s->parts->sample_cut;
	if (s->parts->sample_cut)
		fl_warn(s, "sample",
			"sample_cut: longer than %" PRIu64 " bytes (limit sample_bytes)",
			lim->sample_bytes);
	else if (s->parts->sample_damaged)
		fl_warn(s, "sample", "truncated: the mail ends inside of it");
	return TAP_OK;
}

/* Bytes of a charset as UTF-8 in the scratch buffer; false when it is not known or they are not of it. */
static bool convert(struct fl *s, const char *charset, const char *p, size_t n)
{
	iconv_t cd = g_mime_iconv_open("UTF-8", g_mime_charset_iconv_name(charset));
	char *in = (char *)(uintptr_t)p, *out;
	size_t left = 4 * n, rc;

	if (cd == (iconv_t)-1)
		return false;
	tap_buf_reset(&s->scratch);
	if (!tap_buf_reserve(&s->scratch, left + 1)) {
		g_mime_iconv_close(cd);
		return false;
	}
	out = s->scratch.p;
	rc = iconv(cd, &in, &n, &out, &left);
	s->scratch.len = (size_t)(out - s->scratch.p);
	g_mime_iconv_close(cd);
	return rc != (size_t)-1 || s->scratch.len > 0;
}

static void human_text(struct fl *s)
{
	const struct tap_failure_parts *p = s->parts;
	size_t n = p->human_len < HUMAN_MAX ? p->human_len : HUMAN_MAX;
	const char *text = p->human;
	unsigned notes = 0;

	if (text == NULL)
		return;
	if (p->human_len > n)
		fl_warn(s, "human_text", "text_cut: longer than %d bytes", HUMAN_MAX);
	if (!valid_utf8((const unsigned char *)text, tap_utf8_whole(text, n)) && p->human_charset &&
	    p->human_charset[0] && convert(s, p->human_charset, text, n)) {
		text = s->scratch.p;
		n = s->scratch.len;
	}
	n = tap_utf8_cut(text, n, HUMAN_MAX);
	s->f.human_text = tap_text_clean(s->arena, text, tap_utf8_whole(text, n), 0, &notes, NULL);
}

static void set_uid(struct fl *s)
{
	const struct tap_failure_parts *p = s->parts;
	struct tap_sha256 h;

	tap_sha256_init(&h);
	s->end.content_bytes = tap_fb_hash(&h, p->fields ? p->fields : "", p->fields_len);
	tap_sha256_update(&h, "", 1);
	if (p->sample)
		s->end.content_bytes += tap_fb_hash_lines(&h, p->sample, p->sample_len);
	tap_sha256_final(&h, s->end.content_hash);
	tap_hex(s->end.content_hash, (TAP_UID_HEX - 1) / 2, s->meta.uid);
}

/* Who reports: From of the mail around the report. */
static void set_reporter(struct fl *s)
{
	const struct tap_failure_parts *p = s->parts;
	struct tap_mailboxes from = {0};
	struct tap_err e;
	bool cut;

	s->meta.report_id = p->message_id ? fl_text(s, "Message-ID", p->message_id,
						    strlen(p->message_id), s->w->lim->text, false)
					  : NULL;
	if (p->from == NULL || tap_address_list(s->arena, p->from, strlen(p->from), MAILBOXES,
						&from, &cut, &e) != TAP_OK)
		return;
	if (from.n > 0) {
		s->meta.email = from.item[0].address;
		s->meta.org_name = from.item[0].domain;
	}
}

static void finish_lists(struct fl *s)
{
	struct tap_list_of *const to[FL_LISTS] = {
	    [FL_RCPT] = &s->f.original_rcpt_to,	     [FL_AUTHRES] = &s->f.authentication_results,
	    [FL_AUTH_FAILURE] = &s->f.auth_failure,  [FL_ALIGNMENT] = &s->f.identity_alignment,
	    [FL_DOMAIN] = &s->f.reported_domain,     [FL_URI] = &s->f.reported_uri,
	    [FL_ALIGNED] = &s->f.aligned_mechanisms, [FL_FAILED] = &s->f.failed_mechanisms};

	for (size_t i = 0; i < FL_LISTS; i++) {
		to[i]->item = s->list[i].v;
		to[i]->n = s->list[i].n;
	}
}

static enum tap_rc send_events(struct fl *s, struct tap_err *err)
{
	const struct tap_events *ev = s->w->ev;
	enum tap_rc rc = TAP_OK;

	if (ev == NULL)
		return TAP_OK;
	if (ev->begin)
		rc = ev->begin(s->w->ctx, &s->meta, err);
	if (rc == TAP_OK && ev->failure)
		rc = ev->failure(s->w->ctx, &s->f, err);
	if (rc == TAP_OK && ev->end)
		rc = ev->end(s->w->ctx, &s->end, err);
	return rc;
}

enum tap_rc fl_emit(struct fl *s, struct tap_document_result *res, struct tap_err *err)
{
	enum tap_rc rc;

	s->meta.origin.part = s->parts->part;
	s->meta.origin.document = s->parts->document;
	rc = parse_sample(s, err);
	if (rc != TAP_OK)
		return rc;
	fl_derive(s);
	human_text(s);
	set_uid(s);
	set_reporter(s);
	finish_lists(s);
	if (s->meta.kind == TAP_KIND_FAILURE && s->f.auth_failure.n == 0)
		fl_warn(s, "Auth-Failure", "missing_auth_failure: absent");
	if (s->f.sample == NULL)
		fl_warn(s, "sample", "missing_sample: the report has none");
	s->end.messages = s->f.incidents;
	s->end.truncated = s->parts->fields_cut || s->f.sample_damaged;
	s->end.warnings = s->warnings;
	tap_work_judge(s->w, &s->meta);
	rc = send_events(s, err);
	res->verdict = TAP_DOC_REPORT;
	res->reports = 1;
	return rc;
}

enum tap_rc tap_failure_emit(struct tap_work *w, const struct tap_failure_parts *parts,
			     struct tap_document_result *res, struct tap_err *err)
{
	struct fl *s = malloc(sizeof *s);
	enum tap_rc rc = TAP_OK;

	if (s == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a feedback report");
	memset(res, 0, sizeof *res);
	fl_init(s, w, parts);
	s->f.format = TAP_FORMAT_ARF;
	if (parts->fields)
		fl_read_fields(s, parts->fields, parts->fields_len);
	if (s->known == 0) {
		res->verdict = TAP_DOC_BROKEN;
		res->broken = 1;
		tap_why_set(res->why, "%s",
			    parts->fields
				? "feedback report without any field that it must have"
				: "feedback report without its message/feedback-report part");
	} else {
		decide_kind(s);
		rc = fl_emit(s, res, err);
	}
	fl_clear(s);
	free(s);
	return rc;
}
