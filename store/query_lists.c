/* SPDX-License-Identifier: Apache-2.0
 * store/query_lists.c - the dashboard's lists of single reports, newest first, and the sums of SMTP TLS reports; see query.h. */
#include "store/query_priv.h"

#include <sqlite3.h>

enum { DAY = 86400 };

/* --- reports ---------------------------------------------------------------------------------------------------- */

#define TRUST_COLUMNS                                                                              \
	"report.auth, report.dmarc, report.reporter, report.names, report.is_foreign,"             \
	" report.trusted, " TAP_QUERY_CUT("report.from_domain")
enum { TRUST_N = 7 };

static int within(int v, int n)
{
	return v >= 0 && v < n ? v : 0;
}

static struct tap_query_trust trust_at(sqlite3_stmt *st, int i)
{
	return (struct tap_query_trust){
	    .auth = (enum tap_auth_state)within(sqlite3_column_int(st, i), TAP_AUTH_N),
	    .dmarc = (enum tap_auth_state)within(sqlite3_column_int(st, i + 1), TAP_AUTH_N),
	    .reporter = (enum tap_agree)within(sqlite3_column_int(st, i + 2), TAP_AGREE_N),
	    .names = (enum tap_agree)within(sqlite3_column_int(st, i + 3), TAP_AGREE_N),
	    .foreign = sqlite3_column_int(st, i + 4) != 0,
	    .trusted = sqlite3_column_int(st, i + 5) != 0,
	    .from_domain = tap_query_text(st, i + 6),
	};
}

struct report_ctx {
	tap_query_report_fn *fn;
	void *ctx;
	sqlite3_stmt *notes; /* asked again for each report that has warnings */
};

static enum tap_rc read_notes(struct tap_query *q, sqlite3_stmt *st, struct tap_query_report *row,
			      struct tap_err *err)
{
	enum tap_rc rc;

	/* All of a report's notes come in one row, so that their texts live until the row has been handed over. */
	if (sqlite3_bind_int64(st, 1, row->seq) != SQLITE_OK)
		return tap_query_error(q, "cannot be asked", err);
	rc = tap_query_next(q, st, err);
	if (rc != TAP_OK)
		return rc == TAP_E_NOTFOUND ? TAP_OK : rc;
	for (int i = 0; i < TAP_QUERY_NOTES; i++) {
		const char *text = tap_query_text(st, 2 * i + 1);

		if (text) {
			row->notes[row->n_notes].place = tap_query_text(st, 2 * i);
			row->notes[row->n_notes++].text = text;
		}
	}
	return TAP_OK;
}

static enum tap_rc one_report(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	struct report_ctx *r = ctx;
	enum tap_rc rc = TAP_OK;
	struct tap_query_report row = {
	    .trust = trust_at(st, 0),
	    .seq = sqlite3_column_int64(st, TRUST_N),
	    .stored = sqlite3_column_int64(st, TRUST_N + 1),
	    .begin = sqlite3_column_int64(st, TRUST_N + 2),
	    .end = sqlite3_column_int64(st, TRUST_N + 3),
	    .records = sqlite3_column_int64(st, TRUST_N + 4),
	    .dropped = sqlite3_column_int64(st, TRUST_N + 5),
	    .messages = sqlite3_column_int64(st, TRUST_N + 6),
	    .passed = sqlite3_column_int64(st, TRUST_N + 7),
	    .warnings = sqlite3_column_int64(st, TRUST_N + 8),
	    .duplicates = sqlite3_column_int64(st, TRUST_N + 9),
	    .truncated = sqlite3_column_int(st, TRUST_N + 10) != 0,
	    .recovered = sqlite3_column_int(st, TRUST_N + 11) != 0,
	    .kind = sqlite3_column_int(st, TRUST_N + 12),
	    .details = sqlite3_column_int64(st, TRUST_N + 13),
	    .uid = tap_query_text(st, TRUST_N + 14),
	    .org_name = tap_query_text(st, TRUST_N + 15),
	    .email = tap_query_text(st, TRUST_N + 16),
	    .report_id = tap_query_text(st, TRUST_N + 17),
	    .domain = tap_query_text(st, TRUST_N + 18),
	    .policy = tap_query_text(st, TRUST_N + 19),
	};

	if (row.warnings > 0)
		rc = read_notes(q, r->notes, &row, err);
	if (rc == TAP_OK)
		rc = r->fn(r->ctx, &row, err);
	sqlite3_reset(r->notes);
	return rc;
}

