/* SPDX-License-Identifier: Apache-2.0
 * store/quota.c - how much each reporter's domain has brought on each day. Threads: the writer's. */
#include "store/store_priv.h"

#include <sqlite3.h>
#include <string.h>

enum { DOMAIN_MAX = 255, KEEP_DAYS = 31 };

/* The key of a domain: ASCII letters in lower case, cut. */
static void key_of(const char *domain, char key[DOMAIN_MAX + 1])
{
	size_t n = 0;

	for (; domain != NULL && n < DOMAIN_MAX && domain[n] != '\0'; n++)
		key[n] =
		    domain[n] >= 'A' && domain[n] <= 'Z' ? (char)(domain[n] | 0x20) : domain[n];
	key[n] = '\0';
}

/* have + more, saturating at 2^63-1; *over_r is set when that is above a maximum. */
static int64_t add(int64_t have, uint64_t more, uint64_t most, bool *over_r)
{
	uint64_t sum = (uint64_t)have + (more > INT64_MAX ? INT64_MAX : more);

	if (sum > INT64_MAX)
		sum = INT64_MAX;
	if (more > 0 && most > 0 && sum > most)
		*over_r = true;
	return (int64_t)sum;
}

enum tap_rc tap_store_quota_add(struct tap_store *s, int64_t day, const char *domain,
				uint64_t records, uint64_t bytes, uint64_t max_records,
				uint64_t max_bytes, bool *over_r, struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_QUOTA];
	char key[DOMAIN_MAX + 1];
	int64_t have_records = 0, have_bytes = 0;
	bool row = false;
	enum tap_rc rc;

	*over_r = false;
	key_of(domain, key);
	(void)sqlite3_bind_int64(st, 1, day);
	(void)sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	rc = tap_db_step(&s->db, st, "look for a quota", &row, err);
	if (row) {
		have_records = sqlite3_column_int64(st, 0);
		have_bytes = sqlite3_column_int64(st, 1);
		(void)sqlite3_reset(st);
	}
	if (rc != TAP_OK) {
		s->failed = true;
		return rc;
	}
	have_records = add(have_records, records, max_records, over_r);
	have_bytes = add(have_bytes, bytes, max_bytes, over_r);
	if (*over_r)
		return TAP_OK;
	st = s->st[ST_QUOTA_ADD];
	(void)sqlite3_bind_int64(st, 1, day);
	(void)sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 3, have_records);
	(void)sqlite3_bind_int64(st, 4, have_bytes);
	rc = tap_store_run(s, ST_QUOTA_ADD, err);
	if (rc != TAP_OK || row)
		return rc;
	(void)sqlite3_bind_int64(s->st[ST_QUOTA_OLD], 1, day - KEEP_DAYS);
	return tap_store_run(s, ST_QUOTA_OLD, err);
}
