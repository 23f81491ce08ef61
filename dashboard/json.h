/* SPDX-License-Identifier: Apache-2.0
 * dashboard/json.h - writes JSON into a buffer, value by value. Text is escaped so that the answer is harmless even where
 * something takes it for HTML or script: < > & U+2028 U+2029 and controls as \u escapes, bytes that are not UTF-8 as U+FFFD.
 * Ownership: the buffer is the caller's; its sticky `failed` tells of an answer over the maximum. Threads: none. RFC 8259. */
#ifndef TAP_DASHBOARD_JSON_H
#define TAP_DASHBOARD_JSON_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct tap_json {
	struct tap_buf *out;
	bool comma; /* a value stands before this place */
};

void tap_json_init(struct tap_json *j, struct tap_buf *out);
/* key NULL: an element of an array, or the outermost value. bracket: '{' or '['. */
void tap_json_open(struct tap_json *j, const char *key, char bracket);
void tap_json_close(struct tap_json *j, char bracket);			   /* '}' or ']' */
void tap_json_str(struct tap_json *j, const char *key, const char *value); /* NULL value: null */
void tap_json_int(struct tap_json *j, const char *key, int64_t value);
void tap_json_bool(struct tap_json *j, const char *key, bool value);
void tap_json_null(struct tap_json *j, const char *key);
/* part/whole as a number from 0 to 1 with four digits, rounded down so that 1 means all; null when whole is not positive. */
void tap_json_share(struct tap_json *j, const char *key, int64_t part, int64_t whole);
/* RFC 3339 in UTC. */
void tap_json_time(struct tap_json *j, const char *key, int64_t t);
/* 0 means there is none: null. */
void tap_json_time_or_null(struct tap_json *j, const char *key, int64_t t);
/* Only the date: "2026-11-23". */
void tap_json_day(struct tap_json *j, const char *key, int64_t t);

#endif
