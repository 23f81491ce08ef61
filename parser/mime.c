/* SPDX-License-Identifier: Apache-2.0
 * parser/mime.c - see mime.h. */
#include "parser/mime.h"
#include "parser/failure.h"
#include "parser/feedback_fields.h"
#include "parser/feedback_parts.h"
#include "parser/headers.h"
#include "parser/lines.h"
#include "parser/sniff.h"
#include "parser/utf8.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message/rfc822 part should not be encoded; one that is, is held in memory up to this. */
enum { ENCODED_MESSAGE_MAX = 8 << 20, CANCEL_EVERY = 65536, PEEK = 2048 };

/* An open multipart. */
struct frame {
	char boundary[TAP_BOUNDARY_MAX + 1];
	size_t len;
	uint32_t depth; /* of its parts */
	bool digest;
	struct tap_feedback_parts parts;
};

enum state {
	IN_HEADERS,
	IN_LEAF,
	IN_NOTHING, /* before the first and behind the last part of a multipart, and in what is not looked at */
};

/* What a leaf part is collected for, and not handed to unpack.h. */
enum collect { COLLECT_NONE, COLLECT_FIELDS, COLLECT_SAMPLE, COLLECT_TEXT };

struct walk {
	struct tap_work *w;
	const struct tap_source *src;
	struct tap_mime_result *res;
	enum state state;
	enum collect collect;
	uint32_t depth;
	bool outermost, top_done, message; /* message: the block is that of one, not of a part */
	struct frame *frames;		   /* mime_depth + 1 of them */
	size_t n_frames;
	struct tap_feedback_parts root; /* of a mail without a multipart */
	uint64_t head_from;		/* of the header block that is read */
	uint64_t mail_from, mail_to;	/* header block of the message that was begun last */
	struct tap_headers hdr;
	struct tap_part_info info;
	uint64_t leaf_from, asked;
	size_t
	    last_eol; /* of the line before: the line end before a boundary belongs to the boundary */
	struct tap_range range;
	struct tap_decode dec;
	struct tap_lines lines;
};

static enum tap_rc walk_source(struct tap_work *w, const struct tap_source *src, uint64_t start,
			       uint32_t depth, struct tap_mime_result *res, struct tap_err *err);

/* Types whose content cannot be looked into, and why. */
static const struct {
	const char *type, *subtype, *why;
} opaque[] = {
    {"application", "pkcs7-mime", "S/MIME that is encrypted (or damaged) cannot be read"},
    {"application", "x-pkcs7-mime", "S/MIME that is encrypted (or damaged) cannot be read"},
    {"multipart", "encrypted", "encrypted mail is not read"},
    {"application", "ms-tnef", "TNEF (winmail.dat) is not read"},
    {"application", "vnd.ms-tnef", "TNEF (winmail.dat) is not read"},
};

static bool is_type(const struct tap_part_info *i, const char *type, const char *subtype)
{
	return strcmp(i->type, type) == 0 && (subtype == NULL || strcmp(i->subtype, subtype) == 0);
}

static bool is_message(const struct tap_part_info *i)
{
	return is_type(i, "message", "rfc822") || is_type(i, "message", "global") ||
	       is_type(i, "message", "rfc2822") || is_type(i, "message", "rfc-822") ||
	       is_type(i, "message", "news");
}

static bool is_sample(const struct tap_part_info *i)
{
	return is_message(i) || is_type(i, "text", "rfc822-headers") ||
	       is_type(i, "text", "rfc822") || is_type(i, "message", "rfc822-headers") ||
	       is_type(i, "text", "rfc-822-headers") || is_type(i, "message", "global-headers");
}

/* Text for people, unless its name says that it is a mail. */
static bool is_prose(const struct tap_part_info *i)
{
	size_t n = strlen(i->filename);

	return is_type(i, "text", NULL) && (n < 4 || strcasecmp(i->filename + n - 4, ".eml") != 0);
}

static struct tap_feedback_parts *parts_of(struct walk *k)
{
	return k->n_frames > 0 ? &k->frames[k->n_frames - 1].parts : &k->root;
}

/* The parts of the feedback report that what stands here belongs to, so that a message in it is the sample; NULL = none. */
static struct tap_feedback_parts *in_feedback(struct walk *k)
{
	for (size_t i = k->n_frames; i-- > 0;) {
		struct tap_feedback_parts *p = &k->frames[i].parts;

		if (p->announced || p->fields.set || p->read)
			return p;
	}
	return k->root.fields.set ? &k->root : NULL;
}

