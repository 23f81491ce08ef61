/* SPDX-License-Identifier: Apache-2.0
 * Failure, feedback and SMTP TLS reports into the store and out again: every member comes back as it went in; order, resumption and
 * memory of what is long; a store of version 1 is brought up to date. */
#include "tests/unit/store_helper.h"

#include "store/db.h"

#include <sys/resource.h>

#define N(x) (sizeof(x) / sizeof((x)[0]))
#define LIST_OF(x)                                                                                 \
	{                                                                                          \
		(x), N(x)                                                                          \
	}

/* ---- made-up reports with every member set, and each differently ------------------------------------------------ */

static const char *const rcpts[] = {"a@example.com", "b@example.com"};
static const char *const results[] = {"mx.example.net; dmarc=fail", "mx.example.net; spf=fail", ""};
static const char *const words[] = {"dmarc", "spf"}, *const ident[] = {"dkim"},
			 *const spf[] = {"spf"}, *const dkim[] = {"dkim", "x"};
static const char *const domains[] = {"example.com", "example.org"};
static const char *const uris[] = {"https://evil.example/a?b=<script>"};
static const char *const sigs[] = {"d=example.com s=k1", "d=example.net s=k2"};
static const struct tap_spf_dns spf_dns[] = {{"txt", "example.com", "v=spf1 -all", NULL},
					     {NULL, NULL, NULL, "what is this"}};
static const struct tap_pair extra[] = {{"X-One", "1"}, {"X-Two", ""}};
static const struct tap_pair headers[] = {
    {"From", "a <a@example.com>"}, {"Subject", "hello \xc3\xa9"}, {"X-Empty", ""}};
static const struct tap_mailbox from[] = {{"A", "a@example.com", "a", "example.com"}};
static const struct tap_mailbox to[] = {{"", "b@example.com", "b", "example.com"},
					{"C", "nonsense", "nonsense", NULL}};
static const struct tap_mailbox cc[] = {{"cc", "c@example.net", "c", "example.net"}};
static const struct tap_mailbox bcc[] = {{"bcc", "d@example.net", "d", "example.net"}};
static const struct tap_mailbox reply[] = {{"re", "e@example.net", "e", "example.net"}};
static const struct tap_mailbox delivered[] = {{"dt", "f@example.net", "f", "example.net"},
					       {"dt2", "g@example.net", "g", "example.net"}};
static const struct tap_hop hops[] = {
    {"one.example", "two.example", "ESMTP", "q1", "x@example.com", "tcp", "Mon, 1 Jun 2026", 100, 0,
     1},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, TAP_NO_TIME, -5, 2}};
static const char blob[] = {0, 1, 2, '\n', 0, (char)0xff};
static const struct tap_attachment attachments[] = {
    {"a.bin", "application/octet-stream", "<cid>", "attachment", NULL, "base64", 6, "aa11", blob,
     sizeof(blob), false, false},
    {"b.txt", "text/plain", NULL, "inline", "utf-8", "7bit", 5, "bb22", "hello", 5, true, false},
    {NULL, NULL, NULL, NULL, NULL, NULL, 1 << 20, "cc33", NULL, 0, false, true},
    {"empty", "text/plain", NULL, NULL, NULL, NULL, 0, "dd44", "", 0, true, false}};

static struct tap_sample full_sample(void)
{
	return (struct tap_sample){.from = LIST_OF(from),
				   .to = LIST_OF(to),
				   .cc = LIST_OF(cc),
				   .bcc = LIST_OF(bcc),
				   .reply_to = LIST_OF(reply),
				   .delivered_to = LIST_OF(delivered),
				   .to_domains = LIST_OF(domains),
				   .subject = "hello \xc3\xa9",
				   .message_id = "<m@example.com>",
				   .date = "Mon, 1 Jun 2026 00:00:00 -0330",
				   .time = 1780284600,
				   .has_zone = true,
				   .zone = -210,
				   .body = "the body\n",
				   .has_defects = true,
				   .received = hops,
				   .n_received = N(hops),
				   .headers = headers,
				   .n_headers = N(headers),
				   .attachments = attachments,
				   .n_attachments = N(attachments),
				   .authentication_results = LIST_OF(results),
				   .dkim_signatures = LIST_OF(sigs)};
}

