/* SPDX-License-Identifier: Apache-2.0
 * store/reader.c - read-only handles and totals. Threads: one at a time for each reader. */
#include "store/store_priv.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum tap_rc tap_store_open_reader(const char *path, struct tap_store_reader **r_r,
				  struct tap_err *err)
{
	struct tap_store_reader *r = calloc(1, sizeof(*r));
	int64_t version = 0;
	enum tap_rc rc;

	*r_r = NULL;
	if (r == NULL)
		return tap_err_set(err, TAP_E_TEMP, "store: out of memory");
	rc = tap_db_open(&r->db, path, false, err);
	if (rc == TAP_OK)
		rc = tap_db_exec(&r->db, "PRAGMA query_only = ON", err);
	if (rc == TAP_OK)
		rc = tap_db_exec(&r->db, "PRAGMA trusted_schema = OFF", err);
	if (rc == TAP_OK)
		rc = tap_schema_check(&r->db, &version, err);
	if (rc == TAP_OK && version < TAP_STORE_SCHEMA)
		rc = tap_err_set(
		    err, TAP_E_CONFIG,
		    "store %s: of an older version; start dmarctapd once to bring it up to date",
		    path);
	if (rc != TAP_OK)
		tap_store_close_reader(&r);
	*r_r = r;
	return rc;
}

void tap_store_close_reader(struct tap_store_reader **rp)
{
	struct tap_store_reader *r = *rp;

	if (r == NULL)
		return;
	for (size_t i = 0; i < TAP_ROWS_ST; i++)
		(void)sqlite3_finalize(r->rows_st[i]);
	tap_db_close(&r->db);
	free(r);
	*rp = NULL;
}

void tap_store_reader_deadline(struct tap_store_reader *r, int64_t deadline_ms)
{
	r->db.deadline_ms = deadline_ms;
}

static uint64_t file_size(const char *path, const char *suffix)
{
	char name[4096 + 8];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

enum tap_rc tap_store_totals(struct tap_store_reader *r, struct tap_store_totals *out,
			     struct tap_err *err)
{
	static const char query[] = "SELECT count(*), coalesce(sum(records), 0), "
				    "coalesce(sum(duplicates), 0), coalesce(max(seq), 0), "
				    "coalesce((SELECT stored FROM report ORDER BY seq DESC LIMIT "
				    "1), 0), (SELECT count(*) FROM message) FROM report";
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(&r->db, query, &st, err);

	memset(out, 0, sizeof(*out));
	if (rc == TAP_OK)
		rc = tap_db_step(&r->db, st, "count", &row, err);
	if (row) {
		out->reports = (uint64_t)sqlite3_column_int64(st, 0);
		out->records = (uint64_t)sqlite3_column_int64(st, 1);
		out->duplicates = (uint64_t)sqlite3_column_int64(st, 2);
		out->last_seq = sqlite3_column_int64(st, 3);
		out->last_stored = sqlite3_column_int64(st, 4);
		out->messages = (uint64_t)sqlite3_column_int64(st, 5);
	}
	(void)sqlite3_finalize(st);
	out->db_bytes = file_size(r->db.path, "");
	out->wal_bytes = file_size(r->db.path, "-wal");
	return rc;
}
