/* SPDX-License-Identifier: Apache-2.0
 * store/tls.c - the policies and failure details of an SMTP TLS report into their tables and out of them. Both are numbered together in
 * the order of the document; reading merges two cursors, so that memory holds one of them whatever the report's size.
 * Threads: as store.h says. RFC 8460 section 4. */
#include "store/cols.h"
#include "store/rows_priv.h"

#include <sqlite3.h>
#include <string.h>

#define P(type, member) TAP_COL(type, tap_tls_policy, member)
static const struct tap_col policy_cols[] = {
    P(U32, index),	P(TEXT, policy_type), P(TEXT, policy_domain),
    P(U64, successful), P(U64, failed),	      P(U64, n_details),
};
#define D(type, member) TAP_COL(type, tap_tls_detail, member)
static const struct tap_col detail_cols[] = {
    D(U32, policy),
    D(U64, index),
    D(TEXT, result_type),
    D(U64, failed),
    D(TEXT, sending_mta_ip),
    D(TEXT, receiving_ip),
    D(TEXT, receiving_mx_hostname),
    D(TEXT, receiving_mx_helo),
    D(TEXT, additional_info),
    D(TEXT, failure_reason_code),
};
#define COUNT(x) (sizeof(x) / sizeof((x)[0]))
enum { POLICY_STRING, MX_HOST };

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static enum tap_rc add_texts(struct tap_store *s, int kind, const char *const *item, size_t n,
			     struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_POLICY_TEXT];
	enum tap_rc rc = TAP_OK;

	for (size_t i = 0; rc == TAP_OK && i < n; i++) {
		(void)sqlite3_bind_int64(st, 1, s->add.seq);
		(void)sqlite3_bind_int64(st, 2, s->add.ordinal);
		(void)sqlite3_bind_int(st, 3, kind);
		(void)sqlite3_bind_int64(st, 4, (int64_t)i);
		(void)sqlite3_bind_text(st, 5, item[i], -1, SQLITE_STATIC);
		rc = tap_store_run(s, ST_POLICY_TEXT, err);
	}
	return rc;
}

enum tap_rc tap_store_add_policy(struct tap_store *s, const struct tap_tls_policy *p,
				 struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_POLICY];
	enum tap_rc rc;

	(void)sqlite3_bind_int64(st, 1, s->add.seq);
	(void)sqlite3_bind_int64(st, 2, s->add.ordinal);
	(void)tap_cols_bind(st, 3, policy_cols, COUNT(policy_cols), p);
	rc = tap_store_run(s, ST_POLICY, err);
	if (rc == TAP_OK)
		rc = add_texts(s, POLICY_STRING, p->policy_strings, p->n_policy_strings, err);
	if (rc == TAP_OK)
		rc = add_texts(s, MX_HOST, p->mx_hosts, p->n_mx_hosts, err);
	return rc;
}

enum tap_rc tap_store_add_detail(struct tap_store *s, const struct tap_tls_detail *d,
				 struct tap_err *err)
{
	struct sqlite3_stmt *st = s->st[ST_DETAIL];

	(void)sqlite3_bind_int64(st, 1, s->add.seq);
	(void)sqlite3_bind_int64(st, 2, s->add.ordinal);
	(void)tap_cols_bind(st, 3, detail_cols, COUNT(detail_cols), d);
	return tap_store_run(s, ST_DETAIL, err);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static enum tap_rc read_texts(struct tap_reading *x, int64_t seq, uint64_t ordinal,
			      struct tap_tls_policy *p, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_POLICY_TEXTS];
	const char **lists[2] = {NULL, NULL};
	size_t n[2] = {0, 0};
	bool more = false, room = true;
	enum tap_rc rc = tap_rows_first(x, ROWS_POLICY_TEXTS, seq, (int64_t)ordinal, &more, err);

