/* SPDX-License-Identifier: Apache-2.0
 * parser/mime.h - walks a mail message and hands each leaf part, decoded while it is read, to unpack.h.
 *
 * The walk over the structure is ours: one pass over the lines, one header block and one stack of boundaries in memory, whatever
 * the size of the mail. GMime reads header values (content types, RFC 2047 and 2231 names) and decodes transfer encodings, but its
 * tree parser is not used on hostile mail: it keeps an object for every part (a mail of 50 MiB can have ten million), keeps what
 * stands before the first and after the last boundary, does not limit header blocks, and compares every line that begins with
 * "--" with up to 1,024 open boundaries.
 *
 * Of a failure or feedback report (ARF) the walk notes where its parts stand (feedback_parts.h); it is read when its multipart has
 * ended. The message that it is about is never searched for reports.
 * Limits [I7]: header_bytes, header_fields, message_bytes, mime_depth, mime_parts. Threads: one user at a time.
 * RFC 5322, 2045, 2046; RFC 5965 (ARF). */
#ifndef TAP_PARSER_MIME_H
#define TAP_PARSER_MIME_H

#include "parser/work.h"
#include <stdbool.h>

struct tap_mime_result {
	uint32_t reports, broken;
	bool limited;	     /* a limit of the whole mail ended the walk; why says which */
	bool subject_claims; /* a Subject announces a report */
	bool subject_begins; /* and begins with the announcement */
	bool bounce;	     /* a delivery status or disposition notification was seen */
	char why[512];	     /* the first reason, of what is broken if anything is */
};
/* src: a message from `start` on. TAP_OK whatever is wrong with the message. */
enum tap_rc tap_mime_walk(struct tap_work *w, const struct tap_source *src, uint64_t start,
			  struct tap_mime_result *res, struct tap_err *err) TAP_MUST_CHECK;
/* The same for a message or MIME entity that came out of a leaf part (S/MIME, an Outlook file): its parts count with those of the
 * mail around it, and its depth (from 1 on) goes on from there. res is not cleared first. */
enum tap_rc tap_mime_walk_inner(struct tap_work *w, const struct tap_source *src, uint64_t start,
				uint32_t depth, struct tap_mime_result *res,
				struct tap_err *err) TAP_MUST_CHECK;

#endif
