/* SPDX-License-Identifier: Apache-2.0
 * store/db.h - the thin layer over SQLite that only the files of store/ see: open, prepare, step, and one translation of SQLite's
 * result codes into ours.
 * Ownership: struct tap_db owns the connection; statements are finalized by their holder before tap_db_close.
 * Threads: one thread at a time for each struct tap_db. */
#ifndef TAP_STORE_DB_H
#define TAP_STORE_DB_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

struct tap_db {
	struct sqlite3 *h;
	int64_t deadline_ms; /* monotonic; queries are interrupted behind it; 0 = none */
	char path[4096];
};
enum { TAP_ROWS_ST = 14 };
struct tap_store_reader { /* opaque outside store/ */
	struct tap_db db;
	struct sqlite3_stmt *rows_st[TAP_ROWS_ST]; /* enum tap_rows_st; made on first use */
};

enum tap_rc tap_db_open(struct tap_db *db, const char *path, bool writer,
			struct tap_err *err) TAP_MUST_CHECK;
void tap_db_close(struct tap_db *db);
/* The class and text for SQLite's code: "store PATH: WHAT: …". SQLITE_OK, ROW and DONE give TAP_OK. */
enum tap_rc tap_db_rc(struct tap_db *db, int code, const char *what, struct tap_err *err);
enum tap_rc tap_db_exec(struct tap_db *db, const char *sql, struct tap_err *err) TAP_MUST_CHECK;
void tap_db_rollback(
    struct tap_db *db); /* when a transaction is open; what fails in it is gone anyway */
enum tap_rc tap_db_prepare(struct tap_db *db, const char *sql, struct sqlite3_stmt **st_r,
			   struct tap_err *err) TAP_MUST_CHECK;
/* Runs a statement that gives no rows, and resets it. */
enum tap_rc tap_db_run(struct tap_db *db, struct sqlite3_stmt *st, const char *what,
		       struct tap_err *err) TAP_MUST_CHECK;
/* One step: *row_r = a row is there. On an error, or when no row is left, the statement is reset. */
enum tap_rc tap_db_step(struct tap_db *db, struct sqlite3_stmt *st, const char *what, bool *row_r,
			struct tap_err *err) TAP_MUST_CHECK;
/* First column of the first row of a query without parameters. */
enum tap_rc tap_db_int(struct tap_db *db, const char *sql, int64_t *v_r,
		       struct tap_err *err) TAP_MUST_CHECK;

/* store/schema/NNNN.sql in order, NULL-terminated; made at build time. */
extern const char *const tap_store_migrations[];

#endif
