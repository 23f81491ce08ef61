/* SPDX-License-Identifier: Apache-2.0
 * store/rows_priv.h - what the readers of the kinds share (rows.c, failure.c, tls.c): one call of tap_store_rows under way.
 * Threads: the reader's. */
#ifndef TAP_STORE_ROWS_PRIV_H
#define TAP_STORE_ROWS_PRIV_H

#include "base/arena.h"
#include "store/store_priv.h"

enum tap_rows_st {
	ROWS_REPORTS,
	ROWS_NOTES,
	ROWS_RECORDS,
	ROWS_RESULTS,
	ROWS_REASONS,
	ROWS_FAILURE,
	ROWS_SAMPLE,
	ROWS_LISTS,
	ROWS_ADDRESSES,
	ROWS_HOPS,
	ROWS_ATTACHMENTS,
	ROWS_POLICIES,
	ROWS_POLICY_TEXTS,
	ROWS_DETAILS,
	ROWS_N
};
_Static_assert((int)ROWS_N == (int)TAP_ROWS_ST, "the reader has room for each statement");

typedef enum tap_rc tap_rows_each(void *ctx, const struct tap_store_row *row, struct tap_err *err);

struct tap_reading {
	struct tap_store_reader *r;
	struct tap_arena *report, *record; /* what lists of the one and of the other need */
	tap_rows_each *each;
	void *ctx;
	size_t left;
	bool enough;
	bool more_results,
	    more_reasons; /* the cursor stands on a row that belongs to a later record */
	int64_t *seq;
	uint64_t *ordinal;
	struct tap_meta meta;
	struct tap_report_end end;
	struct tap_record rec; /* the one that is handed over */
};

enum tap_rc tap_rows_no_room(struct tap_reading *x, struct tap_err *err);
/* Room for one more element of an array that grows by doubling; the old one stays in the arena until its reset. NULL: no room. */
void *tap_rows_one_more(struct tap_arena *a, void *old, size_t n, size_t each);
/* Binds seq (and the ordinal to begin with, when the statement has one) and makes the first step. */
enum tap_rc tap_rows_first(struct tap_reading *x, enum tap_rows_st which, int64_t seq, int64_t from,
			   bool *more_r, struct tap_err *err);
enum tap_rc tap_rows_next(struct tap_reading *x, enum tap_rows_st which, bool *more_r,
			  struct tap_err *err);
/* Hands a row over and moves the place behind it; sets x->enough. */
enum tap_rc tap_rows_hand_over(struct tap_reading *x, struct tap_store_row *row,
			       struct tap_err *err);

/* The whole of one failure or feedback report; TAP_E_CONFIG when its row is missing. */
enum tap_rc tap_rows_failure(struct tap_reading *x, struct tap_store_row *row, struct tap_err *err);
/* Policies and details from this ordinal on. */
enum tap_rc tap_rows_tls(struct tap_reading *x, struct tap_store_row *row, uint64_t from,
			 struct tap_err *err);

#endif
