/* SPDX-License-Identifier: Apache-2.0
 * parser/feedback_parts.c - see feedback_parts.h. */
#include "parser/feedback_parts.h"
#include "parser/failure.h"
#include "parser/headers.h"
#include <stdlib.h>
#include <string.h>

const char tap_feedback_bounced[] = "bounced: it stood inside of a delivery status notification";

enum { HUMAN_BYTES = 65536, STEP = 65536 };

/* The decoded bytes of a part: those of the source itself where they lie in memory as they are, else a copy. */
struct bytes {
	const char *p;
	size_t n;
	bool cut;
	struct tap_buf copy;
};

bool tap_feedback_any(const struct tap_feedback_parts *p)
{
	return p->fields.set || (!p->read && (p->text.set || p->announced));
}

static enum tap_rc read_copy(struct tap_decode *d, size_t max, struct bytes *b, struct tap_err *err)
{
	size_t got = 1;
	enum tap_rc rc = TAP_OK;

	while (rc == TAP_OK && got > 0 && b->copy.len <= max) {
		if (!tap_buf_reserve(&b->copy, STEP))
			return tap_err_set(err, TAP_E_TEMP, "out of memory for a feedback report");
		rc = d->base.read(&d->base, b->copy.p + b->copy.len, STEP, &got, err);
		b->copy.len += got;
	}
	b->p = b->copy.p;
	b->n = b->copy.len;
	return rc;
}

static enum tap_rc take(const struct tap_source *src, const struct tap_part_place *place,
			size_t max, struct bytes *b, struct tap_err *err)
{
	struct tap_decode *d;
	struct tap_range range;
	enum tap_rc rc;

	memset(b, 0, sizeof *b);
	tap_buf_init(&b->copy, max + STEP + 1);
	if (!place->set)
		return TAP_OK;
	d = malloc(sizeof *d);
	if (d == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory for a feedback report");
	tap_range_init(&range, src, place->from, place->to);
	rc = tap_decode_init(d, &range, place->encoding, err);
	if (rc == TAP_OK && d->enc == TAP_ENC_NONE && src->mem) {
		b->p = (const char *)src->mem + range.from;
		b->n = (size_t)(range.to - range.from);
	} else if (rc == TAP_OK) {
		rc = read_copy(d, max, b, err);
	}
	free(d);
	b->cut = b->n > max;
	if (b->cut)
		b->n = max;
	if (b->p == NULL)
		b->p = "";
	return rc;
}

/* --- the mail around it ------------------------------------------------------------------------------------------------- */

struct head {
	struct tap_headers h;
	struct tap_buf date, message_id, from;
};

static enum tap_rc read_head(struct tap_work *w, const struct tap_source *src,
			     const struct tap_feedback_parts *p, struct head *h,
			     struct tap_err *err)
{
	uint64_t n = p->head_to > p->head_from ? p->head_to - p->head_from : 0;
	struct tap_range range;
	enum tap_rc rc;

	tap_headers_init(&h->h, w->lim);
	tap_buf_init(&h->date, TAP_FIELD_MAX);
	tap_buf_init(&h->message_id, TAP_FIELD_MAX);
	tap_buf_init(&h->from, TAP_FIELD_MAX);
	if (n == 0 || n > w->lim->header_bytes || !tap_buf_reserve(&h->h.raw, (size_t)n))
		return TAP_OK;
	tap_range_init(&range, src, p->head_from, p->head_to);
	rc = tap_stream_fill(&range.base, h->h.raw.p, (size_t)n, &h->h.raw.len, err);
	return rc;
}

static void free_head(struct head *h)
{
	tap_headers_free(&h->h);
	tap_buf_free(&h->date);
	tap_buf_free(&h->message_id);
	tap_buf_free(&h->from);
}

static const char *field(struct head *h, const char *name, struct tap_buf *v)
{
	return tap_headers_find(&h->h, name, v) ? tap_buf_cstr(v) : NULL;
}

/* --- one report ---------------------------------------------------------------------------------------------------------- */

static enum tap_rc emit(struct tap_work *w, const struct tap_feedback_parts *p, struct head *head,
			const struct bytes *fields, const struct bytes *sample,
			const struct bytes *human, struct tap_document_result *res,
			struct tap_err *err)
{
	const char *notes[1];
	struct tap_failure_parts f = {.notes = notes};
	bool text = !p->fields.set && p->text.set;
	enum tap_rc rc;

	f.part = w->feedback > 0 ? w->feedback_part : p->fields.set ? p->fields.leaf : p->text.leaf;
	f.document = w->feedback;
	if (p->fields.set) {
		f.fields = fields->p;
		f.fields_len = fields->n;
	}
	f.fields_cut = fields->cut;
	if (sample->p && (p->sample.set || p->message.set)) {
		f.sample = sample->p;
		f.sample_len = sample->n;
		f.sample_cut = sample->cut;
		f.sample_damaged = p->cut;
		f.headers_only = p->headers_only;
	}
	if (p->human.set && !text) {
		f.human = human->p;
		f.human_len = human->n;
		f.human_charset = p->human_charset;
	}
	f.date = field(head, "Date", &head->date);
	f.message_id = field(head, "Message-ID", &head->message_id);
	f.from = field(head, "From", &head->from);
	if (p->bounced)
		notes[f.n_notes++] = tap_feedback_bounced;
	if (text)
		rc = tap_failure_text_emit(w, &f, fields->p, fields->n, res, err);
	else
		rc = tap_failure_emit(w, &f, res, err);
	if (rc == TAP_OK && res->reports > 0 && w->feedback++ == 0)
		w->feedback_part = f.part;
	return rc;
}

enum tap_rc tap_feedback_read(struct tap_work *w, const struct tap_source *src,
			      const struct tap_feedback_parts *p, struct tap_document_result *res,
			      struct tap_err *err)
{
	const struct tap_part_place *sample = p->sample.set ? &p->sample : &p->message;
	const struct tap_part_place *fields = p->fields.set ? &p->fields : &p->text;
	static const struct tap_part_place none;
	struct bytes f, s, h;
	struct head head;
	size_t max = (size_t)w->lim->sample_bytes;
	enum tap_rc rc;

	memset(res, 0, sizeof *res);
	memset(&s, 0, sizeof s);
	memset(&h, 0, sizeof h);
	rc = take(src, fields, p->fields.set ? 2 * max : max, &f, err);
	if (rc == TAP_OK)
		rc = take(src, p->fields.set ? sample : &none, max, &s, err);
	if (rc == TAP_OK)
		rc = take(src, &p->human, HUMAN_BYTES, &h, err);
	if (rc == TAP_OK) {
		rc = read_head(w, src, p, &head, err);
		if (rc == TAP_OK)
			rc = emit(w, p, &head, &f, &s, &h, res, err);
		free_head(&head);
	}
	tap_buf_free(&f.copy);
	tap_buf_free(&s.copy);
	tap_buf_free(&h.copy);
	return rc;
}
