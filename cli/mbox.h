/* SPDX-License-Identifier: Apache-2.0
 * cli/mbox.h - cuts an mbox into its messages while it streams by: mboxo, mboxrd, mboxcl, mboxcl2, RFC 4155; LF and CRLF.
 * A separator is a line "From TOKEN … WEEKDAY MONTH DAY TIME … YEAR …", the parts of the date in any order, at the start of the file, or
 * after an empty line and with a header field behind it; in a file that begins with a bare "From " or "From -" such lines too. Every
 * other "From " line is text. Content-Length is believed only where the file ends at the place that it
 * names, or a separator stands there. One > is taken from ">From " lines when the caller wants it, or (but not in messages with a
 * Content-Length that holds) once a ">>From " line was seen: then the writer quoted reversibly.
 * A line that lacks but the empty line stays text, since writers that follow RFC 4155 quote no such line of a mail, but is counted: it may
 * stand behind a mail that was cut off.
 * Memory: a message of more than IN_MEMORY goes to a file without a name, of which MESSAGE_MAX bytes at most are kept: the parser
 * refuses what is longer. Opens nothing else: bytes come from a function of the caller.
 * Ownership: the caller owns the struct; init, then free. Threads: one user at a time. Errors: those of the bytes' function and
 * TAP_E_TEMP of the temporary file. RFC 4155, RFC 5322. */
#ifndef TAP_CLI_MBOX_H
#define TAP_CLI_MBOX_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_mbox_source {
	/* The next 1 … n bytes; *got_r = 0 only at the end. */
	enum tap_rc (*read)(void *ctx, void *p, size_t n, size_t *got_r, struct tap_err *err);
	/* n bytes at any offset, fewer at the end only; NULL = cannot be done. */
	enum tap_rc (*peek)(void *ctx, uint64_t off, void *p, size_t n, size_t *got_r,
			    struct tap_err *err);
	void *ctx;
};
struct tap_mbox {
	struct tap_mbox_source src;
	char *p; /* the window: len bytes, the first of them is byte `base` of the mbox */
	size_t len, cap;
	uint64_t base;
	bool eof, started, done;
	bool bare;		   /* the first separator has no sender and no date */
	bool unquote, unquote_all; /* because a >>From was seen; because the caller wants it */
	size_t msg,
	    scan; /* in the window: where the open message begins, how far it was looked through */
	size_t next; /* in the window: the separator behind the message that was handed out */
	uint64_t claim,
	    claim_next; /* where its Content-Length has it end, and the separator behind; 0 = it has none */
	uint64_t number, offset;
	uint64_t doubtful,
	    doubtful_at; /* lines that lack but the empty line before a separator; the first */
	int fd; /* holds the first part of the open message; -1 = all of it is in the window */
	uint64_t spilled;
	bool mid_line; /* the window's part of it begins within a line */
};
struct tap_mbox_message {
	uint64_t number; /* 1 … */
	uint64_t offset; /* of its separator */
	const char *p;	 /* valid until the next call */
	size_t n;
	int fd; /* >= 0: it is in this file, which is now the caller's; p and n are not set */
	uint64_t size;
	uint64_t taken; /* bytes of the mbox up to the end of this message */
};

/* Do the bytes begin with a separator, after a byte order mark and blank lines at most? n: 4 KiB, or all there is. */
bool tap_mbox_sniff(const char *p, size_t n);
/* Is the line [p, p + n), without its end, a separator by its words? */
bool tap_mbox_separator(const char *p, size_t n);

enum tap_rc tap_mbox_init(struct tap_mbox *m, const struct tap_mbox_source *src, bool unquote,
			  struct tap_err *err) TAP_MUST_CHECK;
void tap_mbox_free(struct tap_mbox *m);
/* *more_r = false: there is none. */
enum tap_rc tap_mbox_next(struct tap_mbox *m, struct tap_mbox_message *out, bool *more_r,
			  struct tap_err *err) TAP_MUST_CHECK;

#endif
