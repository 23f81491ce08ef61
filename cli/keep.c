/* SPDX-License-Identifier: Apache-2.0
 * cli/keep.c - see keep.h. A copy begins as a shallow one; each pointer is then replaced. Allocations that fail are remembered in
 * one place, so that the copying itself has no error paths. */
#include "cli/keep.h"

#include <stddef.h>
#include <string.h>

struct keeper {
	struct tap_arena *a;
	bool failed;
};

static void text(struct keeper *k, const char **s)
{
	if (*s != NULL && !k->failed && (*s = tap_arena_strdup(k->a, *s)) == NULL)
		k->failed = true;
}

/* A copy of n * size bytes; n = 0 and NULL stay as they are. */
static void *block(struct keeper *k, const void *p, size_t n, size_t size)
{
	void *q;

	if (p == NULL || n == 0 || k->failed)
		return NULL;
	q = n <= SIZE_MAX / size ? tap_arena_alloc(k->a, n * size) : NULL;
	if (q == NULL) {
		k->failed = true;
		return NULL;
	}
	return memcpy(q, p, n * size);
}

static const char *const *texts(struct keeper *k, const char *const *from, size_t *n)
{
	const char **to = block(k, from, *n, sizeof *to);

	if (to == NULL)
		*n = 0;
	for (size_t i = 0; i < *n; i++)
		text(k, &to[i]);
	return to;
}

static void list(struct keeper *k, struct tap_list_of *l)
{
	l->item = texts(k, l->item, &l->n);
}

/* Several strings at fixed places of a struct. */
static void members(struct keeper *k, void *base, const size_t *offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text(k, (const char **)(void *)((char *)base + offset[i]));
}
#define MEMBERS(k, base, table) members((k), (base), (table), sizeof(table) / sizeof *(table))

static enum tap_rc done(const struct keeper *k, struct tap_err *err)
{
	return k->failed
		   ? tap_err_set(err, TAP_E_LIMIT, "the report is too large to be kept in memory")
		   : TAP_OK;
}

enum tap_rc tap_keep_meta(struct tap_arena *a, const struct tap_meta *from, struct tap_meta *to,
			  struct tap_err *err)
{
#define AT(m) offsetof(struct tap_meta, m)
	static const size_t strings[] = {AT(origin.filename),
					 AT(version),
					 AT(xml_namespace),
					 AT(org_name),
					 AT(email),
					 AT(report_id),
					 AT(generator),
					 AT(extra_contact_info.text),
					 AT(extra_contact_info.lang),
					 AT(begin_raw),
					 AT(end_raw),
					 AT(trust.from_domain),
					 AT(domain),
					 AT(version_published),
					 AT(discovery_method),
					 AT(p),
					 AT(sp),
					 AT(np),
					 AT(adkim),
					 AT(aspf),
					 AT(pct),
					 AT(fo),
					 AT(testing)};
#undef AT
	struct keeper k = {.a = a};
	struct tap_text *errors;

	*to = *from;
	MEMBERS(&k, to, strings);
	errors = block(&k, from->errors, from->n_errors, sizeof *errors);
	to->errors = errors;
	if (errors == NULL)
		to->n_errors = 0;
	for (size_t i = 0; i < to->n_errors; i++) {
		text(&k, &errors[i].text);
		text(&k, &errors[i].lang);
	}
	to->receiving_domains = texts(&k, from->receiving_domains, &to->n_receiving_domains);
	for (size_t i = 0; i < to->trust.n_dkim_domains; i++)
		text(&k, &to->trust.dkim_domains[i]);
	return done(&k, err);
}

static void mailboxes(struct keeper *k, struct tap_mailboxes *m)
{
	struct tap_mailbox *item = block(k, m->item, m->n, sizeof *item);

	m->item = item;
	if (item == NULL)
		m->n = 0;
	for (size_t i = 0; i < m->n; i++) {
		text(k, &item[i].display_name);
		text(k, &item[i].address);
		text(k, &item[i].local);
		text(k, &item[i].domain);
	}
}

static const struct tap_pair *pairs(struct keeper *k, const struct tap_pair *from, size_t *n)
{
	struct tap_pair *to = block(k, from, *n, sizeof *to);

	if (to == NULL)
		*n = 0;
	for (size_t i = 0; i < *n; i++) {
		text(k, &to[i].name);
		text(k, &to[i].value);
	}
	return to;
}

