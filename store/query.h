/* SPDX-License-Identifier: Apache-2.0
 * store/query.h - questions that the dashboard asks the store: read-only, one consistent view, with a deadline.
 * Works as another user than the writer's, beside a living writer, and when only the -wal and -shm files of a stopped one are
 * there. Nothing is ever written, not even a lock file.
 * Ownership: a query owns its connection; strings in rows are valid only during the row call. Threads: one query, one thread;
 * any number of queries at once. Units: seconds since the epoch UTC, messages as reported. Sums saturate at 2^63-1.
 * Limits [I7]: texts are cut at TAP_QUERY_TEXT characters, rows at the limit given, time at the deadline.
 * Errors: TAP_E_NOTFOUND there is no store yet (no file, or no tables in it); TAP_E_CONFIG it may not be read;
 * TAP_E_CANCELLED the deadline passed; TAP_E_TEMP the store is busy or damaged; what a row function returns otherwise. */
#ifndef TAP_STORE_QUERY_H
#define TAP_STORE_QUERY_H

#include "base/err.h"
#include "parser/report_mail.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_QUERY_TEXT = 256, TAP_QUERY_NOTES = 5, TAP_QUERY_CHANGE = 96 };

struct tap_query;

/* Opens the store at path and begins one read transaction; everything asked until the close sees the same data.
 * deadline_ms: time from now for all of it; 0 = none. */
enum tap_rc tap_query_open(const char *path, int64_t deadline_ms, struct tap_query **q_r,
			   struct tap_err *err) TAP_MUST_CHECK;
void tap_query_close(struct tap_query **q); /* NULL-safe, sets *q = NULL */

/* Reports whose period begins in [from, until), of one policy domain or of all (NULL); trusted_only: of those that count as trusted
 * (struct tap_trust). Totals never count reports about foreign domains, and those of aggregate reports no other kind. */
struct tap_query_window {
	int64_t from, until;
	const char *domain;
	bool trusted_only;
};

/* How far the mail that carried a report is to be believed (struct tap_trust). */
struct tap_query_trust {
	enum tap_auth_state auth, dmarc;
	enum tap_agree reporter, names;
	bool foreign, trusted;
	const char *from_domain; /* NULL = none */
};

/* What changed since we last looked, without a scan. */
struct tap_query_state {
	/* Opaque; differs after every message taken in and every report removed. */
	char change[TAP_QUERY_CHANGE];
	int64_t reports; /* in the store, of any age and kind */
	/* By kind, without those about foreign domains, which are counted in `foreign` whatever their kind. */
	int64_t aggregate, failure, smtp_tls, feedback, foreign;
	bool
	    judged; /* of at least one report the mail server said whether its mail was authenticated */
	bool have_message; /* the newest message that was taken in: */
	int64_t message_arrival;
	int64_t message_reports, message_broken;
};
enum tap_rc tap_query_state(struct tap_query *q, struct tap_query_state *out_r,
			    struct tap_err *err) TAP_MUST_CHECK;

/* Only `judged` of the state: one look into an index. */
enum tap_rc tap_query_judged(struct tap_query *q, bool *judged_r,
			     struct tap_err *err) TAP_MUST_CHECK;

/* Reports of one kind (TAP_KIND_AGGREGATE or TAP_KIND_SMTP_TLS) in the window that are not trusted, whatever w->trusted_only says. */
enum tap_rc tap_query_untrusted(struct tap_query *q, int kind, const struct tap_query_window *w,
				int64_t *n_r, struct tap_err *err) TAP_MUST_CHECK;

struct tap_query_summary {
	int64_t reports, records, messages, passed, domains;
	int64_t received;      /* when the newest report of the window was stored; 0 = none */
	int64_t total_reports; /* of any age, same domain, trusted or not                     */
	int64_t first_begin, last_begin; /* of any age, same domain, trusted or not; 0 = none  */
};
enum tap_rc tap_query_summary(struct tap_query *q, const struct tap_query_window *w,
			      struct tap_query_summary *out_r, struct tap_err *err) TAP_MUST_CHECK;

/* One UTC day with at least one report, oldest first. */
struct tap_query_day {
	int64_t day; /* its first second */
	int64_t reports, messages, passed;
};
typedef enum tap_rc tap_query_day_fn(void *ctx, const struct tap_query_day *row,
				     struct tap_err *err);
enum tap_rc tap_query_days(struct tap_query *q, const struct tap_query_window *w,
			   tap_query_day_fn *fn, void *ctx, struct tap_err *err) TAP_MUST_CHECK;

/* One sending address, most messages first. */
struct tap_query_source {
	const char *source_ip;			 /* NULL = records without a usable address */
	int64_t messages, dkim, spf, dmarc;	 /* of the messages, with an aligned pass by each */
	int64_t none, quarantine, reject, other; /* messages by what the receiver did */
};
typedef enum tap_rc tap_query_source_fn(void *ctx, const struct tap_query_source *row,
					struct tap_err *err);