static struct tap_failure full_failure(const struct tap_sample *sample)
{
	return (struct tap_failure){.format = TAP_FORMAT_EXIM_TEXT,
				    .feedback_type = "auth-failure",
				    .user_agent = "Agent/1",
				    .version = "1",
				    .original_envelope_id = "env",
				    .original_mail_from = "",
				    .original_rcpt_to = LIST_OF(rcpts),
				    .arrival_date = "Mon, 1 Jun 2026 00:00:00 +0000",
				    .arrival = -7,
				    .message_id = "<r@example.com>",
				    .authentication_results = LIST_OF(results),
				    .delivery_result = "other",
				    .delivery_result_raw = "smg",
				    .auth_failure = LIST_OF(words),
				    .identity_alignment = LIST_OF(ident),
				    .alignment_known = true,
				    .aligned_mechanisms = LIST_OF(spf),
				    .failed_mechanisms = LIST_OF(dkim),
				    .reported_domain = LIST_OF(domains),
				    .reported_uri = LIST_OF(uris),
				    .reporting_mta_type = "dns",
				    .reporting_mta = "mx.example.net",
				    .dkim_domain = "d.example",
				    .dkim_identity = "@i.example",
				    .dkim_selector = "sel",
				    .dkim_selector_dns = "v=DKIM1",
				    .dkim_adsp_dns = "dkim=all",
				    .dkim_header = {true, 77, "0011"},
				    .dkim_body = {true, INT64_MAX, "2233"},
				    .spf_dns = spf_dns,
				    .n_spf_dns = N(spf_dns),
				    .source_ip = "192.0.2.9",
				    .source_ip_raw = "[192.0.2.9]",
				    .source_ip_from_sample = true,
				    .source_port = 65535,
				    .incidents = UINT32_MAX,
				    .extra = extra,
				    .n_extra = N(extra),
				    .human_text = "This is a report.",
				    .sample = blob,
				    .sample_len = sizeof(blob),
				    .sample_utf8 = true,
				    .sample_headers_only = true,
				    .sample_damaged = true,
				    .parsed = sample};
}

static struct tap_meta kind_meta(enum tap_kind kind, const char *uid)
{
	struct tap_meta m = made_meta(&(struct made){uid, 0, 0, false});

	m.kind = kind;
	m.begin_raw = "2026-06-01T00:00:00z";
	m.end_raw = "2026-06-02";
	m.trust = (struct tap_trust){.auth = TAP_AUTH_PASS,
				     .dmarc = TAP_AUTH_FAIL,
				     .dkim_domains = {"one.example", "two.example"},
				     .n_dkim_domains = 2,
				     .from_domain = "from.example",
				     .reporter = TAP_AGREE_YES,
				     .names = TAP_AGREE_NO,
				     .foreign = true,
				     .trusted = true};
	return m;
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static void same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}
#define TEXT(m) same_text(a->m, b->m)
#define NUM(m)	assert_true(a->m == b->m)

static void same_list(struct tap_list_of a, struct tap_list_of b)
{
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++)
		same_text(a.item[i], b.item[i]);
}

static void same_pairs(const struct tap_pair *a, size_t n_a, const struct tap_pair *b, size_t n_b)
{
	assert_int_equal(n_a, n_b);
	for (size_t i = 0; i < n_a; i++) {
		same_text(a[i].name, b[i].name);
		same_text(a[i].value, b[i].value);
	}
}

static void same_mailboxes(const struct tap_mailboxes *x, const struct tap_mailboxes *y)
{
	assert_int_equal(x->n, y->n);
	for (size_t i = 0; i < x->n; i++) {
		const struct tap_mailbox *a = &x->item[i], *b = &y->item[i];

		TEXT(display_name), TEXT(address), TEXT(local), TEXT(domain);
	}
}

static void same_hop(const struct tap_hop *a, const struct tap_hop *b)
{
	TEXT(from), TEXT(by), TEXT(with), TEXT(id), TEXT(for_), TEXT(via), TEXT(date);
	NUM(time), NUM(delay), NUM(hop);
}

