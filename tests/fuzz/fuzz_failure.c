/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: failure and feedback reports. The first byte chooses the door: fields and sample handed over as they are (the sample begins
 * behind the first line "=="), the words of Exim, or the whole mail. What comes out must keep the contract of report_failure.h,
 * whatever went in. Limits are small, so that they are met often. */
#include "base/arena.h"
#include "parser/failure.h"
#include "parser/unpack.h"
#include "parser/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 3000, LIST = 5, EXTRA = 4, WARNINGS = 7 };

struct state {
	int open, bodies;
	unsigned reports, kinds;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

/* Clean text, at most max bytes; NULL is fine. */
static void text(const char *s, size_t max)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = s ? strlen(s) : 0, len;
	uint32_t cp;

	must(n <= max);
	for (; n > 0; p += len, n -= len) {
		len = tap_utf8_step(p, n, &cp);
		must(len > 0 && (cp >= ' ' || cp == '\t' || cp == '\n') && cp != 0x7f);
	}
}

static void list(const struct tap_list_of *l, size_t max)
{
	must(l->n <= max && (l->n == 0 || l->item != NULL));
	for (size_t i = 0; i < l->n; i++) {
		must(l->item[i] != NULL);
		text(l->item[i], 1 << 20);
	}
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct state *s = ctx;

	(void)err;
	must(s->open++ == 0);
	s->bodies = m->kind == TAP_KIND_FAILURE || m->kind == TAP_KIND_FEEDBACK ? 0 : -1;
	s->kinds |= m->kind;
	must(strlen(m->uid) == TAP_UID_HEX - 1);
	text(m->org_name, 1 << 16);
	text(m->email, 1 << 16);
	text(m->report_id, 1 << 16);
	text(m->domain, 1 << 16);
	return TAP_OK;
}

static void check_sample(const struct tap_failure *f)
{
	const struct tap_sample *p = f->parsed;

	must((f->sample == NULL) == (p == NULL));
	must(f->sample_len <= 1 << 20);
	if (p == NULL)
		return;
	must(p->n_headers <= 100 && p->n_received <= LIST && p->n_attachments <= LIST);
	must(p->from.n <= LIST && p->to.n <= LIST && p->cc.n <= LIST);
	text(p->subject, 1 << 20);
	text(p->body, 1 << 20);
	for (size_t i = 0; i < p->n_headers; i++) {
		text(p->headers[i].name, 1 << 20);
		text(p->headers[i].value, 1 << 20);
	}
	for (size_t i = 0; i < p->to.n; i++)
		text(p->to.item[i].address, 1 << 20);
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	struct state *s = ctx;
	const char *const texts[] = {
	    f->user_agent,    f->version,	f->original_envelope_id, f->original_mail_from,
	    f->arrival_date,  f->message_id,	f->reporting_mta_type,	 f->reporting_mta,
	    f->dkim_domain,   f->dkim_identity, f->dkim_selector,	 f->delivery_result_raw,
	    f->source_ip_raw, f->dkim_adsp_dns, f->dkim_selector_dns};

	(void)err;
	must(s->open == 1 && s->bodies++ == 0);
	must(f->feedback_type != NULL);
	text(f->feedback_type, 300);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		text(texts[i], 1 << 16);
	text(f->source_ip, 45);
	text(f->human_text, 3 * 16384);
	list(&f->original_rcpt_to, LIST);
	list(&f->authentication_results, LIST);
	list(&f->auth_failure, LIST);
	list(&f->identity_alignment, LIST);
	list(&f->aligned_mechanisms, 2);
	list(&f->failed_mechanisms, 2);
	list(&f->reported_domain, LIST);
	list(&f->reported_uri, LIST);
	must(f->alignment_known || f->aligned_mechanisms.n + f->failed_mechanisms.n == 0);
	must(f->n_spf_dns <= LIST && f->n_extra <= EXTRA);
	for (size_t i = 0; i < f->n_spf_dns; i++) {
		must(f->spf_dns[i].raw != NULL);
		must((f->spf_dns[i].type == NULL) == (f->spf_dns[i].record == NULL));
		text(f->spf_dns[i].raw, 1 << 16);
		text(f->spf_dns[i].record, 1 << 16);
	}
	for (size_t i = 0; i < f->n_extra; i++) {
		text(f->extra[i].name, 300);
		text(f->extra[i].value, 6200);
	}
	must(f->incidents > 0 && f->source_port >= -1 && f->source_port <= 65535);
	check_sample(f);
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct state *s = ctx;

	(void)err;
	must(--s->open == 0 && s->bodies != 0);
	must(e->n_warnings <= WARNINGS && e->warnings_total >= e->n_warnings);
	for (size_t i = 0; i < e->n_warnings; i++) {
		text(e->warnings[i].where, 1 << 12);
		text(e->warnings[i].what, 1 << 12);
	}
	s->reports++;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct state *s = ctx;

	(void)why;
	must(--s->open == 0);
}

