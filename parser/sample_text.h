/* SPDX-License-Identifier: Apache-2.0
 * parser/sample_text.h - bytes in some charset → UTF-8, and header values as people should see them. Only the charsets of a fixed list
 * are converted (by the C library's iconv through GMime, which the confined parser has loaded before it is locked in); what is in
 * another one, or is not what its label says, is read as UTF-8 with every byte that does not fit taken as windows-1252.
 * Inside of parser/ only. Linear time. Threads: safe. RFC 2045 section 5.1, RFC 2047. */
#ifndef TAP_PARSER_SAMPLE_TEXT_H
#define TAP_PARSER_SAMPLE_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum {
	TAP_CHARSET_UNKNOWN = 1, /* a name that is not in the list */
	TAP_CHARSET_INVALID = 2, /* bytes that do not fit the charset */
};
/* Appends the n bytes to out as UTF-8; returns TAP_CHARSET_* bits. name NULL or "" = none given. What is over out's maximum fails out. */
unsigned tap_charset_add(struct tap_buf *out, const char *name, const char *p, size_t n);
/* Is it UTF-8 without control characters other than TAB, LF and CR? */
bool tap_text_is_clean(const char *p, size_t n);
/* One field's value, decoded (RFC 2047), without folds and control characters; at most TAP_HEADER_TEXT_MAX bytes of it. TAP_CHARSET_*
 * bits are added to *notes. NULL = the arena's cap. */
enum { TAP_HEADER_TEXT_MAX = 65536 };
const char *tap_header_text(struct tap_arena *a, const char *p, size_t n,
			    unsigned *notes) TAP_MUST_CHECK;

#endif
