/* SPDX-License-Identifier: Apache-2.0
 * outputs/json_tls.c - JSON of SMTP TLS reports (outputs/encode.h), in the reference's shape: here, unlike elsewhere, an optional
 * key is absent when the report does not have it. compat4: without ours. Threads: safe. RFC 8460 section 4. */
#include "outputs/json_write.h"
#include "outputs/shape.h"

#include "base/clock.h"

static void put_time(struct tap_enc *e, const char *raw, int64_t t)
{
	char text[32];

	if (raw != NULL) {
		put_string(e, raw);
		return;
	}
	tap_time_rfc3339(t, text, sizeof text);
	put_string(e, t > 0 ? text : NULL);
}

void tap_json_tls_begin(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m)
{
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	PUT(&e, "{");
	KEY1(&e, 1, "organization_name");
	put_string(&e, m->org_name);
	KEY(&e, 1, "begin_date");
	put_time(&e, m->begin_raw, m->begin);
	KEY(&e, 1, "end_date");
	put_time(&e, m->end_raw, m->end);
	KEY(&e, 1, "contact_info");
	put_string(&e, m->email);
	KEY(&e, 1, "report_id");
	put_string(&e, m->report_id);
	KEY(&e, 1, "policies");
	PUT(&e, "[");
	tap_enc_close(&e);
}

static void close_policy(struct tap_enc *e, bool details)
{
	list_close(e, 4, details);
	close_object(e, 2);
}

static void put_optional_list(struct tap_enc *e, const char *lit, size_t n_lit,
			      const char *const *s, size_t n)
{
	if (n == 0)
		return;
	key(e, 3, true, lit, n_lit);
	put_strings(e, 4, s, n);
}

void tap_json_tls_policy(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_tls_policy *p, bool after_detail)
{
	static const char strings[] = "\"policy_strings\": ", hosts[] = "\"mx_host_patterns\": ";
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	if (p->index > 0)
		close_policy(&e, after_detail);
	list_item(&e, 2, p->index == 0);
	PUT(&e, "{");
	KEY1(&e, 3, "policy_domain");
	put_string(&e, p->policy_domain);
	KEY(&e, 3, "policy_type");
	put_string(&e, p->policy_type);
	put_optional_list(&e, strings, sizeof strings - 1, p->policy_strings, p->n_policy_strings);
	put_optional_list(&e, hosts, sizeof hosts - 1, p->mx_hosts, p->n_mx_hosts);
	KEY(&e, 3, "successful_session_count");
	put_u64(&e, p->successful);
	KEY(&e, 3, "failed_session_count");
	put_u64(&e, p->failed);
	KEY(&e, 3, "failure_details");
	PUT(&e, "[");
	tap_enc_close(&e);
}

void tap_json_tls_detail(struct tap_buf *b, const struct tap_json_style *s,
			 const struct tap_tls_detail *d)
{
	static const struct {
		const char *lit;
		size_t n;
	} name[] = {
#define NAME(text) {"\"" text "\": ", sizeof(text) + 3}
	    NAME("sending_mta_ip"),    NAME("receiving_ip"),	    NAME("receiving_mx_hostname"),
	    NAME("receiving_mx_helo"), NAME("additional_info_uri"), NAME("failure_reason_code"),
#undef NAME
	};
	const char *const value[] = {d->sending_mta_ip,	       d->receiving_ip,
				     d->receiving_mx_hostname, d->receiving_mx_helo,
				     d->additional_info,       d->failure_reason_code};
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	list_item(&e, 4, d->index == 0);
	PUT(&e, "{");
	KEY1(&e, 5, "result_type");
	put_string(&e, d->result_type);
	KEY(&e, 5, "failed_session_count");
	put_u64(&e, d->failed);
	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		if (value[i] == NULL)
			continue;
		key(&e, 5, true, name[i].lit, name[i].n);
		put_string(&e, value[i]);
	}
	close_object(&e, 4);
	tap_enc_close(&e);
}

static void put_totals(struct tap_enc *e, const struct tap_report_end *end)
{
	KEY(e, 1, "totals");
	PUT(e, "{");
	KEY1(e, 2, "policies");
	put_u64(e, end->records);
	KEY(e, 2, "failure_details");
	put_u64(e, end->details);
	KEY(e, 2, "dropped");
	put_u64(e, end->dropped);
	KEY(e, 2, "sessions");
	put_u64(e, end->messages);
	KEY(e, 2, "successful");
	put_u64(e, end->passed);
	close_object(e, 1);
}

void tap_json_tls_end(struct tap_buf *b, const struct tap_json_style *s, const struct tap_meta *m,
		      const struct tap_report_end *end, int64_t revision, bool any_policy,
		      bool after_detail)
{
	struct tap_enc e;

	tap_enc_open(&e, b, s);
	if (any_policy)
		close_policy(&e, after_detail);
	list_close(&e, 2, any_policy);
	if (!s->compat4) {
		KEY(&e, 1, "begin_date_utc");
		put_time(&e, NULL, m->begin);
		KEY(&e, 1, "end_date_utc");
		put_time(&e, NULL, m->end);
		tap_enc_identity(&e, m, revision);
		put_totals(&e, end);
		tap_enc_end(&e, m, end);
	}
	close_object(&e, 0);
	tap_enc_close(&e);
}