enum tap_rc tap_query_sources(struct tap_query *q, const struct tap_query_window *w, int64_t limit,
			      tap_query_source_fn *fn, void *ctx,
			      struct tap_err *err) TAP_MUST_CHECK;

/* One policy domain, most messages first. */
struct tap_query_domain {
	const char *domain; /* NULL = reports that name none */
	int64_t reports, messages, passed;
};
typedef enum tap_rc tap_query_domain_fn(void *ctx, const struct tap_query_domain *row,
					struct tap_err *err);
enum tap_rc tap_query_domains(struct tap_query *q, const struct tap_query_window *w, int64_t limit,
			      tap_query_domain_fn *fn, void *ctx,
			      struct tap_err *err) TAP_MUST_CHECK;

/* One report, newest first. */
struct tap_query_note {
	const char *place; /* NULL = the document as a whole */
	const char *text;
};
struct tap_query_report {
	int64_t seq, stored, begin, end;
	int kind;							  /* TAP_KIND_* */
	const char *uid, *org_name, *email, *report_id, *domain, *policy; /* NULL = absent */
	int64_t records, dropped, messages, passed, warnings, duplicates;
	int64_t
	    details; /* SMTP TLS: failure details; records are its policies, messages sessions, passed successful ones */
	bool truncated, recovered;
	struct tap_query_trust trust;
	struct tap_query_note notes[TAP_QUERY_NOTES]; /* the first warnings */
	size_t n_notes;
};
typedef enum tap_rc tap_query_report_fn(void *ctx, const struct tap_query_report *row,
					struct tap_err *err);
enum tap_query_list {
	TAP_QUERY_AGGREGATE,
	TAP_QUERY_SMTP_TLS,
	TAP_QUERY_FOREIGN, /* of every kind, about domains that are not ours; the other lists leave them out */
	TAP_QUERY_LIST_N
};
/* before: only reports with a lower seq; 0 = from the newest. domain NULL = all; SMTP TLS: that of any policy. */
enum tap_rc tap_query_reports(struct tap_query *q, enum tap_query_list which, const char *domain,
			      int64_t before, int64_t limit, tap_query_report_fn *fn, void *ctx,
			      struct tap_err *err) TAP_MUST_CHECK;

/* One failure report (kind TAP_KIND_FAILURE) or other feedback report (TAP_KIND_FEEDBACK), newest first, by its outlines: what a list
 * shows. All texts are the reporter's, or those of the message that the report is about. The whole of one is tap_store_rows' to give. */
struct tap_query_failure {
	int64_t seq, stored, incidents, warnings, duplicates;
	bool has_arrival;
	int64_t arrival;
	const char *uid, *org_name, *email, *domain; /* domain: the (first) reported one */
	const char *feedback_type, *source_ip, *delivery_result;
	const char *auth_failure;   /* the first five, with ", " in between */
	const char *mail_from;	    /* envelope sender; "" = null */
	const char *from, *subject; /* of the sample; NULL also when there is no sample */
	bool truncated, recovered;
	struct tap_query_trust trust;
};
typedef enum tap_rc tap_query_failure_fn(void *ctx, const struct tap_query_failure *row,
					 struct tap_err *err);
enum tap_rc tap_query_failures(struct tap_query *q, int kind, const char *domain, int64_t before,
			       int64_t limit, tap_query_failure_fn *fn, void *ctx,
			       struct tap_err *err) TAP_MUST_CHECK;

/* SMTP TLS: sessions by UTC day, by policy domain (most first), and failure details by result type and receiving MX (most first). */
struct tap_query_tls {
	int64_t day;		  /* days: its first second */
	const char *domain;	  /* domains: NULL = a policy that names none */
	const char *result_type;  /* failures */
	const char *receiving_mx; /* failures: NULL = not said */
	int64_t reports;
	int64_t successful,
	    failed; /* sessions; failures: successful is 0, and failed of the details, which need not add up to the days' */
};
enum tap_query_tls_by {
	TAP_QUERY_TLS_DAY,
	TAP_QUERY_TLS_DOMAIN,
	TAP_QUERY_TLS_FAILURE,
	TAP_QUERY_TLS_N
};
typedef enum tap_rc tap_query_tls_fn(void *ctx, const struct tap_query_tls *row,
				     struct tap_err *err);
/* limit: of rows; days are never cut. */
enum tap_rc tap_query_tls(struct tap_query *q, enum tap_query_tls_by by,
			  const struct tap_query_window *w, int64_t limit, tap_query_tls_fn *fn,
			  void *ctx, struct tap_err *err) TAP_MUST_CHECK;

#endif
