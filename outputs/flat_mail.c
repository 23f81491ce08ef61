/* SPDX-License-Identifier: Apache-2.0
 * outputs/flat_mail.c - see flat.h: failure and feedback reports, and SMTP TLS reports. A sample's header fields have names that its
 * sender chose: only those of a fixed list become fields, or anybody could fill an index's mapping. RFC 6591, 8460. */
#include "outputs/flat_write.h"

#include <strings.h>

static void strings(struct tap_flat *f, const char *const *s, size_t n)
{
	PUT(&f->e, "[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		put_string(&f->e, s[i]);
	}
	PUT(&f->e, "]");
}

/* ---- the sample of a failure report ---- */

static void mailboxes(struct tap_flat *f, const struct tap_mailboxes *l)
{
	PUT(&f->e, "[");
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			PUT(&f->e, ",");
		PUT(&f->e, "{\"address\":");
		put_string(&f->e, l->item[i].address);
		if (l->item[i].display_name != NULL && *l->item[i].display_name != '\0')
			TEXT(f, "display_name", l->item[i].display_name);
		PUT(&f->e, "}");
	}
	PUT(&f->e, "]");
}

/* The first field of each name of the list. */
static void headers(struct tap_flat *f, const struct tap_sample *p)
{
	static const char *const known[] = {
	    "from",	    "to",	    "cc",	    "reply-to",	       "sender",
	    "subject",	    "date",	    "message-id",   "return-path",     "delivered-to",
	    "content-type", "mime-version", "x-mailer",	    "user-agent",      "list-id",
	    "in-reply-to",  "references",   "received-spf", "x-originating-ip"};
	bool any = false;

	FIELD(f, "headers");
	PUT(&f->e, "{");
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		for (size_t i = 0; i < p->n_headers; i++) {
			if (strcasecmp(p->headers[i].name, known[k]) != 0)
				continue;
			if (any)
				PUT(&f->e, ",");
			any = true;
			put_string(&f->e, known[k]);
			PUT(&f->e, ":");
			put_string(&f->e, p->headers[i].value);
			break;
		}
	PUT(&f->e, "}");
}

static void attachments(struct tap_flat *f, const struct tap_sample *p)
{
	FIELD(f, "attachments");
	PUT(&f->e, "[");
	for (size_t i = 0; i < p->n_attachments; i++) {
		const struct tap_attachment *a = &p->attachments[i];

		if (i > 0)
			PUT(&f->e, ",");
		PUT(&f->e, "{\"sha256\":");
		put_string(&f->e, a->sha256);
		TEXT(f, "filename", a->filename);
		TEXT(f, "content_type", a->content_type);
		COUNT(f, "bytes", a->size);
		PUT(&f->e, "}");
	}
	PUT(&f->e, "]");
}

static void sample(struct tap_flat *f, const struct tap_failure *x)
{
	const struct tap_sample *p = x->parsed;
	char safe[TAP_SHAPE_ID];

	FIELD(f, "sample");
	PUT(&f->e, "{\"headers_only\":");
	put_bool(&f->e, x->sample_headers_only);
	if (x->sample != NULL && !f->strip_payloads) {
		FIELD(f, "raw");
		tap_enc_lossy(&f->e, x->sample, x->sample_len, false);
	}
	if (p != NULL) {
		headers(f, p);
		if (p->time != TAP_NO_TIME) {
			FIELD(f, "date");
			tap_flat_time(f, p->time);
		}
		TEXT(f, "subject", p->subject);
		TEXT(f, "filename_safe_subject", tap_shape_safe_subject(p->subject, false, safe));
		if (!f->strip_payloads)
			TEXT(f, "body", p->body);
		FIELD(f, "to");
		mailboxes(f, &p->to);
		FIELD(f, "reply_to");
		mailboxes(f, &p->reply_to);
		FIELD(f, "cc");
		mailboxes(f, &p->cc);
		FIELD(f, "bcc");
		mailboxes(f, &p->bcc);
		attachments(f, p);
	}
	PUT(&f->e, "}");
}

