/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv_encode.c - CSV of aggregate reports (outputs/encode.h): one row a record, RFC 4180, rows end CRLF.
 * Several values in one cell are joined by "," (words) or "|" (free text), as the reference does.
 * Limits [I7]: the buffer's maximum. Threads: safe. */
#include "outputs/csv_write.h"

static const char documented[] =
    "xml_schema,org_name,org_email,org_extra_contact_info,report_id,begin_date,end_date,errors,"
    "domain,adkim,aspf,p,sp,pct,fo,source_ip_address,source_country,source_reverse_dns,"
    "source_base_domain,count,disposition,dkim_alignment,spf_alignment,policy_override_reasons,"
    "policy_override_comments,envelope_from,header_from,envelope_to,dkim_domains,dkim_selectors,"
    "dkim_results,spf_domains,spf_scopes,spf_results";
static const char newer[] =
    ",np,testing,discovery_method,source_name,source_type,source_asn,source_as_name,"
    "source_as_domain,spf_aligned,dkim_aligned,dmarc_aligned,generator,xml_namespace,schema,"
    "disposition_norm,evaluated,envelope_from_effective,dkim_human_results,spf_human_results,"
    "record_index" TAP_CSV_IDENTITY;

enum which { DOMAIN, LABEL, RESULT, HUMAN };

static const char *pick(const struct tap_auth_result *a, enum which which, const char *label,
			bool compat4)
{
	switch (which) {
	case DOMAIN: return a->domain;
	case LABEL: return compat4 && (a->label == NULL || *a->label == '\0') ? label : a->label;
	case RESULT: return compat4 && a->result == NULL ? "none" : a->result;
	case HUMAN: break;
	}
	return a->human_result.text;
}

static void cell_results(struct tap_row *w, const struct tap_auth_result *a, size_t n,
			 enum which which, const char *label)
{
	bool any = false;

	tap_cell_begin(w);
	for (size_t i = 0; i < n; i++) {
		const char *s = pick(&a[i], which, label, w->compat4);

		if (!tap_shape_keeps(&a[i], w->compat4))
			continue;
		if (any)
			tap_buf_addc(w->b, which == HUMAN ? '|' : ',');
		any = true;
		if (s != NULL)
			tap_buf_adds(w->b, s);
	}
	tap_cell_end(w);
}

static void cell_reasons(struct tap_row *w, const struct tap_record *r, bool comments)
{
	tap_cell_begin(w);
	for (size_t i = 0; i < r->n_reasons; i++) {
		const char *s = comments ? r->reasons[i].comment.text : r->reasons[i].type;

		if (i > 0)
			tap_buf_addc(w->b, comments ? '|' : ',');
		if (s != NULL)
			tap_buf_adds(w->b, s);
	}
	tap_cell_end(w);
}

static void report_cells(struct tap_row *w, const struct tap_meta *m, bool local)
{
	char date[TAP_SHAPE_DATE], id[TAP_SHAPE_ID];
	struct tap_shape_policy pol;

	tap_shape_policy(m, w->compat4, &pol);
	tap_cell(w, tap_shape_version(m));
	tap_cell(w, m->org_name);
	tap_cell(w, m->email);
	tap_cell(w, m->extra_contact_info.text);
	tap_cell(w, tap_shape_report_id(m, w->compat4, id));
	tap_shape_date(m->begin, local, date);
	tap_cell(w, date);
	tap_shape_date(m->end, local, date);
	tap_cell(w, date);
	tap_cell_begin(w);
	for (size_t i = 0; i < m->n_errors; i++) {
		if (i > 0)
			tap_buf_addc(w->b, '|');
		if (m->errors[i].text != NULL)
			tap_buf_adds(w->b, m->errors[i].text);
	}
	tap_cell_end(w);
	tap_cell(w, m->domain);
	tap_cell(w, pol.adkim);
	tap_cell(w, pol.aspf);
	tap_cell(w, pol.p);
	tap_cell(w, pol.sp);
	tap_cell(w, pol.pct);
	tap_cell(w, pol.fo);
}

enum { RECORD_CELLS = 19 };

static void record_cells(struct tap_row *w, const struct tap_record *r)
{
	bool c4 = w->compat4;

	tap_cell(w, r->source_ip);
	tap_cell(w, r->source.country);
	tap_cell(w, r->source.reverse_dns);
	tap_cell(w, r->source.base_domain);
	tap_cell_u64(w, r->count);
	tap_cell(w, tap_shape_disposition(r, c4));
	tap_cell(w, r->dkim_aligned ? "pass" : "fail");
	tap_cell(w, r->spf_aligned ? "pass" : "fail");
	cell_reasons(w, r, false);
	cell_reasons(w, r, true);
	tap_cell(w, c4 ? tap_shape_envelope_from(r, true) : r->envelope_from);
	tap_cell(w, r->header_from);
	tap_cell(w, r->envelope_to);
	cell_results(w, r->dkim, r->n_dkim, DOMAIN, NULL);
	cell_results(w, r->dkim, r->n_dkim, LABEL, "none");
	cell_results(w, r->dkim, r->n_dkim, RESULT, NULL);
	cell_results(w, r->spf, r->n_spf, DOMAIN, NULL);
	cell_results(w, r->spf, r->n_spf, LABEL, "mfrom");
	cell_results(w, r->spf, r->n_spf, RESULT, NULL);
}

static void newer_cells(struct tap_row *w, const struct tap_meta *m, const struct tap_record *r,
			int64_t revision)
{
	tap_cell(w, m->np);
	tap_cell(w, m->testing);
	tap_cell(w, m->discovery_method);
	if (r != NULL) {
		tap_cells_source(w, &r->source);
		tap_cell_bool(w, r->spf_aligned);
		tap_cell_bool(w, r->dkim_aligned);
		tap_cell_bool(w, r->spf_aligned || r->dkim_aligned);
	} else {
		tap_cells_empty(w, 8);
	}
	tap_cell(w, m->generator);
	tap_cell(w, m->xml_namespace);
	tap_cell(w, tap_shape_schema(m));
	if (r != NULL) {
		tap_cell(w, tap_shape_disposition_norm(r));
		tap_cell_bool(w, r->evaluated);
		tap_cell(w, tap_shape_envelope_from(r, false));
		cell_results(w, r->dkim, r->n_dkim, HUMAN, NULL);
		cell_results(w, r->spf, r->n_spf, HUMAN, NULL);
		tap_cell_u64(w, r->index);
	} else {
		tap_cells_empty(w, 6);
	}
	tap_cells_identity(w, m, revision);
}

void tap_csv_header(struct tap_buf *b, const struct tap_csv_style *s)
{
	tap_buf_add(b, documented, sizeof documented - 1);
	if (s->compat4)
		tap_buf_add(b, "\r\n", 2);
	else
		tap_buf_add(b, newer, sizeof newer - 1);
}

void tap_csv_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
		 const struct tap_record *r, int64_t revision)
{
	struct tap_row w;

	if (r == NULL && s->compat4)
		return;
	tap_row_begin(&w, b, s);
	report_cells(&w, m, s->local_time || s->compat4);
	if (r != NULL)
		record_cells(&w, r);
	else
		tap_cells_empty(&w, RECORD_CELLS);
	if (!s->compat4)
		newer_cells(&w, m, r, revision);
	tap_row_end(&w);
}
