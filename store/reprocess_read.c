/* SPDX-License-Identifier: Apache-2.0
 * store/reprocess_read.c - what is kept of a message, for who parses it again, and how far that has got. Threads: as any reader. */
#include "store/store_priv.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 << 10 };

static void copy(char *to, size_t n, const void *from)
{
	(void)snprintf(to, n, "%s", from != NULL ? (const char *)from : "");
}

enum tap_rc tap_store_reprocess_get(struct tap_store_reader *r, struct tap_store_reprocess *out,
				    struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    "SELECT id, since, until, next, last, owed, done, changed, added, failed, started, "
	    "coalesce(ended, 0), reason FROM reprocess ORDER BY id DESC LIMIT 1",
	    &st, err);

	memset(out, 0, sizeof(*out));
	if (rc == TAP_OK)
		rc = tap_db_step(&r->db, st, "reprocess", &row, err);
	if (row) {
		int64_t *const signeds[] = {&out->id, &out->since, &out->until, &out->next,
					    &out->last};
		uint64_t *const counts[] = {&out->owed, &out->done, &out->changed, &out->added,
					    &out->failed};

		for (int i = 0; i < 5; i++)
			*signeds[i] = sqlite3_column_int64(st, i);
		for (int i = 0; i < 5; i++)
			*counts[i] = (uint64_t)sqlite3_column_int64(st, i + 5);
		out->started = sqlite3_column_int64(st, 10);
		out->ended = sqlite3_column_int64(st, 11);
		copy(out->reason, sizeof(out->reason), sqlite3_column_text(st, 12));
	}
	(void)sqlite3_finalize(st);
	return rc == TAP_OK && !row ? TAP_E_NOTFOUND : rc;
}

/* Counting takes too long: all messages are looked at. */
static enum tap_rc unknown(struct tap_store_reader *r, struct tap_store_reprocess *set,
			   struct tap_err *err)
{
	r->db.deadline_ms = 0;
	if (err != NULL)
		*err = (struct tap_err){0};
	set->owed = 0;
	set->next = 1;
	return tap_db_int(&r->db, "SELECT coalesce(max(id), 0) FROM message", &set->last, err);
}

enum tap_rc tap_store_reprocess_plan(struct tap_store_reader *r, const char *uid,
				     struct tap_store_reprocess *set, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    uid != NULL ? "SELECT count(*), min(message_id), max(message_id) FROM report "
			  "WHERE uid = ?1"
			: "SELECT count(DISTINCT message_id), min(message_id), max(message_id) "
			  "FROM report WHERE stored >= ?1 AND stored < ?2",
	    &st, err);

	if (rc == TAP_OK && uid != NULL) {
		set->since = INT64_MIN;
		set->until = INT64_MAX;
		(void)sqlite3_bind_text(st, 1, uid, -1, SQLITE_STATIC);
	} else if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 1, set->since);
		(void)sqlite3_bind_int64(st, 2, set->until);
	}
	if (rc == TAP_OK)
		rc = tap_db_step(&r->db, st, "reprocess", &row, err);
	if (row) {
		set->owed = (uint64_t)sqlite3_column_int64(st, 0);
		set->next = sqlite3_column_int64(st, 1);
		set->last = sqlite3_column_int64(st, 2);
	}
	(void)sqlite3_finalize(st);
	if (rc == TAP_E_CANCELLED && uid == NULL)
		return unknown(r, set, err);
	if (rc == TAP_OK && (!row || set->owed == 0))
		return uid != NULL
			   ? tap_err_set(err, TAP_E_NOTFOUND, "there is no report %s", uid)
			   : tap_err_set(err, TAP_E_NOTFOUND, "no report was stored in that time");
	return rc;
}

void tap_store_kept_free(struct tap_store_kept *k)
{
	free(k->headers);
	free(k->payload);
	memset(k, 0, sizeof(*k));
}

