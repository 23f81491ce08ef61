/* SPDX-License-Identifier: Apache-2.0
 * enrich/cache_db.h - the file of the cache, for cache.c alone. None of its errors stops anybody: what cannot be read is not known,
 * what cannot be written is found out again; a damaged file is put aside. Threads: one at a time. */
#ifndef TAP_ENRICH_CACHE_DB_H
#define TAP_ENRICH_CACHE_DB_H

#include "enrich/cache.h"

struct sqlite3;
struct sqlite3_stmt;
struct tap_cache_db {
	struct sqlite3 *h;
	struct sqlite3_stmt *get, *put;
	char *path;	    /* NULL = in memory */
	int64_t max, count; /* count: at least as many as there are */
};
enum tap_rc tap_cache_db_open(struct tap_cache_db *db, const char *path, int64_t max,
			      struct tap_err *err) TAP_MUST_CHECK;
void tap_cache_db_close(struct tap_cache_db *db);
/* Around many of tap_cache_db_get: one lock of the file for all. */
void tap_cache_db_begin(struct tap_cache_db *db);
void tap_cache_db_end(struct tap_cache_db *db);
/* full_r is set when the arena is. */
bool tap_cache_db_get(struct tap_cache_db *db, const struct tap_ipaddr *a, int64_t now,
		      struct tap_arena *arena, struct tap_cache_entry *e, bool *full_r);
void tap_cache_db_put(struct tap_cache_db *db, const struct tap_ipaddr *a,
		      const struct tap_cache_entry *e, size_t n);

#endif