static const struct tap_events events = {
    .begin = on_begin, .end = on_end, .abort = on_abort, .failure = on_failure};

static void limits(struct tap_parse_limits *lim)
{
	*lim = tap_parse_limits_default;
	lim->message_bytes = 1 << 20;
	lim->mime_depth = 5;
	lim->mime_parts = 20;
	lim->header_bytes = 4096;
	lim->header_fields = 50;
	lim->sample_bytes = SAMPLE;
	lim->body_bytes = 1000;
	lim->attachment_bytes = 500;
	lim->text = 100;
	lim->long_text = 300;
	lim->list = LIST;
	lim->extra = EXTRA;
	lim->warnings = WARNINGS;
}

static void emit(struct state *s, const struct tap_parse_options *opt, const char *p, size_t n,
		 unsigned how)
{
	struct tap_work w = {.opt = opt, .lim = opt->limits, .ev = &events, .ctx = s};
	struct tap_failure_parts parts = {.date = "Tue, 2 Jun 2026 11:14:06 +0200",
					  .from = "Reporter <ruf@receiver.example>"};
	struct tap_document_result res;
	struct tap_err err;
	const char *mark = memmem(p, n, "\n==\n", 4);
	enum tap_rc rc;

	tap_buf_init(&w.top, 4096);
	if (how & 4) {
		parts.human = p;
		parts.human_len = n;
		parts.human_charset = how & 8 ? "iso-2022-jp" : "windows-1252";
	}
	if (how & 1) {
		rc = tap_failure_text_emit(&w, &parts, p, n, &res, &err);
	} else {
		parts.fields = p;
		parts.fields_len = mark ? (size_t)(mark - p) : n;
		if (mark) {
			parts.sample = mark + 4;
			parts.sample_len = n - (size_t)(mark + 4 - p);
			parts.sample_cut = parts.sample_len > SAMPLE;
			if (parts.sample_cut)
				parts.sample_len = SAMPLE;
			parts.headers_only = how & 8;
		}
		rc = tap_failure_emit(&w, &parts, &res, &err);
	}
	must(rc == TAP_OK && s->open == 0 && s->reports == res.reports);
	must((res.verdict == TAP_DOC_REPORT) == (res.reports == 1));
	must((res.verdict == TAP_DOC_BROKEN) == (res.broken == 1 && res.why[0] != '\0'));
	must(w.kinds == s->kinds);
	tap_work_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tap_parse_limits lim;
	struct tap_parse_options opt = {.limits = &lim};
	struct tap_parse_result res;
	struct tap_source src;
	struct tap_err err;
	struct state s = {0};

	if (size == 0)
		return 0;
	tap_parser_global_init();
	limits(&lim);
	opt.strip_payloads = data[0] & 16;
	if (data[0] & 2) {
		tap_source_mem(&src, data + 1, size - 1);
		must(tap_parse(&src, &opt, &events, &s, &res, &err) == TAP_OK);
		must(s.open == 0 && s.reports == res.reports && s.kinds == res.kinds);
		must((res.verdict == TAP_V_REPORT || res.verdict == TAP_V_FEEDBACK) ==
		     (res.reports > 0));
		must((res.verdict == TAP_V_FEEDBACK) == (res.kinds == TAP_KIND_FEEDBACK));
	} else {
		emit(&s, &opt, (const char *)data + 1, size - 1, data[0]);
	}
	return 0;
}
