/* SPDX-License-Identifier: Apache-2.0
 * Floor of the worker: a bare SQLite loop that inserts the rows of a finished store into a new one, with the same schema, the same
 * pragmas and the same number of commits. usage: floor_sqlite FINISHED.db NEW.db REPORTS_PER_COMMIT
 * Prints the seconds of the inserting alone: rows are read into memory before. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TABLES = 7, COLUMNS = 96 };
static const char *const table[TABLES] = {"message", "payload",	    "report", "note",
					  "record",  "auth_result", "reason"};
/* The column that says which report (or message) a row belongs to, for the order of insertion. */
static const char *const owner[TABLES] = {"id", "message_id", "seq", "seq", "seq", "seq", "seq"};

struct row {
	long owner;
	int columns;
	sqlite3_value *value[COLUMNS];
};
struct rows {
	struct row *row;
	size_t n, cap, next;
	sqlite3_stmt *insert;
};

static void die(sqlite3 *db, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, db ? sqlite3_errmsg(db) : "");
	exit(1);
}

static void exec(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(db, sql);
}

static void load(sqlite3 *db, int t, struct rows *r)
{
	char sql[200];
	sqlite3_stmt *s;
	snprintf(sql, sizeof sql, "SELECT %s AS owner_, * FROM %s ORDER BY 1", owner[t], table[t]);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		die(db, sql);
	while (sqlite3_step(s) == SQLITE_ROW) {
		if (r->n == r->cap) {
			r->cap = r->cap ? r->cap * 2 : 1024;
			r->row = realloc(r->row, r->cap * sizeof *r->row);
			if (!r->row)
				die(NULL, "memory");
		}
		struct row *w = &r->row[r->n++];
		w->owner = (long)sqlite3_column_int64(s, 0);
		w->columns = sqlite3_column_count(s) - 1;
		if (w->columns > COLUMNS)
			die(NULL, "more columns than there is room for");
		for (int i = 0; i < w->columns; i++)
			w->value[i] = sqlite3_value_dup(sqlite3_column_value(s, i + 1));
	}
	sqlite3_finalize(s);
}

static void copy_schema(sqlite3 *from, sqlite3 *to)
{
	sqlite3_stmt *s;
	if (sqlite3_prepare_v2(
		from,
		"SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'",
		-1, &s, NULL) != SQLITE_OK)
		die(from, "schema");
	while (sqlite3_step(s) == SQLITE_ROW)
		exec(to, (const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
}

static void prepare(sqlite3 *db, int t, struct rows *r)
{
	char sql[400];
	int n = snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?", table[t]);
	for (int i = 1; r->n && i < r->row[0].columns; i++)
		n += snprintf(sql + n, sizeof sql - (size_t)n, ",?");
	snprintf(sql + n, sizeof sql - (size_t)n, ")");
	if (r->n && sqlite3_prepare_v2(db, sql, -1, &r->insert, NULL) != SQLITE_OK)
		die(db, sql);
}

static void insert_up_to(sqlite3 *db, struct rows *r, long last)
{
	while (r->next < r->n && r->row[r->next].owner <= last) {
		const struct row *w = &r->row[r->next++];
		for (int i = 0; i < w->columns; i++)
			sqlite3_bind_value(r->insert, i + 1, w->value[i]);
		if (sqlite3_step(r->insert) != SQLITE_DONE)
			die(db, "insert");
		sqlite3_reset(r->insert);
	}
}

int main(int argc, char **argv)
{
	static struct rows rows[TABLES];
	sqlite3 *from, *to;
	if (argc != 4) {
		fprintf(stderr, "usage: floor_sqlite FINISHED.db NEW.db REPORTS_PER_COMMIT\n");
		return 2;
	}
	long step = strtol(argv[3], NULL, 10);
	if (sqlite3_open(argv[1], &from) != SQLITE_OK || sqlite3_open(argv[2], &to) != SQLITE_OK ||
	    step < 1)
		die(NULL, "open");
	exec(to, "PRAGMA journal_mode=WAL");
	exec(to, "PRAGMA synchronous=FULL");
	copy_schema(from, to);
	for (int t = 0; t < TABLES; t++) {
		load(from, t, &rows[t]);
		prepare(to, t, &rows[t]);
	}
	long last = rows[2].n ? rows[2].row[rows[2].n - 1].owner : 0;
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long at = 0; at < last; at += step) {
		exec(to, "BEGIN");
		for (int t = 0; t < TABLES; t++)
			insert_up_to(to, &rows[t], at + step);
		exec(to, "COMMIT");
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.4f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	return 0;
}