void tap_flat_failure(struct tap_flat *f, const struct tap_item *item)
{
	const struct tap_failure *x = item->failure;
	const struct tap_list_of *how = tap_shape_mechanisms(x, false);

	TEXT(f, "feedback_type", x->feedback_type);
	TEXT(f, "user_agent", x->user_agent);
	TEXT(f, "version", x->version);
	TEXT(f, "original_mail_from", x->original_mail_from);
	TEXT(f, "original_rcpt_to", tap_shape_one(&x->original_rcpt_to, false));
	TEXT(f, "original_envelope_id", x->original_envelope_id);
	FIELD(f, "arrival_date");
	tap_flat_time(f, x->arrival != TAP_NO_TIME ? x->arrival : item->meta->begin);
	TEXT(f, "message_id", x->message_id);
	TEXT(f, "domain", tap_shape_one(&x->reported_domain, false));
	TEXT(f, "authentication_results", tap_shape_one(&x->authentication_results, false));
	TEXT(f, "delivery_results", x->delivery_result);
	tap_flat_source(f, x->source_ip, x->source_ip_raw, &x->source);
	FIELD(f, "authentication_mechanisms");
	strings(f, how->item, how->n);
	FIELD(f, "auth_failure");
	strings(f, x->auth_failure.item, x->auth_failure.n);
	TEXT(f, "dkim_domain", x->dkim_domain);
	COUNT(f, "incidents", x->incidents);
	sample(f, x);
}

/* ---- SMTP TLS ---- */

static void detail(struct tap_flat *f, const struct tap_tls_detail *d)
{
	PUT(&f->e, "{\"failed_session_count\":");
	put_u64(&f->e, d->failed);
	TEXT(f, "result_type", d->result_type);
	/* The reference has these two names for one thing. */
	TEXT(f, "sending_mta_ip", d->sending_mta_ip);
	TEXT(f, "ip_address", d->sending_mta_ip);
	TEXT(f, "receiving_ip", d->receiving_ip);
	TEXT(f, "receiving_mx_hostname", d->receiving_mx_hostname);
	TEXT(f, "receiving_mx_helo", d->receiving_mx_helo);
	TEXT(f, "additional_information_uri", d->additional_info);
	TEXT(f, "failure_reason_code", d->failure_reason_code);
	PUT(&f->e, "}");
}

static void joined(struct tap_flat *f, const char *const *part, size_t n)
{
	PUT(&f->e, "[\"");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			PUT(&f->e, " / ");
		tap_flat_inside(f, part[i]);
	}
	PUT(&f->e, "\"]");
}

static void policy(struct tap_flat *f, const struct tap_tls_policy *p,
		   const struct tap_tls_detail *d)
{
	const char *name[] = {p->policy_domain, p->policy_type};

	FIELD(f, "policies");
	PUT(&f->e, "[{\"policy_domain\":");
	put_string(&f->e, p->policy_domain);
	TEXT(f, "policy_type", p->policy_type);
	if (d != NULL) {
		FIELD(f, "failure_details");
		PUT(&f->e, "[");
		detail(f, d);
		PUT(&f->e, "]");
	} else {
		COUNT(f, "successful_session_count", p->successful);
		COUNT(f, "failed_session_count", p->failed);
		FIELD(f, "policy_strings");
		strings(f, p->policy_strings, p->n_policy_strings);
		FIELD(f, "mx_host_patterns");
		strings(f, p->mx_hosts, p->n_mx_hosts);
	}
	PUT(&f->e, "}]");
	FIELD(f, "policies_combined");
	joined(f, name, 2);
	if (d != NULL) {
		const char *part[] = {p->policy_domain,	 p->policy_type,  d->result_type,
				      d->sending_mta_ip, d->receiving_ip, d->receiving_mx_hostname};

		FIELD(f, "failure_details_combined");
		joined(f, part, sizeof part / sizeof *part);
	}
}

void tap_flat_tls(struct tap_flat *f, const struct tap_item *item)
{
	const struct tap_meta *m = item->meta;

	if (f->search) {
		TEXT(f, "org_name", m->org_name);
		FIELD(f, "date_range");
		PUT(&f->e, "[");
		tap_flat_time(f, m->begin);
		PUT(&f->e, ",");
		tap_flat_time(f, m->end);
		PUT(&f->e, "]");
		FIELD(f, "date_begin");
		tap_flat_time(f, m->begin);
		FIELD(f, "date_end");
	} else {
		TEXT(f, "organization_name", m->org_name);
		FIELD(f, "begin_date");
		tap_flat_time(f, m->begin);
		FIELD(f, "end_date");
	}
	tap_flat_time(f, m->end);
	TEXT(f, "contact_info", m->email);
	TEXT(f, "report_id", m->report_id);
	COUNT(f, "record_index", item->ordinal);
	if (item->policy != NULL)
		policy(f, item->policy, item->detail);
}
