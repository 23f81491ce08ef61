/* SPDX-License-Identifier: Apache-2.0
 * parser/json_scan.h - the structure of JSON text, without a tree: checks one value and says where it ends, then steps through the
 * members of an object or the items of an array. What single strings and numbers mean is json-c's business (smtp_tls_values.c).
 * Memory: none but one byte a level. Time: linear; stepping through a value costs one more pass over it.
 * Limits [I7]: depth, number of values (keys count too), digits of a number. Pure. Threads: safe. RFC 8259. */
#ifndef TAP_PARSER_JSON_SCAN_H
#define TAP_PARSER_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAP_JSON_DEPTH_MAX = 512, TAP_JSON_NUMBER_MAX = 1024 };

/* One value in the text. type: { [ " 0 (a number) t f n, or 0 for none. */
struct tap_json {
	const char *p;
	size_t n;
	char type;
};
struct tap_json_check {
	uint32_t depth, values; /* limits; values is counted down over all calls */
	size_t end;		/* behind the value, or where the error is */
	const char *error;	/* NULL = a whole value; else static text */
	bool limit;		/* the error is a limit that was hit */
	bool unfinished;	/* the text ends inside the value */
};
/* The value that begins at p[at]; blanks before it are passed over. True: it is whole. */
bool tap_json_check(const char *p, size_t n, size_t at, struct tap_json_check *c);
/* Blanks from p[at] on; n when nothing else follows. */
size_t tap_json_blank(const char *p, size_t n, size_t at);

/* The rest is for text that passed the check. */
struct tap_json tap_json_value(const char *p, size_t n); /* blanks at both ends may be there */
struct tap_json_iter {
	const char *p, *end;
	bool object;
};
void tap_json_enter(struct tap_json_iter *it, const struct tap_json *container);
/* False: no more. key may be NULL for arrays; it has its quotes. */
bool tap_json_next(struct tap_json_iter *it, struct tap_json *key_r, struct tap_json *value_r);

#endif
