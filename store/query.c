/* SPDX-License-Identifier: Apache-2.0
 * store/query.c - read-only SQL for the dashboard, see query.h. Every value from outside is a bound parameter. The sums go
 * through an aggregate of our own: SQLite's sum() gives up with an error on overflow, and counts are whatever a reporter wrote. */
#include "store/query_priv.h"

#include "store/store.h"

#include "base/clock.h"
#include "base/io.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	STEPS_PER_CHECK =
	    10000, /* virtual-machine steps between two looks at the clock: well under a millisecond */
	BUSY_MS = 1000,
	DAY = 86400,
};

enum tap_rc tap_query_error(const struct tap_query *q, const char *doing, struct tap_err *err)
{
	int code = q->db ? sqlite3_extended_errcode(q->db) : SQLITE_NOMEM;

	switch (code & 0xff) {
	case SQLITE_INTERRUPT:
		return tap_err_set(err, TAP_E_CANCELLED, "the query took too long and was stopped");
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "store %s: %s: %s (the reader needs read permission on the file and on its "
		    "-wal and -shm, which exist once dmarctapd has run)",
		    q->path, doing, sqlite3_errmsg(q->db));
	case SQLITE_NOTADB:
		return tap_err_set(err, TAP_E_CONFIG, "store %s: this file is not a store",
				   q->path);
	default:
		return tap_err_set(err, TAP_E_TEMP, "store %s: %s: %s", q->path, doing,
				   q->db ? sqlite3_errmsg(q->db) : "out of memory");
	}
}

/* --- connection ------------------------------------------------------------------------------------------------- */

static int on_progress(void *ctx)
{
	const struct tap_query *q = ctx;

	return q->deadline != 0 && tap_clock_mono_ms() >= q->deadline;
}

static void sum_step(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	int64_t *sum = sqlite3_aggregate_context(ctx, sizeof(*sum));

	(void)argc;
	if (!sum) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	if (__builtin_add_overflow(*sum, sqlite3_value_int64(argv[0]), sum))
		*sum = INT64_MAX;
}

static void sum_final(sqlite3_context *ctx)
{
	const int64_t *sum = sqlite3_aggregate_context(ctx, 0);

	sqlite3_result_int64(ctx, sum ? *sum : 0);
}

/* The file is looked at by name only: opening and closing it here would drop the locks that other connections of this
 * process hold on it (POSIX). */
static enum tap_rc look_at_file(const char *path, struct tap_err *err)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		if (errno == ENOENT)
			return tap_err_set(err, TAP_E_NOTFOUND, "there is no store at %s yet",
					   path);
		return tap_err_sys(err, tap_io_class(errno), errno, "store %s", path);
	}
	if (!S_ISREG(st.st_mode))
		return tap_err_set(err, TAP_E_CONFIG, "store %s: not a regular file", path);
	if (st.st_size == 0)
		return tap_err_set(err, TAP_E_NOTFOUND, "the store at %s is still empty", path);
	if (euidaccess(path, R_OK) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "store %s", path);
	return TAP_OK;
}

static enum tap_rc run(struct tap_query *q, const char *sql, struct tap_err *err)
{
	return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK
		   ? TAP_OK
		   : tap_query_error(q, "cannot be read", err);
}

enum tap_rc tap_query_prepare(struct tap_query *q, const char *sql, sqlite3_stmt **st_r,
			      struct tap_err *err)
{
	return sqlite3_prepare_v2(q->db, sql, -1, st_r, NULL) == SQLITE_OK
		   ? TAP_OK
		   : tap_query_error(q, "cannot be asked", err);
}

static enum tap_rc check_version(struct tap_query *q, sqlite3_stmt *st, void *ctx,
				 struct tap_err *err)
{
	int version = sqlite3_column_int(st, 0);

	(void)ctx;
	if (version == TAP_STORE_SCHEMA)
		return TAP_OK;
	return tap_err_set(
	    err, TAP_E_CONFIG,
	    version < TAP_STORE_SCHEMA
		? "store %s: of an older version; start dmarctapd once to bring it up "
		  "to date"
		: "store %s: written by a newer dmarctap",
	    q->path);
}

/* A file that the writer has only just made has no tables until its first migration commits. */
static enum tap_rc has_tables(struct tap_query *q, struct tap_err *err)
{
	sqlite3_stmt *st = NULL;
	enum tap_rc rc;
	int step;

