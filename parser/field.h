/* SPDX-License-Identifier: Apache-2.0
 * parser/field.h - the fields of a header block that is in memory, one after the other, and the skipping of comments and blanks
 * in their values. Inside of parser/ only. Ownership: everything points into the block. Pure, linear time. Threads: safe.
 * RFC 5322 sections 2.2 and 3.2.2. */
#ifndef TAP_PARSER_FIELD_H
#define TAP_PARSER_FIELD_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>

struct tap_field {
	const char *name, *value; /* the value with its folds, without the last line end */
	size_t name_len, value_len;
	bool
	    spaced; /* blanks stood before the colon: an old form, which mail servers may not know */
};
/* The next field from *p on; false at the end. Lines that are no field are passed over and counted in *bad (may be NULL). */
bool tap_field_next(const char **p, const char *end, struct tap_field *f, size_t *bad);
/* Is that its name, in any letter case? */
bool tap_field_is(const struct tap_field *f, const char *name);
/* Behind blanks, folds and comments; an open comment ends with the value. */
const char *tap_cfws_skip(const char *p, const char *end);
/* Behind a quoted string that begins at p; NULL when it is not closed. */
const char *tap_quoted_skip(const char *p, const char *end);
/* A copy without folds: line ends are dropped, the blanks behind them stay; trimmed. NULL = the arena's cap. */
char *tap_unfold(struct tap_arena *a, const char *p, size_t n) TAP_MUST_CHECK;

/* A domain name with a dot in it, in lower case, without a last dot and without brackets; NULL when p … p+n is none, or at the cap. */
const char *tap_domain_copy(struct tap_arena *a, const char *p, size_t n) TAP_MUST_CHECK;

#endif
