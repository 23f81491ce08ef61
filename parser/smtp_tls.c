/* SPDX-License-Identifier: Apache-2.0
 * parser/smtp_tls.c - see smtp_tls.h. The text is held (at most json_bytes), no tree is built of it: json_scan.h looks over each
 * value, smtp_tls_values.c has single strings and numbers decoded. */
#include "parser/smtp_tls_impl.h"

#include "base/sha256.h"
#include "parser/authres.h"
#include "parser/sniff.h"
#include "parser/work.h"
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 65536,
	ARENA_BYTES = 8 * 1024 * 1024,
	WARN_ARENA_BYTES = 256 * 1024,
	CLAIM_BYTES = 65536, /* of text that cannot be read: does it claim to be a report? */
};

/* ---- the text ---- */

/* False: the reading is over, *s->res or s->fatal says why. */
static bool read_piece(struct tls *s, size_t *got_r)
{
	struct tap_err e = {0};
	enum tap_rc rc;

	*got_r = 0;
	if (tls_cancelled(s))
		return false;
	if (s->text.len > s->lim->json_bytes) {
		tls_refuse(s, NULL, "document",
			   "JSON of more than %" PRIu64 " bytes (limit json_bytes)",
			   s->lim->json_bytes);
		return false;
	}
	if (!tap_buf_reserve(&s->text, PIECE)) {
		s->fatal = tap_err_set(s->err, TAP_E_TEMP, "out of memory for JSON");
		return false;
	}
	rc = s->doc->read(s->doc->ctx, s->text.p + s->text.len, PIECE, got_r, &e);
	if (rc == TAP_E_DATA) {
		snprintf(s->damaged, sizeof s->damaged, "%.190s", e.msg);
		*got_r = 0;
	} else if (rc == TAP_E_LIMIT) {
		tls_refuse(s, NULL, "document", "%s", e.msg);
		return false;
	} else if (rc != TAP_OK) {
		*s->err = e;
		s->fatal = rc;
		return false;
	}
	s->text.len += *got_r;
	return true;
}

static bool read_text(struct tls *s)
{
	enum tap_rc rc = s->doc->rewind(s->doc->ctx, s->err);
	size_t got = 1;

	if (rc != TAP_OK) {
		s->fatal = rc;
		return false;
	}
	while (got > 0)
		if (!read_piece(s, &got))
			return false;
	return true;
}

/* ---- one report ---- */

static bool claims(struct tls *s, const struct tap_json *v)
{
	static const enum tls_field known[] = {F_ORG, F_DATES, F_CONTACT, F_ID, F_POLICIES};
	struct tap_json val[F_N];
	uint32_t wanted = 0;
	int n = 0;

	if (v->type != '{')
		return false;
	memset(val, 0, sizeof val);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		wanted |= 1u << known[i];
	s->quiet = true;
	tls_collect(s, v, wanted, 0, "", val);
	s->quiet = false;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		n += val[known[i]].type != 0;
	return n >= 2;
}

static void finish_report(struct tls *s)
{
	enum tap_rc rc = TAP_OK;

	if (s->text_outside)
		tls_warn(s, "document", "text_outside: text before or after the report ignored");
	if (s->damaged[0])
		tls_warn(s, "document", "container: %s", s->damaged);
	for (size_t i = 0; i < s->doc->n_notes; i++)
		tls_warn(s, "document", "%s", s->doc->notes[i]);
	s->end.warnings = s->warnings;
	if (s->ev)
		rc = s->ev->end(s->ctx, &s->end, s->err);
	s->begun = false;
	s->res->reports++;
	if (rc != TAP_OK)
		s->fatal = rc;
}

/* alone: the document is this report and no other. */
static void one_report(struct tls *s, const struct tap_json *v, bool alone)
{
	const char *from = alone ? s->text.p : v->p;
	struct tap_sha256 h;

	if (!claims(s, v)) {
		return;
	}
	tap_arena_reset(s->meta_arena);
	tap_arena_reset(s->rec_arena);
	tap_arena_reset(s->warn_arena);
	s->end = (struct tap_report_end){.content_bytes = alone ? s->text.len : v->n};
	tap_sha256_init(&h);
	tap_sha256_update(&h, from, (size_t)s->end.content_bytes);
	tap_sha256_final(&h, s->end.content_hash);
	s->refused = s->begun = false;
	if (!tls_begin(s, v))
		return;
	tls_policies(s);
	if (!s->refused && s->fatal == TAP_OK)
		finish_report(s);
}

/* ---- the document ---- */

/* The next line that begins with a value, from `at` on; n = none. */
static size_t next_line(const char *p, size_t n, size_t at)
{
	const char *lf;

	while (at > 0 && at < n && (p[at - 1] == ' ' || p[at - 1] == '\t'))
		at--;
	if (at > 0)
		at--;
	while (at < n && (lf = memchr(p + at, '\n', n - at)) != NULL) {
		at = tap_json_blank(p, n, (size_t)(lf - p) + 1);
		if (at < n && (p[at] == '{' || p[at] == '['))
			return at;
	}
	return n;
}

/* The value that is broken at `end` and began at `at` may have been cut off in a string, which then swallowed the beginning of the
 * line in which that was seen. Each line is begun with once more at most. */
static size_t swallowed(const char *p, size_t n, size_t at, size_t end)
{
	const char *lf = end > at ? memrchr(p + at, '\n', end - at) : NULL;
	size_t line = lf ? tap_json_blank(p, n, (size_t)(lf - p) + 1) : n;

	return line < end && (p[line] == '{' || p[line] == '[') ? line : n;
}

