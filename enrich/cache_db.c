/* SPDX-License-Identifier: Apache-2.0
 * enrich/cache_db.c - the cache as an SQLite file with a rollback journal, which readers of another user need nothing but the file for.
 * It is never synced: after a crash of the machine it may be damaged, and is begun anew then. */
#include "enrich/cache_db.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 5000, VERSION = 1, NAME_MOST = 1024, PATH_ROOM = 16, TRIM_PART = 50 };

static const char schema[] =
    "PRAGMA cache_size = -16384; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF;"
    "PRAGMA temp_store = MEMORY;"
    "CREATE TABLE IF NOT EXISTS known (addr BLOB PRIMARY KEY, name TEXT, confirmed INTEGER NOT "
    "NULL,"
    " stored INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS known_expires ON known (expires);";
static const char sql_get[] =
    "SELECT name, confirmed, stored, expires FROM known WHERE addr = ?1 AND expires > ?2";
static const char sql_put[] = "INSERT OR REPLACE INTO known VALUES (?1, ?2, ?3, ?4, ?5)";

static int64_t number(sqlite3 *h, const char *sql, int *code_r)
{
	sqlite3_stmt *st = NULL;
	int64_t v = -1;
	int code = sqlite3_prepare_v2(h, sql, -1, &st, NULL);

	if (code == SQLITE_OK) {
		code = sqlite3_step(st);
		if (code == SQLITE_ROW) {
			v = sqlite3_column_int64(st, 0);
			code = SQLITE_OK;
		}
	}
	(void)sqlite3_finalize(st);
	*code_r = code;
	return v;
}

static void shut(struct tap_cache_db *db)
{
	(void)sqlite3_finalize(db->get);
	(void)sqlite3_finalize(db->put);
	(void)sqlite3_close_v2(db->h);
	db->get = db->put = NULL;
	db->h = NULL;
}