/* The first reason stays, but one for what is broken takes the place of one for what is only no report. part: from 1; 0 = none. */
static void say_of(struct walk *k, bool broken, uint32_t part, const char *name, const char *what)
{
	char *why = k->res->why;
	bool first = broken ? k->res->broken++ == 0 : k->res->broken == 0 && why[0] == '\0';

	if (!first)
		return;
	if (part == 0)
		tap_why_set(why, "%s", what);
	else if (name[0])
		tap_why_set(why, "part %" PRIu32 " (%s): %s", part, name, what);
	else
		tap_why_set(why, "part %" PRIu32 ": %s", part, what);
}

static void say(struct walk *k, bool broken, const char *what)
{
	say_of(k, broken, k->w->leaves, k->info.filename, what);
}

static void limited(struct walk *k, const char *what)
{
	k->res->limited = true;
	tap_why_set(k->res->why, "%s", what);
}

__attribute__((format(printf, 2, 3))) static void limitedf(struct walk *k, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	limited(k, text);
}

/* --- feedback reports ---------------------------------------------------------------------------------------------------- */

/* Reads what was noted of a report, if there is one. */
static enum tap_rc flush(struct walk *k, struct tap_feedback_parts *p, struct tap_err *err)
{
	struct tap_document_result r;
	uint32_t part = p->fields.set ? p->fields.leaf + 1 : p->text.set ? p->text.leaf + 1 : 0;
	enum tap_rc rc;

	if (!tap_feedback_any(p) || (part == 0 && k->res->reports > 0))
		return TAP_OK;
	rc = tap_feedback_read(k->w, k->src, p, &r, err);
	if (rc != TAP_OK)
		return rc;
	k->res->reports += r.reports;
	for (uint32_t i = 0; i < r.broken; i++)
		say_of(k, true, part, "", r.why);
	p->read = true;
	p->fields.set = p->sample.set = p->message.set = p->text.set = false;
	return TAP_OK;
}

/* Leaves the multiparts from level n on. */
static enum tap_rc pop(struct walk *k, size_t n, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	while (k->n_frames > n && rc == TAP_OK) {
		struct tap_feedback_parts *p = parts_of(k), *outer;

		/* Fields inside of a multipart of their own: the sample may come behind it. */
		outer = k->n_frames > 1 ? &k->frames[k->n_frames - 2].parts : &k->root;
		if (p->fields.set && !p->sample.set && outer->announced && !outer->fields.set) {
			outer->fields = p->fields;
			p->fields.set = p->announced = false;
		}
		rc = flush(k, p, err);
		k->n_frames--;
		outer = parts_of(k);
		if (p->human.set && !outer->human.set && !p->read) {
			outer->human = p->human;
			memcpy(outer->human_charset, p->human_charset, sizeof p->human_charset);
		}
	}
	return rc;
}

static void place(struct walk *k, struct tap_part_place *p, uint64_t to)
{
	p->from = k->leaf_from;
	p->to = to;
	p->encoding = k->info.encoding;
	p->set = true;
	p->leaf = k->w->leaves - 1;
}

static void place_human(struct walk *k, struct tap_feedback_parts *p, uint64_t to)
{
	if (p->human.set || !is_type(&k->info, "text", "plain"))
		return;
	place(k, &p->human, to);
	memcpy(p->human_charset, k->info.charset, sizeof p->human_charset);
}

static enum tap_rc collect(struct walk *k, enum collect what, uint64_t to, struct tap_err *err)
{
	struct tap_feedback_parts *p = parts_of(k), *report = in_feedback(k);
	enum tap_rc rc = TAP_OK;

	if (what == COLLECT_SAMPLE && report)
		p = report;
	if (k->n_frames == 0) {
		p->head_from = k->mail_from;
		p->head_to = k->mail_to;
	}
	switch (what) {
	case COLLECT_FIELDS:
		if (p->fields.set)
			rc = flush(k, p, err);
		place(k, &p->fields, to);
		break;
	case COLLECT_SAMPLE:
		if (p->sample.set)
			break;
		place(k, &p->sample, to);
		p->headers_only = strstr(k->info.subtype, "headers") != NULL;
		p->cut = to == k->src->size && k->n_frames > 0;
		break;
	case COLLECT_TEXT:
		place(k, &p->text, to);
		place_human(k, p, to);
		break;
	case COLLECT_NONE: break;
	}
	return rc;
}

