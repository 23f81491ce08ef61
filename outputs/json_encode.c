/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_encode.c - JSON of aggregate reports (outputs/encode.h), as RFC 8259 wants it.
 * Limits [I7]: the buffer's maximum; behind it nothing is written and the buffer says failed. Threads: safe. */
#include "outputs/arc_comment.h"
#include "outputs/encode.h"
#include "outputs/json_write.h"
#include "outputs/shape.h"

static inline void put_pass(struct tap_enc *e, bool v)
{
	if (v)
		PUT(e, "\"pass\"");
	else
		PUT(e, "\"fail\"");
}

static void put_errors(struct tap_enc *e, unsigned depth, const struct tap_meta *m, bool lang)
{
	PUT(e, "[");
	for (size_t i = 0; i < m->n_errors; i++) {
		list_item(e, depth, i == 0);
		put_string(e, lang ? m->errors[i].lang : m->errors[i].text);
	}
	list_close(e, depth, m->n_errors > 0);
}

static void put_metadata(struct tap_enc *e, const struct tap_meta *m, bool local)
{
	char date[TAP_SHAPE_DATE], id[TAP_SHAPE_ID];

	KEY(e, 1, "report_metadata");
	PUT(e, "{");
	KEY1(e, 2, "org_name");
	put_text(e, m->org_name);
	KEY(e, 2, "org_email");
	put_text(e, m->email);
	KEY(e, 2, "org_extra_contact_info");
	put_text(e, m->extra_contact_info.text);
	KEY(e, 2, "report_id");
	put_text(e, tap_shape_report_id(m, e->compat4, id));
	KEY(e, 2, "begin_date");
	tap_shape_date(m->begin, local, date);
	put_string(e, date);
	KEY(e, 2, "end_date");
	tap_shape_date(m->end, local, date);
	put_string(e, date);
	KEY(e, 2, "errors");
	put_errors(e, 3, m, false);
	if (!e->compat4) {
		KEY(e, 2, "timespan_requires_normalization");
		put_bool(e, tap_shape_long_span(m));
		KEY(e, 2, "original_timespan_seconds");
		put_i64(e, m->end - m->begin);
		KEY(e, 2, "generator");
		put_string(e, m->generator);
		KEY(e, 2, "org_extra_contact_info_lang");
		put_string(e, m->extra_contact_info.lang);
		KEY(e, 2, "errors_lang");
		put_errors(e, 3, m, true);
		KEY(e, 2, "receiving_domains");
		put_strings(e, 3, m->receiving_domains, m->n_receiving_domains);
	}
	close_object(e, 1);
}

void tap_enc_policy_published(struct tap_enc *e, const struct tap_meta *m)
{
	struct tap_shape_policy pol;
	const char *defaulted[3];
	size_t n = 0;

	tap_shape_policy(m, e->compat4, &pol);
	KEY(e, 1, "policy_published");
	PUT(e, "{");
	KEY1(e, 2, "domain");
	put_text(e, m->domain);
	KEY(e, 2, "adkim");
	put_string(e, pol.adkim);
	KEY(e, 2, "aspf");
	put_string(e, pol.aspf);
	KEY(e, 2, "p");
	put_text(e, pol.p);
	KEY(e, 2, "sp");
	put_text(e, pol.sp);
	KEY(e, 2, "pct");
	put_string(e, pol.pct);
	KEY(e, 2, "fo");
	put_string(e, pol.fo);
	if (!e->compat4) {
		KEY(e, 2, "np");
		put_string(e, m->np);
		KEY(e, 2, "testing");
		put_string(e, m->testing);
		KEY(e, 2, "discovery_method");
		put_string(e, m->discovery_method);
		KEY(e, 2, "version_published");
		put_string(e, m->version_published);
		if (pol.adkim_defaulted)
			defaulted[n++] = "adkim";
		if (pol.aspf_defaulted)
			defaulted[n++] = "aspf";
		if (pol.sp_defaulted)
			defaulted[n++] = "sp";
		KEY(e, 2, "defaulted");
		put_strings(e, 3, defaulted, n);
	}
	close_object(e, 1);
}

