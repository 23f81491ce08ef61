/* SPDX-License-Identifier: Apache-2.0
 * store/expire.c - old reports go, a few in each transaction [I3]. Threads: the writer's. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 64, OWED_MOST = 64, DAY = 86400, FIRST_SINK = 4 };

struct old {
	int64_t seq, message;
};

/* The condition that keeps what a sink is still owed: numbers, and parameters from FIRST_SINK on for the names. */
static enum tap_rc owed_text(struct tap_store *s, const struct tap_store_owed *owed, size_t n,
			     struct tap_buf *sql, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < n && i < OWED_MOST; i++) {
		struct sqlite3_stmt *st = NULL;
		bool row = false;
		long long from = 0;

		rc = tap_db_prepare(&s->db, "SELECT seq FROM sink WHERE name = ?1", &st, err);
		if (rc == TAP_OK) {
			(void)sqlite3_bind_text(st, 1, owed[i].sink, -1, SQLITE_STATIC);
			rc = tap_db_step(&s->db, st, "cursor of a sink", &row, err);
			from = row ? sqlite3_column_int64(st, 0) : 0;
		}
		(void)sqlite3_finalize(st);
		tap_buf_printf(sql, " AND NOT (kind & %u AND seq >= %lld)", owed[i].kinds, from);
	}
	if (n > 0)
		tap_buf_adds(sql, " AND NOT EXISTS (SELECT 1 FROM sink_exception AS e "
				  "WHERE e.seq = report.seq AND e.sink IN (");
	for (size_t i = 0; i < n && i < OWED_MOST; i++)
		tap_buf_printf(sql, "%s?%d", i > 0 ? "," : "", FIRST_SINK + (int)i);
	if (n > 0)
		tap_buf_adds(sql, "))");
	return rc;
}

static enum tap_rc choose(struct tap_store *s, int64_t before, int64_t from, const char *text,
			  const struct tap_store_owed *owed, size_t n_owed, struct old list[MOST],
			  size_t most, size_t *n_r, struct tap_err *err)
{
	struct tap_buf sql;
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc;

	*n_r = 0;
	tap_buf_init(&sql, 16384);
	tap_buf_printf(&sql,
		       "SELECT seq, message_id FROM report WHERE seq >= ?1 AND stored < ?2%s "
		       "ORDER BY seq LIMIT ?3",
		       text);
	rc = sql.failed ? tap_err_set(err, TAP_E_TEMP, "out of memory")
			: tap_db_prepare(&s->db, tap_buf_cstr(&sql), &st, err);
	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 1, from);
		(void)sqlite3_bind_int64(st, 2, before);
		(void)sqlite3_bind_int64(st, 3, (int64_t)most);
		for (size_t i = 0; i < n_owed && i < OWED_MOST; i++)
			(void)sqlite3_bind_text(st, FIRST_SINK + (int)i, owed[i].sink, -1,
						SQLITE_STATIC);
		while ((rc = tap_db_step(&s->db, st, "old reports", &row, err)) == TAP_OK && row)
			list[(*n_r)++] =
			    (struct old){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
	}
	(void)sqlite3_finalize(st);
	tap_buf_free(&sql);
	return rc;
}

static enum tap_rc run(struct tap_store *s, const char *sql, int64_t a, int64_t b,
		       struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	enum tap_rc rc = tap_db_prepare(&s->db, sql, &st, err);

	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 1, a);
		if (sqlite3_bind_parameter_count(st) > 1)
			(void)sqlite3_bind_int64(st, 2, b);
		rc = tap_db_run(&s->db, st, "expire", err);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

static enum tap_rc remove_one(struct tap_store *s, const struct old *o, struct tap_err *err)
{
	enum tap_rc rc;

	(void)sqlite3_bind_int64(s->st[ST_TOMBSTONE], 1, o->seq);
	(void)sqlite3_bind_int64(s->st[ST_TOMBSTONE], 2, s->now);
	rc = tap_store_run(s, ST_TOMBSTONE, err);
	if (rc == TAP_OK)
		rc = tap_store_delete_report(s, o->seq, err);
	if (rc == TAP_OK)
		rc = run(s,
			 "DELETE FROM payload WHERE message_id = ?1 AND NOT EXISTS "
			 "(SELECT 1 FROM report WHERE message_id = ?1)",
			 o->message, 0, err);
	if (rc == TAP_OK)
		rc = run(s,
			 "DELETE FROM message WHERE id = ?1 AND NOT EXISTS "
			 "(SELECT 1 FROM report WHERE message_id = ?1)",
			 o->message, 0, err);
	return rc;
}

/* Mail of which nothing was stored, and tombstones nobody needs any more. */
static enum tap_rc leftovers(struct tap_store *s, int64_t before, size_t most, uint64_t *n_r,
			     struct tap_err *err)
{
	enum tap_rc rc = run(s,
			     "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE "
			     "arrival < ?1 AND NOT EXISTS (SELECT 1 FROM report WHERE message_id = "
			     "message.id) AND NOT EXISTS (SELECT 1 FROM payload WHERE message_id = "
			     "message.id) LIMIT ?2)",
			     before, (int64_t)most * 4, err);

	if (rc == TAP_OK)
		*n_r = (uint64_t)sqlite3_changes64(s->db.h);
	if (rc == TAP_OK)
		rc = run(s, "DELETE FROM expired WHERE at < ?1",
			 s->now - (int64_t)TAP_STORE_TOMBSTONE_DAYS * DAY, 0, err);
	return rc;
}

enum tap_rc tap_store_expire(struct tap_store *s, int64_t before, const struct tap_store_owed *owed,
			     size_t n_owed, size_t most, int64_t *seq, uint64_t *n_r,
			     struct tap_err *err)
{
	int e = tap_fault("store.expire");
	struct old list[MOST];
	struct tap_buf text;
	size_t n = 0;
	enum tap_rc rc;

	*n_r = 0;
	if (e != 0) {
		s->failed = true;
		return tap_err_sys(err, TAP_E_TEMP, e, "store %s", s->db.path);
	}
	tap_buf_init(&text, 8192);
	rc = owed_text(s, owed, n_owed, &text, err);
	if (rc == TAP_OK && text.failed) /* half a condition would remove what is owed */
		rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
	if (rc == TAP_OK)
		rc = choose(s, before, *seq, text.len > 0 ? tap_buf_cstr(&text) : "", owed, n_owed,
			    list, most < MOST ? most : MOST, &n, err);
	tap_buf_free(&text);
	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		rc = remove_one(s, &list[i], err);
		*seq = list[i].seq + 1;
	}
	*n_r = n;
	if (rc == TAP_OK && n == 0)
		rc = leftovers(s, before, MOST, n_r, err);
	if (rc != TAP_OK)
		s->failed = true;
	return rc;
}