static void same_attachment(const struct tap_attachment *a, const struct tap_attachment *b)
{
	TEXT(filename), TEXT(content_type), TEXT(content_id), TEXT(disposition), TEXT(charset);
	TEXT(encoding), TEXT(sha256);
	NUM(size), NUM(payload_len), NUM(text), NUM(damaged);
	assert_int_equal(a->payload == NULL, b->payload == NULL);
	if (a->payload_len > 0)
		assert_memory_equal(a->payload, b->payload, a->payload_len);
}

static void same_sample(const struct tap_sample *a, const struct tap_sample *b)
{
	same_mailboxes(&a->from, &b->from);
	same_mailboxes(&a->to, &b->to);
	same_mailboxes(&a->cc, &b->cc);
	same_mailboxes(&a->bcc, &b->bcc);
	same_mailboxes(&a->reply_to, &b->reply_to);
	same_mailboxes(&a->delivered_to, &b->delivered_to);
	same_list(a->to_domains, b->to_domains);
	TEXT(subject), TEXT(message_id), TEXT(date), TEXT(body);
	NUM(time), NUM(has_zone), NUM(zone), NUM(has_defects), NUM(n_received), NUM(n_attachments);
	for (size_t i = 0; i < a->n_received; i++)
		same_hop(&a->received[i], &b->received[i]);
	same_pairs(a->headers, a->n_headers, b->headers, b->n_headers);
	for (size_t i = 0; i < a->n_attachments; i++)
		same_attachment(&a->attachments[i], &b->attachments[i]);
	same_list(a->authentication_results, b->authentication_results);
	same_list(a->dkim_signatures, b->dkim_signatures);
}

static void same_failure(const struct tap_failure *a, const struct tap_failure *b)
{
	NUM(format), NUM(arrival), NUM(alignment_known), NUM(source_ip_from_sample);
	NUM(source_port), NUM(incidents), NUM(sample_len), NUM(sample_utf8);
	NUM(sample_headers_only), NUM(sample_damaged), NUM(n_spf_dns);
	NUM(dkim_header.given), NUM(dkim_header.size), NUM(dkim_body.given), NUM(dkim_body.size);
	TEXT(dkim_header.sha256), TEXT(dkim_body.sha256);
	TEXT(feedback_type), TEXT(user_agent), TEXT(version), TEXT(original_envelope_id);
	TEXT(original_mail_from), TEXT(arrival_date), TEXT(message_id), TEXT(delivery_result);
	TEXT(delivery_result_raw), TEXT(reporting_mta_type), TEXT(reporting_mta), TEXT(dkim_domain);
	TEXT(dkim_identity), TEXT(dkim_selector), TEXT(dkim_selector_dns), TEXT(dkim_adsp_dns);
	TEXT(source_ip), TEXT(source_ip_raw), TEXT(human_text);
	same_list(a->original_rcpt_to, b->original_rcpt_to);
	same_list(a->authentication_results, b->authentication_results);
	same_list(a->auth_failure, b->auth_failure);
	same_list(a->identity_alignment, b->identity_alignment);
	same_list(a->aligned_mechanisms, b->aligned_mechanisms);
	same_list(a->failed_mechanisms, b->failed_mechanisms);
	same_list(a->reported_domain, b->reported_domain);
	same_list(a->reported_uri, b->reported_uri);
	same_pairs(a->extra, a->n_extra, b->extra, b->n_extra);
	for (size_t i = 0; i < a->n_spf_dns; i++) {
		same_text(a->spf_dns[i].type, b->spf_dns[i].type);
		same_text(a->spf_dns[i].domain, b->spf_dns[i].domain);
		same_text(a->spf_dns[i].record, b->spf_dns[i].record);
		same_text(a->spf_dns[i].raw, b->spf_dns[i].raw);
	}
	assert_int_equal(a->sample == NULL, b->sample == NULL);
	if (a->sample_len > 0)
		assert_memory_equal(a->sample, b->sample, a->sample_len);
	assert_int_equal(a->parsed == NULL, b->parsed == NULL);
	if (a->parsed != NULL)
		same_sample(a->parsed, b->parsed);
}

