/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_failure.c - JSON of failure and feedback reports (outputs/encode.h): the documented keys of the reference in the
 * order of its documentation, then every other feedback field as lower_snake_case, then ours.
 * Limits [I7]: the buffer's maximum. Threads: safe. RFC 5965, 6591, 9991. */
#include "outputs/json_sample.h"
#include "outputs/json_write.h"
#include "outputs/shape.h"

static void put_list(struct tap_enc *e, unsigned depth, const struct tap_list_of *l)
{
	put_strings(e, depth, l->item, l->n);
}

static void put_source(struct tap_enc *e, const struct tap_failure *f)
{
	const struct tap_source_info *s = &f->source;

	KEY(e, 1, "source");
	PUT(e, "{");
	KEY1(e, 2, "ip_address");
	put_string(e, f->source_ip);
	KEY(e, 2, "country");
	put_string(e, s->country);
	KEY(e, 2, "reverse_dns");
	put_string(e, s->reverse_dns);
	KEY(e, 2, "base_domain");
	put_string(e, s->base_domain);
	if (!e->compat4)
		tap_enc_source_newer(e, 2, s, f->source_ip_raw);
	close_object(e, 1);
}

static void put_auth_failure(struct tap_enc *e, const struct tap_failure *f)
{
	static const char *const guess[] = {"dmarc"};

	KEY(e, 1, "auth_failure");
	if (e->compat4 && f->auth_failure.n == 0)
		put_strings(e, 2, guess, 1);
	else
		put_list(e, 2, &f->auth_failure);
}

/* The message itself: text where it is text. */
static void put_raw_sample(struct tap_enc *e, const struct tap_failure *f)
{
	KEY(e, 1, "sample");
	if (f->sample == NULL)
		PUT(e, "null");
	else if (e->compat4)
		tap_enc_lossy(e, f->sample, f->sample_len, true);
	else if (f->sample_utf8)
		tap_enc_string(e, f->sample, f->sample_len);
	else
		tap_enc_base64(e, f->sample, f->sample_len);
}

static void put_documented(struct tap_enc *e, const struct tap_meta *m, const struct tap_failure *f)
{
	char date[TAP_SHAPE_DATE];
	int64_t arrival = f->arrival;

	if (e->compat4 && arrival == TAP_NO_TIME && m->begin > 0)
		arrival = m->begin;
	KEY1(e, 1, "feedback_type");
	put_string(e, f->feedback_type);
	KEY(e, 1, "user_agent");
	put_text(e, f->user_agent);
	KEY(e, 1, "version");
	put_text(e, f->version);
	KEY(e, 1, "original_mail_from");
	put_text(e, f->original_mail_from);
	KEY(e, 1, "original_rcpt_to");
	put_text(e, tap_shape_one(&f->original_rcpt_to, e->compat4));
	KEY(e, 1, "arrival_date");
	put_text(e, f->arrival_date);
	KEY(e, 1, "message_id");
	put_text(e, f->message_id);
	KEY(e, 1, "authentication_results");
	put_text(e, tap_shape_one(&f->authentication_results, e->compat4));
	KEY(e, 1, "delivery_result");
	put_text(e, e->compat4 && f->delivery_result_raw != NULL ? f->delivery_result_raw
								 : f->delivery_result);
	put_auth_failure(e, f);
	KEY(e, 1, "reported_domain");
	put_text(e, tap_shape_one(&f->reported_domain, e->compat4));
	KEY(e, 1, "arrival_date_utc");
	put_string(e, tap_shape_utc(arrival, date));
	put_source(e, f);
	KEY(e, 1, "authentication_mechanisms");
	put_list(e, 2, tap_shape_mechanisms(f, e->compat4));
	KEY(e, 1, "original_envelope_id");
	put_text(e, f->original_envelope_id);
	KEY(e, 1, "dkim_domain");
	put_text(e, f->dkim_domain);
	KEY(e, 1, "sample_headers_only");
	put_bool(e, f->sample_headers_only);
	put_raw_sample(e, f);
}

static void put_canonicalized(struct tap_enc *e, const struct tap_canonicalized *c)
{
	if (!c->given) {
		PUT(e, "null");
		return;
	}
	PUT(e, "{");
	KEY1(e, 2, "bytes");
	put_u64(e, c->size);
	KEY(e, 2, "sha256");
	put_string(e, c->sha256);
	close_object(e, 1);
}

