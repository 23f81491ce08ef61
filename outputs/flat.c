/* SPDX-License-Identifier: Apache-2.0
 * outputs/flat.c - see flat.h: what the kinds share, and aggregate records. The hot path of every search output: no printf here. */
#include "outputs/flat_write.h"

#include "base/clock.h"

static char *digits2(char *p, int v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

void tap_flat_time(struct tap_flat *f, int64_t t)
{
	char text[] = "\"2026-06-02T00:00:00Z\"", *p = text + 1;
	struct tap_date d;

	tap_time_utc(t, &d);
	if (d.year < 0 || d.year > 9999) {
		PUT(&f->e, "null");
		return;
	}
	p = digits2(p, (int)d.year / 100);
	p = digits2(p, (int)d.year % 100) + 1;
	p = digits2(p, d.month) + 1;
	p = digits2(p, d.day);
	*p = f->search ? 'T' : ' ';
	p = digits2(p + 1, d.hour) + 1;
	p = digits2(p, d.minute) + 1;
	p = digits2(p, d.second);
	if (!f->search)
		*p = '"';
	put(&f->e, text, f->search ? sizeof text - 1 : sizeof text - 2);
}

void tap_flat_inside(struct tap_flat *f, const char *s)
{
	struct tap_enc *e = &f->e;
	size_t at = (size_t)(e->p - e->b->p);
	char *from;

	if (s == NULL || *s == '\0') {
		PUT(e, "none");
		return;
	}
	tap_enc_string(e, s, strlen(s));
	from = e->b->p + at;
	if (e->b->failed || e->p - from < 2)
		return;
	e->p -= 2;
	memmove(from, from + 1, (size_t)(e->p - from));
}

void tap_flat_id(const struct tap_item *item, char out[TAP_FLAT_ID])
{
	size_t n = strnlen(item->meta->uid, TAP_UID_HEX - 1), k = 20;
	uint64_t v = item->record != NULL ? item->record->index : item->ordinal;
	char digit[20];

	memcpy(out, item->meta->uid, n);
	if (item->record != NULL || item->policy != NULL) {
		do {
			digit[--k] = (char)('0' + v % 10);
			v /= 10;
		} while (v != 0);
		out[n++] = '-';
		memcpy(out + n, digit + k, sizeof digit - k);
		n += sizeof digit - k;
	}
	out[n] = '\0';
}

void tap_flat_source(struct tap_flat *f, const char *ip, const char *raw,
		     const struct tap_source_info *s)
{
	TEXT(f, "source_ip_address", ip);
	TEXT(f, "source_country", s->country);
	TEXT(f, "source_reverse_dns", s->reverse_dns);
	TEXT(f, "source_base_domain", s->base_domain);
	TEXT(f, "source_type", s->type);
	TEXT(f, "source_name", s->name);
	if (s->asn != 0)
		COUNT(f, "source_asn", s->asn);
	else if (!f->search)
		PUT(&f->e, ",\"source_asn\":null");
	TEXT(f, "source_as_name", s->as_name);
	TEXT(f, "source_as_domain", s->as_domain);
	TEXT(f, "source_ip_address_raw", raw);
}

/* ---- aggregate ---- */

static void errors_of(struct tap_flat *f, const struct tap_meta *m)
{
	if (m->n_errors == 0 && f->search)
		return;
	FIELD(f, "errors");
	PUT(&f->e, "[");
	for (size_t i = 0; i < m->n_errors; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		put_string(&f->e, m->errors[i].text);
	}
	PUT(&f->e, "]");
}

static void period(struct tap_flat *f, const struct tap_meta *m)
{
	if (f->search) {
		FIELD(f, "date_range");
		PUT(&f->e, "[");
		tap_flat_time(f, m->begin);
		PUT(&f->e, ",");
		tap_flat_time(f, m->end);
		PUT(&f->e, "]");
		FIELD(f, "date_begin");
		tap_flat_time(f, m->begin);
		FIELD(f, "date_end");
		tap_flat_time(f, m->end);
	} else {
		FIELD(f, "begin_date");
		tap_flat_time(f, m->begin);
		FIELD(f, "end_date");
		tap_flat_time(f, m->end);
		FIELD(f, "interval_begin");
		tap_flat_time(f, m->begin);
		FIELD(f, "interval_end");
		tap_flat_time(f, m->end);
	}
	TRUTH(f, "normalized_timespan", false);
}

static void policy(struct tap_flat *f, const struct tap_meta *m)
{
	struct tap_shape_policy p;

	tap_shape_policy(m, false, &p);
	FIELD(f, "published_policy");
	PUT(&f->e, "{\"domain\":");
	put_string(&f->e, m->domain);
	TEXT(f, "adkim", p.adkim);
	TEXT(f, "aspf", p.aspf);
	TEXT(f, "p", p.p);
	TEXT(f, "sp", p.sp);
	TEXT(f, "pct", p.pct);
	TEXT(f, "fo", p.fo);
	TEXT(f, "np", m->np);
	TEXT(f, "testing", m->testing);
	TEXT(f, "discovery_method", m->discovery_method);
	PUT(&f->e, "}");
}

static void report_fields(struct tap_flat *f, const struct tap_item *item)
{
	const struct tap_meta *m = item->meta;

	TEXT(f, "xml_schema", tap_shape_version(m));
	TEXT(f, "xml_namespace", m->xml_namespace);
	TEXT(f, "org_name", m->org_name);
	TEXT(f, "org_email", m->email);
	TEXT(f, "org_extra_contact_info", m->extra_contact_info.text);
	TEXT(f, "report_id", m->report_id);
	TEXT(f, "generator", m->generator);
	period(f, m);
	errors_of(f, m);
	policy(f, m);
	TEXT(f, "np", m->np);
	TEXT(f, "testing", m->testing);
	TEXT(f, "discovery_method", m->discovery_method);
}

static void results(struct tap_flat *f, const struct tap_auth_result *a, size_t n, bool spf)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		PUT(&f->e, "{\"domain\":");
		put_string(&f->e, a[i].domain);
		if (spf)
			TEXT(f, "scope", a[i].label);
		else
			TEXT(f, "selector", a[i].label);
		TEXT(f, "result", a[i].result);
		TEXT(f, "human_result", a[i].human_result.text);
		PUT(&f->e, "}");
	}
	PUT(&f->e, "]");
}