static void hops(struct keeper *k, struct tap_sample *s)
{
#define AT(m) offsetof(struct tap_hop, m)
	static const size_t strings[] = {AT(from), AT(by),  AT(with), AT(id),
					 AT(for_), AT(via), AT(date)};
#undef AT
	struct tap_hop *hop = block(k, s->received, s->n_received, sizeof *hop);

	s->received = hop;
	if (hop == NULL)
		s->n_received = 0;
	for (size_t i = 0; i < s->n_received; i++)
		MEMBERS(k, &hop[i], strings);
}

static void attachments(struct keeper *k, struct tap_sample *s)
{
#define AT(m) offsetof(struct tap_attachment, m)
	static const size_t strings[] = {AT(filename),	  AT(content_type), AT(content_id),
					 AT(disposition), AT(charset),	    AT(encoding)};
#undef AT
	struct tap_attachment *a = block(k, s->attachments, s->n_attachments, sizeof *a);

	s->attachments = a;
	if (a == NULL)
		s->n_attachments = 0;
	for (size_t i = 0; i < s->n_attachments; i++) {
		MEMBERS(k, &a[i], strings);
		/* An empty payload is not one that was left out. */
		if (a[i].payload != NULL && a[i].payload_len == 0)
			a[i].payload = "";
		else
			a[i].payload = block(k, a[i].payload, a[i].payload_len, 1);
	}
}

static const struct tap_sample *sample(struct keeper *k, const struct tap_sample *from)
{
	struct tap_sample *s = block(k, from, 1, sizeof *s);

	if (s == NULL)
		return NULL;
	mailboxes(k, &s->from);
	mailboxes(k, &s->to);
	mailboxes(k, &s->cc);
	mailboxes(k, &s->bcc);
	mailboxes(k, &s->reply_to);
	mailboxes(k, &s->delivered_to);
	list(k, &s->to_domains);
	text(k, &s->subject);
	text(k, &s->message_id);
	text(k, &s->date);
	text(k, &s->body);
	hops(k, s);
	s->headers = pairs(k, s->headers, &s->n_headers);
	attachments(k, s);
	list(k, &s->authentication_results);
	list(k, &s->dkim_signatures);
	return s;
}

static void spf_dns(struct keeper *k, struct tap_failure *f)
{
	struct tap_spf_dns *d = block(k, f->spf_dns, f->n_spf_dns, sizeof *d);

	f->spf_dns = d;
	if (d == NULL)
		f->n_spf_dns = 0;
	for (size_t i = 0; i < f->n_spf_dns; i++) {
		text(k, &d[i].type);
		text(k, &d[i].domain);
		text(k, &d[i].record);
		text(k, &d[i].raw);
	}
}

enum tap_rc tap_keep_failure(struct tap_arena *a, const struct tap_failure *from,
			     struct tap_failure *to, struct tap_err *err)
{
#define AT(m) offsetof(struct tap_failure, m)
	static const size_t strings[] = {
	    AT(feedback_type),	      AT(user_agent),	      AT(version),
	    AT(original_envelope_id), AT(original_mail_from), AT(arrival_date),
	    AT(message_id),	      AT(delivery_result),    AT(delivery_result_raw),
	    AT(reporting_mta_type),   AT(reporting_mta),      AT(dkim_domain),
	    AT(dkim_identity),	      AT(dkim_selector),      AT(dkim_selector_dns),
	    AT(dkim_adsp_dns),	      AT(source_ip),	      AT(source_ip_raw),
	    AT(human_text),	      AT(source.reverse_dns), AT(source.base_domain),
	    AT(source.country),	      AT(source.name),	      AT(source.type),
	    AT(source.as_name),	      AT(source.as_domain)};
#undef AT
	struct keeper k = {.a = a};