void tap_json_report_begin(struct tap_buf *b, const struct tap_json_style *s,
			   const struct tap_meta *m)
{
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	PUT(&e, "{");
	KEY1(&e, 1, "xml_schema");
	put_string(&e, tap_shape_version(m));
	put_metadata(&e, m, s->local_time || s->compat4);
	tap_enc_policy_published(&e, m);
	KEY(&e, 1, "records");
	PUT(&e, "[");
	tap_enc_close(&e);
}

static void put_source(struct tap_enc *e, const struct tap_record *r)
{
	const struct tap_source_info *s = &r->source;

	KEY1(e, 3, "source");
	PUT(e, "{");
	KEY1(e, 4, "ip_address");
	put_string(e, r->source_ip);
	KEY(e, 4, "country");
	put_string(e, s->country);
	KEY(e, 4, "reverse_dns");
	put_string(e, s->reverse_dns);
	KEY(e, 4, "base_domain");
	put_string(e, s->base_domain);
	if (!e->compat4)
		tap_enc_source_newer(e, 4, s, r->source_ip_raw);
	close_object(e, 3);
}

static void put_word(struct tap_enc *e, const char *s)
{
	put_string(e, *s ? s : NULL);
}

/* What the comment tells of a chain of ARC seals, so that nobody has to take it apart again. */
static void put_arc(struct tap_enc *e, const char *comment)
{
	struct tap_arc_comment arc;

	if (!tap_arc_comment_read(comment, &arc)) {
		PUT(e, "null");
		return;
	}
	PUT(e, "{");
	KEY1(e, 7, "result");
	put_string(e, arc.result);
	KEY(e, 7, "seals");
	PUT(e, "[");
	for (size_t i = 0; i < arc.n_seals; i++) {
		list_item(e, 8, i == 0);
		PUT(e, "{");
		KEY1(e, 9, "instance");
		put_u64(e, arc.seals[i].instance);
		KEY(e, 9, "domain");
		put_word(e, arc.seals[i].domain);
		KEY(e, 9, "selector");
		put_word(e, arc.seals[i].selector);
		KEY(e, 9, "remote_ip");
		put_word(e, arc.seals[i].remote_ip);
		close_object(e, 8);
	}
	list_close(e, 8, arc.n_seals > 0);
	close_object(e, 6);
}

static void put_reasons(struct tap_enc *e, const struct tap_record *r)
{
	PUT(e, "[");
	for (size_t i = 0; i < r->n_reasons; i++) {
		list_item(e, 5, i == 0);
		PUT(e, "{");
		KEY1(e, 6, "type");
		put_text(e, r->reasons[i].type);
		KEY(e, 6, "comment");
		put_text(e, r->reasons[i].comment.text);
		if (!e->compat4) {
			KEY(e, 6, "comment_lang");
			put_string(e, r->reasons[i].comment.lang);
			KEY(e, 6, "arc");
			put_arc(e, r->reasons[i].comment.text);
		}
		close_object(e, 5);
	}
	list_close(e, 5, r->n_reasons > 0);
}

static void put_evaluated(struct tap_enc *e, const struct tap_record *r)
{
	KEY(e, 3, "policy_evaluated");
	PUT(e, "{");
	KEY1(e, 4, "disposition");
	put_string(e, tap_shape_disposition(r, e->compat4));
	KEY(e, 4, "dkim");
	put_pass(e, r->dkim_aligned);
	KEY(e, 4, "spf");
	put_pass(e, r->spf_aligned);
	KEY(e, 4, "policy_override_reasons");
	put_reasons(e, r);
	if (!e->compat4) {
		KEY(e, 4, "disposition_norm");
		put_string(e, tap_shape_disposition_norm(r));
		KEY(e, 4, "evaluated");
		put_bool(e, r->evaluated);
	}
	close_object(e, 3);
}

static void put_identifiers(struct tap_enc *e, const struct tap_record *r)
{
	KEY(e, 3, "identifiers");
	PUT(e, "{");
	KEY1(e, 4, "header_from");
	put_text(e, r->header_from);
	KEY(e, 4, "envelope_from");
	put_string(e, e->compat4 ? tap_shape_envelope_from(r, true) : r->envelope_from);
	KEY(e, 4, "envelope_to");
	put_text(e, r->envelope_to);
	if (!e->compat4) {
		KEY(e, 4, "envelope_from_effective");
		put_string(e, tap_shape_envelope_from(r, false));
	}
	close_object(e, 3);
}