static void same_meta(const struct tap_meta *a, const struct tap_meta *b)
{
	NUM(kind), NUM(begin), NUM(end), NUM(origin.part), NUM(origin.document), NUM(schema);
	TEXT(uid), TEXT(origin.filename), TEXT(version), TEXT(xml_namespace), TEXT(org_name);
	TEXT(email), TEXT(report_id), TEXT(generator), TEXT(begin_raw), TEXT(end_raw), TEXT(domain);
	TEXT(extra_contact_info.text), TEXT(extra_contact_info.lang);
	NUM(trust.auth), NUM(trust.dmarc), NUM(trust.reporter), NUM(trust.names),
	    NUM(trust.foreign);
	NUM(trust.trusted), NUM(trust.n_dkim_domains), TEXT(trust.from_domain);
	for (size_t i = 0; i < a->trust.n_dkim_domains; i++)
		TEXT(trust.dkim_domains[i]);
	NUM(n_errors), NUM(n_receiving_domains);
}

/* ---- failure and feedback --------------------------------------------------------------------------------------- */

static void begin_message(struct fixture *f, const char *id)
{
	struct tap_store_message msg = made_message(id);

	ok(f, tap_store_begin(f->s, &f->err));
	ok(f, tap_store_message_begin(f->s, &msg, &f->err));
}

static struct tap_store_outcome end_message(struct fixture *f)
{
	struct tap_store_outcome out;

	ok(f, tap_store_message_end(f->s, &out, &f->err));
	ok(f, tap_store_commit(f->s, &f->err));
	return out;
}

static struct tap_store_outcome put_failure(struct fixture *f, const char *id,
					    const struct tap_meta *meta,
					    const struct tap_failure *failure)
{
	struct tap_report_end e = {.messages = 1, .content_hash = {9}};

	begin_message(f, id);
	ok(f, tap_store_events.begin(f->s, meta, &f->err));
	ok(f, tap_store_events.failure(f->s, failure, &f->err));
	ok(f, tap_store_events.end(f->s, &e, &f->err));
	return end_message(f);
}

struct expected {
	const struct tap_meta *meta;
	const struct tap_failure *failure;
	unsigned n;
};

static enum tap_rc see_failure(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct expected *x = ctx;

	(void)err;
	assert_non_null(row->failure);
	assert_null(row->record), assert_null(row->policy), assert_null(row->detail);
	assert_int_equal(row->ordinal, 0);
	assert_true(row->first && row->last);
	assert_int_equal(row->end->records + row->end->details, 0);
	assert_int_equal(row->end->messages, 1);
	same_meta(x->meta, row->meta);
	same_failure(x->failure, row->failure);
	x->n++;
	return TAP_OK;
}

static void read_failure(struct fixture *f, unsigned kinds, struct expected *x, int64_t seq)
{
	struct tap_store_reader *r;
	uint64_t ordinal = 0;

	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, kinds, 10, see_failure, x, &seq, &ordinal, &f->err));
	assert_int_equal(ordinal, 0);
	tap_store_close_reader(&r);
}

static void every_member_of_a_failure_report_comes_back(void **state)
{
	struct fixture *f = *state;
	struct tap_sample sample = full_sample();
	struct tap_failure failure = full_failure(&sample);
	struct tap_meta meta = kind_meta(TAP_KIND_FAILURE, "f1");
	struct expected x = {&meta, &failure, 0};
	struct tap_store_outcome out = put_failure(f, "m1", &meta, &failure);

	assert_int_equal(out.stored, 1);
	read_failure(f, TAP_KIND_FAILURE, &x, 1);
	assert_int_equal(x.n, 1);
	/* The same one again moves its counter only. */
	out = put_failure(f, "m2", &meta, &failure);
	assert_int_equal(out.duplicates, 1);
	assert_int_equal(totals(f).reports, 1);
}

static void what_is_absent_stays_absent(void **state)
{
	struct fixture *f = *state;
	struct tap_sample sample = {.time = TAP_NO_TIME};
	struct tap_failure bare = {.arrival = TAP_NO_TIME, .source_port = -1, .incidents = 1};
	struct tap_failure empty = bare;
	struct tap_meta meta = kind_meta(TAP_KIND_FAILURE, "f1");
	struct tap_meta other = kind_meta(TAP_KIND_FEEDBACK, "f2");
	struct expected x = {&meta, &bare, 0}, y = {&other, &empty, 0};

	empty.sample = "";
	empty.parsed = &sample;
	put_failure(f, "m1", &meta, &bare);
	put_failure(f, "m2", &other, &empty);
	read_failure(f, TAP_KIND_FAILURE, &x, 1);
	read_failure(f, TAP_KIND_FEEDBACK, &y, 1);
	assert_int_equal(x.n, 1);
	assert_int_equal(y.n, 1);
}

