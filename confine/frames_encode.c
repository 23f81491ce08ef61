/* SPDX-License-Identifier: Apache-2.0
 * confine/frames_encode.c - report events to frames.
 * A frame is built in place at the end of the caller's buffer, its length patched in at the end. One that would be larger than
 * TAP_FRAME_MAX is taken out again, so that the stream stays readable and the result can still be told [I7]. */
#include "confine/frames.h"
#include "confine/frames_wire.h"

#include <string.h>

static void put_u8(struct tap_buf *b, unsigned v)
{
	tap_buf_addc(b, (char)(unsigned char)v);
}

static void put_u32(struct tap_buf *b, uint32_t v)
{
	unsigned char le[4];

	tap_frame_put_u32(le, v);
	tap_buf_add(b, le, sizeof le);
}

static void put_u64(struct tap_buf *b, uint64_t v)
{
	unsigned char le[8];

	tap_frame_put_u32(le, (uint32_t)v);
	tap_frame_put_u32(le + 4, (uint32_t)(v >> 32));
	tap_buf_add(b, le, sizeof le);
}

/* The reader refuses unclean text, and with it the whole message, so none must leave here: each bad byte becomes '?'. */
static void scrub(unsigned char *s, size_t n)
{
	size_t at = 0;

	while ((at += tap_frame_clean(s + at, n - at)) < n)
		s[at] = '?';
}

static void put_str(struct tap_buf *b, const char *s)
{
	size_t n;

	if (s == NULL) {
		put_u32(b, TAP_FRAME_NULL);
		return;
	}
	n = strlen(s);
	if (n > TAP_FRAME_MAX) {
		b->failed = true;
		return;
	}
	put_u32(b, (uint32_t)n);
	if (n > 0)
		tap_buf_add(b, s, n);
	if (!b->failed && n > 0)
		scrub((unsigned char *)b->p + b->len - n, n);
}

static void put_text(struct tap_buf *b, const struct tap_text *t)
{
	put_str(b, t->text);
	put_str(b, t->lang);
}

/* A text that the reader insists on. */
static void put_must(struct tap_buf *b, const char *s)
{
	put_str(b, s == NULL ? "" : s);
}

static void put_raw(struct tap_buf *b, const void *p, size_t n)
{
	if (p == NULL) {
		put_u32(b, TAP_FRAME_NULL);
		return;
	}
	if (n > TAP_FRAME_MAX) {
		b->failed = true;
		return;
	}
	put_u32(b, (uint32_t)n);
	if (n > 0)
		tap_buf_add(b, p, n);
}

static void put_count(struct tap_buf *b, size_t n)
{
	if (n > TAP_FRAME_LIST)
		b->failed = true;
	put_u32(b, (uint32_t)n);
}

static void put_strings(struct tap_buf *b, const char *const *s, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++)
		put_must(b, s[i]);
}

static void put_list(struct tap_buf *b, const struct tap_list_of *l)
{
	put_strings(b, l->item, l->n);
}

static void put_auth(struct tap_buf *b, const struct tap_auth_result *a, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++) {
		put_str(b, a[i].domain);
		put_str(b, a[i].label);
		put_str(b, a[i].result);
		put_text(b, &a[i].human_result);
	}
}

/* Where the frame begins; its head is filled in by frame_close. */
static size_t frame_open(struct tap_frame_writer *w, enum tap_frame_type type)
{
	size_t at = w->out->len;

	put_u32(w->out, 0);
	put_u8(w->out, type);
	return at;
}

static enum tap_rc frame_close(struct tap_frame_writer *w, size_t at, struct tap_err *err)
{
	struct tap_buf *b = w->out;

	if (b->failed || b->len - at > TAP_FRAME_HEAD + (size_t)TAP_FRAME_MAX) {
		b->len = at;
		b->failed = false;
		return tap_err_set(err, TAP_E_LIMIT, "a part of the report is larger than %d MiB",
				   TAP_FRAME_MAX >> 20);
	}
	tap_frame_put_u32((unsigned char *)b->p + at, (uint32_t)(b->len - at - TAP_FRAME_HEAD));
	if (w->flush != NULL && b->len > TAP_FRAME_FLUSH)
		return w->flush(w->flush_ctx, b, err);
	return TAP_OK;
}

static void put_source_info(struct tap_buf *b, const struct tap_source_info *s)
{
	put_str(b, s->reverse_dns);
	put_str(b, s->base_domain);
	put_str(b, s->country);
	put_str(b, s->name);
	put_str(b, s->type);
	put_str(b, s->as_name);
	put_str(b, s->as_domain);
	put_u32(b, s->asn);
}