static inline const char *or_else(const char *s, const char *other, bool compat4)
{
	return compat4 && (s == NULL || *s == '\0') ? other : s;
}

/* One list of auth_results; spf tells the name and the default of the label. */
static void put_results(struct tap_enc *e, const struct tap_auth_result *a, size_t n, bool spf)
{
	bool any = false;

	PUT(e, "[");
	for (size_t i = 0; i < n; i++) {
		if (!tap_shape_keeps(&a[i], e->compat4))
			continue;
		list_item(e, 5, !any);
		any = true;
		PUT(e, "{");
		KEY1(e, 6, "domain");
		put_string(e, a[i].domain);
		if (spf) {
			KEY(e, 6, "scope");
			put_string(e, or_else(a[i].label, "mfrom", e->compat4));
		} else {
			KEY(e, 6, "selector");
			put_string(e, or_else(a[i].label, "none", e->compat4));
		}
		KEY(e, 6, "result");
		put_string(e, or_else(a[i].result, "none", e->compat4));
		if (!e->compat4) {
			KEY(e, 6, "human_result");
			put_string(e, a[i].human_result.text);
			KEY(e, 6, "human_result_lang");
			put_string(e, a[i].human_result.lang);
		}
		close_object(e, 5);
	}
	list_close(e, 5, any);
}

void tap_json_report_record(struct tap_buf *b, const struct tap_json_style *s,
			    const struct tap_meta *m, const struct tap_record *r, bool first)
{
	struct tap_enc e;

	(void)m;
	tap_enc_open(&e, b, s);
	list_item(&e, 2, first);
	PUT(&e, "{");
	put_source(&e, r);
	KEY(&e, 3, "count");
	put_u64(&e, r->count);
	KEY(&e, 3, "alignment");
	PUT(&e, "{");
	KEY1(&e, 4, "spf");
	put_bool(&e, r->spf_aligned);
	KEY(&e, 4, "dkim");
	put_bool(&e, r->dkim_aligned);
	KEY(&e, 4, "dmarc");
	put_bool(&e, r->spf_aligned || r->dkim_aligned);
	close_object(&e, 3);
	put_evaluated(&e, r);
	put_identifiers(&e, r);
	KEY(&e, 3, "auth_results");
	PUT(&e, "{");
	KEY1(&e, 4, "dkim");
	put_results(&e, r->dkim, r->n_dkim, false);
	KEY(&e, 4, "spf");
	put_results(&e, r->spf, r->n_spf, true);
	close_object(&e, 3);
	if (!s->compat4) {
		KEY(&e, 3, "record_index");
		put_u64(&e, r->index);
		KEY(&e, 3, "extension");
		put_string(&e, r->extension);
	}
	close_object(&e, 2);
	tap_enc_close(&e);
}

static void put_totals(struct tap_enc *e, const struct tap_report_end *end)
{
	KEY(e, 1, "totals");
	PUT(e, "{");
	KEY1(e, 2, "records");
	put_u64(e, end->records);
	KEY(e, 2, "dropped");
	put_u64(e, end->dropped);
	KEY(e, 2, "messages");
	put_u64(e, end->messages);
	KEY(e, 2, "passed");
	put_u64(e, end->passed);
	close_object(e, 1);
}

void tap_json_report_end(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_meta *m, const struct tap_report_end *end,
			 int64_t revision, bool any_record)
{
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	list_close(&e, 2, any_record);
	if (!s->compat4) {
		KEY(&e, 1, "xml_namespace");
		put_string(&e, m->xml_namespace);
		KEY(&e, 1, "schema");
		put_string(&e, tap_shape_schema(m));
		tap_enc_identity(&e, m, revision);
		put_totals(&e, end);
		tap_enc_end(&e, m, end);
	}
	close_object(&e, 0);
	tap_enc_close(&e);
}