static void bodies_belong_to_their_kind(void **state)
{
	struct fixture *f = *state;
	struct tap_failure bare = {.arrival = TAP_NO_TIME};
	struct tap_tls_policy policy = {0};
	struct tap_tls_detail detail = {0};
	struct tap_record rec = {0};
	struct tap_report_end e = {0};
	struct tap_meta meta = kind_meta(TAP_KIND_FAILURE, "f1"),
			tls = kind_meta(TAP_KIND_SMTP_TLS, "t1");

	begin_message(f, "m1");
	assert_int_equal(tap_store_events.failure(f->s, &bare, &f->err), TAP_E_DATA);
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	assert_int_equal(tap_store_events.tls_policy(f->s, &policy, &f->err), TAP_E_DATA);
	assert_int_equal(tap_store_events.record(f->s, &rec, &f->err), TAP_E_DATA);
	assert_int_equal(tap_store_events.end(f->s, &e, &f->err), TAP_E_DATA);
	ok(f, tap_store_events.failure(f->s, &bare, &f->err));
	assert_int_equal(tap_store_events.failure(f->s, &bare, &f->err), TAP_E_DATA);
	ok(f, tap_store_events.end(f->s, &e, &f->err));
	ok(f, tap_store_events.begin(f->s, &tls, &f->err));
	assert_int_equal(tap_store_events.tls_detail(f->s, &detail, &f->err), TAP_E_DATA);
	assert_int_equal(tap_store_events.failure(f->s, &bare, &f->err), TAP_E_DATA);
	assert_int_equal(tap_store_events.record(f->s, &rec, &f->err), TAP_E_DATA);
	ok(f, tap_store_events.end(f->s, &e, &f->err));
	assert_false(tap_store_failed(f->s));
	assert_int_equal(end_message(f).stored, 2);
}

/* Nothing of the cut one is left when the whole one takes its place. */
static void a_replaced_failure_report_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct tap_sample sample = full_sample();
	struct tap_failure failure = full_failure(&sample);
	struct tap_failure bare = {.arrival = TAP_NO_TIME, .source_port = -1};
	struct tap_meta meta = kind_meta(TAP_KIND_FAILURE, "f1");
	struct expected x = {&meta, &bare, 0};
	struct tap_report_end cut = {.messages = 1, .truncated = true, .content_hash = {1}};

	begin_message(f, "m1");
	ok(f, tap_store_events.begin(f->s, &meta, &f->err));
	ok(f, tap_store_events.failure(f->s, &failure, &f->err));
	ok(f, tap_store_events.end(f->s, &cut, &f->err));
	end_message(f);
	assert_int_equal(put_failure(f, "m2", &meta, &bare).replaced, 1);
	read_failure(f, TAP_KIND_ALL, &x, 1);
	assert_int_equal(x.n, 1);
}

/* ---- SMTP TLS --------------------------------------------------------------------------------------------------- */

static const char *const strings[] = {"version: STSv1", "mode: enforce"};
static const char *const hosts[] = {"mx1.example.com", "*.example.com", "mx3.example.com"};

static struct tap_tls_policy policy_of(uint32_t i)
{
	static const char *const types[] = {"sts", "tlsa", NULL, "new-kind"};

	return (struct tap_tls_policy){.index = i,
				       .policy_type = types[i % 4],
				       .policy_domain = i % 3 == 2 ? NULL : "example.com",
				       .policy_strings = strings,
				       .n_policy_strings = i % 3,
				       .mx_hosts = hosts,
				       .n_mx_hosts = (i + 1) % 4,
				       .successful = i == 1 ? INT64_MAX : i * 10,
				       .failed = i + 3,
				       .n_details = i % 2 ? 0 : 2};
}