static bool has_source_info(const struct tap_source_info *s)
{
	return s->reverse_dns != NULL || s->base_domain != NULL || s->country != NULL ||
	       s->name != NULL || s->type != NULL || s->as_name != NULL || s->as_domain != NULL ||
	       s->asn != 0;
}

static void put_trust(struct tap_buf *b, const struct tap_trust *t)
{
	size_t n = t->n_dkim_domains < TAP_TRUST_DKIM ? t->n_dkim_domains : TAP_TRUST_DKIM;

	put_u8(b, t->auth);
	put_u8(b, t->dmarc);
	put_u8(b, t->reporter);
	put_u8(b, t->names);
	put_u8(b, (t->foreign ? TAP_FRAME_FOREIGN : 0U) | (t->trusted ? TAP_FRAME_TRUSTED : 0U));
	put_str(b, t->from_domain);
	put_u8(b, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		put_must(b, t->dkim_domains[i]);
}

static enum tap_rc write_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_BEGIN);

	put_u8(b, m->kind);
	put_u8(b, m->schema);
	tap_buf_add(b, m->uid, TAP_FRAME_UID);
	put_str(b, m->origin.filename);
	put_u32(b, m->origin.part);
	put_u32(b, m->origin.document);
	put_u64(b, (uint64_t)m->begin);
	put_u64(b, (uint64_t)m->end);
	put_str(b, m->version);
	put_str(b, m->xml_namespace);
	put_str(b, m->org_name);
	put_str(b, m->email);
	put_str(b, m->report_id);
	put_str(b, m->generator);
	put_text(b, &m->extra_contact_info);
	put_count(b, m->n_errors);
	for (size_t i = 0; i < m->n_errors && !b->failed; i++)
		put_text(b, &m->errors[i]);
	put_strings(b, m->receiving_domains, m->n_receiving_domains);
	put_str(b, m->domain);
	put_str(b, m->version_published);
	put_str(b, m->discovery_method);
	put_str(b, m->p);
	put_str(b, m->sp);
	put_str(b, m->np);
	put_str(b, m->adkim);
	put_str(b, m->aspf);
	put_str(b, m->pct);
	put_str(b, m->fo);
	put_str(b, m->testing);
	put_str(b, m->begin_raw);
	put_str(b, m->end_raw);
	put_trust(b, &m->trust);
	return frame_close(w, at, err);
}

static enum tap_rc write_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_RECORD);
	bool info = has_source_info(&r->source);

	put_u64(b, r->index);
	put_u64(b, r->count);
	put_u8(b, (r->dkim_aligned ? TAP_FRAME_DKIM_ALIGNED : 0U) |
		      (r->spf_aligned ? TAP_FRAME_SPF_ALIGNED : 0U) |
		      (r->evaluated ? TAP_FRAME_EVALUATED : 0U) |
		      (info ? TAP_FRAME_SOURCE_INFO : 0U));
	put_str(b, r->source_ip);
	put_str(b, r->source_ip_raw);
	put_str(b, r->disposition);
	put_str(b, r->header_from);
	put_str(b, r->envelope_from);
	put_str(b, r->envelope_to);
	put_str(b, r->extension);
	put_count(b, r->n_reasons);
	for (size_t i = 0; i < r->n_reasons && !b->failed; i++) {
		put_str(b, r->reasons[i].type);
		put_text(b, &r->reasons[i].comment);
	}
	put_auth(b, r->dkim, r->n_dkim);
	put_auth(b, r->spf, r->n_spf);
	if (info)
		put_source_info(b, &r->source);
	return frame_close(w, at, err);
}

/* ---- failure and feedback reports ---- */

static void put_pairs(struct tap_buf *b, const struct tap_pair *p, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++) {
		put_must(b, p[i].name);
		put_must(b, p[i].value);
	}
}

static void put_mailboxes(struct tap_buf *b, const struct tap_mailboxes *m)
{
	put_count(b, m->n);
	for (size_t i = 0; i < m->n && !b->failed; i++) {
		put_must(b, m->item[i].display_name);
		put_must(b, m->item[i].address);
		put_str(b, m->item[i].local);
		put_str(b, m->item[i].domain);
	}
}

static void put_hops(struct tap_buf *b, const struct tap_hop *h, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++) {
		put_str(b, h[i].from);
		put_str(b, h[i].by);
		put_str(b, h[i].with);
		put_str(b, h[i].id);
		put_str(b, h[i].for_);
		put_str(b, h[i].via);
		put_str(b, h[i].date);
		put_u64(b, (uint64_t)h[i].time);
		put_u64(b, (uint64_t)h[i].delay);
		put_u32(b, h[i].hop);
	}
}

