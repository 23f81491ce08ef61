/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/failure_helper.h - failure reports for tests: what came out of a mail as lines of text that are easy to look for. */
#ifndef TAP_TESTS_FAILURE_HELPER_H
#define TAP_TESTS_FAILURE_HELPER_H

#include "parser_inputs.h"
#include "base/sha256.h"
#include <inttypes.h>

struct fr {
	unsigned begins, failures, ends, aborts, records;
	struct tap_buf dump; /* lines of all reports, one after the other */
	struct tap_buf payload;
	unsigned payload_ends;
	char uid[TAP_UID_HEX]; /* of the last one */
	unsigned char hash[TAP_HASH_BYTES];
	struct tap_parse_result res;
};

static inline void fr_line(struct fr *r, const char *name, const char *value)
{
	tap_buf_printf(&r->dump, "%s=%s\n", name, value ? value : "(null)");
}

static inline void fr_list(struct fr *r, const char *name, const struct tap_list_of *l)
{
	tap_buf_printf(&r->dump, "%s=", name);
	for (size_t i = 0; i < l->n; i++)
		tap_buf_printf(&r->dump, "%s%s", i ? "|" : "", l->item[i]);
	tap_buf_adds(&r->dump, "\n");
}

static inline enum tap_rc fr_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct fr *r = ctx;

	(void)err;
	assert_int_equal(r->begins, r->ends + r->aborts);
	r->begins++;
	tap_buf_printf(&r->dump, "kind=%s\npart=%u.%u\nbegin=%" PRId64 "\nend=%" PRId64 "\n",
		       m->kind == TAP_KIND_FAILURE    ? "failure"
		       : m->kind == TAP_KIND_FEEDBACK ? "feedback"
						      : "other",
		       m->origin.part, m->origin.document, m->begin, m->end);
	fr_line(r, "org_name", m->org_name);
	fr_line(r, "email", m->email);
	fr_line(r, "report_id", m->report_id);
	fr_line(r, "domain", m->domain);
	memcpy(r->uid, m->uid, sizeof r->uid);
	return TAP_OK;
}

static inline void fr_more(struct fr *r, const struct tap_failure *f)
{
	fr_line(r, "dkim_domain", f->dkim_domain);
	fr_line(r, "dkim_identity", f->dkim_identity);
	fr_line(r, "dkim_selector", f->dkim_selector);
	fr_line(r, "dkim_selector_dns", f->dkim_selector_dns);
	fr_line(r, "dkim_adsp_dns", f->dkim_adsp_dns);
	tap_buf_printf(&r->dump, "dkim_header=%d %" PRIu64 " %s\ndkim_body=%d %" PRIu64 " %s\n",
		       f->dkim_header.given, f->dkim_header.size, f->dkim_header.sha256,
		       f->dkim_body.given, f->dkim_body.size, f->dkim_body.sha256);
	for (size_t i = 0; i < f->n_spf_dns; i++)
		tap_buf_printf(&r->dump, "spf_dns=%s|%s|%s\n",
			       f->spf_dns[i].type ? f->spf_dns[i].type : "(null)",
			       f->spf_dns[i].domain ? f->spf_dns[i].domain : "(null)",
			       f->spf_dns[i].record ? f->spf_dns[i].record : "(null)");
	tap_buf_printf(&r->dump, "source_port=%d\nincidents=%u\n", f->source_port, f->incidents);
	for (size_t i = 0; i < f->n_extra; i++)
		tap_buf_printf(&r->dump, "extra=%s|%s\n", f->extra[i].name, f->extra[i].value);
	fr_line(r, "human", f->human_text);
	tap_buf_printf(&r->dump, "sample=%zu utf8=%d headers_only=%d damaged=%d parsed=%d\n",
		       f->sample ? f->sample_len : 0, f->sample_utf8, f->sample_headers_only,
		       f->sample_damaged, f->parsed != NULL);
	if (f->sample) {
		tap_buf_adds(&r->dump, "sample_text=");
		tap_buf_add(&r->dump, f->sample, f->sample_len < 4096 ? f->sample_len : 4096);
		tap_buf_adds(&r->dump, "\n");
	}
}

static inline enum tap_rc fr_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct fr *r = ctx;

	(void)err;
	r->failures++;
	assert_int_equal(f->parsed != NULL, f->sample != NULL);
	fr_line(r, "format", tap_failure_format_name[f->format]);
	fr_line(r, "feedback_type", f->feedback_type);
	fr_line(r, "user_agent", f->user_agent);
	fr_line(r, "version", f->version);
	fr_line(r, "envelope_id", f->original_envelope_id);
	fr_line(r, "mail_from", f->original_mail_from);
	fr_list(r, "rcpt_to", &f->original_rcpt_to);
	fr_line(r, "arrival_date", f->arrival_date);
	tap_buf_printf(&r->dump, "arrival=%" PRId64 "\n",
		       f->arrival == TAP_NO_TIME ? -1 : f->arrival);
	fr_line(r, "message_id", f->message_id);
	fr_list(r, "authres", &f->authentication_results);
	fr_line(r, "delivery_result", f->delivery_result);
	fr_line(r, "delivery_result_raw", f->delivery_result_raw);
	fr_list(r, "auth_failure", &f->auth_failure);
	fr_list(r, "identity_alignment", &f->identity_alignment);
	tap_buf_printf(&r->dump, "alignment_known=%d\n", f->alignment_known);
	fr_list(r, "aligned", &f->aligned_mechanisms);
	fr_list(r, "failed", &f->failed_mechanisms);
	fr_list(r, "reported_domain", &f->reported_domain);
	fr_list(r, "reported_uri", &f->reported_uri);
	fr_line(r, "mta_type", f->reporting_mta_type);
	fr_line(r, "mta", f->reporting_mta);
	fr_line(r, "source_ip", f->source_ip);
	fr_line(r, "source_ip_raw", f->source_ip_raw);
	tap_buf_printf(&r->dump, "from_sample=%d\n", f->source_ip_from_sample);
	fr_more(r, f);
	return TAP_OK;
}

