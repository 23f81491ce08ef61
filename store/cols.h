/* SPDX-License-Identifier: Apache-2.0
 * store/cols.h - columns of a table that are members of a struct one by one: one list of them serves the writer (bind) and the reader
 * (read), so that the two cannot drift apart. Only for the files of store/. Threads: constant data. */
#ifndef TAP_STORE_COLS_H
#define TAP_STORE_COLS_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite3_stmt;

enum tap_col_type {
	TAP_COL_TEXT, /* const char *, NULL = NULL */
	TAP_COL_BOOL,
	TAP_COL_ENUM,
	TAP_COL_U32,
	TAP_COL_I32,
	TAP_COL_U64, /* 0 … 2^63-1 */
	TAP_COL_I64,
	TAP_COL_TIME, /* int64_t, NULL = TAP_NO_TIME */
	TAP_COL_HEX,  /* char[65] */
};
struct tap_col {
	enum tap_col_type type;
	uint32_t offset;
};
#define TAP_COL(type, s, member)                                                                   \
	{                                                                                          \
		TAP_COL_##type, (uint32_t)offsetof(struct s, member)                               \
	}

/* Parameters first, first + 1, …; texts are not copied. Returns the next parameter. */
int tap_cols_bind(struct sqlite3_stmt *st, int first, const struct tap_col *c, size_t n,
		  const void *from);
/* Columns first, first + 1, …; texts are copied into a, or stay SQLite's when a is NULL. False: no room. */
bool tap_cols_read(struct sqlite3_stmt *st, int first, const struct tap_col *c, size_t n, void *to,
		   struct tap_arena *a);

#endif
