/* SPDX-License-Identifier: Apache-2.0
 * outputs/csv_tls.c - CSV of SMTP TLS reports (outputs/encode.h): one row a policy and one a failure detail, each with all of its
 * policy's columns. A sum over failed_session_count takes the rows of one row_kind only. compat4: without ours.
 * Limits [I7]: the buffer's maximum. Threads: safe. RFC 4180, 8460. */
#include "outputs/csv_write.h"

#include "base/clock.h"

static const char documented[] =
    "organization_name,begin_date,end_date,report_id,result_type,successful_session_count,"
    "failed_session_count,policy_domain,policy_type,policy_strings,mx_host_patterns,"
    "sending_mta_ip,receiving_ip,receiving_mx_hostname,receiving_mx_helo,additional_info_uri,"
    "failure_reason_code";
static const char newer[] = ",row_kind,policy_index,detail_index,contact_info,begin_date_utc,"
			    "end_date_utc" TAP_CSV_IDENTITY;

void tap_csv_tls_header(struct tap_buf *b, const struct tap_csv_style *s)
{
	tap_buf_add(b, documented, sizeof documented - 1);
	if (s->compat4)
		tap_buf_add(b, "\r\n", 2);
	else
		tap_buf_add(b, newer, sizeof newer - 1);
}

static void cell_time(struct tap_row *w, const char *raw, int64_t t)
{
	char text[32];

	if (raw == NULL && t > 0) {
		tap_time_rfc3339(t, text, sizeof text);
		raw = text;
	}
	tap_cell(w, raw);
}

enum { POLICY_CELLS = 4, DETAIL_CELLS = 6 };

static void counts(struct tap_row *w, const struct tap_tls_policy *p,
		   const struct tap_tls_detail *d)
{
	tap_cell(w, d != NULL ? d->result_type : NULL);
	if (p != NULL && d == NULL)
		tap_cell_u64(w, p->successful);
	else
		tap_cell(w, NULL);
	if (d != NULL)
		tap_cell_u64(w, d->failed);
	else if (p != NULL)
		tap_cell_u64(w, p->failed);
	else
		tap_cell(w, NULL);
}

static void policy_cells(struct tap_row *w, const struct tap_tls_policy *p)
{
	if (p == NULL) {
		tap_cells_empty(w, POLICY_CELLS);
		return;
	}
	tap_cell(w, p->policy_domain);
	tap_cell(w, p->policy_type);
	tap_cell_list(w, p->policy_strings, p->n_policy_strings, '|');
	tap_cell_list(w, p->mx_hosts, p->n_mx_hosts, '|');
}

static void detail_cells(struct tap_row *w, const struct tap_tls_detail *d)
{
	if (d == NULL) {
		tap_cells_empty(w, DETAIL_CELLS);
		return;
	}
	tap_cell(w, d->sending_mta_ip);
	tap_cell(w, d->receiving_ip);
	tap_cell(w, d->receiving_mx_hostname);
	tap_cell(w, d->receiving_mx_helo);
	tap_cell(w, d->additional_info);
	tap_cell(w, d->failure_reason_code);
}

static void our_cells(struct tap_row *w, const struct tap_meta *m, const struct tap_tls_policy *p,
		      const struct tap_tls_detail *d)
{
	tap_cell(w, d != NULL ? "detail" : p != NULL ? "policy" : "report");
	if (p != NULL || d != NULL)
		tap_cell_u64(w, p != NULL ? p->index : d->policy);
	else
		tap_cell(w, NULL);
	if (d != NULL)
		tap_cell_u64(w, d->index);
	else
		tap_cell(w, NULL);
	tap_cell(w, m->email);
	cell_time(w, NULL, m->begin);
	cell_time(w, NULL, m->end);
}

void tap_csv_tls_row(struct tap_buf *b, const struct tap_csv_style *s, const struct tap_meta *m,
		     const struct tap_tls_policy *p, const struct tap_tls_detail *d,
		     int64_t revision)
{
	struct tap_row w;

	if (p == NULL && d == NULL && s->compat4)
		return;
	tap_row_begin(&w, b, s);
	tap_cell(&w, m->org_name);
	cell_time(&w, m->begin_raw, m->begin);
	cell_time(&w, m->end_raw, m->end);
	tap_cell(&w, m->report_id);
	counts(&w, p, d);
	policy_cells(&w, p);
	detail_cells(&w, d);
	if (!s->compat4) {
		our_cells(&w, m, p, d);
		tap_cells_identity(&w, m, revision);
	}
	tap_row_end(&w);
}
