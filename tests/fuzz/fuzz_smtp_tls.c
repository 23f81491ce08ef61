/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: any bytes as a JSON document of SMTP TLS reports. The first byte chooses the size of the pieces and where the container
 * says that it is damaged. The order of the events, their counts and the verdict must fit one another; limits are low. */
#include "parser/smtp_tls.h"

#include <stdlib.h>
#include <string.h>

struct reading {
	const uint8_t *p;
	size_t size, at, most, damage; /* damage: where; SIZE_MAX = nowhere */
	bool open;
	uint32_t ends, aborts;
	uint64_t policies, details, expected;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

static enum tap_rc rewind_doc(void *ctx, struct tap_err *err)
{
	(void)err;
	((struct reading *)ctx)->at = 0;
	return TAP_OK;
}

static enum tap_rc read_doc(void *ctx, void *buf, size_t n, size_t *got_r, struct tap_err *err)
{
	struct reading *r = ctx;

	*got_r = 0;
	if (r->at >= r->damage)
		return tap_err_set(err, TAP_E_DATA, "damaged");
	if (n > r->most)
		n = r->most;
	if (n > r->size - r->at)
		n = r->size - r->at;
	memcpy(buf, r->p + r->at, n);
	r->at += n;
	*got_r = n;
	return TAP_OK;
}

static void text(const char *s, size_t most)
{
	must(s == NULL || strlen(s) <= most);
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	must(!r->open && m->kind == TAP_KIND_SMTP_TLS);
	must(strlen(m->uid) == TAP_UID_HEX - 1 && m->report_id && m->begin_raw && m->end_raw);
	must(m->begin <= m->end);
	text(m->org_name, 255);
	r->open = true;
	r->policies = r->details = r->expected = 0;
	return TAP_OK;
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	must(r->open && r->details == r->expected);
	must(p->successful <= INT64_MAX && p->failed <= INT64_MAX);
	must(p->n_policy_strings <= 5 && p->n_mx_hosts <= 5);
	for (size_t i = 0; i < p->n_policy_strings; i++)
		text(p->policy_strings[i], 120);
	r->policies++;
	r->expected += p->n_details;
	return TAP_OK;
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	must(r->open && d->result_type && d->failed <= INT64_MAX);
	text(d->sending_mta_ip, 120);
	text(d->failure_reason_code, 120);
	r->details++;
	must(r->details <= r->expected);
	return TAP_OK;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct reading *r = ctx;

	(void)err;
	must(r->open && e->records == r->policies && e->details == r->details);
	must(r->details == r->expected);
	must(e->passed <= e->messages && e->messages <= INT64_MAX);
	must(e->n_warnings <= 10 && e->n_warnings <= e->warnings_total);
	r->open = false;
	r->ends++;
	return TAP_OK;
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	struct reading *r = ctx;

	must(r->open && why->msg[0]);
	r->open = false;
	r->aborts++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tap_events ev = {
	    .begin = on_begin,
	    .end = on_end,
	    .abort = on_abort,
	    .tls_policy = on_policy,
	    .tls_detail = on_detail,
	};
	struct tap_parse_limits lim = tap_parse_limits_default;
	struct tap_parse_options opt = {.limits = &lim, .now = 1780358400};
	struct tap_document_result res;
	struct tap_document doc = {.rewind = rewind_doc, .read = read_doc};
	struct reading r = {0};
	struct tap_err err;

	if (size == 0)
		return 0;
	lim.json_bytes = 1 << 16;
	lim.json_depth = 8;
	lim.json_values = 2000;
	lim.text = 40;
	lim.list = 5;
	lim.warnings = 10;
	lim.records = 50;
	r.p = data + 1;
	r.size = size - 1;
	r.most = 1 + (data[0] >> 1) * 32u;
	r.damage = data[0] & 1 ? r.size : SIZE_MAX;
	doc.ctx = &r;
	doc.origin.filename = "a.example!b.example!1!2.json";
	must(tap_smtp_tls_read(&doc, &opt, &ev, &r, &res, &err) == TAP_OK);
	must(!r.open && res.reports == r.ends);
	must((res.verdict == TAP_DOC_REPORT) == (r.ends > 0));
	must(res.verdict == TAP_DOC_REPORT || res.why[0] != '\0');
	must(res.verdict == TAP_DOC_REPORT || (res.broken > 0) == (res.verdict == TAP_DOC_BROKEN));
	return 0;
}
