/* SPDX-License-Identifier: Apache-2.0
 * parser/unpack.c - see unpack.h. */
#include "parser/unpack_impl.h"

#include "parser/aggregate.h"
#include "parser/payload.h"
#include "parser/smtp_tls.h"
#include "parser/utf8.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 65536 };

void tap_work_free(struct tap_work *w)
{
	for (size_t i = 0; i < TAP_WORK_NEST; i++)
		tap_inflate_free(&w->inflate[i]);
	tap_work_done(w);
}

void tap_why_set(char why[TAP_WHY], const char *fmt, ...)
{
	char text[2 * TAP_WHY];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof text)
		n = (int)sizeof text - 1;
	n = (int)tap_utf8_cut(text, (size_t)n, TAP_WHY - 1);
	memcpy(why, text, (size_t)n);
	why[n] = '\0';
}

void tap_clean_name(const char *name, char out[TAP_NAME_MAX + 1])
{
	const unsigned char *p = (const unsigned char *)name;
	size_t n = strnlen(name, (size_t)4 * TAP_NAME_MAX), k = 0, len;
	uint32_t cp;

	while (n > 0) {
		len = tap_utf8_step(p, n, &cp);
		if (k + (len ? len : 1) > TAP_NAME_MAX)
			break;
		if (len == 0 || cp < ' ' || (cp >= 0x7f && cp < 0xa0)) {
			out[k++] = '?';
		} else {
			memcpy(out + k, p, len);
			k += len;
		}
		p += len ? len : 1;
		n -= len ? len : 1;
	}
	out[k] = '\0';
}

void unpack_say(struct unpack *u, const char *name, const char *what)
{
	bool named = name && name != u->c->filename;

	if (u->res->why[0] != '\0')
		return;
	tap_why_set(u->res->why, "%s%s%s", named ? name : "", named ? ": " : "", what);
}

void unpack_broken(struct unpack *u, const char *name, const char *what)
{
	/* The reason for what is broken matters more than why something else is no report. */
	if (u->res->broken++ == 0)
		u->res->why[0] = '\0';
	unpack_say(u, name, what);
}

void tap_document_note(struct tap_document *doc, const char *text)
{
	for (size_t i = 0; i < doc->n_notes; i++)
		if (strcmp(doc->notes[i], text) == 0)
			return;
	if (doc->n_notes < TAP_DOC_NOTES)
		doc->notes[doc->n_notes++] = text;
}

/* The document has ended, and with it what was packed around it. */
static void note_container(const struct unpack *u, struct tap_document *doc)
{
	for (unsigned i = 0; i < TAP_WORK_NEST; i++)
		if ((u->inflating >> i & 1) && tap_inflate_garbage(u->w->inflate[i]))
			tap_document_note(
			    doc, "trailing_garbage: bytes behind the compressed data ignored");
	if (u->scanned)
		tap_document_note(doc,
				  "zip_directory: missing, members found by their own headers");
}

static enum tap_rc front_rewind(void *ctx, struct tap_err *err)
{
	struct front *f = ctx;

	f->given = 0;
	f->pos = 0;
	if (f->head_only)
		return TAP_OK;
	f->len = 0;
	f->rc = TAP_OK;
	return f->s->rewind(f->s, err);
}

static enum tap_rc front_read(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct front *f = ctx;
	enum tap_rc rc;

	*got_r = 0;
	if (f->pos < f->len) {
		*got_r = n < f->len - f->pos ? n : f->len - f->pos;
		memcpy(buf, f->head + f->pos, *got_r);
		f->pos += *got_r;
	} else if (f->rc != TAP_OK) {
		if (err)
			*err = f->err;
		return f->rc;
	} else {
		f->head_only = false;
		rc = f->s->read(f->s, buf, n, got_r, &f->err);
		if (rc != TAP_OK) {
			f->rc = rc;
			if (err)
				*err = f->err;
			return rc;
		}
		if (*got_r == 0 && f->doc)
			note_container(f->u, f->doc);
	}
	f->given += *got_r;
	if (f->given > f->work->lim->report_bytes) {
		*got_r = 0;
		return tap_err_set(err, TAP_E_LIMIT,
				   "the document is larger than %" PRIu64
				   " bytes (limit report_bytes)",
				   f->work->lim->report_bytes);
	}
	return TAP_OK;
}