/* Could text stand here, by the first byte? In what is called text a dash, a quote mark or a letter outside of ASCII may come first. Archives, XML and JSON, in base64 too, go on to unpack.h without a second look. */
static bool worth_a_look(const struct walk *k)
{
	static const char *const packed[] = {"H4sI", "UEsD", "PK\3\4"};
	const char *p = k->dec.raw, *end = p + k->dec.probed;

	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n' || *p == '\0'))
		p++;
	if (p == end || k->dec.enc == TAP_ENC_UU)
		return false;
	if (!isalnum((unsigned char)*p) &&
	    (!is_type(&k->info, "text", NULL) || strchr("<{[", *p) != NULL))
		return false;
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
		if (strncmp(p, packed[i], (size_t)(end - p) < 4 ? (size_t)(end - p) : 4) == 0)
			return false;
	return k->dec.enc != TAP_ENC_BASE64 || *p != 'P';
}

static bool begins_like_header(const char *p, size_t n)
{
	const char *end = p + n, *lf;

	while (p < end && (tap_is_space(*p) || *p == '\0'))
		p++;
	lf = memchr(p, '\n', (size_t)(end - p));
	return tap_sniff_header_line(p, (size_t)((lf ? lf : end) - p));
}

/* By their content: the fields of a report under another type, its sample under another type, a report in the words of Exim. */
static enum collect look(struct walk *k, const char *p, size_t n)
{
	struct tap_feedback_parts *parts = parts_of(k), *report = in_feedback(k);

	if (begins_like_header(p, n)) {
		if (tap_fb_looks_like_fields(p, n))
			return COLLECT_FIELDS;
		if (report && !report->sample.set && tap_fb_looks_like_header(p, n))
			return COLLECT_SAMPLE;
	}
	if (is_type(&k->info, "text", NULL) && !parts->text.set && tap_failure_is_text(p, n))
		return COLLECT_TEXT;
	return COLLECT_NONE;
}

static enum tap_rc peek(struct walk *k, enum collect *what_r, struct tap_err *err)
{
	char buf[PEEK];
	size_t n;
	enum tap_rc rc;

	if (k->dec.enc == TAP_ENC_NONE) {
		*what_r = look(k, k->dec.raw, k->dec.probed);
		return TAP_OK;
	}
	rc = tap_stream_fill(&k->dec.base, buf, sizeof buf, &n, err);
	if (rc == TAP_OK)
		*what_r = look(k, buf, n);
	return rc == TAP_OK ? k->dec.base.rewind(&k->dec.base, err) : rc;
}

/* --- leaves -------------------------------------------------------------------------------------------------------------- */

static enum tap_rc encoded_message(struct walk *k, struct tap_err *err)
{
	struct tap_source mem;
	struct tap_err e = {0};
	char *p;
	size_t got;
	enum tap_rc rc;