	rc = tap_query_prepare(
	    q, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'report'", &st, err);
	if (rc != TAP_OK)
		return rc;
	step = sqlite3_step(st);
	if (step == SQLITE_DONE)
		rc = tap_err_set(err, TAP_E_NOTFOUND, "the store at %s is still empty", q->path);
	else if (step != SQLITE_ROW)
		rc = tap_query_error(q, "cannot be read", err);
	sqlite3_finalize(st);
	if (rc == TAP_OK)
		rc = tap_query_prepare(q, "PRAGMA user_version", &st, err);
	return rc == TAP_OK ? tap_query_each(q, st, check_version, NULL, err) : rc;
}

static enum tap_rc connect_db(struct tap_query *q, const char *path, struct tap_err *err)
{
	if (sqlite3_open_v2(path, &q->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return tap_query_error(q, "cannot be opened", err);
	sqlite3_extended_result_codes(q->db, 1);
	sqlite3_busy_timeout(q->db, BUSY_MS);
	sqlite3_progress_handler(q->db, STEPS_PER_CHECK, on_progress, q);
	/* No sort of ours may spill to a file: the reader needs no writable place. */
	if (sqlite3_create_function_v2(q->db, "tap_sum", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
				       NULL, NULL, sum_step, sum_final, NULL) != SQLITE_OK)
		return tap_query_error(q, "cannot be opened", err);
	return run(
	    q,
	    "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
	    "PRAGMA cache_size = -8192; BEGIN",
	    err);
}

enum tap_rc tap_query_open(const char *path, int64_t deadline_ms, struct tap_query **q_r,
			   struct tap_err *err)
{
	struct tap_query *q;
	enum tap_rc rc;

	*q_r = NULL;
	rc = look_at_file(path, err);
	if (rc != TAP_OK)
		return rc;
	q = calloc(1, sizeof(*q));
	if (!q)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	snprintf(q->path, sizeof(q->path), "%s", path);
	if (deadline_ms > 0)
		q->deadline = tap_clock_mono_ms() + deadline_ms;
	rc = connect_db(q, path, err);
	if (rc == TAP_OK)
		rc = has_tables(q, err);
	if (rc != TAP_OK) {
		tap_query_close(&q);
		return rc;
	}
	*q_r = q;
	return TAP_OK;
}

void tap_query_close(struct tap_query **q)
{
	if (!q || !*q)
		return;
	/* A read transaction that is still open ends with its connection. */
	sqlite3_close_v2((*q)->db);
	free(*q);
	*q = NULL;
}

/* --- helpers ---------------------------------------------------------------------------------------------------- */

const char *tap_query_text(sqlite3_stmt *st, int i)
{
	return (const char *)sqlite3_column_text(st, i);
}

static enum tap_rc bind_window(struct tap_query *q, sqlite3_stmt *st,
			       const struct tap_query_window *w, struct tap_err *err)
{
	int bad = sqlite3_bind_int64(st, 1, w->from);

	bad |= sqlite3_bind_int64(st, 2, w->until);
	if (w->domain)
		bad |= sqlite3_bind_text(st, 3, w->domain, -1, SQLITE_STATIC);
	bad |= sqlite3_bind_int(st, 5, w->trusted_only);
	return bad == SQLITE_OK ? TAP_OK : tap_query_error(q, "cannot be asked", err);
}

/* The clock is looked at here too, since a progress handler is not called for statements of few steps. */
enum tap_rc tap_query_next(struct tap_query *q, sqlite3_stmt *st, struct tap_err *err)
{
	if (on_progress(q))
		return tap_err_set(err, TAP_E_CANCELLED, "the query took too long and was stopped");
	switch (sqlite3_step(st)) {
	case SQLITE_ROW: return TAP_OK;
	case SQLITE_DONE: return TAP_E_NOTFOUND;
	default: return tap_query_error(q, "cannot be read", err);
	}
}

enum tap_rc tap_query_each(struct tap_query *q, sqlite3_stmt *st, tap_query_row *one, void *ctx,
			   struct tap_err *err)
{
	enum tap_rc rc, row_rc = TAP_OK;

	while ((rc = tap_query_next(q, st, err)) == TAP_OK) {
		row_rc = one(q, st, ctx, err);
		if (row_rc != TAP_OK)
			break;
	}
	sqlite3_finalize(st);
	if (row_rc != TAP_OK)
		return row_rc;
	return rc == TAP_E_NOTFOUND ? TAP_OK : rc;
}

enum tap_rc tap_query_windowed(struct tap_query *q, const char *sql_all, const char *sql_domain,
			       const struct tap_query_window *w, int64_t limit, sqlite3_stmt **st_r,
			       struct tap_err *err)
{
	enum tap_rc rc = tap_query_prepare(q, w->domain ? sql_domain : sql_all, st_r, err);

	if (rc == TAP_OK)
		rc = bind_window(q, *st_r, w, err);
	if (rc == TAP_OK && sqlite3_bind_int64(*st_r, 4, limit) != SQLITE_OK)
		rc = tap_query_error(q, "cannot be asked", err);
	if (rc != TAP_OK) {
		sqlite3_finalize(*st_r);
		*st_r = NULL;
	}
	return rc;
}

#define IN_WINDOW     TAP_QUERY_IN_WINDOW("1")
#define OF_DOMAIN     " AND report.domain = ?3"
#define OF_ANY_DOMAIN TAP_QUERY_ANY_DOMAIN

/* --- state ------------------------------------------------------------------------------------------------------ */

static enum tap_rc count_kind(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	struct tap_query_state *s = ctx;
	int64_t n = sqlite3_column_int64(st, 2);

	(void)q, (void)err;
	s->reports += n;
	if (sqlite3_column_int(st, 1) != 0) {
		s->foreign += n;
		return TAP_OK;
	}
	switch (sqlite3_column_int(st, 0)) {
	case TAP_KIND_AGGREGATE: s->aggregate = n; break;
	case TAP_KIND_FAILURE: s->failure = n; break;
	case TAP_KIND_SMTP_TLS: s->smtp_tls = n; break;
	case TAP_KIND_FEEDBACK: s->feedback = n; break;
	default: break;
	}
	return TAP_OK;
}

static enum tap_rc state_change(struct tap_query *q, sqlite3_stmt *st, void *ctx,
				struct tap_err *err)
{
	struct tap_query_state *s = ctx;

	(void)q, (void)err;
	snprintf(s->change, sizeof(s->change), "%lld.%lld.%lld.%lld",
		 (long long)sqlite3_column_int64(st, 0), (long long)sqlite3_column_int64(st, 1),
		 (long long)sqlite3_column_int64(st, 2), (long long)sqlite3_column_int64(st, 3));
	return TAP_OK;
}

static enum tap_rc is_judged(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	(void)q, (void)err;
	*(bool *)ctx = sqlite3_column_int(st, 0) != 0;
	return TAP_OK;
}

enum tap_rc tap_query_judged(struct tap_query *q, bool *judged_r, struct tap_err *err)
{
	sqlite3_stmt *st = NULL;
	enum tap_rc rc =
	    tap_query_prepare(q, "SELECT EXISTS (SELECT 1 FROM report WHERE auth <> 0)", &st, err);

	*judged_r = false;
	return rc == TAP_OK ? tap_query_each(q, st, is_judged, judged_r, err) : rc;
}

static enum tap_rc state_message(struct tap_query *q, sqlite3_stmt *st, void *ctx,
				 struct tap_err *err)
{
	struct tap_query_state *s = ctx;

	(void)q, (void)err;
	s->have_message = true;
	s->message_arrival = sqlite3_column_int64(st, 0);
	s->message_reports = sqlite3_column_int64(st, 1);
	s->message_broken = sqlite3_column_int64(st, 2);
	return TAP_OK;
}

enum tap_rc tap_query_state(struct tap_query *q, struct tap_query_state *out_r, struct tap_err *err)
{
	/* No table is scanned: the counts walk the index of kinds. sqlite_sequence tells of rows that came and went. */
	static const struct {
		const char *sql;
		tap_query_row *one;
	} parts[] = {
	    {"SELECT (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'report'),"
	     " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'message'),"
	     " (SELECT coalesce(min(seq), 0) FROM report),"
	     " (SELECT coalesce(max(seq), 0) FROM report)",
	     state_change},
	    {"SELECT kind, is_foreign, count(*) FROM report GROUP BY kind, is_foreign", count_kind},
	    {"SELECT arrival, reports, broken FROM message ORDER BY id DESC LIMIT 1",
	     state_message},
	};
	enum tap_rc rc;

	memset(out_r, 0, sizeof(*out_r));
	rc = tap_query_judged(q, &out_r->judged, err);
	for (size_t i = 0; rc == TAP_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
		sqlite3_stmt *st = NULL;

		rc = tap_query_prepare(q, parts[i].sql, &st, err);
		if (rc == TAP_OK)
			rc = tap_query_each(q, st, parts[i].one, out_r, err);
	}
	return rc;
}

/* --- summary ---------------------------------------------------------------------------------------------------- */

static enum tap_rc summary_window(struct tap_query *q, sqlite3_stmt *st, void *ctx,
				  struct tap_err *err)
{
	struct tap_query_summary *s = ctx;

	(void)q, (void)err;
	s->reports = sqlite3_column_int64(st, 0);
	s->records = sqlite3_column_int64(st, 1);
	s->messages = sqlite3_column_int64(st, 2);
	s->passed = sqlite3_column_int64(st, 3);
	s->domains = sqlite3_column_int64(st, 4);
	s->received = sqlite3_column_int64(st, 5);
	return TAP_OK;
}

static enum tap_rc summary_ever(struct tap_query *q, sqlite3_stmt *st, void *ctx,
				struct tap_err *err)
{
	struct tap_query_summary *s = ctx;

	(void)q, (void)err;
	s->total_reports = sqlite3_column_int64(st, 0);
	s->first_begin = sqlite3_column_int64(st, 1);
	s->last_begin = sqlite3_column_int64(st, 2);
	return TAP_OK;
}

enum tap_rc tap_query_summary(struct tap_query *q, const struct tap_query_window *w,
			      struct tap_query_summary *out_r, struct tap_err *err)
{
#define SELECT_SUMMARY                                                                             \
	"SELECT count(*), tap_sum(records), tap_sum(messages), tap_sum(passed),"                   \
	" count(DISTINCT domain), coalesce(max(stored), 0) FROM report"
#define SELECT_EVER                                                                                \
	"SELECT count(*), coalesce(min(begin), 0), coalesce(max(begin), 0) FROM report"            \
	" WHERE kind = 1 AND is_foreign = 0 AND ?5 IS NOT NULL AND ?1 IS NOT NULL AND ?2 IS NOT "  \
	"NULL"
	sqlite3_stmt *st = NULL;
	enum tap_rc rc;

	memset(out_r, 0, sizeof(*out_r));
	rc = tap_query_windowed(q, SELECT_SUMMARY IN_WINDOW OF_ANY_DOMAIN,
				SELECT_SUMMARY IN_WINDOW OF_DOMAIN, w, 0, &st, err);
	if (rc == TAP_OK)
		rc = tap_query_each(q, st, summary_window, out_r, err);
	if (rc == TAP_OK)
		rc = tap_query_windowed(q, SELECT_EVER OF_ANY_DOMAIN, SELECT_EVER OF_DOMAIN, w, 0,
					&st, err);
	if (rc == TAP_OK)
		rc = tap_query_each(q, st, summary_ever, out_r, err);
	return rc;
}

static enum tap_rc one_count(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	(void)q, (void)err;
	*(int64_t *)ctx = sqlite3_column_int64(st, 0);
	return TAP_OK;
}

enum tap_rc tap_query_untrusted(struct tap_query *q, int kind, const struct tap_query_window *w,
				int64_t *n_r, struct tap_err *err)
{
	/* The limit's parameter, ?4, carries the kind. */
#define SELECT_UNTRUSTED "SELECT count(*) FROM report" TAP_QUERY_IN_WINDOW("?4") " AND trusted = 0"
	struct tap_query_window all = *w;
	sqlite3_stmt *st = NULL;
	enum tap_rc rc;

	*n_r = 0;
	all.trusted_only = false;
	rc = tap_query_windowed(q, SELECT_UNTRUSTED OF_ANY_DOMAIN, SELECT_UNTRUSTED OF_DOMAIN, &all,
				kind, &st, err);
	return rc == TAP_OK ? tap_query_each(q, st, one_count, n_r, err) : rc;
}

/* --- days ------------------------------------------------------------------------------------------------------- */

struct day_ctx {
	tap_query_day_fn *fn;
	void *ctx;
};

static enum tap_rc one_day(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	const struct day_ctx *d = ctx;
	struct tap_query_day row = {
	    .day = sqlite3_column_int64(st, 0) * DAY,
	    .reports = sqlite3_column_int64(st, 1),
	    .messages = sqlite3_column_int64(st, 2),
	    .passed = sqlite3_column_int64(st, 3),
	};

	(void)q;
	return d->fn(d->ctx, &row, err);
}

enum tap_rc tap_query_days(struct tap_query *q, const struct tap_query_window *w,
			   tap_query_day_fn *fn, void *ctx, struct tap_err *err)
{
	/* Integer division rounds toward zero: days before 1970 need one less. */
#define SELECT_DAYS                                                                                \
	"SELECT begin / 86400 - (begin < 0 AND begin % 86400 != 0) AS day, count(*),"              \
	" tap_sum(messages), tap_sum(passed) FROM report"
#define PER_DAY " GROUP BY day ORDER BY day"
	struct day_ctx d = {fn, ctx};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc =
	    tap_query_windowed(q, SELECT_DAYS IN_WINDOW OF_ANY_DOMAIN PER_DAY,
			       SELECT_DAYS IN_WINDOW OF_DOMAIN PER_DAY, w, 0, &st, err);

	return rc == TAP_OK ? tap_query_each(q, st, one_day, &d, err) : rc;
}

/* --- sources ---------------------------------------------------------------------------------------------------- */

struct source_ctx {
	tap_query_source_fn *fn;
	void *ctx;
};

static enum tap_rc one_source(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	const struct source_ctx *s = ctx;
	struct tap_query_source row = {
	    .source_ip = tap_query_text(st, 0),
	    .messages = sqlite3_column_int64(st, 1),
	    .dkim = sqlite3_column_int64(st, 2),
	    .spf = sqlite3_column_int64(st, 3),
	    .dmarc = sqlite3_column_int64(st, 4),
	    .none = sqlite3_column_int64(st, 5),
	    .quarantine = sqlite3_column_int64(st, 6),
	    .reject = sqlite3_column_int64(st, 7),
	    .other = sqlite3_column_int64(st, 8),
	};

	(void)q;
	return s->fn(s->ctx, &row, err);
}

enum tap_rc tap_query_sources(struct tap_query *q, const struct tap_query_window *w, int64_t limit,
			      tap_query_source_fn *fn, void *ctx, struct tap_err *err)
{
	/* CROSS JOIN fixes the order of the loops: the window by its index first, then the rows of each report. RFC 9990's
	 * "pass" means the same as "none". */
#define SELECT_SOURCES                                                                             \
	"SELECT source_ip, tap_sum(count) AS n,"                                                   \
	" tap_sum(CASE WHEN dkim_aligned THEN count ELSE 0 END),"                                  \
	" tap_sum(CASE WHEN spf_aligned THEN count ELSE 0 END),"                                   \
	" tap_sum(CASE WHEN dkim_aligned OR spf_aligned THEN count ELSE 0 END),"                   \
	" tap_sum(CASE WHEN disposition IN ('none', 'pass') THEN count ELSE 0 END),"               \
	" tap_sum(CASE WHEN disposition = 'quarantine' THEN count ELSE 0 END),"                    \
	" tap_sum(CASE WHEN disposition = 'reject' THEN count ELSE 0 END),"                        \
	" tap_sum(CASE WHEN coalesce(disposition, '') IN"                                          \
	" ('none', 'pass', 'quarantine', 'reject') THEN 0 ELSE count END)"                         \
	" FROM report CROSS JOIN record ON record.seq = report.seq"
#define PER_SOURCE " GROUP BY source_ip ORDER BY n DESC, source_ip LIMIT ?4"
	struct source_ctx s = {fn, ctx};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc =
	    tap_query_windowed(q, SELECT_SOURCES IN_WINDOW OF_ANY_DOMAIN PER_SOURCE,
			       SELECT_SOURCES IN_WINDOW OF_DOMAIN PER_SOURCE, w, limit, &st, err);

	return rc == TAP_OK ? tap_query_each(q, st, one_source, &s, err) : rc;
}

/* --- domains ---------------------------------------------------------------------------------------------------- */

struct domain_ctx {
	tap_query_domain_fn *fn;
	void *ctx;
};

static enum tap_rc one_domain(struct tap_query *q, sqlite3_stmt *st, void *ctx, struct tap_err *err)
{
	const struct domain_ctx *d = ctx;
	struct tap_query_domain row = {
	    .domain = tap_query_text(st, 0),
	    .reports = sqlite3_column_int64(st, 1),
	    .messages = sqlite3_column_int64(st, 2),
	    .passed = sqlite3_column_int64(st, 3),
	};

	(void)q;
	return d->fn(d->ctx, &row, err);
}

enum tap_rc tap_query_domains(struct tap_query *q, const struct tap_query_window *w, int64_t limit,
			      tap_query_domain_fn *fn, void *ctx, struct tap_err *err)
{
#define SELECT_DOMAINS                                                                             \
	"SELECT domain, count(*), tap_sum(messages) AS n, tap_sum(passed) FROM report"
#define PER_DOMAIN " GROUP BY domain ORDER BY n DESC, domain LIMIT ?4"
	struct domain_ctx d = {fn, ctx};
	sqlite3_stmt *st = NULL;
	enum tap_rc rc =
	    tap_query_windowed(q, SELECT_DOMAINS IN_WINDOW OF_ANY_DOMAIN PER_DOMAIN,
			       SELECT_DOMAINS IN_WINDOW OF_DOMAIN PER_DOMAIN, w, limit, &st, err);

	return rc == TAP_OK ? tap_query_each(q, st, one_domain, &d, err) : rc;
}