static struct tap_tls_detail detail_of(uint32_t policy, uint64_t i)
{
	return (struct tap_tls_detail){.policy = policy,
				       .index = i,
				       .result_type =
					   i % 2 ? "certificate-expired" : "starttls-not-supported",
				       .failed = i + 1,
				       .sending_mta_ip = i % 3 ? "192.0.2.1" : NULL,
				       .receiving_ip = i % 2 ? "2001:db8::1" : "nonsense",
				       .receiving_mx_hostname = i % 4 ? "mx.example.com" : NULL,
				       .receiving_mx_helo = i % 5 ? "helo.example" : "",
				       .additional_info = i % 2 ? "https://example.net/?a" : NULL,
				       .failure_reason_code = i % 3 ? NULL : "X509_V_ERR"};
}

struct tls_seen {
	uint64_t n, stop_at;
	uint32_t policies;
	uint64_t details; /* of the policy */
	uint64_t per_policy;
	const struct tap_meta *meta;
	uint64_t total;
};

static void same_policy(const struct tap_tls_policy *a, const struct tap_tls_policy *b)
{
	NUM(index), NUM(successful), NUM(failed), NUM(n_details), NUM(n_policy_strings),
	    NUM(n_mx_hosts);
	TEXT(policy_type), TEXT(policy_domain);
	for (size_t i = 0; i < a->n_policy_strings; i++)
		TEXT(policy_strings[i]);
	for (size_t i = 0; i < a->n_mx_hosts; i++)
		TEXT(mx_hosts[i]);
}

static void same_detail(const struct tap_tls_detail *a, const struct tap_tls_detail *b)
{
	NUM(policy), NUM(index), NUM(failed);
	TEXT(result_type), TEXT(sending_mta_ip), TEXT(receiving_ip), TEXT(receiving_mx_hostname);
	TEXT(receiving_mx_helo), TEXT(additional_info), TEXT(failure_reason_code);
}

static enum tap_rc see_tls(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	struct tap_tls_policy p;
	struct tls_seen *s = ctx;

	(void)err;
	if (s->n == s->stop_at)
		return TAP_E_LIMIT;
	assert_int_equal(row->ordinal, s->n);
	assert_int_equal(row->first, s->n == 0);
	assert_int_equal(row->last, s->n + 1 == s->total);
	assert_null(row->record), assert_null(row->failure);
	same_meta(s->meta, row->meta);
	/* Every row tells the whole policy, also where a reading begins between two details. */
	s->policies += row->detail == NULL;
	p = policy_of(s->policies - 1);
	if (s->per_policy > 0)
		p.n_details = s->per_policy;
	assert_non_null(row->policy);
	same_policy(&p, row->policy);
	if (row->detail == NULL) {
		s->details = 0;
	} else {
		struct tap_tls_detail d = detail_of(s->policies - 1, s->details++);

		same_detail(&d, row->detail);
	}
	s->n++;
	return TAP_OK;
}

/* per_policy 0: as policy_of says */
static void put_tls(struct fixture *f, const char *id, const struct tap_meta *meta,
		    uint32_t policies, uint64_t per_policy, uint64_t *items_r)
{
	struct tap_report_end e = {.records = policies, .messages = 5, .content_hash = {3}};

	begin_message(f, id);
	ok(f, tap_store_events.begin(f->s, meta, &f->err));
	*items_r = policies;
	for (uint32_t i = 0; i < policies; i++) {
		struct tap_tls_policy p = policy_of(i);

		if (per_policy > 0)
			p.n_details = per_policy;
		ok(f, tap_store_events.tls_policy(f->s, &p, &f->err));
		for (uint64_t k = 0; k < p.n_details; k++, ++*items_r, e.details++) {
			struct tap_tls_detail d = detail_of(i, k);

			ok(f, tap_store_events.tls_detail(f->s, &d, &f->err));
		}
	}
	ok(f, tap_store_events.end(f->s, &e, &f->err));
	assert_int_equal(end_message(f).records, *items_r);
}