	if (k->depth + 1 > k->w->lim->mime_depth) {
		limitedf(k, "parts nested more than %" PRIu32 " deep (limit mime_depth)",
			 k->w->lim->mime_depth);
		return TAP_OK;
	}
	p = malloc(ENCODED_MESSAGE_MAX);
	if (p == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for an attached message");
	rc = tap_stream_fill(&k->dec.base, p, ENCODED_MESSAGE_MAX, &got, &e);
	if (rc == TAP_OK && got == ENCODED_MESSAGE_MAX) {
		say(k, true, "an encoded message of more than 8 MiB is not read");
	} else if (rc == TAP_OK) {
		tap_source_mem(&mem, p, got);
		rc = walk_source(k->w, &mem, tap_sniff_mail_start((unsigned char *)p, got),
				 k->depth + 1, k->res, &e);
	}
	free(p);
	if (rc != TAP_OK && err)
		*err = e;
	return rc;
}

static bool claims(const struct tap_part_info *i)
{
	return tap_sniff_report_name(i->filename) || is_type(i, "application", "tlsrpt+gzip") ||
	       is_type(i, "application", "tlsrpt+json");
}

/* What a text part that holds no report says of itself; NULL = nothing of interest. */
static const char *telling(const struct walk *k)
{
	static const char *const done[] = {"removed", "deleted", "stripped", "blocked",
					   "quarantined"};
	const char *raw = k->dec.raw;
	char text[PEEK + 1];
	size_t n = k->dec.enc == TAP_ENC_BASE64 ? 0 : k->dec.probed;

	if (n == 0 || !is_type(&k->info, "text", NULL) || raw[0] == '<')
		return NULL;
	if (memmem(raw, n, "-----BEGIN PGP MESSAGE-----", 27))
		return "encrypted (PGP) text is not read";
	if (!memmem(raw, n, "ttach", 5) && !memmem(raw, n, "TTACH", 5))
		return NULL;
	memcpy(text, raw, n);
	text[n] = '\0';
	for (size_t i = 0; i < sizeof done / sizeof *done; i++)
		if (strcasestr(text, done[i]))
			return "a mail filter seems to have removed the attachment";
	return NULL;
}

static void judge_leaf(struct walk *k, const struct tap_container_result *r, const char *told)
{
	char text[TAP_WHY];

	k->res->reports += r->reports;
	for (uint32_t i = 0; i < r->broken; i++)
		say(k, true, r->why);
	if (r->reports > 0 || r->broken > 0)
		return;
	if (claims(&k->info)) {
		tap_why_set(text, "named as a report, but: %s", told ? told : r->why);
		say(k, true, text);
		return;
	}
	for (size_t i = 0; i < sizeof opaque / sizeof *opaque; i++)
		if (is_type(&k->info, opaque[i].type, opaque[i].subtype))
			say(k, false, opaque[i].why);
	if (told)
		say(k, false, told);
	/* What a text for people is not, is no news. */
	if (!is_type(&k->info, "text", "plain") && !is_type(&k->info, "text", "html"))
		say(k, false, r->why);
}

static enum tap_rc finish_leaf(struct walk *k, uint64_t to, struct tap_err *err)
{
	struct tap_container_result r;
	struct tap_subsource direct;
	struct tap_container c = {.bytes = &k->dec.base};
	enum collect what = k->collect;
	const char *told;
	enum tap_rc rc;

