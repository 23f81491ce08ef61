/* SPDX-License-Identifier: Apache-2.0
 * dashboard/api_kinds.c - the lists and sums of failure, other feedback, SMTP TLS and foreign reports; docs/api.md says what they hold. */
#include "dashboard/api_priv.h"

#include "parser/report.h"

static const char *kind_name(int kind)
{
	static const struct {
		int kind;
		const char *name;
	} names[] = {{TAP_KIND_AGGREGATE, "aggregate"},
		     {TAP_KIND_FAILURE, "failure"},
		     {TAP_KIND_SMTP_TLS, "smtp_tls"},
		     {TAP_KIND_FEEDBACK, "feedback"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].kind == kind)
			return names[i].name;
	}
	return NULL;
}

/* --- /failures, /feedback --------------------------------------------------------------------------------------- */

static enum tap_rc write_failure(void *ctx, const struct tap_query_failure *row,
				 struct tap_err *err)
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
	tap_json_str(j, "domain", row->domain);
	tap_json_str(j, "feedback_type", row->feedback_type);
	tap_json_str(j, "auth_failure", row->auth_failure);
	tap_json_str(j, "delivery_result", row->delivery_result);
	tap_json_str(j, "source_ip", row->source_ip);
	if (row->has_arrival)
		tap_json_time(j, "arrival", row->arrival);
	else
		tap_json_null(j, "arrival");
	tap_json_str(j, "mail_from", row->mail_from);
	tap_json_str(j, "from", row->from);
	tap_json_str(j, "subject", row->subject);
	tap_json_int(j, "incidents", row->incidents);
	tap_json_int(j, "warnings", row->warnings);
	tap_json_int(j, "duplicates", row->duplicates);
	tap_json_bool(j, "truncated", row->truncated);
	tap_json_bool(j, "recovered", row->recovered);
	tap_api_trust(j, &row->trust);
	tap_json_close(j, '}');
	return TAP_OK;
}

static enum tap_rc write_failures(struct tap_answer *a, int kind, const char *name,
				  struct tap_err *err)
{
	const struct tap_params *p = a->p;
	enum tap_rc rc = TAP_OK;