static bool blank(const unsigned char *p, size_t n)
{
	while (n > 0 && (*p == 0 || *p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
		p++;
		n--;
	}
	return n == 0;
}

/* Fills head with the first bytes that are not all blank. */
static enum tap_rc look(struct front *f, struct tap_err *err)
{
	uint64_t asked = 0;
	enum tap_rc rc = f->s->rewind(f->s, err);

	f->head_only = true;
	f->pos = f->len = 0;
	f->rc = TAP_OK;
	while (rc == TAP_OK) {
		f->rc = tap_stream_fill(f->s, f->head, sizeof f->head, &f->len, &f->err);
		if (f->rc != TAP_OK && !unpack_of_the_input(f->rc)) {
			if (err)
				*err = f->err;
			return f->rc;
		}
		if (f->len < sizeof f->head || !blank(f->head, f->len))
			break;
		f->head_only = false;
		if ((asked += f->len) % PIECE == 0 && tap_work_cancelled(f->work))
			return tap_err_set(err, TAP_E_CANCELLED, "cancelled");
		if (asked > f->work->lim->report_bytes)
			return tap_err_set(err, TAP_E_LIMIT,
					   "nothing but blanks in its first %" PRIu64
					   " bytes (limit report_bytes)",
					   asked);
	}
	return rc;
}

/* tap_aggregate_read, tap_smtp_tls_read */
typedef enum tap_rc (*reader)(struct tap_document *doc, const struct tap_parse_options *opt,
			      const struct tap_events *ev, void *ctx,
			      struct tap_document_result *res, struct tap_err *err);

static enum tap_rc read_document(struct unpack *u, struct front *f, reader read, const char *name,
				 struct tap_err *err)
{
	struct tap_document doc = {.rewind = front_rewind, .read = front_read, .ctx = f};
	struct tap_document_result dr;
	enum tap_rc rc;

	doc.origin.filename = name;
	doc.origin.part = u->c->part;
	doc.origin.document = u->res->documents++;
	memset(&dr, 0, sizeof dr);
	doc.hints = &u->w->hints;
	doc.work = u->w;
	if (u->w->note)
		tap_document_note(&doc, u->w->note);
	f->doc = &doc;
	if (u->scanned)
		note_container(u, &doc); /* also when it ends in the middle of a member */
	rc = read(&doc, u->w->opt, u->w->ev, u->w->ctx, &dr, err);
	f->doc = NULL;
	if (rc != TAP_OK)
		return rc;
	u->res->reports += dr.reports;
	u->own |= dr.reports > 0;
	for (uint32_t i = 0; i < dr.broken; i++)
		unpack_broken(u, name, dr.why);
	if (dr.verdict != TAP_DOC_NOT_A_REPORT)
		return TAP_OK;
	if (unpack_of_the_input(f->rc))
		unpack_broken(u, name, f->err.msg);
	else
		unpack_say(u, name, dr.why[0] ? dr.why : "XML that is not a DMARC report");
	return TAP_OK;
}

enum tap_rc unpack_too_deep(struct unpack *u, const char *name, unsigned depth)
{
	char text[128];
	uint32_t max = u->w->lim->archive_depth;

	if (max > TAP_WORK_NEST)
		max = TAP_WORK_NEST;
	if (depth < max)
		return TAP_OK;
	snprintf(text, sizeof text,
		 "archives nested more than %" PRIu32 " deep (limit archive_depth)", max);
	unpack_broken(u, name, text);
	return TAP_E_LIMIT;
}

/* What is not unpacked and not read as XML: said, and counted where it claims to be a report. */
static void other_content(struct unpack *u, const struct front *f, enum tap_content kind,
			  const char *name)
{
	char text[160];

	switch (kind) {
	case TAP_CONTENT_TLS_UTF16:
		unpack_broken(u, name, "SMTP TLS report in UTF-16; JSON has to be UTF-8");
		return;
	case TAP_CONTENT_FAILURE:
		unpack_broken(u, name, "failure report (text of Exim): not read by this version");
		return;
	case TAP_CONTENT_ZIP_EMPTY: unpack_broken(u, name, "zip archive without a member"); return;
	case TAP_CONTENT_PACKED:
		snprintf(text, sizeof text, "%s is not read by this version",
			 tap_sniff_packed_name(f->head, f->len));
		unpack_say(u, name, text);
		return;
	case TAP_CONTENT_EMPTY: unpack_say(u, name, "empty"); return;
	case TAP_CONTENT_HTML: unpack_say(u, name, "HTML, not a report"); return;
	default: unpack_say(u, name, "neither XML nor an archive of it"); return;
	}
}

/* Compressed without a header (a .gz in name alone): what comes out of the first bytes has to be a report. */
static bool is_deflate(const struct front *f)
{
	unsigned char out[TAP_SNIFF_BYTES];
	enum tap_content kind;
	size_t n;

	if (!tap_sniff_may_be_deflate(f->head, f->len))
		return false;
	n = tap_inflate_trial(f->head, f->len, out, sizeof out);
	kind = n > 0 ? tap_sniff(out, n, false) : TAP_CONTENT_OTHER;
	return (kind == TAP_CONTENT_XML && out[0] <= '<') || kind == TAP_CONTENT_TLS_RPT;
}

/* Nothing that its first bytes tell. */
static enum tap_rc unpack_unknown(struct unpack *u, struct front *f,
				  const struct tap_source *direct, const char *name, unsigned depth,
				  struct tap_err *err)
{
	bool found = false;
	enum tap_rc rc = TAP_OK;

	if (is_deflate(f)) {
		if (unpack_too_deep(u, name, depth) != TAP_OK)
			return TAP_OK;
		rc = f->s->rewind(f->s, err);
		return rc == TAP_OK ? unpack_deflated(u, f->s, TAP_PACKED_RAW, name, depth, err)
				    : rc;
	}
	if (f->len >= 2 && (memcmp(f->head, "MZ", 2) == 0 || memmem(f->head, f->len, "PK\3\4", 4)))
		rc = unpack_zip_behind(u, f->s, direct, name, depth, &found, err);
	if (rc == TAP_OK && !found)
		other_content(u, f, TAP_CONTENT_OTHER, name);
	return rc;
}

static enum tap_rc unpack_content(struct unpack *u, struct front *f, enum tap_content kind,
				  const struct tap_source *direct, const char *name, unsigned depth,
				  struct tap_err *err)
{
	bool nested = kind == TAP_CONTENT_GZIP || kind == TAP_CONTENT_ZLIB ||
		      kind == TAP_CONTENT_ZIP || kind == TAP_CONTENT_TAR ||
		      kind == TAP_CONTENT_PKCS7 || kind == TAP_CONTENT_OLE2;
	enum tap_rc rc;

	if (nested && unpack_too_deep(u, name, depth) != TAP_OK)
		return TAP_OK;
	if (!nested && unpack_is_message(u, f, depth))
		return unpack_message(u, f->s, direct, name, err);
	switch (kind) {
	case TAP_CONTENT_GZIP:
	case TAP_CONTENT_ZLIB:
		rc = f->s->rewind(f->s, err);
		return rc == TAP_OK ? unpack_deflated(u, f->s, TAP_PACKED_GZIP, name, depth, err)
				    : rc;
	case TAP_CONTENT_ZIP: return unpack_zip(u, f->s, direct, name, depth, err);
	case TAP_CONTENT_TAR: return unpack_tar(u, f->s, name, depth, err);
	case TAP_CONTENT_PKCS7: return unpack_pkcs7(u, f->s, name, depth, err);
	case TAP_CONTENT_OLE2: return unpack_outlook(u, f->s, direct, name, depth, err);
	case TAP_CONTENT_XML: return read_document(u, f, tap_aggregate_read, name, err);
	case TAP_CONTENT_TLS_RPT:
	case TAP_CONTENT_JSON: return read_document(u, f, tap_smtp_tls_read, name, err);
	case TAP_CONTENT_OTHER: return unpack_unknown(u, f, direct, name, depth, err);
	default: other_content(u, f, kind, name); return TAP_OK;
	}
}

enum tap_rc unpack_stream(struct unpack *u, struct tap_stream *s, const struct tap_source *direct,
			  const char *name, unsigned depth, struct tap_err *err)
{
	struct tap_err e = {0};
	struct front f = {.u = u, .work = u->w, .s = s};
	enum tap_content kind;
	enum tap_rc rc;

	if (tap_work_cancelled(u->w))
		return tap_err_set(err, TAP_E_CANCELLED, "cancelled");
	rc = look(&f, &e);
	if (rc != TAP_OK && !unpack_of_the_input(rc)) {
		if (err)
			*err = e;
		return rc;
	}
	kind = tap_sniff(f.head, f.len, false);
	if (rc == TAP_OK && f.rc != TAP_OK &&
	    (kind == TAP_CONTENT_EMPTY || kind == TAP_CONTENT_OTHER))
		e = f.err;
	if (e.rc != TAP_OK) {
		unpack_broken(u, name, e.msg);
		return TAP_OK;
	}
	return unpack_content(u, &f, kind, direct, name, depth, err);
}

/* --- the container's bytes for who keeps them ------------------------------------------------------------------------- */

static enum tap_rc payload(struct unpack *u, struct tap_err *err)
{
	struct tap_stream *s = u->c->bytes;
	unsigned char head[TAP_SNIFF_BYTES];
	enum tap_content kind;
	size_t got;
	enum tap_rc rc = s->rewind(s, err);

	if (rc == TAP_OK)
		rc = tap_stream_fill(s, head, sizeof head, &got, err);
	if (rc != TAP_OK)
		return rc;
	kind = tap_sniff(head, got, false);
	if (kind == TAP_CONTENT_GZIP || kind == TAP_CONTENT_ZIP)
		return tap_payload_as_is(u->w, s, u->c->part, err);
	return tap_payload_gzip(u->w, s, u->c->part, err);
}

enum tap_rc tap_unpack(struct tap_work *w, const struct tap_container *c,
		       struct tap_container_result *res, struct tap_err *err)
{
	struct unpack u = {.w = w, .c = c, .res = res};
	enum tap_rc rc;

	memset(res, 0, sizeof *res);
	rc = unpack_stream(&u, c->bytes, c->direct, c->filename, 0, err);
	if (rc == TAP_OK && u.own && w->opt->payload && w->ev && w->ev->payload)
		rc = payload(&u, err);
	return rc;
}