	k->state = IN_NOTHING;
	c.part = k->w->leaves++;
	if (what != COLLECT_NONE)
		return collect(k, what, to, err);
	tap_range_init(&k->range, k->src, k->leaf_from, to);
	rc = tap_decode_init(&k->dec, &k->range, k->info.encoding, err);
	if (rc != TAP_OK)
		return rc;
	if (is_message(&k->info))
		return encoded_message(k, err);
	told = telling(k);
	if (worth_a_look(k)) {
		rc = peek(k, &what, err);
		if (rc != TAP_OK)
			return rc;
		if (what != COLLECT_NONE)
			return collect(k, what, to, err);
		place_human(k, parts_of(k), to);
	}
	c.filename = k->info.filename[0] ? k->info.filename : NULL;
	c.prose = is_sample(&k->info) || is_prose(&k->info);
	if (k->dec.enc == TAP_ENC_NONE) {
		tap_subsource_init(&direct, k->src, k->range.from, k->range.to);
		c.direct = &direct.base;
	}
	k->w->depth = k->depth;
	k->w->note = parts_of(k)->bounced ? tap_feedback_bounced : NULL;
	rc = tap_unpack(k->w, &c, &r, err);
	k->w->note = NULL;
	if (rc == TAP_OK)
		judge_leaf(k, &r, told);
	return rc;
}

/* --- structure ----------------------------------------------------------------------------------------------------------- */

static void begin_headers(struct walk *k, uint32_t depth, bool message, uint64_t from)
{
	k->message = message;
	k->head_from = from;
	tap_headers_reset(&k->hdr);
	k->hdr.message = message;
	k->state = IN_HEADERS;
	k->depth = depth;
	if (depth > k->w->lim->mime_depth)
		limitedf(k, "parts nested more than %" PRIu32 " deep (limit mime_depth)",
			 k->w->lim->mime_depth);
	else if (++k->w->parts > k->w->lim->mime_parts)
		limitedf(k, "more than %" PRIu32 " parts (limit mime_parts)",
			 k->w->lim->mime_parts);
}

static void push(struct walk *k)
{
	struct frame *f = &k->frames[k->n_frames++];

	f->len = strlen(k->info.boundary);
	memcpy(f->boundary, k->info.boundary, f->len + 1);
	f->depth = k->depth + 1;
	f->digest = strcmp(k->info.subtype, "digest") == 0;
	memset(&f->parts, 0, sizeof f->parts);
	f->parts.head_from = k->mail_from;
	f->parts.head_to = k->mail_to;
	f->parts.bounced = k->n_frames > 1 && f[-1].parts.bounced;
	k->state = IN_NOTHING;
	if (is_type(&k->info, "multipart", "encrypted"))
		say(k, false, "encrypted mail is not read");
	if (!is_type(&k->info, "multipart", "report"))
		return;
	if (strcmp(k->info.report_type, "feedback-report") == 0) {
		f->parts.announced = true;
	} else if (strcmp(k->info.report_type, "delivery-status") == 0 ||
		   strcmp(k->info.report_type, "disposition-notification") == 0) {
		f->parts.bounced = true;
		k->res->bounce = true;
	}
}

/* What the body that begins at `from` is for, by the type that the block before it gives. */
static void enter(struct walk *k, uint64_t from)
{
	struct tap_feedback_parts *parts = parts_of(k), *report = in_feedback(k);

	if (is_type(&k->info, "multipart", NULL) && k->info.boundary[0] &&
	    k->n_frames <= k->w->lim->mime_depth) {
		push(k);
	} else if (strcmp(k->info.subtype, "feedback-report") == 0) {
		k->state = IN_LEAF;
		k->collect = COLLECT_FIELDS;
	} else if (report && is_sample(&k->info) &&
		   (!report->sample.set || !is_message(&k->info))) {
		/* A message behind the sample is another mail, which may hold reports of its own. */
		k->state = IN_LEAF;
		k->collect = COLLECT_SAMPLE;
	} else if (is_message(&k->info) && k->info.encoding == TAP_ENC_NONE) {
		if (k->n_frames > 0) {
			place(k, &parts->message, 0);
			parts->message.leaf = k->w->leaves;
		}
		begin_headers(k, k->depth + 1, true, from);
	} else {
		k->state = IN_LEAF;
	}
}

/* The header block is complete; its body begins at `from`. */
static void begin_body(struct walk *k, uint64_t from)
{
	bool digest = k->n_frames > 0 && k->frames[k->n_frames - 1].digest;

	if (k->outermost && !k->top_done && k->src->size > k->w->lim->message_bytes) {
		limitedf(
		    k, "message of %" PRIu64 " bytes, more than %" PRIu64 " (limit message_bytes)",
		    k->src->size, k->w->lim->message_bytes);
		return;
	}
	if (k->outermost && !k->top_done) {
		tap_buf_add(&k->w->top, k->hdr.raw.p, k->hdr.raw.len);
		k->w->doubtful |= k->hdr.strays > 0;
	}
	k->top_done = true;
	if (k->message) {
		k->mail_from = k->head_from;
		k->mail_to = from;
	}
	tap_headers_read(&k->hdr, digest, &k->info, k->message ? &k->w->hints : NULL);
	k->res->subject_claims |= k->info.report_subject;
	k->res->subject_begins |= k->info.report_begins;
	k->leaf_from = from;
	k->last_eol = 0;
	k->collect = COLLECT_NONE;
	enter(k, from);
}

/* Is the line, without its "--" and its end, the boundary of f? */
static bool is_boundary(const struct frame *f, const char *p, size_t n, bool *closing_r)
{
	size_t at = f->len;

	if (n < f->len || memcmp(p, f->boundary, f->len) != 0)
		return false;
	*closing_r = n - at >= 2 && p[at] == '-' && p[at + 1] == '-';
	if (*closing_r)
		at += 2;
	while (at < n && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r'))
		at++;
	return at == n;
}

/* Which open multipart a line belongs to as its boundary; -1 = none. */
static int boundary_of(const struct walk *k, const struct tap_piece *piece, bool *closing_r)
{
	if (!piece->starts || piece->n < 3 + piece->eol || piece->p[0] != '-' || piece->p[1] != '-')
		return -1;
	for (size_t i = k->n_frames; i-- > 0;)
		if (is_boundary(&k->frames[i], piece->p + 2, piece->n - piece->eol - 2, closing_r))
			return (int)i;
	return -1;
}

static enum tap_rc at_boundary(struct walk *k, size_t level, bool closing,
			       const struct tap_piece *piece, struct tap_err *err)
{
	uint64_t to = piece->off, eol = k->last_eol <= to ? k->last_eol : to;
	enum tap_rc rc = TAP_OK;

	if (k->state == IN_HEADERS) {
		begin_body(k, to);
		if (k->res->limited)
			return TAP_OK;
	}
	if (k->state == IN_LEAF) {
		if (to >= k->leaf_from + k->last_eol)
			to -= k->last_eol;
		rc = finish_leaf(k, to, err);
		if (rc != TAP_OK || k->res->limited)
			return rc;
	}
	rc = pop(k, level + 1, err);
	if (rc == TAP_OK && k->frames[level].parts.message.set &&
	    k->frames[level].parts.message.to == 0)
		k->frames[level].parts.message.to = piece->off - eol;
	if (rc == TAP_OK && closing)
		rc = pop(k, level, err);
	if (rc != TAP_OK)
		return rc;
	if (closing)
		k->state = IN_NOTHING;
	else
		begin_headers(k, k->frames[level].depth, false, piece->off + piece->n);
	return TAP_OK;
}

static void header_line(struct walk *k, const struct tap_piece *piece)
{
	struct tap_err e = {0};

	switch (tap_headers_add(&k->hdr, piece->p, piece->n, piece->starts, piece->eol, &e)) {
	case TAP_HEADER_MORE: return;
	case TAP_HEADER_LIMIT: limited(k, e.msg); return;
	case TAP_HEADER_END: begin_body(k, piece->off + piece->n); return;
	case TAP_HEADER_BODY: begin_body(k, piece->off); return;
	}
}

static enum tap_rc walk_line(struct walk *k, const struct tap_piece *piece, struct tap_err *err)
{
	bool closing = false;
	int level = boundary_of(k, piece, &closing);

	if (level >= 0)
		return at_boundary(k, (size_t)level, closing, piece, err);
	if (k->state == IN_HEADERS)
		header_line(k, piece);
	k->last_eol = piece->eol;
	return TAP_OK;
}

static enum tap_rc walk_lines(struct walk *k, struct tap_err *err)
{
	struct tap_piece piece;
	enum tap_rc rc;

	for (;;) {
		rc = tap_lines_next(&k->lines, &piece, err);
		if (rc != TAP_OK || piece.n == 0)
			break;
		if (piece.off - k->asked >= CANCEL_EVERY) {
			k->asked = piece.off;
			if (tap_work_cancelled(k->w))
				return tap_err_set(err, TAP_E_CANCELLED, "cancelled");
		}
		rc = walk_line(k, &piece, err);
		if (rc != TAP_OK)
			return rc;
		if (k->res->limited)
			break;
	}
	if (rc != TAP_OK)
		return rc;
	if (k->state == IN_HEADERS && !k->res->limited)
		begin_body(k, k->src->size);
	if (k->state == IN_LEAF && !k->res->limited)
		rc = finish_leaf(k, k->src->size, err);
	if (rc == TAP_OK)
		rc = pop(k, 0, err);
	return rc == TAP_OK ? flush(k, &k->root, err) : rc;
}

static enum tap_rc walk_source(struct tap_work *w, const struct tap_source *src, uint64_t start,
			       uint32_t depth, struct tap_mime_result *res, struct tap_err *err)
{
	struct walk *k = malloc(sizeof *k);
	enum tap_rc rc;

	if (k == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a mail");
	k->w = w;
	k->src = src;
	k->res = res;
	k->outermost = depth == 0;
	k->top_done = false;
	k->n_frames = 0;
	k->leaf_from = k->asked = start;
	k->last_eol = 0;
	k->mail_from = k->mail_to = start;
	k->collect = COLLECT_NONE;
	memset(&k->info, 0, sizeof k->info);
	memset(&k->root, 0, sizeof k->root);
	k->frames = calloc((size_t)w->lim->mime_depth + 1, sizeof *k->frames);
	tap_headers_init(&k->hdr, w->lim);
	tap_lines_init(&k->lines, src, start);
	begin_headers(k, depth, true, start);
	if (k->frames == NULL)
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory for a mail");
	else
		rc = res->limited ? TAP_OK : walk_lines(k, err);
	tap_headers_free(&k->hdr);
	free(k->frames);
	free(k);
	return rc;
}

enum tap_rc tap_mime_walk(struct tap_work *w, const struct tap_source *src, uint64_t start,
			  struct tap_mime_result *res, struct tap_err *err)
{
	memset(res, 0, sizeof *res);
	w->parts = w->leaves = w->feedback = w->feedback_part = 0;
	return walk_source(w, src, start, 0, res, err);
}

enum tap_rc tap_mime_walk_inner(struct tap_work *w, const struct tap_source *src, uint64_t start,
				uint32_t depth, struct tap_mime_result *res, struct tap_err *err)
{
	return walk_source(w, src, start, depth > 0 ? depth : 1, res, err);
}