	tap_json_str(&a->json, "domain", p->domain);
	tap_json_open(&a->json, name, '[');
	if (a->q)
		rc = tap_query_failures(a->q, kind, p->domain, p->before, p->limit, write_failure,
					a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

enum tap_rc tap_api_failures(struct tap_answer *a, struct tap_err *err)
{
	return write_failures(a, TAP_KIND_FAILURE, "failures", err);
}

enum tap_rc tap_api_feedback(struct tap_answer *a, struct tap_err *err)
{
	return write_failures(a, TAP_KIND_FEEDBACK, "feedback", err);
}

/* --- /tls ------------------------------------------------------------------------------------------------------- */

static void write_sessions(struct tap_json *j, const struct tap_query_tls *row)
{
	int64_t all;

	if (__builtin_add_overflow(row->successful, row->failed, &all))
		all = INT64_MAX;
	tap_json_int(j, "reports", row->reports);
	tap_json_int(j, "successful", row->successful);
	tap_json_int(j, "failed", row->failed);
	tap_json_share(j, "success_rate", row->successful, all);
}

static enum tap_rc write_tls_day(void *ctx, const struct tap_query_tls *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	tap_json_day(&a->json, "day", row->day);
	write_sessions(&a->json, row);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

static enum tap_rc write_tls_domain(void *ctx, const struct tap_query_tls *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	tap_json_str(&a->json, "domain", row->domain);
	write_sessions(&a->json, row);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

static enum tap_rc write_tls_failure(void *ctx, const struct tap_query_tls *row,
				     struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	tap_json_str(&a->json, "result_type", row->result_type);
	tap_json_str(&a->json, "receiving_mx", row->receiving_mx);
	tap_json_int(&a->json, "reports", row->reports);
	tap_json_int(&a->json, "failed", row->failed);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

enum tap_rc tap_api_tls(struct tap_answer *a, struct tap_err *err)
{
	static const struct {
		const char *name;
		tap_query_tls_fn *write;
	} parts[TAP_QUERY_TLS_N] = {
	    [TAP_QUERY_TLS_DAY] = {"days", write_tls_day},
	    [TAP_QUERY_TLS_DOMAIN] = {"domains", write_tls_domain},
	    [TAP_QUERY_TLS_FAILURE] = {"failures", write_tls_failure},
	};
	int64_t untrusted = 0;
	enum tap_rc rc = TAP_OK;

	tap_api_window(a);
	if (a->q)
		rc = tap_query_untrusted(a->q, TAP_KIND_SMTP_TLS, &a->window, &untrusted, err);
	tap_json_int(&a->json, "untrusted", untrusted);
	for (int i = 0; rc == TAP_OK && i < TAP_QUERY_TLS_N; i++) {
		tap_json_open(&a->json, parts[i].name, '[');
		if (a->q)
			rc = tap_query_tls(a->q, (enum tap_query_tls_by)i, &a->window, a->p->limit,
					   parts[i].write, a, err);
		tap_json_close(&a->json, ']');
	}
	return rc;
}

/* --- /tls-reports, /foreign ------------------------------------------------------------------------------------- */

static void write_common(struct tap_json *j, const struct tap_query_report *row)
{
	tap_json_int(j, "seq", row->seq);
	tap_json_str(j, "uid", row->uid);
	tap_json_str(j, "kind", kind_name(row->kind));
	tap_json_time(j, "received", row->stored);
	tap_json_str(j, "org_name", row->org_name);
	tap_json_str(j, "email", row->email);
	tap_json_str(j, "report_id", row->report_id);
	tap_json_str(j, "domain", row->domain);
	tap_json_time_or_null(j, "begin", row->begin);
	tap_json_time_or_null(j, "end", row->end);
}

static void write_state(struct tap_json *j, const struct tap_query_report *row)
{
	tap_json_int(j, "warnings", row->warnings);
	tap_api_notes(j, row);
	tap_json_int(j, "duplicates", row->duplicates);
	tap_json_bool(j, "truncated", row->truncated);
	tap_json_bool(j, "recovered", row->recovered);
	tap_api_trust(j, &row->trust);
}

static enum tap_rc write_tls_report(void *ctx, const struct tap_query_report *row,
				    struct tap_err *err)
{
	struct tap_answer *a = ctx;
	struct tap_json *j = &a->json;
	int64_t sessions = row->messages, good = row->passed;

	(void)err;
	tap_json_open(j, NULL, '{');
	write_common(j, row);
	tap_json_int(j, "policies", row->records);
	tap_json_int(j, "details", row->details);
	tap_json_int(j, "dropped", row->dropped);
	tap_json_int(j, "sessions", sessions);
	tap_json_int(j, "successful", good);
	tap_json_int(j, "failed", sessions > good ? sessions - good : 0);
	tap_json_share(j, "success_rate", good, sessions);
	write_state(j, row);
	tap_json_close(j, '}');
	return TAP_OK;
}

static enum tap_rc write_foreign(void *ctx, const struct tap_query_report *row, struct tap_err *err)
{
	struct tap_answer *a = ctx;

	(void)err;
	tap_json_open(&a->json, NULL, '{');
	write_common(&a->json, row);
	tap_json_int(&a->json, "messages", row->messages);
	write_state(&a->json, row);
	tap_json_close(&a->json, '}');
	return TAP_OK;
}

static enum tap_rc write_list(struct tap_answer *a, enum tap_query_list which,
			      tap_query_report_fn *one, struct tap_err *err)
{
	const struct tap_params *p = a->p;
	enum tap_rc rc = TAP_OK;

	tap_json_str(&a->json, "domain", p->domain);
	tap_json_open(&a->json, "reports", '[');
	if (a->q)
		rc = tap_query_reports(a->q, which, p->domain, p->before, p->limit, one, a, err);
	tap_json_close(&a->json, ']');
	return rc;
}

enum tap_rc tap_api_tls_reports(struct tap_answer *a, struct tap_err *err)
{
	return write_list(a, TAP_QUERY_SMTP_TLS, write_tls_report, err);
}

enum tap_rc tap_api_foreign(struct tap_answer *a, struct tap_err *err)
{
	return write_list(a, TAP_QUERY_FOREIGN, write_foreign, err);
}