/* Behind a value: where the next one begins, n = nowhere. Commas between reports do no harm. */
static size_t next_value(struct tls *s, size_t at)
{
	const char *p = s->text.p;
	size_t n = s->text.len;

	at = tap_json_blank(p, n, at);
	if (at < n && p[at] == ',')
		at = tap_json_blank(p, n, at + 1);
	while (at < n && p[at] == '\0')
		at++;
	if (at >= n || p[at] == '{' || p[at] == '[')
		return at;
	s->text_outside = true;
	return next_line(p, n, at);
}

/* Text that is no JSON: said when it claims to be a report. Where to go on; n = nowhere. */
static size_t broken_value(struct tls *s, size_t at, const struct tap_json_check *c)
{
	size_t next = s->text.len;

	if (!c->limit && !c->unfinished)
		next = swallowed(s->text.p, s->text.len, at, c->end);
	if (!c->limit && !c->unfinished && next == s->text.len)
		next = next_line(s->text.p, s->text.len, c->end > at ? c->end : at + 1);
	if (s->first_error[0] == '\0')
		snprintf(s->first_error, sizeof s->first_error, "at byte %zu, document: %s%s%s%s",
			 c->end, c->error, c->unfinished ? ": it is cut off" : "",
			 s->damaged[0] ? "; " : "", s->damaged);
	s->refused = false;
	/* Each byte is looked at once, however many lines are broken. */
	if (tap_sniff_tls_members((const unsigned char *)s->text.p + at, next - at) >= 2)
		tls_refuse(s, s->text.p + c->end, "document", "%s%s%s%s", c->error,
			   c->unfinished ? ": it is cut off" : "", s->damaged[0] ? "; " : "",
			   s->damaged);
	return next;
}

static void read_value(struct tls *s, size_t at, size_t end, bool alone)
{
	struct tap_json v = tap_json_value(s->text.p + at, end - at), item, key;
	struct tap_json_iter it;

	if (v.type != '[') {
		one_report(s, &v, alone);
		return;
	}
	tap_json_enter(&it, &v);
	while (s->fatal == TAP_OK && tap_json_next(&it, &key, &item))
		one_report(s, &item, false);
}

static void read_values(struct tls *s)
{
	struct tap_json_check c = {.depth = s->lim->json_depth, .values = s->lim->json_values};
	size_t at = 0, end, n = s->text.len;
	bool first = true;

	if (n >= 3 && memcmp(s->text.p, "\xef\xbb\xbf", 3) == 0)
		at = 3;
	at = next_value(s, at);
	while (at < n && s->fatal == TAP_OK) {
		if (!tap_json_check(s->text.p, n, at, &c)) {
			at = broken_value(s, at, &c);
		} else {
			end = c.end;
			c.end = next_value(s, end);
			read_value(s, at, end, first && c.end >= n);
			at = c.end;
		}
		first = false;
	}
}

static void conclude(struct tls *s)
{
	size_t n = s->text.len < CLAIM_BYTES ? s->text.len : CLAIM_BYTES;

	/* Broken in so many places that no piece of it looks like a report. */
	if (s->res->reports == 0 && s->res->broken == 0 && s->first_error[0] &&
	    tap_sniff_tls_members((const unsigned char *)s->text.p, n) >= 2) {
		s->res->broken = 1;
		snprintf(s->res->why, sizeof s->res->why, "%s", s->first_error);
	}
	if (s->res->reports > 0)
		s->res->verdict = TAP_DOC_REPORT;
	else if (s->res->broken > 0)
		s->res->verdict = TAP_DOC_BROKEN;
	else
		s->res->verdict = TAP_DOC_NOT_A_REPORT;
	if (s->res->verdict == TAP_DOC_NOT_A_REPORT)
		snprintf(s->res->why, sizeof s->res->why, "JSON that is not a report");
}

static bool set_up(struct tls *s)
{
	s->meta_arena = tap_arena_new(ARENA_BYTES);
	s->rec_arena = tap_arena_new(ARENA_BYTES);
	s->warn_arena = tap_arena_new(WARN_ARENA_BYTES);
	s->warnings = calloc(s->lim->warnings ? s->lim->warnings : 1, sizeof *s->warnings);
	s->tok = json_tokener_new_ex(2); /* never more than a string or a number */
	tap_buf_init(&s->text, (size_t)s->lim->json_bytes + PIECE + 1);
	return s->warnings && s->tok;
}

static void clean_up(struct tls *s)
{
	tap_arena_free(&s->meta_arena);
	tap_arena_free(&s->rec_arena);
	tap_arena_free(&s->warn_arena);
	free(s->warnings);
	if (s->tok)
		json_tokener_free(s->tok);
	tap_buf_free(&s->text);
}

enum tap_rc tap_smtp_tls_read(struct tap_document *doc, const struct tap_parse_options *opt,
			      const struct tap_events *ev, void *ctx,
			      struct tap_document_result *res, struct tap_err *err)
{
	struct tap_err local = {0};
	struct tls s = {
	    .doc = doc,
	    .opt = opt,
	    .lim = opt->limits,
	    .ev = ev,
	    .ctx = ctx,
	    .res = res,
	    .err = err ? err : &local,
	};

	memset(res, 0, sizeof *res);
	if (doc->work)
		s.auth = tap_work_auth(doc->work);
	if (!set_up(&s))
		s.fatal = tap_err_set(s.err, TAP_E_TEMP, "out of memory for JSON");
	else if (read_text(&s))
		read_values(&s);
	conclude(&s);
	clean_up(&s);
	return s.fatal;
}