static enum tap_rc payloads(struct tap_store_reader *r, struct tap_store_kept *k,
			    struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	size_t room = 0;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(
	    &r->db,
	    "SELECT id, part, length(bytes), (SELECT filename FROM report WHERE message_id = ?1 "
	    "AND part = payload.part ORDER BY document LIMIT 1) FROM payload "
	    "WHERE message_id = ?1 ORDER BY part",
	    &st, err);

	if (rc == TAP_OK)
		(void)sqlite3_bind_int64(st, 1, k->message);
	while (rc == TAP_OK && (rc = tap_db_step(&r->db, st, "payloads", &row, err)) == TAP_OK &&
	       row) {
		struct tap_store_payload *p;

		if (k->n_payload == room) {
			size_t more = room == 0 ? 4 : room * 2;

			p = realloc(k->payload, more * sizeof(*p));
			if (p == NULL) {
				rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
				break;
			}
			k->payload = p;
			room = more;
		}
		p = &k->payload[k->n_payload++];
		p->id = sqlite3_column_int64(st, 0);
		p->part = (uint32_t)sqlite3_column_int64(st, 1);
		p->size = (uint64_t)sqlite3_column_int64(st, 2);
		copy(p->filename, sizeof(p->filename), sqlite3_column_text(st, 3));
	}
	(void)sqlite3_finalize(st);
	return rc;
}

enum tap_rc tap_store_reprocess_next(struct tap_store_reader *r,
				     const struct tap_store_reprocess *job,
				     struct tap_store_kept *k, struct tap_err *err)
{
	struct sqlite3_stmt *st = NULL;
	bool row = false;
	enum tap_rc rc = tap_db_prepare(&r->db,
					"SELECT id, arrival, spool_id, headers, EXISTS (SELECT 1 "
					"FROM report WHERE message_id = "
					"message.id AND (from_domain IS NOT NULL OR auth <> 0)) "
					"FROM message WHERE id >= ?1 AND "
					"id <= ?2 AND EXISTS (SELECT 1 FROM report WHERE "
					"message_id = message.id AND stored >= ?3 "
					"AND stored < ?4) ORDER BY id LIMIT 1",
					&st, err);

	memset(k, 0, sizeof(*k));
	if (rc == TAP_OK) {
		(void)sqlite3_bind_int64(st, 1, job->next);
		(void)sqlite3_bind_int64(st, 2, job->last);
		(void)sqlite3_bind_int64(st, 3, job->since);
		(void)sqlite3_bind_int64(st, 4, job->until);
		rc = tap_db_step(&r->db, st, "kept messages", &row, err);
	}
	if (row) {
		k->message = sqlite3_column_int64(st, 0);
		k->arrival = sqlite3_column_int64(st, 1);
		copy(k->spool_id, sizeof(k->spool_id), sqlite3_column_text(st, 2));
		k->headers_len = (size_t)sqlite3_column_bytes(st, 3);
		k->sender = sqlite3_column_int(st, 4) != 0;
		k->headers = malloc(k->headers_len + 1);
		if (k->headers == NULL)
			rc = tap_err_set(err, TAP_E_TEMP, "out of memory");
		else if (k->headers_len > 0)
			memcpy(k->headers, sqlite3_column_blob(st, 3), k->headers_len);
	}
	(void)sqlite3_finalize(st);
	if (rc == TAP_OK && row)
		rc = payloads(r, k, err);
	if (rc != TAP_OK)
		tap_store_kept_free(k);
	return rc == TAP_OK && !row ? TAP_E_NOTFOUND : rc;
}

enum tap_rc tap_store_payload_read(struct tap_store_reader *r, const struct tap_store_payload *p,
				   enum tap_rc (*each)(void *ctx, const void *bytes, size_t n,
						       struct tap_err *err),
				   void *ctx, struct tap_err *err)
{
	struct sqlite3_blob *b = NULL;
	char *piece = malloc(PIECE);
	enum tap_rc rc = TAP_OK;
	int code;

	if (piece == NULL)
		return tap_err_set(err, TAP_E_TEMP, "out of memory");
	code = sqlite3_blob_open(r->db.h, "main", "payload", "bytes", p->id, 0, &b);
	for (int off = 0, size = b != NULL ? sqlite3_blob_bytes(b) : 0;
	     code == SQLITE_OK && rc == TAP_OK && off < size;) {
		int n = size - off < PIECE ? size - off : PIECE;

		code = sqlite3_blob_read(b, piece, n, off);
		if (code == SQLITE_OK)
			rc = each(ctx, piece, (size_t)n, err);
		off += n;
	}
	/* Gone or changed meanwhile: whoever asks looks again. */
	if (code == SQLITE_ABORT || code == SQLITE_ERROR)
		rc = tap_err_set(err, TAP_E_NOTFOUND, "store %s: the payload is gone", r->db.path);
	else if (code != SQLITE_OK)
		rc = tap_db_rc(&r->db, code, "read a payload", err);
	(void)sqlite3_blob_close(b);
	free(piece);
	return rc;
}