/* "selector / domain / result", "scope / domain / result" */
static void combined(struct tap_flat *f, const struct tap_auth_result *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		PUT(&f->e, "\"");
		tap_flat_inside(f, a[i].label);
		PUT(&f->e, " / ");
		tap_flat_inside(f, a[i].domain);
		PUT(&f->e, " / ");
		tap_flat_inside(f, a[i].result);
		PUT(&f->e, "\"");
	}
	PUT(&f->e, "]");
}

static void overrides(struct tap_flat *f, const struct tap_record *r)
{
	if (r->n_reasons == 0 && f->search)
		return;
	FIELD(f, "policy_overrides");
	PUT(&f->e, "[");
	for (size_t i = 0; i < r->n_reasons; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		PUT(&f->e, "{\"type\":");
		put_string(&f->e, r->reasons[i].type);
		TEXT(f, "comment", r->reasons[i].comment.text);
		PUT(&f->e, "}");
	}
	PUT(&f->e, "]");
}

static void record_fields(struct tap_flat *f, const struct tap_record *r)
{
	tap_flat_source(f, r->source_ip, r->source_ip_raw, &r->source);
	COUNT(f, "message_count", r->count);
	TEXT(f, "disposition", r->disposition);
	TEXT(f, "disposition_norm", tap_shape_disposition_norm(r));
	TRUTH(f, "dkim_aligned", r->dkim_aligned);
	TRUTH(f, "spf_aligned", r->spf_aligned);
	TRUTH(f, "passed_dmarc", r->dkim_aligned || r->spf_aligned);
	overrides(f, r);
	TEXT(f, "header_from", r->header_from);
	TEXT(f, "envelope_from", tap_shape_envelope_from(r, false));
	TEXT(f, "envelope_to", r->envelope_to);
	if (r->n_dkim > 0 || !f->search) {
		FIELD(f, "dkim_results");
		PUT(&f->e, "[");
		results(f, r->dkim, r->n_dkim, false);
		FIELD(f, "dkim_results_combined");
		PUT(&f->e, "[");
		combined(f, r->dkim, r->n_dkim);
	}
	if (r->n_spf > 0 || !f->search) {
		FIELD(f, "spf_results");
		PUT(&f->e, "[");
		results(f, r->spf, r->n_spf, true);
		FIELD(f, "spf_results_combined");
		PUT(&f->e, "[");
		combined(f, r->spf, r->n_spf);
	}
	COUNT(f, "record_index", r->index);
}

void tap_flat_aggregate(struct tap_flat *f, const struct tap_item *item)
{
	report_fields(f, item);
	if (item->record != NULL)
		record_fields(f, item->record);
	else
		COUNT(f, "message_count", 0);
}

enum tap_rc tap_flat_item(struct tap_buf *b, const struct tap_flat_style *s,
			  const struct tap_item *item, struct tap_err *err)
{
	static const struct tap_json_style line = {0};
	struct tap_flat f = {.search = s->search, .strip_payloads = s->strip_payloads};
	const struct tap_meta *m = item->meta;
	bool mail = m->kind == TAP_KIND_FAILURE || m->kind == TAP_KIND_FEEDBACK;

	if (mail != (item->failure != NULL))
		return tap_err_set(err, TAP_E_DATA, "the report has no contents");
	tap_enc_open(&f.e, b, &line);
	PUT(&f.e, "{\"report_uid\":");
	put_string(&f.e, m->uid);
	FIELD(&f, "revision");
	put_i64(&f.e, item->revision > 0 ? item->revision : 1);
	TEXT(&f, "kind", tap_shape_kind(m->kind));
	FIELD(&f, "@timestamp");
	tap_flat_time(&f, m->begin);
	TRUTH(&f, "trusted", m->trust.trusted);
	TRUTH(&f, "foreign", m->trust.foreign);
	if (mail)
		tap_flat_failure(&f, item);
	else if (m->kind == TAP_KIND_SMTP_TLS)
		tap_flat_tls(&f, item);
	else
		tap_flat_aggregate(&f, item);
	PUT(&f.e, "}");
	tap_enc_close(&f.e);
	return b->failed ? tap_err_set(err, TAP_E_LIMIT, "the item is too large for this output")
			 : TAP_OK;
}
