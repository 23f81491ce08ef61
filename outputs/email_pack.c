/* SPDX-License-Identifier: Apache-2.0
 * outputs/email_pack.c - see email_pack.h. Members are written one after the other, each in a pass over the items. */
#include "outputs/email_pack.h"

#include "outputs/encode.h"
#include "outputs/sample_name.h"
#include "outputs/zip_write.h"

#include <stdio.h>

enum { HEADER_MAX = 4096, MEMBER = TAP_SAMPLE_NAME + 16 };

static const struct {
	enum tap_kind kind;
	const char *json, *csv;
} kinds[] = {
    {TAP_KIND_AGGREGATE, "aggregate.json", "aggregate.csv"},
    {TAP_KIND_FAILURE, "forensic.json", "forensic.csv"},
    {TAP_KIND_SMTP_TLS, "smtp_tls.json", "smtp_tls.csv"},
    {TAP_KIND_FEEDBACK, "feedback.json", "feedback.csv"},
};

/* ---- one item ---- */

struct writer {
	struct tap_pack_item *i;
	struct tap_buf *out;
	size_t at;
};

static void end_part(struct writer *w, enum tap_pack_part part)
{
	w->i->len[part] = (uint32_t)(w->out->len - w->at);
	w->at = w->out->len;
}

static void text_part(struct writer *w, enum tap_pack_part part, const char *s)
{
	tap_buf_add(w->out, s != NULL ? s : "", (s != NULL ? strlen(s) : 0) + 1);
	end_part(w, part);
}

static void put_aggregate(struct writer *w, const struct tap_json_style *line,
			  const struct tap_item *item)
{
	const struct tap_record *r = item->record;

	tap_json_report_begin(w->out, line, item->meta);
	end_part(w, TAP_PACK_OPEN);
	if (r != NULL) {
		tap_json_report_record(w->out, line, item->meta, r, true);
		w->i->count = r->count;
		w->i->spf = r->spf_aligned;
		w->i->dkim = r->dkim_aligned;
		w->i->passed = r->spf_aligned || r->dkim_aligned ? r->count : 0;
	}
	end_part(w, TAP_PACK_BODY);
	tap_json_report_end(w->out, line, item->meta, item->end, item->revision, r != NULL);
	end_part(w, TAP_PACK_CLOSE);
}

/* Both as if they were the first of their list; what separates them comes when it is known what they stand behind. */
static void put_tls(struct writer *w, const struct tap_json_style *line,
		    const struct tap_item *item)
{
	struct tap_tls_policy p;
	struct tap_tls_detail d;

	tap_json_tls_begin(w->out, line, item->meta);
	end_part(w, TAP_PACK_OPEN);
	if (item->policy != NULL) {
		p = *item->policy;
		w->i->policy = p.index;
		p.index = 0;
		tap_json_tls_policy(w->out, line, &p, false);
		if (item->detail == NULL) {
			w->i->count = p.successful + p.failed;
			w->i->passed = p.successful;
		}
	}
	end_part(w, TAP_PACK_HEAD);
	if (item->detail != NULL) {
		d = *item->detail;
		d.index = 0;
		tap_json_tls_detail(w->out, line, &d);
	}
	end_part(w, TAP_PACK_BODY);
	tap_json_tls_end(w->out, line, item->meta, item->end, item->revision, item->policy != NULL,
			 item->detail != NULL);
	end_part(w, TAP_PACK_CLOSE);
}

static void put_failure(struct writer *w, const struct tap_json_style *line, bool samples,
			const struct tap_csv_style *csv, const struct tap_item *item)
{
	const struct tap_failure *f = item->failure;
	char name[TAP_SAMPLE_NAME];

	w->i->count = 1;
	tap_json_failure(w->out, line, item->meta, f, item->end, item->revision);
	end_part(w, TAP_PACK_OPEN);
	tap_csv_failure_row(w->out, csv, item->meta, f, item->revision);
	end_part(w, TAP_PACK_ROW);
	if (!samples || f->sample == NULL)
		return;
	tap_buf_add(w->out, f->sample, f->sample_len);
	end_part(w, TAP_PACK_SAMPLE);
	/* One report comes twice into an archive only in two revisions. */
	tap_sample_name(item->meta, f, item->revision > 0 ? (unsigned)item->revision : 1, name);
	text_part(w, TAP_PACK_NAME, name);
}

enum tap_rc tap_pack_encode(const struct tap_pack_style *s, const struct tap_item *item,
			    struct tap_buf *out, struct tap_err *err)
{
	const struct tap_json_style line = {.strip_payloads = s->strip_payloads};
	const struct tap_csv_style csv = {.unguarded = !s->guard};
	const struct tap_meta *m = item->meta;
	struct tap_pack_item i;
	struct writer w = {.i = &i, .out = out};
	size_t start = out->len;

	if ((m->kind == TAP_KIND_FAILURE || m->kind == TAP_KIND_FEEDBACK) !=
	    (item->failure != NULL))
		return tap_err_set(err, TAP_E_DATA, "the report has no contents");
	memset(&i, 0, sizeof i); /* padding too: the same items are the same bytes */
	i.seq = item->seq;
	i.revision = item->revision;
	i.kind = m->kind;
	i.trusted = m->trust.trusted;
	i.foreign = m->trust.foreign;
	tap_buf_add(out, &i, sizeof i);
	w.at = out->len;
	if (item->failure != NULL) {
		put_failure(&w, &line, s->samples, &csv, item);
	} else if (m->kind == TAP_KIND_SMTP_TLS) {
		put_tls(&w, &line, item);
		tap_csv_tls_row(out, &csv, m, item->policy, item->detail, item->revision);
		end_part(&w, TAP_PACK_ROW);
	} else {
		put_aggregate(&w, &line, item);
		tap_csv_row(out, &csv, m, item->record, item->revision);
		end_part(&w, TAP_PACK_ROW);
	}
	text_part(&w, TAP_PACK_DOMAIN,
		  m->kind == TAP_KIND_SMTP_TLS && item->policy != NULL ? item->policy->policy_domain
								       : m->domain);
	text_part(&w, TAP_PACK_SOURCE, item->record != NULL ? item->record->source_ip : NULL);
	text_part(&w, TAP_PACK_HOST,
		  item->record != NULL ? item->record->source.reverse_dns : NULL);
	if (out->failed || out->len - start > UINT32_MAX)
		return tap_err_set(err, TAP_E_LIMIT, "the item is larger than %zu bytes", out->max);
	memcpy(out->p + start, &i, sizeof i);
	return TAP_OK;
}

