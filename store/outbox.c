/* SPDX-License-Identifier: Apache-2.0
 * store/outbox.c - what an operator sees of a sink and does to it: exceptions, and the cursor. Threads: as sinks.c. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { STRETCHES = 256 };

/* Each of these verbs is rare: its statements are made for it. Runs sql with up to three parameters; n_r = rows changed. */
static enum tap_rc change(struct tap_store *s, const char *sql, const char *sink, int64_t a,
			  int64_t b, uint64_t *n_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	enum tap_rc rc = tap_db_prepare(&s->db, sql, &st, err);

	if (rc == TAP_OK) {
		int n = sqlite3_bind_parameter_count(st);

		(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
		if (n > 1)
			(void)sqlite3_bind_int64(st, 2, a);
		if (n > 2)
			(void)sqlite3_bind_int64(st, 3, b);
		rc = tap_db_run(&s->db, st, "outbox", err);
		if (n_r != NULL)
			*n_r = (uint64_t)sqlite3_changes64(s->db.h);
	}
	(void)sqlite3_finalize(st);
	if (rc != TAP_OK)
		s->failed = true;
	return rc;
}

static enum tap_rc faulty(struct tap_store *s, struct tap_err *err)
{
	int e = tap_fault("store.outbox");

	if (e == 0)
		return TAP_OK;
	s->failed = true;
	return tap_err_sys(err, TAP_E_TEMP, e, "store %s", s->db.path);
}

static enum tap_rc some(enum tap_rc rc, const char *sink, int64_t seq, uint64_t n,
			struct tap_err *err)
{
	if (rc == TAP_OK && n == 0 && seq != 0)
		return tap_err_set(err, TAP_E_NOTFOUND, "output %s has no such item", sink);
	return rc;
}

enum tap_rc tap_store_outbox_retry(struct tap_store *s, const char *sink, int64_t seq,
				   uint64_t ordinal, uint64_t *n_r, struct tap_err *err)
{
	enum tap_rc rc = faulty(s, err);

	*n_r = 0;
	if (rc == TAP_OK)
		rc =
		    change(s,
			   seq == 0 ? "UPDATE sink_exception SET parked = 0, next_try = 0, since = "
				      "CAST(strftime('%s', 'now') AS INTEGER) WHERE sink = ?1"
				    : "UPDATE sink_exception SET parked = 0, next_try = 0, since = "
				      "CAST(strftime('%s', 'now') AS INTEGER) "
				      "WHERE sink = ?1 AND seq = ?2 AND ordinal = ?3",
			   sink, seq, (int64_t)ordinal, n_r, err);
	return some(rc, sink, seq, *n_r, err);
}

enum tap_rc tap_store_outbox_drop(struct tap_store *s, const char *sink, int64_t seq,
				  uint64_t ordinal, uint64_t *n_r, struct tap_err *err)
{
	enum tap_rc rc = faulty(s, err);

	*n_r = 0;
	if (rc == TAP_OK)
		rc = change(s,
			    seq == 0 ? "DELETE FROM sink_exception WHERE sink = ?1"
				     : "DELETE FROM sink_exception "
				       "WHERE sink = ?1 AND seq = ?2 AND ordinal = ?3",
			    sink, seq, (int64_t)ordinal, n_r, err);
	return some(rc, sink, seq, *n_r, err);
}

struct stretch {
	int64_t from, to;
};
struct owing {
	struct tap_store_place at;
	struct stretch done[STRETCHES];
	size_t n;
};

static enum tap_rc load(struct tap_store *s, const char *sink, struct owing *o, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc =
	    tap_db_prepare(&s->db, "SELECT seq, ordinal FROM sink WHERE name = ?1", &st, err);

	o->n = 0;
	if (rc == TAP_OK) {
		(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
		rc = tap_db_step(&s->db, st, "cursor of a sink", &row, err);
		if (row)
			o->at = (struct tap_store_place){sqlite3_column_int64(st, 0),
							 (uint64_t)sqlite3_column_int64(st, 1)};
	}
	(void)sqlite3_finalize(st);
	st = NULL;
	if (rc == TAP_OK && !row)
		return tap_err_set(err, TAP_E_NOTFOUND, "output %s has not begun yet", sink);
	if (rc == TAP_OK)
		rc = tap_db_prepare(
		    &s->db, "SELECT seq, to_seq FROM sink_done WHERE sink = ?1 ORDER BY seq", &st,
		    err);
	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	/* What does not fit is owed again: that is harmless. */
	while ((rc = tap_db_step(&s->db, st, "stretches of a sink", &row, err)) == TAP_OK && row &&
	       o->n < STRETCHES / 2)
		o->done[o->n++] =
		    (struct stretch){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
	(void)sqlite3_finalize(st);
	return rc;
}

/* What is confirmed, without [from, to). */
static void take_out(struct owing *o, int64_t from, int64_t to)
{
	size_t n = o->n;

	o->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct stretch d = o->done[i];

		if (d.to > to && d.from < to && d.from < from) {
			/* Cut in two; the second half goes to the end of the list, behind all that is still to be looked at. */
			if (n < STRETCHES)
				o->done[n++] = (struct stretch){to, d.to};
			d.to = from;
		} else if (d.from >= from && d.from < to) {
			d.from = to;
		} else if (d.to > from && d.to <= to) {
			d.to = from;
		}
		if (d.from < d.to)
			o->done[o->n++] = d;
	}
}

static enum tap_rc store_owing(struct tap_store *s, const char *sink, const struct owing *o,
			       struct tap_err *err)
{
	enum tap_rc rc = change(s, "DELETE FROM sink_done WHERE sink = ?1", sink, 0, 0, NULL, err);

	for (size_t i = 0; rc == TAP_OK && i < o->n; i++)
		rc = change(
		    s, "INSERT OR REPLACE INTO sink_done (sink, seq, to_seq) VALUES (?1,?2,?3)",
		    sink, o->done[i].from, o->done[i].to, NULL, err);
	if (rc == TAP_OK)
		rc = change(s,
			    "UPDATE sink SET seq = ?2, ordinal = ?3, epoch = epoch + 1 "
			    "WHERE name = ?1",
			    sink, o->at.seq, (int64_t)o->at.ordinal, NULL, err);
	return rc;
}

enum tap_rc tap_store_outbox_owe(struct tap_store *s, const char *sink, int64_t from, int64_t to,
				 struct tap_err *err)
{
	struct owing o = {0};
	enum tap_rc rc = faulty(s, err);

	if (rc == TAP_OK)
		rc = load(s, sink, &o, err);
	if (rc != TAP_OK || from >= to)
		return rc;
	if (from < o.at.seq) {
		o.done[o.n++] = (struct stretch){from, o.at.seq};
		o.at = (struct tap_store_place){from, 0};
	} else if (from == o.at.seq) {
		o.at.ordinal = 0;
	}
	take_out(&o, from, to);
	rc = change(s, "DELETE FROM sink_sent WHERE sink = ?1 AND seq >= ?2 AND seq < ?3", sink,
		    from, to, NULL, err);
	return rc == TAP_OK ? store_owing(s, sink, &o, err) : rc;
}

enum tap_rc tap_store_outbox_owe_exceptions(struct tap_store *s, const char *sink, int64_t seq,
					    uint64_t *n_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	int64_t one = 0;
	bool row = false;
	uint64_t n = 0;
	enum tap_rc rc;

	*n_r = 0;
	/* Report by report, as each step takes its exceptions away. */
	for (;;) {
		rc = tap_db_prepare(&s->db,
				    "SELECT seq FROM sink_exception WHERE sink = ?1 AND "
				    "(?2 = 0 OR seq = ?2) LIMIT 1",
				    &st, err);
		if (rc == TAP_OK) {
			(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
			(void)sqlite3_bind_int64(st, 2, seq);
			rc = tap_db_step(&s->db, st, "exceptions of a sink", &row, err);
			one = row ? sqlite3_column_int64(st, 0) : 0;
		}
		(void)sqlite3_finalize(st);
		if (rc != TAP_OK || !row)
			return some(rc, sink, seq, *n_r, err);
		rc = tap_store_outbox_owe(s, sink, one, one + 1, err);
		if (rc == TAP_OK)
			rc = change(s, "DELETE FROM sink_exception WHERE sink = ?1 AND seq = ?2",
				    sink, one, 0, &n, err);
		if (rc != TAP_OK)
			return rc;
		*n_r += n;
	}
}

/* ---- readers ---- */

enum tap_rc tap_store_sink_place(struct tap_store_reader *r, const char *sink,
				 struct tap_store_place *at_r, int64_t *epoch_r, char *state_r,
				 struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db, "SELECT seq, ordinal, epoch, state FROM sink WHERE name = ?1", &st, err);

	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	rc = tap_db_step(&r->db, st, "place of a sink", &row, err);
	if (row) {
		const void *state = sqlite3_column_text(st, 3);

		*at_r = (struct tap_store_place){sqlite3_column_int64(st, 0),
						 (uint64_t)sqlite3_column_int64(st, 1)};
		*epoch_r = sqlite3_column_int64(st, 2);
		if (state_r != NULL)
			(void)snprintf(state_r, TAP_STORE_STATE_MAX, "%s",
				       state != NULL ? (const char *)state : "");
	} else if (rc == TAP_OK) {
		rc = tap_err_set(err, TAP_E_NOTFOUND, "sink %s: no cursor yet", sink);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

/* One row of up to two numbers; zeros when there is none. */
static enum tap_rc numbers(struct tap_store_reader *r, const char *sql, const char *sink, int64_t a,
			   int64_t *x_r, int64_t *y_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(&r->db, sql, &st, err);

	*x_r = *y_r = 0;
	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 1, a);
		if (sink != NULL)
			(void)sqlite3_bind_text(st, 2, sink, -1, SQLITE_STATIC);
		rc = tap_db_step(&r->db, st, "look into the outbox", &row, err);
		if (row) {
			*x_r = sqlite3_column_int64(st, 0);
			*y_r = sqlite3_column_int64(st, 1);
		}
	}
	(void)sqlite3_finalize(st);
	return rc;
}

enum tap_rc tap_store_sink_done(struct tap_store_reader *r, const char *sink, int64_t seq,
				int64_t *from_r, int64_t *to_r, struct tap_err *err)
{
	return numbers(r,
		       "SELECT seq, to_seq FROM sink_done WHERE to_seq > ?1 AND sink = ?2 "
		       "ORDER BY seq LIMIT 1",
		       sink, seq, from_r, to_r, err);
}

enum tap_rc tap_store_sink_sent(struct tap_store_reader *r, const char *sink, int64_t seq,
				bool *sent_r, struct tap_err *err)
{
	int64_t n, unused;
	enum tap_rc rc = numbers(r, "SELECT 1, 0 FROM sink_sent WHERE seq = ?1 AND sink = ?2", sink,
				 seq, &n, &unused, err);

	*sent_r = n != 0;
	return rc;
}

enum tap_rc tap_store_seq_at(struct tap_store_reader *r, int64_t when, int64_t *seq_r,
			     struct tap_err *err)
{
	int64_t unused;

	return numbers(r,
		       "SELECT coalesce((SELECT min(seq) FROM report WHERE stored >= ?1), "
		       "(SELECT max(seq) + 1 FROM report), 1), 0",
		       NULL, when, seq_r, &unused, err);
}

enum tap_rc tap_store_sink_list(struct tap_store_reader *r, const char *sink, int64_t now,
				size_t max,
				enum tap_rc (*each)(void *ctx, const struct tap_store_exception *x,
						    struct tap_err *err),
				void *ctx, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    now != INT64_MAX
		? "SELECT e.seq, ordinal, parked, tries, next_try, since, reason, uid "
		  "FROM sink_exception AS e LEFT JOIN report USING (seq) WHERE sink = ?1 AND "
		  "parked = 0 AND next_try <= ?2 ORDER BY next_try LIMIT ?3"
		: "SELECT e.seq, ordinal, parked, tries, next_try, since, reason, uid "
		  "FROM sink_exception AS e LEFT JOIN report USING (seq) WHERE sink = ?1 AND "
		  "next_try <= ?2 ORDER BY e.seq, ordinal LIMIT ?3",
	    &st, err);

	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_text(st, 1, sink, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, now);
	(void)sqlite3_bind_int64(st, 3, (int64_t)max);
	while ((rc = tap_db_step(&r->db, st, "exceptions of a sink", &row, err)) == TAP_OK && row) {
		const struct tap_store_exception x = {
		    .seq = sqlite3_column_int64(st, 0),
		    .ordinal = (uint64_t)sqlite3_column_int64(st, 1),
		    .waits = sqlite3_column_int(st, 2) == 0,
		    .tries = sqlite3_column_int64(st, 3),
		    .next_try = sqlite3_column_int64(st, 4),
		    .since = sqlite3_column_int64(st, 5),
		    .reason = (const char *)sqlite3_column_text(st, 6),
		    .uid = (const char *)sqlite3_column_text(st, 7)};

		rc = each(ctx, &x, err);
		if (rc != TAP_OK)
			break;
	}
	(void)sqlite3_finalize(st);
	return rc;
}