	*to = *from;
	MEMBERS(&k, to, strings);
	list(&k, &to->original_rcpt_to);
	list(&k, &to->authentication_results);
	list(&k, &to->auth_failure);
	list(&k, &to->identity_alignment);
	list(&k, &to->aligned_mechanisms);
	list(&k, &to->failed_mechanisms);
	list(&k, &to->reported_domain);
	list(&k, &to->reported_uri);
	spf_dns(&k, to);
	to->extra = pairs(&k, from->extra, &to->n_extra);
	if (from->sample != NULL && from->sample_len == 0)
		to->sample = "";
	else
		to->sample = block(&k, from->sample, from->sample_len, 1);
	to->parsed = sample(&k, from->parsed);
	return done(&k, err);
}

enum tap_rc tap_keep_tls_policy(struct tap_arena *a, const struct tap_tls_policy *from,
				struct tap_tls_policy *to, struct tap_err *err)
{
	struct keeper k = {.a = a};

	*to = *from;
	text(&k, &to->policy_type);
	text(&k, &to->policy_domain);
	to->policy_strings = texts(&k, from->policy_strings, &to->n_policy_strings);
	to->mx_hosts = texts(&k, from->mx_hosts, &to->n_mx_hosts);
	return done(&k, err);
}

static const struct tap_reason *reasons(struct keeper *k, const struct tap_reason *from, size_t *n)
{
	struct tap_reason *to = block(k, from, *n, sizeof *to);

	if (to == NULL)
		*n = 0;
	for (size_t i = 0; i < *n; i++) {
		text(k, &to[i].type);
		text(k, &to[i].comment.text);
		text(k, &to[i].comment.lang);
	}
	return to;
}

static const struct tap_auth_result *auth_results(struct keeper *k,
						  const struct tap_auth_result *from, size_t *n)
{
#define AT(m) offsetof(struct tap_auth_result, m)
	static const size_t strings[] = {AT(domain), AT(label), AT(result), AT(human_result.text),
					 AT(human_result.lang)};
#undef AT
	struct tap_auth_result *to = block(k, from, *n, sizeof *to);

	if (to == NULL)
		*n = 0;
	for (size_t i = 0; i < *n; i++)
		MEMBERS(k, &to[i], strings);
	return to;
}

enum tap_rc tap_keep_record(struct tap_arena *a, const struct tap_record *from,
			    struct tap_record *to, struct tap_err *err)
{
#define AT(m) offsetof(struct tap_record, m)
	static const size_t strings[] = {
	    AT(source_ip),	    AT(source_ip_raw),	 AT(disposition), AT(header_from),
	    AT(envelope_from),	    AT(envelope_to),	 AT(extension),	  AT(source.reverse_dns),
	    AT(source.base_domain), AT(source.country),	 AT(source.name), AT(source.type),
	    AT(source.as_name),	    AT(source.as_domain)};
#undef AT
	struct keeper k = {.a = a};

	*to = *from;
	MEMBERS(&k, to, strings);
	to->reasons = reasons(&k, from->reasons, &to->n_reasons);
	to->dkim = auth_results(&k, from->dkim, &to->n_dkim);
	to->spf = auth_results(&k, from->spf, &to->n_spf);
	return done(&k, err);
}

enum tap_rc tap_keep_tls_detail(struct tap_arena *a, const struct tap_tls_detail *from,
				struct tap_tls_detail *to, struct tap_err *err)
{
#define AT(m) offsetof(struct tap_tls_detail, m)
	static const size_t strings[] = {AT(result_type),	 AT(sending_mta_ip),
					 AT(receiving_ip),	 AT(receiving_mx_hostname),
					 AT(receiving_mx_helo),	 AT(additional_info),
					 AT(failure_reason_code)};
#undef AT
	struct keeper k = {.a = a};

	*to = *from;
	MEMBERS(&k, to, strings);
	return done(&k, err);
}

enum tap_rc tap_keep_end(struct tap_arena *a, const struct tap_report_end *from,
			 struct tap_report_end *to, struct tap_err *err)
{
	struct keeper k = {.a = a};
	struct tap_warning *warnings;

	*to = *from;
	text(&k, &to->extension);
	warnings = block(&k, from->warnings, from->n_warnings, sizeof *warnings);
	to->warnings = warnings;
	if (warnings == NULL)
		to->n_warnings = 0;
	for (size_t i = 0; i < to->n_warnings; i++) {
		text(&k, &warnings[i].where);
		text(&k, &warnings[i].what);
	}
	return done(&k, err);
}
