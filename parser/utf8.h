/* SPDX-License-Identifier: Apache-2.0
 * parser/utf8.h - UTF-8 as it comes from outside: stepping, cutting on a character boundary, and the one clean-up that every
 * text value of a report passes (trim, repair, control characters, letter case).
 * Threads: safe, no state. Nothing here can fail but by the arena's cap. */
#ifndef TAP_PARSER_UTF8_H
#define TAP_PARSER_UTF8_H

#include "base/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length (1 … 4) of the character at s, its code point in *cp_r; 0 when the bytes are not UTF-8 (overlong forms, surrogates and
 * values above U+10FFFF are not) or end before the character does. n > 0. */
size_t tap_utf8_step(const unsigned char *s, size_t n, uint32_t *cp_r);
/* True when the n bytes could be the beginning of a character that goes on behind them. */
bool tap_utf8_partial(const unsigned char *s, size_t n);
/* Writes 1 … 4 bytes; cp must be a Unicode scalar value. */
size_t tap_utf8_put(char *out, uint32_t cp);
/* The largest length <= max that does not cut a character of the n bytes. */
size_t tap_utf8_cut(const char *s, size_t n, size_t max);
/* n without the beginning of a character at the end of the n bytes. */
size_t tap_utf8_whole(const char *s, size_t n);
/* Code point of one byte of windows-1252; the five bytes that it leaves undefined give U+FFFD. */
uint32_t tap_cp1252(unsigned char c);

enum { TAP_TEXT_LOWER = 1 }; /* flags: ASCII letters to lower case */
enum {
	TAP_TEXT_REPAIRED = 1,
	TAP_TEXT_CONTROL = 2
}; /* notes: bytes were not UTF-8; control characters were dropped */

static inline bool tap_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* A clean copy of s in the arena: white space at both ends trimmed, bytes that are no UTF-8 replaced by U+FFFD, control
 * characters other than TAB and LF dropped (CR LF and CR give LF). Its length in *len_r (may be NULL), what was found is added to
 * *notes. NULL when the arena is full. */
char *tap_text_clean(struct tap_arena *a, const char *s, size_t n, unsigned flags, unsigned *notes,
		     size_t *len_r) TAP_MUST_CHECK;

#endif