/* Warnings of ours are notes of kind 1, numbered from 0. */
#define NOTE(n)                                                                                    \
	"(SELECT " TAP_QUERY_CUT(                                                                  \
	    "place") " FROM note WHERE seq = ?1 AND kind = 1 AND n = " #n "),"                     \
		     "(SELECT " TAP_QUERY_CUT(                                                     \
			 "text") " FROM note WHERE seq = ?1 AND kind = 1 AND n = " #n ")"
static const char select_notes[] =
    "SELECT " NOTE(0) "," NOTE(1) "," NOTE(2) "," NOTE(3) "," NOTE(4);
_Static_assert(TAP_QUERY_NOTES == 5, "select_notes asks for five");

#define SELECT_REPORTS                                                                             \
	"SELECT " TRUST_COLUMNS ", seq, stored, begin, end, records, dropped, messages, passed,"   \
	" warnings, duplicates, truncated, recovered, kind, details, uid,"                         \
	" " TAP_QUERY_CUT("org_name") "," TAP_QUERY_CUT("email") "," TAP_QUERY_CUT(                \
	    "report_id") "," TAP_QUERY_CUT("domain") "," TAP_QUERY_CUT("p") " FROM report"
/* ?1 before, ?2 limit, ?3 domain, ?4 kind. Other kinds have an index, and say the words that it was made with; "+" keeps the list of
 * aggregate reports from an index that would have to be sorted. */
#define OF_AGGREGATE " WHERE +report.kind = ?4 AND report.is_foreign = 0 AND report.seq < ?1"
#define OF_KIND                                                                                    \
	" WHERE report.kind = ?4 AND report.kind <> 1 AND report.is_foreign = 0"                   \
	" AND report.seq < ?1"
#define OF_FOREIGN " WHERE is_foreign = 1 AND is_foreign <> 0 AND seq < ?1 AND ?4 IS NOT NULL"
#define OF_DOMAIN  " AND report.domain = ?3"
#define OF_POLICY                                                                                  \
	" AND EXISTS (SELECT 1 FROM tls_policy AS p WHERE p.seq = report.seq AND p.domain = ?3)"
#define NEWEST_FIRST " ORDER BY report.seq DESC LIMIT ?2"

static enum tap_rc begin_page(struct tap_query *q, const char *sql, const char *domain, int kind,
			      int64_t before, int64_t limit, sqlite3_stmt **st_r,
			      struct tap_err *err)
{
	enum tap_rc rc = tap_query_prepare(q, sql, st_r, err);
	int bad = SQLITE_OK;

	if (rc != TAP_OK)
		return rc;
	bad |= sqlite3_bind_int64(*st_r, 1, before > 0 ? before : INT64_MAX);
	bad |= sqlite3_bind_int64(*st_r, 2, limit);
	bad |= sqlite3_bind_int(*st_r, 4, kind);
	if (domain)
		bad |= sqlite3_bind_text(*st_r, 3, domain, -1, SQLITE_STATIC);
	if (bad == SQLITE_OK)
		return TAP_OK;
	rc = tap_query_error(q, "cannot be asked", err);
	sqlite3_finalize(*st_r);
	*st_r = NULL;
	return rc;
}

enum tap_rc tap_query_reports(struct tap_query *q, enum tap_query_list which, const char *domain,
			      int64_t before, int64_t limit, tap_query_report_fn *fn, void *ctx,
			      struct tap_err *err)
{
	static const struct {
		int kind;
		const char *all, *domain;
	} lists[TAP_QUERY_LIST_N] = {
	    [TAP_QUERY_AGGREGATE] = {TAP_KIND_AGGREGATE, SELECT_REPORTS OF_AGGREGATE NEWEST_FIRST,
				     SELECT_REPORTS OF_AGGREGATE OF_DOMAIN NEWEST_FIRST},
	    [TAP_QUERY_SMTP_TLS] = {TAP_KIND_SMTP_TLS, SELECT_REPORTS OF_KIND NEWEST_FIRST,
				    SELECT_REPORTS OF_KIND OF_POLICY NEWEST_FIRST},
	    [TAP_QUERY_FOREIGN] = {0, SELECT_REPORTS OF_FOREIGN NEWEST_FIRST,
				   SELECT_REPORTS OF_FOREIGN OF_DOMAIN NEWEST_FIRST},
	};
	struct report_ctx r = {fn, ctx, NULL};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc = tap_query_prepare(q, select_notes, &r.notes, err);

