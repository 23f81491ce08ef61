/* SPDX-License-Identifier: Apache-2.0
 * parser/headers.h - one block of header fields: gathered under limits while the lines come, then read through GMime.
 * GMime sees a field only after its whole block was found within header_bytes and header_fields; values longer than
 * TAP_FIELD_MAX are left out.
 * A message's block may hold up to three lines that are no field, before its Content-Type: they are left out. In a part such a line
 * begins the body.
 * Ownership: a gatherer owns its buffer. Threads: one user at a time. RFC 5322 section 2.2, RFC 2045, 2047, 2183, 2231. */
#ifndef TAP_PARSER_HEADERS_H
#define TAP_PARSER_HEADERS_H

#include "base/buf.h"
#include "parser/decode.h"
#include "parser/parser.h"
#include "parser/unpack.h"

enum { TAP_FIELD_MAX = 65536, TAP_BOUNDARY_MAX = 255, TAP_TYPE_MAX = 127 };

struct tap_headers {
	struct tap_buf raw; /* the block so far, without the blank line */
	uint32_t fields;
	uint64_t max_bytes;
	uint32_t max_fields;
	bool message;	 /* set by who reads: the block is that of a message, not of a part */
	bool typed;	 /* Content-Type was seen */
	bool dropping;	 /* in a line that is no field */
	uint32_t strays; /* such lines so far */
};
void tap_headers_init(struct tap_headers *h, const struct tap_parse_limits *lim);
void tap_headers_free(struct tap_headers *h);
void tap_headers_reset(struct tap_headers *h);

enum tap_header_step {
	TAP_HEADER_MORE, /* taken                                                       */
	TAP_HEADER_END,	 /* it was the blank line: the body begins behind it            */
	TAP_HEADER_BODY, /* it is no header field: the body begins with it              */
	TAP_HEADER_LIMIT /* a limit was hit, *err says which                            */
};
/* One line, or a piece of a long one; eol = bytes of line end in it (0: the line goes on). */
enum tap_header_step tap_headers_add(struct tap_headers *h, const char *p, size_t n, bool starts,
				     size_t eol, struct tap_err *err) TAP_MUST_CHECK;

/* What the walk wants to know of a part. Words in lower case; "" = absent. */
struct tap_part_info {
	char type[TAP_TYPE_MAX + 1], subtype[TAP_TYPE_MAX + 1];
	char boundary[TAP_BOUNDARY_MAX + 1], report_type[TAP_TYPE_MAX + 1];
	char filename[TAP_NAME_MAX +
		      1]; /* of Content-Disposition, else of Content-Type; decoded, clean */
	char charset[32]; /* of a text part */
	enum tap_encoding encoding;
	bool report_subject; /* the Subject announces a report */
	bool report_begins;  /* and begins with it: no "Re:" stands before it */
};
/* The value of the first field of that name, unfolded, in v; false when there is none. Line ends and NULs become blanks. */
bool tap_headers_find(const struct tap_headers *h, const char *name, struct tap_buf *v);
/* hints: set when the block is that of a message, else NULL. */
void tap_headers_read(struct tap_headers *h, bool digest, struct tap_part_info *info,
		      struct tap_hints *hints);

#endif
