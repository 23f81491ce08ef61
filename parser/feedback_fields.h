/* SPDX-License-Identifier: Apache-2.0
 * parser/feedback_fields.h - the fields of a feedback report as text: where each begins and ends, unfolding, comments, quotes, lists.
 * Inside of parser/ only. Pure, linear time. Ownership: spans borrow the text. Threads: safe. RFC 5965 section 3, RFC 5322 section 3.2. */
#ifndef TAP_PARSER_FEEDBACK_FIELDS_H
#define TAP_PARSER_FEEDBACK_FIELDS_H

#include "base/buf.h"
#include "base/sha256.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_fb_field {
	const char *name;
	size_t name_len;
	const char *value; /* with its folds and blanks */
	size_t n;
};
struct tap_fb_reader {
	const char *p, *end;
	uint32_t stray; /* lines so far that are no field */
};
/* The next field; blank lines are passed over, wherever they stand. */
bool tap_fb_next(struct tap_fb_reader *r, struct tap_fb_field *f);
bool tap_fb_is(const struct tap_fb_field *f, const char *name);

/* Adds at most max bytes of the value without its folds, NULs and the blanks around it; false: there were more. */
bool tap_fb_unfold(const char *value, size_t n, size_t max, struct tap_buf *out);
/* Takes comments out of s, in place; what stands in quotes stays. A comment without its end stays too. */
void tap_fb_strip_comments(char *s);
/* The content of the quoted strings of s, joined, in place; s as it is when it does not begin with a quote. */
void tap_fb_unquote(char *s);
/* Cuts the next item off a list (commas outside of quotes and <>; white space too when words is set); NULL at the end. */
char *tap_fb_item(char **s, bool words);
/* In place: blanks and one pair of <> around s go. */
char *tap_fb_trim(char *s);
char *tap_fb_unangle(char *s);
/* Feeds the text with folds taken out, line ends as LF, blanks around it dropped; returns the number of bytes. */
uint64_t tap_fb_hash(struct tap_sha256 *h, const char *p, size_t n);
/* The same for a message, where nothing is unfolded and nothing trimmed. */
uint64_t tap_fb_hash_lines(struct tap_sha256 *h, const char *p, size_t n);
/* Size and SHA-256 of what base64 text decodes to; every other byte in it is passed over. */
uint64_t tap_fb_base64(const char *p, size_t n, unsigned char sha256_r[TAP_SHA256_BYTES]);
/* Does the text begin with the fields of a feedback report, or with the header of a mail? */
bool tap_fb_looks_like_fields(const char *p, size_t n);
bool tap_fb_looks_like_header(const char *p, size_t n);

#endif
