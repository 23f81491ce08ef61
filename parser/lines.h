/* SPDX-License-Identifier: Apache-2.0
 * parser/lines.h - a source line by line, whatever the length of a line: long ones come in pieces.
 * Ownership: a piece lies in the reader's buffer (or in the source's memory) until the next call. Threads: one user. */
#ifndef TAP_PARSER_LINES_H
#define TAP_PARSER_LINES_H

#include "base/source.h"
#include <stdbool.h>

enum { TAP_LINES_BUF = 65536 };
struct tap_piece {
	const char *p;
	size_t n;     /* with its line end */
	size_t eol;   /* 2 = CR LF, 1 = LF, 0 = the line goes on, or the source ends here */
	uint64_t off; /* in the source */
	bool starts;  /* the line begins here */
};
struct tap_lines {
	const struct tap_source *src;
	const char *p; /* the window: bytes off … off + len of the source */
	uint64_t off;
	size_t pos, len;
	bool midline, cr, ended;
	char buf[TAP_LINES_BUF];
};
void tap_lines_init(struct tap_lines *l, const struct tap_source *src, uint64_t from);
/* piece->n = 0 at the end. */
enum tap_rc tap_lines_next(struct tap_lines *l, struct tap_piece *piece,
			   struct tap_err *err) TAP_MUST_CHECK;

#endif