static void policies_and_details_come_in_the_order_of_the_document(void **state)
{
	struct fixture *f = *state;
	struct tap_meta meta = kind_meta(TAP_KIND_SMTP_TLS, "t1");
	struct tls_seen s = {.stop_at = UINT64_MAX, .meta = &meta};
	struct tap_store_reader *r;
	int64_t seq = 1;
	uint64_t ordinal = 0, lag;

	put_tls(f, "m1", &meta, 9, 0, &s.total);
	assert_int_equal(s.total, 9 + 10);
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	/* In pieces, with a refusal in between. */
	while (s.n < s.total) {
		s.stop_at = s.n == 4 && s.stop_at == UINT64_MAX ? 5 : UINT64_MAX;
		ok(f,
		   tap_store_rows(r, TAP_KIND_SMTP_TLS, 2, see_tls, &s, &seq, &ordinal, &f->err));
		assert_int_equal(ordinal, s.n < s.total ? s.n : 0);
		ok(f, tap_store_sink_lag(r, seq, ordinal, TAP_KIND_ALL, &lag, &f->err));
		assert_int_equal(lag, s.total - s.n);
	}
	assert_int_equal(seq, 2);
	assert_int_equal(s.policies, 9);
	tap_store_close_reader(&r);
}

static enum tap_rc see_empty(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	(void)err;
	assert_true(row->first && row->last);
	assert_null(row->policy), assert_null(row->detail);
	++*(unsigned *)ctx;
	return TAP_OK;
}

static void a_report_without_policies_is_one_item(void **state)
{
	struct fixture *f = *state;
	struct tap_meta meta = kind_meta(TAP_KIND_SMTP_TLS, "t1");
	struct tap_store_reader *r;
	int64_t seq = 1;
	uint64_t ordinal = 0, items;
	unsigned n = 0;

	put_tls(f, "m1", &meta, 0, 0, &items);
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_ALL, 10, see_empty, &n, &seq, &ordinal, &f->err));
	assert_int_equal(n, 1);
	tap_store_close_reader(&r);
}

static long peak_kib(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_maxrss;
}

/* SQLite's cache of pages has 2 MiB; sanitizers keep freed memory and need some of their own. */
#ifdef TAP_SANITIZED
enum { FLAT_KIB = 96 << 10 };
#else
enum { FLAT_KIB = 12 << 10 };
#endif

static void memory_stays_flat_over_50000_details(void **state)
{
	struct fixture *f = *state;
	struct tap_meta meta = kind_meta(TAP_KIND_SMTP_TLS, "t1");
	struct tls_seen s = {.stop_at = UINT64_MAX, .meta = &meta, .per_policy = 25000};
	struct tap_store_reader *r;
	int64_t seq = 1;
	uint64_t ordinal = 0;
	long before;

	put_tls(f, "m1", &meta, 2, 25000, &s.total);
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_ALL, 100, see_tls, &s, &seq, &ordinal, &f->err));
	before = peak_kib();
	ok(f, tap_store_rows(r, TAP_KIND_ALL, SIZE_MAX, see_tls, &s, &seq, &ordinal, &f->err));
	assert_int_equal(s.n, 50002);
	assert_true(peak_kib() - before < FLAT_KIB);
	tap_store_close_reader(&r);
}

/* ---- a store of version 1 --------------------------------------------------------------------------------------- */

static const char of_version_1[] =
    "INSERT INTO message (id, spool_id, door, recipients, arrival, fate, size, sha256, headers, "
    "reports, broken) VALUES (1, 'old', 'milter', 'r@example.com', 5, 'report', 1, x'00', x'', 1, "
    "0);"
    "INSERT INTO report (seq, uid, kind, message_id, part, document, stored, schema, org_name, "
    "begin, "
    "end, domain, content_hash, content_bytes, records, dropped, messages, passed, truncated, "
    "recovered, warnings) VALUES (7, '0123456789012345678901234567890123456789', 1, 1, 0, 0, 6, 1, "
    "'Old Org', 100, 200, 'example.com', zeroblob(32), 3, 2, 0, 9, 4, 0, 0, 0);"
    "INSERT INTO record (seq, ordinal, idx, source_ip, count, evaluated, dkim_aligned, "
    "spf_aligned) "
    "VALUES (7, 0, 0, '192.0.2.1', 4, 1, 1, 0), (7, 1, 1, '192.0.2.2', 5, 1, 0, 0);"
    "INSERT INTO sink (name, seq, ordinal, state) VALUES ('json', 7, 1, 's');"
    "PRAGMA application_id = 1146372432; PRAGMA user_version = 1";

