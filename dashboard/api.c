/* SPDX-License-Identifier: Apache-2.0
 * dashboard/api.c - see api.h. One row of `endpoints` for each path: what it takes, what it asks, what it writes. */
#include "dashboard/api_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "parser/report.h"
#include <string.h>

enum { DAY = 86400 };

struct tap_api_endpoint {
	const char *path;
	unsigned params;
	int64_t limit; /* default */
	enum tap_rc (*write)(struct tap_answer *a, struct tap_err *err);
};

/* The days asked for end with today, UTC. Totals are those of trusted reports unless the question says otherwise, once the mail server
 * judges the mails that bring reports. */
static enum tap_rc set_window(struct tap_answer *a, struct tap_err *err)
{
	int64_t now = tap_clock_now();
	int64_t today = now - now % DAY;
	enum tap_rc rc = TAP_OK;

	a->window.from = today - (a->p->days - 1) * DAY;
	a->window.until = today + DAY;
	a->window.domain = a->p->domain;
	a->window.trusted_only = a->p->trusted == 1;
	if (a->q && a->p->trusted < 0 && (a->params & TAP_PARAM_TRUSTED))
		rc = tap_query_judged(a->q, &a->window.trusted_only, err);
	return rc;
}

/* Numbers that stand side by side in most objects. */
static void write_counts(struct tap_json *j, int64_t messages, int64_t passed)
{
	tap_json_int(j, "messages", messages);
	tap_json_int(j, "passed", passed);
	tap_json_int(j, "failed", messages > passed ? messages - passed : 0);
	tap_json_share(j, "pass_rate", passed, messages);
}

void tap_api_window(struct tap_answer *a)
{
	tap_json_time(&a->json, "from", a->window.from);
	tap_json_time(&a->json, "until", a->window.until);
	tap_json_str(&a->json, "domain", a->window.domain);
	tap_json_bool(&a->json, "trusted_only", a->window.trusted_only);
}

void tap_api_trust(struct tap_json *j, const struct tap_query_trust *t)
{
	static const char *const states[TAP_AUTH_N] = {"unknown", "none", "fail", "pass"};
	static const char *const agrees[TAP_AGREE_N] = {"unknown", "yes", "no"};

	tap_json_open(j, "trust", '{');
	tap_json_str(j, "auth", states[t->auth]);
	tap_json_str(j, "dmarc", states[t->dmarc]);
	tap_json_str(j, "from_domain", t->from_domain);
	tap_json_str(j, "reporter", agrees[t->reporter]);
	tap_json_str(j, "names", agrees[t->names]);
	tap_json_bool(j, "foreign", t->foreign);
	tap_json_bool(j, "trusted", t->trusted);
	tap_json_close(j, '}');
}

/* --- /health ---------------------------------------------------------------------------------------------------- */

static void write_last_message(struct tap_json *j, const struct tap_query_state *s)
{
	if (!s->have_message) {
		tap_json_null(j, "last_message");
		return;
	}
	tap_json_open(j, "last_message", '{');
	tap_json_time(j, "arrived", s->message_arrival);
	tap_json_int(j, "reports", s->message_reports);
	tap_json_int(j, "broken", s->message_broken);
	tap_json_close(j, '}');
}

static enum tap_rc write_health(struct tap_answer *a, struct tap_err *err)
{
	struct tap_query_state s = {0};
	struct tap_json *j = &a->json;

	if (a->q) {
		enum tap_rc rc = tap_query_state(a->q, &s, err);

		if (rc != TAP_OK)
			return rc;
	}
	tap_json_str(j, "version", TAP_VERSION);
	tap_json_time(j, "time", tap_clock_now());
	tap_json_str(j, "store", a->q ? "ok" : "missing");
	tap_json_str(j, "change", s.change);
	tap_json_int(j, "reports", s.reports);
	tap_json_open(j, "kinds", '{');
	tap_json_int(j, "aggregate", s.aggregate);
	tap_json_int(j, "failure", s.failure);
	tap_json_int(j, "smtp_tls", s.smtp_tls);
	tap_json_int(j, "feedback", s.feedback);
	tap_json_int(j, "foreign", s.foreign);
	tap_json_close(j, '}');
	tap_json_bool(j, "authenticated", s.judged);
	write_last_message(j, &s);
	return TAP_OK;
}

/* --- /summary --------------------------------------------------------------------------------------------------- */

static enum tap_rc write_summary(struct tap_answer *a, struct tap_err *err)
{
	struct tap_query_summary s = {0};
	struct tap_json *j = &a->json;
	int64_t untrusted = 0;

