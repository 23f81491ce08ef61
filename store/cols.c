/* SPDX-License-Identifier: Apache-2.0
 * store/cols.c - see cols.h. */
#include "store/cols.h"

#include "parser/report_failure.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(enum tap_failure_format) == sizeof(int), "enums are read and written as int");

/* Members are copied out, so that no pointer of another type is needed. */
#define GET(type, p)                                                                               \
	type v;                                                                                    \
	memcpy(&v, (p), sizeof(v))

static void bind_text(struct sqlite3_stmt *st, int i, const char *s)
{
	if (s == NULL)
		(void)sqlite3_bind_null(st, i);
	else
		(void)sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
}

static int64_t number_at(enum tap_col_type type, const char *p)
{
	if (type == TAP_COL_BOOL) {
		GET(bool, p);
		return v;
	}
	if (type == TAP_COL_U32) {
		GET(uint32_t, p);
		return v;
	}
	if (type == TAP_COL_ENUM || type == TAP_COL_I32) {
		GET(int32_t, p);
		return v;
	}
	GET(int64_t, p);
	return v;
}

int tap_cols_bind(struct sqlite3_stmt *st, int first, const struct tap_col *c, size_t n,
		  const void *from)
{
	for (size_t k = 0; k < n; k++) {
		const char *p = (const char *)from + c[k].offset;
		int i = first + (int)k;

		if (c[k].type == TAP_COL_TEXT) {
			GET(const char *, p);
			bind_text(st, i, v);
		} else if (c[k].type == TAP_COL_HEX) {
			bind_text(st, i, p);
		} else {
			int64_t v = number_at(c[k].type, p);

			if (c[k].type == TAP_COL_TIME && v == TAP_NO_TIME)
				(void)sqlite3_bind_null(st, i);
			else
				(void)sqlite3_bind_int64(st, i, v);
		}
	}
	return first + (int)n;
}

static void set_number(enum tap_col_type type, char *p, int64_t v)
{
	bool b = v != 0;
	uint32_t u = (uint32_t)v;
	int32_t i = (int32_t)v;

	if (type == TAP_COL_BOOL)
		memcpy(p, &b, sizeof(b));
	else if (type == TAP_COL_U32)
		memcpy(p, &u, sizeof(u));
	else if (type == TAP_COL_ENUM || type == TAP_COL_I32)
		memcpy(p, &i, sizeof(i));
	else
		memcpy(p, &v, sizeof(v));
}

static bool set_text(struct sqlite3_stmt *st, int i, char *p, struct tap_arena *a)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	if (s != NULL && a != NULL) {
		s = tap_arena_strndup(a, s, (size_t)sqlite3_column_bytes(st, i));
		if (s == NULL)
			return false;
	}
	memcpy(p, &s, sizeof(s));
	return true;
}

bool tap_cols_read(struct sqlite3_stmt *st, int first, const struct tap_col *c, size_t n, void *to,
		   struct tap_arena *a)
{
	bool ok = true;

	for (size_t k = 0; ok && k < n; k++) {
		char *p = (char *)to + c[k].offset;
		int i = first + (int)k;

		if (c[k].type == TAP_COL_TEXT) {
			ok = set_text(st, i, p, a);
		} else if (c[k].type == TAP_COL_HEX) {
			const void *s = sqlite3_column_text(st, i);

			(void)snprintf(p, 65, "%s", s != NULL ? (const char *)s : "");
		} else if (c[k].type == TAP_COL_TIME && sqlite3_column_type(st, i) == SQLITE_NULL) {
			set_number(TAP_COL_TIME, p, TAP_NO_TIME);
		} else {
			set_number(c[k].type, p, sqlite3_column_int64(st, i));
		}
	}
	return ok;
}