static void put_attachments(struct tap_buf *b, const struct tap_attachment *a, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++) {
		put_str(b, a[i].filename);
		put_str(b, a[i].content_type);
		put_str(b, a[i].content_id);
		put_str(b, a[i].disposition);
		put_str(b, a[i].charset);
		put_str(b, a[i].encoding);
		put_u64(b, a[i].size);
		put_str(b, a[i].sha256);
		put_raw(b, a[i].payload, a[i].payload_len);
		put_u8(b,
		       (a[i].text ? TAP_FRAME_TEXT : 0U) | (a[i].damaged ? TAP_FRAME_DAMAGED : 0U));
	}
}

static void put_sample(struct tap_buf *b, const struct tap_sample *s)
{
	put_mailboxes(b, &s->from);
	put_mailboxes(b, &s->to);
	put_mailboxes(b, &s->cc);
	put_mailboxes(b, &s->bcc);
	put_mailboxes(b, &s->reply_to);
	put_mailboxes(b, &s->delivered_to);
	put_list(b, &s->to_domains);
	put_str(b, s->subject);
	put_str(b, s->message_id);
	put_str(b, s->date);
	put_u64(b, (uint64_t)s->time);
	put_u8(b, (s->has_zone ? TAP_FRAME_ZONE : 0U) | (s->has_defects ? TAP_FRAME_DEFECTS : 0U));
	put_u32(b, (uint32_t)s->zone);
	put_str(b, s->body);
	put_hops(b, s->received, s->n_received);
	put_pairs(b, s->headers, s->n_headers);
	put_attachments(b, s->attachments, s->n_attachments);
	put_list(b, &s->authentication_results);
	put_list(b, &s->dkim_signatures);
}

static void put_canonicalized(struct tap_buf *b, const struct tap_canonicalized *k)
{
	put_u8(b, k->given);
	put_u64(b, k->size);
	put_str(b, k->sha256);
}

static void put_spf_dns(struct tap_buf *b, const struct tap_spf_dns *s, size_t n)
{
	put_count(b, n);
	for (size_t i = 0; i < n && !b->failed; i++) {
		put_str(b, s[i].type);
		put_str(b, s[i].domain);
		put_str(b, s[i].record);
		put_str(b, s[i].raw);
	}
}

static void put_failed_message(struct tap_buf *b, const struct tap_failure *f)
{
	static const struct tap_sample nothing;

	put_raw(b, f->sample, f->sample_len);
	put_u8(b, (f->sample_utf8 ? TAP_FRAME_UTF8 : 0U) |
		      (f->sample_headers_only ? TAP_FRAME_HEADERS_ONLY : 0U) |
		      (f->sample_damaged ? TAP_FRAME_SAMPLE_DAMAGED : 0U));
	if (f->sample != NULL)
		put_sample(b, f->parsed != NULL ? f->parsed : &nothing);
}

static enum tap_rc write_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_FAILURE);
	bool info = has_source_info(&f->source);

	put_u8(b, f->format);
	put_must(b, f->feedback_type);
	put_str(b, f->user_agent);
	put_str(b, f->version);
	put_str(b, f->original_envelope_id);
	put_str(b, f->original_mail_from);
	put_list(b, &f->original_rcpt_to);
	put_str(b, f->arrival_date);
	put_u64(b, (uint64_t)f->arrival);
	put_str(b, f->message_id);
	put_list(b, &f->authentication_results);
	put_str(b, f->delivery_result);
	put_str(b, f->delivery_result_raw);
	put_list(b, &f->auth_failure);
	put_list(b, &f->identity_alignment);
	put_u8(b, f->alignment_known);
	put_list(b, &f->aligned_mechanisms);
	put_list(b, &f->failed_mechanisms);
	put_list(b, &f->reported_domain);
	put_list(b, &f->reported_uri);
	put_str(b, f->reporting_mta_type);
	put_str(b, f->reporting_mta);
	put_str(b, f->dkim_domain);
	put_str(b, f->dkim_identity);
	put_str(b, f->dkim_selector);
	put_str(b, f->dkim_selector_dns);
	put_str(b, f->dkim_adsp_dns);
	put_canonicalized(b, &f->dkim_header);
	put_canonicalized(b, &f->dkim_body);
	put_spf_dns(b, f->spf_dns, f->n_spf_dns);
	put_str(b, f->source_ip);
	put_str(b, f->source_ip_raw);
	put_u8(b, f->source_ip_from_sample);
	put_u32(b, (uint32_t)f->source_port);
	put_u32(b, f->incidents);
	put_pairs(b, f->extra, f->n_extra);
	put_str(b, f->human_text);
	put_failed_message(b, f);
	put_u8(b, info);
	if (info)
		put_source_info(b, &f->source);
	return frame_close(w, at, err);
}