	while (rc == TAP_OK && more && room) {
		int kind = sqlite3_column_int(st, 0) == MX_HOST;
		const char *s = (const char *)sqlite3_column_text(st, 1);

		lists[kind] =
		    tap_rows_one_more(x->record, lists[kind], n[kind], sizeof(*lists[kind]));
		s = tap_arena_strdup(x->record, s != NULL ? s : "");
		room = lists[kind] != NULL && s != NULL;
		if (room) {
			lists[kind][n[kind]++] = s;
			rc = tap_rows_next(x, ROWS_POLICY_TEXTS, &more, err);
		}
	}
	p->policy_strings = lists[POLICY_STRING];
	p->n_policy_strings = n[POLICY_STRING];
	p->mx_hosts = lists[MX_HOST];
	p->n_mx_hosts = n[MX_HOST];
	(void)sqlite3_reset(st);
	return room ? rc : tap_rows_no_room(x, err);
}

/* The policy that the statement stands on, as it is needed for its details too: all of its texts are copied. */
static enum tap_rc keep_policy(struct tap_reading *x, int64_t seq, struct tap_tls_policy *p,
			       struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[ROWS_POLICIES];

	tap_arena_reset(x->record);
	memset(p, 0, sizeof(*p));
	if (!tap_cols_read(st, 1, policy_cols, COUNT(policy_cols), p, x->record))
		return tap_rows_no_room(x, err);
	return read_texts(x, seq, (uint64_t)sqlite3_column_int64(st, 0), p, err);
}

static enum tap_rc give_detail(struct tap_reading *x, struct tap_store_row *row,
			       struct tap_err *err)
{
	struct tap_tls_detail d = {0};
	enum tap_rc rc;

	(void)tap_cols_read(x->r->rows_st[ROWS_DETAILS], 1, detail_cols, COUNT(detail_cols), &d,
			    NULL);
	row->detail = &d;
	rc = tap_rows_hand_over(x, row, err);
	row->detail = NULL;
	return rc;
}

/* One item: the policy or the detail that its statement stands on. now is the policy that the details belong to. */
static enum tap_rc give(struct tap_reading *x, struct tap_store_row *row, bool policy,
			struct tap_tls_policy *now, uint64_t from, struct tap_err *err)
{
	struct sqlite3_stmt *st = x->r->rows_st[policy ? ROWS_POLICIES : ROWS_DETAILS];
	enum tap_rc rc = policy ? keep_policy(x, row->seq, now, err) : TAP_OK;

	row->policy = now;
	row->ordinal = (uint64_t)sqlite3_column_int64(st, 0);
	row->first = row->ordinal == 0;
	row->last = row->ordinal + 1 >= x->end.records + x->end.details;
	if (rc != TAP_OK || row->ordinal < from)
		return rc;
	return policy ? tap_rows_hand_over(x, row, err) : give_detail(x, row, err);
}

/* The statement of the policies begins with the one that `from` lies in. */
enum tap_rc tap_rows_tls(struct tap_reading *x, struct tap_store_row *row, uint64_t from,
			 struct tap_err *err)
{
	struct sqlite3_stmt *policies = x->r->rows_st[ROWS_POLICIES],
			    *details = x->r->rows_st[ROWS_DETAILS];
	struct tap_tls_policy now = {0};
	bool more_p = false, more_d = false;
	enum tap_rc rc = tap_rows_first(x, ROWS_POLICIES, row->seq, (int64_t)from, &more_p, err);

	if (rc == TAP_OK)
		rc = tap_rows_first(x, ROWS_DETAILS, row->seq, (int64_t)from, &more_d, err);
	while (rc == TAP_OK && (more_p || more_d) && !x->enough) {
		bool policy = more_p && (!more_d || sqlite3_column_int64(policies, 0) <
							sqlite3_column_int64(details, 0));

		rc = give(x, row, policy, &now, from, err);
		if (rc == TAP_OK && !x->enough)
			rc = policy ? tap_rows_next(x, ROWS_POLICIES, &more_p, err)
				    : tap_rows_next(x, ROWS_DETAILS, &more_d, err);
	}
	row->policy = NULL;
	(void)sqlite3_reset(policies);
	(void)sqlite3_reset(details);
	return rc;
}
