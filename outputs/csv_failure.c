/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv_failure.c - CSV of failure and feedback reports (outputs/encode.h): one row a report. The documented columns of the
 * reference first, then its newer ones, then ours. Fields that only some report has are in the JSON form alone.
 * Limits [I7]: the buffer's maximum. Threads: safe. RFC 4180. */
#include "outputs/csv_write.h"

#include <stdio.h>

static const char documented[] =
    "feedback_type,user_agent,version,original_envelope_id,original_mail_from,original_rcpt_to,"
    "arrival_date,arrival_date_utc,subject,message_id,authentication_results,dkim_domain,"
    "source_ip_address,source_country,source_reverse_dns,source_base_domain,delivery_result,"
    "auth_failure,reported_domain,authentication_mechanisms,sample_headers_only";
static const char newer[] =
    ",source_name,source_type,source_asn,source_as_name,source_as_domain,format,incidents,"
    "delivery_result_raw,identity_alignment,aligned_mechanisms,failed_mechanisms,dkim_selector,"
    "dkim_identity,reported_uri,source_port,source_ip_raw,source_ip_from_sample,header_from,"
    "header_from_domain,header_to,sample_date_utc,sample_bytes,sample_damaged,attachments,"
    "attachments_sha256" TAP_CSV_IDENTITY;

void tap_csv_failure_header(struct tap_buf *b, const struct tap_csv_style *s)
{
	tap_buf_add(b, documented, sizeof documented - 1);
	if (s->compat4)
		tap_buf_add(b, "\r\n", 2);
	else
		tap_buf_add(b, newer, sizeof newer - 1);
}

static void cell_list(struct tap_row *w, const struct tap_list_of *l, char separator)
{
	tap_cell_list(w, l->item, l->n, separator);
}

/* A field that may be repeated: all of its values, but version 4 knew one. */
static void cell_repeated(struct tap_row *w, const struct tap_list_of *l, char separator)
{
	if (w->compat4)
		tap_cell(w, tap_shape_one(l, true));
	else
		cell_list(w, l, separator);
}

static void documented_cells(struct tap_row *w, const struct tap_meta *m,
			     const struct tap_failure *f)
{
	int64_t arrival =
	    w->compat4 && f->arrival == TAP_NO_TIME && m->begin > 0 ? m->begin : f->arrival;
	char date[TAP_SHAPE_DATE];

	tap_cell(w, f->feedback_type);
	tap_cell(w, f->user_agent);
	tap_cell(w, f->version);
	tap_cell(w, f->original_envelope_id);
	tap_cell(w, f->original_mail_from);
	cell_repeated(w, &f->original_rcpt_to, ',');
	tap_cell(w, f->arrival_date);
	tap_cell(w, tap_shape_utc(arrival, date));
	tap_cell(w, f->parsed != NULL ? f->parsed->subject : NULL);
	tap_cell(w, f->message_id);
	cell_repeated(w, &f->authentication_results, '|');
	tap_cell(w, f->dkim_domain);
	tap_cell(w, f->source_ip);
	tap_cell(w, f->source.country);
	tap_cell(w, f->source.reverse_dns);
	tap_cell(w, f->source.base_domain);
	tap_cell(w, w->compat4 && f->delivery_result_raw != NULL ? f->delivery_result_raw
								 : f->delivery_result);
	if (w->compat4 && f->auth_failure.n == 0)
		tap_cell(w, "dmarc");
	else
		cell_list(w, &f->auth_failure, ',');
	cell_repeated(w, &f->reported_domain, ',');
	cell_list(w, tap_shape_mechanisms(f, w->compat4), ',');
	tap_cell_bool(w, f->sample_headers_only);
}

static void cell_addresses(struct tap_row *w, const struct tap_mailboxes *l)
{
	tap_cell_begin(w);
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			tap_buf_addc(w->b, ',');
		if (l->item[i].address != NULL)
			tap_buf_adds(w->b, l->item[i].address);
	}
	tap_cell_end(w);
}

static void cell_attachments(struct tap_row *w, const struct tap_sample *p, bool hash)
{
	tap_cell_begin(w);
	for (size_t i = 0; i < p->n_attachments; i++) {
		const struct tap_attachment *a = &p->attachments[i];

		if (i > 0)
			tap_buf_addc(w->b, hash ? ',' : '|');
		if (hash)
			tap_buf_adds(w->b, a->sha256);
		else if (a->filename != NULL)
			tap_buf_adds(w->b, a->filename);
	}
	tap_cell_end(w);
}

enum { HEADER_CELLS = 3, ATTACHMENT_CELLS = 2 };

static void sample_cells(struct tap_row *w, const struct tap_failure *f)
{
	const struct tap_sample *p = f->parsed;
	char date[TAP_SHAPE_DATE];

	if (p != NULL) {
		const struct tap_mailbox *from = p->from.n > 0 ? &p->from.item[0] : NULL;

		tap_cell(w, from != NULL ? from->address : NULL);
		tap_cell(w, from != NULL ? from->domain : NULL);
		cell_addresses(w, &p->to);
	} else {
		tap_cells_empty(w, HEADER_CELLS);
	}
	tap_cell(w, p != NULL ? tap_shape_utc(p->time, date) : NULL);
	if (f->sample != NULL)
		tap_cell_u64(w, f->sample_len);
	else
		tap_cell(w, NULL);
	tap_cell_bool(w, f->sample_damaged);
	if (p != NULL) {
		cell_attachments(w, p, false);
		cell_attachments(w, p, true);
	} else {
		tap_cells_empty(w, ATTACHMENT_CELLS);
	}
}

static void newer_cells(struct tap_row *w, const struct tap_failure *f)
{
	tap_cells_source(w, &f->source);
	tap_cell(w, tap_shape_format(f));
	tap_cell_u64(w, f->incidents);
	tap_cell(w, f->delivery_result_raw);
	cell_list(w, &f->identity_alignment, ',');
	cell_list(w, &f->aligned_mechanisms, ',');
	cell_list(w, &f->failed_mechanisms, ',');
	tap_cell(w, f->dkim_selector);
	tap_cell(w, f->dkim_identity);
	cell_list(w, &f->reported_uri, '|');
	if (f->source_port >= 0)
		tap_cell_u64(w, (uint64_t)f->source_port);
	else
		tap_cell(w, NULL);
	tap_cell(w, f->source_ip_raw);
	tap_cell_bool(w, f->source_ip_from_sample);
	sample_cells(w, f);
}

void tap_csv_failure_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
			 const struct tap_failure *f, int64_t revision)
{
	struct tap_row w;

	tap_row_begin(&w, b, s);
	documented_cells(&w, m, f);
	if (!s->compat4) {
		newer_cells(&w, f);
		tap_cells_identity(&w, m, revision);
	}
	tap_row_end(&w);
}
