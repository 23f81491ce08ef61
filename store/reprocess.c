/* SPDX-License-Identifier: Apache-2.0
 * store/reprocess.c - reports that are derived again take the place of the stored ones where something differs [I3]. The new rows are
 * written beside the old ones, in a savepoint, and both are read side by side: memory does not grow with the report.
 * Limits: those of the parser. Threads: the writer's. */
#include "store/store_priv.h"

#include "base/fault.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static enum tap_rc faulty(struct tap_store *s, struct tap_err *err)
{
	int e = tap_fault("store.reprocess");

	if (e == 0)
		return TAP_OK;
	s->failed = true;
	return tap_err_sys(err, TAP_E_TEMP, e, "store %s", s->db.path);
}

static enum tap_rc prepare(struct tap_store *s, const char *sql, int64_t a, int64_t b,
			   struct sqlite3_stmt **st_r, struct tap_err *err)
{
	enum tap_rc rc = tap_db_prepare(&s->db, sql, st_r, err);

	if (rc != TAP_OK) {
		s->failed = true;
		return rc;
	}
	if (sqlite3_bind_parameter_count(*st_r) > 0)
		(void)sqlite3_bind_int64(*st_r, 1, a);
	if (sqlite3_bind_parameter_count(*st_r) > 1)
		(void)sqlite3_bind_int64(*st_r, 2, b);
	return TAP_OK;
}

static enum tap_rc step(struct tap_store *s, struct sqlite3_stmt *st, bool *row_r,
			struct tap_err *err)
{
	enum tap_rc rc = tap_db_step(&s->db, st, "reprocess", row_r, err);

	if (rc != TAP_OK)
		s->failed = true;
	return rc;
}

static enum tap_rc run(struct tap_store *s, const char *sql, int64_t a, int64_t b,
		       struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row;
	enum tap_rc rc = prepare(s, sql, a, b, &st, err);

	if (rc == TAP_OK)
		rc = step(s, st, &row, err);
	(void)sqlite3_finalize(st);
	return rc;
}

/* ---- requests ---- */

enum tap_rc tap_store_reprocess_start(struct tap_store *s, const struct tap_store_reprocess *set,
				      struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = faulty(s, err);

	if (rc == TAP_OK)
		rc = prepare(s, "SELECT 1 FROM reprocess WHERE ended IS NULL", 0, 0, &st, err);
	if (rc == TAP_OK)
		rc = step(s, st, &row, err);
	(void)sqlite3_finalize(st);
	st = NULL;
	if (rc == TAP_OK && row)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "one is under way (dmarctapctl reprocess --status): ask again when "
		    "it has ended");
	if (rc == TAP_OK)
		rc = prepare(s,
			     "INSERT INTO reprocess (since, until, next, last, owed, started) "
			     "VALUES (?1,?2,?3,?4,?5,?6)",
			     set->since, set->until, &st, err);
	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 3, set->next);
		(void)sqlite3_bind_int64(st, 4, set->last);
		(void)sqlite3_bind_int64(st, 5, (int64_t)set->owed);
		(void)sqlite3_bind_int64(st, 6, s->now);
		rc = step(s, st, &row, err);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

enum tap_rc tap_store_reprocess_step(struct tap_store *s, int64_t id, int64_t message,
				     const struct tap_store_reprocessed *add, const char *reason,
				     struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row;
	enum tap_rc rc = faulty(s, err);

	if (rc == TAP_OK)
		rc =
		    prepare(s,
			    "UPDATE reprocess SET next = ?2 + 1, done = done + 1, changed = "
			    "changed + ?3, added = added + ?4, failed = failed + (?5 IS NOT NULL), "
			    "reason = coalesce(?5, reason) WHERE id = ?1 AND next <= ?2",
			    id, message, &st, err);
	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 3, (int64_t)add->changed);
		(void)sqlite3_bind_int64(st, 4, (int64_t)add->added);
		if (reason != NULL)
			(void)sqlite3_bind_text(st, 5, reason, -1, SQLITE_STATIC);
		rc = step(s, st, &row, err);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