/* ---- SMTP TLS reports ---- */

static enum tap_rc write_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_TLS_POLICY);

	put_u32(b, p->index);
	put_str(b, p->policy_type);
	put_str(b, p->policy_domain);
	put_strings(b, p->policy_strings, p->n_policy_strings);
	put_strings(b, p->mx_hosts, p->n_mx_hosts);
	put_u64(b, p->successful);
	put_u64(b, p->failed);
	put_u64(b, p->n_details);
	return frame_close(w, at, err);
}

static enum tap_rc write_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_TLS_DETAIL);

	put_u32(b, d->policy);
	put_u64(b, d->index);
	put_str(b, d->result_type);
	put_u64(b, d->failed);
	put_str(b, d->sending_mta_ip);
	put_str(b, d->receiving_ip);
	put_str(b, d->receiving_mx_hostname);
	put_str(b, d->receiving_mx_helo);
	put_str(b, d->additional_info);
	put_str(b, d->failure_reason_code);
	return frame_close(w, at, err);
}

static enum tap_rc write_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	struct tap_buf *b = w->out;
	size_t at = frame_open(w, TAP_FRAME_END);

	put_u64(b, e->records);
	put_u64(b, e->details);
	put_u64(b, e->dropped);
	put_u64(b, e->messages);
	put_u64(b, e->passed);
	put_u8(b, (e->truncated ? TAP_FRAME_TRUNCATED : 0U) |
		      (e->recovered ? TAP_FRAME_RECOVERED : 0U));
	tap_buf_add(b, e->content_hash, sizeof e->content_hash);
	put_u64(b, e->content_bytes);
	put_u64(b, e->warnings_total);
	put_str(b, e->extension);
	put_count(b, e->n_warnings);
	for (size_t i = 0; i < e->n_warnings && !b->failed; i++) {
		put_str(b, e->warnings[i].where);
		put_str(b, e->warnings[i].what);
	}
	return frame_close(w, at, err);
}

static void write_abort(void *ctx, const struct tap_err *why)
{
	struct tap_frame_writer *w = ctx;
	size_t at = frame_open(w, TAP_FRAME_ABORT);
	struct tap_err ignored;

	put_u8(w->out, why->rc);
	put_str(w->out, why->msg);
	/* An abort cannot fail; a reader that has gone shows at the next frame, which always comes. */
	(void)frame_close(w, at, &ignored);
}

static enum tap_rc write_payload(void *ctx, uint32_t part, const void *p, size_t n,
				 struct tap_err *err)
{
	struct tap_frame_writer *w = ctx;
	const char *piece = p;

	do {
		size_t take = n < TAP_FRAME_PAYLOAD_PIECE ? n : TAP_FRAME_PAYLOAD_PIECE;
		size_t at = frame_open(w, TAP_FRAME_PAYLOAD);
		enum tap_rc rc;

		put_u32(w->out, part);
		if (take > 0)
			tap_buf_add(w->out, piece, take);
		rc = frame_close(w, at, err);
		if (rc != TAP_OK)
			return rc;
		piece += take;
		n -= take;
	} while (n > 0);
	return TAP_OK;
}

const struct tap_events tap_frame_writer_events = {
    .begin = write_begin,
    .record = write_record,
    .end = write_end,
    .abort = write_abort,
    .payload = write_payload,
    .failure = write_failure,
    .tls_policy = write_policy,
    .tls_detail = write_detail,
};

enum tap_rc tap_frame_write_result(struct tap_frame_writer *w, enum tap_rc rc,
				   const struct tap_parse_result *res, struct tap_err *err)
{
	size_t at = frame_open(w, TAP_FRAME_RESULT);

	put_u8(w->out, rc);
	put_u8(w->out, res->verdict);
	put_u32(w->out, res->reports);
	put_u32(w->out, res->broken);
	put_u8(w->out, res->kinds & TAP_KIND_ALL);
	put_u8(w->out, res->unauthenticated & res->kinds);
	put_u8(w->out, res->foreign);
	put_str(w->out, res->why);
	return frame_close(w, at, err);
}