/* What SQLite says about making the file ready; SQLITE_OK. A file of another version counts as damaged. */
static int ready(struct tap_cache_db *db)
{
	char set_version[64];
	int code, flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int64_t version;

	code = sqlite3_open_v2(db->path != NULL ? db->path : ":memory:", &db->h, flags, NULL);
	if (code != SQLITE_OK)
		return code;
	(void)sqlite3_busy_timeout(db->h, BUSY_MS);
	version = number(db->h, "PRAGMA user_version", &code);
	if (code != SQLITE_OK)
		return code;
	if (version != 0 && version != VERSION)
		return SQLITE_NOTADB;
	(void)snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", VERSION);
	code = sqlite3_exec(db->h, schema, NULL, NULL, NULL);
	if (code == SQLITE_OK && version == 0)
		code = sqlite3_exec(db->h, set_version, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(db->h, sql_get, -1, SQLITE_PREPARE_PERSISTENT, &db->get,
					  NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(db->h, sql_put, -1, SQLITE_PREPARE_PERSISTENT, &db->put,
					  NULL);
	if (code == SQLITE_OK)
		db->count = number(db->h, "SELECT count(*) FROM known", &code);
	return code;
}

static bool damaged(int code)
{
	int primary = code & 0xff;

	return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_ERROR ||
	       primary == SQLITE_FORMAT || primary == SQLITE_MISMATCH;
}

static void put_aside(const struct tap_cache_db *db)
{
	size_t n = strlen(db->path) + PATH_ROOM;
	char *other = malloc(n);
	struct tap_err err;

	if (other == NULL)
		return;
	(void)snprintf(other, n, "%s.damaged", db->path);
	tap_warn("cache",
		 "%s is damaged or of another version: put aside as %s, a new one is begun",
		 db->path, other);
	if (tap_io_rename(AT_FDCWD, db->path, AT_FDCWD, other, NULL, &err) != TAP_OK &&
	    tap_io_unlink(AT_FDCWD, db->path, NULL, &err) != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, "cache", &err);
	(void)snprintf(other, n, "%s-journal", db->path);
	if (tap_io_unlink(AT_FDCWD, other, NULL, &err) != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, "cache", &err);
	free(other);
}

/* The text is kept before the connection goes. */
static enum tap_rc give_up(struct tap_cache_db *db, int code, struct tap_err *err)
{
	enum tap_rc rc =
	    tap_err_set(err, (code & 0xff) == SQLITE_BUSY ? TAP_E_TEMP : TAP_E_CONFIG,
			"enrich.cache: %s: %s", db->path != NULL ? db->path : "in memory",
			db->h != NULL ? sqlite3_errmsg(db->h) : sqlite3_errstr(code));

	shut(db);
	return rc;
}

static enum tap_rc make_file(const char *path, struct tap_err *err)
{
	int fd = -1;
	enum tap_rc rc =
	    tap_io_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0640, &fd, NULL, err);

	tap_io_close(&fd);
	return rc == TAP_OK ? rc : tap_err_prefix(err, "enrich.cache: ");
}

static enum tap_rc begin_file(struct tap_cache_db *db, struct tap_err *err)
{
	enum tap_rc rc = db->path != NULL ? make_file(db->path, err) : TAP_OK;
	int code;

	if (rc != TAP_OK)
		return rc;
	code = ready(db);
	if (damaged(code) && db->path != NULL) {
		shut(db);
		put_aside(db);
		rc = make_file(db->path, err);
		if (rc != TAP_OK)
			return rc;
		code = ready(db);
	}
	return code == SQLITE_OK ? TAP_OK : give_up(db, code, err);
}

enum tap_rc tap_cache_db_open(struct tap_cache_db *db, const char *path, int64_t max,
			      struct tap_err *err)
{
	enum tap_rc rc;

	memset(db, 0, sizeof *db);
	db->max = max > 0 ? max : 1;
	if (path != NULL && path[0] != '\0') {
		db->path = strdup(path);
		if (db->path == NULL)
			return tap_err_set(err, TAP_E_TEMP, "cache: out of memory");
	}
	rc = begin_file(db, err);
	if (rc != TAP_OK)
		tap_cache_db_close(db);
	return rc;
}

void tap_cache_db_close(struct tap_cache_db *db)
{
	shut(db);
	free(db->path);
	db->path = NULL;
}

/* After an error while it is in use: said, and a damaged file begun anew; if even that fails, in memory. */
static void trouble(struct tap_cache_db *db, int code)
{
	struct tap_err err;

	tap_warn("cache", "%s: %s", db->path != NULL ? db->path : "in memory",
		 sqlite3_errstr(code));
	if (sqlite3_get_autocommit(db->h) == 0)
		(void)sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
	if (!damaged(code) || db->path == NULL)
		return;
	shut(db);
	put_aside(db);
	if (begin_file(db, &err) == TAP_OK)
		return;
	tap_log_err(TAP_LOG_WARNING, "cache", &err);
	free(db->path);
	db->path = NULL;
	if (begin_file(db, &err) != TAP_OK)
		tap_log_err(TAP_LOG_WARNING, "cache", &err);
}

void tap_cache_db_begin(struct tap_cache_db *db)
{
	if (db->h != NULL)
		(void)sqlite3_exec(db->h, "BEGIN", NULL, NULL, NULL);
}

void tap_cache_db_end(struct tap_cache_db *db)
{
	if (db->h != NULL && sqlite3_get_autocommit(db->h) == 0)
		(void)sqlite3_exec(db->h, "COMMIT", NULL, NULL, NULL);
}

/* The row that st stands on; the name stays SQLite's. */
static void row_of(sqlite3_stmt *st, int first, struct tap_cache_entry *e)
{
	const char *name = (const char *)sqlite3_column_text(st, first);

	e->name = name != NULL && name[0] != '\0' && strlen(name) < NAME_MOST ? name : NULL;
	e->confirmed = sqlite3_column_int(st, first + 1) != 0 && e->name != NULL;
	e->stored = sqlite3_column_int64(st, first + 2);
	e->expires = sqlite3_column_int64(st, first + 3);
}

bool tap_cache_db_get(struct tap_cache_db *db, const struct tap_ipaddr *a, int64_t now,
		      struct tap_arena *arena, struct tap_cache_entry *e, bool *full_r)
{
	int code;

	if (db->get == NULL)
		return false;
	(void)sqlite3_bind_blob(db->get, 1, a->b, sizeof a->b, SQLITE_STATIC);
	(void)sqlite3_bind_int64(db->get, 2, now);
	code = sqlite3_step(db->get);
	if (code == SQLITE_ROW) {
		row_of(db->get, 0, e);
		if (e->name != NULL) {
			e->name = tap_arena_strdup(arena, e->name);
			*full_r = e->name == NULL;
		}
	}
	(void)sqlite3_reset(db->get);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		trouble(db, code);
	return code == SQLITE_ROW && !*full_r;
}

/* Down to the bound and a little below, so that it is not done at each batch. */
static int trim(struct tap_cache_db *db)
{
	static const char *const steps[] = {
	    "DELETE FROM known WHERE expires <= ?1",
	    "DELETE FROM known WHERE addr IN (SELECT addr FROM known ORDER BY expires LIMIT ?1)"};
	int code = SQLITE_OK;

	for (size_t i = 0; i < 2 && db->count > db->max && code == SQLITE_OK; i++) {
		sqlite3_stmt *st = NULL;

		db->count = number(db->h, "SELECT count(*) FROM known", &code);
		if (code != SQLITE_OK || db->count <= db->max)
			break;
		code = sqlite3_prepare_v2(db->h, steps[i], -1, &st, NULL);
		if (code == SQLITE_OK) {
			(void)sqlite3_bind_int64(
			    st, 1,
			    i == 0 ? tap_clock_now() : db->count - db->max + db->max / TRIM_PART);
			code = sqlite3_step(st);
			code = code == SQLITE_DONE ? SQLITE_OK : code;
			db->count -= sqlite3_changes(db->h);
		}
		(void)sqlite3_finalize(st);
	}
	return code;
}

static int put_one(struct tap_cache_db *db, const struct tap_ipaddr *a,
		   const struct tap_cache_entry *e)
{
	int code;

	(void)sqlite3_bind_blob(db->put, 1, a->b, sizeof a->b, SQLITE_STATIC);
	if (e->name != NULL)
		(void)sqlite3_bind_text(db->put, 2, e->name, -1, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(db->put, 2);
	(void)sqlite3_bind_int(db->put, 3, e->confirmed);
	(void)sqlite3_bind_int64(db->put, 4, e->stored);
	(void)sqlite3_bind_int64(db->put, 5, e->expires);
	code = sqlite3_step(db->put);
	(void)sqlite3_reset(db->put);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

void tap_cache_db_put(struct tap_cache_db *db, const struct tap_ipaddr *a,
		      const struct tap_cache_entry *e, size_t n)
{
	int code;

	if (db->put == NULL)
		return;
	code = sqlite3_exec(db->h, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
		code = put_one(db, &a[i], &e[i]);
		db->count++;
	}
	if (code == SQLITE_OK)
		code = trim(db);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->h, "COMMIT", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		trouble(db, code);
}

/* --- for others --- */

static enum tap_rc open_beside(const char *path, int flags, const char *sql, const char *only,
			       sqlite3 **h_r, sqlite3_stmt **st_r, struct tap_err *err)
{
	struct tap_ipaddr a;
	enum tap_rc rc;
	int code, fd = -1;

	*h_r = NULL;
	*st_r = NULL;
	if (only != NULL && !tap_ipaddr_parse(only, &a))
		return tap_err_set(err, TAP_E_DATA, "\"%s\" is no address", only);
	rc = tap_io_open(AT_FDCWD, path, O_RDONLY, 0, &fd, NULL, err);
	tap_io_close(&fd);
	if (rc != TAP_OK)
		return rc;
	code = sqlite3_open_v2(path, h_r, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK) {
		(void)sqlite3_busy_timeout(*h_r, BUSY_MS);
		code = sqlite3_prepare_v2(*h_r, sql, -1, st_r, NULL);
	}
	if (code != SQLITE_OK)
		return tap_err_set(err, TAP_E_DATA, "cache %s: %s", path, sqlite3_errmsg(*h_r));
	if (only != NULL)
		(void)sqlite3_bind_blob(*st_r, 1, a.b, sizeof a.b, SQLITE_TRANSIENT);
	return TAP_OK;
}

static enum tap_rc close_beside(const char *path, sqlite3 *h, sqlite3_stmt *st, int code,
				struct tap_err *err)
{
	enum tap_rc rc = TAP_OK;

	if (code != SQLITE_DONE && code != SQLITE_ROW)
		rc = tap_err_set(err, (code & 0xff) == SQLITE_BUSY ? TAP_E_TEMP : TAP_E_DATA,
				 "cache %s: %s", path, sqlite3_errmsg(h));
	(void)sqlite3_finalize(st);
	(void)sqlite3_close_v2(h);
	return rc;
}

enum tap_rc tap_cache_look(const char *path, const char *only,
			   bool (*row)(void *ctx, const struct tap_cache_row *r), void *ctx,
			   struct tap_err *err)
{
	sqlite3 *h;
	sqlite3_stmt *st;
	enum tap_rc rc =
	    open_beside(path, SQLITE_OPEN_READONLY,
			"SELECT addr, name, confirmed, stored, expires FROM known WHERE "
			"(?1 IS NULL OR addr = ?1) AND expires > ?2 ORDER BY addr",
			only, &h, &st, err);
	int code;

	if (rc != TAP_OK) {
		(void)sqlite3_close_v2(h);
		return rc;
	}
	(void)sqlite3_bind_int64(st, 2, tap_clock_now());
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		struct tap_cache_row r;
		struct tap_ipaddr a;

		if (sqlite3_column_bytes(st, 0) != (int)sizeof a.b)
			continue;
		memcpy(a.b, sqlite3_column_blob(st, 0), sizeof a.b);
		tap_ipaddr_text(&a, r.address);
		row_of(st, 1, &r.entry);
		if (!row(ctx, &r))
			break;
	}
	return close_beside(path, h, st, code, err);
}

enum tap_rc tap_cache_flush(const char *path, const char *only, int64_t *gone_r,
			    struct tap_err *err)
{
	sqlite3 *h;
	sqlite3_stmt *st;
	enum tap_rc rc =
	    open_beside(path, SQLITE_OPEN_READWRITE,
			"DELETE FROM known WHERE ?1 IS NULL OR addr = ?1", only, &h, &st, err);
	int code;

	*gone_r = 0;
	if (rc != TAP_OK) {
		(void)sqlite3_close_v2(h);
		return rc;
	}
	code = sqlite3_step(st);
	if (code == SQLITE_DONE)
		*gone_r = sqlite3_changes64(h);
	return close_beside(path, h, st, code, err);
}
