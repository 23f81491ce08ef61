/* SPDX-License-Identifier: Apache-2.0
 * parser/unpack.h - one container (a file, or a leaf part of a mail without its transfer encoding) → the reports in it.
 * What it is is decided by its bytes; gzip, zlib and zip are unpacked while they are read, inside each other too.
 * Ownership: borrows the bytes. Threads: one user at a time. Limits [I7]: archive_depth and those of inflate.h and zip.h.
 * RFC 7489 section 7.2.1.1, RFC 9990 section 3.5. */
#ifndef TAP_PARSER_UNPACK_H
#define TAP_PARSER_UNPACK_H

#include "parser/stream.h"
#include "parser/work.h"
#include <stdbool.h>

enum { TAP_NAME_MAX = 255 };

struct tap_container {
	struct tap_stream *bytes;
	/* The same bytes where they can be read at any offset; NULL: they are decoded while they are read. */
	const struct tap_source *direct;
	const char *filename; /* hint, clean (tap_clean_name); NULL = none */
	uint32_t part;
	bool prose; /* text for people: a header that it begins with is quoted, and no mail's */
};
struct tap_container_result {
	uint32_t reports, broken, documents;
	bool packed;   /* it was an archive, whatever was in it */
	char why[512]; /* the first reason for what is not a report; "" = nothing to say */
};
/* TAP_OK whatever is wrong with the bytes; else the class that a consumer or the source returned. */
enum tap_rc tap_unpack(struct tap_work *w, const struct tap_container *c,
		       struct tap_container_result *res, struct tap_err *err) TAP_MUST_CHECK;
void tap_work_free(struct tap_work *w); /* what unpacking kept for the next container */

/* A name that came from outside, made valid UTF-8 without control characters and at most TAP_NAME_MAX bytes. */
void tap_clean_name(const char *name, char out[TAP_NAME_MAX + 1]);

#endif
