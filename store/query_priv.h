/* SPDX-License-Identifier: Apache-2.0
 * store/query_priv.h - what query.c and query_lists.c share: the connection and how a question is asked. Threads: as query.h says. */
#ifndef TAP_STORE_QUERY_PRIV_H
#define TAP_STORE_QUERY_PRIV_H

#include "parser/report.h"
#include "store/query.h"

struct sqlite3;
struct sqlite3_stmt;

struct tap_query {
	struct sqlite3 *db;
	int64_t deadline; /* monotonic ms, 0 = none */
	char path[512];	  /* for messages; cut */
};

typedef enum tap_rc tap_query_row(struct tap_query *q, struct sqlite3_stmt *st, void *ctx,
				  struct tap_err *err);

/* The class and text of SQLite's last error. */
enum tap_rc tap_query_error(const struct tap_query *q, const char *doing, struct tap_err *err);
enum tap_rc tap_query_prepare(struct tap_query *q, const char *sql, struct sqlite3_stmt **st_r,
			      struct tap_err *err) TAP_MUST_CHECK;
const char *tap_query_text(struct sqlite3_stmt *st, int i);
/* TAP_OK with a row there, TAP_E_NOTFOUND at the end (err untouched). */
enum tap_rc tap_query_next(struct tap_query *q, struct sqlite3_stmt *st,
			   struct tap_err *err) TAP_MUST_CHECK;
/* Hands every row of st to one(), then drops the statement. */
enum tap_rc tap_query_each(struct tap_query *q, struct sqlite3_stmt *st, tap_query_row *one,
			   void *ctx, struct tap_err *err) TAP_MUST_CHECK;
/* Prepares the form for all domains or for one: ?1 from, ?2 until, ?3 domain, ?4 limit, ?5 trusted only. */
enum tap_rc tap_query_windowed(struct tap_query *q, const char *sql_all, const char *sql_domain,
			       const struct tap_query_window *w, int64_t limit,
			       struct sqlite3_stmt **st_r, struct tap_err *err) TAP_MUST_CHECK;

#define TAP_QUERY_CUT(col)                                                                         \
	"CASE WHEN length(" col ") > 256 THEN substr(" col ", 1, 256) || '…' ELSE " col " END"
/* kind as text: "1" */
#define TAP_QUERY_IN_WINDOW(kind)                                                                  \
	" WHERE report.kind = " kind " AND report.is_foreign = 0 AND report.begin >= ?1"           \
	" AND report.begin < ?2 AND report.trusted >= ?5"
/* ?3 and ?4 are named in every form, so that all of them can be bound. */
#define TAP_QUERY_ANY_DOMAIN " AND ?3 IS NULL"

_Static_assert(TAP_KIND_AGGREGATE == 1 && TAP_KIND_FAILURE == 2 && TAP_KIND_SMTP_TLS == 4 &&
		   TAP_KIND_FEEDBACK == 8,
	       "the statements name the kinds by number");
_Static_assert(TAP_QUERY_TEXT == 256, "the statements cut at 256");

#endif
