/* SPDX-License-Identifier: Apache-2.0
 * store/db.c - opening, stepping, and SQLite's result codes as ours. Threads: as db.h says. */
#include "store/db.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BUSY_MS = 5000, PROGRESS_STEPS = 10000 };
static pthread_once_t configured = PTHREAD_ONCE_INIT;

/* What each of SQLite's codes asks of the caller; what is not listed is worth another try. */
static const struct {
	int code;
	enum tap_rc rc;
	const char *hint;
} classes[] = {
    {SQLITE_FULL, TAP_E_TEMP, "the disk is full"},
    {SQLITE_IOERR, TAP_E_TEMP, "input/output error"},
    {SQLITE_BUSY, TAP_E_TEMP, "another process holds it"},
    {SQLITE_LOCKED, TAP_E_TEMP, "another connection holds it"},
    {SQLITE_NOMEM, TAP_E_TEMP, "out of memory"},
    {SQLITE_INTERRUPT, TAP_E_CANCELLED, "the query took too long"},
    {SQLITE_READONLY, TAP_E_CONFIG, "it is read-only for this user"},
    {SQLITE_PERM, TAP_E_CONFIG, "no permission"},
    {SQLITE_AUTH, TAP_E_CONFIG, "no permission"},
    {SQLITE_CANTOPEN, TAP_E_CONFIG,
     "it cannot be opened; its directory must exist and be accessible"},
    {SQLITE_NOTADB, TAP_E_CONFIG, "it is not an SQLite database"},
    {SQLITE_CORRUPT, TAP_E_CONFIG,
     "it is damaged: stop dmarctapd, keep a copy, and repair it with sqlite3's .recover"},
    {SQLITE_TOOBIG, TAP_E_LIMIT, "a value is too large"},
    {SQLITE_CONSTRAINT, TAP_E_DATA, "it would contradict what is stored"},
};

enum tap_rc tap_db_rc(struct tap_db *db, int code, const char *what, struct tap_err *err)
{
	const char *text = db->h != NULL ? sqlite3_errmsg(db->h) : sqlite3_errstr(code);
	int sys = db->h != NULL ? sqlite3_system_errno(db->h) : 0;
	int primary = code & 0xff;

	if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE)
		return TAP_OK;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (classes[i].code != primary)
			continue;
		if (sys != 0 && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN))
			return tap_err_sys(err, classes[i].rc, sys, "store %s: %s: %s", db->path,
					   what, classes[i].hint);
		return tap_err_set(err, classes[i].rc, "store %s: %s: %s (%s)", db->path, what,
				   classes[i].hint, text);
	}
	return tap_err_set(err, TAP_E_TEMP, "store %s: %s: %s", db->path, what, text);
}

static int out_of_time(void *ctx)
{
	const struct tap_db *db = ctx;

	return db->deadline_ms != 0 && tap_clock_mono_ms() > db->deadline_ms;
}

/* Made by us and not by SQLite: the mode of -wal and -shm follows the one of the database. */
static enum tap_rc make_file(const char *path, struct tap_err *err)
{
	int fd = -1;
	enum tap_rc rc =
	    tap_io_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0640, &fd, NULL, err);

	tap_io_close(&fd);
	return rc == TAP_OK ? rc : tap_err_prefix(err, "store.path: ");
}

/* SQLite's own count of its memory costs a lock for each allocation, and nobody asks for it. */
static void configure_library(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum tap_rc tap_db_open(struct tap_db *db, const char *path, bool writer, struct tap_err *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
	struct stat st;
	int code;

	(void)pthread_once(&configured, configure_library);
	memset(db, 0, sizeof(*db));
	if (strlen(path) >= sizeof(db->path) - 8)
		return tap_err_set(err, TAP_E_CONFIG, "store.path is too long");
	memcpy(db->path, path, strlen(path) + 1);
	if (writer && make_file(path, err) != TAP_OK)
		return err != NULL ? err->rc : TAP_E_TEMP;
	if (!writer && stat(path, &st) != 0)
		return tap_err_sys(err, tap_io_class(errno), errno, "store %s", path);
	code = sqlite3_open_v2(path, &db->h, flags, NULL);
	if (code != SQLITE_OK) {
		enum tap_rc rc = tap_db_rc(db, code, "open", err);

		tap_db_close(db);
		return rc;
	}
	sqlite3_extended_result_codes(db->h, 1);
	sqlite3_busy_timeout(db->h, BUSY_MS);
	if (!writer)
		sqlite3_progress_handler(db->h, PROGRESS_STEPS, out_of_time, db);
	return TAP_OK;
}

void tap_db_close(struct tap_db *db)
{
	if (db->h != NULL)
		sqlite3_close_v2(db->h);
	db->h = NULL;
}

enum tap_rc tap_db_exec(struct tap_db *db, const char *sql, struct tap_err *err)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%.40s", sql);
	return tap_db_rc(db, sqlite3_exec(db->h, sql, NULL, NULL, NULL), what, err);
}

void tap_db_rollback(struct tap_db *db)
{
	if (db->h != NULL && sqlite3_get_autocommit(db->h) == 0)
		(void)sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}

enum tap_rc tap_db_prepare(struct tap_db *db, const char *sql, struct sqlite3_stmt **st_r,
			   struct tap_err *err)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "%.40s", sql);
	return tap_db_rc(db,
			 sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, st_r, NULL),
			 what, err);
}

enum tap_rc tap_db_run(struct tap_db *db, struct sqlite3_stmt *st, const char *what,
		       struct tap_err *err)
{
	int code = sqlite3_step(st);
	enum tap_rc rc =
	    code == SQLITE_DONE || code == SQLITE_ROW ? TAP_OK : tap_db_rc(db, code, what, err);

	(void)sqlite3_reset(st);
	return rc;
}

enum tap_rc tap_db_step(struct tap_db *db, struct sqlite3_stmt *st, const char *what, bool *row_r,
			struct tap_err *err)
{
	int code = sqlite3_step(st);
	enum tap_rc rc = TAP_OK;

	*row_r = code == SQLITE_ROW;
	if (*row_r)
		return TAP_OK;
	if (code != SQLITE_DONE)
		rc = tap_db_rc(db, code, what, err);
	(void)sqlite3_reset(st);
	return rc;
}

enum tap_rc tap_db_int(struct tap_db *db, const char *sql, int64_t *v_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(db, sql, &st, err);

	*v_r = 0;
	if (rc == TAP_OK)
		rc = tap_db_step(db, st, sql, &row, err);
	if (row)
		*v_r = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return rc;
}