enum tap_rc tap_store_reprocess_finish(struct tap_store *s, int64_t id, struct tap_err *err)
{
	enum tap_rc rc = faulty(s, err);

	return rc == TAP_OK
		   ? run(s, "UPDATE reprocess SET ended = ?2 WHERE id = ?1", id, s->now, err)
		   : rc;
}

/* ---- one message ---- */

/* Reports of the message that came again, and uids that come. */
static const char *const notes[] = {
    "CREATE TEMP TABLE IF NOT EXISTS again (seq INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE IF NOT EXISTS comes (uid TEXT PRIMARY KEY) WITHOUT ROWID",
    "DELETE FROM temp.again",
    "DELETE FROM temp.comes",
};

enum tap_rc tap_store_reprocess_message(struct tap_store *s, int64_t message, bool *there_r,
					struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	enum tap_rc rc = faulty(s, err);

	*there_r = false;
	for (size_t i = 0; rc == TAP_OK && i < sizeof(notes) / sizeof(notes[0]); i++)
		rc = run(s, notes[i], 0, 0, err);
	if (rc == TAP_OK)
		rc = prepare(s, "SELECT 1 FROM message WHERE id = ?1", message, 0, &st, err);
	if (rc == TAP_OK)
		rc = step(s, st, there_r, err);
	(void)sqlite3_finalize(st);
	tap_store_add_reset(s);
	memset(&s->again, 0, sizeof(s->again));
	s->message_id = message;
	return rc;
}

void tap_store_reprocess_part(struct tap_store *s, uint32_t part)
{
	s->again.part = part;
}

