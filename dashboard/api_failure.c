/* SPDX-License-Identifier: Apache-2.0
 * dashboard/api_failure.c - /failure: all that one failure or feedback report says. The text of the message that it is about is left out
 * unless it is asked for, and its bytes and the contents of its attachments always are: they are other people's data. */
#include "dashboard/api_priv.h"

#include "base/clock.h"
#include "parser/report.h"
#include "store/store.h"

struct one {
	struct tap_json *j;
	int64_t seq;
	bool body, found;
};

static void write_list(struct tap_json *j, const char *key, const struct tap_list_of *l)
{
	tap_json_open(j, key, '[');
	for (size_t i = 0; i < l->n; i++)
		tap_json_str(j, NULL, l->item[i]);
	tap_json_close(j, ']');
}

static void write_pairs(struct tap_json *j, const char *key, const struct tap_pair *p, size_t n)
{
	tap_json_open(j, key, '[');
	for (size_t i = 0; i < n; i++) {
		tap_json_open(j, NULL, '{');
		tap_json_str(j, "name", p[i].name);
		tap_json_str(j, "value", p[i].value);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static void write_time(struct tap_json *j, const char *key, int64_t t)
{
	if (t == TAP_NO_TIME)
		tap_json_null(j, key);
	else
		tap_json_time(j, key, t);
}

static void write_mailboxes(struct tap_json *j, const char *key, const struct tap_mailboxes *m)
{
	tap_json_open(j, key, '[');
	for (size_t i = 0; i < m->n; i++) {
		tap_json_open(j, NULL, '{');
		tap_json_str(j, "name", m->item[i].display_name);
		tap_json_str(j, "address", m->item[i].address);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static void write_hops(struct tap_json *j, const struct tap_sample *m)
{
	tap_json_open(j, "received", '[');
	for (size_t i = 0; i < m->n_received; i++) {
		const struct tap_hop *h = &m->received[i];

		tap_json_open(j, NULL, '{');
		tap_json_int(j, "hop", h->hop);
		tap_json_str(j, "from", h->from);
		tap_json_str(j, "by", h->by);
		tap_json_str(j, "with", h->with);
		write_time(j, "time", h->time);
		tap_json_int(j, "delay", h->delay);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static void write_attachments(struct tap_json *j, const struct tap_sample *m)
{
	tap_json_open(j, "attachments", '[');
	for (size_t i = 0; i < m->n_attachments; i++) {
		const struct tap_attachment *t = &m->attachments[i];

		tap_json_open(j, NULL, '{');
		tap_json_str(j, "filename", t->filename);
		tap_json_str(j, "content_type", t->content_type);
		tap_json_int(j, "size", (int64_t)t->size);
		tap_json_str(j, "sha256", t->sha256);
		tap_json_bool(j, "damaged", t->damaged);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static void write_sample(struct tap_json *j, const struct tap_failure *f, bool body)
{
	const struct tap_sample *m = f->parsed;

	if (!m) {
		tap_json_null(j, "sample");
		return;
	}
	tap_json_open(j, "sample", '{');
	tap_json_int(j, "size", (int64_t)f->sample_len);
	tap_json_bool(j, "headers_only", f->sample_headers_only);
	tap_json_bool(j, "damaged", f->sample_damaged);
	tap_json_bool(j, "has_defects", m->has_defects);
	tap_json_str(j, "subject", m->subject);
	tap_json_str(j, "message_id", m->message_id);
	tap_json_str(j, "date", m->date);
	write_time(j, "time", m->time);
	write_mailboxes(j, "from", &m->from);
	write_mailboxes(j, "to", &m->to);
	write_mailboxes(j, "cc", &m->cc);
	write_mailboxes(j, "reply_to", &m->reply_to);
	write_list(j, "authentication_results", &m->authentication_results);
	write_list(j, "dkim_signatures", &m->dkim_signatures);
	write_hops(j, m);
	write_pairs(j, "headers", m->headers, m->n_headers);
	write_attachments(j, m);
	tap_json_bool(j, "has_body", m->body && m->body[0] != '\0');
	tap_json_str(j, "body", body ? m->body : NULL);
	tap_json_close(j, '}');
}

static void write_canonicalized(struct tap_json *j, const char *key,
				const struct tap_canonicalized *c)
{
	if (!c->given) {
		tap_json_null(j, key);
		return;
	}
	tap_json_open(j, key, '{');
	tap_json_int(j, "size", (int64_t)c->size);
	tap_json_str(j, "sha256", c->sha256);
	tap_json_close(j, '}');
}

static void write_dkim_and_spf(struct tap_json *j, const struct tap_failure *f)
{
	tap_json_open(j, "dkim", '{');
	tap_json_str(j, "domain", f->dkim_domain);
	tap_json_str(j, "identity", f->dkim_identity);
	tap_json_str(j, "selector", f->dkim_selector);
	tap_json_str(j, "selector_dns", f->dkim_selector_dns);
	tap_json_str(j, "adsp_dns", f->dkim_adsp_dns);
	write_canonicalized(j, "canonicalized_header", &f->dkim_header);
	write_canonicalized(j, "canonicalized_body", &f->dkim_body);
	tap_json_close(j, '}');
	tap_json_open(j, "spf_dns", '[');
	for (size_t i = 0; i < f->n_spf_dns; i++) {
		tap_json_open(j, NULL, '{');
		tap_json_str(j, "type", f->spf_dns[i].type);
		tap_json_str(j, "domain", f->spf_dns[i].domain);
		tap_json_str(j, "record", f->spf_dns[i].record);
		tap_json_str(j, "raw", f->spf_dns[i].raw);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static void write_report(struct tap_json *j, const struct tap_failure *f)
{
	tap_json_str(j, "format", f->format == TAP_FORMAT_EXIM_TEXT ? "exim-text" : "arf");
	tap_json_str(j, "feedback_type", f->feedback_type);
	tap_json_str(j, "user_agent", f->user_agent);
	tap_json_str(j, "version", f->version);
	tap_json_int(j, "incidents", f->incidents);
	write_time(j, "arrival", f->arrival);
	tap_json_str(j, "arrival_raw", f->arrival_date);
	tap_json_str(j, "source_ip", f->source_ip);
	tap_json_str(j, "source_ip_raw", f->source_ip_raw);
	tap_json_bool(j, "source_ip_from_sample", f->source_ip_from_sample);
	if (f->source_port < 0)
		tap_json_null(j, "source_port");
	else
		tap_json_int(j, "source_port", f->source_port);
	tap_json_str(j, "reporting_mta", f->reporting_mta);
	tap_json_str(j, "delivery_result", f->delivery_result);
	tap_json_str(j, "delivery_result_raw", f->delivery_result_raw);
	write_list(j, "auth_failure", &f->auth_failure);
	write_list(j, "authentication_results", &f->authentication_results);
	write_list(j, "identity_alignment", &f->identity_alignment);
	tap_json_bool(j, "alignment_known", f->alignment_known);
	write_list(j, "aligned_mechanisms", &f->aligned_mechanisms);
	write_list(j, "failed_mechanisms", &f->failed_mechanisms);
	tap_json_str(j, "original_envelope_id", f->original_envelope_id);
	tap_json_str(j, "original_mail_from", f->original_mail_from);
	write_list(j, "original_rcpt_to", &f->original_rcpt_to);
	tap_json_str(j, "message_id", f->message_id);
	write_list(j, "reported_domains", &f->reported_domain);
	write_list(j, "reported_uris", &f->reported_uri);
	write_dkim_and_spf(j, f);
	write_pairs(j, "extra", f->extra, f->n_extra);
	tap_json_str(j, "human_text", f->human_text);
}

static void write_meta(struct tap_json *j, const struct tap_store_row *row)
{
	const struct tap_meta *m = row->meta;
	const struct tap_trust *t = &m->trust;
	const struct tap_query_trust trust = {t->auth,	  t->dmarc,   t->reporter,   t->names,
					      t->foreign, t->trusted, t->from_domain};

	tap_json_int(j, "seq", row->seq);
	tap_json_str(j, "uid", m->uid);
	tap_json_int(j, "revision", row->revision);
	tap_json_str(j, "kind", m->kind == TAP_KIND_FAILURE ? "failure" : "feedback");
	tap_json_str(j, "org_name", m->org_name);
	tap_json_str(j, "email", m->email);
	tap_json_str(j, "domain", m->domain);
	tap_api_trust(j, &trust);
	tap_json_open(j, "dkim_domains", '[');
	for (size_t i = 0; i < t->n_dkim_domains; i++)
		tap_json_str(j, NULL, t->dkim_domains[i]);
	tap_json_close(j, ']');
	tap_json_open(j, "notes", '[');
	for (size_t i = 0; i < row->end->n_warnings; i++) {
		tap_json_open(j, NULL, '{');
		tap_json_str(j, "place", row->end->warnings[i].where);
		tap_json_str(j, "text", row->end->warnings[i].what);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static enum tap_rc on_row(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct one *x = ctx;

	(void)err;
	x->found = row->seq == x->seq && row->failure;
	if (!x->found)
		return TAP_E_LIMIT;
	write_meta(x->j, row);
	write_report(x->j, row->failure);
	write_sample(x->j, row->failure, x->body);
	return TAP_OK;
}

static enum tap_rc read_one(struct tap_answer *a, struct one *x, struct tap_err *err)
{
	struct tap_store_reader *r = NULL;
	int64_t seq = x->seq;
	uint64_t ordinal = 0;
	enum tap_rc rc = tap_store_open_reader(a->api->store_path, &r, err);

	if (rc != TAP_OK)
		return rc;
	if (a->api->query_ms > 0)
		tap_store_reader_deadline(r, tap_clock_mono_ms() + a->api->query_ms);
	rc = tap_store_rows(r, TAP_KIND_FAILURE | TAP_KIND_FEEDBACK, 1, on_row, x, &seq, &ordinal,
			    err);
	tap_store_close_reader(&r);
	return rc == TAP_E_NOTFOUND ? TAP_OK : rc;
}

enum tap_rc tap_api_failure(struct tap_answer *a, struct tap_err *err)
{
	struct one x = {.j = &a->json, .seq = a->p->seq, .body = a->p->body == 1};
	enum tap_rc rc = TAP_OK;

	if (x.seq == 0)
		return tap_err_set(err, TAP_E_DATA, "parameter seq is needed");
	if (a->q)
		rc = read_one(a, &x, err);
	if (rc == TAP_OK && !x.found)
		rc = tap_err_set(err, TAP_E_NOTFOUND, "no failure or feedback report has seq %lld",
				 (long long)x.seq);
	return rc;
}