static void make_version_1(struct fixture *f)
{
	static const char *const names[] = {"", "-wal", "-shm"};
	char path[128];
	struct tap_db db;

	tap_store_close(&f->s);
	for (size_t i = 0; i < N(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->path, names[i]);
		(void)unlink(path);
	}
	ok(f, tap_db_open(&db, f->path, true, &f->err));
	ok(f, tap_db_exec(&db, tap_store_migrations[0], &f->err));
	ok(f, tap_db_exec(&db, of_version_1, &f->err));
	tap_db_close(&db);
}

static enum tap_rc see_old(void *ctx, const struct tap_store_row *row, struct tap_err *err)
{
	(void)err;
	assert_string_equal(row->meta->org_name, "Old Org");
	assert_int_equal(row->meta->trust.auth, TAP_AUTH_UNKNOWN);
	assert_int_equal(row->meta->trust.reporter, TAP_AGREE_UNKNOWN);
	assert_false(row->meta->trust.foreign || row->meta->trust.trusted);
	assert_null(row->meta->begin_raw);
	assert_int_equal(row->record->count, row->ordinal + 4);
	++*(unsigned *)ctx;
	return TAP_OK;
}

static void a_store_of_version_1_is_brought_up_to_date(void **state)
{
	struct fixture *f = *state;
	struct tap_sample sample = full_sample();
	struct tap_failure failure = full_failure(&sample);
	struct tap_meta meta = kind_meta(TAP_KIND_FAILURE, "f1");
	struct expected x = {&meta, &failure, 0};
	struct tap_store_reader *r;
	struct tap_store_sink sink;
	int64_t seq = 1;
	uint64_t ordinal = 0;
	unsigned n = 0;

	make_version_1(f);
	/* A reader cannot bring it up to date, and says who can. */
	assert_int_equal(tap_store_open_reader(f->path, &r, &f->err), TAP_E_CONFIG);
	assert_non_null(strstr(f->err.msg, "start dmarctapd once"));
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
	ok(f, tap_store_open_reader(f->path, &r, &f->err));
	ok(f, tap_store_rows(r, TAP_KIND_ALL, 10, see_old, &n, &seq, &ordinal, &f->err));
	assert_int_equal(n, 2);
	ok(f, tap_store_sink_get(r, "json", TAP_KIND_ALL, &sink, NULL, &f->err));
	assert_int_equal(sink.lag, 1);
	tap_store_close_reader(&r);
	assert_int_equal(put_failure(f, "m1", &meta, &failure).stored, 1);
	read_failure(f, TAP_KIND_FAILURE, &x, 1);
	assert_int_equal(x.n, 1);
	/* Once is enough. */
	tap_store_close(&f->s);
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
	assert_int_equal(totals(f).reports, 2);
}

/* A migration that cannot be finished leaves the store as it was. */
static void a_migration_is_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct tap_db db;
	int64_t version = 0;

	make_version_1(f);
	ok(f, tap_db_open(&db, f->path, true, &f->err));
	ok(f, tap_db_exec(&db, "CREATE TABLE quota (in_the_way)", &f->err));
	tap_db_close(&db);
	assert_int_not_equal(tap_store_open(&f->set, &f->s, &f->err), TAP_OK);
	assert_non_null(strstr(f->err.msg, "migration 2"));
	ok(f, tap_db_open(&db, f->path, true, &f->err));
	ok(f, tap_db_int(&db, "PRAGMA user_version", &version, &f->err));
	assert_int_equal(version, 1);
	ok(f, tap_db_exec(&db, "SELECT kind FROM report INDEXED BY report_begin WHERE begin > 0",
			  &f->err));
	ok(f, tap_db_exec(&db, "DROP TABLE quota", &f->err));
	tap_db_close(&db);
	ok(f, tap_store_open(&f->set, &f->s, &f->err));
}

#define WITH_STORE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_STORE(every_member_of_a_failure_report_comes_back),
	    WITH_STORE(what_is_absent_stays_absent),
	    WITH_STORE(bodies_belong_to_their_kind),
	    WITH_STORE(a_replaced_failure_report_leaves_nothing),
	    WITH_STORE(policies_and_details_come_in_the_order_of_the_document),
	    WITH_STORE(a_report_without_policies_is_one_item),
	    WITH_STORE(memory_stays_flat_over_50000_details),
	    WITH_STORE(a_store_of_version_1_is_brought_up_to_date),
	    WITH_STORE(a_migration_is_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