	if (a->q) {
		enum tap_rc rc = tap_query_summary(a->q, &a->window, &s, err);

		if (rc == TAP_OK)
			rc = tap_query_untrusted(a->q, TAP_KIND_AGGREGATE, &a->window, &untrusted,
						 err);
		if (rc != TAP_OK)
			return rc;
	}
	tap_api_window(a);
	tap_json_int(j, "reports", s.reports);
	tap_json_int(j, "untrusted", untrusted);
	tap_json_int(j, "records", s.records);
	write_counts(j, s.messages, s.passed);
	tap_json_int(j, "domains", s.domains);
	tap_json_time_or_null(j, "last_received", s.received);
	tap_json_open(j, "ever", '{');
	tap_json_int(j, "reports", s.total_reports);
	tap_json_time_or_null(j, "first_begin", s.first_begin);
	tap_json_time_or_null(j, "last_begin", s.last_begin);
	tap_json_close(j, '}');
	return TAP_OK;
}

/* --- /days ------------------------------------------------------------------------------------------------------ */

static enum tap_rc write_day(void *ctx, const struct tap_query_day *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	tap_json_day(&a->json, "day", row->day);
	tap_json_int(&a->json, "reports", row->reports);
	write_counts(&a->json, row->messages, row->passed);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

static enum tap_rc write_days(struct tap_answer *a, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	tap_api_window(a);
	tap_json_open(&a->json, "days", '[');
	if (a->q)
		rc = tap_query_days(a->q, &a->window, write_day, a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

/* --- /sources --------------------------------------------------------------------------------------------------- */

static enum tap_rc write_source(void *ctx, const struct tap_query_source *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;
	struct tap_json *j = &a->json;

	(void)err;
	tap_json_open(j, NULL, '{');
	tap_json_str(j, "source_ip", row->source_ip);
	tap_json_null(j, "name");
	tap_json_int(j, "messages", row->messages);
	tap_json_int(j, "dkim", row->dkim);
	tap_json_int(j, "spf", row->spf);
	tap_json_int(j, "dmarc", row->dmarc);
	tap_json_share(j, "pass_rate", row->dmarc, row->messages);
	tap_json_open(j, "dispositions", '{');
	tap_json_int(j, "none", row->none);
	tap_json_int(j, "quarantine", row->quarantine);
	tap_json_int(j, "reject", row->reject);
	tap_json_int(j, "other", row->other);
	tap_json_close(j, '}');
	tap_json_close(j, '}');
	return TAP_OK;
}

static enum tap_rc write_sources(struct tap_answer *a, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	tap_api_window(a);
	tap_json_open(&a->json, "sources", '[');
	if (a->q)
		rc = tap_query_sources(a->q, &a->window, a->p->limit, write_source, a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

/* --- /domains --------------------------------------------------------------------------------------------------- */

static enum tap_rc write_domain(void *ctx, const struct tap_query_domain *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	tap_json_str(&a->json, "domain", row->domain);
	tap_json_int(&a->json, "reports", row->reports);
	write_counts(&a->json, row->messages, row->passed);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

static enum tap_rc write_domains(struct tap_answer *a, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	tap_api_window(a);
	tap_json_open(&a->json, "domains", '[');
	if (a->q)
		rc = tap_query_domains(a->q, &a->window, a->p->limit, write_domain, a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

/* --- /reports --------------------------------------------------------------------------------------------------- */

void tap_api_notes(struct tap_json *j, const struct tap_query_report *row)
{
	tap_json_open(j, "notes", '[');
	for (size_t i = 0; i < row->n_notes; i++) {
		tap_json_open(j, NULL, '{');
		tap_json_str(j, "place", row->notes[i].place);
		tap_json_str(j, "text", row->notes[i].text);
		tap_json_close(j, '}');
	}
	tap_json_close(j, ']');
}

static enum tap_rc write_report(void *ctx, const struct tap_query_report *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;
	struct tap_json *j = &a->json;

	(void)err;
	tap_json_open(j, NULL, '{');
	tap_json_int(j, "seq", row->seq);
	tap_json_str(j, "uid", row->uid);
	tap_json_time(j, "received", row->stored);
	tap_json_str(j, "org_name", row->org_name);
	tap_json_str(j, "email", row->email);
	tap_json_str(j, "report_id", row->report_id);
	tap_json_str(j, "domain", row->domain);
	tap_json_str(j, "policy", row->policy);
	tap_json_time(j, "begin", row->begin);
	tap_json_time(j, "end", row->end);
	tap_json_int(j, "records", row->records);
	tap_json_int(j, "dropped", row->dropped);
	write_counts(j, row->messages, row->passed);
	tap_json_int(j, "warnings", row->warnings);
	tap_api_notes(j, row);
	tap_json_int(j, "duplicates", row->duplicates);
	tap_json_bool(j, "truncated", row->truncated);
	tap_json_bool(j, "recovered", row->recovered);
	tap_api_trust(j, &row->trust);
	tap_json_close(j, '}');
	return TAP_OK;
}

static enum tap_rc write_reports(struct tap_answer *a, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	tap_json_str(&a->json, "domain", a->p->domain);
	tap_json_open(&a->json, "reports", '[');
	if (a->q)
		rc = tap_query_reports(a->q, TAP_QUERY_AGGREGATE, a->p->domain, a->p->before,
				       a->p->limit, write_report, a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

#define WINDOW (TAP_PARAM_DAYS | TAP_PARAM_DOMAIN | TAP_PARAM_TRUSTED)
#define PAGE   (TAP_PARAM_LIMIT | TAP_PARAM_BEFORE | TAP_PARAM_DOMAIN)
static const struct tap_api_endpoint endpoints[] = {
    {"/api/v1/health", 0, 0, write_health},
    {"/api/v1/summary", WINDOW, 0, write_summary},
    {"/api/v1/days", WINDOW, 0, write_days},
    {"/api/v1/sources", WINDOW | TAP_PARAM_LIMIT, 20, write_sources},
    {"/api/v1/domains", TAP_PARAM_DAYS | TAP_PARAM_TRUSTED | TAP_PARAM_LIMIT, 100, write_domains},
    {"/api/v1/reports", PAGE, 50, write_reports},
    {"/api/v1/failures", PAGE, 50, tap_api_failures},
    {"/api/v1/feedback", PAGE, 50, tap_api_feedback},
    {"/api/v1/failure", TAP_PARAM_SEQ | TAP_PARAM_BODY, 0, tap_api_failure},
    {"/api/v1/tls", WINDOW | TAP_PARAM_LIMIT, 50, tap_api_tls},
    {"/api/v1/tls-reports", PAGE, 50, tap_api_tls_reports},
    {"/api/v1/foreign", PAGE, 50, tap_api_foreign},
};

const struct tap_api_endpoint *tap_api_find(const char *path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (strcmp(endpoints[i].path, path) == 0)
			return &endpoints[i];
	}
	return NULL;
}

unsigned tap_api_params(const struct tap_api_endpoint *e, struct tap_params *p)
{
	tap_params_init(p, e->limit);
	return e->params;
}

void tap_api_error(struct tap_buf *body, const char *text)
{
	struct tap_json j;

	tap_buf_reset(body);
	tap_json_init(&j, body);
	tap_json_open(&j, NULL, '{');
	tap_json_str(&j, "error", text);
	tap_json_close(&j, '}');
	tap_buf_addc(body, '\n');
}

static enum tap_rc write_answer(const struct tap_api *api, const struct tap_api_endpoint *e,
				const struct tap_params *p, struct tap_buf *body,
				struct tap_err *err)
{
	struct tap_answer a = {.api = api, .p = p, .params = e->params};
	enum tap_rc rc = tap_query_open(api->store_path, api->query_ms, &a.q, err);

	if (rc != TAP_OK && rc != TAP_E_NOTFOUND)
		return rc;
	rc = set_window(&a, err);
	tap_json_init(&a.json, body);
	tap_json_open(&a.json, NULL, '{');
	if (rc == TAP_OK)
		rc = e->write(&a, err);
	tap_json_close(&a.json, '}');
	tap_buf_addc(body, '\n');
	tap_query_close(&a.q);
	return rc;
}

unsigned tap_api_answer(const struct tap_api *api, const struct tap_api_endpoint *e,
			const struct tap_params *p, struct tap_buf *body)
{
	struct tap_err err = {0};

	enum tap_rc rc = write_answer(api, e, p, body, &err);

	if (rc == TAP_E_DATA || rc == TAP_E_NOTFOUND) {
		tap_api_error(body, err.msg);
		return rc == TAP_E_DATA ? 400 : 404;
	}
	if (rc != TAP_OK) {
		tap_log_err(TAP_LOG_WARNING, "web", &err);
		tap_api_error(body, err.msg);
		return 503;
	}
	if (body->failed) {
		tap_api_error(body, "the answer is too large; ask for less with limit=");
		return 500;
	}
	return 200;
}
