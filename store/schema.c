/* SPDX-License-Identifier: Apache-2.0
 * store/schema.c - numbered migrations: PRAGMA user_version says how many were applied, each runs in one transaction.
 * A file that is not ours, or newer than us, is left alone. Threads: the writer's. */
#include "store/store_priv.h"

#include <stdio.h>

static enum tap_rc apply(struct tap_db *db, int64_t n, struct tap_err *err)
{
	char sql[96];
	enum tap_rc rc = tap_db_exec(db, "BEGIN IMMEDIATE", err);

	if (rc != TAP_OK)
		return rc;
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT",
		       TAP_STORE_APPLICATION, (long long)n);
	rc = tap_db_exec(db, tap_store_migrations[n - 1], err);
	if (rc == TAP_OK)
		rc = tap_db_exec(db, sql, err);
	if (rc != TAP_OK) {
		tap_db_rollback(db);
		return tap_err_prefix(err, "migration %lld: ", (long long)n);
	}
	return TAP_OK;
}

enum tap_rc tap_schema_check(struct tap_db *db, int64_t *version_r, struct tap_err *err)
{
	int64_t tables = 0, app = 0;
	enum tap_rc rc = tap_db_int(db, "PRAGMA user_version", version_r, err);

	if (rc == TAP_OK)
		rc = tap_db_int(db, "PRAGMA application_id", &app, err);
	if (rc == TAP_OK)
		rc = tap_db_int(db, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (rc != TAP_OK)
		return rc;
	if (tables > 0 && app != TAP_STORE_APPLICATION)
		return tap_err_set(err, TAP_E_CONFIG,
				   "store %s: this is another program's database", db->path);
	if (*version_r > TAP_STORE_SCHEMA)
		return tap_err_set(
		    err, TAP_E_CONFIG,
		    "store %s: written by a newer dmarctap (schema %lld, this program knows %d)",
		    db->path, (long long)*version_r, TAP_STORE_SCHEMA);
	return TAP_OK;
}

enum tap_rc tap_schema_migrate(struct tap_db *db, struct tap_err *err)
{
	int64_t version = 0;
	enum tap_rc rc = tap_schema_check(db, &version, err);

	while (rc == TAP_OK && version < TAP_STORE_SCHEMA && tap_store_migrations[version] != NULL)
		rc = apply(db, ++version, err);
	return rc;
}