static enum tap_rc note_uid(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct tap_store *s = ctx;
	struct sqlite3_stmt *st = NULL;
	bool row;
	enum tap_rc rc =
	    prepare(s, "INSERT OR IGNORE INTO temp.comes (uid) VALUES (?1)", 0, 0, &st, err);

	if (rc == TAP_OK) {
		(void)sqlite3_bind_text(st, 1, m->uid, -1, SQLITE_STATIC);
		rc = step(s, st, &row, err);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

static enum tap_rc note_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	(void)ctx;
	(void)e;
	(void)err;
	return TAP_OK;
}

const struct tap_events tap_store_reprocess_uids = {.begin = note_uid, .end = note_end};

enum tap_rc tap_store_reprocess_message_end(struct tap_store *s, struct tap_store_reprocessed *out,
					    struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = prepare(s,
				 "SELECT uid FROM report WHERE message_id = ?1 AND NOT EXISTS "
				 "(SELECT 1 FROM temp.again AS a WHERE a.seq = report.seq)",
				 s->message_id, 0, &st, err);

	memset(out, 0, sizeof(*out));
	out->changed = s->again.changed;
	out->added = s->again.added;
	while (rc == TAP_OK && (rc = step(s, st, &row, err)) == TAP_OK && row)
		if (out->missing++ == 0)
			(void)snprintf(out->missed, sizeof(out->missed), "%.40s",
				       (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	tap_store_add_reset(s);
	return rc;
}

/* ---- one report ---- */

struct old {
	bool found;
	char uid[TAP_UID_HEX], filename[1024];
	bool named;
	uint32_t part, document;
};

static void copy(char *to, size_t n, const void *from)
{
	(void)snprintf(to, n, "%s", from != NULL ? (const char *)from : "");
}

/* By its uid; else by its place, when what stands there comes under no uid of its own any more. A failure report has its whole mail for a
 * payload: its place in there says nothing, and it must be the only one. */
static enum tap_rc find(struct tap_store *s, const struct tap_meta *m, struct old *o,
			struct tap_err *err)
{
	struct tap_store_adding *a = &s->add;
	struct sqlite3_stmt *st = NULL;
	enum tap_rc rc = prepare(
	    s,
	    "SELECT seq, revision, duplicates, content_hash, uid, part, document, filename FROM "
	    "report WHERE message_id = ?1 AND (uid = ?4 OR (part = ?2 AND kind = ?5 AND (document "
	    "= "
	    "?3 OR (kind IN (2, 8) AND 1 = (SELECT count(*) FROM report AS o WHERE o.message_id = "
	    "?1 AND o.kind IN (2, 8)))) AND NOT EXISTS (SELECT 1 FROM temp.comes AS c WHERE c.uid "
	    "= report.uid))) AND NOT EXISTS (SELECT 1 FROM temp.again AS a WHERE a.seq = "
	    "report.seq) ORDER BY uid = ?4 DESC, document = ?3 DESC LIMIT 1",
	    s->message_id, s->again.part, &st, err);

	memset(o, 0, sizeof(*o));
	if (rc != TAP_OK)
		return rc;
	(void)sqlite3_bind_int64(st, 3, m->origin.document);
	(void)sqlite3_bind_text(st, 4, m->uid, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 5, m->kind);
	rc = step(s, st, &o->found, err);
	if (o->found) {
		a->existing = true;
		a->old_seq = sqlite3_column_int64(st, 0);
		a->old_revision = sqlite3_column_int64(st, 1);
		a->old_duplicates = sqlite3_column_int64(st, 2);
		if (sqlite3_column_bytes(st, 3) == TAP_HASH_BYTES)
			memcpy(a->old_hash, sqlite3_column_blob(st, 3), TAP_HASH_BYTES);
		copy(o->uid, sizeof(o->uid), sqlite3_column_text(st, 4));
		o->part = (uint32_t)sqlite3_column_int64(st, 5);
		o->document = (uint32_t)sqlite3_column_int64(st, 6);
		o->named = sqlite3_column_type(st, 7) != SQLITE_NULL;
		copy(o->filename, sizeof(o->filename), sqlite3_column_text(st, 7));
	}
	(void)sqlite3_finalize(st);
	return rc;
}

static enum tap_rc on_begin(void *ctx, const struct tap_meta *m, struct tap_err *err)
{
	struct tap_store *s = ctx;
	struct tap_meta meta = *m;
	struct old o;
	enum tap_rc rc;

	if (s->add.open)
		return tap_err_set(err, TAP_E_DATA, "a report begins inside another one");
	memset(&s->add, 0, sizeof(s->add));
	rc = faulty(s, err);
	if (rc == TAP_OK)
		rc = find(s, m, &o, err);
	if (rc != TAP_OK)
		return rc;
	meta.origin.part = s->again.part;
	s->again.elsewhere = !o.found;
	if (o.found) { /* the uid once given stays, and so does the place */
		meta.origin.part = o.part;
		meta.origin.document = o.document;
		meta.origin.filename = o.named ? o.filename : NULL;
		memcpy(meta.uid, o.uid, sizeof(meta.uid));
	} else {
		rc = tap_store_find_report(s, m, err);
	}
	return rc == TAP_OK ? tap_store_open_report(s, &meta, err) : rc;
}

/* What is no property of the content: seq, uid, revision, duplicates, and where and when it came. */
#define REPORT_COLUMNS                                                                             \
	"kind, schema, version, xml_namespace, org_name, email, contact, contact_lang, "           \
	"report_id, "                                                                              \
	"generator, begin, end, domain, version_published, discovery_method, p, sp, np, adkim, "   \
	"aspf, pct, fo, testing, extension, content_hash, content_bytes, records, dropped, "       \
	"messages, passed, truncated, recovered, warnings, auth, dmarc, reporter, names, "         \
	"is_foreign, trusted, from_domain, begin_raw, end_raw, details"

/* Each begins with the seq, which is not compared. */
static const char *const tables[] = {
    "SELECT seq, " REPORT_COLUMNS " FROM report WHERE seq = ?1",
    "SELECT * FROM note WHERE seq = ?1 ORDER BY kind, n",
    "SELECT * FROM record WHERE seq = ?1 ORDER BY ordinal",
    "SELECT * FROM auth_result WHERE seq = ?1 ORDER BY ordinal, method, n",
    "SELECT * FROM reason WHERE seq = ?1 ORDER BY ordinal, n",
    "SELECT * FROM failure WHERE seq = ?1",
    "SELECT * FROM failure_sample WHERE seq = ?1",
    "SELECT * FROM failure_list WHERE seq = ?1 ORDER BY kind, n",
    "SELECT * FROM failure_address WHERE seq = ?1 ORDER BY field, n",
    "SELECT * FROM failure_hop WHERE seq = ?1 ORDER BY n",
    "SELECT * FROM failure_attachment WHERE seq = ?1 ORDER BY n",
    "SELECT * FROM tls_policy WHERE seq = ?1 ORDER BY ordinal",
    "SELECT * FROM tls_text WHERE seq = ?1 ORDER BY ordinal, kind, n",
    "SELECT * FROM tls_detail WHERE seq = ?1 ORDER BY ordinal",
};

static bool same_value(struct sqlite3_stmt *a, struct sqlite3_stmt *b, int i)
{
	int type = sqlite3_column_type(a, i), n;
	const void *x, *y;

	if (type != sqlite3_column_type(b, i))
		return false;
	if (type == SQLITE_NULL)
		return true;
	if (type == SQLITE_INTEGER)
		return sqlite3_column_int64(a, i) == sqlite3_column_int64(b, i);
	x = sqlite3_column_blob(a, i);
	y = sqlite3_column_blob(b, i);
	n = sqlite3_column_bytes(a, i);
	return n == sqlite3_column_bytes(b, i) && (n == 0 || memcmp(x, y, (size_t)n) == 0);
}

static bool same_row(struct sqlite3_stmt *a, struct sqlite3_stmt *b)
{
	int n = sqlite3_column_count(a);

	for (int i = 1; i < n; i++)
		if (!same_value(a, b, i))
			return false;
	return true;
}

static enum tap_rc same_in(struct tap_store *s, const char *sql, bool *same_r, struct tap_err *err)
{
	struct sqlite3_stmt *a = NULL, *b = NULL;
	bool in_a = true, in_b = true;
	enum tap_rc rc = prepare(s, sql, s->add.old_seq, 0, &a, err);

	if (rc == TAP_OK)
		rc = prepare(s, sql, s->add.seq, 0, &b, err);
	while (rc == TAP_OK && *same_r && in_a) {
		rc = step(s, a, &in_a, err);
		if (rc == TAP_OK)
			rc = step(s, b, &in_b, err);
		if (rc == TAP_OK)
			*same_r = in_a == in_b && (!in_a || same_row(a, b));
	}
	(void)sqlite3_finalize(a);
	(void)sqlite3_finalize(b);
	return rc;
}

static enum tap_rc same(struct tap_store *s, bool *same_r, struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	*same_r = true;
	for (size_t i = 0; rc == TAP_OK && *same_r && i < sizeof(tables) / sizeof(tables[0]); i++)
		rc = same_in(s, tables[i], same_r, err);
	return rc;
}

static enum tap_rc seen(struct tap_store *s, int64_t seq, struct tap_err *err)
{
	return run(s, "INSERT OR IGNORE INTO temp.again (seq) VALUES (?1)", seq, 0, err);
}

static enum tap_rc release(struct tap_store *s, enum tap_rc rc, struct tap_err *err)
{
	s->add.open = false;
	return rc == TAP_OK ? tap_store_run(s, ST_RELEASE_REPORT, err) : rc;
}

/* It was not stored from this message. What is known by its uid, or was, is left as it is: this mail has been counted. */
static enum tap_rc end_new(struct tap_store *s, const struct tap_report_end *e, struct tap_err *err)
{
	enum tap_rc rc;

	if (s->add.existing || s->add.expired)
		return tap_store_undo_report(s, err);
	rc = tap_store_finish_report(s, e, err);
	if (rc == TAP_OK)
		rc = release(s, seen(s, s->add.seq, err), err);
	s->again.added += rc == TAP_OK;
	return rc;
}

/* What is said of how the mail around was built is not in what is kept: it is said again. */
static const char *const around[] = {
    "INSERT INTO note (seq, kind, n, place, text, lang) SELECT ?1, kind, (SELECT coalesce(max(n), "
    "-1) + 1 FROM note WHERE seq = ?1 AND kind = 1), place, text, lang FROM note AS o WHERE seq = "
    "?2 "
    "AND kind = 1 AND text LIKE 'bounced:%' AND NOT EXISTS (SELECT 1 FROM note WHERE seq = ?1 AND "
    "kind = 1 AND text = o.text) LIMIT 1",
    "UPDATE report SET warnings = max(warnings, (SELECT count(*) FROM note WHERE seq = ?1 AND "
    "kind = 1)) WHERE seq = ?1 AND ?2",
};

static enum tap_rc end_known(struct tap_store *s, const struct tap_report_end *e,
			     struct tap_err *err)
{
	struct tap_store_adding *a = &s->add;
	bool equal = false;
	enum tap_rc rc = tap_store_finish_report(s, e, err);

	for (size_t i = 0; rc == TAP_OK && i < sizeof(around) / sizeof(around[0]); i++)
		rc = run(s, around[i], a->seq, a->old_seq, err);
	if (rc == TAP_OK)
		rc = same(s, &equal, err);
	if (rc == TAP_OK && equal) {
		rc = tap_store_undo_report(s, err);
		return rc == TAP_OK ? seen(s, a->old_seq, err) : rc;
	}
	/* When it was first stored counts for how long it is kept. */
	if (rc == TAP_OK)
		rc = run(s,
			 "UPDATE report SET stored = (SELECT stored FROM report WHERE seq = ?2) "
			 "WHERE seq = ?1",
			 a->seq, a->old_seq, err);
	if (rc == TAP_OK)
		rc = tap_store_take_over(s, err);
	if (rc == TAP_OK)
		rc = release(s, seen(s, a->seq, err), err);
	s->again.changed += rc == TAP_OK;
	return rc;
}

static enum tap_rc on_end(void *ctx, const struct tap_report_end *e, struct tap_err *err)
{
	struct tap_store *s = ctx;

	if (!s->add.open)
		return tap_err_set(err, TAP_E_DATA, "the end of a report that did not begin");
	if (!s->add.body && (s->add.kind & (TAP_KIND_FAILURE | TAP_KIND_FEEDBACK)) != 0)
		return tap_err_set(err, TAP_E_DATA, "a failure report without its body");
	return s->again.elsewhere ? end_new(s, e, err) : end_known(s, e, err);
}

static enum tap_rc on_record(void *ctx, const struct tap_record *r, struct tap_err *err)
{
	return tap_store_events.record(ctx, r, err);
}

static enum tap_rc on_failure(void *ctx, const struct tap_failure *f, struct tap_err *err)
{
	return tap_store_events.failure(ctx, f, err);
}

static enum tap_rc on_policy(void *ctx, const struct tap_tls_policy *p, struct tap_err *err)
{
	return tap_store_events.tls_policy(ctx, p, err);
}

static enum tap_rc on_detail(void *ctx, const struct tap_tls_detail *d, struct tap_err *err)
{
	return tap_store_events.tls_detail(ctx, d, err);
}

static void on_abort(void *ctx, const struct tap_err *why)
{
	tap_store_events.abort(ctx, why);
}

const struct tap_events tap_store_reprocess_events = {
    .begin = on_begin,
    .record = on_record,
    .end = on_end,
    .abort = on_abort,
    .failure = on_failure,
    .tls_policy = on_policy,
    .tls_detail = on_detail,
};