	if (rc == TAP_OK)
		rc = begin_page(q, domain ? lists[which].domain : lists[which].all, domain,
				lists[which].kind, before, limit, &st, err);
	if (rc == TAP_OK)
		rc = tap_query_each(q, st, one_report, &r, err);
	sqlite3_finalize(r.notes);
	return rc;
}

/* --- failure and feedback reports --------------------------------------------------------------------------------- */

struct failure_ctx {
	tap_query_failure_fn *fn;
	void *ctx;
};

static enum tap_rc one_failure(struct tap_query *q, sqlite3_stmt *st, void *ctx,
			       struct tap_err *err)
{
	const struct failure_ctx *f = ctx;
	struct tap_query_failure row = {
	    .trust = trust_at(st, 0),
	    .seq = sqlite3_column_int64(st, TRUST_N),
	    .stored = sqlite3_column_int64(st, TRUST_N + 1),
	    .incidents = sqlite3_column_int64(st, TRUST_N + 2),
	    .warnings = sqlite3_column_int64(st, TRUST_N + 3),
	    .duplicates = sqlite3_column_int64(st, TRUST_N + 4),
	    .has_arrival = sqlite3_column_type(st, TRUST_N + 5) != SQLITE_NULL,
	    .arrival = sqlite3_column_int64(st, TRUST_N + 5),
	    .truncated = sqlite3_column_int(st, TRUST_N + 6) != 0,
	    .recovered = sqlite3_column_int(st, TRUST_N + 7) != 0,
	    .uid = tap_query_text(st, TRUST_N + 8),
	    .org_name = tap_query_text(st, TRUST_N + 9),
	    .email = tap_query_text(st, TRUST_N + 10),
	    .domain = tap_query_text(st, TRUST_N + 11),
	    .feedback_type = tap_query_text(st, TRUST_N + 12),
	    .source_ip = tap_query_text(st, TRUST_N + 13),
	    .delivery_result = tap_query_text(st, TRUST_N + 14),
	    .mail_from = tap_query_text(st, TRUST_N + 15),
	    .subject = tap_query_text(st, TRUST_N + 16),
	    .from = tap_query_text(st, TRUST_N + 17),
	    .auth_failure = tap_query_text(st, TRUST_N + 18),
	};

	(void)q;
	return f->fn(f->ctx, &row, err);
}

/* failure_list.kind 2 is Auth-Failure, failure_address.field 0 is From (store/failure.c). */
#define SELECT_FAILURES                                                                                                                                                                                                                                                                                                                        \
	"SELECT " TRUST_COLUMNS ", report.seq, stored, f.incidents, warnings, duplicates,"                                                                                                                                                                                                                                                     \
	" f.arrival, truncated, recovered, uid,"                                                                                                                                                                                                                                                                                               \
	" " TAP_QUERY_CUT("org_name") "," TAP_QUERY_CUT("email") "," TAP_QUERY_CUT(                                                                                                                                                                                                                                                            \
	    "report."                                                                                                                                                                                                                                                                                                                          \
	    "domain") "," TAP_QUERY_CUT("f.feedback_type") "," TAP_QUERY_CUT("f.source_ip") "," TAP_QUERY_CUT("f.delivery_result") "," TAP_QUERY_CUT("f.original_mail_from") "," TAP_QUERY_CUT("s."                                                                                                                                            \
																							       "sub"                                                                                                                                           \
																							       "jec"                                                                                                                                           \
																							       "t") ", (SELECT " TAP_QUERY_CUT("a.address") " FROM failure_address AS a WHERE a.seq = report.seq AND a.field = 0 AND a.n = 0),"                \
																													    " (SELECT group_concat(v, ', ') FROM (SELECT " TAP_QUERY_CUT(                                      \
																														"l.value") " AS v FROM failure_list AS l WHERE l.seq = report.seq AND l.kind = 2 ORDER BY l.n" \
																															   " LIMIT 5)) FROM report CROSS JOIN failure AS f ON f.seq = report.seq"              \
																															   " LEFT JOIN failure_sample AS s ON s.seq = report.seq"

enum tap_rc tap_query_failures(struct tap_query *q, int kind, const char *domain, int64_t before,
			       int64_t limit, tap_query_failure_fn *fn, void *ctx,
			       struct tap_err *err)
{
	struct failure_ctx f = {fn, ctx};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc = begin_page(q,
				    domain ? SELECT_FAILURES OF_KIND OF_DOMAIN NEWEST_FIRST
					   : SELECT_FAILURES OF_KIND NEWEST_FIRST,
				    domain, kind, before, limit, &st, err);