void tap_pack_read(const char *item, struct tap_pack_item *i_r, const char **part)
{
	memcpy(i_r, item, sizeof *i_r);
	item += sizeof *i_r;
	for (size_t k = 0; k < TAP_PACK_PARTS; k++) {
		part[k] = item;
		item += i_r->len[k];
	}
}

/* ---- an archive ---- */

struct run {
	const char *bytes;
	const size_t *ofs;
	size_t first, n;
};

static void add(struct tap_zip *z, const struct tap_pack_item *i, const char *const *part,
		enum tap_pack_part k)
{
	tap_zip_add(z, part[k], i->len[k]);
}

static void lit(struct tap_zip *z, const char *s)
{
	tap_zip_add(z, s, strlen(s));
}

/* One report a line; its items stand one behind the other. */
static void json_member(struct tap_zip *z, const struct run *r, enum tap_kind kind)
{
	struct tap_pack_item now = {0}, last = {0};
	const char *part[TAP_PACK_PARTS], *before[TAP_PACK_PARTS];
	bool any = false, body = false;

	lit(z, "[\n");
	for (size_t k = 0; k < r->n; k++) {
		tap_pack_read(r->bytes + r->ofs[r->first + k], &now, part);
		if (now.kind != kind)
			continue;
		if (!any || now.seq != last.seq || now.revision != last.revision) {
			if (any) {
				add(z, &last, before, TAP_PACK_CLOSE);
				lit(z, ",\n");
			}
			add(z, &now, part, TAP_PACK_OPEN);
			add(z, &now, part, TAP_PACK_HEAD);
			body = false;
		} else if (kind == TAP_KIND_SMTP_TLS && now.policy != last.policy) {
			lit(z, "]},");
			add(z, &now, part, TAP_PACK_HEAD);
			body = false;
		}
		if (body && now.len[TAP_PACK_BODY] > 0)
			lit(z, ",");
		add(z, &now, part, TAP_PACK_BODY);
		body = body || now.len[TAP_PACK_BODY] > 0;
		any = true;
		last = now;
		memcpy(before, part, sizeof before);
	}
	if (any)
		add(z, &last, before, TAP_PACK_CLOSE);
	lit(z, "\n]\n");
}

static void csv_member(struct tap_zip *z, const struct run *r, enum tap_kind kind,
		       const struct tap_pack_style *s)
{
	const struct tap_csv_style csv = {.unguarded = !s->guard};
	const char *part[TAP_PACK_PARTS];
	struct tap_pack_item i;
	struct tap_buf header;

	tap_buf_init(&header, HEADER_MAX);
	if (kind == TAP_KIND_SMTP_TLS)
		tap_csv_tls_header(&header, &csv);
	else if (kind == TAP_KIND_AGGREGATE)
		tap_csv_header(&header, &csv);
	else
		tap_csv_failure_header(&header, &csv);
	tap_zip_add(z, header.p, header.len);
	tap_buf_free(&header);
	for (size_t k = 0; k < r->n; k++) {
		tap_pack_read(r->bytes + r->ofs[r->first + k], &i, part);
		if (i.kind == kind)
			add(z, &i, part, TAP_PACK_ROW);
	}
}

/* The bits of the kinds that the run has; and each sample. */
static unsigned look(struct tap_zip *z, const struct run *r, bool write_samples)
{
	const char *part[TAP_PACK_PARTS];
	struct tap_pack_item i;
	char name[MEMBER];
	unsigned bits = 0;

	for (size_t k = 0; k < r->n; k++) {
		tap_pack_read(r->bytes + r->ofs[r->first + k], &i, part);
		bits |= i.kind;
		if (!write_samples || i.len[TAP_PACK_NAME] == 0)
			continue;
		(void)snprintf(name, sizeof name, "samples/%s", part[TAP_PACK_NAME]);
		tap_zip_member(z, name);
		add(z, &i, part, TAP_PACK_SAMPLE);
	}
	return bits;
}

enum tap_rc tap_pack_zip(const struct tap_pack_style *s, const char *bytes, const size_t *ofs,
			 size_t first, size_t n, int64_t now, struct tap_buf *out,
			 struct tap_err *err)
{
	const struct run r = {.bytes = bytes, .ofs = ofs, .first = first, .n = n};
	struct tap_zip *z = tap_zip_open(out, now);
	unsigned bits;
	enum tap_rc rc;

	if (z == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	bits = look(z, &r, false);
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		if ((bits & kinds[k].kind) == 0)
			continue;
		tap_zip_member(z, kinds[k].json);
		json_member(z, &r, kinds[k].kind);
		tap_zip_member(z, kinds[k].csv);
		csv_member(z, &r, kinds[k].kind, s);
	}
	(void)look(z, &r, true);
	rc = tap_zip_end(z, err);
	tap_zip_close(&z);
	return rc;
}