static inline enum tap_rc fr_record(void *ctx, const struct tap_record *rec, struct tap_err *err)
{
	struct fr *r = ctx;

	(void)err;
	(void)rec;
	r->records++;
	return TAP_OK;
}

static inline enum tap_rc fr_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct fr *r = ctx;

	(void)err;
	r->ends++;
	memcpy(r->hash, e->content_hash, sizeof r->hash);
	tap_buf_printf(&r->dump, "messages=%" PRIu64 "\ntruncated=%d\n", e->messages, e->truncated);
	for (size_t i = 0; i < e->n_warnings; i++)
		tap_buf_printf(&r->dump, "warn %s: %s\n", e->warnings[i].where,
			       e->warnings[i].what);
	return TAP_OK;
}

static inline void fr_abort(void *ctx, const struct tap_err *why)
{
	struct fr *r = ctx;

	(void)why;
	r->aborts++;
}

static inline enum tap_rc fr_payload(void *ctx, uint32_t part, const void *p, size_t n,
				     struct tap_err *err)
{
	struct fr *r = ctx;

	(void)err;
	(void)part;
	assert_int_equal(r->begins, r->ends + r->aborts);
	r->payload_ends += n == 0;
	tap_buf_add(&r->payload, p, n);
	return TAP_OK;
}

static const struct tap_events fr_events = {.begin = fr_begin,
					    .record = fr_record,
					    .end = fr_end,
					    .abort = fr_abort,
					    .payload = fr_payload,
					    .failure = fr_failure};

static inline void fr_read_with(struct fr *r, const void *p, size_t n,
				const struct tap_parse_options *opt)
{
	struct tap_source src;
	struct tap_err err = {0};

	memset(r, 0, sizeof *r);
	tap_buf_init(&r->dump, INPUT_MAX);
	tap_buf_init(&r->payload, INPUT_MAX);
	tap_source_mem(&src, p, n);
	if (tap_parse(&src, opt, &fr_events, r, &r->res, &err) != TAP_OK)
		fail_msg("tap_parse: %s", err.msg);
	assert_int_equal(r->ends, r->res.reports);
	assert_int_equal(r->failures <= r->ends, 1);
	tap_buf_cstr(&r->dump);
}

static inline void fr_read(struct fr *r, const void *p, size_t n)
{
	static const struct tap_parse_options opt = {.payload = true};

	fr_read_with(r, p, n, &opt);
}

static inline void fr_free(struct fr *r)
{
	tap_buf_free(&r->dump);
	tap_buf_free(&r->payload);
}

/* The dump holds this line. */
static inline bool fr_holds(const struct fr *r, const char *line)
{
	size_t n = strlen(line);

	if (r->dump.len == 0)
		return false;
	for (const char *p = r->dump.p; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, line, n) == 0 && p[n] == '\n')
			return true;
	return false;
}
#define fr_has(r, line)                                                                            \
	do {                                                                                       \
		if (!fr_holds(r, line))                                                            \
			fail_msg("no line '%s' in (why '%s'):\n%s", line, (r)->res.why,            \
				 (r)->dump.p ? (r)->dump.p : "nothing");                           \
	} while (0)
#define fr_lacks(r, text)                                                                          \
	do {                                                                                       \
		if ((r)->dump.p && strstr((r)->dump.p, text))                                      \
			fail_msg("'%s' is in:\n%s", text, (r)->dump.p);                            \
	} while (0)

/* A whole report mail around these fields; NULL = no such part. sample_type NULL = message/rfc822. */
static inline void fr_mail(struct tap_buf *m, const char *fields_head, const char *fields,
			   const char *sample_type, const char *sample)
{
	tap_buf_init(m, INPUT_MAX);
	tap_buf_adds(m,
		     "From: Reporter <ruf@receiver.example>\r\nTo: d@example.com\r\n"
		     "Date: Tue, 2 Jun 2026 11:14:06 +0200\r\nMessage-ID: <r1@receiver.example>\r\n"
		     "Subject: FW: hello\r\nMIME-Version: 1.0\r\n"
		     "Content-Type: multipart/report; report-type=feedback-report;\r\n"
		     "\tboundary=\"bb\"\r\n\r\n--bb\r\nContent-Type: text/plain\r\n\r\n"
		     "For people.\r\n");
	if (fields)
		tap_buf_printf(m, "--bb\r\n%s\r\n%s\r\n", fields_head, fields);
	if (sample)
		tap_buf_printf(m, "--bb\r\nContent-Type: %s\r\n\r\n%s\r\n",
			       sample_type ? sample_type : "message/rfc822", sample);
	tap_buf_adds(m, "--bb--\r\n");
}

#define FR_HEAD "Content-Type: message/feedback-report\r\n"
#define FR_SAMPLE                                                                                  \
	"Received: from out.bulk.example ([192.0.2.77])\r\n\tby mx.receiver.example; Tue, 2 Jun "  \
	"2026 09:13:58 +0000\r\nFrom: Billing <billing@example.com>\r\nTo: a@receiver.example\r\n" \
	"Subject: hello\r\nMessage-ID: <77@bulk.example>\r\n\r\nHello.\r\n"

/* Reads a mail with these fields and the usual sample. */
static inline void fr_fields(struct fr *r, const char *fields)
{
	struct tap_buf m;

	fr_mail(&m, FR_HEAD, fields, NULL, FR_SAMPLE);
	fr_read(r, m.p, m.len);
	tap_buf_free(&m);
}

#endif
