/* SPDX-License-Identifier: Apache-2.0
 * store/sinks.c - cursors of the sinks and what they parked [I4]. Threads: settle the writer's, the rest each reader's. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static enum tap_rc park(struct tap_store *s, const char *sink, const struct tap_store_park *p,
			struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_PARK];

	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, p->seq);
	(void)sqlite3_bind_int64(st, 3, (int64_t)p->ordinal);
	(void)sqlite3_bind_text(st, 4, p->reason != NULL ? p->reason : "", -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 5, p->since > 0 ? p->since : s->now);
	(void)sqlite3_bind_int64(st, 6, !p->waits);
	(void)sqlite3_bind_int64(st, 7, p->tries > 0 ? p->tries : 1);
	(void)sqlite3_bind_int64(st, 8, p->next_try);
	return tap_store_run(s, ST_PARK, err);
}

enum tap_rc tap_store_settle(struct tap_store *s, const struct tap_store_settle *set,
			     struct tap_err *err)
{
	int e = tap_fault("store.settle");
	struct sqlite3_stmt *st = s->st[ST_SINK];
	enum tap_rc rc;

	if (e != 0) {
		s->failed = true;
		return tap_err_sys(err, TAP_E_TEMP, e, "store %s: sink %s", s->db.path, set->sink);
	}
	(void)sqlite3_bind_text(st, 1, set->sink, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, set->seq);
	(void)sqlite3_bind_int64(st, 3, (int64_t)set->ordinal);
	(void)sqlite3_bind_int64(st, 4, set->epoch);
	rc = tap_store_run(s, ST_SINK, err);
	if (rc == TAP_OK && set->state != NULL) {
		st = s->st[ST_SINK_STATE];
		(void)sqlite3_bind_text(st, 1, set->sink, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(st, 2, set->state, -1, SQLITE_STATIC);
		rc = tap_store_run(s, ST_SINK_STATE, err);
	}
	for (size_t i = 0; rc == TAP_OK && i < set->n_park; i++)
		rc = park(s, set->sink, &set->park[i], err);
	st = s->st[ST_UNPARK];
	for (size_t i = 0; rc == TAP_OK && i < set->n_done; i++) {
		(void)sqlite3_bind_text(st, 1, set->sink, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(st, 2, set->done[i].seq);
		(void)sqlite3_bind_int64(st, 3, (int64_t)set->done[i].ordinal);
		rc = tap_store_run(s, ST_UNPARK, err);
	}
	for (enum tap_store_st k = ST_PASSED_DONE; rc == TAP_OK && k <= ST_PASSED_SENT; k++) {
		(void)sqlite3_bind_text(s->st[k], 1, set->sink, -1, SQLITE_STATIC);
		rc = tap_store_run(s, k, err);
	}
	return rc;
}

static enum tap_rc lag(struct tap_store_reader *r, const char *sink, int64_t seq, uint64_t ordinal,
		       unsigned kinds, uint64_t *lag_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    "SELECT coalesce(sum(max(records + details, 1) - CASE WHEN seq = ?1 "
	    "THEN min(?2, records + details) ELSE 0 END), 0) "
	    "FROM report WHERE seq >= ?1 AND kind & ?3 AND NOT EXISTS (SELECT 1 FROM "
	    "sink_done AS d WHERE d.sink = ?4 AND d.seq <= report.seq AND "
	    "d.to_seq > report.seq)",
	    &st, err);

	*lag_r = 0;
	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_int64(st, 1, seq);
	(void)sqlite3_bind_int64(st, 2, (int64_t)ordinal);
	(void)sqlite3_bind_int64(st, 3, kinds);
	(void)sqlite3_bind_text(st, 4, sink, -1, SQLITE_STATIC);
	rc = tap_db_step(&r->db, st, "lag of a sink", &row, err);
	if (row)
		*lag_r = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return rc;
}

enum tap_rc tap_store_sink_lag(struct tap_store_reader *r, int64_t seq, uint64_t ordinal,
			       unsigned kinds, uint64_t *lag_r, struct tap_err *err)
{
	return lag(r, "", seq, ordinal, kinds, lag_r, err);
}

enum tap_rc tap_store_sink_get(struct tap_store_reader *r, const char *sink, unsigned kinds,
			       struct tap_store_sink *out, char *state_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    "SELECT seq, ordinal, state, (SELECT count(*) FROM sink_exception WHERE sink = ?1) "
	    "FROM sink WHERE name = ?1",
	    &st, err);

	memset(out, 0, sizeof(*out));
	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	rc = tap_db_step(&r->db, st, "cursor of a sink", &row, err);
	if (row) {
		const void *state = sqlite3_column_text(st, 2);

		out->seq = sqlite3_column_int64(st, 0);
		out->ordinal = (uint64_t)sqlite3_column_int64(st, 1);
		out->exceptions = (uint64_t)sqlite3_column_int64(st, 3);
		if (state_r != NULL)
			(void)snprintf(state_r, TAP_STORE_STATE_MAX, "%s",
				       state != NULL ? (const char *)state : "");
	} else if (rc == TAP_OK) {
		rc = tap_err_set(err, TAP_E_NOTFOUND, "sink %s: no cursor yet", sink);
	}
	(void)sqlite3_finalize(st);
	if (row)
		rc = lag(r, sink, out->seq, out->ordinal, kinds, &out->lag, err);
	return rc;
}

enum tap_rc tap_store_sink_exceptions(struct tap_store_reader *r, const char *sink, uint64_t *n_r,
				      struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc =
	    tap_db_prepare(&r->db, "SELECT count(*) FROM sink_exception WHERE sink = ?1", &st, err);

	*n_r = 0;
	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	rc = tap_db_step(&r->db, st, "parked items of a sink", &row, err);
	if (row)
		*n_r = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return rc;
}