static void put_spf_dns(struct tap_enc *e, const struct tap_failure *f)
{
	KEY(e, 1, "spf_dns");
	PUT(e, "[");
	for (size_t i = 0; i < f->n_spf_dns; i++) {
		const struct tap_spf_dns *d = &f->spf_dns[i];

		list_item(e, 2, i == 0);
		PUT(e, "{");
		KEY1(e, 3, "type");
		put_string(e, d->type);
		KEY(e, 3, "domain");
		put_string(e, d->domain);
		KEY(e, 3, "record");
		put_string(e, d->record);
		KEY(e, 3, "raw");
		put_string(e, d->raw);
		close_object(e, 2);
	}
	list_close(e, 2, f->n_spf_dns > 0);
}

/* Fields that are none of the known: name as key would let the sender choose the shape of the object. */
static void put_other_fields(struct tap_enc *e, const struct tap_failure *f)
{
	KEY(e, 1, "other_fields");
	PUT(e, "[");
	for (size_t i = 0; i < f->n_extra; i++) {
		list_item(e, 2, i == 0);
		PUT(e, "{");
		KEY1(e, 3, "name");
		put_string(e, f->extra[i].name);
		KEY(e, 3, "value");
		put_string(e, f->extra[i].value);
		close_object(e, 2);
	}
	list_close(e, 2, f->n_extra > 0);
}

/* The other feedback fields of the RFCs, and what they were read from. */
static void put_newer(struct tap_enc *e, const struct tap_failure *f)
{
	KEY(e, 1, "identity_alignment");
	put_list(e, 2, &f->identity_alignment);
	KEY(e, 1, "dkim_identity");
	put_string(e, f->dkim_identity);
	KEY(e, 1, "dkim_selector");
	put_string(e, f->dkim_selector);
	KEY(e, 1, "dkim_selector_dns");
	put_string(e, f->dkim_selector_dns);
	KEY(e, 1, "dkim_adsp_dns");
	put_string(e, f->dkim_adsp_dns);
	KEY(e, 1, "dkim_canonicalized_header");
	put_canonicalized(e, &f->dkim_header);
	KEY(e, 1, "dkim_canonicalized_body");
	put_canonicalized(e, &f->dkim_body);
	put_spf_dns(e, f);
	KEY(e, 1, "incidents");
	put_u64(e, f->incidents);
	KEY(e, 1, "reported_uri");
	put_list(e, 2, &f->reported_uri);
	KEY(e, 1, "reporting_mta");
	put_string(e, f->reporting_mta);
	KEY(e, 1, "reporting_mta_type");
	put_string(e, f->reporting_mta_type);
	KEY(e, 1, "source_port");
	if (f->source_port >= 0)
		put_i64(e, f->source_port);
	else
		PUT(e, "null");
	put_other_fields(e, f);
}

static void put_ours(struct tap_enc *e, const struct tap_meta *m, const struct tap_failure *f)
{
	KEY(e, 1, "all_original_rcpt_to");
	put_list(e, 2, &f->original_rcpt_to);
	KEY(e, 1, "all_authentication_results");
	put_list(e, 2, &f->authentication_results);
	KEY(e, 1, "all_reported_domains");
	put_list(e, 2, &f->reported_domain);
	KEY(e, 1, "delivery_result_raw");
	put_string(e, f->delivery_result_raw);
	KEY(e, 1, "alignment_known");
	put_bool(e, f->alignment_known);
	KEY(e, 1, "aligned_mechanisms");
	put_list(e, 2, &f->aligned_mechanisms);
	KEY(e, 1, "failed_mechanisms");
	put_list(e, 2, &f->failed_mechanisms);
	KEY(e, 1, "source_ip_from_sample");
	put_bool(e, f->source_ip_from_sample);
	KEY(e, 1, "sample_encoding");
	put_string(e, f->sample == NULL ? NULL : f->sample_utf8 ? "utf-8" : "base64");
	KEY(e, 1, "sample_bytes");
	if (f->sample == NULL)
		PUT(e, "null");
	else
		put_u64(e, f->sample_len);
	KEY(e, 1, "sample_damaged");
	put_bool(e, f->sample_damaged);
	KEY(e, 1, "human_text");
	put_string(e, f->human_text);
	KEY(e, 1, "format");
	put_string(e, tap_shape_format(f));
	KEY(e, 1, "org_name");
	put_string(e, m->org_name);
	KEY(e, 1, "org_email");
	put_string(e, m->email);
	KEY(e, 1, "report_id");
	put_string(e, m->report_id);
}

void tap_json_failure(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m,
		      const struct tap_failure *f, const struct tap_report_end *end,
		      int64_t revision)
{
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	PUT(&e, "{");
	put_documented(&e, m, f);
	KEY(&e, 1, "parsed_sample");
	tap_enc_sample(&e, s, f);
	if (!s->compat4) {
		put_newer(&e, f);
		put_ours(&e, m, f);
		tap_enc_identity(&e, m, revision);
		tap_enc_end(&e, m, end);
	}
	close_object(&e, 0);
	tap_enc_close(&e);
}