	return rc == TAP_OK ? tap_query_each(q, st, one_failure, &f, err) : rc;
}

/* --- SMTP TLS --------------------------------------------------------------------------------------------------- */

struct tls_ctx {
	tap_query_tls_fn *fn;
	void *ctx;
	enum tap_query_tls_by by;
};

static enum tap_rc one_tls(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	const struct tls_ctx *t = ctx;
	struct tap_query_tls row = {
	    .reports = sqlite3_column_int64(st, 2),
	    .successful = sqlite3_column_int64(st, 3),
	    .failed = sqlite3_column_int64(st, 4),
	};

	(void)q;
	if (t->by == TAP_QUERY_TLS_DAY) {
		row.day = sqlite3_column_int64(st, 0) * DAY;
	} else if (t->by == TAP_QUERY_TLS_DOMAIN) {
		row.domain = tap_query_text(st, 0);
	} else {
		row.result_type = tap_query_text(st, 0);
		row.receiving_mx = tap_query_text(st, 1);
	}
	return t->fn(t->ctx, &row, err);
}

/* CROSS JOIN fixes the order of the loops: the window by its index first, then what belongs to each report. */
#define OF_POLICIES                                                                                \
	" FROM report CROSS JOIN tls_policy AS p ON p.seq = report.seq" TAP_QUERY_IN_WINDOW("4")
#define SUMS	    " count(DISTINCT report.seq), tap_sum(p.successful), tap_sum(p.failed)"
#define THIS_DOMAIN " AND p.domain = ?3"
#define SELECT_DAY                                                                                 \
	"SELECT begin / 86400 - (begin < 0 AND begin % 86400 != 0) AS day, NULL," SUMS OF_POLICIES
#define BY_DAY " GROUP BY day ORDER BY day"
#define SELECT_DOMAIN                                                                              \
	"SELECT p.domain, NULL, count(DISTINCT report.seq), tap_sum(p.successful),"                \
	" tap_sum(p.failed) AS n" OF_POLICIES
#define BY_DOMAIN                                                                                  \
	" GROUP BY p.domain ORDER BY tap_sum(p.successful) + 0.0 + n DESC, p.domain LIMIT ?4"
#define SELECT_FAILURE                                                                             \
	"SELECT " TAP_QUERY_CUT("d.result_type") " AS type, " TAP_QUERY_CUT(                       \
	    "d.receiving_mx_hostname") " AS mx, count(DISTINCT report.seq), 0,"                    \
				       " tap_sum(d.failed) AS n FROM report"                       \
				       " CROSS JOIN tls_detail AS d ON d.seq = "                   \
				       "report.seq" TAP_QUERY_IN_WINDOW("4")
#define DETAIL_DOMAIN                                                                              \
	" AND EXISTS (SELECT 1 FROM tls_policy AS p WHERE p.seq = d.seq AND p.idx = d.policy"      \
	" AND p.domain = ?3)"
#define BY_FAILURE " GROUP BY type, mx ORDER BY n DESC, type, mx LIMIT ?4"

enum tap_rc tap_query_tls(struct tap_query *q, enum tap_query_tls_by by,
			  const struct tap_query_window *w, int64_t limit, tap_query_tls_fn *fn,
			  void *ctx, struct tap_err *err)
{
	static const struct {
		const char *all, *domain;
	} forms[TAP_QUERY_TLS_N] = {
	    [TAP_QUERY_TLS_DAY] = {SELECT_DAY TAP_QUERY_ANY_DOMAIN BY_DAY,
				   SELECT_DAY THIS_DOMAIN BY_DAY},
	    [TAP_QUERY_TLS_DOMAIN] = {SELECT_DOMAIN TAP_QUERY_ANY_DOMAIN BY_DOMAIN,
				      SELECT_DOMAIN THIS_DOMAIN BY_DOMAIN},
	    [TAP_QUERY_TLS_FAILURE] = {SELECT_FAILURE TAP_QUERY_ANY_DOMAIN BY_FAILURE,
				       SELECT_FAILURE DETAIL_DOMAIN BY_FAILURE},
	};
	struct tls_ctx t = {fn, ctx, by};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc = tap_query_windowed(q, forms[by].all, forms[by].domain, w, limit, &st, err);

	return rc == TAP_OK ? tap_query_each(q, st, one_tls, &t, err) : rc;
}
